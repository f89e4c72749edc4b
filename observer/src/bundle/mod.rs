//! Bundles: the evidence of a period as files, to be verified without the store (shell).
//!
//! A bundle is a directory. `manifest.json` names every other file with its length and SHA-256; these are rows as JSON
//! lines, compressed with zstd, sorted by host and chain. Nobody signs the manifest: it finds broken copies. Whether
//! rows are right is shown by the seals, whose signatures travel with them.

mod export;
mod line;
mod manifest;
mod read;

pub use export::{Exported, export};
pub(crate) use export::{create_private, make_empty};
pub use line::{Lines, RowError, from_line, to_line};
pub use manifest::{FileEntry, HostEntry, Manifest};
pub use read::BundleSource;

use crate::evidence::{AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// Table of the inventory, of which a bundle has two columns.
const INVENTORY: &str = "host_inventory";

/// The tables of a bundle; each is one file.
pub const TABLES: [&str; 8] = [
    SealRow::TABLE,
    InteractionRow::TABLE,
    FindingRow::TABLE,
    ConnectionRow::TABLE,
    BlindSpotRow::TABLE,
    KeyRow::TABLE,
    AnchorRow::TABLE,
    INVENTORY,
];

/// Name of the file of a table.
pub fn file_name(table: &str) -> String {
    format!("{table}.jsonl.zst")
}
