//! What earlier runs found in large files, on disk: after a restart they are covered at once instead of examined again.
//!
//! A file is the same when device, inode, size and both times of change are, which no write to it leaves alone. A copy of it (another container's
//! image, a package installed once more) is known by its size and a digest of samples from all over it, since a digest of the whole takes as long as
//! the examination, many files state no build id, and two can state the same one. Since a probe in the middle of an
//! instruction kills the program that runs into it, the code at every place is compared, too, before either is believed.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    stacks::Report,
    state::{read_private, write_whole},
};

/// Smaller files are examined faster than it is worth to remember them.
const MIN_SIZE: u64 = 1 << 20;

/// Most files that are remembered; beyond it a new one takes the place of the one that was asked for longest ago.
const MAX_FILES: usize = 1024;

/// Most places of one file; Go's have one for each return.
const MAX_PLACES: usize = 256;

/// Bytes of code that are compared at each place: the longest instruction has 15.
const CODE_LEN: usize = 16;

/// Samples of a file, and the bytes of each: the headers are in the first one.
const SAMPLES: u64 = 64;
const SAMPLE_LEN: usize = 4096;

/// One state of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub(super) fn of(file: &File) -> Option<Self> {
        let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Whether a change after this state would show: file systems tell times in steps of some milliseconds.
    pub(super) fn is_settled(&self, wall_ns: i64) -> bool {
        const STEPS_NS: i64 = 1_000_000_000;
        let (seconds, ns) = self.changed;
        let changed_ns = seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        wall_ns.saturating_sub(changed_ns) > STEPS_NS
    }
}

/// Size of a file and SHA-256 of samples from all over it: the same for each copy of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Content(u64, [u8; 32]);

impl Content {
    fn of(file: &File) -> Option<Self> {
        let size = file.metadata().ok()?.len();
        let last = size.saturating_sub(SAMPLE_LEN as u64);
        let (mut digest, mut sample) = (Sha256::new(), [0; SAMPLE_LEN]);
        for n in 0..SAMPLES {
            let len = file.read_at(&mut sample, last * n / (SAMPLES - 1)).ok()?;
            digest.update(sample.get(..len)?);
        }
        Some(Self(size, digest.finalize().into()))
    }
}

/// Code at one place, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    offset: u64,
    code: String,
}

impl Place {
    pub(super) fn read(file: &File, offset: u64) -> Option<Self> {
        let mut code = [0; CODE_LEN];
        let len = file.read_at(&mut code, offset).ok()?;
        let code = hex::encode(code.get(..len)?);
        Some(Self { offset, code })
    }

    /// Whether a file has this code there.
    pub(super) fn is_in(&self, file: &File) -> bool {
        Self::read(file, self.offset).as_ref() == Some(self)
    }
}

/// Where a file is probed.
fn offsets(report: &Report) -> impl Iterator<Item = u64> {
    let points = report.stacks.iter().flat_map(|stack| &stack.points);
    points.flat_map(|point| [point.offset].into_iter().chain(point.returns.iter().copied()))
}

/// Code at the places where a file is probed.
pub(super) fn code(file: &File, report: &Report) -> Vec<Place> {
    offsets(report)
        .filter_map(|offset| Place::read(file, offset))
        .collect()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    file: Identity,
    content: Content,
    report: Report,
    places: Vec<Place>,
    /// When it was asked for, by [`KnownFiles::asked`]; 0 since the start never.
    #[serde(skip)]
    asked: u64,
}

impl Entry {
    fn new(id: Identity, file: &File, report: &Report) -> Option<Self> {
        let offsets: Vec<u64> = offsets(report).collect();
        if offsets.len() > MAX_PLACES {
            return None;
        }
        Some(Self {
            file: id,
            content: Content::of(file)?,
            report: report.clone(),
            places: offsets
                .into_iter()
                .map(|offset| Place::read(file, offset))
                .collect::<Option<_>>()?,
            asked: 0,
        })
    }

    /// Whether a file has the same code at each place.
    fn fits(&self, file: &File) -> bool {
        self.places.iter().all(|place| place.is_in(file))
    }
}

/// The file on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    /// Executable of the daemon that wrote it: another build may find more, or elsewhere.
    by: Identity,
    files: Vec<Entry>,
}

