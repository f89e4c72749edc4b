//! TLS flows: their state in the kernel, and the plaintext of their calls on its way out.

use aya_ebpf::helpers::bpf_probe_read_user;
use observer_common::{
    counters,
    maps::{Flow, FlowKey},
    wire::{
        CLASS_UNDECIDED, DIRECTION_SENT, Header, KIND_TLS_FREE, KIND_TLS_NAME, STACK_OPENSSL, TIE_NONE,
        TlsFree,
    },
};

use crate::{
    emit,
    gate::{self, Delivery, Passed, Source},
    maps::{FLOWS, HOSTS, Thread, count, prefix_large, served_calls},
    task::{header, observed_pid, process_start_ns, thread},
    tie,
};

/// State of a flow, made when it is new; `None` when the table is full (counted).
#[inline(always)]
pub(crate) fn flow(key: &FlowKey, stack: u8) -> Option<&'static mut Flow> {
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: a TLS handle is used by one thread at a time.
        let flow = unsafe { &mut *flow };
        // OpenSSL tells the end of a handle; where that function was not found, the next connection's name does.
        if stack == STACK_OPENSSL || !tie::is_stale(flow) {
            return Some(flow);
        }
        ended(key, flow);
        let _ = FLOWS.remove(key);
    }
    let new = Flow {
        gate: gate::new_gate(stack),
        socket: 0,
        connection_id: 0,
        tie: u32::from(TIE_NONE),
        pad: 0,
    };
    if FLOWS.insert(key, &new, 0).is_err() {
        count(counters::LOST_FLOWS_FULL, 1);
        return None;
    }
    // SAFETY: as above.
    FLOWS.get_ptr_mut(key).map(|f| unsafe { &mut *f })
}

/// Plaintext that a call transferred.
pub(crate) struct Plaintext {
    /// `wire::STACK_*`.
    pub stack: u8,
    /// `wire::DIRECTION_*`.
    pub direction: u8,
    /// Where it is in the process.
    pub buffer: u64,
    /// Bytes.
    pub n: u64,
    /// Most records for it.
    pub steps: u32,
    /// When the call was entered, where that matters.
    pub entered_ns: Option<u64>,
}

/// Delivers plaintext of a flow as far as its class allows.
#[inline(always)]
pub(crate) fn deliver(key: &FlowKey, thread: &mut Thread, call: &Plaintext) {
    let Plaintext {
        stack,
        direction,
        buffer,
        n,
        steps,
        entered_ns,
    } = *call;
    let Some(flow) = flow(key, stack) else { return };
    if flow.socket == 0 {
        if direction == DIRECTION_SENT {
            thread.untied_handle = key.handle;
        } else {
            tie::received_before(flow, key, thread);
        }
    }
    let side = (direction & 1) as usize;
    let offset = flow.gate.bytes[side];
    // Of a server it is what it received. It need not be the first request: some only ask whether somebody is there.
    if flow.gate.class == CLASS_UNDECIDED
        && flow.gate.prefix[side] < prefix_large()
        && (direction == DIRECTION_SENT || served_calls())
        && begins_with_body_request(buffer)
    {
        flow.gate.prefix = [prefix_large(); 2];
    }
    let allowed = gate::pass(&mut flow.gate, side, n);
    if allowed == 0 {
        return;
    }
    let passed = Passed {
        process_start_ns: key.process_start_ns,
        connection_id: flow.connection_id,
        handle: key.handle,
        offset,
        n,
        allowed,
        direction,
        tie: flow.tie as u8,
        stack,
        source: Source::buffer(buffer, n),
    };
    let delivery = gate::delivery(thread, &flow.gate, passed);
    if let Some(entered_ns) = entered_ns {
        // No branch: verifiers before 6.6 walk all pieces again for each way that leads there. A call of more than an hour says too little.
        delivery.body.took_us = ((delivery.head.time_ns - entered_ns) / 1000) as u32;
    }
    gate::pieces(delivery, steps);
}

/// Whether the first bytes are worth the large prefix.
#[inline(always)]
fn begins_with_body_request(buffer: u64) -> bool {
    // SAFETY: bpf_probe_read_user checks the address.
    unsafe { bpf_probe_read_user(buffer as *const [u8; 4]) }.is_ok_and(|first| gate::may_have_body(&first))
}

