//! What discovery knows: files with their TLS stacks, and what can be read of each process.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use observer_common::wire;

use super::{
    attach::{TlsFile, Unread},
    file_id::FileId,
    signs::Sign,
};
use crate::{
    coverage::{OpaqueReason, Readability},
    stacks::{How, Kind},
};

/// Whether all that a process has mapped was found at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// It was.
    Whole,
    /// A file could not be opened, or there are more than are looked at.
    Part,
    /// The process ended meanwhile.
    Ended,
}

/// A look at a process.
#[derive(Debug)]
struct Look {
    files: BTreeSet<FileId>,
    at_ns: u64,
    extent: Extent,
}

/// Files that were looked at, and which of them each process has mapped.
#[derive(Debug, Default)]
pub struct Inventory {
    /// `None` for a file without a TLS stack, or one that is being examined.
    files: BTreeMap<FileId, Option<TlsFile>>,
    /// Files that are being examined.
    pending: BTreeSet<FileId>,
    /// What of a file is not read beside its stacks.
    unread: HashMap<FileId, BTreeSet<Unread>>,
    /// The last look at each process. A process that is gone stays for a while: its connections end after it.
    processes: HashMap<u32, Look>,
    /// Processes that mapped a new file since they were looked at, and when.
    changed: HashMap<u32, u64>,
    /// Processes that were gone at the last sweep.
    gone: BTreeSet<u32>,
    /// Processes that show signs of a model inside them.
    signs: HashMap<u32, BTreeSet<Sign>>,
}

/// Most files remembered; beyond it the ones without a TLS stack are forgotten and looked at again.
const MAX_FILES: usize = 65_536;
/// Most processes remembered.
const MAX_PROCESSES: usize = 65_536;

impl Inventory {
    /// Files with a TLS stack.
    pub fn tls_files(&self) -> impl Iterator<Item = &TlsFile> {
        self.files.values().flatten()
    }

    /// Whether a file is new; from now on it is not.
    pub(super) fn is_new(&mut self, id: FileId) -> bool {
        if self.files.contains_key(&id) {
            return false;
        }
        if self.files.len() >= MAX_FILES {
            self.files.retain(|_, tls| tls.is_some());
            self.unread.retain(|id, _| self.files.contains_key(id));
        }
        self.files.insert(id, None);
        self.pending.insert(id);
        true
    }

    /// A file could not be examined yet, or is not attached to any more: it is new again.
    pub(super) fn forget(&mut self, id: FileId) {
        self.files.remove(&id);
        self.pending.remove(&id);
        self.unread.remove(&id);
    }

    /// A file is one that is attached to as `same`: two file systems show it.
    pub(super) fn is_also(&mut self, id: FileId, same: FileId) {
        self.forget(id);
        for look in self.processes.values_mut() {
            if look.files.remove(&id) {
                look.files.insert(same);
            }
        }
    }

