//! Rows of the store. Reads the tables themselves, not the views that drop second copies: each copy is checked.

mod near;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use clickhouse::{Row, RowOwned, RowRead};
use serde::{Deserialize, Serialize};

use super::hashing::{Hashing, PIECE};
use super::host::Record;
use super::source::{Key, Known, Looked, Near, Page, Period, RECORDS, Source, Stretch, TABLES};
use crate::{
    evidence::{
        AnchorRow, KeyRow, SealRow,
        wire::{self, Column, Sent},
    },
    store::{Client, StoreError, literal},
};

/// Seals of one page.
const PAGE_SEALS: usize = 10_000;

/// A page ends before this many records, where more than one seal is on it.
const PAGE_RECORDS: u64 = 400_000;

/// How long the rows of one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(600);

/// The store.
#[derive(Debug, Clone)]
pub struct StoreSource {
    client: Client,
    period: Period,
    only: Option<String>,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Revoked {
    host_id: String,
    key_id: String,
    at: i64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Inventory {
    host_id: String,
    gone_at: i64,
}

impl StoreSource {
    /// The seals of a period, of all hosts or of `only` one.
    pub fn new(client: Client, period: Period, only: Option<String>) -> Self {
        Self { client, period, only }
    }

    /// Reads rows one by one.
    async fn each<T>(&self, sql: &str, take: &mut dyn FnMut(T)) -> anyhow::Result<()>
    where
        T: RowOwned + RowRead,
    {
        let read = async {
            let mut rows = self.client.raw().query_raw(sql).fetch::<T>()?;
            while let Some(row) = rows.next().await? {
                take(row);
            }
            Ok::<_, clickhouse::error::Error>(())
        };
        tokio::time::timeout(PAGE_TIMEOUT, read)
            .await
            .context("the store did not answer in time")?
            .map_err(StoreError::from)?;
        Ok(())
    }

    async fn all<T>(&self, sql: &str) -> anyhow::Result<Vec<T>>
    where
        T: RowOwned + RowRead,
    {
        let mut rows = Vec::new();
        self.each(sql, &mut |row| rows.push(row)).await?;
        Ok(rows)
    }

    fn of_host(&self) -> String {
        self.only
            .as_deref()
            .map_or_else(|| "1".into(), |host| format!("host_id = {}", literal(host)))
    }

    /// Condition for rows of the period, by the column that has their time.
    fn in_period(&self, column: &str) -> String {
        format!(
            "{}{}",
            bound(column, ">=", self.period.from),
            bound(column, "<", self.period.to)
        )
    }

    async fn hosts(&self) -> anyhow::Result<Vec<String>> {
        let of_host = self.of_host();
        let tables = if self.period == Period::default() {
            TABLES.as_slice()
        } else {
            &[]
        };
        let mut sql = format!(
            "SELECT DISTINCT toString(host_id) AS host FROM evidence_seals WHERE {of_host}{}",
            self.in_period("interval_start")
        );
        for table in tables {
            sql.push_str(&format!(
                " UNION DISTINCT SELECT DISTINCT toString(host_id) FROM {table} WHERE {of_host}"
            ));
        }
        let mut hosts: Vec<String> = self.all(&sql).await?;
        hosts.sort();
        Ok(hosts)
    }

    async fn rows(&self) -> anyhow::Result<u64> {
        let of_host = self.of_host();
        let counts: Vec<String> = TABLES
            .iter()
            .chain(&[SealRow::TABLE])
            .map(|table| format!("SELECT count() AS n FROM {table} WHERE {of_host}"))
            .collect();
        let sql = format!("SELECT sum(n) FROM ({})", counts.join(" UNION ALL "));
        let rows: Vec<u64> = self.all(&sql).await?;
        Ok(rows.first().copied().unwrap_or(0))
    }

    /// Hands out the rows of a table between two places of a chain, by seal, number and hash.
    pub(crate) async fn page_rows<T>(
        &self,
        table: &str,
        host: &str,
        after: Option<Key>,
        upto: Option<Key>,
        take: &mut dyn FnMut(T),
    ) -> anyhow::Result<()>
    where
        T: RowOwned + RowRead,
    {
        let sql = format!(
            "SELECT {} FROM {table} WHERE {} ORDER BY chain_epoch, seal_seq, rec_seq, record_hash",
            columns::<T>(),
            chain_range(host, after, upto)
        );
        self.each(&sql, take).await
    }

    /// The records of one table. Others hash what came while the store makes the rows that come next.
    async fn table(
        &self,
        (table, columns): (u8, &'static [Column]),
        wanted: &Arc<Wanted>,
        take: &mut dyn FnMut(usize, Record),
    ) -> anyhow::Result<()> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            wire::select(columns),
            TABLES[usize::from(table)],
            wanted.condition
        );
        let query = self.client.raw().query_raw(&sql);
        let mut answer = query.fetch_bytes("RowBinary").map_err(StoreError::from)?;
        let mut hashing = Hashing::new(table, columns, Arc::clone(wanted));
        let mut came = Vec::new();
        loop {
            let next = tokio::time::timeout(PAGE_TIMEOUT, answer.next()).await;
            let next = next.context("the store did not answer in time")?;
            let Some(chunk) = next.map_err(StoreError::from)? else {
                break;
            };
            came.extend_from_slice(&chunk);
            if came.len() >= PIECE {
                hashing.begin(&mut came)?;
                hashing.make_room(take).await?;
            }
        }
        hashing.begin(&mut came)?;
        hashing.end(take).await?;
        anyhow::ensure!(came.is_empty(), "the answer of the store ends within a row");
        Ok(())
    }
}

/// Stretches of chains as one condition, and which of them a record belongs to.
pub(super) struct Wanted {
    condition: String,
    of_host: HashMap<Vec<u8>, Vec<(usize, Stretch)>>,
}

impl Wanted {
    fn new(of: &[Stretch]) -> Self {
        let mut of_host: HashMap<Vec<u8>, Vec<(usize, Stretch)>> = HashMap::new();
        for (place, stretch) in of.iter().enumerate() {
            let places = of_host.entry(stretch.host.clone().into_bytes()).or_default();
            places.push((place, stretch.clone()));
        }
        let is_whole = |stretch: &&Stretch| stretch.after.is_none() && stretch.upto.is_none();
        let whole: Vec<String> = of.iter().filter(is_whole).map(|s| literal(&s.host)).collect();
        let parts = of.iter().filter(|stretch| !is_whole(stretch));
        let parts = parts.map(|s| format!("({})", chain_range(&s.host, s.after, s.upto)));
        let all = (!whole.is_empty()).then(|| format!("host_id IN ({})", whole.join(", ")));
        let conditions: Vec<String> = all.into_iter().chain(parts).collect();
        Self {
            condition: conditions.join(" OR "),
            of_host,
        }
    }

