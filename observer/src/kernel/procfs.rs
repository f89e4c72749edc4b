//! What `/proc/PID/maps` says about executable files.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use super::signs::{Sign, signs};

/// A file that a process has mapped executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedFile {
    /// First and last address of the mapping as the kernel writes them (`start-end`).
    pub range: String,
    /// Number of the inode, as the kernel writes it.
    pub inode: u64,
    /// Path in the process's mount namespace; ends in ` (deleted)` for a file that was removed.
    pub path: String,
}

/// What a process has mapped.
#[derive(Debug, Default)]
pub struct Mappings {
    /// Executable files, each once.
    pub executable: Vec<MappedFile>,
    /// Signs of a model inside the process.
    pub signs: BTreeSet<Sign>,
    /// Changes when an executable mapping does: its place, its file's number or its path.
    pub digest: u64,
}

/// Mappings of a process. Empty when the process is gone.
pub fn mappings(pid: u32) -> Mappings {
    fs::read_to_string(format!("/proc/{pid}/maps"))
        .map(|maps| Mappings {
            executable: parse_maps(&maps),
            digest: digest(&maps),
            signs: signs(maps.lines().filter_map(path_of)),
        })
        .unwrap_or_default()
}

/// Hash of the lines of executable mappings.
fn digest(maps: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_code = |line: &&str| {
        let perms = line.split(' ').nth(1).unwrap_or_default();
        perms.as_bytes().get(2) == Some(&b'x')
    };
    maps.lines()
        .filter(is_code)
        .for_each(|line| line.hash(&mut hasher));
    hasher.finish()
}

/// Executable file mappings of a process, each file once. Empty when the process is gone.
pub fn executable_files(pid: u32) -> Vec<MappedFile> {
    mappings(pid).executable
}

/// The sixth column of a line of `/proc/PID/maps`.
fn path_of(line: &str) -> Option<&str> {
    Some(line.splitn(6, ' ').nth(5)?.trim_start())
}

/// Lines of `/proc/PID/maps` (proc(5)): `start-end perms offset dev inode path`.
fn parse_maps(maps: &str) -> Vec<MappedFile> {
    let mut files: Vec<MappedFile> = Vec::new();
    for line in maps.lines() {
        let mut columns = line.splitn(6, ' ');
        let (Some(range), Some(perms)) = (columns.next(), columns.next()) else {
            continue;
        };
        let inode = columns.nth(2).and_then(|number| number.parse().ok()).unwrap_or(0);
        let path = columns.next().unwrap_or("").trim_start();
        if perms.as_bytes().get(2) == Some(&b'x')
            && path.starts_with('/')
            && files.iter().all(|f| f.path != path)
        {
            files.push(MappedFile {
                range: range.to_owned(),
                inode,
                path: path.to_owned(),
            });
        }
    }
    files
}

/// Mounts of a type of file system in the text of `/proc/PID/mountinfo` (proc(5)): what of it is mounted, and where.
pub fn mounts<'a>(mountinfo: &'a str, fs_type: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (columns, rest) = line.split_once(" - ")?;
        let mut columns = columns.split(' ').skip(3);
        let (root, point) = (columns.next()?, columns.next()?);
        (rest.split(' ').next() == Some(fs_type)).then_some((root, point))
    })
}

/// Opens a mapped file: through the mapping itself, which works for deleted files and other mount namespaces; where
/// that is not allowed (it asks for CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), through the process's root.
///
/// # Errors
/// What `open(2)` says of the second way.
pub fn open_mapped(pid: u32, file: &MappedFile) -> io::Result<File> {
    File::open(format!("/proc/{pid}/map_files/{}", file.range)).or_else(|_| {
        let inside = Path::new("/proc").join(pid.to_string()).join("root");
        File::open(inside.join(file.path.trim_start_matches('/')))
    })
}

/// Process ids of the host, at this moment.
pub fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

/// Files in which clients of this host may have a TLS library before any of them runs: shared libraries with the names of
/// such, and programs large enough to hold one. A daemon in a container looks below the host's root, too.
pub fn likely_files() -> Vec<PathBuf> {
    let programs = std::env::var_os("PATH").unwrap_or_default();
    let programs: Vec<PathBuf> = std::env::split_paths(&programs).collect();
    roots()
        .iter()
        .flat_map(|root| {
            let mut files = likely_libraries(root);
            files.extend(likely_programs(root, &programs));
            files
        })
        .collect()
}

