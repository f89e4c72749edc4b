//! Rows as lines of JSON: columns by name, times as ns, digests as hexadecimal text. Pure.

use std::io::{self, BufRead};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Longest line. An anchor of 100,000 chains has 20 MB.
const MAX_LINE: usize = 32 << 20;

/// Endings of the names of columns that hold bytes.
const BYTES: [&str; 6] = ["_hash", "_sha256", "_hmac", "_digest", "_commitment", "signature"];

/// Why a line is no row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The file cannot be read, or what is in it cannot be decompressed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is longer than any row.
    #[error("longer than {MAX_LINE} bytes")]
    TooLong,
    /// The last line has no end: the file was cut.
    #[error("cut off")]
    Cut,
    /// It is no JSON, or no row of this table.
    #[error("{0}")]
    Wrong(String),
}

/// A row as one line, without its end.
///
/// # Errors
/// When serde cannot put it into JSON; no row is such.
pub fn to_line<T: Serialize>(row: &T) -> Result<String, RowError> {
    let mut value = serde_json::to_value(row).map_err(|error| RowError::Wrong(error.to_string()))?;
    if let Value::Object(columns) = &mut value {
        for (name, value) in columns.iter_mut() {
            if is_bytes(name)
                && let Some(text) = to_hex(value)
            {
                *value = text;
            }
        }
    }
    Ok(value.to_string())
}

/// A row from a line that [`to_line`] made.
///
/// # Errors
/// What is wrong with it. Never a value.
pub fn from_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, RowError> {
    let mut value: Value = serde_json::from_slice(line).map_err(|error| RowError::Wrong(place_of(&error)))?;
    let Value::Object(columns) = &mut value else {
        return Err(RowError::Wrong("no JSON object".into()));
    };
    for (name, value) in columns.iter_mut() {
        if is_bytes(name) {
            *value =
                from_hex(value).ok_or_else(|| RowError::Wrong(format!("`{name}` is no hexadecimal text")))?;
        }
    }
    // By reference: a UUID is read from a borrowed text only.
    T::deserialize(&value).map_err(|error| RowError::Wrong(first_words(&error)))
}

fn is_bytes(name: &str) -> bool {
    // The digest of an image is text, with its algorithm before it.
    name != "container_image_digest" && BYTES.iter().any(|ending| name.ends_with(ending))
}

fn to_hex(value: &Value) -> Option<Value> {
    let items = value.as_array()?;
    if items.is_empty() {
        return None;
    }
    if items.iter().all(Value::is_array) {
        return items.iter().map(to_hex).collect();
    }
    let bytes: Option<Vec<u8>> = items
        .iter()
        .map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok()))
        .collect();
    bytes.map(|bytes| hex::encode(bytes).into())
}

fn from_hex(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(Value::from(hex::decode(text).ok()?)),
        Value::Array(items) => items.iter().map(from_hex).collect(),
        _ => None,
    }
}

/// An error of serde says what it found: a value may be foreign text.
fn first_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") {
        return text;
    }
    "a column has another type than the table's".into()
}

fn place_of(error: &serde_json::Error) -> String {
    format!("no JSON at column {}", error.column())
}

/// Reads lines within a budget, and counts them.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    line: Vec<u8>,
    /// Number of the line that was read last, from 1.
    pub number: u64,
}

impl<R: BufRead> Lines<R> {
    /// From the beginning.
    pub fn new(from: R) -> Self {
        Self {
            from,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line without its end; `None` at the end of the file.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or has no end.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RowError> {
        self.line.clear();
        loop {
            let piece = self.from.fill_buf()?;
            if piece.is_empty() {
                return if self.line.is_empty() {
                    Ok(None)
                } else {
                    Err(RowError::Cut)
                };
            }
            let end = memchr::memchr(b'\n', piece);
            let take = end.map_or(piece.len(), |at| at + 1);
            if self.line.len() + take > MAX_LINE {
                return Err(RowError::TooLong);
            }
            self.line.extend_from_slice(&piece[..take]);
            self.from.consume(take);
            if end.is_some() {
                self.line.pop();
                self.number += 1;
                return Ok(Some(&self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{FindingRow, InteractionRow, SealKind, SealRow, Sequencer, Signer};

    fn seal() -> SealRow {
        let mut sequencer = Sequencer::new("h", uuid::Uuid::from_u128(5), 7);
        sequencer.sign_with(Signer::from_seed(&[1; 32]));
        let interval = crate::evidence::Interval {
            start: -1,
            end: i64::MAX,
            mono_start_ns: u64::MAX,
            mono_end_ns: 0,
        };
        let mut row = sequencer.seal(SealKind::Close, interval, crate::evidence::Coverage::default());
        row.books_seen = vec![1, u64::MAX];
        row
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let mut row = InteractionRow::unknown();
        row.user_agent = "ü\n\"\\\u{0}".into();
        row.network_peer_address = "::ffff:1.2.3.4".parse().unwrap();
        row.gen_ai_usage_input_tokens = Some(u64::MAX);
        row.prompt_hmac = [0xab; 32];
        let line = to_line(&row).unwrap();
        assert!(!line.contains('\n') && line.contains(&"ab".repeat(32)), "{line}");
        assert_eq!(from_line::<InteractionRow>(line.as_bytes()).unwrap(), row);
        let mut finding = FindingRow::unknown();
        for hmacs in [vec![], vec![[1; 16], [2; 16]]] {
            finding.value_hmac = hmacs;
            assert_eq!(
                from_line::<FindingRow>(to_line(&finding).unwrap().as_bytes()).unwrap(),
                finding
            );
        }
        assert_eq!(
            from_line::<SealRow>(to_line(&seal()).unwrap().as_bytes()).unwrap(),
            seal()
        );
    }

    #[test]
    fn lines_that_are_no_rows_are_said_without_their_values() {
        let good = to_line(&seal()).unwrap();
        let why = |line: &str| from_line::<SealRow>(line.as_bytes()).unwrap_err().to_string();
        assert!(why("{").contains("no JSON"));
        assert!(why("[]").contains("no JSON object"));
        assert!(why("{}").contains("missing field"));
        assert!(why(&good.replace("\"seal_hash\":\"", "\"seal_hash\":\"x")).contains("`seal_hash`"));
        assert!(why(&good.replace("\"host_id\":\"h\"", "\"host_id\":7")).contains("another type"));
        let long = good.replace("\"seal_hash\":\"", "\"seal_hash\":\"00");
        assert!(why(&long).contains("another type"));
    }

    #[test]
    fn lines_are_the_same_however_the_file_is_cut_into_pieces() {
        let text = b"a\n\nbcd\n";
        for size in 1..10 {
            let mut lines = Lines::new(io::BufReader::with_capacity(size, &text[..]));
            let mut got = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                got.push(line.to_vec());
            }
            assert_eq!(got, [b"a".to_vec(), vec![], b"bcd".to_vec()]);
            assert_eq!(lines.number, 3);
        }
        assert!(matches!(Lines::new(&b"abc"[..]).next_line(), Err(RowError::Cut)));
        let long = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(Lines::new(long).next_line(), Err(RowError::TooLong)));
    }
}