    /// The stretch that a record is in.
    pub(super) fn place(&self, sent: &Sent<'_>) -> Option<usize> {
        let places = self.of_host.get(sent.host)?;
        let key = (sent.chain_epoch, sent.seal_seq);
        places
            .iter()
            .find(|(_, stretch)| stretch.holds(key))
            .map(|(place, _)| *place)
    }
}

/// Condition for the time of a row; empty for no time.
fn bound(column: &str, operator: &str, ns: Option<i64>) -> String {
    ns.map_or_else(String::new, |ns| {
        format!(" AND {column} {operator} fromUnixTimestamp64Nano({ns}, 'UTC')")
    })
}

/// The columns of a row, in its order.
fn columns<T: Row>() -> String {
    T::COLUMN_NAMES
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Condition for the rows of a host between two places of its chain: after the one, up to the other.
fn chain_range(host: &str, after: Option<Key>, upto: Option<Key>) -> String {
    let bound = |operator: &str, key: Option<Key>| {
        key.map_or_else(String::new, |(epoch, seq)| {
            format!(" AND (chain_epoch, seal_seq) {operator} ({epoch}, {seq})")
        })
    };
    format!(
        "host_id = {}{}{}",
        literal(host),
        bound(">", after),
        bound("<=", upto)
    )
}

impl Source for StoreSource {
    async fn known(&mut self) -> anyhow::Result<Known> {
        let rows: Vec<KeyRow> = self
            .all(&format!("SELECT {} FROM v_host_keys", columns::<KeyRow>()))
            .await?;
        let revoked: Vec<Revoked> = self
            .all("SELECT toString(host_id) AS host_id, key_id, min(toUnixTimestamp64Milli(revoked_at)) AS at FROM host_keys GROUP BY host_id, key_id")
            .await?;
        let revoked_at = |row: &KeyRow| {
            revoked
                .iter()
                .find(|r| r.host_id == row.host_id && r.key_id == row.key_id)
                .map_or(i64::MAX, |r| r.at)
        };
        let keys = rows.into_iter().map(|row| (revoked_at(&row), row));
        let keys = keys.map(|(at, row)| (row, at)).collect();
        let inventory: Vec<Inventory> = self
            .all(&format!(
                "SELECT toString(host_id) AS host_id, toUnixTimestamp64Milli(gone) AS gone_at FROM (SELECT host_id, argMax(gone_at, observed_at) AS gone, \
                 argMax(in_scope, observed_at) AS scope, argMax(first_seen, observed_at) AS began FROM host_inventory WHERE {} GROUP BY host_id) \
                 WHERE scope{} ORDER BY host_id",
                self.of_host(),
                // Hosts that came after the period had nothing to seal in it.
                bound("began", "<", self.period.to)
            ))
            .await?;
        Ok(Known {
            hosts: self.hosts().await?,
            keys,
            inventory: inventory.into_iter().map(|i| (i.host_id, i.gone_at)).collect(),
            rows: self.rows().await?,
        })
    }

    async fn anchors(&mut self, take: &mut dyn FnMut(AnchorRow)) -> anyhow::Result<()> {
        let sql = format!(
            "SELECT {} FROM v_anchors ORDER BY notary_id, anchor_seq, anchor_hash",
            columns::<AnchorRow>()
        );
        self.each(&sql, take).await
    }

    async fn seals(&mut self, host: &str, after: Option<Key>) -> anyhow::Result<Page> {
        let sql = format!(
            "SELECT {} FROM evidence_seals WHERE {}{} ORDER BY chain_epoch, seal_seq, seal_hash LIMIT {}",
            columns::<SealRow>(),
            chain_range(host, after, None),
            self.in_period("interval_start"),
            PAGE_SEALS + 1
        );
        let seals = self.all(&sql).await?;
        Ok(cut(seals))
    }

    async fn near(&mut self) -> anyhow::Result<Option<Near>> {
        self.hosts_near().await.map(Some)
    }

    async fn before(&mut self, host: &str, place: Option<Key>) -> anyhow::Result<Vec<SealRow>> {
        let condition = match place {
            Some((epoch, seq)) => format!(" AND (chain_epoch, seal_seq) < ({epoch}, {seq})"),
            None => bound("interval_start", "<", self.period.from),
        };
        self.neighbour(host, &condition, "DESC").await
    }

    async fn behind(&mut self, host: &str, place: Option<Key>) -> anyhow::Result<Vec<SealRow>> {
        let condition = place.map_or_else(String::new, |(epoch, seq)| {
            format!(" AND (chain_epoch, seal_seq) > ({epoch}, {seq})")
        });
        self.neighbour(host, &condition, "ASC").await
    }

    async fn declaring(&mut self, host: &str, behind: Key, most: usize) -> anyhow::Result<Vec<SealRow>> {
        let sql = format!(
            "SELECT {} FROM evidence_seals WHERE {} AND notEmpty(dropped_reason) ORDER BY chain_epoch, seal_seq, seal_hash LIMIT {most}",
            columns::<SealRow>(),
            chain_range(host, Some(behind), None)
        );
        self.all(&sql).await
    }

    async fn numbered(&mut self, host: &str, keys: &[Key]) -> anyhow::Result<Vec<SealRow>> {
        self.seals_at(host, keys).await
    }

    async fn named(
        &mut self,
        of: &[Looked],
        after: Option<(usize, Key)>,
        most: usize,
    ) -> anyhow::Result<Vec<(usize, Key)>> {
        self.named_by_records(of, after, most).await
    }

    async fn records(&mut self, of: &[Stretch], take: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
        if of.is_empty() {
            return Ok(());
        }
        let wanted = Arc::new(Wanted::new(of));
        for (table, columns) in (0..).zip(RECORDS) {
            self.table((table, columns), &wanted, take).await?;
        }
        Ok(())
    }
}

/// Whether a page with so many seals has no place for the next, with which it would have so many records.
pub(crate) fn is_full(seals: usize, records: u64) -> bool {
    seals >= PAGE_SEALS || records > PAGE_RECORDS
}

/// A page of what a query gave: not more records than fit, and no number cut in two.
fn cut(mut seals: Vec<SealRow>) -> Page {
    let is_full = seals.len() > PAGE_SEALS;
    let mut records = 0u64;
    let fits = seals
        .iter()
        .enumerate()
        .take_while(|(before, seal)| {
            records = records.saturating_add(seal.n_records.into());
            *before == 0 || !self::is_full(*before, records)
        })
        .count();
    if !is_full && fits == seals.len() {
        return Page { seals, is_last: true };
    }
    let mut end = fits.min(PAGE_SEALS);
    let key = |seal: &SealRow| (seal.chain_epoch, seal.seal_seq);
    // The number at the cut goes to the next page, unless it is all there is.
    while end > 0 && end < seals.len() && key(&seals[end - 1]) == key(&seals[end]) {
        end -= 1;
    }
    if end > 0 {
        seals.truncate(end);
    }
    Page {
        seals,
        is_last: false,
    }
}
