//! Labelled material in, agreement with its labels out. Each kind of material has a file here; none of it is in the
//! project (`../shared/data`, or whatever a reader has).

pub mod checksums;
pub mod hosts;
pub mod input;
mod labels;
pub mod pii;
pub mod recordings;
pub mod secrets;
mod tally;

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use observer::sensitive::{Engine, Rules};
use serde_json::Value;

/// What is compared with its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Recorded AI calls, replayed through the whole pipeline
    Recordings,
    /// Lists of hosts and paths against the catalogue
    Hosts,
    /// Lines with and without secrets
    Secrets,
    /// Sentences with marked personal data
    Pii,
    /// Numbers with right and wrong checksums
    Checksums,
}

/// What an evaluation gives: JSON for programs (the form is the module's), text for people.
#[derive(Debug)]
pub struct Outcome {
    /// For `--format json`.
    pub json: Value,
    /// For `--format table`.
    pub text: String,
}

/// Evaluates one file.
///
/// # Errors
/// The file cannot be read, or a line of it is not of the form that `kind` has; the message names file and line.
pub fn run(kind: Kind, path: &Path) -> Result<Outcome> {
    match kind {
        Kind::Recordings => recordings::run(path),
        Kind::Hosts => hosts::run(path),
        Kind::Secrets => secrets::run(path),
        Kind::Pii => pii::run(path),
        Kind::Checksums => checksums::run(path),
    }
}

/// The built-in rules and an engine for them, as the daemon has them without a configuration.
fn builtin() -> Result<(Rules, Engine)> {
    let rules = Rules::builtin().map_err(|problems| anyhow::anyhow!("built-in rules: {problems:?}"))?;
    let engine = Engine::new(&rules).context("built-in rules")?;
    Ok((rules, engine))
}

/// Characters from `start` to `end` of a text as a range of bytes, within the text.
fn byte_range(text: &str, start: usize, end: usize) -> Range<usize> {
    let offset = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    offset(start)..offset(end.max(start))
}
