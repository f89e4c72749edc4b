//! The spool's directory: segments as files of their own, written whole and atomically, and what was given up.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{
    format::{HEADER_LEN, MAX_BODY, SegmentError, Summary, read_summary},
    losses::Undeclared,
};
use crate::state::{check_owner, lock, make_private_dir, read_private, write_whole};

/// Ending of a segment's name.
const ENDING: &str = ".seg";

/// Ending of a segment that was put aside because it is damaged.
const DAMAGED: &str = ".damaged";

/// Damaged segments that are kept for whoever wants to know what happened.
const KEEP_DAMAGED: usize = 8;

const LOSSES: &str = "losses.json";
const LOSSES_FORMAT: &str = "observer-spool-losses";
const LOSSES_VERSION: u64 = 1;

/// A segment file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub number: u64,
    pub bytes: u64,
    /// What its header says; `None` when it is damaged.
    pub summary: Option<Summary>,
}

/// The directory. One process holds it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    durable: bool,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLosses {
    format: String,
    version: u64,
    ranges: Undeclared,
}

impl Directory {
    /// Takes the directory, which is made where it is missing. `durable`: files are synced before they count.
    ///
    /// # Errors
    /// When another process holds it, or it is open to others or cannot be used.
    pub(super) fn open(path: &Path, durable: bool) -> anyhow::Result<Self> {
        make_private_dir(path)?;
        let held = "another observer works with this spool; give each its own `spool.dir`";
        Ok(Self {
            _lock: lock(&path.join("lock"), held)?,
            path: path.to_owned(),
            durable,
        })
    }

    /// The segments in here, by number. Leavings of a write that did not end are removed, after everything else was looked at.
    ///
    /// # Errors
    /// When a file cannot be read, is open to others, or was written by a newer version: then nothing is changed.
    pub(super) fn segments(&self) -> anyhow::Result<Vec<Found>> {
        let (mut found, mut leavings) = (Vec::new(), Vec::new());
        let entries =
            fs::read_dir(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot read {}", self.path.display()))?
                .path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if let Some(number) = number_of(name) {
                found.push(look(&path, number)?);
            } else if name.ends_with(".tmp") {
                leavings.push(path);
            }
        }
        for path in leavings {
            let _ = fs::remove_file(path);
        }
        found.sort_by_key(|segment| segment.number);
        Ok(found)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}{ENDING}"))
    }

    /// Writes a segment.
    ///
    /// # Errors
    /// When it cannot be written; then there is no file.
    pub(super) fn write(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.file(number), bytes, 0o600, self.durable)
    }

    /// The bytes of a segment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = (MAX_BODY + HEADER_LEN) as u64 + 1;
        File::open(self.file(number))?
            .take(limit)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Removes a segment. What is gone already is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.file(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes a damaged segment out of the way, and keeps the newest of them.
    pub(super) fn set_aside(&self, number: u64) {
        let path = self.file(number);
        if fs::rename(&path, path.with_extension("damaged")).is_err() {
            let _ = fs::remove_file(&path);
        }
        let mut kept: Vec<PathBuf> = fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with(DAMAGED))
            .collect();
        kept.sort();
        for path in kept.iter().rev().skip(KEEP_DAMAGED) {
            let _ = fs::remove_file(path);
        }
    }

    /// What was given up and not declared yet. A file that cannot be understood is put aside.
    ///
    /// # Errors
    /// When it cannot be read, is open to others, or was written by a newer version.
    pub(super) fn losses(&self) -> anyhow::Result<Undeclared> {
        let path = self.path.join(LOSSES);
        let Some(text) = read_private(&path)? else {
            return Ok(Undeclared::default());
        };
        let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let version = value.as_ref().and_then(|v| v["version"].as_u64());
        if let Some(version) = version.filter(|v| *v > LOSSES_VERSION) {
            bail!(
                "{}: written by a newer observer (form {version}, this one knows {LOSSES_VERSION}): install that one again",
                path.display()
            );
        }
        let written = value.and_then(|v| serde_json::from_value::<WrittenLosses>(v).ok());
        match written.filter(|w| w.format == LOSSES_FORMAT) {
            Some(written) => Ok(written.ranges),
            None => {
                let _ = fs::rename(&path, path.with_extension("json.damaged"));
                Ok(Undeclared::default())
            }
        }
    }

    /// Puts on disk what was given up.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write_losses(&self, ranges: &Undeclared) -> io::Result<()> {
        let written = WrittenLosses {
            format: LOSSES_FORMAT.to_owned(),
            version: LOSSES_VERSION,
            ranges: ranges.clone(),
        };
        let text = serde_json::to_string(&written)? + "\n";
        write_whole(&self.path.join(LOSSES), text.as_bytes(), 0o600, self.durable)
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn look(path: &Path, number: u64) -> anyhow::Result<Found> {
    let metadata =
        fs::symlink_metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    if !metadata.is_file() {
        bail!("{}: not a plain file", path.display());
    }
    check_owner(path, &metadata, "chmod 600")?;
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_LEN as u64).read_to_end(&mut head))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let summary = match read_summary(&head) {
        Ok(summary) => Some(summary),
        Err(error @ (SegmentError::Newer(_) | SegmentError::Foreign)) => bail!("{}: {error}", path.display()),
        Err(SegmentError::Header) => None,
    };
    Ok(Found {
        number,
        bytes: metadata.len(),
        summary: summary.filter(|summary| summary.number == number),
    })
}

/// Room for segments on the file system of `path`, in bytes; `None` where nobody says.
pub fn room(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
