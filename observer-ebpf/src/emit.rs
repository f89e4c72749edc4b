//! The only door to the ring buffer: reserve, fill, submit, and count what was refused.
//!
//! Records with payload are reserved in steps of size, since the verifier wants a constant: a record takes at most
//! twice its payload, never the worst case.

use core::mem::{MaybeUninit, size_of};

use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_probe_read_user_str};
use observer_common::{
    counters,
    wire::{Dns, Header, KIND_DNS, MAX_CHUNK, MAX_DNS, MAX_NAME_LEN, TlsData, TlsName},
};

use crate::{
    gate::Delivery,
    maps::{RECORDS, count},
    task::write_header,
};

/// A record without payload.
#[repr(C)]
struct Plain<B> {
    header: Header,
    body: B,
}

/// A record with room for `N` payload bytes.
#[repr(C, align(8))]
struct WithPayload<B, const N: usize> {
    header: Header,
    body: B,
    payload: [MaybeUninit<u8>; N],
}

/// Emits a record that is header and body only. It is put together where it stays, with as little stack as can be; `says` adds to the
/// header what the record is about.
#[inline(always)]
pub(crate) fn plain<B: Copy + 'static>(
    kind: u16,
    process_start_ns: u64,
    says: impl FnOnce(&mut Header),
    body: &B,
) -> bool {
    let Some(mut entry) = RECORDS.reserve::<Plain<B>>(0) else {
        count(counters::LOST_RING, 1);
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to a reservation of the right size, all of which is written.
    unsafe {
        write_header(&raw mut (*record).header, kind, process_start_ns);
        says(&mut (*record).header);
        (&raw mut (*record).body).write(*body);
    }
    entry.submit(0);
    count(counters::RECORDS, 1);
    true
}

/// Emits a record with `len` payload bytes read from `source` in the current process.
#[inline(always)]
fn with_payload<B: Copy + 'static, const N: usize>(
    put_header: impl FnOnce(*mut Header),
    body: &B,
    source: u64,
    len: u32,
) -> bool {
    let Some(mut entry) = RECORDS.reserve::<WithPayload<B, N>>(0) else {
        count(counters::LOST_RING, 1);
        count(counters::LOST_RING_BYTES, u64::from(len));
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to a reservation of the right size; the payload is written by the helper, which gets a
    // length that is checked against N right here, where the verifier sees it.
    let read = unsafe {
        put_header(&raw mut (*record).header);
        (&raw mut (*record).body).write(*body);
        let len = if len as usize > N { N as u32 } else { len };
        bpf_probe_read_user((&raw mut (*record).payload).cast(), len, source as *const _)
    };
    if read != 0 {
        entry.discard(0);
        count(counters::LOST_FAULT, 1);
        count(counters::LOST_FAULT_BYTES, u64::from(len));
        return false;
    }
    entry.submit(0);
    count(counters::RECORDS, 1);
    true
}

/// Emits the piece of plaintext of `len` bytes, at most [`MAX_CHUNK`], that a delivery has just moved past.
#[inline(always)]
pub(crate) fn piece(delivery: &Delivery, len: u32) -> bool {
    if len as usize > 8192 {
        plaintext::<MAX_CHUNK>(delivery, len)
    } else if len > 4096 {
        plaintext::<8192>(delivery, len)
    } else if len > 2048 {
        plaintext::<4096>(delivery, len)
    } else if len > 1024 {
        plaintext::<2048>(delivery, len)
    } else if len > 384 {
        plaintext::<1024>(delivery, len)
    } else {
        plaintext::<384>(delivery, len)
    }
}

/// Emits a piece of [`MAX_CHUNK`] bytes that a delivery has just moved past.
///
/// A function of its own: behind its return the verifiers of older kernels see one state, and not another path for each of its outcomes.
#[inline(never)]
pub(crate) fn whole_piece(delivery: &Delivery) -> bool {
    plaintext::<MAX_CHUNK>(delivery, MAX_CHUNK as u32)
}

#[inline(always)]
fn plaintext<const N: usize>(delivery: &Delivery, len: u32) -> bool {
    let n = u64::from(len);
    let body = TlsData {
        offset: delivery.body.offset - n,
        call_len: delivery.body.call_len + n,
        ..delivery.body
    };
    // SAFETY: the place is that of a header.
    let head = |at: *mut Header| unsafe { at.write(delivery.head) };
    with_payload::<TlsData, N>(head, &body, delivery.source.base - n, len)
}

const _: () =
    assert!(size_of::<WithPayload<TlsData, MAX_CHUNK>>() == Header::SIZE + TlsData::SIZE + MAX_CHUNK);

/// Emits the first bytes of a DNS message of `message_len` bytes at `source` in the current process.
#[inline(always)]
pub(crate) fn dns(process_start_ns: u64, source: u64, message_len: u32) -> bool {
    let len = if message_len as usize > MAX_DNS {
        MAX_DNS as u32
    } else {
        message_len
    };
    // SAFETY: the place is that of a header.
    let head = |at: *mut Header| unsafe { write_header(at, KIND_DNS, process_start_ns) };
    with_payload::<Dns, MAX_DNS>(head, &Dns { len, message_len }, source, len)
}

/// Room for a server name and its terminating NUL.
pub(crate) const NAME_ROOM: usize = MAX_NAME_LEN + 1;

/// Emits the server name at `source` in the current process; `classify` sees the name first and gives its class.
/// Gives that class, or `None` when there was no room or the name could not be read.
#[inline(always)]
pub(crate) fn name(
    header: Header,
    handle: u64,
    source: u64,
    classify: impl FnOnce(*const u8, u32) -> u32,
) -> Option<u32> {
    let Some(mut entry) = RECORDS.reserve::<WithPayload<TlsName, NAME_ROOM>>(0) else {
        count(counters::LOST_RING, 1);
        return None;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to a reservation of the right size, of which the helper fills at most NAME_ROOM bytes.
    let read = unsafe {
        (&raw mut (*record).header).write(header);
        bpf_probe_read_user_str(
            (&raw mut (*record).payload).cast(),
            NAME_ROOM as u32,
            source as *const _,
        )
    };
    if read <= 1 || read > NAME_ROOM as i64 {
        entry.discard(0);
        count(counters::LOST_FAULT, 1);
        return None;
    }
    let len = read as u32 - 1;
    // SAFETY: as above; the payload was just written.
    let class = unsafe {
        let class = classify((&raw const (*record).payload).cast(), len);
        (&raw mut (*record).body).write(TlsName { handle, len, class });
        class
    };
    entry.submit(0);
    count(counters::RECORDS, 1);
    Some(class)
}
