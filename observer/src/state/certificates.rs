//! The file of a keyring's certificates: one a line, oldest first.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::files::{read_private_within, write_atomic};
use crate::evidence::KeyRow;

/// Longest file of certificates, of some 800 bytes each: two years of a new key every hour.
const MAX_CERTIFICATES: u64 = 16 << 20;

fn certificates_path(directory: &Path, role: &str) -> PathBuf {
    directory.join(format!("{role}.certificates.jsonl"))
}

/// All certificates of a keyring, oldest first.
///
/// # Errors
/// When the file cannot be read, is open to others, or a line of it is no certificate.
pub(super) fn read_certificates(directory: &Path, role: &str) -> anyhow::Result<Vec<KeyRow>> {
    let path = certificates_path(directory, role);
    let text = read_private_within(&path, MAX_CERTIFICATES)?.unwrap_or_default();
    let mut certificates = Vec::new();
    // The last line without its end was cut off while it was written: the rotation did not happen.
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        let row = serde_json::from_str(line)
            .map_err(|error| error.to_string())
            .and_then(|value| KeyRow::from_json(&value));
        match row {
            Ok(row) => certificates.push(row),
            Err(why) => bail!(
                "{}: line {}: {why}; the certificates are in the store, too: remove that line",
                path.display(),
                number + 1
            ),
        }
    }
    Ok(certificates)
}

/// Adds one, and lets the oldest go when there is no more room.
///
/// # Errors
/// When the file cannot be read or written; then it is as it was.
pub(super) fn append_certificate(directory: &Path, role: &str, certificate: &KeyRow) -> anyhow::Result<()> {
    let path = certificates_path(directory, role);
    let text = read_private_within(&path, MAX_CERTIFICATES)?.unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let text = format!("{}{}\n", &text[..whole], certificate.to_json());
    let kept = last_lines(&text, usize::try_from(MAX_CERTIFICATES).unwrap_or(usize::MAX));
    write_atomic(&path, kept.as_bytes(), 0o600).with_context(|| format!("cannot write {}", path.display()))
}

/// As many whole lines from the end as `max_bytes` hold.
fn last_lines(text: &str, max_bytes: usize) -> &str {
    let Some(over) = text.len().checked_sub(max_bytes).filter(|over| *over > 0) else {
        return text;
    };
    // The first line that begins at `over` or behind it. A line feed is never a part of another character.
    let end = text.as_bytes().iter().skip(over - 1).position(|b| *b == b'\n');
    end.and_then(|end| text.get(over + end..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_certificates_are_kept_when_there_is_no_more_room() {
        let kept = |max_bytes| last_lines("1\n22\n333\n", max_bytes);
        assert_eq!(kept(9), "1\n22\n333\n");
        assert_eq!(kept(8), "22\n333\n");
        assert_eq!(kept(7), "22\n333\n");
        assert_eq!([kept(6), kept(4)], ["333\n", "333\n"]);
        assert_eq!([kept(3), kept(0)], ["", ""]);
    }
}
