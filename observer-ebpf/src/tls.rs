//! TLS libraries with calls on a handle: OpenSSL, BoringSSL, GnuTLS, NSS. Plaintext of writes and reads, server names, end
//! of handles. One program for each shape of arguments and each stack, since older kernels have no probe cookies.
//!
//! Plaintext is taken at return, when it is known how much was really transferred: a refused write is retried with
//! the same bytes, a partial one is cut. The arguments are kept by thread and function, since one TLS call can run
//! inside another (Node writes inside a read), twice where a function can run inside itself (a proxy over TLS).

use aya_ebpf::{
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_common::{
    counters,
    maps::FlowKey,
    wire::{DIRECTION_RECEIVED, DIRECTION_SENT, STACK_BORINGSSL, STACK_GNUTLS, STACK_NSS, STACK_OPENSSL},
};

use crate::{
    flow::{self, Plaintext},
    gate::{TLS_RECORD, WHOLE_BODY},
    maps::{CALLS, Call, FUNCTIONS, Thread, count},
    task::{known_thread, now_ns, observed_pid, thread},
};

const SLOT_WRITE: usize = 0;
const SLOT_WRITE_EX: usize = 1;
const SLOT_READ: usize = 2;
const SLOT_READ_EX: usize = 3;
const _: () = assert!(SLOT_READ_EX < FUNCTIONS && CALLS.is_power_of_two());

/// `done` is no argument: the return value says how much was transferred.
const BY_RETURN: usize = usize::MAX;

/// A pair of programs: entry with the place of the argument that says where the number of bytes goes, and return.
macro_rules! calls {
    ($($(#[$meta:meta])* $enter:ident, $exit:ident: $slot:expr, $direction:expr, $done:expr, $stack:expr;)*) => {$(
        $(#[$meta])*
        #[uprobe]
        pub(crate) fn $enter(ctx: ProbeContext) -> u32 {
            enter(&ctx, $slot, $done, $stack)
        }

        /// Return of the same function.
        #[uretprobe]
        pub(crate) fn $exit(ctx: RetProbeContext) -> u32 {
            exit(&ctx, $slot, $direction, $stack)
        }
    )*};
}

calls! {
    /// `int SSL_write(SSL *ssl, const void *buf, int num)`: bytes written, or 0 and below when nothing was.
    ssl_write_enter, ssl_write_exit: SLOT_WRITE, DIRECTION_SENT, BY_RETURN, STACK_OPENSSL;
    /// `int SSL_read(SSL *ssl, void *buf, int num)`: bytes read, or 0 and below when nothing was.
    ssl_read_enter, ssl_read_exit: SLOT_READ, DIRECTION_RECEIVED, BY_RETURN, STACK_OPENSSL;
    /// `int SSL_write_ex(SSL *s, const void *buf, size_t num, size_t *written)`: above 0 when `*written` bytes were
    /// written. `ssl_write_internal` before OpenSSL 3.2 has the same arguments.
    ssl_write_ex_enter, ssl_write_ex_exit: SLOT_WRITE_EX, DIRECTION_SENT, 3, STACK_OPENSSL;
    /// `int ssl_write_internal(SSL *s, const void *buf, size_t num, uint64_t flags, size_t *written)`, OpenSSL 3.2.
    ssl_write_flags_enter, ssl_write_flags_exit: SLOT_WRITE_EX, DIRECTION_SENT, 4, STACK_OPENSSL;
    /// `int SSL_read_ex(SSL *ssl, void *buf, size_t num, size_t *readbytes)`, and `ssl_read_internal`.
    ssl_read_ex_enter, ssl_read_ex_exit: SLOT_READ_EX, DIRECTION_RECEIVED, 3, STACK_OPENSSL;
    /// `SSL_write` of BoringSSL.
    boringssl_write_enter, boringssl_write_exit: SLOT_WRITE, DIRECTION_SENT, BY_RETURN, STACK_BORINGSSL;
    /// `SSL_read` of BoringSSL.
    boringssl_read_enter, boringssl_read_exit: SLOT_READ, DIRECTION_RECEIVED, BY_RETURN, STACK_BORINGSSL;
    /// `ssize_t gnutls_record_send(gnutls_session_t session, const void *data, size_t data_size)`
    gnutls_send_enter, gnutls_send_exit: SLOT_WRITE, DIRECTION_SENT, BY_RETURN, STACK_GNUTLS;
    /// `ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t data_size)`
    gnutls_recv_enter, gnutls_recv_exit: SLOT_READ, DIRECTION_RECEIVED, BY_RETURN, STACK_GNUTLS;
}

/// `PRInt32 PR_Write(PRFileDesc *fd, const void *buf, PRInt32 amount)`: bytes written, or below 0. NSPR serves files with
/// it, too: only descriptors that `SSL_SetURL` made flows of are followed.
#[uprobe]
pub(crate) fn nspr_write_enter(ctx: ProbeContext) -> u32 {
    nspr_enter(&ctx, SLOT_WRITE)
}

/// Return of the same function.
#[uretprobe]
pub(crate) fn nspr_write_exit(ctx: RetProbeContext) -> u32 {
    nspr_exit(&ctx, SLOT_WRITE, DIRECTION_SENT)
}

/// `PRInt32 PR_Read(PRFileDesc *fd, void *buf, PRInt32 amount)`: bytes read, 0 at the end, or below 0.
#[uprobe]
pub(crate) fn nspr_read_enter(ctx: ProbeContext) -> u32 {
    nspr_enter(&ctx, SLOT_READ)
}

/// Return of the same function.
#[uretprobe]
pub(crate) fn nspr_read_exit(ctx: RetProbeContext) -> u32 {
    nspr_exit(&ctx, SLOT_READ, DIRECTION_RECEIVED)
}

/// `SECStatus SSL_SetURL(PRFileDesc *fd, const char *url)` of NSS: the server name.
#[uprobe]
pub(crate) fn nss_name_enter(ctx: ProbeContext) -> u32 {
    named(&ctx, 1, STACK_NSS)
}

#[inline(always)]
fn nspr_enter(ctx: &ProbeContext, slot: usize) -> u32 {
    let (Some(pid), Some(handle)) = (observed_pid(), ctx.arg(0)) else {
        return 0;
    };
    if flow::is_known(pid, handle) {
        enter(ctx, slot, BY_RETURN, STACK_NSS)
    } else {
        0
    }
}

/// Most calls are about files and have no entry: that is no loss.
#[inline(always)]
fn nspr_exit(ctx: &RetProbeContext, slot: usize, direction: u8) -> u32 {
    match known_thread(bpf_get_current_pid_tgid()) {
        Some(thread) if thread.active & (1 << slot) != 0 => exit(ctx, slot, direction, STACK_NSS),
        _ => 0,
    }
}

/// `long SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg)`; the macro `SSL_set_tlsext_host_name` is command 55.
#[uprobe]
pub(crate) fn ssl_ctrl_enter(ctx: ProbeContext) -> u32 {
    const SSL_CTRL_SET_TLSEXT_HOSTNAME: i32 = 55;
    if ctx.arg::<i32>(1) == Some(SSL_CTRL_SET_TLSEXT_HOSTNAME)
        && let (Some(handle), Some(name)) = (ctx.arg(0), ctx.arg(3))
    {
        flow::server_name(handle, name, STACK_OPENSSL);
    }
    0
}

/// `int SSL_set_tlsext_host_name(SSL *ssl, const char *name)` of BoringSSL.
#[uprobe]
pub(crate) fn boringssl_name_enter(ctx: ProbeContext) -> u32 {
    named(&ctx, 1, STACK_BORINGSSL)
}

/// `int gnutls_server_name_set(gnutls_session_t session, gnutls_server_name_type_t type, const void *name, size_t len)`:
/// the name of a client ends with NUL in all known callers; type 1 is a DNS name.
#[uprobe]
pub(crate) fn gnutls_name_enter(ctx: ProbeContext) -> u32 {
    const GNUTLS_NAME_DNS: i32 = 1;
    if ctx.arg::<i32>(1) == Some(GNUTLS_NAME_DNS) {
        named(&ctx, 2, STACK_GNUTLS)
    } else {
        0
    }
}

#[inline(always)]
fn named(ctx: &ProbeContext, name: usize, stack: u8) -> u32 {
    if let (Some(handle), Some(name)) = (ctx.arg(0), ctx.arg(name)) {
        flow::server_name(handle, name, stack);
    }
    0
}

/// `void SSL_free(SSL *ssl)`, `void gnutls_deinit(gnutls_session_t session)`, `PRStatus PR_Close(PRFileDesc *fd)`.
#[uprobe]
pub(crate) fn handle_free_enter(ctx: ProbeContext) -> u32 {
    if let (Some(pid), Some(handle)) = (observed_pid(), ctx.arg(0)) {
        flow::free(pid, handle);
    }
    0
}

/// Keeps the arguments of a call until it returns.
#[inline(always)]
fn enter(ctx: &ProbeContext, slot: usize, done: usize, stack: u8) -> u32 {
    if observed_pid().is_none() {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    let (Some(handle), Some(buffer)) = (ctx.arg(0), ctx.arg(1)) else {
        return 0;
    };
    let done = if done == BY_RETURN {
        0
    } else {
        ctx.arg(done).unwrap_or(0)
    };
    // SAFETY: the context's registers are readable.
    let stack_pointer = unsafe { stack_pointer(ctx) };
    let place = begins(thread, slot, stack_pointer);
    thread.calls[place] = Call {
        handle,
        buffer,
        done,
        stack_pointer,
        stack: u64::from(stack),
        // Of a read it is the end that counts.
        entered_ns: if slot == SLOT_WRITE || slot == SLOT_WRITE_EX {
            now_ns()
        } else {
            0
        },
    };
    0
}

/// Marks a call as in progress and gives its slot: the inner one while a call of the same function is further up the stack. One that is not
/// can never return.
#[inline(always)]
fn begins(thread: &mut Thread, slot: usize, stack_pointer: u64) -> usize {
    let is_inner = thread.active & (1 << slot) != 0 && stack_pointer < thread.calls[slot].stack_pointer;
    thread.active |= 1 << slot;
    if is_inner {
        thread.active |= 1 << (slot + FUNCTIONS);
        slot + FUNCTIONS
    } else {
        thread.active &= !(1 << (slot + FUNCTIONS));
        slot
    }
}

/// The slot of the call that returns, and whether there is one. The stack pointer of an inner call's return is not above that of the
/// outer's entry.
///
/// Without branches: verifiers before 6.6 walk all that follows once more for each.
#[inline(always)]
fn returns(thread: &mut Thread, slot: usize, stack_pointer: u64) -> (usize, bool) {
    let inner_active = thread.active >> (slot + FUNCTIONS) & 1;
    let below = (stack_pointer.wrapping_sub(thread.calls[slot].stack_pointer + RETURN_ADDRESS) >> 63) as u32;
    let place = (slot + ((inner_active & below) as usize * FUNCTIONS)) & (CALLS - 1);
    let was_active = thread.active >> place & 1 != 0;
    thread.active &= !(1 << place | 1 << (slot + FUNCTIONS));
    (place, was_active)
}

/// Bytes that a call itself has on the stack: its return has taken them off, but an inner call's has not.
#[cfg(not(bpf_target_arch = "aarch64"))]
const RETURN_ADDRESS: u64 = 8;
#[cfg(bpf_target_arch = "aarch64")]
const RETURN_ADDRESS: u64 = 0;

/// Delivers what a call transferred.
#[inline(always)]
fn exit(ctx: &RetProbeContext, slot: usize, direction: u8, stack: u8) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(thread) = known_thread(bpf_get_current_pid_tgid()) else {
        return 0;
    };
    // SAFETY: the context's registers are readable.
    let (place, was_active) = returns(thread, slot, unsafe { registers_stack_pointer(ctx.regs) });
    if !was_active {
        // Attached between entry and return, or the file carries the probe twice.
        count(counters::UNMATCHED_RETURN, 1);
        return 0;
    }
    let call = thread.calls[place];
    let n = transferred(ctx.ret::<i32>(), call.done);
    if n == 0 {
        return 0;
    }
    let key = FlowKey::new(thread.process_start_ns, pid, call.handle);
    let plaintext = Plaintext {
        stack,
        direction,
        buffer: call.buffer,
        n,
        // Reads give one record at most, and so does GnuTLS take one.
        steps: if direction == DIRECTION_RECEIVED || stack == STACK_GNUTLS {
            TLS_RECORD
        } else {
            WHOLE_BODY
        },
        entered_ns: if direction == DIRECTION_SENT {
            Some(call.entered_ns)
        } else {
            None
        },
    };
    flow::deliver(&key, thread, &plaintext);
    0
}

/// Bytes that a call transferred, from its return value and, for `*_ex`, from where it put the number.
#[inline(always)]
fn transferred(ret: i32, done: u64) -> u64 {
    if ret <= 0 {
        return 0;
    }
    if done == 0 {
        return ret as u64;
    }
    // SAFETY: bpf_probe_read_user checks the address.
    unsafe { bpf_probe_read_user(done as *const u64) }.unwrap_or(0)
}

/// # Safety
/// `ctx` must be the context of a running probe.
#[inline(always)]
pub(crate) unsafe fn stack_pointer(ctx: &ProbeContext) -> u64 {
    // SAFETY: by the caller.
    unsafe { registers_stack_pointer(ctx.regs) }
}

/// # Safety
/// `registers` must be those of the context of a running probe.
#[inline(always)]
unsafe fn registers_stack_pointer(registers: *mut pt_regs) -> u64 {
    #[cfg(bpf_target_arch = "aarch64")]
    // SAFETY: by the caller.
    return unsafe { (*registers).sp };
    #[cfg(not(bpf_target_arch = "aarch64"))]
    // SAFETY: by the caller.
    unsafe {
        (*registers).rsp
    }
}
