use uuid::Uuid;

use super::*;
use crate::evidence::{Coverage, FindingRow, Interval, KeyRow, Link, OpenReason, Opening, Sequencer, Signer};
use crate::verify::source::RecordRow;

mod period;

const T: i64 = 1_790_000_000_000_000_000;
const STEP: i64 = 30_000_000_000;
const DAY: i64 = 86_400_000_000_000;

/// A host at work: seals every 30 s with three records in each interval.
struct Host {
    sequencer: Sequencer,
    signer: Signer,
    at: i64,
    seals: Vec<SealRow>,
    records: Vec<Record>,
}

impl Host {
    fn start(epoch: i64, opening: Opening) -> Self {
        let signer = Signer::from_seed(&[1; 32]);
        let mut sequencer =
            Sequencer::new("h", Uuid::from_u128(1), u64::try_from(epoch).unwrap()).opened(opening);
        sequencer.sign_with(signer.clone());
        let mut host = Self {
            sequencer,
            signer,
            at: epoch,
            seals: Vec::new(),
            records: Vec::new(),
        };
        host.seal(SealKind::Open);
        host
    }

    fn seal(&mut self, kind: SealKind) {
        let interval = Interval {
            start: self.at,
            end: self.at + STEP,
            mono_start_ns: u64::try_from(self.at - T).unwrap(),
            mono_end_ns: u64::try_from(self.at - T + STEP).unwrap(),
        };
        self.at += STEP;
        self.seals
            .push(self.sequencer.seal(kind, interval, Coverage::default()));
    }

    fn records(&mut self) {
        for n in 0..3 {
            let row = self.sequencer.finding(FindingRow {
                match_count: n,
                ..FindingRow::unknown()
            });
            self.records.push(row.record(&mut Vec::new()));
        }
    }

    fn work(mut self, intervals: u32) -> Self {
        for _ in 0..intervals {
            self.records();
            self.seal(SealKind::Interval);
        }
        self
    }

    fn closed(mut self) -> Self {
        self.seal(SealKind::Close);
        self
    }

    fn link(&self) -> Link {
        self.seals.last().unwrap().into()
    }

    /// The host after a start that names what it knows.
    fn then(mut self, next: Self) -> Self {
        self.at = next.at;
        self.seals.extend(next.seals);
        self.records.extend(next.records);
        self
    }

    fn check(&self) -> Findings {
        self.check_with(Vec::new(), |_| {})
    }

    fn check_with(&self, anchored: Vec<Anchored>, change: impl FnOnce(&mut Limits)) -> Findings {
        let key = KeyRow::first("h", ROLE_HOST, &self.signer, 1);
        let keys = KeyBook::new([(key, i64::MAX)]);
        let mut limits = Limits {
            until: self.at,
            stale_after: 300_000_000_000,
            keep_records: 400 * DAY,
            keep_seals: 1130 * DAY,
            now: self.at,
            period: Period::default(),
        };
        change(&mut limits);
        let mut check = HostCheck::new("h", &keys, anchored, limits);
        let mut seals = self.seals.clone();
        seals.sort_by_key(|s| (s.chain_epoch, s.seal_seq, s.seal_hash));
        check.page(&seals, self.records.clone(), true);
        check.finish(None);
        check.findings
    }
}

fn good() -> Host {
    Host::start(T, Opening::default()).work(4)
}

fn after(previous: &Host, reason: OpenReason) -> Host {
    let opening = Opening {
        reason,
        previous: Some(previous.link()),
    };
    Host::start(previous.at + STEP, opening)
}

/// The findings without remarks, as words with counts.
fn words(findings: &Findings) -> Vec<(&'static str, u64)> {
    let worse = findings
        .counts()
        .filter(|(kind, _)| kind.level() != super::super::Level::Remark);
    worse.map(|(kind, count)| (kind.word(), count)).collect()
}

#[test]
fn a_chain_that_is_whole_gives_only_remarks() {
    let host = good().closed();
    let next = after(&host, OpenReason::Restart).work(2);
    let findings = host.then(next).check();
    assert_eq!(words(&findings), []);
    assert_eq!(findings.count(Kind::KeyFirstUse), 1);
    assert_eq!(findings.count(Kind::NoAnchor), 1);
}

#[test]
fn rows_delivered_twice_or_in_another_order_are_no_finding() {
    let mut host = good();
    host.records.extend(host.records.clone());
    host.records.reverse();
    host.seals.extend(host.seals.clone());
    assert_eq!(words(&host.check()), []);
}

#[test]
fn what_is_missing_is_found() {
    let mut host = good();
    host.records.remove(4);
    assert_eq!(
        words(&host.check()),
        [("record_missing", 1), ("digest_unchecked", 2)]
    );
    let mut host = good();
    host.seals.drain(1..3);
    assert_eq!(
        words(&host.check()),
        [("record_unsealed", 6), ("seal_missing", 2)]
    );
    let mut host = good();
    host.seals.drain(..2);
    assert_eq!(
        words(&host.check()),
        [("record_unsealed", 3), ("seal_missing", 2)]
    );
    let host = good();
    let late = host.check_with(Vec::new(), |limits| {
        limits.until += 301_000_000_000;
        limits.now = limits.until;
    });
    assert_eq!(words(&late), [("stale", 1)]);
}

