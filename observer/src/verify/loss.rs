//! What is missing against what the host itself says that it gave up, in seals that hold. Pure.
//!
//! A seal names rows that were given up after they had numbers, by range and count. What is missing within such a range, up to
//! its count, is a declared loss and no removal. The declaration comes after the loss, so both wait for the end of the chain.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

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
    fn len(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
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
    /// The place of a part of the range.
    fn place_of(&self, part: Range) -> Place {
        match self.kind {
            Kind::RecordMissing => self.place.with_records(part.first, part.last),
            _ => self.place.with_seals(part.first, part.last),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    range: Range,
    left: u64,
    reason: String,
}

/// What a declaration is known by. A range begins with a lost row, and a row is lost once, so two ranges that begin with the same
/// one are one loss.
type Name = (String, u64, u64);

fn name(range: &Range, reason: &str) -> Name {
    (reason.to_owned(), range.epoch, range.first)
}

/// Declarations of records, or of seals.
#[derive(Debug, Default)]
struct Declarations {
    all: Vec<Declared>,
    by_name: BTreeMap<Name, usize>,
    /// Those that the seal before named.
    open: BTreeSet<Name>,
}

impl Declarations {
    /// Takes what one seal declares. Until a seal that names it is stored, each one names it again, and the range may grow.
    fn said<'s>(&mut self, list: impl Iterator<Item = (Range, u64, &'s str)>) {
        let before = std::mem::take(&mut self.open);
        let mut grown = Vec::new();
        for (range, count, reason) in list {
            if range.epoch == 0 || range.first == 0 || count == 0 {
                continue;
            }
            let name = name(&range, reason);
            let at = match self.by_name.get(&name) {
                Some(at) => *at,
                None if self.all.len() >= MAX_WAITING => continue,
                None => {
                    self.by_name.insert(name.clone(), self.all.len());
                    self.all.push(Declared {
                        range,
                        left: 0,
                        reason: reason.to_owned(),
                    });
                    self.all.len() - 1
                }
            };
            let declared = &mut self.all[at];
            declared.range.last = declared.range.last.max(range.last);
            if count > declared.left {
                declared.left = count;
                grown.push(at);
            }
            self.open.insert(name);
        }
        self.joined(&before, grown);
    }

    /// A host that has too many ranges joins two of them: one that is not named any more, and lies within one that grew, is in the
    /// count of that. Within one that did not grow, it is one whose seal was stored.
    fn joined(&mut self, before: &BTreeSet<Name>, grown: Vec<usize>) {
        let gone: Vec<usize> = before
            .difference(&self.open)
            .filter_map(|name| self.by_name.get(name).copied())
            .collect();
        if gone.is_empty() {
            return;
        }
        let holders = Holders::new(
            grown
                .iter()
                .map(|at| (self.all[*at].reason.as_str(), &self.all[*at])),
        );
        let is_joined = |at: &usize| {
            let gone = &self.all[*at];
            holders.of(&gone.reason, &gone.range).is_some()
        };
        let joined: Vec<usize> = gone.into_iter().filter(is_joined).collect();
        for at in joined {
            self.all[at].left = 0;
        }
    }
}

/// Declarations by a word, to be asked for one of that word that holds a range.
struct Holders<'d> {
    /// By word and beginning, each with the place of the one that reaches farthest among those of its epoch up to it.
    sorted: Vec<(&'d str, &'d Declared, usize)>,
}

impl<'d> Holders<'d> {
    fn new(declared: impl Iterator<Item = (&'d str, &'d Declared)>) -> Self {
        let mut sorted: Vec<(&str, &Declared, usize)> = declared.map(|(word, d)| (word, d, 0)).collect();
        sorted.sort_by_key(|(word, d, _)| (*word, d.range));
        let mut farthest = 0;
        for at in 0..sorted.len() {
            let ((word, this, _), (far_word, far, _)) = (sorted[at], sorted[farthest]);
            let is_with = (word, this.range.epoch) == (far_word, far.range.epoch);
            if !is_with || this.range.last > far.range.last {
                farthest = at;
            }
            sorted[at].2 = farthest;
        }
        Self { sorted }
    }

    fn of(&self, word: &str, range: &Range) -> Option<&'d Declared> {
        let upto = self.sorted.partition_point(|(of, d, _)| {
            (*of, d.range.epoch, d.range.first) <= (word, range.epoch, range.first)
        });
        let farthest = self.sorted[..upto].last()?.2;
        let (of, found, _) = self.sorted[farthest];
        let holds = (of, found.range.epoch) == (word, range.epoch) && found.range.last >= range.last;
        holds.then_some(found)
    }
}

/// Missing rows and declarations of one host.
#[derive(Debug, Default)]
pub(super) struct Losses {
    records: Vec<Missing>,
    seals: Vec<Missing>,
    declared_records: Declarations,
    declared_seals: Declarations,
}

