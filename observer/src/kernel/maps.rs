//! What `/proc/PID/maps` says about executable files, and those files. Who runs a process decides what stands there and where its paths
//! lead, so lines are bytes, their number is bounded, and nothing is opened before it is known to be a regular file.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io::{self, BufRead, BufReader, ErrorKind},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, makedev};

use super::{file_id::is_on_overlay, signs::Sign};

/// Most executable files of one process that are looked at. Ordinary ones have some hundred; with long paths, the most mappings that the
/// kernel allows would take a quarter of a gigabyte.
const MAX_FILES: usize = 4096;

/// A file that a process has mapped executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedFile {
    /// First and last address of the mapping as the kernel writes them (`start-end`).
    pub range: String,
    /// Its file system. Overlays and btrfs tell others another number.
    pub device: u64,
    /// Number of the inode. Some overlays tell others another one.
    pub inode: u64,
    /// Path in the process's mount namespace; ends in ` (deleted)` for a file that was removed.
    pub path: PathBuf,
}

impl MappedFile {
    /// Whether the file that is found under its path is this one: in the meantime it may be any other, a FIFO, too.
    fn is(&self, found: &File, inode: u64) -> bool {
        let is_deleted = || self.path.as_os_str().as_bytes().ends_with(b" (deleted)");
        self.inode == inode || is_on_overlay(found) && !is_deleted()
    }
}

/// What a process has mapped.
#[derive(Debug, Default)]
pub struct Mappings {
    /// Executable files, each once.
    pub executable: Vec<MappedFile>,
    /// There are more than are looked at.
    pub is_cut: bool,
    /// Signs of a model inside the process.
    pub signs: BTreeSet<Sign>,
    /// Changes when an executable mapping does: its place, its file's number or its path.
    pub digest: u64,
}

/// Mappings of a process. Empty when the process is gone.
pub fn mappings(pid: u32) -> Mappings {
    File::open(format!("/proc/{pid}/maps"))
        .and_then(|maps| read(BufReader::new(maps)))
        .unwrap_or_default()
}

/// A line of `/proc/PID/maps` (proc(5)): `start-end perms offset dev inode path`.
struct Line<'a> {
    range: &'a [u8],
    is_code: bool,
    device: &'a [u8],
    inode: &'a [u8],
    /// In it the kernel replaces line ends only: it need not be UTF-8.
    path: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut columns = line.splitn(6, |byte| *byte == b' ');
        let (range, perms) = (columns.next()?, columns.next()?);
        let (device, inode) = (columns.nth(1)?, columns.next()?);
        Some(Self {
            range,
            is_code: perms.get(2) == Some(&b'x'),
            device,
            inode,
            path: columns.next().unwrap_or_default().trim_ascii_start(),
        })
    }

    /// The executable file behind it.
    fn file(&self) -> Option<MappedFile> {
        if !self.is_code || !self.path.starts_with(b"/") {
            return None;
        }
        Some(MappedFile {
            range: str::from_utf8(self.range).ok()?.to_owned(),
            device: device(self.device).unwrap_or(0),
            inode: str::from_utf8(self.inode).ok()?.parse().unwrap_or(0),
            path: OsStr::from_bytes(self.path).into(),
        })
    }
}

/// Number of a device from `major:minor`, in hexadecimal.
fn device(text: &[u8]) -> Option<u64> {
    let (major, minor) = str::from_utf8(text).ok()?.split_once(':')?;
    let number = |hex| u32::from_str_radix(hex, 16).ok();
    Some(makedev(number(major)?, number(minor)?))
}

