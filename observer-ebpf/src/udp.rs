//! UDP: QUIC connections, and the answers of name servers.

use aya_ebpf::helpers::bpf_probe_read_user;
use observer_common::wire::{AF_INET, AF_INET6, Connect, DIRECTION_RECEIVED, DIRECTION_SENT};

use crate::{
    emit,
    maps::NAME_ASKERS,
    net::{describe, enter_socket},
    syscall,
    task::process_start_ns,
};

const PORT_QUIC: u16 = 443;
const PORT_DNS: u16 = 53;

/// Start of a `struct sockaddr_in6`; a `struct sockaddr_in` has its address after the port.
#[repr(C)]
#[derive(Clone, Copy)]
struct SocketAddress {
    family: u16,
    port: u16,
    /// IPv4 address, or flow information.
    first: [u8; 4],
    address: [u8; 16],
}

/// A datagram of a socket that is not in the table. Gives the connection id of a new QUIC connection, else 0.
#[inline(never)]
pub(crate) fn transferred(socket: u64, n: u32, direction: u8, pid: u32) -> u64 {
    let Some(mut connect) = describe(socket, -1, 0) else {
        return 0;
    };
    let call = syscall::current();
    if connect.peer_port == 0 && !find_peer(socket, &mut connect, call.as_ref(), (direction, pid)) {
        return 0;
    }
    match (connect.peer_port, direction) {
        (PORT_QUIC, DIRECTION_SENT) => enter_socket(socket, &connect),
        (PORT_DNS, DIRECTION_RECEIVED) => {
            if let Some(source) = call.and_then(|c| c.source(u64::from(n)))
                && let Some(start) = first_buffer(&source)
            {
                emit::dns(process_start_ns(), start, n);
            }
            0
        }
        _ => 0,
    }
}

/// Enters the peer of a datagram of a socket that has none of its own; `false` where it is not known. What is sent names it. Who sent what is
/// received the kernel tells the program only after this: who asked a name server before is answered by it.
#[inline(always)]
fn find_peer(
    socket: u64,
    connect: &mut Connect,
    call: Option<&syscall::Call>,
    (direction, pid): (u8, u32),
) -> bool {
    if direction == DIRECTION_RECEIVED {
        connect.peer_port = PORT_DNS;
        // SAFETY: the value is copied at once.
        return unsafe { NAME_ASKERS.get(&socket).copied() } == Some(pid);
    }
    let is_named = call.is_some_and(|call| set_peer(connect, call.peer()));
    if is_named && connect.peer_port == PORT_DNS {
        let _ = NAME_ASKERS.insert(&socket, &pid, 0);
    }
    is_named
}

/// Enters the peer that the call names at this address; `false` where it names none.
///
/// A function of its own: it has its own stack.
#[inline(never)]
fn set_peer(connect: &mut Connect, address: u64) -> bool {
    if address == 0 {
        return false;
    }
    // A `struct sockaddr_in` is 16 bytes long: what is read behind it is not looked at.
    // SAFETY: bpf_probe_read_user checks the address.
    let Ok(peer) = (unsafe { bpf_probe_read_user(address as *const SocketAddress) }) else {
        return false;
    };
    connect.peer_port = u16::from_be(peer.port);
    connect.family = peer.family;
    match peer.family {
        AF_INET => {
            connect.peer_address = [0; 16];
            connect.peer_address[..4].copy_from_slice(&peer.first);
        }
        AF_INET6 => connect.peer_address = peer.address,
        _ => connect.peer_port = 0,
    }
    true
}

/// Where the message starts; an answer that is spread over several buffers is not followed.
#[inline(always)]
fn first_buffer(source: &crate::gate::Source) -> Option<u64> {
    if source.len > 0 {
        return Some(source.base);
    }
    // SAFETY: bpf_probe_read_user checks the address.
    unsafe { bpf_probe_read_user(source.iov as *const [u64; 2]) }
        .ok()
        .map(|[base, _]| base)
}
