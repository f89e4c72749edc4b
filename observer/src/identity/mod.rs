//! Identity stage (shell): who is behind a process id.
//!
//! Facts are read from `/proc` when a process is first seen and kept while it lives, since it may be gone when its
//! traffic is judged. What cannot be read any more stays unknown: empty text, never a guess.

mod cgroup;
mod digests;
mod host;
mod proc;
mod ssh;
mod stdio;
mod users;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

pub use cgroup::{container_id, pod_uid};
use digests::Digests;
pub use digests::FileDigest;
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

impl ProcessKey {
    /// Linux tells user space its times in hundredths of a second (USER_HZ), whatever it counts in.
    const TICK_NS: u64 = 10_000_000;

    /// The same start as `/proc` gives it, in clock ticks.
    pub fn start_ticks(self) -> u64 {
        self.start_ns / Self::TICK_NS
    }
}

/// A process above another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// Start after boot, in clock ticks.
    pub start_ticks: u64,
    /// Command name.
    pub comm: String,
}

/// How a process came to run: who logged in, where, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Name of the user who logged in; empty when not known.
    pub login_user: String,
    /// Audit session; `u32::MAX` when there is none or it is not known.
    pub audit_session: u32,
    /// Controlling terminal: `pts/3`; empty for none.
    pub tty: String,
    /// Address from which the ssh session came.
    pub ssh_client: Option<IpAddr>,
    /// User who called sudo, su or the like, where one of these is an ancestor.
    pub invoking_uid: Option<u32>,
}

impl Default for Lineage {
    fn default() -> Self {
        Self {
            login_user: String::new(),
            audit_session: u32::MAX,
            tty: String::new(),
            ssh_client: None,
            invoking_uid: None,
        }
    }
}

/// What is known about a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Ancestors, nearest first.
    pub ancestry: Vec<Ancestor>,
    /// Container id; empty outside containers.
    pub container_id: String,
    /// Uid of the pod as the control group names it; empty outside of pods.
    pub pod_uid: String,
    /// How it came to run.
    pub lineage: Lineage,
    /// Who started it and holds the other ends of its standard input and output; known once it was asked for.
    pub stdio_client: Option<Arc<Identity>>,
    /// SHA-256 of the executable, once it was read; only of programs that connect.
    pub executable_digest: FileDigest,
}

/// Most processes remembered.
const MAX_PROCESSES: usize = 65_536;

/// How long a client that was not found is not looked for again.
const NO_CLIENT_NS: u64 = 2_000_000_000;

/// Most ancestors named.
const MAX_ANCESTORS: usize = 16;

/// Most processes of sshd remembered.
const MAX_SSH: usize = 1_024;

/// Programs that give a command to another user.
const SWITCHES: [&str; 6] = ["sudo", "su", "runuser", "doas", "pkexec", "sudo-rs"];

