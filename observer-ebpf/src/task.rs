//! Facts about the current task.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_current_uid_gid,
    bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_probe_read_kernel, generated,
};
use observer_common::wire::{COMM_LEN, Header};

use crate::maps::{NEW_THREAD, THREADS, Thread, count, daemon_pid, offsets};

pub(crate) fn now_ns() -> u64 {
    // SAFETY: helper without arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

pub(crate) fn cpu() -> u32 {
    // SAFETY: helper without arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// Process id of the current task, or `None` for the daemon itself.
#[inline(always)]
pub(crate) fn observed_pid() -> Option<u32> {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    (pid != daemon_pid()).then_some(pid)
}

/// Start of the current process in nanoseconds since boot; 0 when the kernel did not say where it stands.
#[inline(always)]
pub(crate) fn process_start_ns() -> u64 {
    let at = offsets();
    if at.task_start == 0 {
        return 0;
    }
    leader().map_or(0, |leader| field(leader, at.task_start))
}

/// Id of the parent of the current process; 0 when the kernel did not say where it stands.
#[inline(never)]
pub(crate) fn parent_pid() -> u32 {
    let at = offsets();
    if at.task_parent == 0 || at.task_tgid == 0 {
        return 0;
    }
    leader().map_or(0, |leader| field(field(leader, at.task_parent), at.task_tgid))
}

/// Address of the `task_struct` of the current process's first thread.
#[inline(always)]
fn leader() -> Option<u64> {
    // SAFETY: helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let leader: u64 = field(task, offsets().task_group_leader);
    (leader != 0).then_some(leader)
}

/// A field of a structure of the kernel; zero when it cannot be read.
#[inline(always)]
pub(crate) fn field<T: Copy + Default>(structure: u64, offset: u32) -> T {
    // SAFETY: bpf_probe_read_kernel checks the address.
    unsafe { bpf_probe_read_kernel((structure as *const u8).wrapping_add(offset as usize).cast::<T>()) }
        .unwrap_or_default()
}

/// State of the current thread, made when it is new; `None` when the table is full (counted).
#[inline(always)]
pub(crate) fn thread() -> Option<&'static mut Thread> {
    let id = bpf_get_current_pid_tgid();
    if let Some(thread) = known_thread(id) {
        return Some(thread);
    }
    if THREADS.insert(&id, &NEW_THREAD, 0).is_err() {
        count(observer_common::counters::LOST_THREADS_FULL, 1);
        return None;
    }
    let thread = known_thread(id)?;
    thread.process_start_ns = process_start_ns();
    Some(thread)
}

/// State of thread `id` (pid_tgid) if it has any.
#[inline(always)]
pub(crate) fn known_thread(id: u64) -> Option<&'static mut Thread> {
    // SAFETY: an entry is changed by its own thread only, and removed when that thread ends.
    THREADS.get_ptr_mut(&id).map(|t| unsafe { &mut *t })
}

/// A header for a record about the current task.
#[inline(always)]
pub(crate) fn header(kind: u16, process_start_ns: u64) -> Header {
    let mut head = MaybeUninit::uninit();
    // SAFETY: all fields are written.
    unsafe {
        write_header(head.as_mut_ptr(), kind, process_start_ns);
        head.assume_init()
    }
}

/// As [`header`], written where it stays.
///
/// # Safety
/// `at` must be valid for writes.
#[inline(always)]
pub(crate) unsafe fn write_header(at: *mut Header, kind: u16, process_start_ns: u64) {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: by the caller; the helper writes as many bytes as it is told.
    unsafe {
        (&raw mut (*at).kind).write(kind);
        (&raw mut (*at).flags).write(0);
        (&raw mut (*at).cpu).write(cpu());
        (&raw mut (*at).time_ns).write(now_ns());
        (&raw mut (*at).process_start_ns).write(process_start_ns);
        (&raw mut (*at).flow_id).write(0);
        (&raw mut (*at).connection_id).write(0);
        (&raw mut (*at).cgroup_id).write(bpf_get_current_cgroup_id());
        (&raw mut (*at).pid).write((id >> 32) as u32);
        (&raw mut (*at).tid).write(id as u32);
        (&raw mut (*at).uid).write(bpf_get_current_uid_gid() as u32);
        (&raw mut (*at).parent_pid).write(0);
        generated::bpf_get_current_comm((&raw mut (*at).comm).cast(), COMM_LEN as u32);
    }
}
