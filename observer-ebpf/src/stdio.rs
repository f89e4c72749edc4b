//! JSON-RPC over the standard input and output of a process (MCP over stdio): what a program reads there from whoever started it,
//! and what it answers. Seen in the process that was started, since it has one input and one output, and begins to read after its
//! image is known.
//!
//! A process counts when both descriptors are pipes or sockets as its image begins. For all others a call costs one look-up.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
    macros::tracepoint,
    programs::TracePointContext,
};
use observer_common::{
    counters,
    maps::{STDIO_OPENED, STDIO_QUIET, Stdio},
    wire::{CLASS_OTHER, DIRECTION_RECEIVED, DIRECTION_SENT, STACK_STDIO, TIE_NONE},
};

use crate::{
    gate::{self, Passed, Source},
    maps::{STDIO, count, offsets, prefix_large},
    syscall,
    task::{field, observed_pid, process_start_ns, thread},
};

const TYPE: u16 = 0o170_000;
const PIPE: u16 = 0o010_000;
const SOCKET: u16 = 0o140_000;

/// The calls that read and write descriptors: `sys_exit_read` and the like (number 8, result 16).
#[tracepoint(category = "syscalls", name = "sys_exit_read")]
pub(crate) fn stdio_call(ctx: TracePointContext) -> u32 {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(entry) = STDIO.get_ptr_mut(&pid) else {
        return 0;
    };
    // SAFETY: offset of the result in the tracepoint's format, the same on all 64-bit kernels; the verifier checks the bound.
    let result = unsafe { *ctx.as_ptr().cast::<u8>().add(16).cast::<i64>() };
    // SAFETY: pointer into the map; each side is used by one thread at a time, or its bytes would have no order.
    let entry = unsafe { &mut *entry };
    if result > 0 && entry.state & STDIO_QUIET == 0 {
        returned(entry, result as u64);
    }
    0
}

/// A call of a process whose standard input and output may carry messages has transferred `n` bytes.
#[inline(never)]
fn returned(entry: &mut Stdio, n: u64) -> u32 {
    let Some(call) = syscall::current() else { return 0 };
    let direction = if call.reads() {
        DIRECTION_SENT
    } else {
        DIRECTION_RECEIVED
    };
    let side = (direction & 1) as usize;
    if !is_standard(entry, side, call.descriptor()) {
        return 0;
    }
    let Some(source) = call.source(n) else { return 0 };
    if entry.state & STDIO_OPENED == 0 && !opens(entry, direction, &source, n) {
        return 0;
    }
    let offset = entry.gate.bytes[side];
    let allowed = gate::pass(&mut entry.gate, side, n);
    if entry.gate.class == CLASS_OTHER {
        entry.state |= STDIO_QUIET;
    }
    if allowed == 0 {
        return 0;
    }
    deliver(entry, direction, offset, n, allowed, source)
}

/// Whether a descriptor is the standard one of this side, or a copy of it: some servers move it away from what prints.
#[inline(always)]
fn is_standard(entry: &Stdio, side: usize, descriptor: u32) -> bool {
    let file = entry.files[side];
    if file == 0 {
        return descriptor == side as u32;
    }
    file_of(descriptor) == file
}

/// Nobody speaks before the client, and its first message is an object, or an array of them.
#[inline(always)]
fn opens(entry: &mut Stdio, direction: u8, source: &Source, n: u64) -> bool {
    if direction == DIRECTION_RECEIVED {
        return false;
    }
    if matches!(source.first(n)[0], b'{' | b'[') {
        entry.state |= STDIO_OPENED;
        return true;
    }
    entry.state |= STDIO_QUIET;
    false
}

#[inline(always)]
fn deliver(entry: &mut Stdio, direction: u8, offset: u64, n: u64, allowed: u64, source: Source) -> u32 {
    let Some(thread) = thread() else { return 0 };
    let passed = Passed {
        process_start_ns: process_start_ns(),
        connection_id: 0,
        handle: 0,
        offset,
        n,
        allowed,
        direction,
        tie: TIE_NONE,
        stack: STACK_STDIO,
        source,
    };
    gate::pieces_of_list(gate::delivery(thread, &entry.gate, passed));
    1
}

/// A process has a new image: whoever started it has put its descriptors in place.
#[inline(never)]
pub(crate) fn begins() -> u32 {
    let Some(pid) = observed_pid() else { return 0 };
    if offsets().file_inode == 0 {
        return 0;
    }
    let files = [file_of(0), file_of(1)];
    if !carries_messages(files[0]) || !carries_messages(files[1]) {
        // The image before may have had other ones.
        ends(pid);
        return 0;
    }
    let mut gate = gate::new_gate(STACK_STDIO);
    gate.prefix = [prefix_large(); 2];
    let entry = Stdio {
        gate,
        files,
        state: 0,
        pad: 0,
    };
    if STDIO.insert(&pid, &entry, 0).is_err() {
        count(counters::LOST_STDIO_FULL, 1);
    }
    1
}

/// The process is over.
#[inline(always)]
pub(crate) fn ends(pid: u32) {
    let _ = STDIO.remove(&pid);
}

/// Whether a file of the kernel is a pipe or a socket.
#[inline(always)]
fn carries_messages(file: u64) -> bool {
    let at = offsets();
    let inode = if file == 0 {
        0
    } else {
        field::<u64>(file, at.file_inode)
    };
    inode != 0 && matches!(field::<u16>(inode, at.inode_mode) & TYPE, PIPE | SOCKET)
}

/// The kernel's file behind a descriptor of the current process; 0 when it cannot be read. The number is that of a call that
/// has succeeded, or 0 or 1, which every table of descriptors has.
#[inline(always)]
fn file_of(descriptor: u32) -> u64 {
    let at = offsets();
    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let files = field::<u64>(task, at.task_files);
    let table = field::<u64>(files, at.files_fdt);
    let entries = field::<u64>(table, at.fdtable_fd);
    field::<u64>(entries.wrapping_add(u64::from(descriptor) * 8), 0)
}
