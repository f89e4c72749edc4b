//! The keyring of a host or a notary: one private key, and the certificates of all keys that it had.
//!
//! `ROLE.key` holds the private key (mode 0600), `ROLE.certificates.jsonl` one certificate a line, oldest first; the oldest go when it
//! becomes too long, and are in the store. A rotation writes the new key beside the old one, adds its certificate, puts the new key
//! in the old one's place and overwrites what was there. When it is cut off in the middle, the old key is still in force and the
//! certificate is one of a key that never signed.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{
    certificates::{append_certificate, read_certificates},
    files::{lock, make_private_dir, read_private, write_atomic},
    key_file::KeyFile,
};
use crate::evidence::{KeyRow, Signer};

/// What was noticed when a keyring was opened; each is said in the next seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNote {
    /// There were certificates, but no key any more: a new one was made, certified by nobody.
    KeyLost,
    /// The key was made for another host id: this state was copied, or the id was changed. A new one was made.
    KeyOfOtherHost,
    /// The key was made on another machine: this state was copied or moved. A new one was made, certified by the old.
    MachineChanged,
}

impl KeyNote {
    /// Word in the seal's `notes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyLost => "key_lost",
            Self::KeyOfOtherHost => "key_of_other_host",
            Self::MachineChanged => "machine_changed",
        }
    }
}

/// Inode and time of change (seconds, ns) of a file.
type Stamp = (u64, i64, i64);

/// A private key in force, with the certificates of it and of those before it.
#[derive(Debug)]
pub struct Keyring {
    directory: PathBuf,
    role: &'static str,
    owner: String,
    machine: Option<[u8; 32]>,
    signer: Signer,
    certificates: Vec<KeyRow>,
    /// Of the key's file, as it was read.
    stamp: Stamp,
}

impl Keyring {
    /// Opens the keyring of `owner`, and makes its first key where there is none. `now_ns` is the wall clock.
    ///
    /// # Errors
    /// When files cannot be read or written, are open to others, belong to another user, are damaged, or are of a newer
    /// form: each with the file and what to do.
    pub fn open(
        directory: &Path,
        role: &'static str,
        owner: &str,
        machine: Option<[u8; 32]>,
        now_ns: i64,
    ) -> anyhow::Result<(Self, Vec<KeyNote>)> {
        make_private_dir(directory)?;
        let _lock = lock_ring(directory, role)?;
        // A rotation that was cut off: that key never signed.
        let _ = fs::remove_file(key_path(directory, role).with_extension("key.next"));
        let mut notes = Vec::new();
        let certificates = read_certificates(directory, role)?;
        let file = read_key(directory, role)?;
        if file.is_none() && certificates.iter().any(|c| c.host_id == owner) {
            notes.push(KeyNote::KeyLost);
        }
        let file = match file {
            Some((file, _)) if file.owner != owner => {
                notes.push(KeyNote::KeyOfOtherHost);
                None
            }
            other => other,
        };
        let Some((file, stamp)) = file else {
            let ring = Self::first(directory, role, owner, machine, now_ns, certificates)?;
            return Ok((ring, notes));
        };
        let moved = matches!((file.machine, machine), (Some(then), Some(now)) if then != now);
        let mut ring = Self {
            directory: directory.to_owned(),
            role,
            owner: owner.to_owned(),
            machine,
            signer: file.signer,
            certificates,
            stamp,
        };
        ring.complete(now_ns)?;
        if moved {
            notes.push(KeyNote::MachineChanged);
            ring.replace(now_ns)?;
        }
        Ok((ring, notes))
    }

