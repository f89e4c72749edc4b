//! Processes: new image, end, libraries being loaded.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task},
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use aya_log_ebpf::debug;
use observer_common::wire::{Header, KIND_EXEC, KIND_EXIT, KIND_MAP_EXEC};

use crate::{
    emit,
    maps::{THREADS, offsets},
    stdio,
    task::{field, observed_pid, parent_pid, process_start_ns},
};

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn process_exec(ctx: RawTracePointContext) -> i32 {
    // A thread that is not the first gets the first one's id, and leaves its own.
    let pid = bpf_get_current_pid_tgid() >> 32;
    let old = u64::from(ctx.arg::<u32>(1));
    if old != pid {
        let _ = THREADS.remove(&((pid << 32) | old));
    }
    process_event(KIND_EXEC, parent_pid());
    stdio::begins();
    debug!(&ctx, "process {}: new image", ctx.tgid());
    0
}

/// `sched_process_exit(struct task_struct *p)`: called for every thread; the last one's end is the process's. Two that end at the same time
/// may both be the last: the daemon takes the second for the end of a process that it does not know.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn process_exit(_ctx: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    // Most threads never made a TLS call and have no entry.
    let _ = THREADS.remove(&id);
    if is_last_thread(id) {
        stdio::ends((id >> 32) as u32);
        process_event(KIND_EXIT, 0);
    }
    0
}

/// Whether no other thread of the process is left: a program's first thread may end before the others. Where the kernel does not say where
/// that stands, the first thread's end is taken for it.
#[inline(always)]
fn is_last_thread(id: u64) -> bool {
    let at = offsets();
    if at.task_signal == 0 || at.signal_live == 0 {
        return (id >> 32) as u32 == id as u32;
    }
    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let signal: u64 = field(task, at.task_signal);
    // Counted down before the tracepoint, on all kernels.
    field::<i32>(signal, at.signal_live) == 0
}

/// `sys_enter_mmap`: addr 16, len 24, prot 32, flags 40, fd 48, off 56.
#[tracepoint(category = "syscalls", name = "sys_enter_mmap")]
pub(crate) fn map_exec(ctx: TracePointContext) -> u32 {
    const PROT_EXEC: u64 = 4;
    // SAFETY: the offsets are those of the tracepoint's format file, the same on all 64-bit kernels.
    let (prot, fd) = unsafe { (read_arg(&ctx, 32), read_arg(&ctx, 48)) };
    if prot & PROT_EXEC != 0 && fd as i32 >= 0 {
        process_event(KIND_MAP_EXEC, 0);
    }
    0
}

/// Reads a system call argument from the tracepoint record.
///
/// # Safety
/// `offset` must be that of an 8-byte argument in the tracepoint's format.
#[inline(always)]
pub(crate) unsafe fn read_arg(ctx: &TracePointContext, offset: usize) -> u64 {
    // SAFETY: by the caller; the verifier checks the bound.
    unsafe { *ctx.as_ptr().cast::<u8>().add(offset).cast::<u64>() }
}

#[inline(always)]
fn process_event(kind: u16, parent_pid: u32) {
    if observed_pid().is_some() {
        let says = |head: &mut Header| head.parent_pid = parent_pid;
        emit::plain(kind, process_start_ns(), says, &());
    }
}