/// Reports of files by their state.
#[derive(Debug, Default)]
pub struct KnownFiles {
    /// `None`: nothing is read from disk or written.
    path: Option<PathBuf>,
    files: HashMap<Identity, Entry>,
    /// A file of each content.
    contents: HashMap<Content, Identity>,
    changed: bool,
    /// Counts what was asked for or remembered.
    asked: u64,
}

impl KnownFiles {
    /// What is remembered at `path`. What cannot be used (another build's, damaged, open to others) is as if it were not there, and logged.
    pub fn open(path: &Path) -> Self {
        let files = match load(path) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, "files known from earlier runs are examined again");
                HashMap::new()
            }
        };
        Self {
            path: Some(path.to_owned()),
            contents: contents(&files),
            files,
            changed: false,
            asked: 0,
        }
    }

    /// The report of a file that is as it was, or of one that it is a copy of, code at its places included.
    pub(super) fn report(&mut self, file: &File) -> Option<Report> {
        let mut id = Identity::of(file).filter(|id| id.size >= MIN_SIZE)?;
        if !self.files.contains_key(&id) {
            id = *self.contents.get(&Content::of(file)?)?;
        }
        let entry = self.files.get_mut(&id)?;
        self.asked += 1;
        entry.asked = self.asked;
        entry.fits(file).then(|| entry.report.clone())
    }

    /// Remembers what was found in a file, if that is worth it.
    pub(super) fn remember(&mut self, file: &File, report: &Report) {
        let Some(id) = Identity::of(file).filter(|id| id.size >= MIN_SIZE && self.path.is_some()) else {
            return;
        };
        let Some(mut entry) = Entry::new(id, file, report) else {
            return;
        };
        if !self.files.contains_key(&id) {
            self.make_room();
        }
        self.asked += 1;
        entry.asked = self.asked;
        self.contents.insert(entry.content, id);
        self.files.insert(id, entry);
        self.changed = true;
    }

    fn make_room(&mut self) {
        while self.files.len() >= MAX_FILES {
            let Some(oldest) = self.files.values().min_by_key(|entry| entry.asked) else {
                return;
            };
            let id = oldest.file;
            self.files.remove(&id);
            // A copy may be known still.
            self.contents = contents(&self.files);
        }
    }

    /// Writes what is new. An error is logged; the files are then examined again after the next start.
    pub(super) fn save(&mut self) {
        let Some(path) = self.path.as_ref().filter(|_| self.changed) else {
            return;
        };
        self.changed = false;
        let Some(by) = own_executable() else {
            return;
        };
        let files = self.files.values().cloned().collect();
        let written = serde_json::to_vec(&Document { by, files })
            .map_err(std::io::Error::other)
            .and_then(|bytes| write_whole(path, &bytes, 0o600, false));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "cannot remember examined files");
        }
    }
}

fn contents(files: &HashMap<Identity, Entry>) -> HashMap<Content, Identity> {
    files.values().map(|entry| (entry.content, entry.file)).collect()
}

fn own_executable() -> Option<Identity> {
    File::open("/proc/self/exe").ok().as_ref().and_then(Identity::of)
}