    /// What its keys speak for: `host` or `notary`.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// The keyring as it is, for people to look at; nothing is made or changed. `None` where there is no key.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn look(directory: &Path, role: &'static str) -> anyhow::Result<Option<Self>> {
        let Some((file, stamp)) = read_key(directory, role)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            directory: directory.to_owned(),
            role,
            owner: file.owner,
            machine: file.machine,
            signer: file.signer,
            certificates: read_certificates(directory, role)?,
            stamp,
        }))
    }

    fn first(
        directory: &Path,
        role: &'static str,
        owner: &str,
        machine: Option<[u8; 32]>,
        now_ns: i64,
        mut certificates: Vec<KeyRow>,
    ) -> anyhow::Result<Self> {
        let key = KeyFile::generate(owner, machine)?;
        let certificate = KeyRow::first(owner, role, &key.signer, now_ns);
        append_certificate(directory, role, &certificate)?;
        certificates.push(certificate);
        let path = key_path(directory, role);
        let old = OpenOptions::new().write(true).open(&path).ok();
        write_atomic(&path, key.to_text(role).as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))?;
        old.into_iter().for_each(erase);
        Ok(Self {
            stamp: stamp_of(&path)?,
            directory: directory.to_owned(),
            role,
            owner: owner.to_owned(),
            machine,
            signer: key.signer,
            certificates,
        })
    }

    /// A key whose certificate is not there (the file was removed) declares itself again.
    fn complete(&mut self, now_ns: i64) -> anyhow::Result<()> {
        if self.certificate().is_none() {
            let certificate = KeyRow::first(&self.owner, self.role, &self.signer, now_ns);
            append_certificate(&self.directory, self.role, &certificate)?;
            self.certificates.push(certificate);
        }
        Ok(())
    }

    /// The key that signs.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Whom the key speaks for.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Certificate of the key in force.
    pub fn certificate(&self) -> Option<&KeyRow> {
        self.certificates
            .iter()
            .rev()
            .find(|c| c.key_id == self.signer.id())
    }

    /// All certificates that are known here, oldest first.
    pub fn certificates(&self) -> &[KeyRow] {
        &self.certificates
    }

    /// Makes a new key, lets the one in force certify it, and erases the old one.
    ///
    /// # Errors
    /// When files cannot be written; then the old key is still in force.
    pub fn rotate(&mut self, now_ns: i64) -> anyhow::Result<()> {
        let _lock = lock_ring(&self.directory, self.role)?;
        if stamp_of(&key_path(&self.directory, self.role))? != self.stamp {
            bail!("the key was changed by somebody else just now; try again");
        }
        self.complete(now_ns)?;
        self.replace(now_ns)
    }

    fn replace(&mut self, now_ns: i64) -> anyhow::Result<()> {
        // Clocks go back, the order of keys does not.
        let valid_from = self
            .certificate()
            .map_or(now_ns, |old| now_ns.max(old.valid_from.saturating_add(1)));
        let key = KeyFile::generate(&self.owner, self.machine)?;
        let certificate = KeyRow::following(&self.owner, self.role, &key.signer, valid_from, &self.signer);
        let path = key_path(&self.directory, self.role);
        let next = path.with_extension("key.next");
        let failed = |path: &Path| format!("cannot write {}", path.display());
        write_atomic(&next, key.to_text(self.role).as_bytes(), 0o600).with_context(|| failed(&next))?;
        append_certificate(&self.directory, self.role, &certificate)?;
        let old = OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| failed(&path))?;
        fs::rename(&next, &path).with_context(|| failed(&path))?;
        sync_directory(&self.directory);
        erase(old);
        self.signer = key.signer;
        self.certificates.push(certificate);
        self.stamp = stamp_of(&path)?;
        Ok(())
    }

    /// Takes over a key that somebody (`observer keys rotate`) has put in the place of the one in force. True when there
    /// was one.
    ///
    /// # Errors
    /// As [`Self::open`], and when the new key is not certified by the one in force. The old key then stays in force.
    pub fn reload(&mut self) -> anyhow::Result<bool> {
        let path = key_path(&self.directory, self.role);
        if stamp_of(&path)? == self.stamp {
            return Ok(false);
        }
        let _lock = lock_ring(&self.directory, self.role)?;
        let Some((file, stamp)) = read_key(&self.directory, self.role)? else {
            bail!("{}: is gone", path.display());
        };
        let certificates = read_certificates(&self.directory, self.role)?;
        let new = certificates.iter().rev().find(|c| c.key_id == file.signer.id());
        if file.owner != self.owner || new.is_none() {
            bail!(
                "{}: is no key of {} with a certificate",
                path.display(),
                self.owner
            );
        }
        self.signer = file.signer;
        self.certificates = certificates;
        self.stamp = stamp;
        Ok(true)
    }
}

fn lock_ring(directory: &Path, role: &str) -> anyhow::Result<File> {
    lock(
        &directory.join(format!("{role}.lock")),
        "another observer changes the keys at this moment; try again",
    )
}

fn key_path(directory: &Path, role: &str) -> PathBuf {
    directory.join(format!("{role}.key"))
}

