//! What is missing against what the host itself says that it gave up, in seals that hold. Pure.
//!
//! A seal names rows that were given up after they had numbers, by range and count. What is missing within such a range, up to
//! its count, is a declared loss and no removal. The declaration comes after the loss, so both wait for the end of the chain.

use super::finding::{Findings, Kind, Place};
use crate::evidence::SealRow;

/// So many missing runs and declarations wait; what comes after them is reported as it is.
const MAX_WAITING: usize = 200_000;

/// A run of numbers of one epoch: records or seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    epoch: u64,
    first: u64,
    last: u64,
}

impl Range {
    fn holds(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.first <= other.first && other.last <= self.last
    }

    /// What both have, of the same epoch.
    fn common(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.epoch == other.epoch && first <= last).then_some(Self { first, last, ..*self })
    }

    fn len(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// What is before and behind a part.
    fn without(&self, part: &Self) -> impl Iterator<Item = Self> + use<> {
        let before = (part.first > self.first).then(|| Self {
            last: part.first - 1,
            ..*self
        });
        let behind = (part.last < self.last).then(|| Self {
            first: part.last + 1,
            ..*self
        });
        before.into_iter().chain(behind)
    }
}

/// Rows that are not as they should be, until it is known whether the host declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    range: Range,
    /// What it is where nobody declared it.
    kind: Kind,
    place: Place,
    count: u64,
    detail: String,
}

