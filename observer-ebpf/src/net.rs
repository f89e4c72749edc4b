//! Sockets: which process connects to where, what its socket calls transfer, and which TLS handle uses the socket.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel},
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use observer_common::{
    counters,
    maps::FlowKey,
    wire::{
        CLOSE_WAS_ESTABLISHED, CONNECT_EXISTING, Close, Connect, KIND_CLOSE, KIND_CONNECT, TIE_AFTER_CALL,
        TIE_IN_CALL,
    },
};

use crate::{
    emit,
    maps::{CALLS, FLOWS, SOCKETS, Socket, Thread, count, next_id, offsets},
    process::read_arg,
    task::{header, known_thread, observed_pid, process_start_ns, thread},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;

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
        TCP_ESTABLISHED => established(socket),
        TCP_CLOSE => closed(socket),
        _ => {}
    }
    0
}

/// `sock_send_length(struct sock *sk, int ret, int flags)`, Linux 6.3 and later.
#[raw_tracepoint(tracepoint = "sock_send_length")]
pub(crate) fn socket_send(ctx: RawTracePointContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(1), true);
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`, Linux 6.3 and later.
#[raw_tracepoint(tracepoint = "sock_recv_length")]
pub(crate) fn socket_receive(ctx: RawTracePointContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(1), false);
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
    new_socket(socket, process_start_ns(), fd, 0);
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

/// May run in any context: process and totals come from the entry, not from the current task.
#[inline(always)]
fn closed(socket: u64) {
    // SAFETY: the value is copied at once.
    let Some(entry) = (unsafe { SOCKETS.get(&socket).copied() }) else {
        return;
    };
    let _ = SOCKETS.remove(&socket);
    let mut head = header(KIND_CLOSE, entry.process_start_ns);
    head.pid = entry.pid;
    head.tid = entry.pid;
    head.connection_id = entry.connection_id;
    let Socket {
        sent,
        received,
        flags,
        local_port,
        ..
    } = entry;
    emit::plain(
        head,
        Close {
            sent,
            received,
            flags,
            local_port,
        },
    );
}

/// Books the bytes of a socket call, and ties the socket to the TLS handle in use on this thread.
#[inline(always)]
fn transferred(socket: u64, ret: i32, sending: bool) {
    let known = SOCKETS.get_ptr_mut(&socket);
    if let Some(entry) = known
        && ret > 0
    {
        // SAFETY: pointer into the map; a socket's calls in one direction are serialised by its lock.
        unsafe {
            if sending {
                (*entry).sent += ret as u64;
            } else {
                (*entry).received += ret as u64;
            }
        }
    }
    let id = bpf_get_current_pid_tgid();
    let Some(thread) = known_thread(id) else { return };
    let (handle, tie) = if thread.active != 0 {
        (innermost(thread), TIE_IN_CALL)
    } else if sending && ret > 0 && thread.untied_handle != 0 {
        let handle = thread.untied_handle;
        thread.untied_handle = 0;
        (handle, TIE_AFTER_CALL)
    } else {
        return;
    };
    tie_flow(thread.process_start_ns, (id >> 32) as u32, handle, socket, tie);
}

/// Handle of the innermost TLS call in progress: the one with the lowest stack pointer.
#[inline(always)]
fn innermost(thread: &Thread) -> u64 {
    let (mut handle, mut lowest) = (0, u64::MAX);
    for slot in 0..CALLS {
        if thread.active & (1 << slot) != 0 && thread.calls[slot].stack < lowest {
            lowest = thread.calls[slot].stack;
            handle = thread.calls[slot].handle;
        }
    }
    handle
}

#[inline(always)]
fn tie_flow(process_start_ns: u64, pid: u32, handle: u64, socket: u64, tie: u8) {
    let key = FlowKey {
        process_start_ns,
        handle,
        pid,
        pad: 0,
    };
    let Some(flow) = FLOWS.get_ptr_mut(&key) else {
        return;
    };
    // SAFETY: pointer into the map; a TLS handle is used by one thread at a time.
    let flow = unsafe { &mut *flow };
    if flow.socket != 0 {
        return;
    }
    // SAFETY: the value is copied at once.
    let connection_id = match unsafe { SOCKETS.get(&socket).copied() } {
        Some(entry) => entry.connection_id,
        None => new_socket(socket, process_start_ns, -1, CONNECT_EXISTING),
    };
    if connection_id != 0 {
        flow.socket = socket;
        flow.connection_id = connection_id;
        flow.tie = u32::from(tie);
    }
}

/// Enters a TCP socket of the current process and reports it. Gives its connection id, 0 when it is not TCP, not
/// readable or the table is full.
#[inline(always)]
fn new_socket(socket: u64, process_start_ns: u64, fd: i32, flags: u16) -> u64 {
    let Some(connect) = describe(socket, fd, flags) else {
        return 0;
    };
    let connection_id = next_id();
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let was_established = if flags == CONNECT_EXISTING {
        CLOSE_WAS_ESTABLISHED
    } else {
        0
    };
    let local_port = u32::from(connect.local_port);
    let entry = Socket {
        connection_id,
        process_start_ns,
        sent: 0,
        received: 0,
        pid,
        flags: was_established,
        local_port,
        pad: 0,
    };
    if SOCKETS.insert(&socket, &entry, 0).is_err() {
        count(counters::LOST_SOCKETS_FULL, 1);
        return 0;
    }
    let mut head = header(KIND_CONNECT, process_start_ns);
    head.connection_id = connection_id;
    emit::plain(head, connect);
    connection_id
}

#[inline(always)]
fn describe(socket: u64, fd: i32, flags: u16) -> Option<Connect> {
    let at = offsets();
    if at.sock_family == 0 || field::<u16>(socket, at.sock_protocol) != IPPROTO_TCP {
        return None;
    }
    let family = field::<u16>(socket, at.sock_family);
    let (mut peer_address, mut local_address) = ([0u8; 16], [0u8; 16]);
    match family {
        AF_INET => {
            peer_address[..4].copy_from_slice(&field::<[u8; 4]>(socket, at.sock_daddr));
            local_address[..4].copy_from_slice(&field::<[u8; 4]>(socket, at.sock_saddr));
        }
        AF_INET6 => {
            peer_address = field::<[u8; 16]>(socket, at.sock_v6_daddr);
            local_address = field::<[u8; 16]>(socket, at.sock_v6_saddr);
        }
        _ => return None,
    }
    Some(Connect {
        peer_address,
        local_address,
        family,
        peer_port: u16::from_be(field(socket, at.sock_dport)),
        local_port: field(socket, at.sock_num),
        flags,
        fd,
        pad: 0,
    })
}

/// A field of the kernel's socket; zero when it cannot be read.
#[inline(always)]
fn field<T: Copy + Default>(socket: u64, offset: u32) -> T {
    // SAFETY: bpf_probe_read_kernel checks the address.
    unsafe { bpf_probe_read_kernel((socket as *const u8).wrapping_add(offset as usize).cast::<T>()) }
        .unwrap_or_default()
}
