//! Enforcement: calls that connect, or send a first datagram, to an address that policy closes. Attached only where the
//! configuration switches it on. See `observer_common::enforce` for what has to hold; everything else lets the call through.

use aya_ebpf::{
    helpers::bpf_get_current_uid_gid,
    macros::{cgroup_sock_addr, map},
    maps::{Array, HashMap, LruHashMap},
    programs::SockAddrContext,
};
use observer_common::{
    counters,
    enforce::{
        CLASS_NOT_SEEN, DOORS_MAX, Door, GUARDED_MAX, PROCESSES_MAX, ProcessId, Pulse, QUIC_PORT, STOP_DENY,
        STOPS_MAX, Stop, StopKey, USERS_MAX,
    },
    wire::{ENFORCED_DENIED, ENFORCED_DRY_RUN, Enforced, KIND_ENFORCED, TRANSPORT_TCP, TRANSPORT_UDP},
};

use crate::{
    emit,
    maps::count,
    task::{now_ns, observed_pid, process_start_ns},
};

/// The daemon's word that it is there.
#[map]
static PULSE: Array<Pulse> = Array::with_max_entries(1, 0);

/// Guarded addresses, with the time until which (ns since boot). The daemon sets the sizes of these maps at load.
#[map]
static GUARDED: LruHashMap<[u8; 16], u64> = LruHashMap::with_max_entries(GUARDED_MAX, 0);

/// Ports that are always open.
#[map]
static DOORS: HashMap<Door, u32> = HashMap::with_max_entries(DOORS_MAX, 0);

/// Classes of users, by real user id.
#[map]
static USERS: LruHashMap<u32, u32> = LruHashMap::with_max_entries(USERS_MAX, 0);

/// Classes of processes.
#[map]
static PROCESSES: LruHashMap<ProcessId, u32> = LruHashMap::with_max_entries(PROCESSES_MAX, 0);

/// What is denied.
#[map]
static STOPS: LruHashMap<StopKey, Stop> = LruHashMap::with_max_entries(STOPS_MAX, 0);

/// What a program of this kind returns.
const ALLOW: i32 = 1;
const DENY: i32 = 0;

/// `connect(2)` to an IPv4 address, and TCP Fast Open.
#[cgroup_sock_addr(connect4)]
pub(crate) fn enforce_connect4(ctx: SockAddrContext) -> i32 {
    judge(&ctx, mapped(&ctx))
}

/// `connect(2)` to an IPv6 address, mapped ones included.
#[cgroup_sock_addr(connect6)]
pub(crate) fn enforce_connect6(ctx: SockAddrContext) -> i32 {
    judge(&ctx, full(&ctx))
}

/// `sendto(2)` and the like with an IPv4 address: datagrams of a socket that is not connected.
#[cgroup_sock_addr(sendmsg4)]
pub(crate) fn enforce_send4(ctx: SockAddrContext) -> i32 {
    judge(&ctx, mapped(&ctx))
}

/// As above with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub(crate) fn enforce_send6(ctx: SockAddrContext) -> i32 {
    judge(&ctx, full(&ctx))
}

/// The IPv4 address of the call, as mapped.
#[inline(always)]
fn mapped(ctx: &SockAddrContext) -> [u8; 16] {
    // SAFETY: a field of the context; the verifier checks the access. Volatile: only whole words may be read.
    let word = unsafe { core::ptr::read_volatile(&raw const (*ctx.sock_addr).user_ip4) };
    let [a, b, c, d] = word.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The IPv6 address of the call.
#[inline(always)]
fn full(ctx: &SockAddrContext) -> [u8; 16] {
    let mut address = [0; 16];
    for word in 0..4 {
        // SAFETY: as above.
        let value = unsafe { core::ptr::read_volatile(&raw const (*ctx.sock_addr).user_ip6[word]) };
        address[word * 4..word * 4 + 4].copy_from_slice(&value.to_ne_bytes());
    }
    address
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, address: [u8; 16]) -> i32 {
    // SAFETY: as above.
    let (port, protocol) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*ctx.sock_addr).user_port),
            core::ptr::read_volatile(&raw const (*ctx.sock_addr).protocol),
        )
    };
    let port = u16::from_be(port as u16);
    // The lowest byte of MPTCP's number (262) is that of TCP: it is one.
    let transport = protocol as u8;
    let now = now_ns();
    let Some(stop) = stop(&address, port, transport, now) else {
        return ALLOW;
    };
    let denied = stop.action == STOP_DENY;
    let body = Enforced {
        peer_address: address,
        rule: stop.rule,
        peer_port: port,
        transport,
        action: if denied { ENFORCED_DENIED } else { ENFORCED_DRY_RUN },
        pad: [0; 8],
    };
    emit::plain(KIND_ENFORCED, process_start_ns(), |_| (), &body);
    if denied {
        count(counters::CALLS_DENIED, 1);
    } else {
        count(counters::CALLS_DRY_RUN, 1);
    }
    if denied { DENY } else { ALLOW }
}

/// What is to be done with a call; `None`: nothing.
#[inline(always)]
fn stop(address: &[u8; 16], port: u16, transport: u8, now: u64) -> Option<Stop> {
    if PULSE.get(0)?.until_ns <= now {
        return None;
    }
    match transport {
        TRANSPORT_TCP => {}
        TRANSPORT_UDP if port == QUIC_PORT => {}
        _ => return None,
    }
    // SAFETY: values are copied at once.
    if unsafe { GUARDED.get(address).copied() }? <= now {
        return None;
    }
    let pid = observed_pid()?;
    if is_open(*address, port) || is_open([0; 16], port) {
        return None;
    }
    let uid = bpf_get_current_uid_gid() as u32;
    let process = ProcessId {
        start_ns: process_start_ns(),
        pid,
        pad: 0,
    };
    // SAFETY: as above.
    let key = unsafe {
        StopKey {
            address: *address,
            user: USERS.get(&uid).copied().unwrap_or(CLASS_NOT_SEEN),
            process: PROCESSES.get(&process).copied().unwrap_or(CLASS_NOT_SEEN),
        }
    };
    // SAFETY: as above.
    let stop = unsafe { STOPS.get(&key).copied() }?;
    (stop.until_ns > now).then_some(stop)
}

#[inline(always)]
fn is_open(address: [u8; 16], port: u16) -> bool {
    DOORS
        .get_ptr(&Door {
            address,
            port,
            pad: 0,
        })
        .is_some()
}