fn stamp_of(path: &Path) -> anyhow::Result<Stamp> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    Ok((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

fn read_key(directory: &Path, role: &str) -> anyhow::Result<Option<(KeyFile, Stamp)>> {
    let path = key_path(directory, role);
    let Some(text) = read_private(&path)? else {
        return Ok(None);
    };
    let key = KeyFile::parse(&text, role).with_context(|| path.display().to_string())?;
    Ok(Some((key, stamp_of(&path)?)))
}

/// Overwrites what a file held. That is no promise on file systems that copy on write, and the best there is.
fn erase(mut file: File) {
    let length = file.metadata().map_or(0, |m| m.len());
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    let _ = file.rewind();
    let _ = file.write_all(&zeros).and_then(|()| file.sync_all());
}

fn sync_directory(directory: &Path) {
    let _ = File::open(directory).and_then(|d| d.sync_all());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::evidence::keys::{KeyTrust, ROLE_HOST};

    fn open(dir: &Path) -> (Keyring, Vec<KeyNote>) {
        Keyring::open(dir, ROLE_HOST, "h", Some([1; 32]), 100).unwrap()
    }

    fn ring(dir: &Path) -> PathBuf {
        dir.join("keys")
    }

    #[test]
    fn the_first_key_is_made_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        let (first, notes) = open(&keys);
        assert_eq!(notes, []);
        let mode = |name: &str| fs::metadata(keys.join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode("host.key"), 0o600);
        assert_eq!(fs::metadata(&keys).unwrap().mode() & 0o777, 0o700);
        assert_eq!(first.certificate().unwrap().check(None), Ok(KeyTrust::FirstUse));
        let (again, notes) = open(&keys);
        assert_eq!((again.signer().id(), notes), (first.signer().id(), vec![]));
        assert_eq!(again.certificates().len(), 1);
    }

    #[test]
    fn a_rotated_key_is_certified_and_the_old_one_is_erased() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        let (mut rotated, _) = open(&keys);
        let old = rotated.signer().id().to_owned();
        let old_text = fs::read_to_string(keys.join("host.key")).unwrap();
        // A second name for the old file shows what became of its bytes.
        fs::hard_link(keys.join("host.key"), dir.path().join("kept")).unwrap();
        rotated.rotate(50).unwrap();
        assert_ne!(rotated.signer().id(), old);
        let [first, second] = rotated.certificates() else {
            panic!("two certificates")
        };
        assert_eq!(second.check(Some(first)), Ok(KeyTrust::Certified));
        assert!(
            second.valid_from > first.valid_from,
            "a clock that went back does not turn the order"
        );
        let kept = fs::read(dir.path().join("kept")).unwrap();
        assert_eq!(kept, vec![0; old_text.len()]);
        let (again, notes) = open(&keys);
        assert_eq!((again.signer().id(), notes), (rotated.signer().id(), vec![]));
    }

    #[test]
    fn a_running_daemon_takes_over_what_the_command_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let (mut daemon, _) = open(dir.path().join("k").as_path());
        assert!(!daemon.reload().unwrap());
        let mut command = Keyring::look(&dir.path().join("k"), ROLE_HOST).unwrap().unwrap();
        command.rotate(200).unwrap();
        assert!(daemon.reload().unwrap());
        assert_eq!(daemon.signer().id(), command.signer().id());
        assert!(daemon.rotate(300).is_ok() && command.rotate(400).is_err());
    }

    #[test]
    fn a_rotation_that_was_cut_off_did_not_happen() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        let (first, _) = open(&keys);
        fs::write(keys.join("host.key.next"), "half").unwrap();
        let path = keys.join("host.certificates.jsonl");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"enrolled_at\": 1")).unwrap();
        let (mut again, _) = open(&keys);
        assert_eq!(again.signer().id(), first.signer().id());
        assert!(!keys.join("host.key.next").exists());
        again.rotate(200).unwrap();
        assert_eq!(open(&keys).0.certificates().len(), 2);
    }

    #[test]
    fn copied_and_lost_keys_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        let first = open(&keys).0.signer().id().to_owned();
        let at = |owner: &str, machine| Keyring::open(&keys, ROLE_HOST, owner, machine, 200).unwrap();
        assert_eq!(at("h", None).1, [], "a machine without an id says nothing");
        let (moved, notes) = at("h", Some([2; 32]));
        assert_eq!(notes, [KeyNote::MachineChanged]);
        assert_eq!(moved.certificate().unwrap().prev_key_id, first);
        assert_eq!(at("h", Some([2; 32])).1, []);
        let (other, notes) = at("other", Some([2; 32]));
        assert_eq!(notes, [KeyNote::KeyOfOtherHost]);
        assert_eq!(other.certificate().unwrap().check(None), Ok(KeyTrust::FirstUse));
        fs::remove_file(keys.join("host.key")).unwrap();
        assert_eq!(at("other", Some([2; 32])).1, [KeyNote::KeyLost]);
    }

    #[test]
    fn a_key_that_cannot_be_trusted_stops_the_start_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        open(&keys);
        let path = keys.join("host.key");
        let text = fs::read_to_string(&path).unwrap();
        let refused = |expected: &str| {
            let error = Keyring::open(&keys, ROLE_HOST, "h", None, 1).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("host.key: ") && error.contains(expected),
                "{error}"
            );
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        refused("chmod 600");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, &text[..40]).unwrap();
        refused("cut short");
        fs::write(&path, text.replace("\"version\":1", "\"version\":7")).unwrap();
        refused("newer observer (form 7");
    }

    #[test]
    fn a_key_can_be_rotated_for_years() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        let (first, _) = open(&keys);
        let path = keys.join("host.certificates.jsonl");
        let line = fs::read_to_string(&path).unwrap();
        // As many as a new key every hour makes in three months: more than any other file of the state may hold.
        fs::write(&path, line.repeat(2_000)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 1 << 20);
        let (mut ring, notes) = open(&keys);
        assert_eq!((ring.signer().id(), notes), (first.signer().id(), vec![]));
        assert_eq!(ring.certificates().len(), 2_000);
        ring.rotate(200).unwrap();
        let (again, _) = open(&keys);
        assert_eq!(again.certificates().len(), 2_001);
        assert_eq!(again.certificate(), ring.certificate());
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path());
        open(&keys);
        let path = keys.join("host.certificates.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{}}\n")).unwrap();
        let error = Keyring::open(&keys, ROLE_HOST, "h", None, 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2: `enrolled_at` is missing"), "{error}");
    }
}