/// Reads line by line: with long paths the whole can be very large.
fn read(mut maps: impl BufRead) -> io::Result<Mappings> {
    let mut found = Mappings::default();
    let (mut digest, mut seen, mut line) = (DefaultHasher::new(), HashSet::new(), Vec::new());
    loop {
        line.clear();
        if maps.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(mapping) = Line::parse(line.strip_suffix(b"\n").unwrap_or(&line)) else {
            continue;
        };
        let path = String::from_utf8_lossy(mapping.path);
        found.signs.extend(Sign::of(&path));
        if mapping.is_code {
            digest.write(&line);
        }
        let Some(file) = mapping.file() else { continue };
        // Two files can have one path (memfd), and one number (subvolumes of btrfs).
        let key = (file.device, file.inode, file.path.clone());
        if seen.contains(&key) {
            continue;
        }
        if seen.len() >= MAX_FILES {
            found.is_cut = true;
            continue;
        }
        seen.insert(key);
        found.executable.push(file);
    }
    found.digest = digest.finish();
    Ok(found)
}

/// Opens a mapped file: through the mapping itself, which works for deleted files and other mount namespaces; where
/// that is not allowed (it asks for CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), through the process's root. `None` for what is no regular
/// file: a device.
///
/// # Errors
/// What `open(2)` says of the second way, and when it leads to another file.
pub fn open_mapped(pid: u32, file: &MappedFile) -> io::Result<Option<File>> {
    let mapping = format!("/proc/{pid}/map_files/{}", file.range);
    open_regular(Path::new(&mapping)).or_else(|_| {
        let root = Path::new("/proc").join(pid.to_string()).join("root");
        let place = place(&root.join(file.path.strip_prefix("/").unwrap_or(&file.path)))?;
        if !file.is(&place, place.metadata()?.ino()) {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "another file has its name now",
            ));
        }
        open_place(&place)
    })
}

/// Opens a file if it is a regular one. To open another can wait for ever (a FIFO) or do something (a device).
///
/// # Errors
/// What `open(2)` says.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    open_place(&place(path)?)
}

/// What is at a path, without opening it.
fn place(path: &Path) -> io::Result<File> {
    let place = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(place.into())
}

