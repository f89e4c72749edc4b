//! Fair shares of the ring buffer: while it is more than half full, no process gets more than an eighth of it in a second. So a process
//! that floods it leaves room for the calls of all others. What is refused is a hole in its own flow, and counted.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::LruHashMap,
};
use observer_common::counters;

use crate::{
    maps::{RECORDS, count},
    task::now_ns,
};

/// Processes that delivered something while the ring was more than half full. Whoever is pushed out begins anew.
#[map]
static SHARES: LruHashMap<u32, Share> = LruHashMap::with_max_entries(4_096, 0);

/// What a process took of the ring.
#[repr(C)]
#[derive(Clone, Copy)]
struct Share {
    since_ns: u64,
    bytes: u64,
}

/// How long a share is for.
const SECOND_NS: u64 = 1_000_000_000;

/// Whether the current process may deliver `n` bytes more; books them when it may not.
///
/// A function of its own: the verifier walks it once for each caller, and not again for each of its outcomes.
#[inline(never)]
pub(crate) fn allows(n: u64) -> bool {
    let (waiting, size) = (
        RECORDS.query(u64::from(BPF_RB_AVAIL_DATA)),
        RECORDS.query(u64::from(BPF_RB_RING_SIZE)),
    );
    if waiting <= size / 2 || takes(n, size / 8) {
        return true;
    }
    count(counters::LOST_SHARE, 1);
    count(counters::LOST_SHARE_BYTES, n);
    false
}

/// Takes `n` bytes of the current process's share, if they are left in it.
#[inline(always)]
fn takes(n: u64, share: u64) -> bool {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let now = now_ns();
    let taken = match SHARES.get_ptr_mut(&pid) {
        // SAFETY: pointer into the map. Two threads of a process can read the same value and one of them then counts for nothing: a
        // share is no exact number.
        Some(entry) => unsafe { &mut *entry },
        None => {
            return SHARES
                .insert(
                    &pid,
                    &Share {
                        since_ns: now,
                        bytes: n,
                    },
                    0,
                )
                .is_ok();
        }
    };
    if now - taken.since_ns > SECOND_NS {
        *taken = Share {
            since_ns: now,
            bytes: 0,
        };
    }
    // What is longer than a share can begin one: a long prompt of a process that is otherwise quiet.
    if taken.bytes > 0 && taken.bytes + n > share {
        return false;
    }
    taken.bytes += n;
    true
}
