//! The spool (shell): rows go to disk before the store sees them, and leave it when the store has confirmed them.
//!
//! Promise: [`Spool::push`] never waits for disk or network and never fails. A row is stored, or it is counted as lost with its table and
//! the reason and named in seals by its place in the chain; `pushed + recovered = stored + lost + pending` at any time. Rows are delivered
//! in the order of their push, at least once.
//!
//! Rows gather in an open segment; it is closed by rows, bytes, age, or with a seal, and never changes afterwards. A thread of its own
//! writes closed segments (temporary file, fsync, rename, fsync of the directory), then the head of the chain where a seal is in there, and only
//! then are they ready for delivery: whatever the store knows is on disk, and what the head names is, too.
//!
//! What can go wrong, and what happens (tested below, in `tests/store` and with the real daemon in `tests/tests/live_spool.rs`):
//! - the budget on disk is full: the oldest whole segments go (`over_budget`); before that, programs that hold more than their share
//!   get no more (`over_share`, see [`Shares`])
//! - the disk is full, read only or gone: segments stay in memory within `memory_bytes` and are delivered from there; they are written
//!   later, or go oldest first (`over_budget`). The next seal says `spool_not_on_disk`
//! - the disk gives something else back: rows before the damage are used, the rest is lost (`damaged`), the file is kept aside
//! - a kill: what was closed is there at the next start, and the open segment (rows of the last second, that no seal covers) is gone
//! - a file of a newer version: the start is refused, and nothing is changed
//! - the end of the daemon: what is on disk stays there; what could not be written and not be sent is lost (`shutdown`)

mod deliver;
mod disk;
pub mod format;
mod losses;
mod queue;
mod shares;
mod stats;
mod write;

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use tokio::{sync::Notify, time::Instant};

pub use deliver::Batch;
use disk::Directory;
pub use disk::room;
pub use losses::{LossReason, Range};
use queue::{Closed, Queue};
pub use shares::{Fill, Kept, Owner, Shares};
pub use stats::SpoolStats;

use crate::{
    evidence::{Row, Table},
    kernel::clock::wall_ns,
    state::{Head, HeadFile},
};

/// Sizes and times of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Where segments are; none: in memory only.
    pub directory: Option<PathBuf>,
    /// Bytes of all segments on disk.
    pub max_bytes: u64,
    /// Files are synced before they count as written.
    pub fsync: bool,
    /// Bytes of all segments in memory.
    pub memory_bytes: usize,
    /// A segment is closed when it has so many rows; a batch for the store has not many more.
    pub segment_rows: usize,
    /// A segment is closed when it has so many bytes.
    pub segment_bytes: usize,
    /// A segment is closed when its first row is so old.
    pub segment_age: Duration,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            directory: None,
            max_bytes: 1 << 30,
            fsync: true,
            memory_bytes: 64 << 20,
            segment_rows: 10_000,
            segment_bytes: 4 << 20,
            segment_age: Duration::from_secs(1),
        }
    }
}

/// What became of all rows, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowBook {
    /// Rows of earlier starts that were found on disk.
    pub recovered: u64,
    /// The store has confirmed them.
    pub stored: u64,
    /// They were lost.
    pub lost: u64,
    /// The same by reason, in the order of [`LossReason::ALL`].
    pub lost_by: [u64; LossReason::ALL.len()],
    /// They wait, or are on their way.
    pub pending: u64,
}

#[derive(Debug)]
struct Shared {
    options: SpoolOptions,
    directory: Option<Directory>,
    queue: Mutex<Queue>,
    stats: Arc<SpoolStats>,
    /// Something to do for the thread.
    work: Condvar,
    /// A segment is ready.
    ready: Notify,
    /// Rows left the spool.
    progress: Notify,
    /// Everything shall go at once.
    hurry: Notify,
    head_failed: AtomicBool,
    disk_failed: AtomicBool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the gauges up to date.
    fn publish(&self, queue: &Queue) {
        let open = u64::from(queue.open.is_some());
        let segments = (queue.ready.len() + queue.closed.len()) as u64 + open;
        for (gauge, value) in [
            (&self.stats.pending_bytes, queue.memory),
            (&self.stats.unwritten_bytes, queue.unwritten()),
            (&self.stats.disk_bytes, queue.disk),
            (&self.stats.segments, segments),
        ] {
            gauge.store(value, Ordering::Relaxed);
        }
    }
}