fn load(path: &Path) -> anyhow::Result<HashMap<Identity, Entry>> {
    let Some(text) = read_private(path)? else {
        return Ok(HashMap::new());
    };
    let document: Document =
        serde_json::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    if Some(document.by) != own_executable() {
        return Ok(HashMap::new());
    }
    let files = document.files.into_iter().take(MAX_FILES);
    Ok(files.map(|entry| (entry.file, entry)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::stacks::{Call, How, Kind, Point, Stack};

    /// A large file with two places, and what was "found" in it.
    fn library(dir: &Path) -> (PathBuf, Report) {
        let path = dir.join("library");
        fs::write(&path, vec![0x90; 2 << 20]).unwrap();
        let point = Point {
            call: Call::WriteEx { written: 4 },
            name: "SSL_write".to_owned(),
            offset: 4096,
            returns: vec![5000],
            cheap: true,
        };
        let stack = Stack {
            kind: Kind::GoTls,
            how: How::Pclntab,
            version: Some("go1.27".to_owned()),
            points: vec![point],
            refused: Vec::new(),
        };
        let report = Report {
            build_id: Some(vec![1, 2]),
            stacks: vec![stack],
            notes: Vec::new(),
        };
        (path, report)
    }

    fn remembered(dir: &Path) -> (PathBuf, PathBuf, Report) {
        let (path, report) = library(dir);
        let known = dir.join("known.json");
        let mut files = KnownFiles::open(&known);
        files.remember(&File::open(&path).unwrap(), &report);
        files.save();
        (path, known, report)
    }

    #[test]
    fn a_file_as_it_was_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known, report) = remembered(dir.path());
        let mut files = KnownFiles::open(&known);
        assert_eq!(files.report(&File::open(&path).unwrap()), Some(report));
    }

    #[test]
    fn a_copy_is_known_and_one_that_was_changed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known, report) = remembered(dir.path());
        let mut files = KnownFiles::open(&known);
        let copy = dir.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        let file = File::options().read(true).write(true).open(&copy).unwrap();
        assert_eq!(files.report(&file), Some(report));
        for changed in [0, 4096 + 15, (2 << 20) - 1] {
            file.write_at(b"x", changed).unwrap();
            assert_eq!(files.report(&file), None, "changed at {changed}");
            file.write_at(b"\x90", changed).unwrap();
        }
        file.set_len((2 << 20) - 1).unwrap();
        assert_eq!(files.report(&file), None, "another size");
    }

    #[test]
    fn a_file_that_was_written_to_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known, _) = remembered(dir.path());
        let file = File::options().write(true).open(&path).unwrap();
        file.write_at(b"x", 100).unwrap();
        assert_eq!(KnownFiles::open(&known).report(&File::open(&path).unwrap()), None);
    }

    #[test]
    fn other_code_at_a_place_is_not_believed_whatever_the_times_say() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known, _) = remembered(dir.path());
        for place in [4096, 5000] {
            let mut files = KnownFiles::open(&known);
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let old = *files.files.keys().next().unwrap();
            file.write_at(b"x", place + 15).unwrap();
            // As if no time had changed.
            let entry = files.files.remove(&old).unwrap();
            files.files.insert(Identity::of(&file).unwrap(), entry);
            assert_eq!(files.report(&file), None, "at {place}");
            file.write_at(b"\x90", place + 15).unwrap();
        }
    }

    #[test]
    fn a_memory_of_others_a_damaged_one_and_that_of_another_build_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known, _) = remembered(dir.path());
        let file = File::open(&path).unwrap();
        let text = fs::read_to_string(&known).unwrap();
        fs::set_permissions(&known, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(KnownFiles::open(&known).report(&file), None, "open to others");
        fs::set_permissions(&known, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(KnownFiles::open(&known).report(&file).is_some(), "private again");
        fs::write(&known, &text[..text.len() / 2]).unwrap();
        assert_eq!(KnownFiles::open(&known).report(&file), None, "half of it");
        fs::write(&known, text.replacen("\"inode\":", "\"inode\":1", 1)).unwrap();
        assert_eq!(KnownFiles::open(&known).report(&file), None, "of another build");
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_one_asked_for_longest_ago() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _, report) = remembered(dir.path());
        let mut files = KnownFiles::open(&dir.path().join("known.json"));
        let first = files.files.values().next().unwrap().clone();
        for n in 1..MAX_FILES as u64 {
            let mut other = first.clone();
            other.file.device = u64::MAX - n;
            other.content.0 = n;
            files.contents.insert(other.content, other.file);
            files.files.insert(other.file, other);
        }
        assert!(files.report(&File::open(&path).unwrap()).is_some());
        let new = dir.path().join("new");
        fs::write(&new, vec![0x91; 2 << 20]).unwrap();
        let new = File::open(&new).unwrap();
        files.remember(&new, &report);
        assert_eq!((files.files.len(), files.contents.len()), (MAX_FILES, MAX_FILES));
        assert!(files.report(&new).is_some(), "the new one");
        assert!(
            files.report(&File::open(&path).unwrap()).is_some(),
            "the one asked for"
        );
    }

    #[test]
    fn small_files_and_those_without_a_path_are_not_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (path, report) = library(dir.path());
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut nowhere = KnownFiles::default();
        nowhere.remember(&file, &report);
        assert_eq!(nowhere.report(&file), None);
        file.set_len(1000).unwrap();
        let mut files = KnownFiles::open(&dir.path().join("known.json"));
        files.remember(&file, &report);
        assert_eq!(files.report(&file), None);
    }
}
