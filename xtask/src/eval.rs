//! Evaluations: builds the program that makes them and runs it with its output on ours.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::demo::Format;
use crate::{build, setup};

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
pub(crate) fn run(kind: Kind, path: &Path, format: Format, live: bool) -> Result<ExitCode> {
    // Before minutes of building.
    File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut command = Command::new(build::eval());
    if live {
        setup::all()?;
        build::all()?;
        command
            .arg("--live")
            .env("OBSERVER_LIVE", "1")
            .env("OBSERVER_BIN", build::daemon())
            .env("OBSERVER_CHDB", setup::chdb_library())
            .env("OBSERVER_PYTHON", setup::client_python());
    } else {
        build::members()?;
    }
    let status = command
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
