//! TLS libraries with the OpenSSL interface: plaintext of writes and reads, server names, end of handles.
//!
//! Plaintext is taken at return, when it is known how much was really transferred: a refused write is retried with
//! the same bytes, a partial one is cut. The arguments are kept by thread and function, since one TLS call can run
//! inside another (Node writes inside a read).

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::{uprobe, uretprobe},
    maps::lpm_trie::Key,
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use observer_common::{
    counters,
    maps::{Flow, FlowKey, HOST_KEY_LEN},
    wire::{
        CLASS_AI, CLASS_OTHER, CLASS_UNDECIDED, DIRECTION_RECEIVED, DIRECTION_SENT, KIND_TLS_DATA,
        KIND_TLS_FREE, KIND_TLS_NAME, MAX_CHUNK, TIE_NONE, TlsData, TlsFree,
    },
};

use crate::{
    emit,
    maps::{CALLS, Call, FLOWS, HOSTS, SCOPES, count, next_id, prefix_large, prefix_small},
    task::{header, known_thread, observed_pid, process_start_ns, thread},
};

/// Most full pieces of one call (4 MiB with `MAX_CHUNK`); the verifier walks the loop, so it must end.
const MAX_PIECES: u64 = 256;

const SLOT_WRITE: usize = 0;
const SLOT_WRITE_EX: usize = 1;
const SLOT_READ: usize = 2;
const SLOT_READ_EX: usize = 3;
const _: () = assert!(SLOT_READ_EX < CALLS);

/// `int SSL_write(SSL *ssl, const void *buf, int num)`
#[uprobe]
pub(crate) fn ssl_write_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, SLOT_WRITE, false)
}

/// Return of `SSL_write`: bytes written, or 0 and below when nothing was.
#[uretprobe]
pub(crate) fn ssl_write_exit(ctx: RetProbeContext) -> u32 {
    exit(&ctx, SLOT_WRITE, DIRECTION_SENT)
}

/// `int SSL_write_ex(SSL *s, const void *buf, size_t num, size_t *written)`
#[uprobe]
pub(crate) fn ssl_write_ex_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, SLOT_WRITE_EX, true)
}

/// Return of `SSL_write_ex`: 1 when `*written` bytes were written.
#[uretprobe]
pub(crate) fn ssl_write_ex_exit(ctx: RetProbeContext) -> u32 {
    exit(&ctx, SLOT_WRITE_EX, DIRECTION_SENT)
}

/// `int SSL_read(SSL *ssl, void *buf, int num)`
#[uprobe]
pub(crate) fn ssl_read_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, SLOT_READ, false)
}

/// Return of `SSL_read`: bytes read, or 0 and below when nothing was.
#[uretprobe]
pub(crate) fn ssl_read_exit(ctx: RetProbeContext) -> u32 {
    exit(&ctx, SLOT_READ, DIRECTION_RECEIVED)
}

/// `int SSL_read_ex(SSL *ssl, void *buf, size_t num, size_t *readbytes)`
#[uprobe]
pub(crate) fn ssl_read_ex_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, SLOT_READ_EX, true)
}

/// Return of `SSL_read_ex`: 1 when `*readbytes` bytes were read.
#[uretprobe]
pub(crate) fn ssl_read_ex_exit(ctx: RetProbeContext) -> u32 {
    exit(&ctx, SLOT_READ_EX, DIRECTION_RECEIVED)
}

/// `long SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg)`; the macro `SSL_set_tlsext_host_name` is command 55.
#[uprobe]
pub(crate) fn ssl_ctrl_enter(ctx: ProbeContext) -> u32 {
    const SSL_CTRL_SET_TLSEXT_HOSTNAME: i32 = 55;
    if ctx.arg::<i32>(1) == Some(SSL_CTRL_SET_TLSEXT_HOSTNAME)
        && let (Some(handle), Some(name)) = (ctx.arg(0), ctx.arg(3))
    {
        server_name(handle, name);
        debug!(&ctx, "tls handle {:x}: server name set", handle);
    }
    0
}

/// `void SSL_free(SSL *ssl)`
#[uprobe]
pub(crate) fn ssl_free_enter(ctx: ProbeContext) -> u32 {
    if let (Some(pid), Some(handle)) = (observed_pid(), ctx.arg(0)) {
        free(pid, handle);
        debug!(&ctx, "tls handle {:x}: freed", handle);
    }
    0
}

