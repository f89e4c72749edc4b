//! The notary (shell): reads the newest seals of all chains, makes an anchor over them, and puts it where the database has
//! no say: a directory. It should run where administrators of the database do not.

mod files;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{AnchorRow, anchor::Leaf, keys::ROLE_NOTARY},
    state::Keyring,
    store::{Client, StoreError, bring_certificates, literal},
};
pub use files::{all, newest, read, write};
use files::{made_by, numbered, numbers};

/// Rows that came this long before the last anchor are looked at again: clocks of notary and store differ, and a query that
/// ran meanwhile may have missed them.
const SLACK_MS: i64 = 3_600_000;

/// Clocks are set back by so much without having been wrong.
const STEP_MS: i64 = 60_000;

/// Anchors in one insert, of those that the store does not have.
const BATCH: usize = 64;

/// A notary at work.
#[derive(Debug)]
pub struct Notary {
    /// Its key.
    pub keys: Keyring,
    /// Where its anchors go.
    pub directory: PathBuf,
}

/// What came of one anchor.
#[derive(Debug)]
pub struct Made {
    /// The anchor.
    pub anchor: AnchorRow,
    /// Its file.
    pub file: PathBuf,
    /// Why it, or one before it, is not in the store yet. The next run brings there what is missing.
    pub not_stored: Option<anyhow::Error>,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct NewestSeal {
    host_id: String,
    chain_epoch: u64,
    seal_seq: u64,
    seal_hash: [u8; 32],
}

impl Notary {
    /// Opens the notary `name`: its key in `keys`, its anchors in `directory`. `now_ns` is the wall clock.
    ///
    /// # Errors
    /// When key or directory cannot be used.
    pub fn open(name: &str, keys: &Path, directory: PathBuf, now_ns: i64) -> anyhow::Result<Self> {
        if let Some(owner) = Keyring::look(keys, ROLE_NOTARY)?.map(|ring| ring.owner().to_owned())
            && owner != name
        {
            bail!(
                "{}: the key there is that of the notary {owner}, not of {name}: name that one, or give another directory (--keys)",
                keys.display()
            );
        }
        let (keys, _notes) = Keyring::open(keys, ROLE_NOTARY, name, None, now_ns)?;
        crate::state::make_dir(&directory, 0o755)?;
        Ok(Self { keys, directory })
    }

    /// Makes one anchor over what the store has. First the file, then the row: what is outside counts.
    ///
    /// # Errors
    /// When the seals cannot be read, the last anchor's file is damaged, the store has anchors of this notary that the
    /// directory has not, or the file cannot be written.
    pub async fn anchor(&self, client: &Client, now_ms: i64) -> anyhow::Result<Made> {
        let previous = newest(&self.directory, self.keys.owner())?;
        let stored = self.stored(client, previous.as_ref()).await?;
        let leaves = newest_seals(client, self.last_look(previous.as_ref(), now_ms)?).await?;
        let now_ms = previous
            .as_ref()
            .map_or(now_ms, |p| now_ms.max(p.anchored_at + 1));
        let anchor = AnchorRow::new(
            self.keys.owner(),
            previous.as_ref(),
            leaves,
            now_ms,
            self.keys.signer(),
        );
        let file = write(&self.directory, &anchor, self.keys.certificate())?;
        let not_stored = self.store(client, &stored).await.err();
        Ok(Made {
            anchor,
            file,
            not_stored,
        })
    }

    /// Numbers of this notary's anchors in the store. A directory that is behind the store was emptied or is another one: going on
    /// would make a second anchor with the same number.
    async fn stored(&self, client: &Client, previous: Option<&AnchorRow>) -> anyhow::Result<BTreeSet<u64>> {
        let sql = format!(
            "SELECT DISTINCT anchor_seq FROM evidence_anchors WHERE notary_id = {}",
            literal(self.keys.owner())
        );
        let stored: BTreeSet<u64> = client.rows::<u64>(&sql).await?.into_iter().collect();
        let here = previous.map_or(0, |p| p.anchor_seq);
        if let Some(last) = stored.last().filter(|last| **last > here) {
            bail!(
                "the store has anchor {last} of the notary {}, and {} ends at {here}: put its files back, or go on \
                 under another name (`anchor.notary`)",
                self.keys.owner(),
                self.directory.display()
            );
        }
        Ok(stored)
    }

    /// When the seals were looked at last, by this clock. Where the anchor before is of a later time (the clock was wrong when it
    /// was made), it does not say when that was: then it is the last one before that counts.
    fn last_look(&self, previous: Option<&AnchorRow>, now_ms: i64) -> anyhow::Result<Option<i64>> {
        match previous.map(|p| p.anchored_at) {
            Some(later) if later > now_ms.saturating_add(STEP_MS) => {
                made_by(&self.directory, self.keys.owner(), now_ms)
            }
            made => Ok(made),
        }
    }

    /// Brings the certificates into the store, and all anchors that it does not have: this one, and those that it refused before.
    /// A file that is damaged is no reason to keep the others back.
    async fn store(&self, client: &Client, stored: &BTreeSet<u64>) -> anyhow::Result<()> {
        bring_certificates(client, self.keys.certificates()).await?;
        let mut missing = numbers(&self.directory, self.keys.owner())?;
        missing.retain(|seq| !stored.contains(seq));
        let mut damaged = None;
        for batch in missing.chunks(BATCH) {
            let mut rows = Vec::with_capacity(batch.len());
            for seq in batch {
                match numbered(&self.directory, self.keys.owner(), *seq) {
                    Ok(row) => rows.push(row),
                    Err(error) => _ = damaged.get_or_insert(error),
                }
            }
            let rows: Vec<&AnchorRow> = rows.iter().collect();
            if !rows.is_empty() {
                client.insert_unchecked(AnchorRow::TABLE, &rows).await?;
            }
        }
        damaged.map_or(Ok(()), Err)
    }
}

/// The newest seal of each chain that got one since the last look; of all chains where there was none. Older chains are in
/// the anchors before, which this one names.
async fn newest_seals(client: &Client, last_look: Option<i64>) -> Result<Vec<Leaf>, StoreError> {
    let since = last_look.map_or(0, |at| at.saturating_sub(SLACK_MS)).max(0);
    // GLOBAL: in a cluster both are Distributed tables, and each shard would ask all others.
    let sql = format!(
        "SELECT host_id, chain_epoch, max(seal_seq) AS seal_seq, argMax(seal_hash, (evidence_seals.seal_seq, seal_hash)) AS seal_hash \
         FROM evidence_seals WHERE (host_id, chain_epoch) GLOBAL IN (SELECT DISTINCT host_id, chain_epoch FROM evidence_seals \
         WHERE ingested_at >= fromUnixTimestamp64Milli({since}, 'UTC')) GROUP BY host_id, chain_epoch"
    );
    let rows = client.rows::<NewestSeal>(&sql).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.host_id, row.chain_epoch, row.seal_seq, row.seal_hash))
        .collect())
}