impl Losses {
    /// Takes what a seal declares. Only seals that hold by themselves may be given, in their order.
    pub(super) fn declare(&mut self, seal: &SealRow) {
        let column = |values: &[u64], n: usize| values.get(n).copied().unwrap_or(0);
        let list = |first: &[u64], last: &[u64], count: &[u64]| -> Vec<(Range, u64)> {
            let range = |n| Range {
                epoch: column(&seal.dropped_chain_epoch, n),
                first: column(first, n),
                last: column(last, n),
            };
            (0..seal.dropped_reason.len())
                .map(|n| (range(n), column(count, n)))
                .collect()
        };
        let records = list(
            &seal.dropped_first_rec_seq,
            &seal.dropped_last_rec_seq,
            &seal.dropped_records,
        );
        let seals = list(
            &seal.dropped_first_seal_seq,
            &seal.dropped_last_seal_seq,
            &seal.dropped_seals,
        );
        for (declared, list) in [
            (&mut self.declared_records, records),
            (&mut self.declared_seals, seals),
        ] {
            let reasons = seal.dropped_reason.iter().map(String::as_str);
            declared.said(
                list.into_iter()
                    .zip(reasons)
                    .map(|((range, n), why)| (range, n, why)),
            );
        }
    }

    /// The next declaration comes from another part of the chain.
    pub(super) fn elsewhere(&mut self) {
        self.declared_records.open.clear();
        self.declared_seals.open.clear();
    }

    /// How many runs wait.
    pub(super) fn waiting(&self) -> usize {
        self.records.len() + self.seals.len()
    }

    /// Place of the first seal at which something is missing.
    pub(super) fn wait_from(&self) -> Option<(u64, u64)> {
        let all = self.records.iter().chain(&self.seals);
        all.map(|m| (m.place.chain_epoch, m.place.seals.map_or(0, |(first, _)| first)))
            .min()
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
        let declared = std::mem::take(&mut self.declared_seals).all;
        let holders = Holders::new(declared.iter().map(|d| ("", d)));
        let (records, seals) = std::mem::take(&mut self.seals)
            .into_iter()
            .partition::<Vec<Missing>, _>(|row| row.kind == Kind::RecordUnsealed);
        // Records behind a seal that was given up are there: they take nothing from the count of seals.
        for row in records {
            match holders.of("", &row.range) {
                Some(declared) => {
                    let detail = format!("their seal: {}", declared.reason);
                    findings.add(Kind::DeclaredLoss, row.place, row.count, detail);
                }
                None => findings.add(row.kind, row.place, row.count, row.detail),
            }
        }
        settle(seals, declared, findings);
        let declared = std::mem::take(&mut self.declared_records).all;
        settle(std::mem::take(&mut self.records), declared, findings);
    }
}

fn wait(all: &mut Vec<Missing>, missing: Missing, findings: &mut Findings) {
    if all.len() < MAX_WAITING {
        all.push(missing);
    } else {
        findings.add(missing.kind, missing.place, missing.count, missing.detail);
    }
}

/// Gives each missing number to a declaration that holds it and has some of its count left. Numbers are gone through in their
/// order, and of several declarations the one that ends first gives: no other choice explains more of them.
fn settle(mut missing: Vec<Missing>, declared: Vec<Declared>, findings: &mut Findings) {
    missing.sort_by_key(|row| row.range);
    let mut givers = Givers::new(declared);
    for row in &missing {
        let (epoch, mut first) = (row.range.epoch, row.range.first);
        loop {
            let (last, giver) = givers.at(epoch, first);
            let last = last.min(row.range.last);
            let part = Range { epoch, first, last };
            let (kind, detail) = match giver {
                Some(declared) => {
                    declared.left -= part.len();
                    (Kind::DeclaredLoss, &declared.reason)
                }
                None => (row.kind, &row.detail),
            };
            findings.add(kind, row.place_of(part), part.len(), detail.clone());
            if last == row.range.last {
                break;
            }
            first = last + 1;
        }
    }
}

/// Declarations, asked for numbers in their order.
struct Givers {
    /// By epoch and beginning.
    all: Vec<Declared>,
    next: usize,
    epoch: u64,
    /// Those that began already: end and place, the one that ends first on top.
    open: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Givers {
    fn new(mut all: Vec<Declared>) -> Self {
        all.sort_by_key(|d| d.range);
        Self {
            all,
            next: 0,
            epoch: 0,
            open: BinaryHeap::new(),
        }
    }

    /// The declaration that gives this number, where there is one, and up to which number nothing else would.
    fn at(&mut self, epoch: u64, number: u64) -> (u64, Option<&mut Declared>) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.open.clear();
        }
        while let Some(next) = self.all.get(self.next)
            && (next.range.epoch, next.range.first) <= (epoch, number)
        {
            if next.range.epoch == epoch {
                self.open.push(Reverse((next.range.last, self.next)));
            }
            self.next += 1;
        }
        while let Some(Reverse((end, at))) = self.open.peek()
            && (*end < number || self.all[*at].left == 0)
        {
            self.open.pop();
        }
        // Where the next one begins, that may be the one that ends first.
        let begins = self.all.get(self.next).filter(|d| d.range.epoch == epoch);
        let last = begins.map_or(u64::MAX, |d| d.range.first - 1);
        let Some(Reverse((end, at))) = self.open.peek().copied() else {
            return (last, None);
        };
        let giver = &mut self.all[at];
        let last = last.min(end).min(number.saturating_add(giver.left - 1));
        (last, Some(giver))
    }
}