/// Handle of the spool. Dropping it writes what can be written, and ends its thread.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Spool {
    /// Opens the spool and takes over what an earlier start left there. Gives the newest seal on disk, too. Nothing is written before
    /// [`Self::start`].
    ///
    /// # Errors
    /// When the directory is in use or open to others, or holds a file that is, or that a newer version wrote.
    pub fn open(mut options: SpoolOptions) -> anyhow::Result<(Self, Option<Head>)> {
        // One on its way and one on disk leave room for the next: a segment larger than what the budget has left would stay in memory,
        // where a kill takes it and nobody says so.
        let largest = usize::try_from(options.max_bytes / 3).unwrap_or(usize::MAX);
        options.segment_bytes = options.segment_bytes.min(largest);
        let mut queue = Queue {
            next_number: 1,
            ..Queue::default()
        };
        let (stats, mut newest, mut directory) = (SpoolStats::default(), None, None);
        if let Some(path) = &options.directory {
            let opened = Directory::open(path, options.fsync).context("spool")?;
            recover(&opened, &mut queue, &stats).context("spool")?;
            newest = newest_head(&opened, &queue);
            directory = Some(opened);
        }
        let shared = Arc::new(Shared {
            options,
            directory,
            queue: Mutex::new(queue),
            stats: Arc::new(stats),
            work: Condvar::new(),
            ready: Notify::new(),
            progress: Notify::new(),
            hurry: Notify::new(),
            head_failed: AtomicBool::new(false),
            disk_failed: AtomicBool::new(false),
        });
        shared.publish(&shared.queue());
        let thread = Mutex::new(None);
        Ok((Self { shared, thread }, newest))
    }

    /// A spool in memory, started.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn in_memory(options: SpoolOptions) -> anyhow::Result<Self> {
        let options = SpoolOptions {
            directory: None,
            ..options
        };
        let (spool, _) = Self::open(options)?;
        spool.start(None)?;
        Ok(spool)
    }

    /// Starts the thread that writes. `head` is the file of the chain's head, written behind each seal.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(&self, head: Option<HeadFile>) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("spool".into())
            .spawn(move || write::run(&shared, head.as_ref()))
            .context("spool thread")?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The counters.
    pub fn stats(&self) -> Arc<SpoolStats> {
        Arc::clone(&self.shared.stats)
    }

    /// What became of all rows.
    pub fn book(&self) -> RowBook {
        let queue = self.shared.queue();
        let stats = &self.shared.stats;
        let lost_by = LossReason::ALL.map(|reason| stats.lost_for(reason));
        RowBook {
            recovered: stats.recovered(),
            stored: stats.written_total(),
            lost: lost_by.iter().sum(),
            lost_by,
            pending: queue.pending,
        }
    }

    /// Age of the oldest row that is not stored yet; zero when there is none.
    pub fn lag(&self) -> Duration {
        let oldest = self.shared.queue().oldest();
        oldest.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Ranges of rows that were given up and that no stored seal names yet.
    pub fn undeclared(&self) -> Vec<Range> {
        self.shared.queue().undeclared.list().to_vec()
    }

    /// Words for the next seal.
    pub fn take_notes(&self) -> Vec<&'static str> {
        let flags = [
            (&self.shared.head_failed, "head_not_on_disk"),
            (&self.shared.disk_failed, "spool_not_on_disk"),
        ];
        let raised = flags
            .into_iter()
            .filter(|(flag, _)| flag.swap(false, Ordering::Relaxed));
        raised.map(|(_, word)| word).collect()
    }

    /// Whether rows wait for the disk.
    pub fn is_writing(&self) -> bool {
        let queue = self.shared.queue();
        queue.open.is_some() || !queue.closed.is_empty()
    }

    /// How full it is: what is on disk and what is on its way there, or memory where there is no directory.
    pub fn fill(&self) -> Fill {
        let (options, stats) = (&self.shared.options, &self.shared.stats);
        if options.directory.is_some() {
            Fill {
                bytes: stats.disk_bytes() + stats.unwritten_bytes(),
                room: options.max_bytes,
            }
        } else {
            Fill {
                bytes: stats.pending_bytes(),
                room: options.memory_bytes as u64,
            }
        }
    }

    /// Rows of `table` are not taken, since their program has had its share. They were not numbered.
    pub fn refuse(&self, table: Table, rows: u64) {
        for _ in 0..rows {
            self.shared.stats.took(table);
        }
        self.shared.stats.lose(table, LossReason::OverShare, rows);
    }

    /// Takes a row. A seal closes its segment. Never waits: beyond the budgets, oldest segments are dropped and counted.
    pub fn push(&self, row: impl Into<Row>) {
        self.push_sized(row.into());
    }

    /// As [`Self::push`], and gives how many bytes the row has.
    pub fn push_sized(&self, row: Row) -> u64 {
        let (shared, table) = (&self.shared, row.table());
        let mut queue = shared.queue();
        shared.stats.took(table);
        if queue.stopped {
            shared.stats.lose(table, LossReason::Shutdown, 1);
            return 0;
        }
        let first = queue.open.is_none();
        let bytes = queue.push(&row, Instant::now());
        if bytes.is_none() {
            tracing::error!(table = table.name(), "a row is too long for the spool");
            shared.stats.lose(table, LossReason::TooLong, 1);
            if let Some(range) = Range::of_rows(std::slice::from_ref(&row), LossReason::TooLong) {
                queue.declare(range);
            }
        }
        let options = &shared.options;
        let is_full = queue.open.as_ref().is_some_and(|open| {
            let rows = open.builder.summary().total();
            rows >= options.segment_rows as u64 || open.builder.len() >= options.segment_bytes
        });
        let closes = is_full || table == Table::Seals;
        if closes {
            queue.close(wall_ns());
        }
        queue.keep_memory(options.memory_bytes as u64, &shared.stats);
        shared.publish(&queue);
        drop(queue);
        if closes || first {
            shared.work.notify_one();
        }
        bytes.unwrap_or(0)
    }

    /// Sends everything that was pushed so far. True when nothing is left at `deadline`.
    pub async fn flush(&self, deadline: Instant) -> bool {
        self.shared.queue().hurry = true;
        self.shared.work.notify_one();
        self.shared.hurry.notify_waiters();
        let done = self.wait_empty(deadline).await;
        self.shared.queue().hurry = false;
        done
    }

    async fn wait_empty(&self, deadline: Instant) -> bool {
        loop {
            let progress = self.shared.progress.notified();
            if self.shared.queue().pending == 0 {
                return true;
            }
            if tokio::time::timeout_at(deadline, progress).await.is_err() {
                return false;
            }
        }
    }

    /// Puts on disk what is in memory, and ends. What could not be written is lost. Gives the rows lost so, and those left on disk.
    pub fn stop(&self) -> (u64, u64) {
        self.shared.queue().stopped = true;
        self.shared.work.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been reported.
            let _ = thread.join();
        }
        write::lose_the_rest(&self.shared)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes over what an earlier start left.
