//! Takes rows from the pipeline and delivers them to the store, whatever the store does meanwhile.
//!
//! Promise: [`Writer::push`] never waits and never fails. A row is written, or it is counted as lost with its
//! table and the reason; `pushed = written + lost + pending` at any time. Rows of one table arrive in the order
//! of their push, in batches that never change once closed: each carries an `insert_deduplication_token` made of
//! host, epoch, table and its first and last sequence number, so that a batch whose answer was lost can be sent
//! again and is stored once.
//!
//! What can go wrong, and what happens (tested in `tests/store.rs` and below):
//! - store down, busy or slow: the batch is tried again with growing pauses; rows wait within the byte budget
//! - budget full: whole oldest batches are dropped, never one that is on its way (`over_budget`)
//! - the store refuses a batch again and again because rows and table do not fit: the batch is dropped after
//!   [`MAX_REFUSALS`] (`rejected`), so that one bad batch does not stop its table for ever
//! - end of the daemon: [`Writer::drain`] sends what it can until the deadline, the rest is counted
//!   (`shutdown`), also a batch that is on its way then and may have arrived

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Client, ErrorKind, StoreError};
use super::writer_stats::{LossReason, WriterStats};
use crate::evidence::canonical::Sink;
use crate::evidence::{BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, Row, SealRow, TABLES, Table};

/// A batch that the store refuses for what is in it is dropped after so many refusals.
pub const MAX_REFUSALS: u32 = 8;

/// Sizes and times of the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// A batch is closed when it has so many rows.
    pub batch_rows: usize,
    /// A batch is closed when it has about so many bytes.
    pub batch_bytes: usize,
    /// A batch is closed when its first row is so old.
    pub batch_age: Duration,
    /// Bytes of all rows that wait or are on their way.
    pub budget_bytes: usize,
    /// Pause after the first failed attempt; doubles with each.
    pub min_pause: Duration,
    /// Longest pause between attempts: how late a store that is back may be noticed.
    pub max_pause: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            batch_rows: 10_000,
            batch_bytes: 4 << 20,
            batch_age: Duration::from_secs(1),
            budget_bytes: 64 << 20,
            min_pause: Duration::from_millis(100),
            max_pause: Duration::from_secs(5),
        }
    }
}

/// What became of all rows that were pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowBook {
    /// The store has confirmed them.
    pub written: u64,
    /// They were lost.
    pub lost: u64,
    /// They wait, or are on their way.
    pub pending: u64,
}

/// Rows of one table that travel together.
#[derive(Debug)]
struct Batch {
    table: Table,
    rows: Vec<Row>,
    bytes: usize,
    first_at: Instant,
}

/// Queue of one table. `batches.front()` is the oldest; the last one may still be open.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Arc<Batch>>,
    open: Option<Batch>,
    /// The front batch is on its way and may not be dropped.
    in_flight: bool,
}

impl Queue {
    fn close(&mut self) {
        self.batches.extend(self.open.take().map(Arc::new));
    }

    fn oldest(&self) -> Option<Instant> {
        self.batches
            .front()
            .map(|b| b.first_at)
            .or(self.open.as_ref().map(|b| b.first_at))
    }

