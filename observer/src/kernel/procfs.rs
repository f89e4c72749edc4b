//! The host's processes and mounts, and files in which clients may have a TLS library.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Mounts of a type of file system in the text of `/proc/PID/mountinfo` (proc(5)): what of it is mounted, and where.
pub fn mounts<'a>(mountinfo: &'a str, fs_type: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (columns, rest) = line.split_once(" - ")?;
        let mut columns = columns.split(' ').skip(3);
        let (root, point) = (columns.next()?, columns.next()?);
        (rest.split(' ').next() == Some(fs_type)).then_some((root, point))
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
    use std::fs::File;

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
}
