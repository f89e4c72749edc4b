//! Where function programs are attached, by file. A probe stays as long as somebody may run into it: it holds the file's inode (the
//! space of a deleted one, too) and its mount, so it goes when no process maps the file any more. Files with a name stay attached for a
//! while, up to a bound, since whoever starts them next may be over before they could be attached to again. They go when the file is
//! written over, since a probe in the middle of an instruction kills the program that runs into it: at the end of the writing where that is told,
//! else with the next sweep.

use std::{
    collections::HashMap,
    fs::File,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use aya::programs::uprobe::UProbeLink;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::{
    clock::wall_ns,
    file_id::FileId,
    known::{Identity, Place},
};

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
    /// Code at the places when it was attached to.
    code: Vec<Place>,
    /// State in which the code was still the same, once that is old enough to tell it from a later one.
    compared: Option<Identity>,
    links: Vec<Link>,
    /// When a process was last seen to map it, CLOCK_BOOTTIME, ns.
    used_ns: u64,
    /// Programs are expected to map it.
    expected: bool,
}

impl Held {
    /// Whether the code at a place is another one by now: the file was written over.
    fn is_written_over(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        let state = Identity::of(file);
        if state.is_some() && state == self.compared {
            return false;
        }
        let is_same = self.code.iter().all(|place| place.is_in(file));
        self.compared = state.filter(|state| is_same && state.is_settled(wall_ns()));
        !is_same
    }

    /// In which state it is now.
    fn state(&self) -> Option<FileId> {
        Some(FileId::of(self.file.as_ref()?)?.0)
    }
}