    /// Whether a file is known, or being examined.
    pub(super) fn knows(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// Whether a state of this inode was found to have a TLS stack.
    pub(super) fn has_stack_in(&self, id: FileId) -> bool {
        self.files.range(id.states()).any(|(_, file)| file.is_some())
    }

    /// What of a file is not read.
    pub(super) fn not_read(&mut self, id: FileId, unread: BTreeSet<Unread>) {
        if !unread.is_empty() && self.knows(id) {
            self.unread.insert(id, unread);
        }
    }

    /// The file with this inode number that process `pid` had mapped at the last look.
    pub(super) fn file_of(&self, pid: u32, inode: u64) -> Option<FileId> {
        let mut files = self.processes.get(&pid)?.files.iter().copied();
        files.find(|id| id.inode() == inode && self.knows(*id))
    }

    /// Path of a file with a TLS stack.
    pub(super) fn path_of(&self, id: FileId) -> Option<&str> {
        Some(self.files.get(&id)?.as_ref()?.path.as_str())
    }

    /// A file was examined.
    pub(super) fn examined(&mut self, id: FileId) {
        self.pending.remove(&id);
    }

    /// Whether process `pid` has been looked at since its image began, and all of these files are known or being examined.
    pub(super) fn has_seen(&self, pid: u32, files: &[FileId]) -> bool {
        self.processes.contains_key(&pid) && files.iter().all(|id| self.files.contains_key(id))
    }

    /// Whether a file is being examined.
    pub(super) fn is_pending(&self, id: FileId) -> bool {
        self.pending.contains(&id)
    }

    /// Takes over what was found in a file.
    pub(super) fn found(&mut self, id: FileId, file: TlsFile) {
        self.pending.remove(&id);
        self.files.insert(id, Some(file));
    }

    /// Process `pid` had mapped these files at this time; `extent` says whether these are all.
    pub(super) fn mapped(&mut self, pid: u32, files: &[FileId], at_ns: u64, extent: Extent) {
        if self.changed.get(&pid).is_some_and(|changed| *changed <= at_ns) {
            self.changed.remove(&pid);
        }
        if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&pid) {
            let look = Look {
                files: files.iter().copied().collect(),
                at_ns,
                extent,
            };
            self.processes.insert(pid, look);
        }
    }

    /// Process `pid` maps a new file: what is known about it is not all, until it is looked at again.
    pub(super) fn changes(&mut self, pid: u32, at_ns: u64) {
        if self.changed.len() < MAX_PROCESSES || self.changed.contains_key(&pid) {
            self.changed.insert(pid, at_ns);
        }
    }

    /// Process `pid` has another image now: nothing is known about it until it is looked at.
    pub(super) fn replaced(&mut self, pid: u32) {
        self.changed.remove(&pid);
        self.processes.remove(&pid);
        self.signs.remove(&pid);
    }

    /// Process `pid` shows these signs of a model inside it. What it showed once stays: a file can be closed when it is read.
    pub(super) fn shows(&mut self, pid: u32, signs: BTreeSet<Sign>) {
        if !signs.is_empty() && (self.signs.len() < MAX_PROCESSES || self.signs.contains_key(&pid)) {
            self.signs.entry(pid).or_default().extend(signs);
        }
    }

    /// Forgets processes that were not alive twice.
    pub(super) fn keep(&mut self, alive: &BTreeSet<u32>) {
        let gone: BTreeSet<u32> = self
            .processes
            .keys()
            .filter(|pid| !alive.contains(pid))
            .copied()
            .collect();
        for pid in gone.intersection(&self.gone) {
            self.processes.remove(pid);
        }
        self.gone = gone;
        self.changed.retain(|pid, _| alive.contains(pid));
        self.signs.retain(|pid, _| alive.contains(pid));
    }

    /// TLS files of a process.
    pub fn of_process(&self, pid: u32) -> Vec<&TlsFile> {
        let files = self.processes.get(&pid).into_iter().flat_map(|look| &look.files);
        files.filter_map(|id| self.files.get(id)?.as_ref()).collect()
    }

    /// What of the files of a process is not read beside their stacks.
    fn unread_of(&self, pid: u32) -> impl Iterator<Item = Unread> {
        let files = self.processes.get(&pid).into_iter().flat_map(|look| &look.files);
        files.filter_map(|id| self.unread.get(id)).flatten().copied()
    }

