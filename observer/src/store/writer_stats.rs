//! What the writer counts: every row is written, lost for a reason, or pending.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::client::ErrorKind;
use crate::evidence::{TABLES, Table};

/// Why a row was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The byte budget was full.
    OverBudget,
    /// The store refused the batch for good.
    Rejected,
    /// The daemon stopped before it could be sent.
    Shutdown,
}

impl LossReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::OverBudget, Self::Rejected, Self::Shutdown];

    /// Name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OverBudget => "over_budget",
            Self::Rejected => "rejected",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Counters of a writer. They only grow, but for the gauges that say so.
#[derive(Debug, Default)]
pub struct WriterStats {
    pushed: [AtomicU64; TABLES],
    written: [AtomicU64; TABLES],
    lost: [[AtomicU64; 3]; TABLES],
    failures: [AtomicU64; 6],
    pending_bytes: AtomicU64,
    /// 0: the last attempt succeeded, or there was none; else index into [`ErrorKind::ALL`] + 1.
    last_error: AtomicU8,
}

impl WriterStats {
    /// Rows taken for `table`.
    pub fn pushed(&self, table: Table) -> u64 {
        self.pushed[table as usize].load(Ordering::Relaxed)
    }

    /// Rows of `table` that the store has confirmed.
    pub fn written(&self, table: Table) -> u64 {
        self.written[table as usize].load(Ordering::Relaxed)
    }

    /// Rows of `table` lost for `reason`.
    pub fn lost(&self, table: Table, reason: LossReason) -> u64 {
        self.lost[table as usize][reason as usize].load(Ordering::Relaxed)
    }

    /// Rows lost, all tables and reasons.
    pub fn lost_total(&self) -> u64 {
        self.lost
            .iter()
            .flatten()
            .map(|n| n.load(Ordering::Relaxed))
            .sum()
    }

    /// Failed attempts of this kind.
    pub fn failures(&self, kind: ErrorKind) -> u64 {
        self.failures[kind as usize].load(Ordering::Relaxed)
    }

    /// Gauge: bytes of rows that wait or are on their way.
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Gauge: kind of the last failure; `None` when the last attempt succeeded.
    pub fn last_error(&self) -> Option<ErrorKind> {
        let number = self.last_error.load(Ordering::Relaxed);
        ErrorKind::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    pub(super) fn lose(&self, table: Table, reason: LossReason, rows: usize) {
        self.lost[table as usize][reason as usize].fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, table: Table, rows: usize) {
        self.written[table as usize].fetch_add(rows as u64, Ordering::Relaxed);
        self.last_error.store(0, Ordering::Relaxed);
    }

    pub(super) fn took(&self, table: Table) {
        self.pushed[table as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_pending(&self, bytes: usize) {
        self.pending_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, kind: ErrorKind) {
        self.failures[kind as usize].fetch_add(1, Ordering::Relaxed);
        self.last_error.store(kind as u8 + 1, Ordering::Relaxed);
    }
}
