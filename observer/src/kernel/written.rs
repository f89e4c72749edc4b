//! Files that were just written. Who installs a program runs it soon after, and a first run that lives a tenth of a second is over before a large
//! file is examined. So what looks like a program or a library is examined when it was written, before anybody runs it.
//!
//! The kernel tells of each file that was open for writing and is closed (fanotify(7), Linux 5.1), on the file systems of the host's disks. Most are of no
//! interest, which their size and first bytes say. One that was written over loses its probes at once. It is an offer: what is missed (a full queue, another file system, a container's overlay, no
//! CAP_SYS_ADMIN at the start) is found when it runs, as everything was before.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{file_id::FileId, procfs, sys};

/// Smaller files are examined in no time when they run.
const MIN_SIZE: u64 = 256 << 10;

/// How long a file is left alone: its installer still sets its times and its name.
const SETTLE: Duration = Duration::from_millis(300);

/// Files that may wait for that.
const MAX_WAITING: usize = 1024;

/// Most file systems that are watched.
const MAX_FILE_SYSTEMS: usize = 64;

/// How often the thread looks whether it is still wanted.
const BEAT: Duration = Duration::from_millis(250);

/// File systems that programs are installed on.
const ON_DISKS: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "tmpfs",
];

/// What is told of a file.
#[derive(Debug)]
pub(super) enum News {
    /// It was open for writing and is closed: it may be another one by now.
    Closed(FileId),
    /// A program or library, left alone for a while.
    Program(File),
}

/// The kernel's news of written files.
#[derive(Debug)]
pub struct Written {
    news: OwnedFd,
    waiting: VecDeque<(Instant, File)>,
}

impl Written {
    /// Asks the kernel for news. To be called before the daemon gives up CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// When the kernel gives none; files are then examined when they run.
    pub fn start() -> io::Result<Self> {
        let news = sys::fanotify()?;
        let mut last = Err(io::Error::from(io::ErrorKind::NotFound));
        let mut watched = 0;
        for place in places() {
            last = sys::watch_written(&news, &place);
            watched += usize::from(last.is_ok());
        }
        if watched == 0 {
            last?;
        }
        tracing::debug!(watched, "file systems whose written files are examined at once");
        Ok(Self {
            news,
            waiting: VecDeque::new(),
        })
    }

    /// Hands over the news, until `take` does not want any more. The flag says whether it is still wanted.
    pub(super) fn run(
        mut self,
        now: fn() -> Instant,
        wanted: impl Fn() -> bool,
        mut take: impl FnMut(News) -> bool,
    ) {
        while wanted() && self.wait().is_ok() {
            let at = now();
            if !self.read(at).into_iter().all(|id| take(News::Closed(id))) {
                return;
            }
            while self.waiting.front().is_some_and(|(due, _)| *due <= at) {
                if let Some((_, file)) = self.waiting.pop_front()
                    && !take(News::Program(file))
                {
                    return;
                }
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.news, PollFlags::IN)];
        let timeout = BEAT.try_into().map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what the kernel has to tell: gives all files, and keeps programs until they are due.
    fn read(&mut self, at: Instant) -> Vec<FileId> {
        let own = std::process::id();
        let mut closed = Vec::new();
        // An error is an empty queue, or news that are lost.
        for (pid, file) in sys::written_files(&self.news).unwrap_or_default() {
            if pid == own {
                continue;
            }
            closed.extend(FileId::of(&file).map(|(id, _)| id));
            if self.waiting.len() < MAX_WAITING && is_program(&file) {
                // Closed several times is written once.
                self.waiting.retain(|(_, other)| !same(other, &file));
                self.waiting.push_back((at + SETTLE, file));
            }
        }
        closed
    }
}

fn same(a: &File, b: &File) -> bool {
    let id = |file: &File| file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    id(a) == id(b)
}

/// An ELF program or library of some size. What a compiler writes for its linker is neither.
fn is_program(file: &File) -> bool {
    let mut head = [0; 18];
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.len() >= MIN_SIZE)
        && file.read_exact_at(&mut head, 0).is_ok()
        && is_program_head(&head)
}

/// The type of an ELF file is in its bytes 16 and 17 (elf(5)).
fn is_program_head(head: &[u8; 18]) -> bool {
    head.starts_with(b"\x7fELF") && matches!(head[16..], [2 | 3, 0])
}

/// A place in each file system to be watched.
fn places() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = procfs::roots();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut devices = BTreeSet::new();
    for kind in ON_DISKS {
        found.extend(procfs::mounts(&mounts, kind).map(|(_, point)| PathBuf::from(point)));
    }
    found.retain(|place| fs::metadata(place).is_ok_and(|meta| devices.insert(meta.dev())));
    found.truncate(MAX_FILE_SYSTEMS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_are_told_from_objects_and_texts() {
        let head = |kind: u8| {
            let mut head = [0; 18];
            head[..4].copy_from_slice(b"\x7fELF");
            head[16] = kind;
            head
        };
        for (kind, wanted) in [(1, false), (2, true), (3, true), (4, false)] {
            assert_eq!(is_program_head(&head(kind)), wanted, "{kind}");
        }
        assert!(!is_program_head(b"#!/bin/sh\nexit 0\n\n"));
    }

    #[test]
    fn each_file_system_is_watched_once() {
        let places = places();
        let devices: BTreeSet<u64> = places
            .iter()
            .map(|place| fs::metadata(place).unwrap().dev())
            .collect();
        assert_eq!(devices.len(), places.len());
        assert_eq!(places[0], PathBuf::from("/"));
    }
}