    /// What can be read of a process. A stack that cannot be read, and a file that may have one, counts before a stack that can: what
    /// is not seen may have gone through it.
    pub fn readability(&self, pid: u32) -> Readability {
        let files = self.of_process(pid);
        let stacks = || files.iter().flat_map(|file| &file.stacks);
        if let Some(reason) = stacks().find_map(|stack| stack.opaque) {
            return Readability::Opaque(reason);
        }
        // NSS without the file that carries its plaintext.
        let mut nss = stacks().filter(|stack| stack.kind == Kind::Nss).peekable();
        if nss.peek().is_some() && !nss.any(|stack| stack.carries_plaintext) {
            return Readability::Opaque(OpaqueReason::Nss);
        }
        if let Some((_, reason)) = self.unread_of(pid).next() {
            return Readability::Opaque(reason);
        }
        let is_examined = |id: &FileId| self.knows(*id) && !self.is_pending(*id);
        let look = match self.processes.get(&pid) {
            Some(look) if look.files.iter().all(is_examined) => look,
            // Not looked at, or not all its files were looked into.
            _ => return Readability::Unknown,
        };
        if self.changed.contains_key(&pid) {
            return Readability::Unknown;
        }
        let looked_ns = look.at_ns;
        let since = files.iter().map(|file| file.since_ns).max();
        match (look.extent, since) {
            (Extent::Part, _) => Readability::Opaque(OpaqueReason::NotExamined),
            (_, Some(since_ns)) => Readability::Readable { since_ns },
            (Extent::Whole, None) => Readability::NoStack { looked_ns },
            (Extent::Ended, None) => Readability::Unknown,
        }
    }

    /// How the functions of a stack (`wire::STACK_*`) of a process were found. `None` when that is not known, also when
    /// it has that stack in several files and their functions were found in different ways.
    pub fn found_by(&self, pid: u32, stack: u8) -> Option<How> {
        let files = self.of_process(pid);
        let mut found = files
            .iter()
            .flat_map(|file| &file.stacks)
            .filter(|s| s.opaque.is_none() && wire_stack(s.kind) == Some(stack))
            .map(|s| s.how);
        let first = found.next()?;
        found.all(|how| how == first).then_some(first)
    }

    /// Each stack of each process that cannot be read, and each process with a file that was not examined, without processes that are
    /// gone.
    pub fn opaque_stacks(&self) -> Vec<(u32, &'static str, OpaqueReason)> {
        let alive = self.processes.iter().filter(|(pid, _)| !self.gone.contains(pid));
        let mut found: Vec<(u32, &'static str, OpaqueReason)> = Vec::new();
        for (pid, look) in alive {
            let files = self.of_process(*pid);
            let stacks = files.iter().flat_map(|file| &file.stacks);
            found.extend(stacks.filter_map(|s| Some((*pid, s.kind.name(), s.opaque?))));
            let mut unread: BTreeSet<Unread> = self.unread_of(*pid).collect();
            if look.extent == Extent::Part {
                unread.insert(("", OpaqueReason::NotExamined));
            }
            found.extend(
                unread
                    .into_iter()
                    .map(|(runtime, reason)| (*pid, runtime, reason)),
            );
        }
        for (pid, signs) in &self.signs {
            found.extend(signs.iter().map(|sign| (*pid, sign.runtime(), sign.reason())));
        }
        found
    }

    /// Processes with a TLS stack: all, readable ones, ones with a stack that cannot be read, or with a file that may have one.
    pub fn process_counts(&self) -> (u32, u32, u32) {
        let (mut readable, mut opaque) = (0, 0);
        for pid in self.processes.keys().filter(|pid| !self.gone.contains(pid)) {
            match self.readability(*pid) {
                Readability::Opaque(_) => opaque += 1,
                // Not known for a moment, while one more file is looked into.
                _ if !self.of_process(*pid).is_empty() => readable += 1,
                _ => {}
            }
        }
        (readable + opaque, readable, opaque)
    }
}

/// Number that a stack has in kernel records (`wire::STACK_*`); `None` for one that never gives any.
fn wire_stack(kind: Kind) -> Option<u8> {
    match kind {
        Kind::OpenSsl => Some(wire::STACK_OPENSSL),
        Kind::BoringSsl => Some(wire::STACK_BORINGSSL),
        Kind::GnuTls => Some(wire::STACK_GNUTLS),
        Kind::GoTls => Some(wire::STACK_GO),
        Kind::AwsLc => Some(wire::STACK_AWS_LC),
        Kind::Nss => Some(wire::STACK_NSS),
        Kind::Ring => Some(wire::STACK_RING),
        Kind::Jsse => None,
    }
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
