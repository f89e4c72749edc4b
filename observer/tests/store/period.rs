//! A period, against the real engine: what a report of it counts is checked, whatever it is sealed in, and what is gone at its ends
//! or altogether is found.

use observer::evidence::{CANON_V, ConnectionRow, InteractionRow, Link, OpenReason, Opening, SealKind};
use observer::notary::Notary;
use observer::store::Client;
use observer::verify::{Options, Period, Report, StoreSource, Verdict, run};

use crate::support::*;
use crate::verify::{Host, STEP, T, two_hosts, words};

async fn verify(client: &Client, now: i64, (from, to): (i64, i64)) -> Report {
    let mut options = Options::new(now);
    options.period = Period {
        from: Some(T + from * STEP),
        to: Some(T + to * STEP),
    };
    let mut source = StoreSource::new(client.clone(), options.period, None);
    run(&mut source, &options, &mut ()).await.expect("verified")
}

fn hosts(report: &Report) -> Vec<&str> {
    report.hosts.iter().map(|host| host.host.as_str()).collect()
}

async fn attack(client: &Client, statement: &str) {
    let statement = format!("{statement} SETTINGS mutations_sync = 2");
    client.command(&statement).await.expect("attack");
}

#[tokio::test]
async fn a_row_that_was_put_into_the_period_is_found_wherever_it_says_it_is_sealed() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = two_hosts(&client).await;
    let report = verify(&client, now, (2, 4)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(hosts(&report), ["host-a", "host-b"]);
    let forged = |host_id: &str| {
        let mut row = InteractionRow {
            ts: T + 2 * STEP + 5,
            host_id: host_id.into(),
            chain_epoch: 1,
            seal_seq: 1,
            rec_seq: 1,
            canon_v: CANON_V,
            server_address: "api.example".into(),
            ..InteractionRow::unknown()
        };
        row.record_hash = row.digest();
        row
    };
    // Outside of the period nobody looks at them.
    let elsewhere = InteractionRow {
        ts: T,
        ..forged("host-a")
    };
    for row in [forged("host-a"), forged("ghost"), elsewhere] {
        client
            .insert_rows(InteractionRow::TABLE, &[&row], None)
            .await
            .expect("put in");
    }
    let report = verify(&client, now, (2, 4)).await;
    assert_eq!(words(&report, "host-a"), [("record_unsealed", 1)]);
    assert_eq!(words(&report, "host-b"), []);
    assert_eq!(
        words(&report, "ghost"),
        [("record_unsealed", 1), ("host_missing", 1)]
    );
    // One that names a seal which is there, and counts others.
    let mut row = forged("host-b");
    (row.chain_epoch, row.rec_seq) = (u64::try_from(T).expect("time"), 1_000);
    row.record_hash = row.digest();
    client
        .insert_rows(InteractionRow::TABLE, &[&row], None)
        .await
        .expect("put in");
    let report = verify(&client, now, (2, 4)).await;
    assert_eq!(words(&report, "host-b"), [("record_unsealed", 1)]);
}

/// A host with a call that begins in the third interval and is over in the fourth, and a connection that is closed in the fifth.
async fn at_the_edge(client: &Client) -> Host {
    let mut host = Host::start("host-a", T, Opening::default()).work(1);
    host.seal(SealKind::Interval);
    let call = host.sequencer.interaction(InteractionRow {
        ts: T + 3 * STEP - 1,
        ..InteractionRow::unknown()
    });
    host.interactions.push(call);
    let mut host = host.work(1);
    let connection = host.sequencer.connection(ConnectionRow {
        ts: T + 2 * STEP + 1,
        closed_ts: T + 4 * STEP + 5,
        ..ConnectionRow::unknown()
    });
    host.seal(SealKind::Interval);
    host.deliver(client).await;
    client
        .insert_rows(ConnectionRow::TABLE, &[&connection], None)
        .await
        .expect("connection");
    host
}

#[tokio::test]
async fn rows_that_are_sealed_after_the_period_are_checked_with_their_seal() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = at_the_edge(&client).await;
    let report = verify(&client, host.now(), (2, 3)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.seals), report.total(|c| c.records)), (1, 0));
    // A period in which nothing was sealed, and that begins and ends within an interval.
    let mut options = Options::new(host.now());
    options.period = Period {
        from: Some(T + 3 * STEP - 5),
        to: Some(T + 3 * STEP),
    };
    let mut source = StoreSource::new(client.clone(), options.period, None);
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!((report.verdict(), hosts(&report)), (Verdict::Verified, vec![]));
    attack(
        &client,
        "ALTER TABLE ai_connections UPDATE bytes_sent = 7 WHERE 1",
    )
    .await;
    attack(&client, "ALTER TABLE ai_findings DELETE WHERE seal_seq = 4").await;
    let report = verify(&client, host.now(), (2, 3)).await;
    assert_eq!(
        words(&report, "host-a"),
        [("record_changed", 1), ("digest_unchecked", 1)]
    );
    attack(&client, "ALTER TABLE evidence_seals DELETE WHERE seal_seq = 4").await;
    let report = verify(&client, host.now(), (2, 3)).await;
    assert_eq!(
        words(&report, "host-a"),
        [("record_changed", 1), ("record_unsealed", 1)]
    );
}