/// Keeps the arguments of a call until it returns.
#[inline(always)]
fn enter(ctx: &ProbeContext, slot: usize, with_done: bool) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(thread) = thread() else { return 0 };
    let (Some(handle), Some(buffer)) = (ctx.arg(0), ctx.arg(1)) else {
        return 0;
    };
    let done = if with_done { ctx.arg(3).unwrap_or(0) } else { 0 };
    // SAFETY: the context's registers are readable.
    let stack = unsafe { stack_pointer(ctx) };
    thread.calls[slot] = Call {
        handle,
        buffer,
        done,
        stack,
    };
    thread.active |= 1 << slot;
    flow(&FlowKey {
        process_start_ns: thread.process_start_ns,
        handle,
        pid,
        pad: 0,
    });
    0
}

/// Delivers what a call transferred.
#[inline(always)]
fn exit(ctx: &RetProbeContext, slot: usize, direction: u8) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(thread) = known_thread(bpf_get_current_pid_tgid()) else {
        return 0;
    };
    if thread.active & (1 << slot) == 0 {
        // Attached between entry and return, or the file carries the probe twice.
        count(counters::UNMATCHED_RETURN, 1);
        return 0;
    }
    thread.active &= !(1 << slot);
    let call = thread.calls[slot];
    let n = transferred(ctx.ret::<i32>(), call.done);
    if n == 0 {
        return 0;
    }
    let key = FlowKey {
        process_start_ns: thread.process_start_ns,
        handle: call.handle,
        pid,
        pad: 0,
    };
    let Some(flow) = flow(&key) else { return 0 };
    if flow.socket == 0 && direction == DIRECTION_SENT {
        thread.untied_handle = call.handle;
    }
    deliver(flow, &key, direction, call.buffer, n);
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

/// State of a flow, made when it is new; `None` when the table is full (counted).
#[inline(always)]
fn flow(key: &FlowKey) -> Option<&'static mut Flow> {
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: a TLS handle is used by one thread at a time.
        return Some(unsafe { &mut *flow });
    }
    let new = Flow {
        id: next_id(),
        bytes: [0; 2],
        delivered: [0; 2],
        prefix: prefix_small(),
        socket: 0,
        connection_id: 0,
        class: CLASS_UNDECIDED,
        tie: u32::from(TIE_NONE),
    };
    if FLOWS.insert(key, &new, 0).is_err() {
        count(counters::LOST_FLOWS_FULL, 1);
        return None;
    }
    // SAFETY: as above.
    FLOWS.get_ptr_mut(key).map(|f| unsafe { &mut *f })
}

/// Delivers `n` bytes at `buffer` as far as the class of the flow allows, and moves the stream offset by all of them.
#[inline(always)]
fn deliver(flow: &mut Flow, key: &FlowKey, direction: u8, buffer: u64, n: u64) {
    let side = (direction & 1) as usize;
    let offset = flow.bytes[side];
    if offset == 0 && direction == DIRECTION_SENT && begins_with_body_request(buffer) {
        flow.prefix = prefix_large();
    }
    flow.bytes[side] = offset + n;
    let allowed = allowed(flow, side, n);
    if allowed == 0 {
        return;
    }
    let mut head = header(KIND_TLS_DATA, key.process_start_ns);
    head.flow_id = flow.id;
    head.connection_id = flow.connection_id;
    let body = TlsData {
        handle: key.handle,
        offset,
        call_len: n,
        len: 0,
        class: flow.class,
        direction,
        tie: flow.tie as u8,
        pad: [0; 6],
    };
    pieces(head, body, buffer, allowed);
}

/// How many of `n` bytes are delivered, by the class of the flow; the rest is booked as skipped.
#[inline(always)]
fn allowed(flow: &mut Flow, side: usize, n: u64) -> u64 {
    if flow.class == CLASS_UNDECIDED
        // SAFETY: the value is copied at once.
        && let Some(class) = unsafe { SCOPES.get(&flow.id).copied() }
    {
        flow.class = class;
    }
    match flow.class {
        CLASS_AI => {
            count(counters::DELIVERED_AI_BYTES, n);
            n
        }
        CLASS_OTHER => {
            count(counters::SKIPPED_OTHER_BYTES, n);
            0
        }
        _ => {
            let left = flow.prefix.saturating_sub(flow.delivered[side]);
            let allowed = if n < left { n } else { left };
            flow.delivered[side] += allowed;
            count(counters::DELIVERED_UNDECIDED_BYTES, allowed);
            count(counters::SKIPPED_PREFIX_BYTES, n - allowed);
            allowed
        }
    }
}

