//! Delivers the rows of the spool to the store, whatever the store does meanwhile.
//!
//! A batch is whole segments of the spool, and never changes: each table of it carries an `insert_deduplication_token` made of host, epoch,
//! table, its first and last number and the count, so that a batch whose answer was lost can be sent again and is stored once. Records go
//! before the seals that cover them. After a restart of the daemon the same rows may travel in another batch: the views drop second copies.
//!
//! What can go wrong, and what happens (tested in `tests/store`, below, and in `tests/tests/live_spool.rs`):
//! - store down, busy or slow, or a part of its cluster: the batch is tried again with growing pauses; rows wait in the spool
//! - the store answers late, twice or never: as above; what it stored is stored once for the reader
//! - the store refuses a batch again and again because rows and table do not fit: those rows are given up after [`MAX_REFUSALS`]
//!   (`rejected`), so that one bad batch does not stop everything for ever
//! - end of the daemon: [`Writer::flush`] ends the pause between attempts, and what can be sent until the deadline is; the rest stays in the spool

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Client, ErrorKind, StoreError};
use crate::evidence::{Row, TABLES, Table};
use crate::spool::{Batch, Spool};

/// Rows that the store refuses for what is in them are given up after so many refusals: a schema on its way has more than a minute.
pub const MAX_REFUSALS: u32 = 24;

/// Times of the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// Pause after the first failed attempt; doubles with each.
    pub min_pause: Duration,
    /// Longest pause between attempts: how late a store that is back may be noticed.
    pub max_pause: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            min_pause: Duration::from_millis(100),
            max_pause: Duration::from_secs(5),
        }
    }
}

/// Failed attempts.
#[derive(Debug, Default)]
struct Failures {
    by_kind: [AtomicU64; ErrorKind::ALL.len()],
    /// 0: the last attempt succeeded, or there was none; else index into [`ErrorKind::ALL`] + 1.
    last: AtomicU8,
}

/// Handle of the writer. Dropping it stops the delivery at once; what still waits is in the spool.
#[derive(Debug)]
pub struct Writer {
    spool: Arc<Spool>,
    failures: Arc<Failures>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the delivery on the current tokio runtime.
    pub fn start(client: Client, spool: Arc<Spool>, options: WriterOptions) -> Self {
        let failures = Arc::<Failures>::default();
        let task = tokio::spawn(deliver(
            Arc::clone(&spool),
            client,
            options,
            Arc::clone(&failures),
        ));
        Self {
            spool,
            failures,
            task,
        }
    }

    /// Where its rows come from.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Failed attempts of this kind.
    pub fn failures(&self, kind: ErrorKind) -> u64 {
        self.failures.by_kind[kind as usize].load(Ordering::Relaxed)
    }

    /// Gauge: kind of the last failure; `None` when the last attempt succeeded.
    pub fn last_error(&self) -> Option<ErrorKind> {
        let number = self.failures.last.load(Ordering::Relaxed);
        ErrorKind::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Sends everything that was pushed so far. True when nothing is left at `deadline`.
    pub async fn flush(&self, deadline: Instant) -> bool {
        self.spool.flush(deadline).await
    }

    /// Ends the delivery. A batch that is on its way may arrive all the same.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Delivers one batch after the other.
async fn deliver(spool: Arc<Spool>, client: Client, options: WriterOptions, failures: Arc<Failures>) {
    loop {
        let mut batch = spool.next().await;
        let (mut pause, mut refusals) = (options.min_pause, [0; TABLES]);
        while !attempt(&spool, &client, &mut batch, &mut refusals, &failures).await {
            spool.rest(pause).await;
            pause = (pause * 2).min(options.max_pause);
        }
        spool.over(batch);
    }
}

/// Sends what is left of a batch; `true` when nothing is left.
async fn attempt(
    spool: &Spool,
    client: &Client,
    batch: &mut Batch,
    refusals: &mut [u32; TABLES],
    failures: &Failures,
) -> bool {
    let [a, b, c, d] = Table::RECORDS;
    let records = {
        let send = |table| send(client, batch, table);
        let results = tokio::join!(send(a), send(b), send(c), send(d));
        [results.0, results.1, results.2, results.3]
    };
    for (table, result) in Table::RECORDS.into_iter().zip(records) {
        settle(spool, client, batch, table, result, refusals, failures).await;
    }
    if Table::RECORDS.iter().any(|table| !batch.rows(*table).is_empty()) {
        return false;
    }
    let seals = send(client, batch, Table::Seals).await;
    settle(spool, client, batch, Table::Seals, seals, refusals, failures).await;
    batch.is_over()
}

/// Books the outcome of an attempt.
async fn settle(
    spool: &Spool,
    client: &Client,
    batch: &mut Batch,
    table: Table,
    result: Result<(), StoreError>,
    refusals: &mut [u32; TABLES],
    failures: &Failures,
) {
    let Err(error) = result else {
        if !batch.rows(table).is_empty() {
            failures.last.store(0, Ordering::Relaxed);
            spool.stored(batch, table);
        }
        return;
    };
    let (rows, kind) = (batch.rows(table).len(), error.kind.name());
    tracing::warn!(table = table.name(), rows, kind, %error, "rows not stored");
    failures.by_kind[error.kind as usize].fetch_add(1, Ordering::Relaxed);
    failures.last.store(error.kind as u8 + 1, Ordering::Relaxed);
    if error.kind != ErrorKind::Rejected {
        return;
    }
    // The tables may have been altered since the client asked for their columns.
    client.forget_columns().await;
    refusals[table as usize] += 1;
    if refusals[table as usize] >= MAX_REFUSALS {
        tracing::error!(
            table = table.name(),
            rows,
            "rows that the store refuses are given up"
        );
        spool.refused(batch, table);
    }
}

async fn send(client: &Client, batch: &Batch, table: Table) -> Result<(), StoreError> {
    let rows = batch.rows(table);
    if rows.is_empty() {
        return Ok(());
    }
    let token = token(table, rows);
    macro_rules! send_as {
        ($variant:ident) => {{
            let mut same = Vec::with_capacity(rows.len());
            for row in rows {
                if let Row::$variant(row) = row {
                    same.push(row.as_ref());
                }
            }
            client.insert_rows(table.name(), &same, Some(&token)).await
        }};
    }
    match table {
        Table::Interactions => send_as!(Interaction),
        Table::Findings => send_as!(Finding),
        Table::Connections => send_as!(Connection),
        Table::BlindSpots => send_as!(BlindSpot),
        Table::Seals => send_as!(Seal),
    }
}

/// What makes these rows these rows. The engine drops other rows under a used token without a word, so the token names exactly
/// these: numbers are never used twice in an epoch, a batch is whole segments in a row, and those never change.
fn token(table: Table, rows: &[Row]) -> String {
    let mut hash = Sha256::new();
    hash.update(table.name());
    for row in [rows.first(), rows.last()].into_iter().flatten() {
        let (host, epoch, number) = row.place();
        hash.update(format!("\0{host}\0{epoch}\0{number}"));
    }
    hash.update(format!("\0{}", rows.len()));
    hex::encode(hash.finalize())
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
