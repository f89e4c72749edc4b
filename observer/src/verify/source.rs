//! Where rows come from: the store, or a bundle.

use super::host::Record;
use crate::evidence::{AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow};

/// The tables of records. [`Record::table`] is a place in this list.
pub(super) const TABLES: [&str; 4] = [
    InteractionRow::TABLE,
    FindingRow::TABLE,
    ConnectionRow::TABLE,
    BlindSpotRow::TABLE,
];

/// Place in the chain of one host: epoch and number of a seal.
pub type Key = (u64, u64);

/// What of the chains is looked at: seals whose interval begins in it. Wall clock, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// From here on; `None`: from the beginning.
    pub from: Option<i64>,
    /// Before this; `None`: to the end.
    pub to: Option<i64>,
}

/// Some seals of a host, sorted by epoch, number and hash. No number is cut in two.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The seals.
    pub seals: Vec<SealRow>,
    /// Nothing comes after it.
    pub is_last: bool,
}

/// What is known beside the chains.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Hosts that have seals or records, sorted.
    pub hosts: Vec<String>,
    /// Certificates, and when each was revoked (ms).
    pub keys: Vec<(KeyRow, i64)>,
    /// Hosts that the inventory has in scope, with the time at which they went away (ms; far in the future: not yet).
    pub inventory: Vec<(String, i64)>,
    /// Rows that will be read.
    pub rows: u64,
}

/// Rows of one place, page by page.
pub trait Source {
    /// What is known beside the chains.
    fn known(&mut self) -> impl Future<Output = anyhow::Result<Known>>;

    /// Hands out the anchors, by notary and number.
    fn anchors(&mut self, take: &mut dyn FnMut(AnchorRow)) -> impl Future<Output = anyhow::Result<()>>;

    /// The next seals of a host, after `after` where that is given. Hosts are asked for in their order.
    fn seals(&mut self, host: &str, after: Option<Key>) -> impl Future<Output = anyhow::Result<Page>>;

    /// The records of a host that name a seal after `after` and up to `upto`, each hashed anew.
    fn records(
        &mut self,
        host: &str,
        after: Option<Key>,
        upto: Option<Key>,
        take: &mut dyn FnMut(Record),
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// What is wrong with the place itself, asked for when all was read.
    fn damage(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A row of a table of records.
pub(crate) trait RecordRow {
    /// Place in [`TABLES`].
    const TABLE: u8;

    /// What the chain needs of it; the hash is computed.
    fn record(&self, buffer: &mut Vec<u8>) -> Record;

    /// Host.
    fn host(&self) -> &str;

    /// The seal that it names.
    fn key(&self) -> Key;
}

macro_rules! record_row {
    ($($row:ty = $table:literal)*) => {$(
        impl RecordRow for $row {
            const TABLE: u8 = $table;

            fn record(&self, buffer: &mut Vec<u8>) -> Record {
                buffer.clear();
                self.canonical(buffer);
                Record {
                    chain_epoch: self.chain_epoch,
                    rec_seq: self.rec_seq,
                    hash: self.record_hash,
                    seal_seq: self.seal_seq,
                    is_right: self.is_known_form().then(|| sha256(buffer) == self.record_hash),
                    table: $table,
                }
            }

            fn host(&self) -> &str {
                &self.host_id
            }

            fn key(&self) -> Key {
                (self.chain_epoch, self.seal_seq)
            }
        }
    )*};
}
record_row!(InteractionRow = 0 FindingRow = 1 ConnectionRow = 2 BlindSpotRow = 3);

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}
