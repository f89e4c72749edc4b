//! Which rows were given up, as ranges of the chain: every seal names them until one that did is stored, so that a verifier
//! tells a declared loss from a removal. Pure.

use serde::{Deserialize, Serialize};

use super::format::Summary;
use crate::evidence::{Dropped, Row, SealRow, Table};

/// Most ranges that are kept; beyond it neighbours are joined.
const MAX_RANGES: usize = 256;

/// Why rows were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The budget was full.
    OverBudget,
    /// Hardly any of the budget was left, and their program held more than its share. They were never numbered.
    OverShare,
    /// The store refused them for good.
    Rejected,
    /// The daemon stopped before they could be sent or put on disk.
    Shutdown,
    /// The disk gave something else back than was written.
    Damaged,
    /// They are longer than a row may be.
    TooLong,
}

impl LossReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::OverBudget,
        Self::OverShare,
        Self::Rejected,
        Self::Shutdown,
        Self::Damaged,
        Self::TooLong,
    ];

    /// Name for metrics and seals.
    pub fn name(self) -> &'static str {
        match self {
            Self::OverBudget => "over_budget",
            Self::OverShare => "over_share",
            Self::Rejected => "rejected",
            Self::Shutdown => "shutdown",
            Self::Damaged => "damaged",
            Self::TooLong => "too_long",
        }
    }
}

/// Rows of one epoch that were given up for one reason. Numbers are 0 where there is none, or none is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Why.
    pub reason: LossReason,
    /// Epoch; 0: not known.
    pub chain_epoch: u64,
    /// First and last record number.
    pub records: (u64, u64),
    /// How many of the records between are lost.
    pub lost_records: u64,
    /// First and last seal number.
    pub seals: (u64, u64),
    /// How many of the seals between are lost.
    pub lost_seals: u64,
}

impl Range {
    /// A whole segment.
    pub(super) fn of(summary: &Summary, reason: LossReason) -> Self {
        let seals = u64::from(summary.rows[Table::Seals as usize]);
        Self {
            reason,
            chain_epoch: summary.chain_epoch,
            records: summary.records,
            lost_records: summary.total() - seals,
            seals: summary.seals,
            lost_seals: seals,
        }
    }

    /// Nobody knows what it was.
    pub(super) fn unknown(reason: LossReason) -> Self {
        Self {
            reason,
            chain_epoch: 0,
            records: (0, 0),
            lost_records: 0,
            seals: (0, 0),
            lost_seals: 0,
        }
    }

    /// Rows of one table and one epoch; `None` for no rows.
    pub(super) fn of_rows(rows: &[Row], reason: LossReason) -> Option<Self> {
        let ((_, chain_epoch, first), (_, _, last)) = (rows.first()?.place(), rows.last()?.place());
        let (range, count) = ((first, last), rows.len() as u64);
        let mut lost = Self {
            chain_epoch,
            ..Self::unknown(reason)
        };
        if rows[0].table() == Table::Seals {
            (lost.seals, lost.lost_seals) = (range, count);
        } else {
            (lost.records, lost.lost_records) = (range, count);
        }
        Some(lost)
    }

    fn join(&mut self, other: &Self) {
        let hull = |(a, b): (u64, u64), (c, d): (u64, u64)| match (a, c) {
            (0, _) => (c, d),
            (_, 0) => (a, b),
            _ => (a.min(c), b.max(d)),
        };
        self.records = hull(self.records, other.records);
        self.seals = hull(self.seals, other.seals);
        self.lost_records += other.lost_records;
        self.lost_seals += other.lost_seals;
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.reason, self.chain_epoch) == (other.reason, other.chain_epoch)
    }
}

impl From<&Range> for Dropped {
    fn from(range: &Range) -> Self {
        Self {
            reason: range.reason.name(),
            chain_epoch: range.chain_epoch,
            records: range.records,
            lost_records: range.lost_records,
            seals: range.seals,
            lost_seals: range.lost_seals,
        }
    }
}

/// Ranges that no stored seal has declared yet, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Undeclared(Vec<Range>);

impl Undeclared {
    /// Adds what was given up: to the range before it, where that ends just before.
    pub(super) fn add(&mut self, range: Range) {
        let follows = |last: &Range| {
            let next =
                |(_, last): (u64, u64), (first, _): (u64, u64)| first == 0 || last == 0 || first == last + 1;
            last.is_like(&range) && next(last.records, range.records) && next(last.seals, range.seals)
        };
        match self.0.last_mut() {
            Some(last) if follows(last) => last.join(&range),
            _ => self.0.push(range),
        }
        if self.0.len() > MAX_RANGES {
            self.shrink();
        }
    }