impl Missing {
    /// The same for a part of the range.
    fn part(&self, range: Range) -> Self {
        let place = match self.kind {
            Kind::RecordMissing => self.place.with_records(range.first, range.last),
            _ => self.place.with_seals(range.first, range.last),
        };
        Self {
            range,
            place,
            count: range.len(),
            ..self.clone()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    range: Range,
    left: u64,
    reason: String,
}

/// Missing rows and declarations of one host.
#[derive(Debug, Default)]
pub(super) struct Losses {
    records: Vec<Missing>,
    seals: Vec<Missing>,
    declared_records: Vec<Declared>,
    declared_seals: Vec<Declared>,
}

impl Losses {
    /// Takes what a seal declares. Only seals that hold by themselves may be given.
    pub(super) fn declare(&mut self, seal: &SealRow) {
        let column = |values: &[u64], n: usize| values.get(n).copied().unwrap_or(0);
        for (n, reason) in seal.dropped_reason.iter().enumerate() {
            let epoch = column(&seal.dropped_chain_epoch, n);
            let range = |first: &[u64], last: &[u64]| Range {
                epoch,
                first: column(first, n),
                last: column(last, n),
            };
            add(
                &mut self.declared_records,
                range(&seal.dropped_first_rec_seq, &seal.dropped_last_rec_seq),
                column(&seal.dropped_records, n),
                reason,
            );
            add(
                &mut self.declared_seals,
                range(&seal.dropped_first_seal_seq, &seal.dropped_last_seal_seq),
                column(&seal.dropped_seals, n),
                reason,
            );
        }
    }

    /// Records `first` to `last` are missing; `place` is where they should be.
    pub(super) fn records_missing(
        &mut self,
        epoch: u64,
        (first, last): (u64, u64),
        place: Place,
        findings: &mut Findings,
    ) {
        let missing = Missing {
            range: Range { epoch, first, last },
            kind: Kind::RecordMissing,
            place: place.with_records(first, last),
            count: last.saturating_sub(first).saturating_add(1),
            detail: String::new(),
        };
        wait(&mut self.records, missing, findings);
    }

    /// Something is wrong since the seals `first` to `last` are not there: they themselves, or records that name them.
    pub(super) fn seals_missing(
        &mut self,
        kind: Kind,
        place: Place,
        count: u64,
        detail: &str,
        findings: &mut Findings,
    ) {
        let (first, last) = place.seals.unwrap_or_default();
        let missing = Missing {
            range: Range {
                epoch: place.chain_epoch,
                first,
                last,
            },
            kind,
            place,
            count,
            detail: detail.to_owned(),
        };
        wait(&mut self.seals, missing, findings);
    }

    /// Judges everything that waits.
    pub(super) fn settle(&mut self, findings: &mut Findings) {
        settle(&mut self.records, &mut self.declared_records, findings);
        settle(&mut self.seals, &mut self.declared_seals, findings);
    }
}

fn add(all: &mut Vec<Declared>, range: Range, count: u64, reason: &str) {
    if range.epoch == 0 || range.first == 0 || count == 0 || all.len() >= MAX_WAITING {
        return;
    }
    // Until a seal that names it is stored, each one names it again, and the range may grow.
    if let Some(same) = all
        .iter_mut()
        .rev()
        .take(64)
        .find(|d| range.holds(&d.range) && d.reason == reason)
    {
        same.range = range;
        same.left = same.left.max(count);
        return;
    }
    all.push(Declared {
        range,
        left: count,
        reason: reason.to_owned(),
    });
}

fn wait(all: &mut Vec<Missing>, missing: Missing, findings: &mut Findings) {
    if all.len() < MAX_WAITING {
        all.push(missing);
    } else {
        findings.add(missing.kind, missing.place, missing.count, missing.detail);
    }
}

fn settle(missing: &mut Vec<Missing>, declared: &mut [Declared], findings: &mut Findings) {
    declared.sort_by_key(|d| d.range);
    while let Some(row) = missing.pop() {
        // Records behind a seal that was given up are there: they take nothing from the count of seals.
        let is_there = row.kind == Kind::RecordUnsealed;
        let upto =
            declared.partition_point(|d| (d.range.epoch, d.range.first) <= (row.range.epoch, row.range.last));
        let found = declared[..upto]
            .iter_mut()
            .rev()
            .take_while(|d| d.range.epoch == row.range.epoch)
            .find(|d| {
                d.range.common(&row.range).is_some_and(|common| {
                    if is_there {
                        d.range.holds(&row.range)
                    } else {
                        common.len() <= d.left
                    }
                })
            });
        let Some(declared) = found else {
            findings.add(row.kind, row.place, row.count, row.detail);
            continue;
        };
        if is_there {
            let detail = format!("their seal: {}", declared.reason);
            findings.add(Kind::DeclaredLoss, row.place, row.count, detail);
            continue;
        }
        let common = declared.range.common(&row.range).unwrap_or(row.range);
        declared.left -= common.len();
        let part = row.part(common);
        findings.add(
            Kind::DeclaredLoss,
            part.place,
            part.count,
            declared.reason.clone(),
        );
        missing.extend(row.range.without(&common).map(|rest| row.part(rest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(declared: &[(u64, u64, u64)], missing: &[(u64, u64)]) -> Vec<(Kind, u64)> {
        let (mut losses, mut findings) = (Losses::default(), Findings::default());
        for (first, last, count) in declared {
            let range = Range {
                epoch: 7,
                first: *first,
                last: *last,
            };
            add(&mut losses.declared_records, range, *count, "over_budget");
        }
        for range in missing {
            losses.records_missing(7, *range, Place::seal(7, 1), &mut findings);
        }
        losses.settle(&mut findings);
        findings.counts().collect()
    }

    #[test]
    fn what_was_declared_is_no_removal_up_to_its_count() {
        use Kind::{DeclaredLoss, RecordMissing};
        assert_eq!(losses(&[(10, 20, 5)], &[(11, 15)]), [(DeclaredLoss, 5)]);
        assert_eq!(losses(&[(10, 20, 4)], &[(11, 15)]), [(RecordMissing, 5)]);
        assert_eq!(
            losses(&[(10, 20, 5)], &[(9, 11)]),
            [(RecordMissing, 1), (DeclaredLoss, 2)]
        );
        assert_eq!(
            losses(&[(10, 20, 11)], &[(9, 21)]),
            [(RecordMissing, 2), (DeclaredLoss, 11)]
        );
        assert_eq!(
            losses(&[(10, 20, 4)], &[(10, 13), (15, 16)]),
            [(RecordMissing, 4), (DeclaredLoss, 2)]
        );
        assert_eq!(
            losses(&[(10, 20, 11), (30, 31, 2)], &[(10, 20), (30, 31)]),
            [(DeclaredLoss, 13)]
        );
        assert_eq!(losses(&[], &[(1, 1)]), [(RecordMissing, 1)]);
    }

    #[test]
    fn saying_it_again_does_not_double_it() {
        use Kind::{DeclaredLoss, RecordMissing};
        let again = [(10, 20, 2), (10, 20, 2), (10, 25, 3)];
        assert_eq!(
            losses(&again, &[(10, 11), (21, 21), (23, 23)]),
            [(RecordMissing, 2), (DeclaredLoss, 2)]
        );
    }
}
