//! Labelled material in, agreement with its labels out. Each kind of material has a file here; none of it is in the
//! project (`../shared/data`, or whatever a reader has).

pub mod checksums;
pub mod hosts;
pub mod input;
pub mod pii;
pub mod recordings;
pub mod secrets;

use std::path::Path;

use anyhow::Result;
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
