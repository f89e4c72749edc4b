//! A part of a chain: what is next to it, and what of it is sealed outside of it.

use super::*;

/// The steps of a period, and everything that a store would have of the host.
fn of_period(host: &Host, steps: (i64, i64), anchored: Vec<Anchored>) -> (Findings, bool) {
    of_limits(host, limits(host, steps), anchored)
}

fn of_limits(host: &Host, limits: Limits, anchored: Vec<Anchored>) -> (Findings, bool) {
    let certificate = KeyRow::first("h", ROLE_HOST, &host.signer, 1);
    let keys = KeyBook::new([(certificate, i64::MAX)]);
    let mut check = HostCheck::new("h", &keys, anchored, limits);
    let period = check.limits.period;
    let mut seals = host.seals.clone();
    seals.sort_by_key(|s| (s.chain_epoch, s.seal_seq, s.seal_hash));
    let inside: Vec<SealRow> = seals
        .iter()
        .filter(|s| period.holds(s.interval_start))
        .cloned()
        .collect();
    let (first, last) = (inside.first().map(key), inside.last().map(key));
    if first.is_none() {
        check = check.unexpected();
    }
    let is_before = |seal: &&SealRow| match first {
        Some(first) => key(seal) < first,
        None => Some(seal.interval_start) < period.from,
    };
    let before = seals.iter().rfind(is_before);
    check.begin_behind(
        before.map(std::slice::from_ref).unwrap_or_default(),
        inside.first(),
    );
    let reached = last.or(check.reached());
    let behind = seals.iter().find(|seal| Some(key(seal)) > reached);
    check.end_before(behind.cloned().into_iter().collect());
    let is_read = |r: &&Record| {
        let named = Some((r.chain_epoch, r.seal_seq));
        first <= named && named <= last
    };
    let records = host.records.iter().filter(is_read).copied().collect();
    check.page(&inside, records, true);
    check.finish(None);
    let has_news = check.has_news();
    (check.findings, has_news)
}

fn limits(host: &Host, (from, to): (i64, i64)) -> Limits {
    let period = Period {
        from: Some(T + from * STEP),
        to: Some(T + to * STEP),
    };
    Limits {
        now: host.at,
        until: host.at.min(T + to * STEP),
        stale_after: 300_000_000_000,
        keep_records: 400 * DAY,
        keep_seals: 1130 * DAY,
        period,
    }
}

/// What is found in the third and fourth interval of a host without these seals.
fn without(gone: &[u64]) -> Vec<(&'static str, u64)> {
    let mut host = good();
    host.seals.retain(|seal| !gone.contains(&seal.seal_seq));
    words(&of_period(&host, (2, 4), Vec::new()).0)
}

#[test]
fn seals_of_the_period_that_are_missing_at_its_ends_or_altogether_are_found() {
    assert_eq!(without(&[]), []);
    assert_eq!(without(&[3, 4]), [("seal_missing", 2)], "all of them");
    assert_eq!(without(&[3]), [("seal_missing", 1)], "the first");
    assert_eq!(without(&[4]), [("seal_missing", 1)], "the last");
    assert_eq!(without(&[1, 2, 3]), [("seal_missing", 3)], "nothing before");
    // Those are not in the period.
    assert_eq!(without(&[2]), []);
    assert_eq!(without(&[1, 2]), []);
    assert_eq!(without(&[5]), []);
}

/// A seal is of the period in which its interval begins.
#[test]
fn the_seal_over_the_end_of_the_period_is_missed() {
    for (gone, expected) in [(None, &[][..]), (Some(4), &[("seal_missing", 1)]), (Some(5), &[])] {
        let mut host = good();
        host.seals.retain(|seal| Some(seal.seal_seq) != gone);
        let mut limits = limits(&host, (2, 3));
        limits.period.to = Some(T + 3 * STEP + STEP / 2);
        assert_eq!(
            words(&of_limits(&host, limits, Vec::new()).0),
            expected,
            "{gone:?}"
        );
    }
}

#[test]
fn a_seal_before_that_was_made_up_to_fit_is_found() {
    let mut host = good();
    let fourth = host.seals.remove(3);
    host.seals.remove(2);
    host.seals[1].seal_seq = 4;
    host.seals[1].seal_hash = fourth.seal_hash;
    assert_eq!(
        words(&of_period(&host, (2, 4), Vec::new()).0),
        [("seal_changed", 1), ("numbers_broken", 1)]
    );
    let mut host = good();
    host.seals.drain(2..4);
    host.seals[2].events_seen += 1;
    assert_eq!(
        words(&of_period(&host, (2, 4), Vec::new()).0),
        [("seal_changed", 1)]
    );
}

#[test]
fn a_host_that_was_off_or_not_there_yet_or_not_any_more_is_no_finding() {
    let first = good().closed();
    let opening = Opening {
        reason: OpenReason::Restart,
        previous: Some(first.link()),
    };
    let next = Host::start(T + 20 * STEP, opening).work(2);
    let close = first.link();
    let mut host = first.then(next);
    for steps in [(8, 15), (-10, -5), (30, 40)] {
        let (found, has_news) = of_period(&host, steps, Vec::new());
        assert_eq!((words(&found), has_news), (vec![], false), "{steps:?}");
    }
    host.seals.retain(|seal| seal.seal_hash != close.seal_hash);
    let (found, has_news) = of_period(&host, (8, 15), Vec::new());
    assert_eq!((words(&found), has_news), (vec![("seal_missing", 1)], true));
}