/// Identities of the processes of this host.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<ProcessKey, Arc<Identity>>,
    users: Users,
    digests: Digests,
    /// Peers of the processes of sshd, by id and start.
    ssh: HashMap<(u32, u64), Option<IpAddr>>,
    /// Servers on standard input whose client was not found, and until when it is not looked for.
    no_client: HashMap<ProcessKey, u64>,
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

    /// Has the executable of a process read, whose digest comes later. To be asked for processes that connect.
    pub fn want_digest(&mut self, identity: &mut Arc<Identity>) {
        if Arc::strong_count(&identity.executable_digest) > 1 || identity.executable_digest.get().is_some() {
            return;
        }
        let Some(digest) = self.digests.want(identity.key.pid) else {
            return;
        };
        let mut wanted = Identity::clone(identity);
        wanted.executable_digest = digest;
        *identity = Arc::new(wanted);
        self.known.insert(identity.key, Arc::clone(identity));
    }

    /// Finds out who speaks to a server on its standard input, at this time (CLOCK_BOOTTIME, ns). Where nobody was found a moment ago
    /// nobody is looked for: it means reading the descriptors of all its ancestors.
    pub fn want_stdio_client(&mut self, identity: &mut Arc<Identity>, at_ns: u64) {
        let key = identity.key;
        let waits = |until: &u64| at_ns < *until;
        if identity.stdio_client.is_some() || self.no_client.get(&key).is_some_and(waits) {
            return;
        }
        self.want_digest(identity);
        let Some(client) = stdio::client(key.pid, &identity.ancestry).cloned() else {
            if self.no_client.len() >= MAX_PROCESSES {
                self.no_client.clear();
            }
            self.no_client.insert(key, at_ns + NO_CLIENT_NS);
            return;
        };
        self.no_client.remove(&key);
        let mut client = self.ancestor(&client);
        self.want_digest(&mut client);
        let mut wanted = Identity::clone(identity);
        wanted.stdio_client = Some(client);
        *identity = Arc::new(wanted);
        self.known.insert(identity.key, Arc::clone(identity));
    }

    /// Identity of a process that is an ancestor of another.
    fn ancestor(&mut self, of: &Ancestor) -> Arc<Identity> {
        let same = |key: &&ProcessKey| key.pid == of.pid && key.start_ticks() == of.start_ticks;
        // One that was never seen by itself has its start by the tick.
        let key = self.known.keys().find(same).copied().unwrap_or(ProcessKey {
            pid: of.pid,
            start_ns: of.start_ticks * ProcessKey::TICK_NS,
        });
        let uid = proc::effective_uid(of.pid).unwrap_or(u32::MAX);
        self.identify(key, uid, || of.comm.clone())
    }

    /// Reads a process anew: it has another image since.
    pub fn replaced(&mut self, key: ProcessKey) {
        self.ended(key);
    }

    /// Forgets a process that ended.
    pub fn ended(&mut self, key: ProcessKey) {
        self.known.remove(&key);
        self.no_client.remove(&key);
    }

    fn read(&mut self, key: ProcessKey, uid: u32, comm: String) -> Identity {
        let stat = proc::stat(key.pid);
        let parent_pid = stat.as_ref().map_or(0, |s| s.parent_pid);
        let login_uid = proc::login_uid(key.pid);
        let cgroup = proc::cgroup(key.pid).unwrap_or_default();
        let ancestry = ancestry(parent_pid);
        let login_user = if login_uid == u32::MAX {
            String::new()
        } else {
            self.users.name(login_uid)
        };
        let lineage = Lineage {
            login_user,
            audit_session: proc::audit_session(key.pid),
            tty: stat.as_ref().map_or_else(String::new, |s| proc::tty_name(s.tty)),
            ssh_client: self.ssh_client(&ancestry),
            invoking_uid: invoking_uid(&ancestry),
        };
        Identity {
            key,
            parent_pid,
            comm,
            executable: executable(key.pid),
            uid,
            login_uid,
            user: self.users.name(uid),
            ancestry,
            container_id: container_id(&cgroup).unwrap_or_default(),
            pod_uid: pod_uid(&cgroup).unwrap_or_default(),
            lineage,
            stdio_client: None,
            executable_digest: FileDigest::default(),
        }
    }

    fn ssh_client(&mut self, ancestry: &[Ancestor]) -> Option<IpAddr> {
        let daemons = ancestry.iter().filter(|a| ssh::NAMES.contains(&a.comm.as_str()));
        daemons.into_iter().find_map(|daemon| {
            if self.ssh.len() >= MAX_SSH {
                self.ssh.clear();
            }
            let peer = self.ssh.entry((daemon.pid, daemon.start_ticks));
            *peer.or_insert_with(|| ssh::peer(daemon.pid))
        })
    }
}

/// Container of a process; empty outside containers.
pub(crate) fn container_of(pid: u32) -> String {
    proc::cgroup(pid)
        .and_then(|text| container_id(&text))
        .unwrap_or_default()
}

fn ancestry(mut pid: u32) -> Vec<Ancestor> {
    let mut ancestors = Vec::new();
    while pid != 0 && ancestors.len() < MAX_ANCESTORS {
        let Some(stat) = proc::stat(pid) else { break };
        ancestors.push(Ancestor {
            pid,
            start_ticks: stat.start_ticks,
            comm: stat.comm,
        });
        pid = stat.parent_pid;
    }
    ancestors
}

/// Real user of the process that called the outermost sudo, su or the like.
fn invoking_uid(ancestry: &[Ancestor]) -> Option<u32> {
    let switch = ancestry
        .iter()
        .rposition(|a| SWITCHES.contains(&a.comm.as_str()))?;
    proc::real_uid(ancestry.get(switch + 1)?.pid)
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
    fn a_client_that_was_not_found_is_looked_for_again_later() {
        let mut processes = Processes::default();
        // Nobody is above it, so nobody is found.
        let key = ProcessKey {
            pid: u32::MAX - 1,
            start_ns: 1,
        };
        let mut identity = processes.identify(key, 0, String::new);
        processes.want_stdio_client(&mut identity, 5);
        assert_eq!(processes.no_client[&key], 5 + NO_CLIENT_NS);
        processes.want_stdio_client(&mut identity, 6);
        assert_eq!(processes.no_client[&key], 5 + NO_CLIENT_NS, "not looked for");
        processes.want_stdio_client(&mut identity, 5 + NO_CLIENT_NS);
        assert_eq!(processes.no_client[&key], 5 + 2 * NO_CLIENT_NS);
        processes.replaced(key);
        assert!(processes.no_client.is_empty());
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
