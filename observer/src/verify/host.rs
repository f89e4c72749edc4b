//! The chain of one host: seals and records go in, in their order, findings come out. Pure.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::anchors::Anchored;
use super::finding::{Findings, Kind, Place};
use super::keybook::KeyBook;
use super::loss::Losses;
use crate::evidence::{SealKind, SealRow, keys::ROLE_HOST, sign::UNSIGNED, verify_signature};

/// Wall clock and boot clock of an interval may differ by so much.
const CLOCK_SLACK_NS: i64 = 1_000_000_000;

/// Sets of records with one number twice are tried out up to so many ways.
const MAX_WAYS: usize = 64;

/// Limits that depend on where and when the verification runs. Times are ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until when chains should reach, wall clock.
    pub until: i64,
    /// A chain without a closing seal may end so long before `until`.
    pub stale_after: i64,
    /// Records are kept so long.
    pub keep_records: i64,
    /// Seals are kept so long.
    pub keep_seals: i64,
    /// The period has a beginning: what came before it is not looked at.
    pub from_is_given: bool,
    /// The period has an end: chains go on behind it.
    pub to_is_given: bool,
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
            span: None,
            counts: Counts::default(),
            findings,
        }
    }

    /// Whether what came before is not looked at.
    pub fn begins_within(&self) -> bool {
        self.limits.from_is_given
    }

    /// Whether what comes after is not looked at.
    pub fn ends_within(&self) -> bool {
        self.limits.to_is_given
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
            self.last = Some(Last {
                next_rec_seq: end.1,
                row: seal,
            });
        }
        // Where the period ends, the seal of the next records is behind it; they name a seal that is not on this page.
        let rest_counts = is_last && !self.limits.to_is_given;
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
        for record in records.iter() {
            let place = Place::epoch(record.chain_epoch)
                .with_seals(record.seal_seq, record.seal_seq)
                .with_records(record.rec_seq, record.rec_seq);
            let table = super::source::TABLES[usize::from(record.table)];
            match record.is_right {
                Some(true) => {}
                Some(false) => self.findings.add(Kind::RecordChanged, place, 1, table),
                None => self.findings.add(Kind::FormUnknown, place, 1, table),
            }
        }
        let all = records.len();
        records.dedup_by(|a, b| (a.chain_epoch, a.rec_seq, a.hash) == (b.chain_epoch, b.rec_seq, b.hash));
        self.counts.copies += (all - records.len()) as u64;
        self.counts.records += records.len() as u64;
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

    /// Whether a seal continues what was there.
    fn follows(&mut self, seal: &SealRow) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        let since = self.last.as_ref().map(|last| &last.row);
        if clock_was_set(since, seal) {
            self.findings.add(Kind::ClockJump, place, 1, "");
        }
        let before = self.last.take();
        if before.as_ref().is_none_or(|last| last.row.key_id != seal.key_id) {
            self.is_pinned(seal);
        }
        let Some(last) = before else {
            self.counts.epochs = 1;
            self.first_of_all(seal);
            return;
        };
        if last.row.key_id != seal.key_id
            && !self
                .keys
                .leads(ROLE_HOST, &self.host, &last.row.key_id, &seal.key_id)
        {
            let detail = format!("key {} was not certified by {}", seal.key_id, last.row.key_id);
            self.findings.add(Kind::KeyUncertified, place, 1, detail);
        }
        if last.row.chain_epoch == seal.chain_epoch {
            self.next_in_epoch(seal, &last);
        } else {
            self.counts.epochs += 1;
            self.next_epoch(seal, &last);
        }
    }

    /// Whether the key of a seal is one that the auditor trusts; asked where the key changes.
    fn is_pinned(&mut self, seal: &SealRow) {
        if self
            .trusted
            .as_ref()
            .is_some_and(|keys| !keys.contains(&seal.key_id))
        {
            let place = Place::seal(seal.chain_epoch, seal.seal_seq);
            let detail = format!("key {} signs from here on", seal.key_id);
            self.findings.add(Kind::KeyNotPinned, place, 1, detail);
        }
    }

    /// The first seal that there is: the beginning of the chain, of the period, or of what is still kept.
    fn first_of_all(&mut self, seal: &SealRow) {
        if self.limits.from_is_given {
            return;
        }
        let place = Place::epoch(seal.chain_epoch);
        if seal.open_reason == "state_lost" {
            self.findings.add(Kind::StateLost, place, 1, "");
            return;
        }
        let is_beginning = seal.seal_seq == 1 && seal.prev_seal_hash == [0; 32];
        // A whole month goes at once.
        let oldest = self
            .limits
            .until
            .saturating_sub(self.limits.keep_seals)
            .saturating_add(32 * 86_400_000_000_000);
        if is_beginning || seal.interval_start < oldest {
            return;
        }
        if seal.seal_seq > 1 {
            let missing = place.with_seals(1, seal.seal_seq - 1);
            self.findings.add(
                Kind::SealMissing,
                missing,
                seal.seal_seq - 1,
                "at the beginning of the chain",
            );
        } else {
            let named = Place::seal(seal.prev_chain_epoch, seal.prev_seal_seq);
            self.findings.add(
                Kind::SealMissing,
                named,
                1,
                "the first start that is there names it",
            );
        }
    }

    fn next_in_epoch(&mut self, seal: &SealRow, last: &Last) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        let expected = last.row.seal_seq.saturating_add(1);
        if seal.seal_seq > expected {
            let (first, until) = (expected, seal.seal_seq - 1);
            let missing = Place::epoch(seal.chain_epoch).with_seals(first, until);
            let count = until - first + 1;
            self.losses
                .seals_missing(Kind::SealMissing, missing, count, "", &mut self.findings);
            return;
        }
        if seal.prev_seal_hash != last.row.seal_hash {
            self.findings.add(Kind::LinkBroken, place, 1, "");
        }
        if seal.first_rec_seq != last.next_rec_seq {
            let place = place.with_records(last.next_rec_seq, seal.first_rec_seq);
            self.findings.add(Kind::NumbersBroken, place, 1, "");
        }
    }

    fn next_epoch(&mut self, seal: &SealRow, last: &Last) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        if seal.seal_seq != 1 {
            let missing = Place::epoch(seal.chain_epoch).with_seals(1, seal.seal_seq - 1);
            self.losses.seals_missing(
                Kind::SealMissing,
                missing,
                seal.seal_seq - 1,
                "at the beginning of an epoch",
                &mut self.findings,
            );
            return;
        }
        let went_back = seal.notes.iter().any(|note| note == "clock_went_back");
        if seal.interval_start.saturating_add(CLOCK_SLACK_NS) < last.row.interval_end && !went_back {
            let boots = if seal.boot_id == last.row.boot_id {
                "the same boot"
            } else {
                "different boots"
            };
            let detail = format!("begins before epoch {} ends; {boots}", last.row.chain_epoch);
            self.findings.add(Kind::TwoAgents, place, 1, detail);
        }
        if seal.open_reason == "state_lost" {
            self.findings.add(Kind::StateLost, place, 1, "");
            return;
        }
        let named = (seal.prev_chain_epoch, seal.prev_seal_seq);
        let there = (last.row.chain_epoch, last.row.seal_seq);
        if seal.seal_kind != SealKind::Open || named.0 == 0 {
            self.findings.add(
                Kind::EpochUnlinked,
                place,
                1,
                format!(
                    "there is a chain before, up to epoch {} seal {}",
                    there.0, there.1
                ),
            );
        } else if named > there {
            let (first, count) = if named.0 == there.0 {
                (there.1.saturating_add(1), named.1 - there.1)
            } else {
                (named.1, 1)
            };
            let missing = Place::epoch(named.0).with_seals(first, named.1);
            self.losses.seals_missing(
                Kind::SealMissing,
                missing,
                count,
                "the next start names the last of them",
                &mut self.findings,
            );
        } else if named < there {
            let detail = format!(
                "names epoch {} seal {}, but the chain went on after it",
                named.0, named.1
            );
            self.findings.add(Kind::EpochUnlinked, place, 1, detail);
        } else if seal.prev_seal_hash != last.row.seal_hash {
            self.findings
                .add(Kind::LinkBroken, place, 1, "between two starts");
        }
    }

    /// Checks the records of a seal: number and digest.
    fn covered(&mut self, seal: &SealRow, records: &[Record]) {
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
    fn uncovered(&mut self, records: &[Record], next: Option<&SealRow>) {
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
                self.anchored_is_missing(&held);
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
        let expired = begins < self.limits.until.saturating_sub(self.limits.keep_seals);
        let outside = self.last.is_none() && self.limits.from_is_given;
        if expired || outside {
            return;
        }
        let place = Place::seal(held.chain_epoch, held.seal_seq);
        let detail = format!("anchor {}", held.anchor_seq);
        self.findings.add(Kind::AnchoredSealMissing, place, 1, detail);
    }

    /// Ends the check: what is still open is judged. `gone_at` is when the host left the inventory, where it did.
    pub fn finish(&mut self, gone_at: Option<i64>) {
        while let Some(held) = self.anchored.get(self.next_anchored).copied() {
            self.next_anchored += 1;
            if !self.limits.to_is_given {
                self.anchored_is_missing(&held);
            }
        }
        self.losses.settle(&mut self.findings);
        if self.counts.anchored == 0 && self.counts.seals > 0 {
            self.findings.add(Kind::NoAnchor, Place::default(), 1, "");
        }
        let Some(last) = &self.last else {
            self.findings.add(Kind::HostMissing, Place::default(), 1, "");
            return;
        };
        let gone =
            gone_at.is_some_and(|at| at <= last.row.interval_end.saturating_add(self.limits.stale_after));
        if last.row.seal_kind != SealKind::Close && self.is_stale(&last.row) && !gone {
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

/// Whether wall clock and boot clock differ in a seal's interval, or between it and the seal before in the same epoch.
fn clock_was_set(before: Option<&SealRow>, seal: &SealRow) -> bool {
    let before =
        before.filter(|last| last.chain_epoch == seal.chain_epoch && last.seal_seq + 1 == seal.seal_seq);
    let within = (
        seal.mono_start_ns,
        seal.mono_end_ns,
        seal.interval_start,
        seal.interval_end,
    );
    let between = before.map(|last| {
        (
            last.mono_end_ns,
            seal.mono_start_ns,
            last.interval_end,
            seal.interval_start,
        )
    });
    [Some(within), between]
        .into_iter()
        .flatten()
        .any(|(boot, boot_end, wall, wall_end)| {
            let boot = i128::from(boot_end) - i128::from(boot);
            let wall = i128::from(wall_end) - i128::from(wall);
            (wall - boot).abs() > i128::from(CLOCK_SLACK_NS)
        })
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