/// The program names the server of a handle; `name` is a text in the process that ends with NUL.
#[inline(always)]
pub(crate) fn server_name(handle: u64, name: u64, stack: u8) {
    let Some(pid) = observed_pid() else { return };
    end_used(pid, handle);
    let key = FlowKey::new(process_start_ns(), pid, handle);
    let Some(flow) = flow(&key, stack) else { return };
    let mut head = header(KIND_TLS_NAME, key.process_start_ns);
    head.flow_id = flow.gate.id;
    let Some(thread) = thread() else { return };
    if let Some(class) = emit::name(head, handle, name, |name, len| host_class(name, len, thread))
        && flow.gate.class == CLASS_UNDECIDED
    {
        flow.gate.class = class;
    }
}

/// Looks a host name up in the catalogue: reversed, in lower case, and ended by NUL, so that one longest-prefix look-up
/// finds exact names and suffixes. The key is made where deliveries are, since older kernels have no room for it on the stack: a thread
/// does not deliver while it names a server.
#[inline(always)]
fn host_class(name: *const u8, len: u32, thread: &mut Thread) -> u32 {
    use aya_ebpf::maps::lpm_trie::Key;
    use observer_common::maps::HOST_KEY_LEN;

    const _: () = assert!(size_of::<Key<[u8; HOST_KEY_LEN]>>() <= size_of::<Delivery>());

    if len as usize >= HOST_KEY_LEN {
        return CLASS_UNDECIDED;
    }
    let key = thread.delivery.as_mut_ptr().cast::<Key<[u8; HOST_KEY_LEN]>>();
    // SAFETY: there is room for the key, which is plain numbers in bytes.
    unsafe { key.write(Key::new((len + 1) * 8, [0; HOST_KEY_LEN])) };
    // The name stands behind the length.
    let data = key.cast::<u8>().wrapping_add(size_of::<u32>());
    for i in 0..HOST_KEY_LEN {
        if i as u32 >= len {
            break;
        }
        // The mask is for the verifier: len is below HOST_KEY_LEN here.
        let from = (len as usize - 1 - i) & (emit::NAME_ROOM - 1);
        // SAFETY: `name` has NAME_ROOM bytes and `from` is below that; the key's name has HOST_KEY_LEN.
        unsafe { *data.add(i) = (*name.add(from)).to_ascii_lowercase() };
    }
    // SAFETY: written above.
    let known = HOSTS.get(unsafe { &*key });
    known.copied().unwrap_or(CLASS_UNDECIDED)
}

/// Whether there is a flow for this handle of the calling process.
#[inline(always)]
pub(crate) fn is_known(pid: u32, handle: u64) -> bool {
    FLOWS
        .get_ptr(&FlowKey::new(process_start_ns(), pid, handle))
        .is_some()
}

/// Ends the flow of a handle that was used before it gets a name: names are told before the first byte, so this is another connection
/// at the same address, and the end of the first one was not seen. Tells whether there was one.
///
/// A function of its own: it has its own stack.
#[inline(never)]
fn end_used(pid: u32, handle: u64) -> bool {
    let key = FlowKey::new(process_start_ns(), pid, handle);
    let is_used = FLOWS.get_ptr(&key).is_some_and(|flow| {
        // SAFETY: pointer into the map; a TLS handle is used by one thread at a time.
        let flow = unsafe { &*flow };
        flow.socket | flow.gate.bytes[0] | flow.gate.bytes[1] != 0
    });
    if is_used {
        free(pid, handle);
    }
    is_used
}

/// The program frees a handle.
#[inline(always)]
pub(crate) fn free(pid: u32, handle: u64) {
    let key = FlowKey::new(process_start_ns(), pid, handle);
    // SAFETY: the value is copied at once.
    let Some(flow) = (unsafe { FLOWS.get(&key).copied() }) else {
        return;
    };
    let _ = FLOWS.remove(&key);
    ended(&key, &flow);
}

/// Reports the end of a flow with its totals.
#[inline(always)]
fn ended(key: &FlowKey, flow: &Flow) {
    let body = TlsFree {
        handle: key.handle,
        sent: flow.gate.bytes[0],
        received: flow.gate.bytes[1],
        class: flow.gate.class,
        tie: flow.tie,
    };
    let says = |head: &mut Header| {
        head.flow_id = flow.gate.id;
        head.connection_id = flow.connection_id;
    };
    emit::plain(KIND_TLS_FREE, key.process_start_ns, says, &body);
}
