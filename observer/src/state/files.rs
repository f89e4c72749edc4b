//! Files that hold state: private where they must be, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};

/// No file of the state directory is larger, but for those that say so; what is, is not one of ours.
const MAX_BYTES: u64 = 1 << 20;

/// Makes a directory and those above it.
///
/// # Errors
/// When it cannot be made.
pub fn make_dir(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make directory {}", path.display()))
}

/// Makes a directory that only we may use.
///
/// # Errors
/// When it cannot be made, or exists and is open to others.
pub fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    make_dir(path, 0o700)?;
    let metadata = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    check_owner(path, &metadata, "chmod 700")
}

/// Holds a lock file; it is free again when the file is closed, however the program ends.
///
/// # Errors
/// When somebody else holds it (`held` says what that means), or the file cannot be made.
pub fn lock(path: &Path, held: &str) -> anyhow::Result<File> {
    // Not for writing: a file that is held open so would keep its file system from being made read only.
    let flags = (OFlags::CREATE | OFlags::CLOEXEC).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or(0))
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("{}: {held}", path.display());
    }
    Ok(file)
}

/// The text of a file that only we may read; `None` where there is no file.
///
/// # Errors
/// When it cannot be read, is no plain file, belongs to another user, is open to others, or is too long.
pub fn read_private(path: &Path) -> anyhow::Result<Option<String>> {
    read_private_within(path, MAX_BYTES)
}

/// As [`read_private`], for a file that may be of another length.
///
/// # Errors
/// As [`read_private`].
pub(super) fn read_private_within(path: &Path, max_bytes: u64) -> anyhow::Result<Option<String>> {
    let text = read_private_bytes(path, max_bytes)?
        .map(String::from_utf8)
        .transpose();
    text.map_err(|_| anyhow::anyhow!("{}: not a text", path.display()))
}

/// As [`read_private`], for a file that is no text and may be of another length.
///
/// # Errors
/// As [`read_private`].
pub fn read_private_bytes(path: &Path, max_bytes: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{}: not a plain file", path.display());
    }
    check_owner(path, &metadata, "chmod 600")?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > max_bytes {
        bail!(
            "{}: longer than {max_bytes} bytes, so not written by observer",
            path.display()
        );
    }
    Ok(Some(bytes))
}

/// Whether a file or directory belongs to the user as whom we run; false also where it cannot be looked at.
pub fn owned_by_us(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.uid() == geteuid().as_raw())
}

/// Whether a file or directory is ours alone.
///
/// # Errors
/// When it belongs to another user or is open to others, with `remedy`.
pub fn check_owner(path: &Path, metadata: &fs::Metadata, remedy: &str) -> anyhow::Result<()> {
    let (owner, us) = (metadata.uid(), geteuid().as_raw());
    if owner != us {
        bail!(
            "{}: belongs to user {owner}, not to user {us} who runs observer; look who made it, then `chown {us}` or remove it",
            path.display()
        );
    }
    let mode = metadata.mode();
    if mode & 0o077 != 0 {
        bail!(
            "{}: mode {:04o} lets others use it; treat what it holds as known to them, then run `{remedy}` on it, or remove it",
            path.display(),
            mode & 0o7777
        );
    }
    Ok(())
}

/// Writes a file whole or not at all, and durably: temporary file, fsync, rename, fsync of the directory.
///
/// # Errors
/// When any of that fails; the old file is then still there, unless only the last step failed.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    write_whole(path, bytes, mode, true)
}

/// Writes a file whole or not at all, as other processes see it; with `durable` also as the next boot sees it.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    // What a killed predecessor left there is of no use to anybody.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| if durable { file.sync_all() } else { Ok(()) })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent().filter(|_| durable) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn what_is_written_is_private_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(read_private(&path).unwrap(), None);
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(read_private(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
        assert!(write_atomic(&path, b"two", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_others_can_read_or_made_are_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let refused = |expected: &str| {
            let error = read_private(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("/a: "), "{error}");
        };
        write_atomic(&path, b"x", 0o600).unwrap();
        for mode in [0o604, 0o640, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            refused("chmod 600");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(12345), None).unwrap();
            refused("belongs to user 12345");
            chown(&path, Some(0), None).unwrap();
        }
        fs::write(&path, vec![b'x'; MAX_BYTES as usize + 1]).unwrap();
        refused("longer than");
        fs::write(&path, b"\xff").unwrap();
        refused("not a text");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("not a plain file");
        fs::remove_dir(&path).unwrap();
        symlink("/etc/hostname", &path).unwrap();
        assert!(read_private(&path).is_err(), "a link can lead anywhere");
    }

    #[test]
    fn a_directory_that_is_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        make_private_dir(&path).unwrap();
        make_private_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = make_private_dir(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock(&path, "busy").unwrap();
        assert!(
            lock(&path, "busy")
                .unwrap_err()
                .to_string()
                .ends_with("lock: busy")
        );
        drop(first);
        assert!(lock(&path, "busy").is_ok());
    }
}
