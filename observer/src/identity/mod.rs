//! Identity stage (shell): who is behind a process id.
//!
//! Facts are read from `/proc` when a process is first seen and kept while it lives, since it may be gone when its
//! traffic is judged. What cannot be read any more stays unknown: empty text, never a guess.

mod cgroup;
mod host;
mod proc;
mod users;

use std::{collections::HashMap, sync::Arc};

pub use cgroup::container_id;
pub use host::Host;
pub(crate) use proc::executable;
use users::Users;

/// A process: its id is used again, its start is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProcessKey {
    /// Process id (thread group).
    pub pid: u32,
    /// Start after boot, ns.
    pub start_ns: u64,
}

/// What is known about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which process.
    pub key: ProcessKey,
    /// Parent process id; 0 when not known.
    pub parent_pid: u32,
    /// Command name.
    pub comm: String,
    /// Path of the executable in the process's mount namespace.
    pub executable: String,
    /// Effective user id.
    pub uid: u32,
    /// User who logged in; `u32::MAX` when none did or it is not known.
    pub login_uid: u32,
    /// Name of `uid`; empty when the host does not know one.
    pub user: String,
    /// Command names of the ancestors, nearest first.
    pub ancestry: Vec<String>,
    /// Container id; empty outside containers.
    pub container_id: String,
}

/// Most processes remembered.
const MAX_PROCESSES: usize = 65_536;

/// Most ancestors named.
const MAX_ANCESTORS: usize = 16;

/// Identities of the processes of this host.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<ProcessKey, Arc<Identity>>,
    users: Users,
}

impl Processes {
    /// Identity of a process that was seen in a kernel record. `uid` and `comm` are the record's: they are right
    /// even when the process is gone from `/proc`.
    pub fn identify(&mut self, key: ProcessKey, uid: u32, comm: impl FnOnce() -> String) -> Arc<Identity> {
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if self.known.len() >= MAX_PROCESSES {
            self.known.clear();
        }
        let identity = Arc::new(self.read(key, uid, comm()));
        self.known.insert(key, Arc::clone(&identity));
        identity
    }

    /// Reads a process anew: it has another image since.
    pub fn replaced(&mut self, key: ProcessKey) {
        self.known.remove(&key);
    }

    /// Forgets a process that ended.
    pub fn ended(&mut self, key: ProcessKey) {
        self.known.remove(&key);
    }

    fn read(&mut self, key: ProcessKey, uid: u32, comm: String) -> Identity {
        let stat = proc::stat(key.pid);
        let parent_pid = stat.as_ref().map_or(0, |s| s.parent_pid);
        Identity {
            key,
            parent_pid,
            comm,
            executable: executable(key.pid),
            uid,
            login_uid: proc::login_uid(key.pid),
            user: self.users.name(uid),
            ancestry: ancestry(parent_pid),
            container_id: container_of(key.pid),
        }
    }
}

/// Container of a process; empty outside containers.
pub(crate) fn container_of(pid: u32) -> String {
    proc::cgroup(pid)
        .and_then(|text| container_id(&text))
        .unwrap_or_default()
}

fn ancestry(mut pid: u32) -> Vec<String> {
    let mut names = Vec::new();
    while pid != 0 && names.len() < MAX_ANCESTORS {
        let Some(stat) = proc::stat(pid) else { break };
        names.push(stat.comm);
        pid = stat.parent_pid;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_with_its_parent_and_executable() {
        let key = ProcessKey {
            pid: std::process::id(),
            start_ns: 1,
        };
        let uid = rustix::process::geteuid().as_raw();
        let identity = Processes::default().identify(key, uid, || "me".into());
        assert_eq!(
            identity.executable,
            std::env::current_exe().unwrap().to_string_lossy()
        );
        assert!(identity.parent_pid > 0 && !identity.ancestry.is_empty());
        assert_eq!((identity.comm.as_str(), identity.uid), ("me", uid));
    }

    #[test]
    fn a_process_that_is_gone_is_unknown_but_for_what_the_record_says() {
        let key = ProcessKey {
            pid: u32::MAX - 1,
            start_ns: 1,
        };
        let identity = Processes::default().identify(key, 0, || "gone".into());
        assert_eq!(
            (identity.comm.as_str(), identity.executable.as_str()),
            ("gone", "")
        );
        assert_eq!((identity.parent_pid, identity.login_uid), (0, u32::MAX));
    }

    #[test]
    fn the_table_of_processes_is_bounded() {
        let mut processes = Processes::default();
        let gone = |n: u64| ProcessKey {
            pid: u32::MAX - 1,
            start_ns: n,
        };
        for n in 0..=MAX_PROCESSES as u64 {
            processes.identify(gone(n), 0, String::new);
        }
        assert!(processes.known.len() <= MAX_PROCESSES);
    }
}
