//! Whether a seal covers the records that are there, and no others are there.

use sha2::{Digest, Sha256};

use super::{HostCheck, Record};
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
        let twins: Vec<&[Record]> = numbers.iter().copied().filter(|g| g.len() > 1).collect();
        let missing = u64::from(seal.n_records) - numbers.len() as u64;
        let expired = seal.interval_end < self.limits.until.saturating_sub(self.limits.keep_records);
        if missing > 0 && expired {
            self.findings.add(Kind::RetentionExpired, place, missing, "");
        } else if missing > 0 {
            for run in holes(seal, &numbers) {
                self.losses
                    .records_missing(seal.chain_epoch, run, place, &mut self.findings);
            }
        }
        for twin in &twins {
            let place = place.with_records(twin[0].rec_seq, twin[0].rec_seq);
            let detail = format!("{} different records of this number", twin.len());
            self.findings.add(Kind::RecordTwin, place, 1, detail);
        }
        if missing == 0 && !digest_fits(&numbers, &seal.records_digest) {
            self.findings.add(Kind::DigestMismatch, place, 1, "");
        }
    }

    /// Records that no seal covers, before `next` where there is one.
    pub(super) fn uncovered(&mut self, records: &[Record], next: Option<&SealRow>) {
        let same = |a: &Record, b: &Record| (a.chain_epoch, a.seal_seq) == (b.chain_epoch, b.seal_seq);
        for group in records.chunk_by(same) {
            let (first, last) = (group[0], group[group.len() - 1]);
            let place =
                Place::seal(first.chain_epoch, first.seal_seq).with_records(first.rec_seq, last.rec_seq);
            let (kind, count) = (self.kind_of_uncovered(&first, next), group.len() as u64);
            // Their seal may be one that the host gave up.
            if kind == Kind::RecordUnsealed {
                self.losses
                    .seals_missing(kind, place, count, "", &mut self.findings);
            } else {
                self.findings.add(kind, place, count, "");
            }
        }
    }

    fn kind_of_uncovered(&self, record: &Record, next: Option<&SealRow>) -> Kind {
        let Some(last) = &self.last else {
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
        match next {
            Some(_) if follows && killed => Kind::UnsealedAfterKill,
            None if follows && !self.is_stale(&last.row) => Kind::Pending,
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
