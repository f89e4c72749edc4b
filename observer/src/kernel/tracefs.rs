//! Makes tracefs visible while tracepoints are attached, without changing the host.
//!
//! `perf_event_open(2)` wants the number of a tracepoint, and only tracefs tells it. Where it is not mounted (minimal
//! hosts, containers), a thread of its own takes a private mount namespace, mounts it there and runs the work; with
//! the end of the thread the mount is gone. What was attached stays.

use std::{io, path::Path};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};

/// Where tracefs is looked for, by us and by the loader.
const TRACEFS: &str = "/sys/kernel/tracing";

/// Runs `work` where tracefs is mounted at its usual place. When that cannot be arranged `work` runs all the same, and
/// its attachments fail with their own reason.
pub fn with_tracefs<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Path::new(TRACEFS).join("events").exists() {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Err(error) = mount_privately() {
                tracing::warn!(%error, "cannot mount tracefs for this program");
            }
            work()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn mount_privately() -> io::Result<()> {
    // SAFETY: only the mount namespace of this thread changes (and its file-system attributes, which no other thread
    // shares from now on); the thread runs nothing that relies on them being shared, and ends after its work.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    mount(
        "tracefs",
        TRACEFS,
        "tracefs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None,
    )?;
    Ok(())
}
