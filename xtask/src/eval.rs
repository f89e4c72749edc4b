//! Evaluations: builds the program that makes them and runs it with its output on ours.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::build;
use crate::demo::Format;

/// What is compared with its labels; the words of the program `eval`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
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

/// Builds and runs one evaluation. Relative paths are those of the caller.
pub(crate) fn run(kind: Kind, path: &Path, format: Format) -> Result<ExitCode> {
    build::members()?;
    let status = Command::new(build::eval())
        .arg(format!("{kind:?}").to_lowercase())
        .arg(path)
        .args(["--format", format.word()])
        .stdin(Stdio::null())
        .status()
        .context("cannot start the evaluation")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
