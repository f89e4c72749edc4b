//! Anchors as files: one each, numbered, never written twice.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::evidence::{AnchorRow, KeyRow};

const FORMAT: &str = "observer-anchor";

/// Version of the form that this program writes.
const VERSION: u64 = 1;

/// An anchor of so many chains is larger than any fleet.
const MAX_BYTES: u64 = 256 << 20;

/// Name of the file: sorts by number.
fn file_name(notary: &str, seq: u64) -> String {
    // A name is anything; a file name is not.
    let plain: String = notary
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("anchor-{plain}-{seq:010}.json")
}

/// Writes an anchor with the certificate of its key. A file that is there is never replaced.
///
/// # Errors
/// When there is such a file, or it cannot be written; then there is none of this name, not even a part.
pub fn write(directory: &Path, anchor: &AnchorRow, certificate: Option<&KeyRow>) -> anyhow::Result<PathBuf> {
    let path = directory.join(file_name(&anchor.notary_id, anchor.anchor_seq));
    let value = json!({
        "format": FORMAT,
        "version": VERSION,
        "anchor": anchor.to_json(),
        "certificate": certificate.map(KeyRow::to_json),
    });
    let temporary = path.with_extension("json.tmp");
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(format!("{value:#}\n").as_bytes())?;
            file.sync_all()
        })
        // Unlike a rename, a link never replaces.
        .and_then(|()| fs::hard_link(&temporary, &path));
    let _ = fs::remove_file(&temporary);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    fs::File::open(directory).and_then(|d| d.sync_all()).ok();
    Ok(path)
}

/// Reads the anchor of a file. Nothing is checked but the form.
///
/// # Errors
/// When it cannot be read, is damaged, or is of a newer form.
pub fn read(path: &Path) -> anyhow::Result<(AnchorRow, Option<KeyRow>)> {
    let shown = path.display();
    let length = fs::metadata(path)
        .with_context(|| format!("cannot read {shown}"))?
        .len();
    if length > MAX_BYTES {
        bail!("{shown}: longer than {MAX_BYTES} bytes");
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{shown}: damaged"))?;
    match value["version"].as_u64() {
        _ if value["format"] != FORMAT => bail!("{shown}: no anchor of observer"),
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => {
            bail!("{shown}: written by a newer observer (form {newer}, this one knows {VERSION})")
        }
        _ => bail!("{shown}: damaged: no version"),
    }
    let damaged = |why| anyhow::anyhow!("{shown}: damaged: {why}");
    let anchor = AnchorRow::from_json(&value["anchor"]).map_err(damaged)?;
    let certificate = match &value["certificate"] {
        Value::Null => None,
        certificate => Some(KeyRow::from_json(certificate).map_err(damaged)?),
    };
    Ok((anchor, certificate))
}

/// Numbers of the anchors of a notary in a directory, in order.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn numbers(directory: &Path, notary: &str) -> anyhow::Result<Vec<u64>> {
    let first = file_name(notary, 0);
    let prefix = first.strip_suffix("0000000000.json").unwrap_or(&first);
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry
            .with_context(|| format!("cannot read {}", directory.display()))?
            .file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|n| n.strip_prefix(prefix)?.strip_suffix(".json")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// An anchor of a notary, by its number.
///
/// # Errors
/// When its file cannot be read, or what stands in it is not what its name says.
pub(super) fn numbered(directory: &Path, notary: &str, seq: u64) -> anyhow::Result<AnchorRow> {
    let path = directory.join(file_name(notary, seq));
    let (anchor, _) = read(&path)?;
    if anchor.anchor_seq != seq || anchor.notary_id != notary || anchor.anchor_hash != anchor.digest() {
        bail!("{}: damaged: not the anchor that its name says", path.display());
    }
    Ok(anchor)
}

/// The newest anchor of a notary in a directory.
///
/// # Errors
/// When the directory or that file cannot be read, or what stands in it is not what its name says.
pub fn newest(directory: &Path, notary: &str) -> anyhow::Result<Option<AnchorRow>> {
    let last = numbers(directory, notary)?.pop();
    last.map(|seq| numbered(directory, notary, seq)).transpose()
}

/// When the newest anchor was made that is not later than `now_ms`. Each is later than the one before, also over a clock that
/// went back, so only some are read; one that cannot be read counts as later, which leads to an older one.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn made_by(directory: &Path, notary: &str, now_ms: i64) -> anyhow::Result<Option<i64>> {
    let numbers = numbers(directory, notary)?;
    let mut made = None;
    let mut rest = numbers.as_slice();
    while !rest.is_empty() {
        let (before, after) = rest.split_at(rest.len() / 2);
        let [middle, after @ ..] = after else { break };
        match numbered(directory, notary, *middle) {
            Ok(anchor) if anchor.anchored_at <= now_ms => {
                made = Some(anchor.anchored_at);
                rest = after;
            }
            _ => rest = before,
        }
    }
    Ok(made)
}

