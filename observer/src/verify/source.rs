//! Where rows come from: the store, or a bundle.

use std::future::ready;

use super::host::Record;
use crate::evidence::{
    AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow, wire::Column,
};

/// The tables of records. [`Record::table`] is a place in this list.
pub(super) const TABLES: [&str; 4] = [
    InteractionRow::TABLE,
    FindingRow::TABLE,
    ConnectionRow::TABLE,
    BlindSpotRow::TABLE,
];

/// The hashed columns of each of them.
pub(super) const RECORDS: [&[Column]; 4] = [
    InteractionRow::COLUMNS,
    FindingRow::COLUMNS,
    ConnectionRow::COLUMNS,
    BlindSpotRow::COLUMNS,
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

impl Period {
    /// Whether a time is in it.
    pub fn holds(&self, ns: i64) -> bool {
        self.from.is_none_or(|from| from <= ns) && self.to.is_none_or(|to| ns < to)
    }
}

/// Some seals of a host, sorted by epoch, number and hash. No number is cut in two.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The seals.
    pub seals: Vec<SealRow>,
    /// Nothing comes after it.
    pub is_last: bool,
}

/// Hosts that have nothing sealed in a period, and something that may belong there all the same.
#[derive(Debug, Clone, Default)]
pub struct Near {
    /// Hosts with records of the period.
    pub recorded: Vec<String>,
    /// Hosts with seals behind the period.
    pub later: Vec<String>,
}

/// A host, and from behind which to which seal its records were read; `None` in it: from the beginning, to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Host.
    pub host: String,
    /// The part of its chain; `None`: nothing was read.
    pub part: Option<(Option<Key>, Option<Key>)>,
}

/// The records of a host that name a seal of some part of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Host.
    pub host: String,
    /// Behind this seal; `None`: from the beginning.
    pub after: Option<Key>,
    /// Up to this one; `None`: to the end.
    pub upto: Option<Key>,
}

impl Stretch {
    /// Whether a record that names this seal is in it.
    pub fn holds(&self, seal: Key) -> bool {
        self.after.is_none_or(|after| after < seal) && self.upto.is_none_or(|upto| seal <= upto)
    }
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

    /// The records of these stretches, each hashed anew, with the place of their stretch in the list. Of one host, stretches
    /// come in their order, and none is asked for twice.
    fn records(
        &mut self,
        of: &[Stretch],
        take: &mut dyn FnMut(usize, Record),
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// Hosts that are near the period. `None`: here is the period and nothing else, so nothing of what follows is asked.
    fn near(&mut self) -> impl Future<Output = anyhow::Result<Option<Near>>> {
        ready(Ok(None))
    }

    /// The last seal before this place, or before the period where none is given: all rows of that number.
    fn before(
        &mut self,
        _host: &str,
        _place: Option<Key>,
    ) -> impl Future<Output = anyhow::Result<Vec<SealRow>>> {
        ready(Ok(Vec::new()))
    }

    /// The first seal behind this place, or the first of all: all rows of that number. It may be outside of the period.
    fn behind(
        &mut self,
        _host: &str,
        _place: Option<Key>,
    ) -> impl Future<Output = anyhow::Result<Vec<SealRow>>> {
        ready(Ok(Vec::new()))
    }

    /// Seals behind this place that say that rows were given up, whether in the period or not. So many at most.
    fn declaring(
        &mut self,
        _host: &str,
        _behind: Key,
        _most: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<SealRow>>> {
        ready(Ok(Vec::new()))
    }

    /// The seals of these numbers, in their order.
    fn numbered(&mut self, _host: &str, _keys: &[Key]) -> impl Future<Output = anyhow::Result<Vec<SealRow>>> {
        ready(Ok(Vec::new()))
    }

    /// The numbers of seals that records of the period name, and that are in none of these parts: in the order of host and
    /// number, behind `after` where that is given, so many at most. Hosts are given as places in the list.
    fn named(
        &mut self,
        _of: &[Looked],
        _after: Option<(usize, Key)>,
        _most: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<(usize, Key)>>> {
        ready(Ok(Vec::new()))
    }

    /// What is wrong with the place itself, asked for when all was read.
    fn damage(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A row of a table of records.
pub(crate) trait RecordRow {
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
            fn record(&self, buffer: &mut Vec<u8>) -> Record {
                buffer.clear();
                self.canonical(buffer);
                Record {
                    chain_epoch: self.chain_epoch,
                    rec_seq: self.rec_seq,
                    hash: self.record_hash,
                    seal_seq: self.seal_seq,
                    is_right: self
                        .is_known_form()
                        .then(|| self.newer_fields_say_nothing() && sha256(buffer) == self.record_hash),
                    table: $table,
                    ts: self.ts,
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

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}
