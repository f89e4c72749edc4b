//! The head of the chain: the last seal that this host made, on disk before the seal goes anywhere else. The next start of
//! the agent names it in its `open` seal, so that epochs hang together and a stop that was no orderly one is seen.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::files::{lock, make_private_dir, read_private, write_atomic};
use crate::evidence::{Link, OpenReason, Opening, SealKind, SealRow};

const FORMAT: &str = "observer-chain-head";

/// Version of the form that this program writes.
const VERSION: u64 = 1;

const FILE: &str = "head.json";

/// The last seal of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Host.
    pub host_id: String,
    /// Boot in which the seal was made.
    pub boot_id: Uuid,
    /// The seal.
    pub link: Link,
    /// It was the last of an orderly stop.
    pub closed: bool,
    /// End of its interval, ns since the Unix epoch.
    pub interval_end: i64,
}

impl Head {
    /// Which of two is later.
    fn place(&self) -> (u64, u64) {
        (self.link.chain_epoch, self.link.seal_seq)
    }
}

impl From<&SealRow> for Head {
    fn from(row: &SealRow) -> Self {
        Self {
            host_id: row.host_id.clone(),
            boot_id: row.boot_id,
            link: Link::from(row),
            closed: row.seal_kind == SealKind::Close,
            interval_end: row.interval_end,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: String,
    version: u64,
    host_id: String,
    boot_id: Uuid,
    chain_epoch: u64,
    seal_seq: u64,
    seal_hash: String,
    closed: bool,
    interval_end: i64,
}

/// How the chain of this start begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Number of the new epoch.
    pub epoch: u64,
    /// What its `open` seal says of the epoch before.
    pub opening: Opening,
    /// What was noticed, as words for the seal.
    pub notes: Vec<&'static str>,
}

/// What was found of an earlier epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    Damaged,
    Head(Head),
}

/// The file of the head. One process holds it.
#[derive(Debug)]
pub struct HeadFile {
    path: PathBuf,
    _lock: File,
}

impl HeadFile {
    /// Takes the file of `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// When another process holds it, or the directory cannot be used.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        make_private_dir(directory)?;
        let held = "another observer works with this state directory; give each its own `state_dir`";
        Ok(Self {
            _lock: lock(&directory.join("lock"), held)?,
            path: directory.join(FILE),
        })
    }

    /// How the chain of this start begins. `now_ns` is the wall clock; `known_before`: this host has had a key already; `newest`: a seal
    /// that was put on disk elsewhere, which counts where it is later: a kill came between it and the head.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or is of a newer form. A damaged one is put aside and stated.
    pub fn begin(
        &self,
        host_id: &str,
        boot_id: Uuid,
        now_ns: i64,
        known_before: bool,
        newest: Option<&Head>,
    ) -> anyhow::Result<Begin> {
        let found = match read_private(&self.path)? {
            None => Found::Nothing,
            Some(text) => parse(&text).with_context(|| self.path.display().to_string())?,
        };
        if found == Found::Damaged {
            // Kept for whoever wants to know what happened.
            let _ = fs::rename(&self.path, self.path.with_extension("json.damaged"));
        }
        let found = match (found, newest.filter(|seal| seal.host_id == host_id)) {
            (Found::Head(head), Some(seal)) if head.host_id == host_id && head.place() < seal.place() => {
                Found::Head(seal.clone())
            }
            (Found::Nothing | Found::Damaged, Some(seal)) => Found::Head(seal.clone()),
            (found, _) => found,
        };
        Ok(begin(&found, host_id, boot_id, now_ns, known_before))
    }

    /// Puts the head on disk, durably.
    ///
    /// # Errors
    /// When it cannot be written; the head before is then still there.
    pub fn write(&self, head: &Head) -> std::io::Result<()> {
        let written = Written {
            format: FORMAT.to_owned(),
            version: VERSION,
            host_id: head.host_id.clone(),
            boot_id: head.boot_id,
            chain_epoch: head.link.chain_epoch,
            seal_seq: head.link.seal_seq,
            seal_hash: hex::encode(head.link.seal_hash),
            closed: head.closed,
            interval_end: head.interval_end,
        };
        let text = serde_json::to_string(&written)? + "\n";
        write_atomic(&self.path, text.as_bytes(), 0o600)
    }
}

/// Reads the text of a head. Only a newer form is an error.
fn parse(text: &str) -> anyhow::Result<Found> {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Ok(Found::Damaged);
    };
    if let Some(version) = value["version"].as_u64().filter(|v| *v > VERSION) {
        bail!(
            "written by a newer observer (form {version}, this one knows {VERSION}): install that one again"
        );
    }
    let Ok(written) = serde_json::from_value::<Written>(value) else {
        return Ok(Found::Damaged);
    };
    let mut seal_hash = [0; 32];
    let whole = written.format == FORMAT && hex::decode_to_slice(&written.seal_hash, &mut seal_hash).is_ok();
    if !whole {
        return Ok(Found::Damaged);
    }
    Ok(Found::Head(Head {
        host_id: written.host_id,
        boot_id: written.boot_id,
        link: Link {
            chain_epoch: written.chain_epoch,
            seal_seq: written.seal_seq,
            seal_hash,
        },
        closed: written.closed,
        interval_end: written.interval_end,
    }))
}