fn open_place(place: &File) -> io::Result<Option<File>> {
    if !place.metadata()?.is_file() {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    // NONBLOCK: not to wait until a lease on the file is given up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(Some(rustix::fs::open(path, flags, Mode::empty())?.into()))
}

/// Whether a process has no mappings any more, or none yet: the kernel then says so of its executable, too.
pub(super) fn is_gone(pid: u32) -> bool {
    let gone = |error: io::Error| {
        error.kind() == ErrorKind::NotFound
            || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
    };
    fs::read_link(format!("/proc/{pid}/exe")).is_err_and(gone)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt, sync::mpsc::channel, thread, time::Duration};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn of(maps: &[u8]) -> Mappings {
        read(maps).unwrap()
    }

    #[test]
    fn executable_mappings_are_found_once_with_paths_as_written() {
        let maps = "\
55d0-55d1 r--p 00000000 fe:00 12 /usr/bin/curl
55d1-55d2 r-xp 00001000 fe:00 12 /usr/bin/curl
7f00-7f01 r-xp 00000000 fe:00 13 /opt/with space/libssl.so.3 (deleted)
7f01-7f02 r-xp 00002000 fe:00 13 /opt/with space/libssl.so.3 (deleted)
7ffe-7fff r-xp 00000000 00:00 0                          [vdso]
7f10-7f11 r-xp 00000000 00:00 0 
garbage";
        let found = of(maps.as_bytes());
        let paths: Vec<&Path> = found.executable.iter().map(|f| f.path.as_path()).collect();
        assert_eq!(
            paths,
            ["/usr/bin/curl", "/opt/with space/libssl.so.3 (deleted)"].map(Path::new)
        );
        let first = &found.executable[0];
        assert_eq!(
            (first.range.as_str(), first.device, first.inode),
            ("55d1-55d2", makedev(0xfe, 0), 12)
        );
        let digest = |maps: &str| of(maps.as_bytes()).digest;
        let same = maps.replace("55d0-55d1 r--p", "55d0-55d1 rw-p");
        assert_eq!(found.digest, digest(&same), "data");
        assert_ne!(
            found.digest,
            digest(&maps.replace("fe:00 13", "fe:00 14")),
            "another file"
        );
    }

    #[test]
    fn a_path_that_is_not_utf_8_hides_nothing() {
        let maps = b"\
1-2 r--p 00000000 fe:00 11 /donn\xe9es.bin
2-3 r--p 00000000 fe:00 12 /model\xff.gguf
3-4 r-xp 00000000 fe:00 13 /donn\xe9es.so
4-5 r-xp 00000000 fe:00 14 /lib/libssl.so.3
";
        let found = of(maps);
        let paths: Vec<&[u8]> = found
            .executable
            .iter()
            .map(|f| f.path.as_os_str().as_bytes())
            .collect();
        assert_eq!(paths, [b"/donn\xe9es.so".as_slice(), b"/lib/libssl.so.3"]);
        assert_eq!(found.signs, BTreeSet::from([Sign::ModelFile("gguf")]));
    }

    #[test]
    fn two_files_of_one_path_are_two() {
        let maps = b"\
1-2 r-xp 00000000 00:01 100 /memfd:lib (deleted)
2-3 r-xp 00000000 00:01 101 /memfd:lib (deleted)
3-4 r-xp 00001000 00:01 100 /memfd:lib (deleted)
4-5 r-xp 00000000 00:30 257 /a.so
5-6 r-xp 00000000 00:30 257 /b.so
";
        let found = of(maps);
        let inodes: Vec<u64> = found.executable.iter().map(|f| f.inode).collect();
        assert_eq!(inodes, [100, 101, 257, 257]);
    }

    #[test]
    fn what_is_beyond_the_bound_is_told() {
        let line = |n: usize| format!("{n:x}-{:x} r-xp 00000000 fe:00 {n} /{n}.so\n", n + 1);
        let mut maps: String = (1..=MAX_FILES).map(line).collect();
        maps.push_str(&line(1));
        let whole = of(maps.as_bytes());
        assert_eq!((whole.executable.len(), whole.is_cut), (MAX_FILES, false));
        maps.push_str(&line(MAX_FILES + 1));
        let cut = of(maps.as_bytes());
        assert_eq!((cut.executable.len(), cut.is_cut), (MAX_FILES, true));
        assert_ne!(whole.digest, cut.digest);
    }

    #[test]
    fn this_process_maps_its_own_program() {
        let own = std::env::current_exe().unwrap();
        let found = mappings(std::process::id()).executable;
        let mapped = found.iter().find(|f| f.path == own).expect("own program");
        let file = open_mapped(std::process::id(), mapped).unwrap().expect("a file");
        assert_eq!(file.metadata().unwrap().ino(), fs::metadata(own).unwrap().ino());
        assert!(!is_gone(std::process::id()));
        assert!(is_gone(u32::MAX - 1));
    }

    /// As [`open_mapped`] where the mapping itself may not be opened; `None` when it does not come back.
    fn by_path(path: &Path, inode: u64) -> Option<io::Result<Option<File>>> {
        let file = MappedFile {
            range: "0-0".to_owned(),
            device: 0,
            inode,
            path: path.to_owned(),
        };
        let (sender, opened) = channel();
        thread::spawn(move || sender.send(open_mapped(std::process::id(), &file)));
        opened.recv_timeout(Duration::from_secs(10)).ok()
    }

    #[test]
    fn a_name_that_is_another_files_by_now_is_not_opened_not_even_when_it_is_a_fifo() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("x (deleted)");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let inode = fs::metadata(&fifo).unwrap().ino();
        assert!(by_path(&fifo, inode + 1).expect("waits for a writer").is_err());
        // As if it were what is mapped.
        assert!(matches!(by_path(&fifo, inode), Some(Ok(None))));
        let name = OsString::from_vec(b"donn\xe9es (deleted)".to_vec());
        let path = dir.path().join(name);
        fs::write(&path, "x").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        assert!(matches!(by_path(&path, inode), Some(Ok(Some(_)))));
        assert!(matches!(by_path(&path, inode + 1), Some(Err(_))));
    }
}
