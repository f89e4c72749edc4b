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
#[cfg(test)]
mod tests;
mod users;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use observer_common::wire::Header;

pub use cgroup::ControlGroup;
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

    /// The process that a record of the kernel speaks of.
    pub fn of(header: &Header) -> Self {
        Self {
            pid: header.pid,
            start_ns: header.process_start_ns,
        }
    }

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
    /// Path of the executable in the process's mount namespace; who may mount there chooses it.
    pub executable: String,
    /// Real user id, at the time of the newest record.
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
    /// A user may have made its control group, and called it as he liked: it is in no pod.
    pub in_users_group: bool,
    /// How it came to run.
    pub lineage: Lineage,
    /// Who started it and holds the other ends of its standard input and output; known once it was asked for.
    pub stdio_client: Option<Arc<Identity>>,
    /// SHA-256 of the executable, once it was read; only of programs that connect.
    pub executable_digest: FileDigest,
}

impl Identity {
    /// Container and pod by which the names of its pod are looked up; empty where a user may have made both up.
    pub fn pod_keys(&self) -> (&str, &str) {
        if self.in_users_group {
            ("", "")
        } else {
            (&self.container_id, &self.pod_uid)
        }
    }
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

/// What a record of the kernel says of its process. It is right even when the process is gone from `/proc`.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Real user.
    pub uid: u32,
    /// Parent; 0 where the record does not say.
    pub parent_pid: u32,
    /// The record is that of a new image.
    pub is_new_image: bool,
}

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
    /// Identity of a process that was seen in a kernel record, which also tells `comm`.
    pub fn identify(&mut self, key: ProcessKey, told: Told, comm: impl FnOnce() -> String) -> Arc<Identity> {
        if let Some(known) = self.known.get(&key) {
            if known.uid == told.uid {
                return Arc::clone(known);
            }
            let known = Arc::clone(known);
            return self.of_another_user(&known, told.uid);
        }
        if self.known.len() >= MAX_PROCESSES {
            self.known.clear();
        }
        let identity = Arc::new(self.read(key, told, comm()));
        self.known.insert(key, Arc::clone(&identity));
        identity
    }

    /// A process as it is known, else no more than which it is; nothing is remembered. For what is told after its end.
    pub fn known(&self, key: ProcessKey) -> Arc<Identity> {
        let unknown = || {
            Arc::new(Identity {
                key,
                uid: u32::MAX,
                login_uid: u32::MAX,
                ..Identity::default()
            })
        };
        self.known.get(&key).map_or_else(unknown, Arc::clone)
    }

    /// A process that became another user's without a new image: a daemon that began as root and gave that up.
    fn of_another_user(&mut self, known: &Identity, uid: u32) -> Arc<Identity> {
        let mut changed = Identity::clone(known);
        // A copy of a digest that nobody asked for would look like one that is on its way.
        if !is_wanted(&known.executable_digest, 2) {
            changed.executable_digest = FileDigest::default();
        }
        changed.uid = uid;
        changed.user = self.users.name(uid);
        let changed = Arc::new(changed);
        self.known.insert(changed.key, Arc::clone(&changed));
        changed
    }

    /// Has the executable of a process read, whose digest comes later. To be asked for processes that connect.
    pub fn want_digest(&mut self, identity: &mut Arc<Identity>) {
        if is_wanted(&identity.executable_digest, 1) {
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
        let known_uid = self.known.get(&key).map(|known| known.uid);
        let told = Told {
            uid: proc::real_uid(of.pid).or(known_uid).unwrap_or(u32::MAX),
            parent_pid: 0,
            is_new_image: false,
        };
        self.identify(key, told, || of.comm.clone())
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

    fn read(&mut self, key: ProcessKey, told: Told, comm: String) -> Identity {
        // The id may be another process's by now. A start that is not known is none.
        let start_ticks = key.start_ticks();
        let is_it = |stat: &proc::Stat| start_ticks == 0 || stat.start_ticks == start_ticks;
        let Some(stat) = proc::stat(key.pid).filter(is_it) else {
            return self.inherited(key, told, comm);
        };
        let login_uid = proc::login_uid(key.pid);
        let group = ControlGroup::parse(&proc::cgroup(key.pid).unwrap_or_default());
        let ancestry = ancestry(stat.parent_pid);
        let login_user = if login_uid == u32::MAX {
            String::new()
        } else {
            self.users.name(login_uid)
        };
        let lineage = Lineage {
            login_user,
            audit_session: proc::audit_session(key.pid),
            tty: proc::tty_name(stat.tty),
            ssh_client: self.ssh_client(&ancestry),
            invoking_uid: invoking_uid(&ancestry),
        };
        Identity {
            key,
            parent_pid: stat.parent_pid,
            comm,
            executable: executable(key.pid),
            uid: told.uid,
            login_uid,
            user: self.users.name(told.uid),
            ancestry,
            container_id: group.container_id,
            pod_uid: group.pod_uid,
            in_users_group: group.is_users,
            lineage,
            stdio_client: None,
            executable_digest: FileDigest::default(),
        }
    }

    /// A process that is gone already, as a worker that was forked for one call: it has of its parent what a fork inherits. The image only
    /// where nothing says that it had one of its own: that would have another name.
    fn inherited(&mut self, key: ProcessKey, told: Told, comm: String) -> Identity {
        let parent = self.parent(told.parent_pid, key.start_ns);
        let mut identity = Identity {
            key,
            parent_pid: told.parent_pid,
            uid: told.uid,
            user: self.users.name(told.uid),
            login_uid: u32::MAX,
            comm,
            ..Identity::default()
        };
        identity.lineage.audit_session = u32::MAX;
        let Some(parent) = parent else {
            return identity;
        };
        if !told.is_new_image && parent.comm == identity.comm {
            identity.executable.clone_from(&parent.executable);
            identity.executable_digest = Arc::clone(&parent.executable_digest);
        }
        identity.login_uid = parent.login_uid;
        identity.container_id.clone_from(&parent.container_id);
        identity.pod_uid.clone_from(&parent.pod_uid);
        identity.in_users_group = parent.in_users_group;
        identity.lineage = parent.lineage.clone();
        let above = Ancestor {
            pid: parent.key.pid,
            start_ticks: parent.key.start_ticks(),
            comm: parent.comm.clone(),
        };
        let all = std::iter::once(above).chain(parent.ancestry.iter().cloned());
        identity.ancestry = all.take(MAX_ANCESTORS).collect();
        identity
    }

    /// The process that had this id when another was started.
    fn parent(&mut self, pid: u32, child_start_ns: u64) -> Option<Arc<Identity>> {
        let was_there = |key: &&ProcessKey| key.pid == pid && key.start_ns <= child_start_ns;
        let known = self.known.keys().filter(was_there).max_by_key(|key| key.start_ns);
        if let Some(key) = known {
            return self.known.get(key).cloned();
        }
        let stat = proc::stat(pid)?;
        let parent = Ancestor {
            pid,
            start_ticks: stat.start_ticks,
            comm: stat.comm,
        };
        (stat.start_ticks * ProcessKey::TICK_NS <= child_start_ns).then(|| self.ancestor(&parent))
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

/// Whether a digest was asked for: whoever reads it holds it, too, beside so many identities.
fn is_wanted(digest: &FileDigest, identities: usize) -> bool {
    Arc::strong_count(digest) > identities || digest.get().is_some()
}

/// Container of a process, and whether it is one that a user may have made up.
pub(crate) fn group_of(pid: u32) -> ControlGroup {
    ControlGroup::parse(&proc::cgroup(pid).unwrap_or_default())
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
