//! Labelled files: lines of text or JSON, plain or gzip.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;

/// Lines of a file, unpacked where it begins as gzip does (RFC 1952), whatever its name.
///
/// # Errors
/// The file cannot be opened or read.
pub fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String>>> {
    let shown = path.display().to_string();
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot open {shown}"))?);
    let head = file.fill_buf().with_context(|| format!("cannot read {shown}"))?;
    let plain: Box<dyn Read> = if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(BufReader::new(plain)
        .lines()
        .enumerate()
        .map(move |(number, line)| line.with_context(|| format!("{shown}: line {}", number + 1))))
}

/// Rows of a file of JSON lines; empty lines are passed over.
///
/// # Errors
/// As [`lines`]; a line that is no such row.
pub fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    for (number, line) in lines(path)?.enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let row = serde_json::from_str(&line)
            .with_context(|| format!("{}: line {}", path.display(), number + 1))?;
        rows.push(row);
    }
    Ok(rows)
}
