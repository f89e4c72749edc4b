//! The buffers of the socket call that the current thread is in, from the registers that it entered the kernel with.

use aya_ebpf::{
    bindings::pt_regs,
    helpers::{
        bpf_probe_read_kernel, bpf_probe_read_user,
        generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    },
};

use crate::gate::Source;

/// System call numbers of this architecture.
#[cfg(not(bpf_target_arch = "aarch64"))]
mod number {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const SENDTO: u64 = 44;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVMSG: u64 = 47;
    pub(super) const PREADV2: u64 = 327;
}
#[cfg(bpf_target_arch = "aarch64")]
mod number {
    pub(super) const READ: u64 = 63;
    pub(super) const WRITE: u64 = 64;
    pub(super) const READV: u64 = 65;
    pub(super) const WRITEV: u64 = 66;
    pub(super) const SENDTO: u64 = 206;
    pub(super) const RECVFROM: u64 = 207;
    pub(super) const SENDMSG: u64 = 211;
    pub(super) const RECVMSG: u64 = 212;
    pub(super) const PREADV2: u64 = 286;
}

/// A call in progress that reads or writes a descriptor.
pub(crate) struct Call {
    number: u64,
    /// First, second, third, fifth argument.
    descriptor: u64,
    buffer: u64,
    len: u64,
    address: u64,
}

/// Start of a `struct msghdr` (recvmsg(2)).
#[repr(C)]
#[derive(Clone, Copy)]
struct Message {
    name: u64,
    name_len: u32,
    pad: u32,
    iov: u64,
    iov_len: u64,
}

/// The call that the current thread is in; `None` when its registers cannot be read.
#[inline(always)]
pub(crate) fn current() -> Option<Call> {
    // SAFETY: helpers for the current task; the result is read with a checked read.
    unsafe {
        let regs = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const pt_regs;
        call(regs)
    }
}

#[cfg(not(bpf_target_arch = "aarch64"))]
#[inline(always)]
unsafe fn call(regs: *const pt_regs) -> Option<Call> {
    // SAFETY: bpf_probe_read_kernel checks the addresses.
    unsafe {
        Some(Call {
            number: bpf_probe_read_kernel(&raw const (*regs).orig_rax).ok()?,
            descriptor: bpf_probe_read_kernel(&raw const (*regs).rdi).ok()?,
            buffer: bpf_probe_read_kernel(&raw const (*regs).rsi).ok()?,
            len: bpf_probe_read_kernel(&raw const (*regs).rdx).ok()?,
            address: bpf_probe_read_kernel(&raw const (*regs).r8).ok()?,
        })
    }
}

/// `struct pt_regs` of the kernel: the registers, `orig_x0`, then the number of the system call.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
unsafe fn call(regs: *const pt_regs) -> Option<Call> {
    const NUMBER: usize = 280;
    /// The first argument as it was: its register holds the result when the call returns.
    const FIRST: usize = 34;
    let word = |index: usize| {
        let at = regs.cast::<u8>().wrapping_add(index * 8).cast::<u64>();
        // SAFETY: bpf_probe_read_kernel checks the address.
        unsafe { bpf_probe_read_kernel(at) }.ok()
    };
    let number_at = regs.cast::<u8>().wrapping_add(NUMBER).cast::<u32>();
    Some(Call {
        // SAFETY: as above.
        number: u64::from(unsafe { bpf_probe_read_kernel(number_at) }.ok()?),
        descriptor: word(FIRST)?,
        buffer: word(1)?,
        len: word(2)?,
        address: word(4)?,
    })
}

impl Call {
    /// Where the `n` bytes are that the call transferred; `None` for calls whose buffers are elsewhere (io_uring, splice,
    /// sendfile, several messages at once).
    #[inline(always)]
    pub(crate) fn source(&self, n: u64) -> Option<Source> {
        match self.number {
            number::READ | number::WRITE | number::SENDTO | number::RECVFROM => {
                Some(Source::buffer(self.buffer, n))
            }
            number::READV | number::WRITEV | number::PREADV2 => Some(Source {
                base: 0,
                len: 0,
                iov: self.buffer,
                iov_left: self.len,
            }),
            number::SENDMSG | number::RECVMSG => {
                let message = self.message()?;
                Some(Source {
                    base: 0,
                    len: 0,
                    iov: message.iov,
                    iov_left: message.iov_len,
                })
            }
            _ => None,
        }
    }

    /// The descriptor that the call is for.
    #[inline(always)]
    pub(crate) fn descriptor(&self) -> u32 {
        self.descriptor as u32
    }

    /// Whether the call is one that reads.
    #[inline(always)]
    pub(crate) fn reads(&self) -> bool {
        matches!(
            self.number,
            number::READ | number::READV | number::RECVFROM | number::RECVMSG | number::PREADV2
        )
    }

    /// Address of the peer that the call names or was told (`struct sockaddr`); 0 for none.
    #[inline(always)]
    pub(crate) fn peer(&self) -> u64 {
        match self.number {
            number::SENDTO | number::RECVFROM => self.address,
            number::SENDMSG | number::RECVMSG => self.message().map_or(0, |m| m.name),
            _ => 0,
        }
    }

    #[inline(always)]
    fn message(&self) -> Option<Message> {
        // SAFETY: bpf_probe_read_user checks the address.
        unsafe { bpf_probe_read_user(self.buffer as *const Message) }.ok()
    }
}

impl Source {
    /// The first four of `n` bytes; zeros for those that are not there, cannot be read or are in another buffer.
    #[inline(always)]
    pub(crate) fn first(&self, n: u64) -> [u8; 4] {
        let (mut base, mut len) = (self.base, n);
        if self.len == 0 && self.iov_left > 0 {
            // SAFETY: bpf_probe_read_user checks the address.
            let Ok([at, of_buffer]) = (unsafe { bpf_probe_read_user(self.iov as *const [u64; 2]) }) else {
                return [0; 4];
            };
            base = at;
            if of_buffer < len {
                len = of_buffer;
            }
        }
        if len >= 4 {
            // SAFETY: as above.
            return unsafe { bpf_probe_read_user(base as *const [u8; 4]) }.unwrap_or([0; 4]);
        }
        if len == 0 {
            return [0; 4];
        }
        // SAFETY: as above.
        [
            unsafe { bpf_probe_read_user(base as *const u8) }.unwrap_or(0),
            0,
            0,
            0,
        ]
    }
}