fn begin(found: &Found, host_id: &str, boot_id: Uuid, now_ns: i64, known_before: bool) -> Begin {
    let now = u64::try_from(now_ns).unwrap_or(0);
    let fresh = |reason, notes| Begin {
        epoch: now,
        opening: Opening {
            reason,
            previous: None,
        },
        notes,
    };
    let head = match found {
        Found::Nothing if known_before => return fresh(OpenReason::StateLost, vec!["chain_state_missing"]),
        Found::Nothing => return fresh(OpenReason::FirstStart, vec![]),
        Found::Damaged => return fresh(OpenReason::StateLost, vec!["chain_state_damaged"]),
        Found::Head(head) if head.host_id != host_id => {
            return fresh(OpenReason::FirstStart, vec!["chain_state_of_other_host"]);
        }
        Found::Head(head) => head,
    };
    let rebooted = head.boot_id != boot_id && !head.boot_id.is_nil() && !boot_id.is_nil();
    let reason = match (head.closed, rebooted) {
        (true, _) => OpenReason::Restart,
        (false, true) => OpenReason::UncleanReboot,
        (false, false) => OpenReason::Unclean,
    };
    let mut notes = Vec::new();
    if now_ns < head.interval_end || now <= head.link.chain_epoch {
        notes.push("clock_went_back");
    }
    Begin {
        epoch: now.max(head.link.chain_epoch.saturating_add(1)),
        opening: Opening {
            reason,
            previous: Some(head.link),
        },
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Uuid = Uuid::from_u128(1);

    fn head(closed: bool) -> Head {
        Head {
            host_id: "h".into(),
            boot_id: BOOT,
            link: Link {
                chain_epoch: 100,
                seal_seq: 7,
                seal_hash: [3; 32],
            },
            closed,
            interval_end: 400,
        }
    }

    #[test]
    fn the_next_start_names_the_last_seal() {
        let dir = tempfile::tempdir().unwrap();
        let chain = dir.path().join("chain");
        let file = HeadFile::open(&chain).unwrap();
        let first = file.begin("h", BOOT, 50, false, None).unwrap();
        assert_eq!(
            (first.epoch, first.opening, first.notes.len()),
            (50, Opening::default(), 0)
        );
        file.write(&head(true)).unwrap();
        drop(file);
        let next = HeadFile::open(&chain)
            .unwrap()
            .begin("h", BOOT, 500, true, None)
            .unwrap();
        assert_eq!(next.epoch, 500);
        assert_eq!(next.opening.reason, OpenReason::Restart);
        assert_eq!(next.opening.previous, Some(head(true).link));
    }

    #[test]
    fn a_later_seal_in_the_spool_goes_before_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let file = HeadFile::open(&dir.path().join("chain")).unwrap();
        let of_seal = |seal_seq| Head {
            link: Link {
                seal_seq,
                ..head(false).link
            },
            ..head(false)
        };
        let previous = |newest: &Head| {
            file.begin("h", BOOT, 500, true, Some(newest))
                .unwrap()
                .opening
                .previous
        };
        assert_eq!(previous(&of_seal(3)), Some(of_seal(3).link), "there is no head");
        file.write(&head(true)).unwrap();
        assert_eq!(
            previous(&of_seal(6)),
            Some(head(true).link),
            "an older one waits there for the store"
        );
        assert_eq!(previous(&of_seal(8)), Some(of_seal(8).link));
        let other = Head {
            host_id: "other".into(),
            ..of_seal(9)
        };
        assert_eq!(previous(&other), Some(head(true).link));
    }

    #[test]
    fn a_stop_that_was_no_orderly_one_is_seen() {
        let open = |boot| {
            begin(&Found::Head(head(false)), "h", boot, 500, true)
                .opening
                .reason
        };
        assert_eq!(open(BOOT), OpenReason::Unclean);
        assert_eq!(open(Uuid::from_u128(2)), OpenReason::UncleanReboot);
        assert_eq!(
            open(Uuid::nil()),
            OpenReason::Unclean,
            "an unknown boot proves no reboot"
        );
    }

    #[test]
    fn what_does_not_fit_is_stated() {
        let of = |found: &Found, host: &str, now, known| begin(found, host, BOOT, now, known);
        let back = of(&Found::Head(head(true)), "h", 90, true);
        assert_eq!(
            (back.epoch, back.notes.as_slice()),
            (101, ["clock_went_back"].as_slice())
        );
        let little_back = of(&Found::Head(head(true)), "h", 300, true);
        assert_eq!((little_back.epoch, little_back.notes.len()), (300, 1));
        let other = of(&Found::Head(head(true)), "other", 500, false);
        assert_eq!(other.opening, Opening::default());
        assert_eq!(other.notes, ["chain_state_of_other_host"]);
        let lost = of(&Found::Nothing, "h", 500, true);
        assert_eq!(
            (lost.opening.reason, lost.notes.len()),
            (OpenReason::StateLost, 1)
        );
    }

    #[test]
    fn a_damaged_head_is_put_aside_and_a_newer_one_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = HeadFile::open(&dir.path().join("chain")).unwrap();
        file.write(&head(true)).unwrap();
        let text = fs::read_to_string(&file.path).unwrap();
        for end in 0..text.len() - 1 {
            write_atomic(&file.path, &text.as_bytes()[..end], 0o600).unwrap();
            let begin = file.begin("h", BOOT, 500, true, None).unwrap();
            assert_eq!(begin.notes, ["chain_state_damaged"], "{end}");
            assert!(file.path.with_extension("json.damaged").exists() && !file.path.exists());
        }
        let newer = text.replace("\"version\":1", "\"version\":2");
        write_atomic(&file.path, newer.as_bytes(), 0o600).unwrap();
        let error = format!("{:#}", file.begin("h", BOOT, 500, true, None).unwrap_err());
        assert!(
            error.contains("head.json: written by a newer observer (form 2"),
            "{error}"
        );
    }

    #[test]
    fn two_agents_do_not_share_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let chain = dir.path().join("chain");
        let _first = HeadFile::open(&chain).unwrap();
        let error = HeadFile::open(&chain).unwrap_err().to_string();
        assert!(error.contains("`state_dir`"), "{error}");
    }
}