/// The daemon's own root, and that of the host's first process where that one has other mounts.
pub(super) fn roots() -> Vec<PathBuf> {
    let mounts = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let mut roots = vec![PathBuf::from("/")];
    if let (Some(own), Some(host)) = (mounts("self"), mounts("1"))
        && own != host
    {
        roots.push(PathBuf::from("/proc/1/root"));
    }
    roots
}

/// A path of the host, below `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn likely_libraries(root: &Path) -> Vec<PathBuf> {
    const FOLDERS: &[&str] = &["/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64"];
    /// OpenSSL and the names of NSS, GnuTLS, the plaintext of NSS.
    const LIBRARIES: &[&str] = &["libssl", "libgnutls.so", "libnspr4.so"];
    let is_library = |p: &Path| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        LIBRARIES.iter().any(|library| name.starts_with(library))
    };
    let mut files = Vec::new();
    for folder in FOLDERS {
        for entry in entries(&below(root, Path::new(folder))) {
            if entry.is_dir() {
                files.extend(entries(&entry).into_iter().filter(|p| is_library(p)));
            } else if is_library(&entry) {
                files.push(entry);
            }
        }
    }
    files
}

/// Large files in the folders of programs, and in those of users.
fn likely_programs(root: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    /// A TLS stack alone is larger than this.
    const LARGE_PROGRAM: u64 = 4 << 20;
    let large = |p: &PathBuf| fs::metadata(p).is_ok_and(|m| m.is_file() && m.len() >= LARGE_PROGRAM);
    folders
        .iter()
        .map(|folder| below(root, folder))
        .chain(user_folders(root))
        .flat_map(|folder| entries(&folder))
        .filter(large)
        .collect()
}

/// Folders in which users install programs for themselves, by the habits of their installers.
fn user_folders(root: &Path) -> Vec<PathBuf> {
    const INSIDE: &[&str] = &[
        ".local/bin",
        ".bun/bin",
        ".deno/bin",
        ".cargo/bin",
        ".npm-global/bin",
        "go/bin",
        "bin",
    ];
    let homes = entries(&root.join("home")).into_iter().chain([root.join("root")]);
    homes
        .flat_map(|home| INSIDE.iter().map(move |inside| home.join(inside)))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_large_programs_are_found_below_any_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let make = |path: &str, size: u64| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(&path).unwrap().set_len(size).unwrap();
            path
        };
        let library = make("usr/lib/x86_64-linux-gnu/libssl.so.3", 10);
        make("usr/lib/x86_64-linux-gnu/libz.so.1", 10);
        assert_eq!(likely_libraries(root), [library]);
        let (node, agent) = (
            make("usr/bin/node", 5 << 20),
            make("home/ada/.local/bin/agent", 5 << 20),
        );
        make("usr/bin/true", 1000);
        assert_eq!(likely_programs(root, &[PathBuf::from("/usr/bin")]), [node, agent]);
    }

    #[test]
    fn the_own_root_is_always_looked_at() {
        assert_eq!(roots()[0], Path::new("/"));
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
        let found = parse_maps(maps);
        let paths: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["/usr/bin/curl", "/opt/with space/libssl.so.3 (deleted)"]);
        assert_eq!((found[0].range.as_str(), found[0].inode), ("55d1-55d2", 12));
        let same = maps.replace("55d0-55d1 r--p", "55d0-55d1 rw-p");
        assert_eq!(digest(maps), digest(&same), "data");
        assert_ne!(
            digest(maps),
            digest(&maps.replace("fe:00 13", "fe:00 14")),
            "another file"
        );
    }

    #[test]
    fn this_process_maps_its_own_program() {
        let own = std::env::current_exe().unwrap();
        let found = executable_files(std::process::id());
        let mapped = found
            .iter()
            .find(|f| Path::new(&f.path) == own)
            .expect("own program");
        assert!(open_mapped(std::process::id(), mapped).is_ok());
    }
}
