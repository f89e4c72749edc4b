//! The way out: whole segments as batches for the store, oldest first, until each row of them is stored or given up.

use std::{sync::Arc, time::Duration};

use super::{
    Shared, Spool,
    format::{self, Segment, Summary},
    losses::{LossReason, Range},
};
use crate::evidence::{Row, TABLES, Table};

/// Longest pause between attempts while everything shall go at once.
const HURRIED_PAUSE: Duration = Duration::from_millis(250);

/// Rows that travel together: those of one segment or of several in a row. A batch does not change until it is over.
#[derive(Debug)]
pub struct Batch {
    rows: [Vec<Row>; TABLES],
    segments: usize,
}

impl Batch {
    /// Rows of a table that are neither stored nor given up.
    pub fn rows(&self, table: Table) -> &[Row] {
        &self.rows[table as usize]
    }

    /// Whether every row is stored or given up.
    pub fn is_over(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }
}

/// A segment as it is known before it is read.
struct Picked {
    summary: Summary,
    content: Option<Arc<Vec<u8>>>,
}

impl Spool {
    /// Waits for rows and gives the oldest. They stay in the spool until the batch is over and [`Self::over`] was called.
    pub async fn next(&self) -> Batch {
        loop {
            let ready = self.shared.ready.notified();
            let picked = self.pick();
            if picked.is_empty() {
                ready.await;
                continue;
            }
            let shared = Arc::clone(&self.shared);
            let read_all = move || {
                let mut batch = Batch {
                    rows: Default::default(),
                    segments: picked.len(),
                };
                for segment in picked {
                    for row in load(&shared, &segment) {
                        batch.rows[row.table() as usize].push(row);
                    }
                }
                batch
            };
            match tokio::task::spawn_blocking(read_all).await {
                Ok(batch) => return batch,
                // The runtime ends.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Waits between two attempts: so long, but never long while everything shall go at once ([`Spool::flush`]), whose deadline would be
    /// over meanwhile.
    pub async fn rest(&self, pause: Duration) {
        let hurry = self.shared.hurry.notified();
        let in_hurry = self.shared.queue().hurry;
        let pause = if in_hurry { pause.min(HURRIED_PAUSE) } else { pause };
        // Woken or over: the next attempt comes.
        let _ = tokio::time::timeout(pause, hurry).await;
    }

    /// Marks the oldest segments that go together as being on their way.
    fn pick(&self) -> Vec<Picked> {
        let options = &self.shared.options;
        let mut queue = self.shared.queue();
        let (mut rows, mut bytes, mut picked) = (0, 0, Vec::new());
        for segment in &queue.ready {
            rows += segment.summary.total();
            bytes += segment.bytes;
            let fits = rows <= options.segment_rows as u64 && bytes <= options.segment_bytes as u64;
            if !picked.is_empty() && !fits {
                break;
            }
            picked.push(Picked {
                summary: segment.summary,
                content: segment.content.clone(),
            });
        }
        queue.in_flight = picked.len();
        queue.done = [false; TABLES];
        picked
    }

    /// The store has confirmed the rows of a table.
    pub fn stored(&self, batch: &mut Batch, table: Table) {
        let rows = std::mem::take(&mut batch.rows[table as usize]);
        let mut queue = self.shared.queue();
        queue.done[table as usize] = true;
        self.shared.stats.wrote(table, rows.len() as u64);
        queue.pending = queue.pending.saturating_sub(rows.len() as u64);
        for row in &rows {
            if let Row::Seal(seal) = row {
                queue.undeclared_changed |= queue.undeclared.stored(seal);
            }
        }
        drop(queue);
        self.shared.progress.notify_waiters();
    }

    /// The store refuses the rows of a table for good.
    pub fn refused(&self, batch: &mut Batch, table: Table) {
        let rows = std::mem::take(&mut batch.rows[table as usize]);
        self.shared.queue().done[table as usize] = true;
        lose(&self.shared, &rows, LossReason::Rejected);
        self.shared.progress.notify_waiters();
    }

    /// The batch is over: its segments go.
    pub fn over(&self, batch: Batch) {
        debug_assert!(batch.is_over(), "rows were forgotten");
        let mut queue = self.shared.queue();
        queue.in_flight = 0;
        for _ in 0..batch.segments {
            let Some(segment) = queue.ready.pop_front() else {
                break;
            };
            if segment.content.is_some() {
                queue.memory -= segment.bytes;
            }
            if segment.on_disk {
                queue.disk -= segment.bytes;
                queue.removals.push(segment.summary.number);
            }
        }
        self.shared.publish(&queue);
        drop(queue);
        self.shared.work.notify_one();
        self.shared.progress.notify_waiters();
    }
}

/// Books rows of one table as lost, by epoch.
fn lose(shared: &Shared, rows: &[Row], reason: LossReason) {
    let mut queue = shared.queue();
    queue.pending = queue.pending.saturating_sub(rows.len() as u64);
    for row in rows {
        shared.stats.lose(row.table(), reason, 1);
    }
    for same_epoch in rows.chunk_by(|a, b| a.place().1 == b.place().1) {
        if let Some(range) = Range::of_rows(same_epoch, reason) {
            queue.declare(range);
        }
    }
}

/// Reads the rows of a segment. What the disk does not give back any more is booked as lost.
fn load(shared: &Shared, picked: &Picked) -> Vec<Row> {
    let number = picked.summary.number;
    let bytes = match (&picked.content, &shared.directory) {
        (Some(content), _) => Ok(Arc::clone(content)),
        (None, Some(directory)) => directory.read(number).map(Arc::new),
        (None, None) => Ok(Arc::default()),
    };
    let segment = match bytes.map(|bytes| format::read(&bytes)) {
        Ok(Ok(segment)) => segment,
        Ok(Err(error)) => return lose_damaged(shared, picked, Vec::new(), &error),
        Err(error) => return lose_damaged(shared, picked, Vec::new(), &error),
    };
    match segment {
        Segment {
            rows, damage: None, ..
        } => rows,
        Segment {
            rows,
            damage: Some(damage),
            ..
        } => lose_damaged(shared, picked, rows, &damage),
    }
}

/// Books what is missing of a damaged segment, and keeps its file aside.
fn lose_damaged(shared: &Shared, picked: &Picked, rows: Vec<Row>, why: &dyn std::fmt::Display) -> Vec<Row> {
    let summary = &picked.summary;
    tracing::error!(segment = summary.number, %why, read = rows.len(), rows = summary.total(), "damaged segment");
    let mut rest = *summary;
    for row in &rows {
        rest.rows[row.table() as usize] = rest.rows[row.table() as usize].saturating_sub(1);
        let (_, _, number) = row.place();
        let (range, last) = if row.table() == Table::Seals {
            (&mut rest.seals, summary.seals.1)
        } else {
            (&mut rest.records, summary.records.1)
        };
        *range = if number < last { (number + 1, last) } else { (0, 0) };
    }
    let mut queue = shared.queue();
    queue.give_up(&rest, LossReason::Damaged, &shared.stats);
    drop(queue);
    if let Some(directory) = &shared.directory {
        directory.set_aside(summary.number);
    }
    rows
}