/// Cuts `allowed` bytes into records with absolute offsets.
#[inline(always)]
fn pieces(head: observer_common::wire::Header, mut body: TlsData, buffer: u64, allowed: u64) {
    let (start, whole) = (body.offset, body.call_len);
    let mut at = 0u64;
    for _ in 0..MAX_PIECES {
        if allowed - at <= MAX_CHUNK as u64 {
            break;
        }
        body.offset = start + at;
        body.call_len = whole - at;
        body.len = MAX_CHUNK as u32;
        emit::piece(head, body, buffer + at);
        at += MAX_CHUNK as u64;
    }
    let rest = allowed - at;
    if rest > MAX_CHUNK as u64 {
        count(counters::LOST_CALL_TOO_LONG_BYTES, rest);
        return;
    }
    body.offset = start + at;
    body.call_len = whole - at;
    body.len = rest as u32;
    emit::piece(head, body, buffer + at);
}

/// Whether the first bytes sent are the start of a request that can have a body, or of HTTP/2.
#[inline(always)]
fn begins_with_body_request(buffer: u64) -> bool {
    // SAFETY: bpf_probe_read_user checks the address.
    match unsafe { bpf_probe_read_user(buffer as *const [u8; 4]) } {
        Ok(first) => matches!(&first, b"POST" | b"PUT " | b"PATC" | b"PRI "),
        Err(_) => false,
    }
}

#[inline(always)]
fn server_name(handle: u64, name: u64) {
    let Some(pid) = observed_pid() else { return };
    let key = FlowKey {
        process_start_ns: process_start_ns(),
        handle,
        pid,
        pad: 0,
    };
    let Some(flow) = flow(&key) else { return };
    let mut head = header(KIND_TLS_NAME, key.process_start_ns);
    head.flow_id = flow.id;
    if let Some(class) = emit::name(head, handle, name, host_class)
        && flow.class == CLASS_UNDECIDED
    {
        flow.class = class;
    }
}

/// Looks a host name up in the catalogue: reversed, in lower case, and ended by NUL, so that one longest-prefix look-up
/// finds exact names and suffixes.
#[inline(always)]
fn host_class(name: *const u8, len: u32) -> u32 {
    if len as usize >= HOST_KEY_LEN {
        return CLASS_UNDECIDED;
    }
    let mut data = [0u8; HOST_KEY_LEN];
    for (i, slot) in data.iter_mut().enumerate() {
        if i as u32 >= len {
            break;
        }
        // The mask is for the verifier: len is below HOST_KEY_LEN here.
        let from = (len as usize - 1 - i) & (emit::NAME_ROOM - 1);
        // SAFETY: `name` has NAME_ROOM bytes and `from` is below that.
        *slot = unsafe { *name.add(from) }.to_ascii_lowercase();
    }
    HOSTS
        .get(&Key::new((len + 1) * 8, data))
        .copied()
        .unwrap_or(CLASS_UNDECIDED)
}

#[inline(always)]
fn free(pid: u32, handle: u64) {
    let key = FlowKey {
        process_start_ns: process_start_ns(),
        handle,
        pid,
        pad: 0,
    };
    // SAFETY: the value is copied at once.
    let Some(flow) = (unsafe { FLOWS.get(&key).copied() }) else {
        return;
    };
    let _ = FLOWS.remove(&key);
    let mut head = header(KIND_TLS_FREE, key.process_start_ns);
    head.flow_id = flow.id;
    head.connection_id = flow.connection_id;
    let (sent, received) = (flow.bytes[0], flow.bytes[1]);
    emit::plain(
        head,
        TlsFree {
            handle,
            sent,
            received,
            class: flow.class,
            tie: flow.tie,
        },
    );
}

/// # Safety
/// `ctx` must be the context of a running probe.
#[inline(always)]
unsafe fn stack_pointer(ctx: &ProbeContext) -> u64 {
    #[cfg(bpf_target_arch = "aarch64")]
    // SAFETY: by the caller.
    return unsafe { (*ctx.regs).sp };
    #[cfg(not(bpf_target_arch = "aarch64"))]
    // SAFETY: by the caller.
    unsafe {
        (*ctx.regs).rsp
    }
}
