//! The chain of one host: seals and records go in, in their order, findings come out. Pure.

mod around;
mod order;
mod outside;
mod records;

use std::collections::BTreeSet;

use super::anchors::Anchored;
use super::finding::{Findings, Kind, Place};
use super::keybook::KeyBook;
use super::loss::Losses;
use super::source::{Key, Period};
use crate::evidence::{SealKind, SealRow, keys::ROLE_HOST, sign::UNSIGNED, verify_signature};
pub use outside::Named;

/// Months go at once, and a connection is as old as its beginning: what is so much younger than what is kept may be gone.
const AGE_SLACK: i64 = 32 * 86_400_000_000_000;

/// Limits that depend on where and when the verification runs. Times are ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// When rows were read, wall clock: their age counts from here.
    pub now: i64,
    /// Until when chains should reach, wall clock.
    pub until: i64,
    /// A chain without a closing seal may end so long before `until`.
    pub stale_after: i64,
    /// Records are kept so long.
    pub keep_records: i64,
    /// Seals are kept so long.
    pub keep_seals: i64,
    /// What is looked at. Where it has a beginning, seals before that are not looked at; where it has an end, chains go on behind it.
    pub period: Period,
}

impl Limits {
    /// Whether records of a seal may be gone by their age. Those of connections are as old as the beginning of the connection,
    /// which the agent that made the seal saw: so they are not older than its start.
    fn may_lack_records(&self, seal: &SealRow) -> bool {
        let oldest = self.now.saturating_sub(self.keep_records);
        let start = i64::try_from(seal.chain_epoch).unwrap_or(i64::MAX);
        let is_near = start < oldest && seal.interval_end < self.oldest_sure_record();
        seal.interval_end < oldest || is_near
    }

    /// Younger records are there, whatever their seal. Where little is kept, most of it must not be excused.
    fn oldest_sure_record(&self) -> i64 {
        let oldest = self.now.saturating_sub(self.keep_records);
        oldest.saturating_add(AGE_SLACK.min(self.keep_records / 2))
    }

    /// Younger seals are there.
    fn oldest_sure_seal(&self) -> i64 {
        let oldest = self.now.saturating_sub(self.keep_seals);
        oldest.saturating_add(AGE_SLACK)
    }
}

/// A record, as far as a chain needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Epoch.
    pub chain_epoch: u64,
    /// Number.
    pub rec_seq: u64,
    /// Hash stored with it.
    pub hash: [u8; 32],
    /// Seal that it names.
    pub seal_seq: u64,
    /// Its fields give that hash; `None`: a form that this program does not know.
    pub is_right: Option<bool>,
    /// Table, as its place in the list of record tables.
    pub table: u8,
    /// Its time, ns since the Unix epoch.
    pub ts: i64,
}

/// What was counted on one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Starts of the agent.
    pub epochs: u64,
    /// Seals, second copies left out.
    pub seals: u64,
    /// Records, second copies left out.
    pub records: u64,
    /// Second copies of rows: delivered again.
    pub copies: u64,
    /// Seals that anchors hold, looked up.
    pub anchored: u64,
}

/// The seal before.
#[derive(Debug, Clone)]
struct Last {
    row: SealRow,
    next_rec_seq: u64,
}

impl From<SealRow> for Last {
    fn from(row: SealRow) -> Self {
        Self {
            next_rec_seq: row.first_rec_seq.saturating_add(row.n_records.into()),
            row,
        }
    }
}

/// Checks one host. Pages of seals and their records come in the order of the chain.
#[derive(Debug)]
pub struct HostCheck<'k> {
    host: String,
    keys: &'k KeyBook,
    limits: Limits,
    /// Keys that may sign, where the auditor pinned some.
    trusted: Option<BTreeSet<String>>,
    anchored: Vec<Anchored>,
    next_anchored: usize,
    last: Option<Last>,
    losses: Losses,
    /// Somebody says that the host should have seals here.
    is_expected: bool,
    /// The seals before and behind the period were looked for.
    looked_around: bool,
    /// All rows of the first number behind the period.
    behind: Vec<SealRow>,
    /// First and last wall time of seals, ns.
    pub span: Option<(i64, i64)>,
    /// What was counted.
    pub counts: Counts,
    /// What was found.
    pub findings: Findings,
}

impl<'k> HostCheck<'k> {
    /// A check of `host`; `anchored` is what anchors hold of it, sorted.
    pub fn new(host: &str, keys: &'k KeyBook, anchored: Vec<Anchored>, limits: Limits) -> Self {
        let mut findings = Findings::default();
        keys.report(ROLE_HOST, host, &mut findings);
        Self {
            host: host.to_owned(),
            keys,
            limits,
            trusted: keys.trusted(ROLE_HOST, host),
            anchored,
            next_anchored: 0,
            last: None,
            losses: Losses::default(),
            is_expected: true,
            looked_around: false,
            behind: Vec::new(),
            span: None,
            counts: Counts::default(),
            findings,
        }
    }