/// All anchors of a directory, whoever made them.
///
/// # Errors
/// When the directory or one of its anchors cannot be read.
pub fn all(directory: &Path) -> anyhow::Result<Vec<(AnchorRow, Option<KeyRow>)>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", directory.display()))?
            .path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("anchor-") && name.ends_with(".json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Signer, keys::ROLE_NOTARY};

    fn anchor(previous: Option<&AnchorRow>) -> AnchorRow {
        let leaves = vec![("h".to_owned(), 1, 2, [3; 32])];
        AnchorRow::new("ann/otary", previous, leaves, 5, &Signer::from_seed(&[1; 32]))
    }

    #[test]
    fn anchors_are_numbered_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path(), "ann/otary").unwrap(), None);
        let key = KeyRow::first("ann/otary", ROLE_NOTARY, &Signer::from_seed(&[1; 32]), 1);
        let first = anchor(None);
        let path = write(dir.path(), &first, Some(&key)).unwrap();
        assert!(path.ends_with("anchor-ann_otary-0000000001.json"));
        assert_eq!(read(&path).unwrap(), (first.clone(), Some(key)));
        let error = format!("{:#}", write(dir.path(), &anchor(None), None).unwrap_err());
        assert!(error.contains("0000000001.json"), "{error}");
        let second = anchor(Some(&first));
        write(dir.path(), &second, None).unwrap();
        assert_eq!(newest(dir.path(), "ann/otary").unwrap(), Some(second));
        assert_eq!(newest(dir.path(), "ann").unwrap(), None, "another notary");
        let numbers = all(dir.path()).unwrap().into_iter().map(|(a, _)| a.anchor_seq);
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary files");
    }

    #[test]
    fn the_last_anchor_before_a_time_is_found_among_later_and_damaged_ones() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::from_seed(&[1; 32]);
        let mut previous = None;
        let found = |now_ms| made_by(dir.path(), "n", now_ms).unwrap();
        assert_eq!(found(5), None);
        let mut paths = Vec::new();
        for made in [10, 20, 30, 1_000, 1_001, 1_002] {
            let anchor = AnchorRow::new("n", previous.as_ref(), Vec::new(), made, &signer);
            paths.push(write(dir.path(), &anchor, None).unwrap());
            previous = Some(anchor);
        }
        for (now_ms, expected) in [
            (9, None),
            (10, Some(10)),
            (29, Some(20)),
            (40, Some(30)),
            (1_001, Some(1_001)),
            (9_999, Some(1_002)),
        ] {
            assert_eq!(found(now_ms), expected, "{now_ms}");
        }
        fs::remove_file(&paths[2]).unwrap();
        fs::write(&paths[2], "{}").unwrap();
        assert_eq!(found(40), Some(20), "an older one leaves nothing out");
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &anchor(None), None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let says = |text: &str, expected: &str| {
            fs::remove_file(&path).unwrap();
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", newest(dir.path(), "ann/otary").unwrap_err());
            assert!(
                error.contains("0000000001.json: ") && error.contains(expected),
                "{error}"
            );
        };
        says(&text[..50], "damaged");
        says("{}", "no anchor");
        says(
            &text.replace("\"version\": 1", "\"version\": 4"),
            "newer observer (form 4",
        );
        says(
            &text.replace("\"anchored_at\": 5", "\"anchored_at\": 6"),
            "not the anchor",
        );
        says(
            &text.replace("\"anchor_seq\": 1", "\"anchor_seq\": \"x\""),
            "`anchor_seq`",
        );
    }
}