    /// The oldest batch that may be dropped: position in `batches`, or `None` for the open one.
    fn droppable(&self) -> Option<(Instant, Option<usize>)> {
        let closed = usize::from(self.in_flight);
        match self.batches.get(closed) {
            Some(batch) => Some((batch.first_at, Some(closed))),
            None => self.open.as_ref().map(|b| (b.first_at, None)),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    queues: [Queue; TABLES],
    bytes: usize,
    /// Batches are closed as soon as there is something in them.
    hurry: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    options: WriterOptions,
    state: Mutex<State>,
    stats: Arc<WriterStats>,
    /// One per table: something to do.
    wake: [Notify; TABLES],
    /// A batch left the queue.
    progress: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_bytes(&self, state: &mut State, bytes: usize) {
        state.bytes = bytes;
        self.stats.set_pending(bytes);
    }

    /// Drops oldest batches of any table until the budget is kept.
    fn keep_budget(&self, state: &mut State) {
        while state.bytes > self.options.budget_bytes {
            let oldest = Table::ALL
                .iter()
                .filter_map(|t| {
                    state.queues[*t as usize]
                        .droppable()
                        .map(|(at, place)| (at, *t, place))
                })
                .min_by_key(|(at, ..)| *at);
            let Some((_, table, place)) = oldest else { return };
            let queue = &mut state.queues[table as usize];
            let dropped = match place {
                Some(index) => queue.batches.remove(index).map(|b| (b.rows.len(), b.bytes)),
                None => queue.open.take().map(|b| (b.rows.len(), b.bytes)),
            };
            let Some((rows, bytes)) = dropped else { return };
            self.stats.lose(table, LossReason::OverBudget, rows);
            let left = state.bytes - bytes;
            self.set_bytes(state, left);
            self.progress.notify_waiters();
        }
    }
}

/// Handle of the writer. Dropping it stops the delivery at once; what still waits is counted as lost.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the delivery on the current tokio runtime.
    pub fn start(client: Client, options: WriterOptions) -> Self {
        let shared = Arc::new(Shared {
            options,
            state: Mutex::default(),
            stats: Arc::default(),
            wake: Default::default(),
            progress: Notify::new(),
        });
        let tasks = Table::ALL
            .into_iter()
            .map(|table| tokio::spawn(deliver(Arc::clone(&shared), client.clone(), table)))
            .collect();
        Self { shared, tasks }
    }

    /// The counters.
    pub fn stats(&self) -> Arc<WriterStats> {
        Arc::clone(&self.shared.stats)
    }

    /// Age of the oldest row that is not written yet; zero when there is none.
    pub fn lag(&self) -> Duration {
        let state = self.shared.state();
        let oldest = state.queues.iter().filter_map(Queue::oldest).min();
        oldest.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// What became of all rows, at one moment.
    pub fn book(&self) -> RowBook {
        let state = self.shared.state();
        let waiting = |queue: &Queue| {
            let closed: usize = queue.batches.iter().map(|batch| batch.rows.len()).sum();
            closed + queue.open.as_ref().map_or(0, |batch| batch.rows.len())
        };
        let pending: usize = state.queues.iter().map(waiting).sum();
        let stats = &self.shared.stats;
        RowBook {
            written: Table::ALL.iter().map(|table| stats.written(*table)).sum(),
            lost: stats.lost_total(),
            pending: pending as u64,
        }
    }

    /// Takes a row. Never waits: beyond the budget, oldest batches are dropped and counted.
    pub fn push(&self, row: impl Into<Row>) {
        let row = row.into();
        let table = row.table();
        let bytes = size_of_row(&row);
        let options = &self.shared.options;
        let mut state = self.shared.state();
        self.shared.stats.took(table);
        if state.stopped {
            self.shared.stats.lose(table, LossReason::Shutdown, 1);
            return;
        }
        let queue = &mut state.queues[table as usize];
        let opened = queue.open.is_none();
        let open = queue.open.get_or_insert_with(|| Batch {
            table,
            rows: Vec::new(),
            bytes: 0,
            first_at: Instant::now(),
        });
        open.rows.push(row);
        open.bytes += bytes;
        let full = open.rows.len() >= options.batch_rows || open.bytes >= options.batch_bytes;
        if full {
            queue.close();
        }
        let total = state.bytes + bytes;
        self.shared.set_bytes(&mut state, total);
        self.shared.keep_budget(&mut state);
        drop(state);
        if full || opened {
            self.shared.wake[table as usize].notify_one();
        }
    }

    /// Sends everything that was pushed so far. True when nothing is left at `deadline`.
    pub async fn flush(&self, deadline: Instant) -> bool {
        self.shared.state().hurry = true;
        self.shared.wake.iter().for_each(Notify::notify_one);
        let done = self.wait_empty(deadline).await;
        self.shared.state().hurry = false;
        done
    }

    /// Sends what can be sent until `deadline` and stops; what is left is counted as lost. Returns the rows lost so.
    pub async fn drain(self, deadline: Instant) -> u64 {
        self.flush(deadline).await;
        self.stop()
    }

    async fn wait_empty(&self, deadline: Instant) -> bool {
        loop {
            let progress = self.shared.progress.notified();
            if self
                .shared
                .state()
                .queues
                .iter()
                .all(|q| q.batches.is_empty() && q.open.is_none())
            {
                return true;
            }
            if tokio::time::timeout_at(deadline, progress).await.is_err() {
                return false;
            }
        }
    }

    /// Counts everything that waits as lost and lets the tasks end. Returns the rows lost so.
    pub fn stop(&self) -> u64 {
        self.tasks.iter().for_each(JoinHandle::abort);
        let mut state = self.shared.state();
        state.stopped = true;
        let mut lost = 0;
        for table in Table::ALL {
            let queue = &mut state.queues[table as usize];
            queue.close();
            let rows: usize = queue.batches.drain(..).map(|b| b.rows.len()).sum();
            self.shared.stats.lose(table, LossReason::Shutdown, rows);
            lost += rows as u64;
        }
        self.shared.set_bytes(&mut state, 0);
        lost
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Delivers the batches of one table, one after the other.
async fn deliver(shared: Arc<Shared>, client: Client, table: Table) {
    let (mut pause, mut refusals) = (shared.options.min_pause, 0);
    loop {
        let batch = next_batch(&shared, table).await;
        let result = send(&client, &batch).await;
        let Some(error) = settle(&shared, &batch, result, &mut refusals) else {
            pause = shared.options.min_pause;
            continue;
        };
        let (rows, kind) = (batch.rows.len(), error.kind.name());
        tracing::warn!(table = table.name(), rows, kind, %error, "rows not stored");
        if error.kind == ErrorKind::Rejected {
            // The tables may have been altered since the client asked for their columns.
            client.forget_columns().await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(shared.options.max_pause);
    }
}

/// Books the outcome of an attempt. Gives the error back when there was one.
fn settle(
    shared: &Shared,
    batch: &Batch,
    result: Result<(), StoreError>,
    refusals: &mut u32,
) -> Option<StoreError> {
    let (table, stats, rows) = (batch.table, &shared.stats, batch.rows.len());
    let mut state = shared.state();
    state.queues[table as usize].in_flight = false;
    let Err(error) = result else {
        stats.wrote(table, rows);
        *refusals = 0;
        remove(shared, &mut state, batch);
        return None;
    };
    stats.failed(error.kind);
    *refusals += u32::from(error.kind == ErrorKind::Rejected);
    if *refusals >= MAX_REFUSALS {
        stats.lose(table, LossReason::Rejected, rows);
        remove(shared, &mut state, batch);
        *refusals = 0;
    }
    shared.keep_budget(&mut state);
    Some(error)
}

/// Takes the batch that was on its way off its queue.
fn remove(shared: &Shared, state: &mut State, batch: &Batch) {
    state.queues[batch.table as usize].batches.pop_front();
    let left = state.bytes - batch.bytes;
    shared.set_bytes(state, left);
    shared.progress.notify_waiters();
}

/// Waits for a batch that is due and marks it as on its way. It stays in the queue.
async fn next_batch(shared: &Shared, table: Table) -> Arc<Batch> {
    loop {
        let due = {
            let mut state = shared.state();
            let hurry = state.hurry;
            let queue = &mut state.queues[table as usize];
            let due = queue.open.as_ref().map(|b| b.first_at + shared.options.batch_age);
            if queue.batches.is_empty() && due.is_some_and(|at| hurry || at <= Instant::now()) {
                queue.close();
            }
            if let Some(batch) = queue.batches.front().map(Arc::clone) {
                queue.in_flight = true;
                return batch;
            }
            due
        };
        let woken = shared.wake[table as usize].notified();
        match due {
            Some(at) => {
                let _ = tokio::time::timeout_at(at, woken).await;
            }
            None => woken.await,
        }
    }
}

async fn send(client: &Client, batch: &Batch) -> Result<(), StoreError> {
    let token = token(batch);
    macro_rules! send_as {
        ($variant:ident) => {{
            let mut rows = Vec::with_capacity(batch.rows.len());
            for row in &batch.rows {
                if let Row::$variant(row) = row {
                    rows.push(row.as_ref());
                }
            }
            client.insert_rows(batch.table.name(), &rows, Some(&token)).await
        }};
    }
    match batch.table {
        Table::Interactions => send_as!(Interaction),
        Table::Findings => send_as!(Finding),
        Table::Connections => send_as!(Connection),
        Table::BlindSpots => send_as!(BlindSpot),
        Table::Seals => send_as!(Seal),
    }
}

/// What makes this batch this batch. The engine drops other rows under a used token without a word, so the token
/// names exactly these rows: sequence numbers are never used twice in an epoch, and closed batches never change.
fn token(batch: &Batch) -> String {
    let mut hash = Sha256::new();
    hash.update(batch.table.name());
    for row in [batch.rows.first(), batch.rows.last()].into_iter().flatten() {
        let (host, epoch, number) = row.place();
        hash.update(format!("\0{host}\0{epoch}\0{number}"));
    }
    hash.update(format!("\0{}", batch.rows.len()));
    hex::encode(hash.finalize())
}

/// Counts canonical bytes: a little more than the texts of a row need in memory.
struct Counter(usize);

impl Sink for Counter {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

fn size_of_row(row: &Row) -> usize {
    let mut texts = Counter(0);
    row.canonical(&mut texts);
    let fixed = match row.table() {
        Table::Interactions => size_of::<InteractionRow>(),
        Table::Findings => size_of::<FindingRow>(),
        Table::Connections => size_of::<ConnectionRow>(),
        Table::BlindSpots => size_of::<BlindSpotRow>(),
        Table::Seals => size_of::<SealRow>(),
    };
    fixed + size_of::<Row>() + texts.0
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