    /// Whether what came before is not looked at.
    pub fn begins_within(&self) -> bool {
        self.limits.period.from.is_some()
    }

    /// Whether what comes after is not looked at.
    pub fn ends_within(&self) -> bool {
        self.limits.period.to.is_some()
    }

    /// Takes seals, sorted by epoch, number and hash, and all records that name one of them (and, with `is_last`, later
    /// ones). Records may come in any order.
    pub fn page(&mut self, seals: &[SealRow], mut records: Vec<Record>, is_last: bool) {
        self.take_records(&mut records);
        let mut rest = records.as_slice();
        for group in seals.chunk_by(|a, b| (a.chain_epoch, a.seal_seq) == (b.chain_epoch, b.seal_seq)) {
            let Some(seal) = self.choose(group) else { continue };
            let begin = (seal.chain_epoch, seal.first_rec_seq);
            let end = (
                seal.chain_epoch,
                seal.first_rec_seq.saturating_add(seal.n_records.into()),
            );
            let before = rest.partition_point(|r| (r.chain_epoch, r.rec_seq) < begin);
            self.uncovered(&rest[..before], Some(&seal));
            rest = &rest[before..];
            let within = rest.partition_point(|r| (r.chain_epoch, r.rec_seq) < end);
            self.follows(&seal);
            self.covered(&seal, &rest[..within]);
            rest = &rest[within..];
            self.look_up_anchors(&seal);
            self.counts.seals += 1;
            let (start, _) = self.span.unwrap_or((seal.interval_start, 0));
            self.span = Some((start, seal.interval_end));
            self.last = Some(seal.into());
        }
        // Where the period ends, the seal of the next records is behind it; they name a seal that is not on this page.
        let rest_counts = is_last && !self.ends_within();
        let rest: Vec<Record> = rest
            .iter()
            .filter(|r| rest_counts || self.is_behind(r))
            .copied()
            .collect();
        self.uncovered(&rest, None);
    }

    /// Whether a record names a seal that was seen already.
    fn is_behind(&self, record: &Record) -> bool {
        self.last
            .as_ref()
            .is_some_and(|l| (record.chain_epoch, record.seal_seq) <= (l.row.chain_epoch, l.row.seal_seq))
    }

    /// Sorts, judges each by itself, and drops second copies.
    fn take_records(&mut self, records: &mut Vec<Record>) {
        records.sort_unstable();
        records.iter().for_each(|record| self.judge_record(record));
        let all = records.len();
        records.dedup_by(|a, b| (a.chain_epoch, a.rec_seq, a.hash) == (b.chain_epoch, b.rec_seq, b.hash));
        self.counts.copies += (all - records.len()) as u64;
        self.counts.records += records.len() as u64;
    }

    /// Whether a record is right by itself.
    fn judge_record(&mut self, record: &Record) {
        let place =
            Place::seal(record.chain_epoch, record.seal_seq).with_records(record.rec_seq, record.rec_seq);
        let table = super::source::TABLES[usize::from(record.table)];
        match record.is_right {
            Some(true) => {}
            Some(false) => self.findings.add(Kind::RecordChanged, place, 1, table),
            None => self.findings.add(Kind::FormUnknown, place, 1, table),
        }
    }

    /// Takes so many records more that were read and not kept: more than any seals count.
    pub fn too_many(&mut self, records: u64) {
        if records > 0 {
            let detail = "many more records than the seals count: these were not looked at";
            self.findings
                .add(Kind::RecordUnsealed, Place::default(), records, detail);
        }
    }

    /// The seal of this number. Of several different ones, the one that holds by itself and continues the chain.
    fn choose(&mut self, group: &[SealRow]) -> Option<SealRow> {
        let mut different: Vec<&SealRow> = group.iter().collect();
        different.dedup_by(|a, b| a == b);
        self.counts.copies += (group.len() - different.len()) as u64;
        if different.len() > 1 {
            let place = Place::seal(different[0].chain_epoch, different[0].seal_seq);
            self.findings.add(
                Kind::SealFork,
                place,
                different.len() as u64,
                format!("{} seals of this number", different.len()),
            );
        }
        let linked = |seal: &SealRow| {
            self.last
                .as_ref()
                .is_some_and(|l| l.row.seal_hash == seal.prev_seal_hash)
        };
        // What is wrong with the others is that they are there.
        let (best, wrong) = different
            .into_iter()
            .map(|seal| (seal, self.judge(seal)))
            .max_by_key(|(seal, wrong)| (wrong.is_empty(), linked(seal)))?;
        if wrong.is_empty() {
            self.losses.declare(best);
        }
        for (kind, detail) in wrong {
            self.findings
                .add(kind, Place::seal(best.chain_epoch, best.seal_seq), 1, detail);
        }
        Some(best.clone())
    }

