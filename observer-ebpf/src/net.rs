//! Sockets: which process connects to where or accepts from where, what its socket calls transfer, and plaintext that
//! crosses a socket without TLS.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use observer_common::{
    counters,
    maps::{SOCKET_ACCEPTED, SOCKET_DATAGRAM, SOCKET_OPENED, SOCKET_QUIET, Socket},
    wire::{
        AF_INET, AF_INET6, AF_UNIX, CLASS_OTHER, CLASS_UNDECIDED, CLOSE_WAS_ESTABLISHED, CONNECT_ACCEPTED,
        CONNECT_EXISTING, Close, Connect, DIRECTION_RECEIVED, DIRECTION_SENT, Established, Header,
        KIND_CLOSE, KIND_CONNECT, KIND_ESTABLISHED, STACK_SOCKET, TIE_SOCKET, TRANSPORT_TCP, TRANSPORT_UDP,
        TRANSPORT_UNIX,
    },
};

use crate::{
    emit,
    gate::{self, Passed},
    maps::{SOCKETS, count, offsets, prefix_large, prefix_small, served_calls},
    process::read_arg,
    syscall,
    task::{field, known_thread, observed_pid, parent_pid, process_start_ns, thread},
    tie, udp,
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;

/// The call leaves what it receives for the next one (recv(2)).
const MSG_PEEK: i32 = 2;

/// Most bytes of a TLS handshake that are delivered: a ClientHello with post-quantum keys is about 2 KiB.
const HELLO_PREFIX: u64 = 8 * 1024;

/// `sys_enter_connect`: fd 16, uservaddr 24, addrlen 32.
#[tracepoint(category = "syscalls", name = "sys_enter_connect")]
pub(crate) fn connect_enter(ctx: TracePointContext) -> u32 {
    if observed_pid().is_some()
        && let Some(thread) = thread()
    {
        // SAFETY: offset of `fd` in the tracepoint's format.
        thread.connect_fd = (unsafe { read_arg(&ctx, 16) } as u32).wrapping_add(1);
    }
    0
}

/// `sys_exit_connect`: the descriptor is of no use any more.
#[tracepoint(category = "syscalls", name = "sys_exit_connect")]
pub(crate) fn connect_exit(_ctx: TracePointContext) -> u32 {
    if let Some(thread) = known_thread(bpf_get_current_pid_tgid()) {
        thread.connect_fd = 0;
    }
    0
}

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub(crate) fn socket_state(ctx: RawTracePointContext) -> i32 {
    let socket: u64 = ctx.arg(0);
    match ctx.arg::<i32>(2) {
        TCP_SYN_SENT => connecting(socket),
        TCP_ESTABLISHED if ctx.arg::<i32>(1) == TCP_SYN_RECV => {
            accepted(socket);
        }
        TCP_ESTABLISHED => established(socket),
        TCP_CLOSE => {
            closed(socket);
        }
        _ => {}
    }
    0
}

/// The same, of connections that a process made. It is a program of its own since `socket_state` has no room left on its stack, and
/// attached only where calls are read that processes answer. It does not matter which of the two runs first.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub(crate) fn socket_established(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<i32>(1) == TCP_SYN_SENT && ctx.arg::<i32>(2) == TCP_ESTABLISHED {
        says_its_end(ctx.arg(0));
    }
    0
}

