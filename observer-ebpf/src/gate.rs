//! Scope gate: how much of a stream of plaintext is delivered, and its way into records with absolute offsets.

use aya_ebpf::helpers::bpf_probe_read_user;
use observer_common::{
    counters,
    maps::Gate,
    wire::{CLASS_AI, CLASS_OTHER, CLASS_UNDECIDED, Header, KIND_TLS_DATA, MAX_CHUNK, TlsData, is_of_key},
};

use crate::{
    emit,
    maps::{SCOPES, Thread, count, most_pieces, next_id, prefix_large, prefix_small},
    share,
    task::header,
};

/// Most whole pieces of a call that may hand over a body at once (4 MiB). The verifier walks each step, so the number is
/// what the call needs and no more.
pub(crate) const WHOLE_BODY: u32 = 256;
/// Most whole pieces of one buffer of a socket call (2 MiB).
pub(crate) const SOCKET_BUFFER: u32 = 128;
/// Most buffers of a socket call.
const SOCKET_BUFFERS: u32 = 4;
/// Most whole pieces of a call that handles one TLS record (at most 16 KiB of plaintext, RFC 8446 section 5.1).
pub(crate) const TLS_RECORD: u32 = 2;

/// Where the bytes of a call are in the process: one buffer, or a list of buffers (`struct iovec`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// Buffer in use.
    pub base: u64,
    /// Bytes left of it.
    pub len: u64,
    /// Next `struct iovec`.
    pub iov: u64,
    /// How many of them are left.
    pub iov_left: u64,
}

impl Source {
    /// One buffer.
    #[inline(always)]
    pub(crate) fn buffer(base: u64, len: u64) -> Self {
        Self {
            base,
            len,
            iov: 0,
            iov_left: 0,
        }
    }
}

/// Whether the first bytes sent are the start of a request that can have a body, or of HTTP/2.
#[inline(always)]
pub(crate) fn may_have_body(first: &[u8; 4]) -> bool {
    matches!(first, b"POST" | b"PUT " | b"PATC" | b"PRI ")
}

/// Whether these bytes begin an HTTP request.
#[inline(always)]
pub(crate) fn is_request(first: &[u8; 4]) -> bool {
    may_have_body(first) || matches!(first, b"GET " | b"HEAD" | b"DELE" | b"OPTI" | b"CONN")
}

/// A gate for a new stream.
#[inline(always)]
pub(crate) fn new_gate(stack: u8) -> Gate {
    // A key of an AEAD carries one direction: the answer does not show that the request had a body.
    let prefix = if is_of_key(stack) {
        prefix_large()
    } else {
        prefix_small()
    };
    Gate {
        id: next_id(),
        bytes: [0; 2],
        delivered: [0; 2],
        prefix: [prefix; 2],
        class: CLASS_UNDECIDED,
        stack: stack as u32,
    }
}

/// Moves the stream by `n` bytes and gives how many of them are to be delivered, by the class of the flow; the rest is
/// booked as skipped.
#[inline(always)]
pub(crate) fn pass(gate: &mut Gate, side: usize, n: u64) -> u64 {
    gate.bytes[side] += n;
    allowed(gate, side, n)
}

/// As [`pass`], for a stream whose bytes are counted already.
#[inline(always)]
pub(crate) fn allowed(gate: &mut Gate, side: usize, n: u64) -> u64 {
    if gate.class == CLASS_UNDECIDED
        // SAFETY: the value is copied at once.
        && let Some(class) = unsafe { SCOPES.get(&gate.id).copied() }
    {
        gate.class = class;
    }
    match gate.class {
        CLASS_AI if !share::allows(n) => 0,
        CLASS_AI => {
            count(counters::DELIVERED_AI_BYTES, n);
            n
        }
        CLASS_OTHER => {
            count(counters::SKIPPED_OTHER_BYTES, n);
            0
        }
        _ => {
            let left = gate.prefix[side].saturating_sub(gate.delivered[side]);
            let allowed = if n < left { n } else { left };
            if allowed > 0 && !share::allows(allowed) {
                return 0;
            }
            gate.delivered[side] += allowed;
            count(counters::DELIVERED_UNDECIDED_BYTES, allowed);
            count(counters::SKIPPED_PREFIX_BYTES, n - allowed);
            allowed
        }
    }
}

