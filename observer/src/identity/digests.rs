//! SHA-256 of the programs that talk, made aside: a file of hundreds of megabytes takes a second to read.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use sha2::{Digest, Sha256};

/// A digest that is there once the file was read.
pub type FileDigest = Arc<OnceLock<[u8; 32]>>;

/// Most files that wait.
const WAITING: usize = 64;
/// Largest file that is read.
const MAX_BYTES: u64 = 2 << 30;
/// Most files remembered.
const MAX_FILES: usize = 8_192;

/// Which file, in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i64,
    /// Whoever may write to a file can set the time above to any other, but not this one.
    changed_ns: i64,
}

impl FileId {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
            changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// A file to be read, which was this one when its process was seen.
type Job = (File, FileId, FileDigest);

/// Digests of files, by their identity.
#[derive(Debug)]
pub(super) struct Digests {
    known: HashMap<FileId, FileDigest>,
    work: Option<SyncSender<Job>>,
}

impl Default for Digests {
    fn default() -> Self {
        let (work, jobs) = sync_channel(WAITING);
        let started = thread::Builder::new()
            .name("digests".to_owned())
            .spawn(move || run(&jobs));
        Self {
            known: HashMap::new(),
            work: started.ok().map(|_| work),
        }
    }
}

impl Digests {
    /// Puts the digest of the executable of `pid` into `into`, at some later time: never where the file is gone, cannot be
    /// read, is too large or is another one by then, or where too many wait.
    pub(super) fn want(&mut self, pid: u32) -> Option<FileDigest> {
        let file = File::open(format!("/proc/{pid}/exe")).ok()?;
        let id = FileId::of(&file).ok()?;
        if let Some(known) = self.known.get(&id) {
            return Some(Arc::clone(known));
        }
        if id.size > MAX_BYTES {
            return None;
        }
        let digest = FileDigest::default();
        self.work
            .as_ref()?
            .try_send((file, id, Arc::clone(&digest)))
            .ok()?;
        if self.known.len() >= MAX_FILES {
            self.known.clear();
        }
        self.known.insert(id, Arc::clone(&digest));
        Some(digest)
    }
}

fn run(jobs: &Receiver<Job>) {
    for (file, id, digest) in jobs {
        let mut hash = Sha256::new();
        let is_read = io::copy(&mut (&file).take(MAX_BYTES), &mut hash).is_ok();
        // A program that ended can be written over before it is read: then this is not what ran.
        if is_read && FileId::of(&file).is_ok_and(|now| now == id) {
            // It is set once: two processes of one file share it.
            let _ = digest.set(hash.finalize().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    use super::*;

    #[test]
    fn the_digest_of_this_program_comes_and_is_shared() {
        let mut digests = Digests::default();
        let first = digests.want(std::process::id()).unwrap();
        let again = digests.want(std::process::id()).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let wanted: [u8; 32] = Sha256::digest(fs::read("/proc/self/exe").unwrap()).into();
        while first.get().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(first.get(), Some(&wanted));
        assert!(digests.want(u32::MAX - 1).is_none());
    }
    #[test]
    fn a_file_that_was_written_over_and_given_its_old_time_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mut digests = Digests::default();
        let program = fs::read("/bin/sleep").unwrap();
        let mut run_with = |last: u8| {
            let bytes = [&program[..], &[last]].concat();
            let old = fs::metadata(&path).and_then(|meta| meta.modified());
            fs::write(&path, &bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            if let Ok(old) = old {
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(old).unwrap();
            }
            // While another test starts a program, that may have the file open for writing for a moment.
            let start = || std::process::Command::new(&path).arg("60").spawn().ok();
            let mut child = (0..100)
                .find_map(|_| {
                    start().or_else(|| {
                        thread::sleep(Duration::from_millis(20));
                        None
                    })
                })
                .unwrap();
            let digest = digests.want(child.id()).unwrap();
            while digest.get().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(digest.get(), Some(&Sha256::digest(&bytes).into()));
        };
        run_with(b'a');
        run_with(b'b');
    }

    #[test]
    fn what_was_written_before_it_could_be_read_is_not_what_ran() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, b"bad").unwrap();
        let file = File::open(&path).unwrap();
        let id = FileId::of(&file).unwrap();
        thread::sleep(Duration::from_millis(20));
        fs::write(&path, b"fine").unwrap();
        let (digest, (work, jobs)) = (FileDigest::default(), sync_channel(1));
        work.send((file, id, Arc::clone(&digest))).unwrap();
        drop(work);
        run(&jobs);
        assert_eq!(digest.get(), None);
    }
}
