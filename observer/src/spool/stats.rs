//! What the spool counts: every row is stored, lost for a reason, or pending.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{format::Summary, losses::LossReason};
use crate::evidence::{TABLES, Table};

/// Counters of a spool. They only grow, but for the gauges that say so.
#[derive(Debug, Default)]
pub struct SpoolStats {
    pushed: [AtomicU64; TABLES],
    recovered: AtomicU64,
    written: [AtomicU64; TABLES],
    lost: [[AtomicU64; LossReason::ALL.len()]; TABLES],
    pub(super) pending_bytes: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) unwritten_bytes: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) dropped_segments: AtomicU64,
    pub(super) disk_failures: AtomicU64,
    /// Bytes written to disk, and ns that it took.
    pub(super) disk_written: [AtomicU64; 2],
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl SpoolStats {
    /// Rows taken for `table`.
    pub fn pushed(&self, table: Table) -> u64 {
        read(&self.pushed[table as usize])
    }

    /// Rows of earlier starts that were found on disk.
    pub fn recovered(&self) -> u64 {
        read(&self.recovered)
    }

    /// Rows of `table` that the store has confirmed.
    pub fn written(&self, table: Table) -> u64 {
        read(&self.written[table as usize])
    }

    /// Rows that the store has confirmed, of all tables.
    pub fn written_total(&self) -> u64 {
        self.written.iter().map(read).sum()
    }

    /// Rows of `table` lost for `reason`.
    pub fn lost(&self, table: Table, reason: LossReason) -> u64 {
        read(&self.lost[table as usize][reason as usize])
    }

    /// Rows lost for `reason`, all tables.
    pub fn lost_for(&self, reason: LossReason) -> u64 {
        Table::ALL.iter().map(|table| self.lost(*table, reason)).sum()
    }

    /// Rows lost, all tables and reasons.
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().flatten().map(read).sum()
    }

    /// Gauge: bytes of segments that are in memory.
    pub fn pending_bytes(&self) -> u64 {
        read(&self.pending_bytes)
    }

    /// Gauge: bytes of segments on disk.
    pub fn disk_bytes(&self) -> u64 {
        read(&self.disk_bytes)
    }

    /// Gauge: bytes that are not on disk yet.
    pub fn unwritten_bytes(&self) -> u64 {
        read(&self.unwritten_bytes)
    }

    /// Gauge: segments that wait, on disk or in memory.
    pub fn segments(&self) -> u64 {
        read(&self.segments)
    }

    /// Whole segments given up.
    pub fn dropped_segments(&self) -> u64 {
        read(&self.dropped_segments)
    }

    /// Attempts to write to disk that failed.
    pub fn disk_failures(&self) -> u64 {
        read(&self.disk_failures)
    }

    /// Bytes written to disk so far, and ns that writing and syncing them took.
    pub fn disk_written(&self) -> (u64, u64) {
        (read(&self.disk_written[0]), read(&self.disk_written[1]))
    }

    pub(super) fn took(&self, table: Table) {
        add(&self.pushed[table as usize], 1);
    }

    pub(super) fn found(&self, rows: u64) {
        add(&self.recovered, rows);
    }

    pub(super) fn wrote(&self, table: Table, rows: u64) {
        add(&self.written[table as usize], rows);
    }

    pub(super) fn lose(&self, table: Table, reason: LossReason, rows: u64) {
        add(&self.lost[table as usize][reason as usize], rows);
    }

    pub(super) fn lose_segment(&self, summary: &Summary, reason: LossReason) {
        for table in Table::ALL {
            self.lose(table, reason, summary.rows[table as usize].into());
        }
        add(&self.dropped_segments, 1);
    }
}