/// A delivery in progress. It is kept in the state of the thread, not on the stack: there is more room, and what the
/// verifier reads back from there is the same unknown number in each step, so that it need not follow every path.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Delivery {
    /// Header of the records.
    pub head: Header,
    /// Body of the next record, with its offset and the rest of the call's length.
    pub body: TlsData,
    /// Where the next bytes are.
    pub source: Source,
    /// Bytes still to be delivered.
    pub left: u64,
}

/// Plaintext of one call that its stream lets through.
pub(crate) struct Passed {
    /// Start of the process that the records are booked to.
    pub process_start_ns: u64,
    /// Connection that is known to carry it; 0: none yet.
    pub connection_id: u64,
    /// Handle of the TLS library; 0 where there is none.
    pub handle: u64,
    /// Where its first byte stands in its direction.
    pub offset: u64,
    /// Bytes of the call.
    pub n: u64,
    /// How many of them are to be delivered.
    pub allowed: u64,
    pub direction: u8,
    pub tie: u8,
    pub stack: u8,
    pub source: Source,
}

/// Makes the delivery of a call ready, in the state of the thread. The identifiers are written there afterwards, so that no second
/// header is on the stack.
#[inline(always)]
pub(crate) fn delivery<'t>(thread: &'t mut Thread, gate: &Gate, call: Passed) -> &'t mut Delivery {
    let delivery = thread.delivery.write(Delivery {
        head: header(KIND_TLS_DATA, call.process_start_ns),
        body: TlsData {
            handle: call.handle,
            offset: call.offset,
            call_len: call.n,
            len: 0,
            class: gate.class,
            direction: call.direction,
            tie: call.tie,
            stack: call.stack,
            pad: 0,
            took_us: 0,
        },
        source: call.source,
        left: call.allowed,
    });
    delivery.head.flow_id = gate.id;
    delivery.head.connection_id = call.connection_id;
    delivery
}

/// Cuts what is to be delivered of one buffer into records with absolute offsets: whole ones, at most `steps` and as many as this kernel's
/// verifier walks, and a rest.
#[inline(always)]
pub(crate) fn pieces(delivery: &mut Delivery, steps: u32) {
    for step in 0..steps {
        if rest(delivery) <= MAX_CHUNK as u64 || step >= most_pieces() {
            break;
        }
        advance(delivery, MAX_CHUNK as u64);
        emit::whole_piece(delivery);
    }
    let rest = rest(delivery);
    if rest > MAX_CHUNK as u64 {
        count(counters::LOST_CALL_TOO_LONG_BYTES, rest);
        return;
    }
    advance(delivery, rest);
    emit::piece(delivery, rest as u32);
}

/// As [`pieces`], over the buffers of a list.
#[inline(always)]
pub(crate) fn pieces_of_list(delivery: &mut Delivery) {
    for _ in 0..SOCKET_BUFFERS {
        if delivery.left == 0 {
            return;
        }
        if delivery.source.len == 0 && !next_buffer(&mut delivery.source) {
            count(counters::LOST_FAULT, 1);
            count(counters::LOST_FAULT_BYTES, delivery.left);
            return;
        }
        if delivery.source.len > 0 {
            pieces(delivery, SOCKET_BUFFER);
            delivery.source.len = 0;
        }
    }
    count(counters::LOST_CALL_TOO_LONG_BYTES, delivery.left);
}

/// Bytes of the current buffer that are to be delivered.
#[inline(always)]
fn rest(delivery: &Delivery) -> u64 {
    if delivery.source.len < delivery.left {
        delivery.source.len
    } else {
        delivery.left
    }
}

/// Moves past `n` bytes, which the next record delivers.
#[inline(always)]
fn advance(delivery: &mut Delivery, n: u64) {
    delivery.body.len = n as u32;
    delivery.body.offset += n;
    delivery.body.call_len -= n;
    delivery.source.base += n;
    delivery.source.len -= n;
    delivery.left -= n;
}

/// Goes on to the next buffer of a list; `false` when there is none or the list cannot be read.
#[inline(always)]
fn next_buffer(source: &mut Source) -> bool {
    if source.iov_left == 0 {
        return false;
    }
    // SAFETY: bpf_probe_read_user checks the address.
    let Ok([base, len]) = (unsafe { bpf_probe_read_user(source.iov as *const [u64; 2]) }) else {
        return false;
    };
    source.base = base;
    source.len = len;
    source.iov += 16;
    source.iov_left -= 1;
    true
}