    /// Joins the first two ranges that are of one epoch and reason; where there are none, the list stays longer: reasons and epochs
    /// are few.
    fn shrink(&mut self) {
        let at = (1..self.0.len()).find(|at| self.0[*at].is_like(&self.0[at - 1]));
        if let Some(at) = at {
            let joined = self.0.remove(at);
            self.0[at - 1].join(&joined);
        }
    }

    /// What the next seal has to say.
    pub(super) fn list(&self) -> &[Range] {
        &self.0
    }

    /// A seal was stored: what it declared need not be said again. What has grown since stays. `true` when something changed.
    pub(super) fn stored(&mut self, seal: &SealRow) -> bool {
        let before = self.0.len();
        self.0.retain(|range| !declares(seal, range));
        self.0.len() != before
    }
}

fn declares(seal: &SealRow, range: &Range) -> bool {
    let column = |list: &[u64], n: usize| list.get(n).copied();
    (0..seal.dropped_reason.len()).any(|n| {
        seal.dropped_reason[n] == range.reason.name()
            && column(&seal.dropped_chain_epoch, n) == Some(range.chain_epoch)
            && column(&seal.dropped_first_rec_seq, n) == Some(range.records.0)
            && column(&seal.dropped_last_rec_seq, n) == Some(range.records.1)
            && column(&seal.dropped_records, n) == Some(range.lost_records)
            && column(&seal.dropped_first_seal_seq, n) == Some(range.seals.0)
            && column(&seal.dropped_last_seal_seq, n) == Some(range.seals.1)
            && column(&seal.dropped_seals, n) == Some(range.lost_seals)
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::evidence::{Coverage, Interval, SealKind, Sequencer};

    fn range(epoch: u64, records: (u64, u64), seals: (u64, u64)) -> Range {
        let count = |(a, b): (u64, u64)| if a == 0 { 0 } else { b - a + 1 };
        Range {
            reason: LossReason::OverBudget,
            chain_epoch: epoch,
            records,
            lost_records: count(records),
            seals,
            lost_seals: count(seals),
        }
    }

    fn seal(list: &[Range]) -> SealRow {
        let interval = Interval {
            start: 0,
            end: 0,
            mono_start_ns: 0,
            mono_end_ns: 0,
        };
        let coverage = Coverage {
            dropped: list.iter().map(Dropped::from).collect(),
            ..Coverage::default()
        };
        Sequencer::new("h", Uuid::nil(), 1).seal(SealKind::Interval, interval, coverage)
    }

    #[test]
    fn neighbours_are_one_range_and_others_are_not() {
        let mut list = Undeclared::default();
        list.add(range(1, (1, 10), (0, 0)));
        list.add(range(1, (11, 12), (1, 1)));
        list.add(range(1, (0, 0), (2, 2)));
        list.add(range(1, (13, 13), (0, 0)));
        assert_eq!(list.list(), [range(1, (1, 13), (1, 2))]);
        list.add(range(1, (20, 21), (0, 0)));
        list.add(range(2, (1, 1), (0, 0)));
        assert_eq!(list.list().len(), 3);
    }

    #[test]
    fn a_range_is_declared_until_a_seal_that_says_it_as_it_is_was_stored() {
        let mut list = Undeclared::default();
        list.add(range(1, (1, 10), (1, 1)));
        let first = seal(list.list());
        list.add(range(1, (11, 12), (2, 2)));
        list.add(range(2, (5, 5), (0, 0)));
        assert!(!list.stored(&first), "it has grown since");
        let second = seal(list.list());
        list.add(range(3, (7, 7), (0, 0)));
        assert!(list.stored(&second));
        assert_eq!(list.list(), [range(3, (7, 7), (0, 0))]);
    }

    #[test]
    fn the_list_stays_short_and_says_all_that_is_lost() {
        let mut list = Undeclared::default();
        for n in 0..2_000 {
            list.add(range(1, (3 * n + 1, 3 * n + 1), (0, 0)));
        }
        assert_eq!(list.list().len(), MAX_RANGES);
        assert_eq!(list.list().iter().map(|r| r.lost_records).sum::<u64>(), 2_000);
    }

    #[test]
    fn it_is_read_back_from_its_file() {
        let mut list = Undeclared::default();
        list.add(range(1, (1, 10), (1, 1)));
        let text = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<Undeclared>(&text).unwrap(), list);
    }
}