/// What all file systems that show an inode say of it: its number, size and times of change. Several overlays say another number.
fn shown(file: &File) -> Option<(u64, u64, [i64; 4])> {
    let meta = file.metadata().ok()?;
    let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
    Some((meta.ino(), meta.len(), times))
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
    /// Keeps the links of a file, which has this code at their places. Gives earlier states of it, which are detached from.
    pub(super) fn hold(
        &mut self,
        id: FileId,
        file: &File,
        code: Vec<Place>,
        links: Vec<Link>,
        at_ns: u64,
    ) -> Vec<FileId> {
        let held = Held {
            file: file.try_clone().ok(),
            code,
            compared: None,
            links,
            used_ns: at_ns,
            expected: false,
        };
        // The probes of before its time was changed would see each call once more. Other overlays may still show that state.
        let earlier = self.let_go(|other, held| {
            other.is_same_inode(id) || other.may_be_same_inode(id) && held.state() == Some(id)
        });
        self.files.insert(id, held);
        earlier
    }

    /// Detaches from what was written over since it was attached to: of the files with the number of this inode, or of all. It is done
    /// when this returns: the kernel keeps the old instruction as long as one probe is left at its place.
    pub(super) fn let_go_of_written(&mut self, id: Option<FileId>) -> Vec<FileId> {
        self.let_go(|other, held| id.is_none_or(|id| id.inode() == other.inode()) && held.is_written_over())
    }

    fn let_go(&mut self, mut is_chosen: impl FnMut(FileId, &mut Held) -> bool) -> Vec<FileId> {
        let gone: Vec<(FileId, Held)> = self.files.extract_if(|id, held| is_chosen(*id, held)).collect();
        let (ids, held): (Vec<FileId>, Vec<Held>) = gone.into_iter().unzip();
        detach(held.into_iter().flat_map(|held| held.links).collect());
        ids
    }

    /// The file that another file system shows as `id`: each container mounts an overlay over the layers of its image, and what was
    /// attached to in the layer has its probes in all of them.
    pub(super) fn same_file(&self, id: FileId, file: &File) -> Option<FileId> {
        let wanted = shown(file)?;
        let is_same = |(other, held): &(&FileId, &Held)| {
            other.inode() == id.inode()
                && other.is_on_overlay() != id.is_on_overlay()
                && held.file.as_ref().and_then(shown) == Some(wanted)
                && held.state() == Some(**other)
        };
        self.files.iter().find(is_same).map(|(id, _)| *id)
    }

    /// The file with this inode, where that can be told by its number: it is kept open, so the number is no other file's.
    pub(super) fn held_at(&self, device: u64, inode: u64) -> Option<FileId> {
        let mut ids = self
            .files
            .iter()
            .filter(|(_, held)| held.file.is_some())
            .map(|(id, _)| *id);
        ids.find(|id| id.is_at(device, inode))
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

    /// Lets files go that no process maps, after a look at all processes that began at `begun_ns`: those that were looked at first were
    /// looked at then. They are detached by a thread of their own.
    pub(super) fn release(&mut self, begun_ns: u64) -> Vec<FileId> {
        let states = self.files.iter().map(|(id, held)| State {
            id: *id,
            used_ns: held.used_ns,
            expected: held.expected,
            deleted: held.file.as_ref().is_some_and(is_deleted),
        });
        let ids = to_release(states.collect(), begun_ns);
        let gone = ids.iter().filter_map(|id| self.files.remove(id));
        let links: Vec<Link> = gone.flat_map(|held| held.links).collect();
        if !links.is_empty() {
            // A thread that cannot be started drops them here and now.
            let detacher = std::thread::Builder::new().name("detacher".into());
            let _ = detacher.spawn(move || detach(links));
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

/// Detaches from all of these, many at once.
fn detach(mut links: Vec<Link>) {
    let share = links.len().div_ceil(DETACHING).max(1);
    std::thread::scope(|scope| {
        while !links.is_empty() {
            let part = links.split_off(links.len().saturating_sub(share));
            // A thread that cannot be started drops them here and now.
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(part));
        }
    });
}

impl Drop for Links {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.files);
        detach(held.into_values().flat_map(|held| held.links).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

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
            links.hold(FileId::numbered(inode), &file, Vec::new(), Vec::new(), 0);
        }
        links.used_inode(7, NOW);
        assert_eq!(links.release(NOW), [FileId::numbered(8)]);
        assert_eq!(links.files.len(), 1);
        assert_eq!(links.held_at(1, 7), Some(FileId::numbered(7)));
        assert_eq!((links.held_at(2, 7), links.held_at(1, 8)), (None, None));
    }

    #[test]
    fn a_sweep_may_take_as_long_as_it_does() {
        let file = tempfile::tempfile().unwrap();
        let mut links = Links::default();
        links.hold(FileId::numbered(7), &file, Vec::new(), Vec::new(), 0);
        // The first process of a sweep that began now, and ends after any time.
        links.used(FileId::numbered(7), NOW + 1);
        assert_eq!(links.release(NOW), []);
    }

    /// A file on no overlay with code, held with what stands at two places.
    fn held(links: &mut Links) -> (File, FileId) {
        let file = tempfile::tempfile_in("/dev/shm")
            .or_else(|_| tempfile::tempfile())
            .unwrap();
        file.write_all_at(&[0x90; 4096], 0).unwrap();
        let id = FileId::of(&file).unwrap().0;
        let code = [100, 2000].map(|at| Place::read(&file, at).unwrap());
        links.hold(id, &file, code.into(), Vec::new(), 0);
        (file, id)
    }

    #[test]
    fn a_file_that_is_written_over_loses_its_probes_before_it_is_examined_again() {
        for written in [100, 2015] {
            let mut links = Links::default();
            let (file, id) = held(&mut links);
            assert_eq!(links.let_go_of_written(None), []);
            // Another time and other bytes between the places are no reason.
            file.write_all_at(b"x", 1000).unwrap();
            assert_eq!(links.let_go_of_written(FileId::of(&file).map(|of| of.0)), []);
            file.write_all_at(b"x", written).unwrap();
            assert_eq!(
                links.let_go_of_written(Some(FileId::numbered(0))),
                [],
                "another inode"
            );
            // Whatever its identity is by now.
            assert_eq!(
                links.let_go_of_written(Some(FileId::seen_through_overlay(&file))),
                [id]
            );
            assert_eq!(links.let_go_of_written(None), []);
        }
        let mut links = Links::default();
        let (file, id) = held(&mut links);
        file.set_len(0).unwrap();
        assert_eq!(links.let_go_of_written(None), [id]);
    }

    #[test]
    fn an_earlier_state_of_a_file_goes_when_the_new_one_is_held() {
        let mut links = Links::default();
        let (file, id) = held(&mut links);
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let new = FileId::of(&file).unwrap().0;
        assert_eq!(links.hold(new, &file, Vec::new(), Vec::new(), 0), [id]);
        // Through an overlay the old one may be another container's still.
        let through = FileId::seen_through_overlay(&file);
        links.hold(through, &file, Vec::new(), Vec::new(), 0);
        assert_eq!(links.files.len(), 2);
    }

    #[test]
    fn a_file_of_a_layer_and_the_same_one_through_an_overlay_are_attached_to_once() {
        let mut links = Links::default();
        let (file, id) = held(&mut links);
        let through = FileId::seen_through_overlay(&file);
        assert_eq!(links.same_file(through, &file), Some(id));
        assert_eq!(links.same_file(id, &file), None, "itself");
        let other = tempfile::tempfile().unwrap();
        assert_eq!(links.same_file(through, &other), None, "copied up");
        // Written since it was attached to: its probes are of other code.
        file.write_all_at(b"x", 1000).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(links.same_file(FileId::seen_through_overlay(&file), &file), None);
    }
}
