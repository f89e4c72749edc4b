//! The AEAD of ring, which rustls calls for each TLS record, through its tables of algorithms. As with aws-lc, a key serves one direction
//! of one connection.
//!
//! The functions are Rust, whose calling convention nobody promises. So each call has to prove that its arguments are what they are taken for:
//! the additional data is that of a TLS record and states the length that the arguments have; and of an opened record the tag that was
//! computed is the one that stands behind it, which the peer sent. Other users of the AEAD (QUIC, files) have other additional data.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_common::{
    counters,
    maps::FlowKey,
    wire::{DIRECTION_RECEIVED, DIRECTION_SENT, STACK_RING},
};

use crate::{
    aead::{self, APPLICATION_DATA, SLOT_OPEN, TAG_LEN, TLS12_AD, TLS13_AD},
    maps::{Call, count},
    task::{known_thread, observed_pid, thread},
    tls::stack_pointer,
};

/// Values of `Thread::opening`.
const OPENS_TLS12: u32 = 2;
const OPENS_TLS13: u32 = 3;

/// A record of application data, before it is sealed or opened.
struct Record {
    key: u64,
    /// Where its text is, or will be.
    text: u64,
    /// Bytes of text, in TLS 1.3 with the content type at the end.
    len: u64,
    /// Where the tag is that came with it.
    tag: u64,
    is_tls13: bool,
}

/// `fn seal(key: &KeyInner, nonce: Nonce, aad: Aad<&[u8]>, in_out: &mut [u8], ..) -> Result<Tag, Unspecified>`. The text is overwritten by
/// what it is sealed to, so it is taken at entry.
#[uprobe]
pub(crate) fn ring_seal_enter(ctx: ProbeContext) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(record) = record(&ctx, false) else {
        return 0;
    };
    let n = if record.is_tls13 {
        aead::inner(record.text, record.len)
    } else {
        record.len
    };
    if n == 0 {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    let key = FlowKey::new(thread.process_start_ns, pid, record.key);
    aead::deliver(&key, thread, STACK_RING, DIRECTION_SENT, record.text, n);
    0
}

/// `fn open(key: &KeyInner, nonce: Nonce, aad: Aad<&[u8]>, in_out: &mut [u8], src: RangeFrom<usize>, ..) -> Result<Tag, Unspecified>`
#[uprobe]
pub(crate) fn ring_open_enter(ctx: ProbeContext) -> u32 {
    if observed_pid().is_none() {
        return 0;
    }
    let Some(record) = record(&ctx, true) else {
        return 0;
    };
    let Some(thread) = thread() else { return 0 };
    thread.calls[SLOT_OPEN] = Call {
        handle: record.key,
        buffer: record.text,
        done: ctx.arg(0).unwrap_or(0),
        // Not marked as active, so these two are nobody else's.
        stack_pointer: record.len,
        stack: record.tag,
        entered_ns: 0,
    };
    thread.opening = if record.is_tls13 { OPENS_TLS13 } else { OPENS_TLS12 };
    0
}

/// Return of the same function, with the address of its result.
#[uretprobe]
pub(crate) fn ring_open_exit(ctx: RetProbeContext) -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    let Some(thread) = known_thread(bpf_get_current_pid_tgid()) else {
        return 0;
    };
    let opening = thread.opening;
    if opening != OPENS_TLS13 && opening != OPENS_TLS12 {
        return 0;
    }
    thread.opening = 0;
    let call = thread.calls[SLOT_OPEN];
    if ctx.ret::<u64>() != call.done || !is_genuine(call.done, call.stack) {
        return 0;
    }
    let n = if opening == OPENS_TLS13 {
        aead::inner(call.buffer, call.stack_pointer)
    } else {
        call.stack_pointer
    };
    if n == 0 {
        return 0;
    }
    let key = FlowKey::new(thread.process_start_ns, pid, call.handle);
    aead::deliver(&key, thread, STACK_RING, DIRECTION_RECEIVED, call.buffer, n);
    0
}

/// The record that a call is for, when its arguments agree with each other.
#[inline(always)]
fn record(ctx: &ProbeContext, opens: bool) -> Option<Record> {
    let (ad, ad_len): (u64, u64) = (ctx.arg(3)?, ctx.arg(4)?);
    if ad_len != TLS13_AD && ad_len != TLS12_AD {
        return None;
    }
    let is_tls13 = ad_len == TLS13_AD;
    let in_out: u64 = ctx.arg(5)?;
    // SAFETY: the context's registers are readable; bpf_probe_read_user checks the address.
    let [all, from] = unsafe { bpf_probe_read_user((stack_pointer(ctx) + 8) as *const [u64; 2]) }.ok()?;
    let from = if opens { from } else { 0 };
    if all > aead::MAX_RECORD || from >= all {
        return None;
    }
    let len = all - from;
    // The additional data of TLS 1.3 is the header of the record; that of TLS 1.2 ends with the one it would have unsealed.
    // SAFETY: as above.
    let header = unsafe { bpf_probe_read_user((ad + ad_len - 5) as *const [u8; 5]) }.ok()?;
    let stated = u64::from(u16::from_be_bytes([header[3], header[4]]));
    let expected = if is_tls13 { len + TAG_LEN } else { len };
    if [header[0], header[1], header[2]] != [APPLICATION_DATA, 3, 3] || stated != expected {
        return None;
    }
    Some(Record {
        key: ctx.arg(1)?,
        text: in_out,
        len,
        tag: in_out + all,
        is_tls13,
    })
}

/// Whether `Ok` of the tag that stands at an address is the result: what was opened is what the peer sealed.
#[inline(always)]
fn is_genuine(result: u64, tag: u64) -> bool {
    // SAFETY: bpf_probe_read_user checks the addresses.
    let read = unsafe {
        (
            bpf_probe_read_user(result as *const u8),
            bpf_probe_read_user((result + 1) as *const [u64; 2]),
            bpf_probe_read_user(tag as *const [u64; 2]),
        )
    };
    match read {
        (Ok(0), Ok(computed), Ok(sent)) => computed[0] == sent[0] && computed[1] == sent[1],
        (Ok(_), Ok(_), Ok(_)) => false,
        _ => {
            count(counters::LOST_FAULT, 1);
            false
        }
    }
}
