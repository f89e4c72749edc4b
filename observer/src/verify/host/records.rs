//! Whether a seal covers the records that are there, and no others are there.

use sha2::{Digest, Sha256};

use super::{HostCheck, Last, Record};
use crate::{
    evidence::{SealKind, SealRow},
    verify::finding::{Kind, Place},
};

/// Sets of records with one number twice are tried out up to so many ways.
const MAX_WAYS: usize = 64;

impl HostCheck<'_> {
    /// Checks the records of a seal: number and digest.
    pub(super) fn covered(&mut self, seal: &SealRow, records: &[Record]) {
        let numbers: Vec<&[Record]> = records.chunk_by(|a, b| a.rec_seq == b.rec_seq).collect();
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        let missing = u64::from(seal.n_records).saturating_sub(numbers.len() as u64);
        if missing > 0 && self.limits.may_lack_records(seal) {
            self.findings.add(Kind::RetentionExpired, place, missing, "");
        } else if missing > 0 {
            for run in holes(seal, &numbers) {
                self.losses
                    .records_missing(seal.chain_epoch, run, place, &mut self.findings);
            }
        }
        self.compare(seal, &numbers, |_| true);
    }

    /// Compares records with the seal that counts them. What is found is said of those that are looked at.
    pub(super) fn compare(
        &mut self,
        seal: &SealRow,
        numbers: &[&[Record]],
        is_looked_at: impl Fn(&Record) -> bool,
    ) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        for twin in numbers.iter().filter(|group| group.len() > 1) {
            if twin.iter().any(&is_looked_at) {
                let place = place.with_records(twin[0].rec_seq, twin[0].rec_seq);
                let detail = format!("{} different records of this number", twin.len());
                self.findings.add(Kind::RecordTwin, place, 1, detail);
            }
        }
        if numbers.len() as u64 >= u64::from(seal.n_records) {
            if !digest_fits(numbers, &seal.records_digest) {
                self.findings.add(Kind::DigestMismatch, place, 1, "");
            }
            return;
        }
        // Those that are nearly as old as the ones that went by age go next. Younger ones have no place in such a seal.
        let is_young = |record: &Record| {
            !self.limits.may_lack_records(seal) || record.ts >= self.limits.oldest_sure_record()
        };
        let unchecked = numbers.iter().filter(|group| {
            group
                .iter()
                .any(|record| is_looked_at(record) && is_young(record))
        });
        let count = unchecked.count() as u64;
        if count > 0 {
            self.findings.add(Kind::DigestUnchecked, place, count, "");
        }
    }

    /// Records that no seal covers, before `next` where there is one.
    pub(super) fn uncovered(&mut self, records: &[Record], next: Option<&SealRow>) {
        let last = self.last.take();
        self.uncovered_between(records, last.as_ref(), next);
        self.last = last;
    }

    /// Records that no seal covers, behind `last` and before `next` where these are there.
    pub(super) fn uncovered_between(
        &mut self,
        records: &[Record],
        last: Option<&Last>,
        next: Option<&SealRow>,
    ) {
        let same = |a: &Record, b: &Record| (a.chain_epoch, a.seal_seq) == (b.chain_epoch, b.seal_seq);
        for group in records.chunk_by(same) {
            let (first, end) = (group[0], group[group.len() - 1]);
            let place =
                Place::seal(first.chain_epoch, first.seal_seq).with_records(first.rec_seq, end.rec_seq);
            let (kind, count) = (self.kind_of_uncovered(&first, last, next), group.len() as u64);
            // Their seal may be one that the host gave up.
            if kind == Kind::RecordUnsealed {
                self.losses
                    .seals_missing(kind, place, count, "", &mut self.findings);
            } else {
                self.findings.add(kind, place, count, "");
            }
        }
    }

    fn kind_of_uncovered(&self, record: &Record, last: Option<&Last>, next: Option<&SealRow>) -> Kind {
        let Some(last) = last else {
            return Kind::RecordUnsealed;
        };
        let follows = record.chain_epoch == last.row.chain_epoch
            && record.seal_seq == last.row.seal_seq.saturating_add(1)
            && record.rec_seq >= last.next_rec_seq
            && last.row.seal_kind != SealKind::Close;
        let killed = next.is_some_and(|seal| {
            seal.open_reason.starts_with("unclean")
                && (seal.prev_chain_epoch, seal.prev_seal_seq) == (last.row.chain_epoch, last.row.seal_seq)
        });
        let stale_at = last.row.interval_end.saturating_add(self.limits.stale_after);
        match next {
            Some(_) if follows && killed => Kind::UnsealedAfterKill,
            None if follows && stale_at >= self.limits.now => Kind::Pending,
            _ => Kind::RecordUnsealed,
        }
    }
}

/// The runs of records that are not there.
fn holes(seal: &SealRow, numbers: &[&[Record]]) -> Vec<(u64, u64)> {
    let end = seal.first_rec_seq.saturating_add(seal.n_records.into());
    let mut expected = seal.first_rec_seq;
    let mut runs = Vec::new();
    for next in numbers.iter().map(|group| group[0].rec_seq).chain([end]) {
        if next > expected {
            runs.push((expected, next - 1));
        }
        expected = next.saturating_add(1);
    }
    runs
}

/// Whether one record for each number gives the digest. Where numbers are there twice, some choices are tried.
fn digest_fits(numbers: &[&[Record]], digest: &[u8; 32]) -> bool {
    let ways = numbers
        .iter()
        .try_fold(1usize, |ways, g| ways.checked_mul(g.len()))
        .unwrap_or(usize::MAX)
        .min(MAX_WAYS);
    (0..ways).any(|way| {
        let mut way = way;
        let mut hash = Sha256::new();
        for group in numbers {
            hash.update(hex::encode(group[way % group.len()].hash));
            way /= group.len();
        }
        <[u8; 32]>::from(hash.finalize()) == *digest
    })
}