#[tokio::test]
async fn a_record_that_waits_for_its_seal_is_no_finding_in_a_period() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut host = Host::start("host-a", T, Opening::default()).work(2);
    let call = host.sequencer.interaction(InteractionRow {
        ts: host.at + 1,
        ..InteractionRow::unknown()
    });
    host.interactions.push(call);
    host.deliver(&client).await;
    let report = verify(&client, host.now(), (1, 4)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    // Nor when the agent was killed before it could seal it.
    let opening = Opening {
        reason: OpenReason::Unclean,
        previous: host.seals.last().map(Link::from),
    };
    let next = Host::start("host-a", T + 9 * STEP, opening);
    next.deliver(&client).await;
    let report = verify(&client, next.now(), (1, 4)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
}

#[tokio::test]
async fn all_seals_of_a_host_in_the_period_that_are_gone_are_found_by_those_around() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    for id in ["host-a", "host-b"] {
        Host::start(id, T, Opening::default())
            .work(6)
            .deliver(&client)
            .await;
    }
    // One that was off meanwhile, one that came later, and one that went before.
    let mut off = Host::start("host-c", T, Opening::default());
    off.seal(SealKind::Close);
    off.deliver(&client).await;
    let opening = Opening {
        reason: OpenReason::Restart,
        previous: off.seals.last().map(Link::from),
    };
    Host::start("host-c", T + 6 * STEP, opening)
        .deliver(&client)
        .await;
    Host::start("host-d", T + 6 * STEP, Opening::default())
        .deliver(&client)
        .await;
    Host::start("host-e", T, Opening::default())
        .deliver(&client)
        .await;
    let now = T + 8 * STEP;
    let report = verify(&client, now, (2, 5)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(hosts(&report), ["host-a", "host-b"]);
    for table in ["evidence_seals", "ai_interactions", "ai_findings"] {
        let gone = format!("ALTER TABLE {table} DELETE WHERE host_id = 'host-a' AND seal_seq IN (3, 4, 5)");
        attack(&client, &gone).await;
    }
    let report = verify(&client, now, (2, 5)).await;
    assert_eq!(words(&report, "host-a"), [("seal_missing", 3)]);
    assert_eq!(words(&report, "host-b"), []);
    assert_eq!(hosts(&report), ["host-a", "host-b"]);
    // A period without an end has nothing behind it, and one without a beginning nothing before.
    for (from, to, found) in [(Some(2), None, 3), (None, Some(5), 3)] {
        let mut options = Options::new(now);
        options.period = Period {
            from: from.map(|step: i64| T + step * STEP),
            to: to.map(|step: i64| T + step * STEP),
        };
        let mut source = StoreSource::new(client.clone(), options.period, None);
        let report = run(&mut source, &options, &mut ()).await.expect("verified");
        assert_eq!(words(&report, "host-a"), [("seal_missing", found)]);
    }
}

#[tokio::test]
async fn a_host_that_is_erased_is_found_in_a_period_by_its_anchors() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = two_hosts(&client).await;
    let files = directory.path().join("anchors");
    let notary = Notary::open("n", &directory.path().join("keys"), files, T).expect("notary");
    let anchored_at = (T + 5 * STEP) / 1_000_000;
    notary.anchor(&client, anchored_at).await.expect("anchor");
    let report = verify(&client, now, (3, 6)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    for table in ["evidence_seals", "ai_interactions", "ai_findings"] {
        attack(
            &client,
            &format!("ALTER TABLE {table} DELETE WHERE host_id = 'host-a'"),
        )
        .await;
    }
    let report = verify(&client, now, (3, 6)).await;
    assert_eq!(
        words(&report, "host-a"),
        [("host_missing", 1), ("anchored_seal_missing", 1)]
    );
    assert_eq!(words(&report, "host-b"), []);
    // Before that there was no anchor: nothing says that it was there.
    let report = verify(&client, now, (2, 4)).await;
    assert_eq!(hosts(&report), ["host-b"]);
}

#[tokio::test]
async fn what_is_declared_after_the_period_is_no_removal_in_it() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut host = Host::start("host-a", T, Opening::default()).work(4);
    // The fourth seal lost two records, and the fifth says so.
    let lost: Vec<u64> = host.findings[7..9].iter().map(|row| row.rec_seq).collect();
    let last = host.seals.len() - 1;
    let seal = &mut host.seals[last];
    seal.dropped_reason = vec!["rejected".into()];
    seal.dropped_chain_epoch = vec![seal.chain_epoch];
    (seal.dropped_first_rec_seq, seal.dropped_last_rec_seq) = (vec![lost[0]], vec![lost[1]]);
    seal.dropped_records = vec![2];
    (seal.dropped_first_seal_seq, seal.dropped_last_seal_seq) = (vec![0], vec![0]);
    seal.dropped_seals = vec![0];
    seal.seal_hash = seal.digest();
    seal.signature = host.signer.sign(&seal.seal_hash);
    host.findings.drain(7..9);
    host.deliver(&client).await;
    let report = verify(&client, host.now(), (2, 4)).await;
    assert_eq!(words(&report, "host-a"), [("digest_unchecked", 4)]);
    assert_eq!(report.verdict(), Verdict::Unverifiable);
}
