//! Files of the daemon: the lock against a second one, and its keys.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::{
    sensitive::HmacKey,
    state::{PID_FILE, make_dir, read_private_bytes, write_atomic},
};

const HMAC_KEY_FILE: &str = "hmac.key";
/// What is longer is no key.
const MAX_KEY_FILE: u64 = 4_096;

/// Takes the lock that only one daemon can hold; it is free again when the file is closed, however the daemon ends.
///
/// # Errors
/// When another daemon holds it (with its process id), or the directory cannot be used.
pub(super) fn lock_pid_file(run_dir: &Path) -> anyhow::Result<File> {
    make_dir(run_dir, 0o755)?;
    let path = run_dir.join(PID_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        bail!(
            "another observer is running on this host with process id {} ({})",
            text.trim(),
            path.display()
        );
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// The key of the hashes of credentials and secrets; made at the first start.
///
/// # Errors
/// When it cannot be read or made, is a link, belongs to another user, or others could read it.
pub(super) fn hmac_key(state_dir: &Path) -> anyhow::Result<HmacKey> {
    make_dir(state_dir, 0o700)?;
    let path = state_dir.join(HMAC_KEY_FILE);
    let Some(bytes) = read_private_bytes(&path, MAX_KEY_FILE)? else {
        let key = HmacKey::generate().context("no random bytes for a key")?;
        // Whole or not at all: half a key would keep every later start from its work.
        write_atomic(&path, key.bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(key);
    };
    let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) else {
        bail!(
            "{}: not a key of 32 bytes; remove it to have a new one made",
            path.display()
        );
    };
    Ok(HmacKey::from_bytes(key))
}

/// First line of a file with a password.
///
/// # Errors
/// When it cannot be read, or others could read it.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    check_private(path)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn check_private(path: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(path)?.mode();
    if mode & 0o077 != 0 {
        bail!(
            "{}: mode {:04o} lets others use it; run `chmod 600` on it",
            path.display(),
            mode & 0o7777
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock_pid_file(dir.path()).unwrap();
        let error = lock_pid_file(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(lock_pid_file(dir.path()).is_ok());
    }

    #[test]
    fn a_pid_file_that_is_a_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join(PID_FILE)).unwrap();
        assert!(lock_pid_file(dir.path()).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }

    #[test]
    fn the_key_is_made_once_private_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let first = hmac_key(dir.path()).unwrap();
        assert_eq!(hmac_key(dir.path()).unwrap(), first);
        let path = dir.path().join(HMAC_KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            hmac_key(dir.path())
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bytes in [&b""[..], b"short", &[7; 33]] {
            fs::write(&path, bytes).unwrap();
            assert!(hmac_key(dir.path()).unwrap_err().to_string().contains("32 bytes"));
        }
        fs::remove_file(&path).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, first.bytes()).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(hmac_key(dir.path()).is_err(), "a link can lead anywhere");
    }
}
