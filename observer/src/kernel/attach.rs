//! Attaches to the TLS functions of one file, once per real inode, and knows what can be read of a process.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    os::fd::AsRawFd,
};

use observer_common::wire;

use super::{
    file_id::FileId,
    links::Link,
    load::Programs,
    probes::{ProbeState, call_programs},
    signs::Sign,
};
use crate::{
    coverage::{OpaqueReason, Readability},
    stacks::{How, Kind, Point, RefusalReason, Report, Stack},
};

/// One TLS stack of a file, and what became of its probes.
#[derive(Debug, Clone)]
pub struct AttachedStack {
    /// Which one.
    pub kind: Kind,
    /// How its functions were found.
    pub how: How,
    /// Version that the file states.
    pub version: Option<String>,
    /// Functions and their probes.
    pub probes: Vec<(String, ProbeState)>,
    /// Why its plaintext is not read; `None` when it is.
    pub opaque: Option<OpaqueReason>,
    /// It has functions for plaintext; of the two files of NSS only one has.
    pub carries_plaintext: bool,
}

/// A file with TLS stacks in it.
#[derive(Debug, Clone)]
pub struct TlsFile {
    /// Path under which it was first found.
    pub path: String,
    /// Its stacks.
    pub stacks: Vec<AttachedStack>,
    /// When its probes were in place, CLOCK_BOOTTIME, ns.
    pub since_ns: u64,
}

impl TlsFile {
    /// Functions and their probes, of all stacks.
    pub fn probes(&self) -> impl Iterator<Item = &(String, ProbeState)> {
        self.stacks.iter().flat_map(|stack| &stack.probes)
    }

    /// Whether plaintext of at least one stack is read.
    pub fn is_readable(&self) -> bool {
        self.stacks.iter().any(|stack| stack.opaque.is_none())
    }

    /// First reason why a probe was refused.
    pub fn failure(&self) -> Option<&str> {
        self.probes().find_map(|(_, state)| match state {
            ProbeState::Failed(reason) => Some(reason.as_str()),
            ProbeState::Attached => None,
        })
    }
}

