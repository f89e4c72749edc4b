//! The AEAD of aws-lc, which rustls calls for each TLS record. A key serves one direction of one connection, so each
//! flow here is one direction; the daemon joins them by their socket.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_common::{
    counters,
    maps::FlowKey,
    wire::{DIRECTION_RECEIVED, DIRECTION_SENT, STACK_AWS_LC},
};

use crate::{
    flow::{self, Plaintext},
    gate::TLS_RECORD,
    maps::{Call, Thread, count},
    task::{known_thread, observed_pid, thread},
    tls::stack_pointer,
};

/// Slot of `Thread::calls`; no other call with slots runs inside an AEAD.
pub(crate) const SLOT_OPEN: usize = 2;

/// Value of `Thread::opening` while a record is being opened.
const OPENS: u32 = 1;

/// Content type of application data (RFC 8446 section 5.1).
pub(crate) const APPLICATION_DATA: u8 = 23;
/// Additional data of a TLS 1.3 record: its header (RFC 8446 section 5.2).
pub(crate) const TLS13_AD: u64 = 5;
/// Additional data of a TLS 1.2 record: sequence number, type, version, length (RFC 5246 section 6.2.3.3).
pub(crate) const TLS12_AD: u64 = 13;
/// Tag of all AEADs of TLS 1.3, and of those of TLS 1.2 that rustls has.
pub(crate) const TAG_LEN: u64 = 16;
/// More than the longest text of a record (RFC 8446 section 5.2: 2^14 and a byte).
pub(crate) const MAX_RECORD: u64 = 1 << 15;

/// `int EVP_AEAD_CTX_seal(ctx, out, *out_len, max_out_len, nonce, nonce_len, in, in_len, ad, ad_len)`. The text may be
/// overwritten by what it is sealed to, so it is taken at entry.
#[uprobe]
pub(crate) fn aead_seal_enter(ctx: ProbeContext) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(context) = ctx.arg::<u64>(0) else {
        return 0;
    };
    let [input, len, ad, ad_len] = stack_arguments(&ctx);
    let n = application_data(input, len, ad, ad_len);
    if n == 0 {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    let key = FlowKey::new(thread.process_start_ns, pid, context);
    deliver(&key, thread, STACK_AWS_LC, DIRECTION_SENT, input, n);
    0
}

/// `int EVP_AEAD_CTX_open(ctx, out, *out_len, max_out_len, nonce, nonce_len, in, in_len, ad, ad_len)`
#[uprobe]
pub(crate) fn aead_open_enter(ctx: ProbeContext) -> u32 {
    if observed_pid().is_none() {
        return 0;
    }
    let (Some(context), Some(out), Some(out_len)) = (ctx.arg(0), ctx.arg(1), ctx.arg(2)) else {
        return 0;
    };
    let [_, _, ad, ad_len] = stack_arguments(&ctx);
    if ad_len != TLS13_AD && (ad_len != TLS12_AD || type_in(ad) != APPLICATION_DATA) {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    // SAFETY: the context's registers are readable.
    let stack_pointer = unsafe { stack_pointer(&ctx) };
    thread.calls[SLOT_OPEN] = Call {
        handle: context,
        buffer: out,
        done: out_len,
        stack_pointer,
        stack: ad_len,
        entered_ns: 0,
    };
    // Not marked as active: no socket call happens inside.
    thread.opening = OPENS;
    0
}

/// Return of `EVP_AEAD_CTX_open`: 1 when `*out_len` bytes are in `out`.
#[uretprobe]
pub(crate) fn aead_open_exit(ctx: RetProbeContext) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(thread) = known_thread(bpf_get_current_pid_tgid()) else {
        return 0;
    };
    if thread.opening != OPENS {
        return 0;
    }
    thread.opening = 0;
    let call = thread.calls[SLOT_OPEN];
    if ctx.ret::<i32>() != 1 {
        return 0;
    }
    // SAFETY: bpf_probe_read_user checks the address.
    let Ok(len) = (unsafe { bpf_probe_read_user(call.done as *const u64) }) else {
        count(counters::LOST_FAULT, 1);
        return 0;
    };
    let n = if call.stack == TLS13_AD {
        inner(call.buffer, len)
    } else {
        len
    };
    if n == 0 {
        return 0;
    }
    let key = FlowKey::new(thread.process_start_ns, pid, call.handle);
    deliver(&key, thread, STACK_AWS_LC, DIRECTION_RECEIVED, call.buffer, n);
    0
}

#[inline(always)]
pub(crate) fn deliver(key: &FlowKey, thread: &mut Thread, stack: u8, direction: u8, buffer: u64, n: u64) {
    let plaintext = Plaintext {
        stack,
        direction,
        buffer,
        n,
        steps: TLS_RECORD,
        entered_ns: None,
    };
    flow::deliver(key, thread, &plaintext);
}

/// How many of the `len` bytes at `input` are application data; 0 for other records and other users of the AEAD.
#[inline(always)]
fn application_data(input: u64, len: u64, ad: u64, ad_len: u64) -> u64 {
    match ad_len {
        TLS13_AD => inner(input, len),
        TLS12_AD if type_in(ad) == APPLICATION_DATA => len,
        _ => 0,
    }
}

/// Bytes before the content type at the end of a TLS 1.3 inner plaintext of `len` bytes; 0 when it is not application
/// data. Padding (RFC 8446 section 5.4) is not used by rustls and would show as another type.
#[inline(always)]
pub(crate) fn inner(input: u64, len: u64) -> u64 {
    if len == 0 || len > MAX_RECORD || byte(input + len - 1) != APPLICATION_DATA {
        return 0;
    }
    len - 1
}

/// Content type in the additional data of TLS 1.2.
#[inline(always)]
fn type_in(ad: u64) -> u8 {
    byte(ad + 8)
}

#[inline(always)]
fn byte(address: u64) -> u8 {
    // SAFETY: bpf_probe_read_user checks the address.
    unsafe { bpf_probe_read_user(address as *const u8) }.unwrap_or(0)
}

/// Arguments seven to ten, which are on the stack above the return address (System V ABI for x86-64); on aarch64
/// the last two.
#[inline(always)]
fn stack_arguments(ctx: &ProbeContext) -> [u64; 4] {
    // SAFETY: the context's registers are readable.
    let stack = unsafe { stack_pointer(ctx) };
    #[cfg(bpf_target_arch = "aarch64")]
    {
        // SAFETY: bpf_probe_read_user checks the address.
        let last: [u64; 2] = unsafe { bpf_probe_read_user(stack as *const [u64; 2]) }.unwrap_or([0; 2]);
        [ctx.arg(6).unwrap_or(0), ctx.arg(7).unwrap_or(0), last[0], last[1]]
    }
    #[cfg(not(bpf_target_arch = "aarch64"))]
    // SAFETY: as above.
    unsafe { bpf_probe_read_user((stack + 8) as *const [u64; 4]) }.unwrap_or([0; 4])
}