fn recover(directory: &Directory, queue: &mut Queue, stats: &SpoolStats) -> anyhow::Result<()> {
    let segments = directory.segments()?;
    queue.undeclared = directory.losses()?;
    let now = wall_ns();
    for found in segments {
        queue.next_number = found.number + 1;
        let Some(summary) = found.summary else {
            tracing::error!(segment = found.number, "damaged segment of the spool put aside");
            directory.set_aside(found.number);
            queue.declare(Range::unknown(LossReason::Damaged));
            continue;
        };
        let age = u64::try_from(now.saturating_sub(summary.closed_ns)).unwrap_or(0);
        let since = Instant::now().checked_sub(Duration::from_nanos(age));
        stats.found(summary.total());
        queue.pending += summary.total();
        queue.disk += found.bytes;
        queue.ready.push_back(Closed {
            summary,
            bytes: found.bytes,
            content: None,
            on_disk: true,
            head: None,
            since: since.unwrap_or_else(Instant::now),
        });
    }
    if queue.pending > 0 {
        tracing::info!(
            rows = queue.pending,
            bytes = queue.disk,
            "rows of an earlier start wait in the spool"
        );
    }
    Ok(())
}

/// The newest seal on disk: a kill between segment and head leaves it named nowhere else.
fn newest_head(directory: &Directory, queue: &Queue) -> Option<Head> {
    let with_seal = |segment: &&Closed| segment.summary.rows[Table::Seals as usize] > 0;
    let segment = queue.ready.iter().rev().find(with_seal)?;
    let bytes = directory.read(segment.summary.number).ok()?;
    let rows = format::read(&bytes).ok()?.rows;
    rows.iter().rev().find_map(|row| match row {
        Row::Seal(seal) => Some(Head::from(seal.as_ref())),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
