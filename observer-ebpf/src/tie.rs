//! Which socket a TLS flow uses: by what the thread does inside the TLS call, after it or before it.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use observer_common::{
    maps::{Flow, FlowKey, SOCKET_ACCEPTED},
    wire::{CLASS_OTHER, Header, KIND_TIE, TIE_AFTER_CALL, TIE_IN_CALL, Tie, is_of_key},
};

use crate::{
    emit, flow,
    maps::{CALLS, FLOWS, SOCKETS, Thread},
    task::known_thread,
};

/// A socket call of this thread transferred bytes: ties the TLS handle in use to the socket.
#[inline(always)]
pub(crate) fn socket_used(socket: u64, ret: i32, sending: bool) {
    let id = bpf_get_current_pid_tgid();
    let Some(thread) = known_thread(id) else { return };
    let (process_start_ns, pid) = (thread.process_start_ns, (id >> 32) as u32);
    let key = |handle| FlowKey::new(process_start_ns, pid, handle);
    if thread.active != 0 {
        let (handle, stack) = innermost(thread);
        let key = key(handle);
        // Made here when the call has not delivered anything yet: a handshake runs inside the first call.
        if let Some(flow) = flow::flow(&key, stack) {
            tie_flow(flow, &key, socket, TIE_IN_CALL);
        }
    } else if ret > 0 && !sending {
        thread.last_received = socket;
    } else if ret > 0 && thread.untied_handle != 0 {
        let key = key(thread.untied_handle);
        thread.untied_handle = 0;
        if let Some(flow) = FLOWS.get_ptr_mut(&key) {
            // SAFETY: pointer into the map; a TLS handle is used by one thread at a time.
            tie_flow(unsafe { &mut *flow }, &key, socket, TIE_AFTER_CALL);
        }
    }
}

/// Handle and stack of the innermost TLS call in progress: the one with the lowest stack pointer.
#[inline(always)]
fn innermost(thread: &Thread) -> (u64, u8) {
    let (mut handle, mut stack, mut lowest) = (0, 0, u64::MAX);
    for slot in 0..CALLS {
        let call = &thread.calls[slot];
        if thread.active & (1 << slot) != 0 && call.stack_pointer < lowest {
            lowest = call.stack_pointer;
            handle = call.handle;
            stack = call.stack as u8;
        }
    }
    (handle, stack)
}

/// A call that gave plaintext without touching the socket (memory BIO): it came by what this thread received last.
#[inline(always)]
pub(crate) fn received_before(flow: &mut Flow, key: &FlowKey, thread: &Thread) {
    if thread.last_received != 0 {
        tie_flow(flow, key, thread.last_received, TIE_AFTER_CALL);
    }
}

#[inline(always)]
fn tie_flow(flow: &mut Flow, key: &FlowKey, socket: u64, tie: u8) {
    if flow.socket != 0 {
        return;
    }
    // SAFETY: the value is copied at once.
    let (connection_id, state) = match unsafe { SOCKETS.get(&socket) } {
        Some(entry) if entry.pid == key.pid => (entry.gate.id, entry.state),
        // A socket of another process, or one that found no room in the table.
        _ => return,
    };
    if state & SOCKET_ACCEPTED != 0 && is_of_key(flow.gate.stack as u8) {
        // The process serves, and its peer's calls are read at the peer. What it received shows that by itself, but its answers are
        // another key's.
        flow.gate.class = CLASS_OTHER;
    }
    flow.socket = socket;
    flow.connection_id = connection_id;
    flow.tie = u32::from(tie);
    if flow.gate.bytes[0] | flow.gate.bytes[1] == 0 {
        // The first plaintext will say it.
        return;
    }
    let body = Tie {
        handle: key.handle,
        tie: u32::from(tie),
        stack: flow.gate.stack,
    };
    let says = |head: &mut Header| {
        head.flow_id = flow.gate.id;
        head.connection_id = connection_id;
    };
    emit::plain(KIND_TIE, key.process_start_ns, says, &body);
}

/// Whether the connection of a flow is gone, so that its handle is another's now. Stacks that do not tell the end of
/// a handle reuse its address.
#[inline(always)]
pub(crate) fn is_stale(flow: &Flow) -> bool {
    // SAFETY: only the id is read.
    flow.socket != 0 && unsafe { SOCKETS.get(&flow.socket) }.is_none_or(|s| s.gate.id != flow.connection_id)
}