    /// What is wrong with a seal by itself.
    fn judge(&self, seal: &SealRow) -> Vec<(Kind, String)> {
        if !seal.is_known_form() {
            return vec![(Kind::FormUnknown, format!("form {}", seal.canon_v))];
        }
        let mut wrong = Vec::new();
        if seal.digest() != seal.seal_hash {
            wrong.push((Kind::SealChanged, String::new()));
        }
        if seal.signature == UNSIGNED || seal.key_id.is_empty() {
            wrong.push((Kind::SealUnsigned, format!("form {}", seal.canon_v)));
            return wrong;
        }
        let key = format!("key {}", seal.key_id);
        match self.keys.public(ROLE_HOST, &self.host, &seal.key_id) {
            None => wrong.push((Kind::KeyUnknown, key.clone())),
            Some(public) if !verify_signature(public, &seal.seal_hash, &seal.signature) => {
                wrong.push((Kind::SealSignature, key.clone()));
            }
            Some(_) => {}
        }
        let revoked = self.keys.revoked_at_ms(ROLE_HOST, &self.host, &seal.key_id);
        if revoked.is_some_and(|ms| seal.interval_end / 1_000_000 > ms) {
            wrong.push((Kind::KeyRevoked, key));
        }
        wrong
    }

    fn is_stale(&self, seal: &SealRow) -> bool {
        seal.interval_end.saturating_add(self.limits.stale_after) < self.limits.until
    }

    /// Compares a seal with what anchors hold; those in between are not there.
    fn look_up_anchors(&mut self, seal: &SealRow) {
        let at = (seal.chain_epoch, seal.seal_seq);
        while let Some(held) = self.anchored.get(self.next_anchored).copied() {
            let place = (held.chain_epoch, held.seal_seq);
            if place > at {
                return;
            }
            self.next_anchored += 1;
            if place < at {
                // Before the first seal of a period is what was sealed before it.
                let is_before = self.counts.seals == 0 && self.begins_within();
                if !is_before || self.was_anchored_within(&held) {
                    self.anchored_is_missing(&held);
                }
                continue;
            }
            self.counts.anchored += 1;
            if held.seal_hash != seal.seal_hash {
                let detail = format!("anchor {}", held.anchor_seq);
                let place = Place::seal(held.chain_epoch, held.seal_seq);
                self.findings.add(Kind::AnchoredSealChanged, place, 1, detail);
            }
        }
    }

    fn anchored_is_missing(&mut self, held: &Anchored) {
        // An epoch is named by its beginning in ns.
        let begins = i64::try_from(held.chain_epoch).unwrap_or(i64::MAX);
        if begins < self.limits.oldest_sure_seal() {
            return;
        }
        let place = Place::seal(held.chain_epoch, held.seal_seq);
        let detail = format!("anchor {}", held.anchor_seq);
        self.findings.add(Kind::AnchoredSealMissing, place, 1, detail);
    }

    /// Ends the check: what is still open is judged. `gone_at` is when the host left the inventory, where it did.
    pub fn finish(&mut self, gone_at: Option<i64>) {
        self.end_anchors();
        let goes_on = self.goes_on();
        self.losses.settle(&mut self.findings);
        if self.counts.anchored == 0 && self.counts.seals > 0 {
            self.findings.add(Kind::NoAnchor, Place::default(), 1, "");
        }
        let Some(last) = self.last.as_ref().filter(|_| self.counts.seals > 0) else {
            if self.is_expected || (self.last.is_none() && self.behind.is_empty()) {
                self.findings.add(Kind::HostMissing, Place::default(), 1, "");
            }
            return;
        };
        let gone =
            gone_at.is_some_and(|at| at <= last.row.interval_end.saturating_add(self.limits.stale_after));
        if last.row.seal_kind != SealKind::Close && self.is_stale(&last.row) && !gone && !goes_on {
            let place = Place::seal(last.row.chain_epoch, last.row.seal_seq);
            let ago = self.limits.until.saturating_sub(last.row.interval_end) / 1_000_000_000;
            self.findings.add(
                Kind::Stale,
                place,
                1,
                format!("the last seal there ends {ago} s before the end of what was looked at"),
            );
        }
    }
}

/// The place of a seal.
pub(super) fn key(seal: &SealRow) -> Key {
    (seal.chain_epoch, seal.seal_seq)
}

#[cfg(test)]
mod tests;
