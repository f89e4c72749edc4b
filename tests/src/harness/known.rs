//! What daemons of earlier tests found in the large programs of this machine: a daemon that knows them is ready some seconds sooner. It believes
//! only what the same build wrote of a file that is as it was, so what a test makes itself is examined in each test.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use observer::state::KNOWN_FILES;

fn kept() -> PathBuf {
    super::work_dir().join(KNOWN_FILES)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Gives a daemon that has not run yet what others found.
pub(super) fn give(state: &Path) -> Result<()> {
    let own = state.join(KNOWN_FILES);
    if own.exists() {
        return Ok(());
    }
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(state)
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(error).with_context(|| state.display().to_string());
    }
    match fs::copy(kept(), own) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("known files"),
        _ => Ok(()),
    }
}

/// Keeps what a daemon found for the next ones, once for each build of it.
pub(super) fn keep(state: &Path) -> Result<()> {
    let (own, kept) = (state.join(KNOWN_FILES), kept());
    if !own.exists() || modified(&kept) > modified(&super::daemon()) {
        return Ok(());
    }
    // The name appears whole: test programs can run side by side.
    let new = kept.with_extension(std::process::id().to_string());
    fs::copy(own, &new).context("known files")?;
    fs::rename(new, kept).context("known files")
}
