//! The auditor's pack: one page that stands for itself, and the data behind it (shell: writes files).

mod charts;
mod controls;
mod facts;
mod governance_facts;
mod html;
mod page;
mod sql;
mod tables;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

pub use controls::{CONTROLS, Strength, markdown as controls_markdown};
pub use facts::{Facts, Request, gather};
pub use governance_facts::Governance;
pub use page::page;

/// Name of the page.
pub const PAGE: &str = "report.html";

/// A ratio for people. Never rounded up to the whole.
fn percent(ratio: Option<f64>) -> String {
    crate::report::text::percent(ratio)
}

/// A file of the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    /// Name.
    pub name: &'static str,
    /// Content.
    pub content: String,
}

/// All files of a pack. The page comes last and names the digests of the others.
pub fn files(facts: &Facts) -> Vec<PackFile> {
    let mut files = tables::files(facts);
    let digests: Vec<(&str, String)> = files
        .iter()
        .map(|file| (file.name, hex::encode(Sha256::digest(&file.content))))
        .collect();
    let content = page(facts, &digests);
    files.push(PackFile { name: PAGE, content });
    files
}

/// Writes the pack into a new or empty directory.
///
/// # Errors
/// When the directory holds anything, or a file cannot be written.
pub fn write(directory: &Path, files: &[PackFile]) -> anyhow::Result<()> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make {shown}"))?;
    let mut entries = fs::read_dir(directory).with_context(|| format!("cannot read {shown}"))?;
    if entries.next().is_some() {
        bail!("{shown} is not empty: name a new directory");
    }
    for file in files {
        let path = directory.join(file.name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut out| out.write_all(file.content.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
