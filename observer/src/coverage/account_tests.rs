use super::*;

const S: i64 = 1_000_000_000;
const T: i64 = 1_790_000_000 * S;

fn seal(seq: u64, start: i64, end: i64) -> SealFacts {
    SealFacts {
        chain_epoch: 1,
        seal_seq: seq,
        kind: if seq == 1 {
            SealKind::Open
        } else {
            SealKind::Interval
        },
        open_reason: if seq == 1 {
            "first_start".into()
        } else {
            String::new()
        },
        boot_id: "a".into(),
        start: T + start * S,
        end: T + end * S,
        probes_required: 3,
        probes_attached: 3,
        selftest: "ok".into(),
        events_seen: 10,
        events_lost: 0,
        ai_flows: 0,
        unknown_opaque: 0,
    }
}

fn account(seals: &[SealFacts], change: impl FnOnce(HostAccount) -> HostAccount) -> HostCoverage {
    let mut account = change(HostAccount::new("h", T, T + 100 * S, None)).with_cells(T, T + 100 * S);
    seals.iter().for_each(|seal| account.seal(seal, T));
    account.finish(T + 1_000 * S)
}

fn whole() -> Vec<SealFacts> {
    (1..=5u64)
        .map(|n| {
            seal(
                n,
                30 * (i64::try_from(n).unwrap() - 1) - 10,
                30 * i64::try_from(n).unwrap() - 10,
            )
        })
        .collect()
}

#[test]
fn a_host_that_was_observed_throughout_and_did_nothing_is_none() {
    let c = account(&whole(), |a| a);
    assert_eq!((c.expected, c.sealed, c.good), (100 * S, 100 * S, 100 * S));
    assert_eq!((c.c_time(), c.c_event()), (Some(1.0), Some(1.0)));
    assert_eq!(
        (c.answer(), c.doubts(), c.gaps.as_slice()),
        (Answer::None, vec![], &[][..])
    );
    assert_eq!(
        c.cells.iter().map(Cell::answer).collect::<Vec<_>>(),
        [Some(Answer::None)]
    );
    assert_eq!(c.flows.c_flow(), None, "no flow, no ratio");
}

#[test]
fn each_doubt_makes_absence_unknown() {
    type Change = (fn(&mut SealFacts), Doubt);
    let changes: [Change; 5] = [
        (|s| s.probes_attached = 2, Doubt::ProbesMissing),
        (|s| s.selftest = "failed".into(), Doubt::SelftestFailed),
        (|s| s.selftest = "not_measured".into(), Doubt::SelftestNotMeasured),
        (|s| s.events_lost = 1, Doubt::EventsLost),
        (|s| s.unknown_opaque = 1, Doubt::UnknownOpaque),
    ];
    for (change, doubt) in changes {
        let mut seals = whole();
        change(&mut seals[2]);
        let c = account(&seals, |a| a);
        assert_eq!((c.answer(), c.doubts()), (Answer::Unknown, vec![doubt]));
        seals[1].ai_flows = 1;
        assert_eq!(account(&seals, |a| a).answer(), Answer::Some, "seen is seen");
    }
    let mut seals = whole();
    seals.remove(2);
    let c = account(&seals, |a| a);
    assert_eq!(
        (c.answer(), c.doubts()),
        (Answer::Unknown, vec![Doubt::NotSealed])
    );
    assert_eq!(c.c_time(), Some(0.7));
}

#[test]
fn gaps_have_causes() {
    let causes = |seals: &[SealFacts]| -> Vec<(i64, i64, &'static str)> {
        let c = account(seals, |a| a);
        c.gaps
            .iter()
            .map(|g| ((g.from - T) / S, (g.to - T) / S, g.cause))
            .collect()
    };
    assert_eq!(causes(&[]), [(0, 100, "never_sealed")]);
    let mut closed = seal(2, 30, 40);
    closed.kind = SealKind::Close;
    assert_eq!(
        causes(&[seal(1, 10, 30), closed.clone()]),
        [(0, 10, "before_first_start"), (40, 100, "orderly_stop")]
    );
    let mut next = seal(1, 60, 100);
    next.chain_epoch = 2;
    assert_eq!(
        causes(&[seal(1, 0, 40), next.clone()]),
        [(40, 60, "agent_killed")]
    );
    assert_eq!(
        causes(&[seal(1, 0, 30), closed, next.clone()]),
        [(40, 60, "orderly_stop")]
    );
    next.boot_id = "b".into();
    assert_eq!(causes(&[seal(1, 0, 40), next]), [(40, 60, "host_reboot")]);
    assert_eq!(
        causes(&[seal(1, 0, 40), seal(3, 60, 100)]),
        [(40, 60, "seals_missing")]
    );
    assert_eq!(
        causes(&[seal(1, 0, 40), seal(2, 60, 90)]),
        [(40, 60, "silent_gap"), (90, 100, "no_seal_since")]
    );
    assert_eq!(causes(&[seal(4, 10, 100)]), [(0, 10, "seals_missing")]);
    assert_eq!(
        causes(&[seal(1, 0, 40), seal(2, 41, 100)]),
        [],
        "within the slack"
    );
}

#[test]
fn a_seal_on_its_way_is_no_silence() {
    let mut account = HostAccount::new("h", T, T + 100 * S, None);
    account.seal(&seal(1, 0, 60), T);
    assert_eq!(account.finish(T + 100 * S).gaps[0].cause, "not_sealed_yet");
}

#[test]
fn only_the_time_that_the_inventory_expects_counts() {
    let c = account(&whole(), |_| {
        HostAccount::new("h", T, T + 100 * S, Some((T + 50 * S, i64::MAX)))
    });
    assert_eq!((c.expected, c.good, c.in_inventory), (50 * S, 50 * S, true));
    let c = account(&whole(), |_| {
        HostAccount::new("h", T, T + 100 * S, Some((T - 50 * S, T - 20 * S)))
    });
    assert_eq!((c.expected, c.c_time(), c.answer()), (0, None, Answer::Unknown));
}

#[test]
fn overlapping_seals_count_once() {
    let c = account(&[seal(1, 0, 60), seal(2, 30, 100), seal(3, 20, 50)], |a| a);
    assert_eq!(c.sealed, 100 * S);
}

#[test]
fn cells_are_minutes_to_hours_and_split_seals() {
    for (hours, minutes) in [(1, 5), (15, 5), (24, 15), (48, 60), (24 * 7, 60), (24 * 31, 240)] {
        assert_eq!(
            cell_width(0, hours * HOUR_NS),
            minutes * MINUTE_NS,
            "{hours} hours"
        );
    }
    let to = T + 10 * MINUTE_NS;
    let mut account = HostAccount::new("h", T, to, None).with_cells(T, to);
    let mut long = seal(1, 0, 0);
    (long.start, long.end) = (T, to);
    account.seal(&long, T);
    let c = account.finish(to);
    assert_eq!(
        c.cells.iter().map(|c| c.good).collect::<Vec<_>>(),
        [5 * MINUTE_NS; 2]
    );
}