#[test]
fn a_chain_that_goes_on_behind_the_period_is_not_stale() {
    let first = good();
    let opening = Opening {
        reason: OpenReason::Unclean,
        previous: Some(first.link()),
    };
    let next = Host::start(T + 40 * STEP, opening);
    let mut host = first.then(next);
    assert_eq!(words(&of_period(&host, (0, 30), Vec::new()).0), []);
    host.seals.pop();
    assert_eq!(words(&of_period(&host, (0, 30), Vec::new()).0), [("stale", 1)]);
}

#[test]
fn an_anchor_of_the_period_tells_of_seals_that_are_not_there() {
    let held = |seal: &SealRow| Anchored {
        chain_epoch: seal.chain_epoch,
        seal_seq: seal.seal_seq,
        seal_hash: seal.seal_hash,
        anchor_seq: 1,
        anchored_at: seal.interval_end,
    };
    let mut host = good();
    let all: Vec<Anchored> = host.seals.iter().map(held).collect();
    assert_eq!(words(&of_period(&host, (2, 4), all.clone()).0), []);
    // Nothing behind the second seal is there; the fifth was anchored after the period.
    host.seals.truncate(2);
    let found = of_period(&host, (2, 5), all.clone()).0;
    assert_eq!(words(&found), [("anchored_seal_missing", 2)]);
    host.seals.clear();
    let found = of_period(&host, (2, 5), all).0;
    assert_eq!(words(&found), [("host_missing", 1), ("anchored_seal_missing", 3)]);
}

/// What is found of the records of the third seal, in a period that ends before it. They are of the period by their time.
fn outside(change: impl FnOnce(&mut Named, &mut Vec<Record>, &Host)) -> Findings {
    let host = good();
    let certificate = KeyRow::first("h", ROLE_HOST, &host.signer, 1);
    let keys = KeyBook::new([(certificate, i64::MAX)]);
    let mut check = HostCheck::new("h", &keys, Vec::new(), limits(&host, (0, 2)));
    let mut records: Vec<Record> = host.records[3..6].to_vec();
    records.iter_mut().for_each(|record| record.ts = T + STEP);
    let mut named = Named {
        key: key(&host.seals[2]),
        seals: vec![host.seals[2].clone()],
        ..Named::default()
    };
    change(&mut named, &mut records, &host);
    check.outside(&named, records);
    check.counts.seals = 1;
    check.last = Some(host.seals[1].clone().into());
    check.finish(None);
    check.findings
}

#[test]
fn records_whose_seal_is_outside_are_checked_with_it() {
    assert_eq!(words(&outside(|_, _, _| {})), []);
    let found = outside(|_, records, _| records[1].is_right = Some(false));
    assert_eq!(words(&found), [("record_changed", 1)]);
    let found = outside(|_, records, _| records[1].hash = [3; 32]);
    assert_eq!(words(&found), [("digest_mismatch", 1)]);
    let found = outside(|_, records, _| {
        records.push(Record {
            rec_seq: 99,
            ..records[0]
        });
    });
    assert_eq!(words(&found), [("record_unsealed", 1)]);
    let found = outside(|_, records, _| {
        records.push(Record {
            hash: [3; 32],
            ..records[0]
        });
    });
    assert_eq!(words(&found), [("record_twin", 1)]);
    // The seal's own period says what is missing; here it is only known that nothing shows the rest.
    let found = outside(|_, records, _| {
        records.remove(0);
    });
    assert_eq!(words(&found), [("digest_unchecked", 2)]);
    let found = outside(|named, _, _| named.seals[0].signature = UNSIGNED);
    assert_eq!(words(&found), [("seal_unsigned", 1)]);
    // What is not of the period is looked at where it belongs.
    let found = outside(|_, records, _| {
        records.iter_mut().for_each(|record| record.ts = T + 3 * STEP);
        records[0].is_right = Some(false);
        records.remove(1);
    });
    assert_eq!(words(&found), []);
}

#[test]
fn records_whose_seal_is_nowhere_are_found_unless_the_host_was_killed() {
    let found = outside(|named, _, _| named.seals.clear());
    assert_eq!(words(&found), [("record_unsealed", 3)]);
    // The host is at work, and its next seal is on its way.
    let found = outside(|named, _, host| {
        named.seals.clear();
        named.before = vec![host.seals[1].clone()];
    });
    assert_eq!((words(&found), found.count(Kind::Pending)), (vec![], 3));
    let killed = |named: &mut Named, host: &Host| {
        named.seals.clear();
        named.before = vec![host.seals[1].clone()];
        let opening = Opening {
            reason: OpenReason::Unclean,
            previous: Some((&host.seals[1]).into()),
        };
        named.behind = Host::start(T + 9 * STEP, opening).seals;
    };
    let found = outside(|named, _, host| killed(named, host));
    assert_eq!((words(&found), found.count(Kind::UnsealedAfterKill)), (vec![], 3));
    // Nobody can say so in the host's place.
    let found = outside(|named, _, host| {
        killed(named, host);
        named.behind[0].signature = UNSIGNED;
    });
    assert_eq!(words(&found), [("record_unsealed", 3)]);
}
