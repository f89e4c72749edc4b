//! What the daemon gives up once its kernel programs are loaded (shell): capabilities, system calls, places to write to.
//!
//! All of it is by thread and goes on to threads and programs that are started later. So it happens before there is a second
//! thread, with one exception: a thread under Landlock may not look at other processes (`/proc/PID/exe`, `/proc/PID/root`),
//! whatever its capabilities. The threads that look at them, discovery and pipeline, are not under it; those that talk to the
//! network are, and the programs that the daemon starts.

pub mod capabilities;
mod landlock;
mod seccomp;
pub mod status;
mod user;

use std::path::{Path, PathBuf};

use rustix::thread::CapabilitySet;

use crate::config::{Privilege, Wish};
pub use landlock::{Fence, supported as landlock_version};
pub use user::become_user;

/// What goes on to be needed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub wishes: Privilege,
    /// Capabilities that stay, where they are held.
    pub keep: CapabilitySet,
    /// Directories below which may be written.
    pub writable: Vec<PathBuf>,
    /// Threads go to networks of other processes, to cut their connections.
    pub other_networks: bool,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
#[error("privilege.{step} is `required` in the configuration, and {reason}; set it to auto to start without")]
pub struct Refused {
    step: &'static str,
    reason: String,
}

/// Gives up what is not needed any more, for this thread and all that it starts. Gives the fence for the threads and programs
/// that look at no other process.
///
/// # Errors
/// When a step that is required cannot be done.
pub fn give_up(plan: &Plan) -> Result<Option<Fence>, Refused> {
    let wishes = plan.wishes;
    step("capabilities", wishes.capabilities, || {
        capabilities::keep_only(plan.keep)
    })?;
    let fence = step("landlock", wishes.landlock, || Fence::new(&plan.writable))?;
    step("seccomp", wishes.seccomp, || {
        seccomp::install(&seccomp::filter(plan.other_networks))
    })?;
    Ok(fence)
}

/// For a program that the daemon starts: it keeps these capabilities (`None`: all), and writes below this directory only
/// (`None`: everywhere). What cannot be done is left out: the daemon has said so already, of itself.
pub fn confine(keep: Option<CapabilitySet>, writable: Option<&Path>) {
    if let Some(keep) = keep {
        let _ = capabilities::keep_only(keep);
    }
    if let Some(directory) = writable
        && let Ok(fence) = Fence::new(&[directory.to_path_buf()])
    {
        let _ = fence.enter();
    }
}

/// Does one step as it is wished for. `None`: it is not done.
fn step<T>(
    name: &'static str,
    wish: Wish,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> Result<Option<T>, Refused> {
    if wish == Wish::Off {
        tracing::warn!(step = name, "privilege: switched off in the configuration");
        return Ok(None);
    }
    match work() {
        Ok(done) => Ok(Some(done)),
        Err(error) if wish == Wish::Required => Err(Refused {
            step: name,
            reason: format!("{error:#}"),
        }),
        Err(error) => {
            tracing::warn!(
                step = name,
                error = format!("{error:#}"),
                "privilege: this kernel or container does not let the daemon give it up (docs/security.md)"
            );
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_and_cannot_be_stops_the_start_with_the_key_to_change() {
        let broken = || -> anyhow::Result<()> { anyhow::bail!("no such thing") };
        assert!(step("seccomp", Wish::Auto, broken).is_ok_and(|done| done.is_none()));
        assert!(step("seccomp", Wish::Off, || Ok(())).is_ok_and(|done| done.is_none()));
        assert!(step("seccomp", Wish::Required, || Ok(())).is_ok_and(|done| done.is_some()));
        let text = step("seccomp", Wish::Required, broken).unwrap_err().to_string();
        assert!(
            text.starts_with("privilege.seccomp") && text.contains("no such thing"),
            "{text}"
        );
    }
}