#[test]
fn a_tail_that_was_cut_off_is_found_at_the_next_start() {
    let mut host = good();
    let next = after(&host, OpenReason::Unclean).work(1);
    host.seals.truncate(2);
    host.records.truncate(3);
    let findings = host.then(next).check();
    assert_eq!(words(&findings), [("seal_missing", 3)]);
}

#[test]
fn what_was_changed_is_found() {
    let mut host = good();
    host.records[0].is_right = Some(false);
    assert_eq!(words(&host.check()), [("record_changed", 1)]);
    let mut host = good();
    host.records[0].hash = [9; 32];
    assert_eq!(words(&host.check()), [("digest_mismatch", 1)]);
    let mut host = good();
    host.seals[1].ai_flows += 1;
    assert_eq!(words(&host.check()), [("seal_changed", 1)]);
    let mut host = good();
    host.seals[1].ai_flows += 1;
    host.seals[1].seal_hash = host.seals[1].digest();
    assert_eq!(words(&host.check()), [("seal_signature", 1), ("link_broken", 1)]);
    host.seals[1].signature = UNSIGNED;
    assert_eq!(words(&host.check()), [("seal_unsigned", 1), ("link_broken", 1)]);
}

#[test]
fn twins_and_forks_are_found_and_the_right_one_is_taken() {
    let mut host = good();
    let mut twin = host.records[5];
    twin.hash = [7; 32];
    host.records.push(twin);
    let mut fork = host.seals[2].clone();
    fork.n_records = 0;
    fork.seal_hash = fork.digest();
    host.seals.push(fork);
    assert_eq!(words(&host.check()), [("record_twin", 1), ("seal_fork", 2)]);
}

#[test]
fn records_without_a_seal_are_judged_by_where_they_are() {
    let mut host = good();
    host.records();
    let findings = host.check();
    assert_eq!((words(&findings), findings.count(Kind::Pending)), (vec![], 3));
    let next = after(&host, OpenReason::Unclean);
    let findings = host.then(next).check();
    assert_eq!(
        (words(&findings), findings.count(Kind::UnsealedAfterKill)),
        (vec![], 3)
    );
    // Nobody delivers after the closing seal.
    let mut host = good().closed();
    host.records();
    assert_eq!(words(&host.check()), [("record_unsealed", 3)]);
}

#[test]
fn starts_that_do_not_hang_together_are_found() {
    let first = good().closed();
    let fresh = Host::start(first.at + STEP, Opening::default());
    assert_eq!(words(&first.then(fresh).check()), [("epoch_unlinked", 1)]);
    let first = good().closed();
    let lost = Opening {
        reason: OpenReason::StateLost,
        previous: None,
    };
    let next = Host::start(first.at + STEP, lost);
    assert_eq!(words(&first.then(next).check()), [("state_lost", 1)]);
    // A copied state: two starts name one seal, and are at work at the same time.
    let first = good();
    let one = after(&first, OpenReason::Restart).work(3);
    let opening = Opening {
        reason: OpenReason::Restart,
        previous: Some(first.link()),
    };
    let other = Host::start(first.at + 2 * STEP, opening).work(1);
    let until = one.at;
    let mut all = first.then(one).then(other);
    all.at = until;
    assert_eq!(words(&all.check()), [("epoch_unlinked", 1), ("two_agents", 1)]);
}

#[test]
fn anchors_show_what_the_chain_itself_cannot() {
    let host = good();
    let held = |seal: &SealRow| Anchored {
        chain_epoch: seal.chain_epoch,
        seal_seq: seal.seal_seq,
        seal_hash: seal.seal_hash,
        anchor_seq: 1,
        anchored_at: seal.interval_end,
    };
    let all: Vec<Anchored> = host.seals.iter().map(held).collect();
    assert_eq!(words(&host.check_with(all.clone(), |_| {})), []);
    let mut rewritten = all.clone();
    rewritten[1].seal_hash[0] ^= 1;
    assert_eq!(
        words(&host.check_with(rewritten, |_| {})),
        [("anchored_seal_changed", 1)]
    );
    let mut cut = good();
    cut.seals.truncate(3);
    cut.records.truncate(6);
    assert_eq!(
        words(&cut.check_with(all, |_| {})),
        [("anchored_seal_missing", 2)]
    );
}

#[test]
fn unknown_keys_and_new_ones_are_found() {
    let mut host = good();
    let stranger = Signer::from_seed(&[2; 32]);
    host.sequencer.sign_with(stranger.clone());
    host.seal(SealKind::Interval);
    assert_eq!(words(&host.check()), [("key_unknown", 1), ("key_uncertified", 1)]);
}

