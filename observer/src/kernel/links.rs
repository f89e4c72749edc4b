//! Where function programs are attached, by file. A probe stays as long as somebody may run into it: it holds the file's inode (the
//! space of a deleted one, too) and its mount, so it goes when no process maps the file any more. Files with a name stay attached for a
//! while, up to a bound, since whoever starts them next may be over before they could be attached to again.

use std::{
    collections::HashMap,
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use aya::programs::uprobe::UProbeLink;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::file_id::FileId;

/// Threads that detach at the end: the kernel waits for each link, and waits together where it is asked at once.
const DETACHING: usize = 32;

/// Most files that keep their probes although no process maps them. Those that programs are expected to map (libraries of the host) are
/// not among them.
const MAX_UNUSED: usize = 128;

/// How long a file is to be without a process: longer than a sweep takes to come round.
const UNUSED_NS: u64 = 20_000_000_000;

/// A program at a place. Dropping it detaches, which the kernel takes up to a tenth of a second for.
pub(super) enum Link {
    /// Uprobe multi: all places in a file.
    Multi {
        /// Held for its end.
        _link: OwnedFd,
    },
    /// Perf event: one place.
    Perf {
        /// Held for its end.
        _link: UProbeLink,
    },
}

/// A file that programs are attached to.
struct Held {
    /// Tells whether it still has a name; `None` when no descriptor was left for it.
    file: Option<File>,
    links: Vec<Link>,
    /// When a process was last seen to map it, CLOCK_BOOTTIME, ns.
    used_ns: u64,
    /// Programs are expected to map it.
    expected: bool,
}

/// What the choice of files to let go depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    id: FileId,
    used_ns: u64,
    expected: bool,
    deleted: bool,
}

/// All places, by file.
#[derive(Default)]
pub(super) struct Links {
    files: HashMap<FileId, Held>,
}

impl Links {
    /// Keeps the links of a file.
    pub(super) fn hold(&mut self, id: FileId, file: &File, links: Vec<Link>, at_ns: u64) {
        let held = Held {
            file: file.try_clone().ok(),
            links,
            used_ns: at_ns,
            expected: false,
        };
        // Its probes of before its time was changed would see each call once more.
        self.files.retain(|other, _| !other.is_same_inode(id));
        self.files.insert(id, held);
    }

    /// What is held so far, programs are expected to map.
    pub(super) fn expect_all(&mut self) {
        self.files.values_mut().for_each(|held| held.expected = true);
    }

    /// A process maps this file.
    pub(super) fn used(&mut self, id: FileId, at_ns: u64) {
        if let Some(held) = self.files.get_mut(&id) {
            held.used_ns = at_ns;
        }
    }

    /// A process maps a file with this inode number, which could not be opened.
    pub(super) fn used_inode(&mut self, inode: u64, at_ns: u64) {
        let same = self.files.iter_mut().filter(|(id, _)| id.inode() == inode);
        same.for_each(|(_, held)| held.used_ns = at_ns);
    }

    /// Lets files go that no process maps, after all processes were looked at. They are detached by a thread of their own.
    pub(super) fn release(&mut self, now_ns: u64) -> Vec<FileId> {
        let states = self.files.iter().map(|(id, held)| State {
            id: *id,
            used_ns: held.used_ns,
            expected: held.expected,
            deleted: held.file.as_ref().is_some_and(is_deleted),
        });
        let ids = to_release(states.collect(), now_ns);
        let gone: Vec<Held> = ids.iter().filter_map(|id| self.files.remove(id)).collect();
        if !gone.is_empty() {
            // A thread that cannot be started drops them here and now.
            let detacher = std::thread::Builder::new().name("detacher".into());
            let _ = detacher.spawn(move || drop(gone));
        }
        ids
    }
}

/// Each place needs a descriptor, so as many are allowed as this process may have.
pub(super) fn allow_many() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// Whether a file has no name any more.
fn is_deleted(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.nlink() == 0)
}

/// Files that are to be let go: deleted ones that no process maps, and of the others those beyond the bound, longest unused first.
fn to_release(mut files: Vec<State>, now_ns: u64) -> Vec<FileId> {
    files.retain(|file| file.used_ns + UNUSED_NS <= now_ns && (file.deleted || !file.expected));
    files.sort_by_key(|file| (!file.deleted, file.used_ns, file.id));
    let deleted = files.iter().filter(|file| file.deleted).count();
    let surplus = (files.len() - deleted).saturating_sub(MAX_UNUSED);
    files.truncate(deleted + surplus);
    files.into_iter().map(|file| file.id).collect()
}

impl Drop for Links {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.files);
        let mut links: Vec<Link> = held.into_values().flat_map(|held| held.links).collect();
        let share = links.len().div_ceil(DETACHING).max(1);
        std::thread::scope(|scope| {
            while !links.is_empty() {
                let part = links.split_off(links.len().saturating_sub(share));
                scope.spawn(move || drop(part));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 100 * UNUSED_NS;

    fn state(inode: u64, used_ns: u64, expected: bool, deleted: bool) -> State {
        State {
            id: FileId::numbered(inode),
            used_ns,
            expected,
            deleted,
        }
    }

    #[test]
    fn deleted_files_go_when_nobody_maps_them() {
        let files = vec![
            state(1, NOW - UNUSED_NS, false, true),
            state(2, NOW - UNUSED_NS + 1, false, true),
            state(3, 0, false, false),
            state(4, 0, true, false),
            state(5, 0, true, true),
        ];
        assert_eq!(to_release(files, NOW), [5, 1].map(FileId::numbered));
    }

    #[test]
    fn of_files_with_a_name_a_bounded_number_stays_the_latest_used_ones() {
        let mut files: Vec<State> = (0..MAX_UNUSED as u64 + 3)
            .map(|n| state(n, 1000 - n, false, false))
            .collect();
        // Used ones, and those of the host, are not counted.
        files.extend([state(900, NOW, false, false), state(901, 0, true, false)]);
        let last = MAX_UNUSED as u64;
        assert_eq!(
            to_release(files, NOW),
            [last + 2, last + 1, last].map(FileId::numbered)
        );
    }

    #[test]
    fn a_file_is_deleted_when_its_last_name_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let file = File::create(&path).unwrap();
        assert!(!is_deleted(&file));
        std::fs::remove_file(path).unwrap();
        assert!(is_deleted(&file));
    }

    #[test]
    fn use_of_a_file_that_cannot_be_opened_goes_by_its_number() {
        let file = tempfile::tempfile().unwrap();
        let mut links = Links::default();
        for inode in [7, 8] {
            links.hold(FileId::numbered(inode), &file, Vec::new(), 0);
        }
        links.used_inode(7, NOW);
        assert_eq!(links.release(NOW), [FileId::numbered(8)]);
        assert_eq!(links.files.len(), 1);
    }
}
