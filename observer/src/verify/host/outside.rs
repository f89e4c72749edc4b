//! Records of a period whose seal is outside of it: calls at an end of the period, connections that were closed later. Each such seal is
//! checked by itself, with all records that name it.

use super::{HostCheck, Key, Last, Record};
use crate::{
    evidence::SealRow,
    verify::finding::{Kind, Place},
};

/// A seal outside of the period that records of the period name.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Its place.
    pub key: Key,
    /// All rows of its number.
    pub seals: Vec<SealRow>,
    /// Where it is not there: all rows of the number before.
    pub before: Vec<SealRow>,
    /// Where it is not there: all rows of the number behind.
    pub behind: Vec<SealRow>,
}

impl HostCheck<'_> {
    /// Checks the records of the period that name a seal outside of it. `records` are all that name it.
    pub fn outside(&mut self, named: &Named, mut records: Vec<Record>) {
        let period = self.limits.period;
        let is_ours = |record: &Record| period.holds(record.ts);
        // Of copies with one hash, one of the period stays.
        records.sort_unstable_by_key(|r| (r.chain_epoch, r.rec_seq, r.hash, !is_ours(r)));
        for record in records.iter().filter(|record| is_ours(record)) {
            self.judge_record(record);
        }
        records.dedup_by(|a, b| (a.chain_epoch, a.rec_seq, a.hash) == (b.chain_epoch, b.rec_seq, b.hash));
        let judged = named.seals.iter().map(|seal| (seal, self.judge(seal)));
        let best = judged.max_by_key(|(_, wrong)| wrong.is_empty());
        match best {
            None => {
                records.retain(is_ours);
                self.without_seal(named, &records);
            }
            Some((seal, wrong)) if wrong.is_empty() => {
                let begin = seal.first_rec_seq;
                let end = begin.saturating_add(seal.n_records.into());
                let covered = |record: &Record| (begin..end).contains(&record.rec_seq);
                let (covered, others): (Vec<Record>, Vec<Record>) = records.into_iter().partition(covered);
                let numbers: Vec<&[Record]> = covered.chunk_by(|a, b| a.rec_seq == b.rec_seq).collect();
                self.compare(seal, &numbers, is_ours);
                let others: Vec<Record> = others.into_iter().filter(is_ours).collect();
                self.beyond(named.key, &others);
            }
            Some((_, wrong)) => {
                let place = Place::seal(named.key.0, named.key.1);
                for (kind, detail) in wrong {
                    let detail = format!("records of the period name it; {detail}");
                    self.findings.add(kind, place, 1, detail);
                }
            }
        }
    }

    /// Records that name a seal which counts others.
    fn beyond(&mut self, (epoch, seq): Key, records: &[Record]) {
        if let (Some(first), Some(last)) = (records.first(), records.last()) {
            let place = Place::seal(epoch, seq).with_records(first.rec_seq, last.rec_seq);
            let count = records.len() as u64;
            self.findings.add(Kind::RecordUnsealed, place, count, "");
        }
    }

    /// Records of the period whose seal is not there. What says that this is no wonder must hold by itself.
    fn without_seal(&mut self, named: &Named, records: &[Record]) {
        let sound = |rows: &[SealRow]| rows.iter().find(|row| self.judge(row).is_empty()).cloned();
        let (before, behind) = (sound(&named.before).map(Last::from), sound(&named.behind));
        let before = before.filter(|_| behind.is_some() || named.behind.is_empty());
        self.uncovered_between(records, before.as_ref(), behind.as_ref());
    }
}