/// Files that were looked at, and which of them each process has mapped.
#[derive(Debug, Default)]
pub struct Inventory {
    /// `None` for a file without a TLS stack, or one that is being examined.
    files: HashMap<FileId, Option<TlsFile>>,
    /// Files that are being examined.
    pending: BTreeSet<FileId>,
    /// Files of each process, and when it was looked at last. A process that is gone stays for a while: its connections end after it.
    processes: HashMap<u32, (BTreeSet<FileId>, u64)>,
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
        }
        self.files.insert(id, None);
        self.pending.insert(id);
        true
    }

    /// A file could not be examined yet, or is not attached to any more: it is new again.
    pub(super) fn forget(&mut self, id: FileId) {
        self.files.remove(&id);
        self.pending.remove(&id);
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

    /// Process `pid` had mapped these files at this time.
    pub(super) fn mapped(&mut self, pid: u32, files: &[FileId], at_ns: u64) {
        if self.changed.get(&pid).is_some_and(|changed| *changed <= at_ns) {
            self.changed.remove(&pid);
        }
        if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&pid) {
            self.processes
                .insert(pid, (files.iter().copied().collect(), at_ns));
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
        let files = self.processes.get(&pid).into_iter().flat_map(|(files, _)| files);
        files.filter_map(|id| self.files.get(id)?.as_ref()).collect()
    }

    /// What can be read of a process. A stack that cannot be read counts before one that can: what is not seen may have
    /// gone through it.
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
        let looked_ns = match self.processes.get(&pid) {
            Some((files, looked_ns)) if files.is_disjoint(&self.pending) => *looked_ns,
            // Not looked at, or not all its files were looked into.
            _ => return Readability::Unknown,
        };
        if self.changed.contains_key(&pid) {
            return Readability::Unknown;
        }
        let since = files.iter().map(|file| file.since_ns).max();
        since.map_or(Readability::NoStack { looked_ns }, |since_ns| {
            Readability::Readable { since_ns }
        })
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

    /// Each stack of each process that cannot be read, without processes that are gone.
    pub fn opaque_stacks(&self) -> Vec<(u32, &'static str, OpaqueReason)> {
        let alive = self.processes.keys().filter(|pid| !self.gone.contains(pid));
        let mut found: Vec<(u32, &'static str, OpaqueReason)> = Vec::new();
        for pid in alive {
            let files = self.of_process(*pid);
            let stacks = files.iter().flat_map(|file| &file.stacks);
            found.extend(stacks.filter_map(|s| Some((*pid, s.kind.name(), s.opaque?))));
        }
        for (pid, signs) in &self.signs {
            found.extend(signs.iter().map(|sign| (*pid, sign.runtime(), sign.reason())));
        }
        found
    }

    /// Processes with a TLS stack: all, readable ones, ones with a stack that cannot be read.
    pub fn process_counts(&self) -> (u32, u32, u32) {
        let (mut all, mut readable, mut opaque) = (0, 0, 0);
        for pid in self.processes.keys().filter(|pid| !self.gone.contains(pid)) {
            if self.of_process(*pid).is_empty() {
                continue;
            }
            all += 1;
            match self.readability(*pid) {
                Readability::Opaque(_) => opaque += 1,
                // Not known for a moment, while one more file is looked into.
                _ => readable += 1,
            }
        }
        (all, readable, opaque)
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

/// Attaches to what was found in a file, with the links that keep it so. `None` when it has no TLS stack.
pub(super) fn attach(
    programs: &mut Programs,
    file: &File,
    path: &str,
    report: &Report,
    now_ns: impl Fn() -> u64,
) -> Option<(TlsFile, Vec<Link>)> {
    if report.stacks.is_empty() {
        return None;
    }
    // The descriptor names the file whatever becomes of its path and whichever mount namespace it is in.
    let target = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut links = Vec::new();
    let stacks = report
        .stacks
        .iter()
        .map(|stack| attach_stack(programs, stack, &target, &mut links))
        .collect();
    let found = TlsFile {
        path: path.to_owned(),
        stacks,
        since_ns: now_ns(),
    };
    Some((found, links))
}

fn attach_stack(
    programs: &mut Programs,
    stack: &Stack,
    target: &str,
    links: &mut Vec<Link>,
) -> AttachedStack {
    let mut probes = Vec::new();
    if stack.is_readable() {
        for point in &stack.points {
            if let Some(state) = attach_point(programs, stack.kind, point, target, links) {
                probes.push((point.name.clone(), state));
            }
        }
    }
    let failed = probes.iter().any(|(_, state)| *state != ProbeState::Attached);
    let opaque = if failed {
        Some(OpaqueReason::AttachFailed)
    } else {
        opaque_reason(stack)
    };
    AttachedStack {
        kind: stack.kind,
        how: stack.how,
        version: stack.version.clone(),
        probes,
        opaque,
        carries_plaintext: stack.carries_plaintext(),
    }
}

/// Why the plaintext of a stack is not read; `None` when its functions were found.
pub fn opaque_reason(stack: &Stack) -> Option<OpaqueReason> {
    if stack.is_readable() {
        return None;
    }
    let why = |wanted| stack.refused.iter().any(|r| r.reason == wanted);
    Some(match stack.kind {
        Kind::Jsse => OpaqueReason::Jsse,
        Kind::Ring => OpaqueReason::Ring,
        Kind::Nss => OpaqueReason::Nss,
        Kind::GoTls => OpaqueReason::Go,
        Kind::BoringSsl => OpaqueReason::BoringSsl,
        Kind::OpenSsl => OpaqueReason::StaticOpenSsl,
        Kind::AwsLc => OpaqueReason::Rustls,
        Kind::GnuTls if why(RefusalReason::NotFound) => OpaqueReason::NoProbe,
        Kind::GnuTls => OpaqueReason::AttachFailed,
    })
}

/// Attaches the programs of one function; `None` when there are none for it.
fn attach_point(
    programs: &mut Programs,
    kind: Kind,
    point: &Point,
    target: &str,
    links: &mut Vec<Link>,
) -> Option<ProbeState> {
    let wanted = call_programs(kind, point.call)?;
    let at = [point.offset];
    let returns = wanted
        .at_returns
        .map(|program| (program, point.returns.as_slice()));
    // The returns first: a call that enters in between is then dropped, instead of being kept without an end.
    let order = returns
        .into_iter()
        .chain(wanted.exit.map(|program| (program, at.as_slice())))
        .chain([(wanted.enter, at.as_slice())]);
    for (program, offsets) in order {
        if let Err(reason) = programs.attach(program, target, offsets, links) {
            return Some(ProbeState::Failed(reason));
        }
    }
    Some(ProbeState::Attached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> FileId {
        FileId::numbered(inode)
    }

    fn file(kind: Kind, opaque: Option<OpaqueReason>, since_ns: u64) -> TlsFile {
        TlsFile {
            path: "/lib/x".to_owned(),
            stacks: vec![AttachedStack {
                kind,
                how: How::Symbols,
                version: None,
                probes: Vec::new(),
                opaque,
                carries_plaintext: true,
            }],
            since_ns,
        }
    }

    #[test]
    fn an_unreadable_stack_counts_before_a_readable_one() {
        let mut inventory = Inventory::default();
        assert!(inventory.is_new(id(1)) && inventory.is_new(id(2)) && !inventory.is_new(id(1)));
        inventory.mapped(9, &[id(1)], 3);
        assert_eq!(inventory.readability(9), Readability::Unknown, "being examined");
        inventory.examined(id(1));
        assert_eq!(inventory.readability(9), Readability::NoStack { looked_ns: 3 });
        inventory.replaced(9);
        inventory.found(id(1), file(Kind::OpenSsl, None, 5));
        inventory.found(id(2), file(Kind::Ring, Some(OpaqueReason::Ring), 6));
        inventory.mapped(10, &[id(1)], 3);
        inventory.mapped(11, &[id(1), id(2)], 3);
        inventory.mapped(12, &[], 3);
        assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
        assert_eq!(inventory.readability(11), Readability::Opaque(OpaqueReason::Ring));
        assert_eq!(inventory.readability(12), Readability::NoStack { looked_ns: 3 });
        assert_eq!(inventory.readability(13), Readability::Unknown);
        assert_eq!(inventory.process_counts(), (2, 1, 1));
        assert_eq!(
            inventory.opaque_stacks(),
            [(11, Kind::Ring.name(), OpaqueReason::Ring)]
        );
        // A file that was mapped behind the look may be the one that counts.
        inventory.changes(10, 7);
        assert_eq!(inventory.readability(10), Readability::Unknown);
        inventory.mapped(10, &[id(1)], 6);
        assert_eq!(
            inventory.readability(10),
            Readability::Unknown,
            "looked at before"
        );
        inventory.mapped(10, &[id(1)], 7);
        assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
        assert!(inventory.is_new(id(3)));
        inventory.mapped(10, &[id(1), id(3)], 8);
        assert_eq!(inventory.readability(10), Readability::Unknown, "being examined");
        inventory.changes(10, 9);
        inventory.keep(&BTreeSet::from([11]));
        assert!(inventory.changed.is_empty());
        inventory.keep(&BTreeSet::from([10]));
        assert_eq!(inventory.opaque_stacks(), []);
    }

    #[test]
    fn how_a_stack_was_found_is_known_by_process_and_only_when_it_is_one_way() {
        let mut inventory = Inventory::default();
        let how = |kind, how, opaque| {
            let mut file = file(kind, opaque, 5);
            file.stacks[0].how = how;
            Some(file)
        };
        let files = [
            how(Kind::OpenSsl, How::Symbols, None),
            how(Kind::OpenSsl, How::Structure, None),
            how(Kind::OpenSsl, How::Symbols, Some(OpaqueReason::StaticOpenSsl)),
            how(Kind::GoTls, How::Pclntab, None),
        ];
        for (inode, file) in (1..).zip(files) {
            inventory.files.insert(id(inode), file);
        }
        inventory.mapped(10, &[id(1), id(4)], 3);
        inventory.mapped(11, &[id(1), id(2)], 3);
        inventory.mapped(12, &[id(2), id(3)], 3);
        assert_eq!(inventory.found_by(10, wire::STACK_OPENSSL), Some(How::Symbols));
        assert_eq!(inventory.found_by(10, wire::STACK_GO), Some(How::Pclntab));
        assert_eq!(inventory.found_by(10, wire::STACK_BORINGSSL), None);
        assert_eq!(inventory.found_by(11, wire::STACK_OPENSSL), None);
        assert_eq!(inventory.found_by(12, wire::STACK_OPENSSL), Some(How::Structure));
        assert_eq!(inventory.found_by(13, wire::STACK_OPENSSL), None);
    }

    #[test]
    fn a_process_that_is_gone_is_remembered_until_the_next_sweep() {
        let mut inventory = Inventory::default();
        inventory.is_new(id(1));
        inventory.found(id(1), file(Kind::OpenSsl, None, 5));
        inventory.mapped(10, &[id(1)], 3);
        inventory.keep(&BTreeSet::new());
        assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
        assert_eq!(inventory.process_counts(), (0, 0, 0));
        inventory.keep(&BTreeSet::new());
        assert_eq!(inventory.readability(10), Readability::Unknown);
    }

    #[test]
    fn nss_is_read_through_nspr_only() {
        let half = |carries_plaintext| {
            let mut file = file(Kind::Nss, None, 5);
            file.stacks[0].carries_plaintext = carries_plaintext;
            file
        };
        let mut inventory = Inventory::default();
        inventory.is_new(id(1));
        inventory.found(id(1), half(false));
        inventory.mapped(9, &[id(1)], 3);
        assert_eq!(inventory.readability(9), Readability::Opaque(OpaqueReason::Nss));
        inventory.is_new(id(2));
        inventory.found(id(2), half(true));
        inventory.mapped(9, &[id(1), id(2)], 3);
        assert_eq!(inventory.readability(9), Readability::Readable { since_ns: 5 });
    }
}