#[test]
fn old_records_may_be_gone_old_seals_too_and_a_period_is_no_gap() {
    let mut host = good();
    host.records.clear();
    let findings = host.check_with(Vec::new(), |limits| {
        limits.keep_records = 0;
    });
    // The last seal ends at `until`, so it is not older than 0 days.
    assert_eq!(findings.count(Kind::RetentionExpired), 9);
    let mut host = good();
    host.seals.drain(..2);
    host.records.drain(..3);
    let findings = host.check_with(Vec::new(), |limits| limits.keep_seals = 0);
    assert_eq!(words(&findings), []);
    let findings = host.check_with(Vec::new(), |limits| limits.period.from = Some(T));
    assert_eq!(words(&findings), []);
}

#[test]
fn numbers_at_their_limits_do_not_break_the_check() {
    let mut host = good();
    for seal in &mut host.seals {
        seal.seal_seq = u64::MAX;
        seal.first_rec_seq = u64::MAX;
        seal.n_records = u32::MAX;
        seal.interval_end = i64::MAX;
        seal.interval_start = i64::MIN;
        seal.mono_end_ns = u64::MAX;
    }
    host.records[0].rec_seq = u64::MAX;
    host.records[1].seal_seq = u64::MAX;
    assert!(!words(&host.check()).is_empty());
}

#[test]
fn what_the_host_gave_up_and_says_so_is_no_removal() {
    let mut host = good();
    let epoch = host.seals[0].chain_epoch;
    // Records 2 to 4 and the seal 3 were given up; the fifth seal says so.
    let dropped = SealRow {
        dropped_reason: vec!["over_budget".into(), "rejected".into()],
        dropped_chain_epoch: vec![epoch; 2],
        dropped_first_rec_seq: vec![2, 0],
        dropped_last_rec_seq: vec![4, 0],
        dropped_records: vec![3, 0],
        dropped_first_seal_seq: vec![0, 3],
        dropped_last_seal_seq: vec![0, 3],
        dropped_seals: vec![0, 1],
        ..host.seals[4].clone()
    };
    host.seals[4] = dropped;
    host.seals[4].seal_hash = host.seals[4].digest();
    host.seals[4].signature = host.signer.sign(&host.seals[4].seal_hash);
    host.records.drain(1..4);
    host.seals.remove(2);
    let findings = host.check();
    assert_eq!(words(&findings), [("digest_unchecked", 1)], "the first record");
    // Two records, one seal, and the two records of that seal that are there without it.
    assert_eq!(findings.count(Kind::DeclaredLoss), 2 + 1 + 2);
    // Whoever puts one of them in cannot have it taken for genuine.
    let genuine = host.records.clone();
    let mut forged = host.records[0];
    (forged.rec_seq, forged.hash) = (2, [6; 32]);
    host.records.push(forged);
    assert_eq!(words(&host.check()), [("digest_unchecked", 2)]);
    host.records = genuine;
    // One more than declared is a removal; and a seal that does not hold declares nothing.
    host.records.remove(0);
    assert_eq!(words(&host.check()), [("record_missing", 1)]);
    host.seals[3].signature = UNSIGNED;
    assert_eq!(
        words(&host.check()),
        [
            ("record_missing", 3),
            ("record_unsealed", 2),
            ("seal_unsigned", 1),
            ("seal_missing", 1)
        ]
    );
}

#[test]
fn connections_go_by_their_own_age_and_what_is_left_of_their_seal_is_old() {
    let mut host = good();
    let all = host.records.clone();
    // The agent began 401 days ago and its seals are 390 days old: a connection may have gone, a call not.
    let look = |host: &Host, keep: i64| {
        host.check_with(Vec::new(), |limits| {
            limits.now = T + 401 * DAY;
            limits.keep_records = keep;
        })
    };
    for seal in &mut host.seals {
        seal.interval_start += 11 * DAY;
        seal.interval_end += 11 * DAY;
    }
    host.records.remove(4);
    let found = look(&host, 400 * DAY);
    assert_eq!(found.count(Kind::RetentionExpired), 1);
    assert_eq!(
        found.count(Kind::RecordMissing) + found.count(Kind::DigestUnchecked),
        0
    );
    // One of today has no place in such a seal.
    host.records.push(Record {
        hash: [5; 32],
        ts: T + 401 * DAY,
        ..all[4]
    });
    host.records.remove(3);
    assert_eq!(look(&host, 400 * DAY).count(Kind::DigestUnchecked), 1);
    // An agent that began later saw no connection that is so old, and where little is kept, little is excused.
    let found = look(&host, 402 * DAY);
    assert_eq!(
        (
            found.count(Kind::RecordMissing),
            found.count(Kind::RetentionExpired)
        ),
        (1, 0)
    );
    let lost = |at: i64, days: i64| {
        let mut host = good();
        host.records.clear();
        for seal in &mut host.seals {
            seal.interval_end += at * DAY;
        }
        let found = host.check_with(Vec::new(), |limits| {
            limits.now = T + days * DAY;
            limits.keep_records = 10 * DAY;
        });
        found.count(Kind::RetentionExpired)
    };
    assert_eq!(
        [lost(0, 4), lost(0, 11), lost(6, 12), lost(8, 12)],
        [0, 12, 12, 0]
    );
}