/// `sock_send_length(struct sock *sk, int ret, int flags)`, Linux 6.3 and later.
#[raw_tracepoint(tracepoint = "sock_send_length")]
pub(crate) fn socket_send(ctx: RawTracePointContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(1), DIRECTION_SENT, 0);
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`, Linux 6.3 and later.
#[raw_tracepoint(tracepoint = "sock_recv_length")]
pub(crate) fn socket_receive(ctx: RawTracePointContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(1), DIRECTION_RECEIVED, ctx.arg(2));
    0
}

/// Runs in the process that connects.
#[inline(always)]
fn connecting(socket: u64) {
    if observed_pid().is_none() {
        return;
    }
    let fd = match known_thread(bpf_get_current_pid_tgid()) {
        Some(t) if t.connect_fd != 0 => t.connect_fd as i32 - 1,
        _ => -1,
    };
    new_socket(socket, fd, 0);
}

/// May run in any context: only the entry counts. The local port is known now and gone when the socket is closed.
#[inline(always)]
fn established(socket: u64) {
    if let Some(entry) = SOCKETS.get_ptr_mut(&socket) {
        // SAFETY: pointer into the map; a socket changes its state under its lock.
        unsafe {
            (*entry).flags |= CLOSE_WAS_ESTABLISHED;
            (*entry).local_port = u32::from(field::<u16>(socket, offsets().sock_num));
        }
    }
}

/// Reports this end of a connection: the process at the other end may be on this host, too, and its calls are the same.
#[inline(always)]
fn says_its_end(socket: u64) {
    // SAFETY: the value is copied at once.
    let Some(entry) = (unsafe { SOCKETS.get(&socket).copied() }) else {
        return;
    };
    let Some(connect) = describe(socket, -1, 0) else {
        return;
    };
    let body = Established {
        local_address: connect.local_address,
        family: connect.family,
        local_port: connect.local_port,
        pad: [0; 4],
    };
    let says = |head: &mut Header| of_socket(head, &entry);
    emit::plain(KIND_ESTABLISHED, entry.process_start_ns, says, &body);
}

/// Of a record about a socket that may be written in any context.
#[inline(always)]
fn of_socket(head: &mut Header, entry: &Socket) {
    head.pid = entry.pid;
    head.tid = entry.pid;
    head.connection_id = entry.gate.id;
}

/// Runs where the packet arrived: which process serves it shows with its first call.
#[inline(never)]
fn accepted(socket: u64) -> bool {
    let mut entry = new_entry();
    entry.state = SOCKET_ACCEPTED;
    entry.flags = CLOSE_WAS_ESTABLISHED;
    entry.local_port = u32::from(field::<u16>(socket, offsets().sock_num));
    let is_there = SOCKETS.insert(&socket, &entry, 0).is_ok();
    if !is_there {
        count(counters::LOST_SOCKETS_FULL, 1);
    }
    is_there
}

/// May run in any context: process and totals come from the entry, not from the current task.
#[inline(never)]
fn closed(socket: u64) -> bool {
    // SAFETY: pointer into the map; nobody uses the socket any more.
    let Some(entry) = SOCKETS.get_ptr(&socket).map(|entry| unsafe { &*entry }) else {
        return false;
    };
    let close = Close {
        sent: entry.gate.bytes[0],
        received: entry.gate.bytes[1],
        flags: entry.flags,
        local_port: entry.local_port,
    };
    let says = |head: &mut Header| of_socket(head, entry);
    let told = entry.pid != 0 && emit::plain(KIND_CLOSE, entry.process_start_ns, says, &close);
    // Afterwards: a copy of it has no room on the stack.
    let _ = SOCKETS.remove(&socket);
    told
}

/// Books the bytes of a socket call, ties the socket to the TLS handle in use on this thread, and delivers what crosses
/// the socket in clear.
#[inline(always)]
fn transferred(socket: u64, ret: i32, direction: u8, flags: i32) {
    let Some(pid) = observed_pid() else { return };
    let peeks = flags & MSG_PEEK != 0;
    if ret > 0 && !peeks && !is_entered(socket, pid) {
        // Functions of their own, one after the other: kernels before 6.13 add the stacks of all that is running, to 512 bytes.
        if is_udp(socket) {
            udp::transferred(socket, ret as u32, direction, pid);
        } else {
            unknown_socket(socket, ret as u32, direction);
        }
    }
    if !peeks
        && let Some((entry, offset)) = book(socket, ret, direction, pid)
        && entry.state & SOCKET_QUIET == 0
        && entry.pid == pid
    {
        in_clear(entry, offset, ret as u64, direction);
    }
    used(socket, ret, direction);
}

/// Whether the table has this socket. The end of a datagram socket is not told, so its address may be another's by now.
#[inline(always)]
fn is_entered(socket: u64, pid: u32) -> bool {
    // SAFETY: pointer into the map; the fields read here are written once.
    let Some(entry) = SOCKETS.get_ptr(&socket).map(|entry| unsafe { &*entry }) else {
        return false;
    };
    if entry.state & SOCKET_DATAGRAM == 0 {
        return true;
    }
    let is_same = entry.pid == pid && entry.local_port == u32::from(field::<u16>(socket, offsets().sock_num));
    if !is_same {
        let _ = SOCKETS.remove(&socket);
    }
    is_same
}

/// As [`transferred`] without a look at what crosses the socket, for kernels whose verifier would not come to its end with it. Of
/// connections that are older than the programs nothing is booked.
#[inline(always)]
pub(crate) fn booked(socket: u64, ret: i32, direction: u8, flags: i32) {
    let Some(pid) = observed_pid() else { return };
    if flags & MSG_PEEK == 0 {
        let _ = book(socket, ret, direction, pid);
    }
    used(socket, ret, direction);
}

/// Ties the socket to the TLS handle in use on this thread.
#[inline(never)]
fn used(socket: u64, ret: i32, direction: u8) -> u32 {
    tie::socket_used(socket, ret, direction == DIRECTION_SENT);
    u32::from(direction)
}

/// Books the bytes of a call on a socket that is known; gives it, and where they stand in their direction, when there are any.
#[inline(always)]
fn book(socket: u64, ret: i32, direction: u8, pid: u32) -> Option<(&'static mut Socket, u64)> {
    // SAFETY: pointer into the map; a socket's calls in one direction are serialised by its lock.
    let entry = SOCKETS.get_ptr_mut(&socket).map(|entry| unsafe { &mut *entry })?;
    if entry.pid == 0 {
        takes_over(socket, entry, pid);
    }
    if ret <= 0 {
        return None;
    }
    let side = (direction & 1) as usize;
    let offset = entry.gate.bytes[side];
    entry.gate.bytes[side] = offset + ret as u64;
    Some((entry, offset))
}

/// A process uses a socket that another one made, or that was accepted: a server's worker, a child. The first one that
/// uses it is the one that it is booked to.
#[inline(never)]
fn takes_over(socket: u64, entry: &mut Socket, pid: u32) -> u32 {
    let Some(connect) = describe(socket, -1, CONNECT_ACCEPTED) else {
        return 0;
    };
    entry.pid = pid;
    entry.process_start_ns = process_start_ns();
    tell(&connect, entry.gate.id)
}

/// Delivers `n` bytes from `offset` on as long as the gate is open.
#[inline(never)]
fn in_clear(entry: &mut Socket, offset: u64, n: u64, direction: u8) -> u32 {
    let side = (direction & 1) as usize;
    let source = syscall::current().and_then(|call| call.source(n));
    let Some(source) = source else {
        // What follows cannot be read in order any more.
        count(counters::LOST_UNREADABLE_CALL_BYTES, n);
        entry.state |= SOCKET_QUIET;
        return 0;
    };
    let opens = entry.state & SOCKET_OPENED == 0;
    // Of a server it is what it received, as for flows of TLS.
    let may_raise = (direction == DIRECTION_SENT || served_calls()) && prefix_small() < prefix_large();
    let is_small = entry.gate.class == CLASS_UNDECIDED && entry.gate.prefix[side] == prefix_small();
    if opens || (may_raise && is_small) {
        let first = source.first(n);
        if opens {
            entry.state |= SOCKET_OPENED;
            opens_with(entry, &first, direction);
        } else if gate::may_have_body(&first) {
            // What came before only asked whether somebody is there.
            entry.gate.prefix = [prefix_large(); 2];
        }
    }
    if entry.state & SOCKET_QUIET != 0 {
        return 0;
    }
    let allowed = gate::allowed(&mut entry.gate, side, n);
    if entry.gate.class == CLASS_OTHER {
        entry.state |= SOCKET_QUIET;
    }
    if allowed == 0 {
        return 0;
    }
    let Some(thread) = thread() else { return 0 };
    let passed = Passed {
        process_start_ns: entry.process_start_ns,
        connection_id: entry.gate.id,
        handle: 0,
        offset,
        n,
        allowed,
        direction,
        tie: TIE_SOCKET,
        stack: STACK_SOCKET,
        source,
    };
    gate::pieces_of_list(gate::delivery(thread, &entry.gate, passed));
    1
}

/// The first bytes of a connection decide how much of it is worth a look.
#[inline(always)]
fn opens_with(entry: &mut Socket, first: &[u8; 4], direction: u8) {
    const TLS_HANDSHAKE: u8 = 22;
    if direction == DIRECTION_RECEIVED && !(served_calls() && gate::is_request(first)) {
        // Whoever is spoken to first serves. What is older than the programs may be in the middle of an answer: the next request decides.
        if entry.state & SOCKET_ACCEPTED == 0 && !gate::is_request(first) {
            entry.state &= !SOCKET_OPENED;
        } else {
            entry.state |= SOCKET_QUIET;
        }
        entry.gate.prefix = [0; 2];
        return;
    }
    // A client may send its hello byte by byte; the second byte is zero then, else the major version.
    entry.gate.prefix = if first[0] == TLS_HANDSHAKE && matches!(first[1], 0 | 3) {
        // The server's name is in it; what follows is sealed.
        [HELLO_PREFIX, 0]
    } else if gate::may_have_body(first) {
        [prefix_large(); 2]
    } else if gate::is_request(first) {
        [prefix_small(); 2]
    } else {
        entry.state |= SOCKET_QUIET;
        [0; 2]
    };
}

/// A socket that is not in the table: older than the programs, or not TCP.
///
/// A function of its own, as the next ones: each has its own stack, of which there is little.
#[inline(never)]
fn unknown_socket(socket: u64, n: u32, direction: u8) -> u64 {
    let at = offsets();
    if at.sock_family == 0 {
        return 0;
    }
    match (field::<u16>(socket, at.sock_family), transport(socket)) {
        // What was left to be read when the connection ended: its row is written.
        (AF_INET | AF_INET6, TRANSPORT_TCP) if i32::from(field::<u8>(socket, at.sock_state)) == TCP_CLOSE => {
            0
        }
        (AF_INET | AF_INET6, TRANSPORT_TCP) => new_socket(socket, -1, CONNECT_EXISTING),
        (AF_UNIX, _) if direction == DIRECTION_SENT && speaks_http(n) => new_socket(socket, -1, 0),
        _ => 0,
    }
}

/// Whether this is a datagram socket of IPv4 or IPv6.
#[inline(never)]
fn is_udp(socket: u64) -> bool {
    let at = offsets();
    at.sock_family != 0
        && matches!(field::<u16>(socket, at.sock_family), AF_INET | AF_INET6)
        && transport(socket) == TRANSPORT_UDP
}

/// Whether the call in progress sends the start of a request with a body: most unix sockets carry other things.
#[inline(always)]
fn speaks_http(n: u32) -> bool {
    let source = syscall::current().and_then(|call| call.source(u64::from(n)));
    source.is_some_and(|s| matches!(&s.first(u64::from(n)), b"POST" | b"PRI "))
}

/// State of a connection of which nothing is known yet.
#[inline(always)]
fn new_entry() -> Socket {
    Socket {
        gate: gate::new_gate(STACK_SOCKET),
        process_start_ns: 0,
        pid: 0,
        flags: 0,
        local_port: 0,
        state: 0,
    }
}

/// Enters a socket of the current process and reports it. Gives its connection id, 0 when it is of no known kind, not
/// readable or the table is full.
#[inline(always)]
pub(crate) fn new_socket(socket: u64, fd: i32, flags: u16) -> u64 {
    let Some(connect) = describe(socket, fd, flags) else {
        return 0;
    };
    enter_socket(socket, &connect)
}

/// As [`new_socket`], with what is known about the connection.
#[inline(always)]
pub(crate) fn enter_socket(socket: u64, connect: &Connect) -> u64 {
    let connection_id = insert(socket, connect);
    if connection_id != 0 {
        tell(connect, connection_id);
    }
    connection_id
}

#[inline(never)]
fn insert(socket: u64, connect: &Connect) -> u64 {
    let mut entry = new_entry();
    entry.process_start_ns = process_start_ns();
    entry.pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    entry.local_port = u32::from(connect.local_port);
    if connect.flags & CONNECT_EXISTING != 0 {
        entry.flags = CLOSE_WAS_ESTABLISHED;
    }
    if connect.transport == TRANSPORT_UDP {
        // QUIC is sealed from its first byte.
        entry.state = SOCKET_QUIET | SOCKET_DATAGRAM;
    }
    if SOCKETS.insert(&socket, &entry, 0).is_err() {
        count(counters::LOST_SOCKETS_FULL, 1);
        return 0;
    }
    entry.gate.id
}

#[inline(never)]
fn tell(connect: &Connect, connection_id: u64) -> u32 {
    let parent = parent_pid();
    let says = |head: &mut Header| {
        head.connection_id = connection_id;
        head.parent_pid = parent;
    };
    u32::from(emit::plain(KIND_CONNECT, process_start_ns(), says, connect))
}

/// Protocol of a socket (`TRANSPORT_*`), as the kernel numbers it.
#[inline(always)]
pub(crate) fn transport(socket: u64) -> u8 {
    field::<u16>(socket, offsets().sock_protocol) as u8
}

/// What the kernel holds about a socket; `None` for families that are not connections to somebody.
#[inline(always)]
pub(crate) fn describe(socket: u64, fd: i32, flags: u16) -> Option<Connect> {
    let at = offsets();
    if at.sock_family == 0 {
        return None;
    }
    let family = field::<u16>(socket, at.sock_family);
    let mut connect = Connect {
        peer_address: [0; 16],
        local_address: [0; 16],
        family,
        peer_port: u16::from_be(field(socket, at.sock_dport)),
        local_port: field(socket, at.sock_num),
        flags,
        fd,
        transport: transport(socket),
        pad: [0; 3],
        socket,
    };
    match family {
        AF_INET => {
            connect.peer_address[..4].copy_from_slice(&field::<[u8; 4]>(socket, at.sock_daddr));
            connect.local_address[..4].copy_from_slice(&field::<[u8; 4]>(socket, at.sock_saddr));
        }
        AF_INET6 => {
            connect.peer_address = field::<[u8; 16]>(socket, at.sock_v6_daddr);
            connect.local_address = field::<[u8; 16]>(socket, at.sock_v6_saddr);
        }
        AF_UNIX => {
            connect.transport = TRANSPORT_UNIX;
            connect.peer_port = 0;
            connect.local_port = 0;
            return Some(connect);
        }
        _ => return None,
    }
    matches!(connect.transport, TRANSPORT_TCP | TRANSPORT_UDP).then_some(connect)
}