#[cfg(test)]
mod tests {
    use Kind::{DeclaredLoss, RecordMissing};

    use super::*;

    /// What seals declare one after the other, and what is missing.
    fn of_seals(seals: &[&[(u64, u64, u64)]], missing: &[(u64, u64)]) -> Vec<(Kind, u64)> {
        let (mut losses, mut findings) = (Losses::default(), Findings::default());
        for declared in seals {
            let list = declared.iter().map(|(first, last, count)| {
                let (epoch, first, last) = (7, *first, *last);
                (Range { epoch, first, last }, *count, "over_budget")
            });
            losses.declared_records.said(list);
        }
        for range in missing {
            losses.records_missing(7, *range, Place::seal(7, 1), &mut findings);
        }
        losses.settle(&mut findings);
        findings.counts().collect()
    }

    fn losses(declared: &[(u64, u64, u64)], missing: &[(u64, u64)]) -> Vec<(Kind, u64)> {
        of_seals(&[declared], missing)
    }

    #[test]
    fn what_was_declared_is_no_removal_up_to_its_count() {
        assert_eq!(losses(&[(10, 20, 5)], &[(11, 15)]), [(DeclaredLoss, 5)]);
        assert_eq!(
            losses(&[(10, 20, 4)], &[(11, 15)]),
            [(RecordMissing, 1), (DeclaredLoss, 4)]
        );
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
            [(RecordMissing, 2), (DeclaredLoss, 4)]
        );
        assert_eq!(
            losses(&[(10, 20, 11), (30, 31, 2)], &[(10, 20), (30, 31)]),
            [(DeclaredLoss, 13)]
        );
        assert_eq!(losses(&[], &[(1, 1)]), [(RecordMissing, 1)]);
        assert_eq!(
            losses(&[(1, u64::MAX, u64::MAX)], &[(5, u64::MAX)]),
            [(DeclaredLoss, u64::MAX - 4)]
        );
    }

    #[test]
    fn two_tables_of_one_batch_are_declared_with_ranges_that_overlap() {
        let tables = [(1, 3, 2), (2, 4, 2)];
        assert_eq!(losses(&tables, &[(1, 4)]), [(DeclaredLoss, 4)]);
        assert_eq!(
            losses(&tables, &[(1, 1), (3, 4)]),
            [(DeclaredLoss, 3)],
            "the second may have taken 3"
        );
        assert_eq!(
            losses(&tables, &[(1, 5)]),
            [(RecordMissing, 1), (DeclaredLoss, 4)]
        );
        // A short range within a long one keeps its count for itself.
        assert_eq!(
            losses(&[(1, 9, 2), (4, 5, 2)], &[(1, 1), (4, 5), (9, 9)]),
            [(DeclaredLoss, 4)]
        );
        assert_eq!(
            losses(&[(1, 9, 2), (4, 5, 2)], &[(1, 1), (7, 7), (9, 9)]),
            [(RecordMissing, 1), (DeclaredLoss, 2)]
        );
    }

    #[test]
    fn saying_it_again_does_not_double_it() {
        let again: [&[(u64, u64, u64)]; 3] = [&[(10, 20, 2)], &[(10, 20, 2)], &[(10, 25, 3)]];
        assert_eq!(
            of_seals(&again, &[(10, 11), (21, 21), (23, 23)]),
            [(RecordMissing, 1), (DeclaredLoss, 3)]
        );
        // As many as a host keeps, said twice: ten of each hundred numbers.
        let many: Vec<(u64, u64, u64)> = (1..=256).map(|n| (100 * n, 100 * n + 50, 10)).collect();
        let missing: Vec<(u64, u64)> = many.iter().map(|(first, ..)| (*first, first + 19)).collect();
        assert_eq!(
            of_seals(&[&many, &many, &many], &missing),
            [(RecordMissing, 2_560), (DeclaredLoss, 2_560)]
        );
    }

    #[test]
    fn two_ranges_that_the_host_joined_are_one() {
        let joined: [&[(u64, u64, u64)]; 2] = [&[(10, 12, 2), (30, 32, 2)], &[(10, 32, 4)]];
        assert_eq!(
            of_seals(&joined, &[(10, 12), (20, 21), (32, 32)]),
            [(RecordMissing, 2), (DeclaredLoss, 4)]
        );
        // One that is not named any more since it was stored, within another one that still is.
        let stored: [&[(u64, u64, u64)]; 3] = [&[(2, 3, 2)], &[(2, 3, 2), (1, 4, 2)], &[(1, 4, 2)]];
        assert_eq!(of_seals(&stored, &[(1, 4)]), [(DeclaredLoss, 4)]);
        // One that was stored, and another one later around it, are two.
        let later: [&[(u64, u64, u64)]; 3] = [&[(20, 21, 2)], &[], &[(10, 32, 2)]];
        assert_eq!(
            of_seals(&later, &[(10, 10), (20, 21), (32, 32)]),
            [(DeclaredLoss, 4)]
        );
    }
}
