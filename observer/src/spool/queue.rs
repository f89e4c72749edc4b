//! The order of segments from the open one to the one that the store is taking, and what may be given up when there is no room.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::{
    format::{Builder, Summary},
    losses::{LossReason, Range, Undeclared},
    stats::SpoolStats,
};
use crate::{
    evidence::{Row, TABLES},
    state::Head,
};

/// The segment that takes rows now.
#[derive(Debug)]
pub(super) struct Open {
    pub builder: Builder,
    pub since: Instant,
    /// Its last seal.
    pub head: Option<Head>,
}

/// A segment that does not change any more.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    pub summary: Summary,
    /// Bytes of the segment.
    pub bytes: u64,
    /// The segment itself, while it is in memory.
    pub content: Option<Arc<Vec<u8>>>,
    pub on_disk: bool,
    pub head: Option<Head>,
    /// When its first row came.
    pub since: Instant,
}

/// All segments, oldest first: `ready`, then `closed`, then `open`.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// May be delivered.
    pub ready: VecDeque<Closed>,
    /// The first so many of `ready` are on their way.
    pub in_flight: usize,
    /// Tables of which those on their way have no row any more that is neither stored nor given up.
    pub done: [bool; TABLES],
    /// Wait for the disk.
    pub closed: VecDeque<Closed>,
    /// The first of `closed` is being written.
    pub writing: bool,
    pub open: Option<Open>,
    pub next_number: u64,
    /// Rows of all of these.
    pub pending: u64,
    /// Bytes of segments in memory.
    pub memory: u64,
    /// Bytes of segments on disk.
    pub disk: u64,
    /// Files that are of no use any more.
    pub removals: Vec<u64>,
    pub undeclared: Undeclared,
    /// `undeclared` is not on disk as it is.
    pub undeclared_changed: bool,
    /// The open segment is closed as soon as there is something in it.
    pub hurry: bool,
    pub stopped: bool,
}

impl Queue {
    /// Takes a row, and gives its bytes; `None` for one that is too long for any segment.
    pub(super) fn push(&mut self, row: &Row, now: Instant) -> Option<u64> {
        let number = self.next_number;
        let open = self.open.get_or_insert_with(|| Open {
            builder: Builder::new(number),
            since: now,
            head: None,
        });
        let Some(bytes) = open.builder.push(row) else {
            // There is no segment without a row.
            self.open.take_if(|open| open.builder.is_empty());
            return None;
        };
        let bytes = bytes as u64;
        self.memory += bytes;
        if let Row::Seal(seal) = row {
            open.head = Some(Head::from(seal.as_ref()));
        }
        self.pending += 1;
        Some(bytes)
    }

    /// Closes the open segment. `closed_ns` is the wall clock.
    pub(super) fn close(&mut self, closed_ns: i64) {
        let Some(open) = self.open.take() else { return };
        let Open { builder, since, head } = open;
        let (summary, bytes) = builder.finish(closed_ns);
        // The header comes with the closing.
        self.memory += super::format::HEADER_LEN as u64;
        self.next_number += 1;
        self.closed.push_back(Closed {
            summary,
            bytes: bytes.len() as u64,
            content: Some(Arc::new(bytes)),
            on_disk: false,
            head,
            since,
        });
    }

    /// Bytes of segments that are not on disk yet.
    pub(super) fn unwritten(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|segment| segment.bytes).sum();
        closed + self.open.as_ref().map_or(0, |open| open.builder.len() as u64)
    }

    /// When the oldest row that is not stored came.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let closed = self.ready.front().or(self.closed.front()).map(|s| s.since);
        closed.or(self.open.as_ref().map(|open| open.since))
    }

    /// Lets go of the memory of segments that are on disk, but for those on their way.
    pub(super) fn release(&mut self) {
        let memory = &mut self.memory;
        for segment in self.ready.iter_mut().skip(self.in_flight).filter(|s| s.on_disk) {
            if segment.content.take().is_some() {
                *memory -= segment.bytes;
            }
        }
    }

    /// Gives up the oldest segments that are only in memory, until `budget` is kept.
    pub(super) fn keep_memory(&mut self, budget: u64, stats: &SpoolStats) {
        if self.memory > budget {
            self.release();
        }
        while self.memory > budget {
            let only_here = |segment: &Closed| !segment.on_disk;
            let ready = self.ready.iter().skip(self.in_flight).position(only_here);
            let dropped = if let Some(at) = ready {
                self.ready.remove(at + self.in_flight)
            } else {
                self.closed.remove(usize::from(self.writing))
            };
            let summary = match dropped {
                Some(segment) => {
                    self.memory -= segment.bytes;
                    segment.summary
                }
                None => {
                    let Some(open) = self.open.take() else { return };
                    self.memory -= (open.builder.len() - super::format::HEADER_LEN) as u64;
                    *open.builder.summary()
                }
            };
            self.give_up(&summary, LossReason::OverBudget, stats);
        }
    }

    /// The oldest segment on disk that may be given up.
    pub(super) fn drop_oldest_on_disk(&mut self, stats: &SpoolStats) -> Option<u64> {
        let at = self.ready.iter().skip(self.in_flight).position(|s| s.on_disk)?;
        let segment = self.ready.remove(at + self.in_flight)?;
        if segment.content.is_some() {
            self.memory -= segment.bytes;
        }
        self.disk -= segment.bytes;
        self.give_up(&segment.summary, LossReason::OverBudget, stats);
        Some(segment.summary.number)
    }

    /// Books a whole segment as lost.
    pub(super) fn give_up(&mut self, summary: &Summary, reason: LossReason, stats: &SpoolStats) {
        stats.lose_segment(summary, reason);
        self.pending = self.pending.saturating_sub(summary.total());
        self.declare(Range::of(summary, reason));
    }

    /// The next seals name this loss.
    pub(super) fn declare(&mut self, range: Range) {
        self.undeclared.add(range);
        self.undeclared_changed = true;
    }
}
