//! Attacks on stored evidence, against the real engine: each must be found, and nothing else.

use observer::evidence::{
    Coverage, FindingRow, InteractionRow, Interval, KeyRow, Link, OpenReason, Opening, SealKind, SealRow,
    Sequencer, Signer, keys::ROLE_HOST,
};
use observer::notary::Notary;
use observer::store::Client;
use observer::verify::{Kind, Options, Report, StoreSource, Verdict, run};
use uuid::Uuid;

use crate::support::*;

pub(crate) const T: i64 = 1_790_000_000_000_000_000;
pub(crate) const STEP: i64 = 30_000_000_000;

/// The boot clock of hosts that were started long ago.
fn mono(wall: i64) -> u64 {
    u64::try_from(wall - T + 4_000 * 86_400_000_000_000).expect("time")
}

/// A host that delivers into a store.
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) sequencer: Sequencer,
    pub(crate) signer: Signer,
    pub(crate) at: i64,
    /// By how much the wall clock was set.
    jumped: i64,
    pub(crate) seals: Vec<SealRow>,
    pub(crate) interactions: Vec<InteractionRow>,
    pub(crate) findings: Vec<FindingRow>,
}

impl Host {
    pub(crate) fn start(id: &str, at: i64, opening: Opening) -> Self {
        let seed = id.bytes().fold(1, u8::wrapping_add);
        Self::start_with(id, at, opening, Signer::from_seed(&[seed; 32]))
    }

    pub(crate) fn start_with(id: &str, at: i64, opening: Opening, signer: Signer) -> Self {
        let mut sequencer =
            Sequencer::new(id, Uuid::from_u128(1), u64::try_from(at).expect("time")).opened(opening);
        sequencer.sign_with(signer.clone());
        let mut host = Self {
            id: id.into(),
            sequencer,
            signer,
            at,
            jumped: 0,
            seals: Vec::new(),
            interactions: Vec::new(),
            findings: Vec::new(),
        };
        host.seal(SealKind::Open);
        host
    }

    pub(crate) fn seal(&mut self, kind: SealKind) {
        let interval = Interval {
            start: self.at,
            end: self.at + STEP,
            mono_start_ns: mono(self.at - self.jumped),
            mono_end_ns: mono(self.at + STEP - self.jumped),
        };
        self.at += STEP;
        self.seals
            .push(self.sequencer.seal(kind, interval, Coverage::default()));
    }

    pub(crate) fn work(mut self, intervals: usize) -> Self {
        for _ in 0..intervals {
            for n in 0..3 {
                let row = self.sequencer.interaction(InteractionRow {
                    ts: self.at + n,
                    server_address: "api.example".into(),
                    gen_ai_usage_input_tokens: Some(10),
                    payload_commitment: [3; 32],
                    ..InteractionRow::unknown()
                });
                let finding = self.sequencer.finding(FindingRow {
                    ts: row.ts,
                    interaction_hash: row.record_hash,
                    ..FindingRow::unknown()
                });
                self.interactions.push(row);
                self.findings.push(finding);
            }
            self.seal(SealKind::Interval);
        }
        self
    }

    /// The wall clock is set; the boot clock is not.
    fn jump(&mut self, by: i64) {
        self.at += by;
        self.jumped += by;
    }

    pub(crate) async fn deliver(&self, client: &Client) {
        self.deliver_to(client, "").await;
    }

    /// Delivers into tables whose names begin with `prefix`.
    pub(crate) async fn deliver_to(&self, client: &Client, prefix: &str) {
        let table = |name: &str| format!("{prefix}{name}");
        async fn insert<T: clickhouse::RowOwned + clickhouse::RowWrite>(
            client: &Client,
            table: &str,
            rows: &[T],
        ) {
            let rows: Vec<&T> = rows.iter().collect();
            if !rows.is_empty() {
                client.insert_rows(table, &rows, None).await.expect("stored");
            }
        }
        insert(client, &table(InteractionRow::TABLE), &self.interactions).await;
        insert(client, &table(FindingRow::TABLE), &self.findings).await;
        insert(client, &table(SealRow::TABLE), &self.seals).await;
        let key = KeyRow::first(&self.id, ROLE_HOST, &self.signer, self.seals[0].interval_start);
        insert(client, &table(KeyRow::TABLE), &[key]).await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.at + STEP
    }
}

/// A store with two hosts of five seals and 24 records each, and when they are looked at.
pub(crate) async fn two_hosts(client: &Client) -> i64 {
    let hosts = ["host-a", "host-b"].map(|id| Host::start(id, T, Opening::default()).work(4));
    for host in &hosts {
        host.deliver(client).await;
    }
    hosts[0].now()
}

async fn verify(client: &Client, now: i64) -> Report {
    let mut source = StoreSource::new(client.clone(), observer::verify::Period::default(), None);
    run(&mut source, &Options::new(now), &mut ())
        .await
        .expect("verified")
}

/// What was found on a host, without remarks.
pub(crate) fn words(report: &Report, host: &str) -> Vec<(&'static str, u64)> {
    let host = report.hosts.iter().find(|h| h.host == host).expect("host");
    let counts = host.findings.counts();
    counts
        .filter(|(kind, _)| kind.level() != observer::verify::Level::Remark)
        .map(|(kind, count)| (kind.word(), count))
        .collect()
}

/// Runs an attack on host-a, and says what is found there. Nothing may be found on host-b.
async fn after_attack(statements: &[&str]) -> Vec<(&'static str, u64)> {
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = two_hosts(&client).await;
    let before = verify(&client, now).await;
    assert_eq!(before.verdict(), Verdict::Verified, "{}", before.to_json());
    assert_eq!((before.total(|c| c.seals), before.total(|c| c.records)), (10, 48));
    for statement in statements {
        let statement = format!("{statement} SETTINGS mutations_sync = 2");
        let statement = if statement.starts_with("ALTER") {
            &statement
        } else {
            statement.split(" SETTINGS mut").next().expect("text")
        };
        client.command(statement).await.expect("attack");
    }
    let report = verify(&client, now).await;
    assert_eq!(report.verdict(), Verdict::Findings);
    assert_eq!(words(&report, "host-b"), []);
    words(&report, "host-a")
}

#[tokio::test]
async fn a_deleted_record_is_found() {
    need_library!();
    let found =
        after_attack(&["ALTER TABLE ai_interactions DELETE WHERE host_id = 'host-a' AND rec_seq = 3"]).await;
    assert_eq!(found, [("record_missing", 1), ("digest_unchecked", 5)]);
}

#[tokio::test]
async fn an_edited_field_is_found() {
    need_library!();
    let found = after_attack(&[
        "ALTER TABLE ai_interactions UPDATE gen_ai_usage_input_tokens = 11 WHERE host_id = 'host-a' AND rec_seq = 3",
    ])
    .await;
    assert_eq!(found, [("record_changed", 1)]);
}

#[tokio::test]
async fn an_edited_field_with_its_hash_made_anew_is_found() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(4);
    host.deliver(&client).await;
    // The hash is in the sorting key, so it cannot be updated in place: the row is deleted and put in again.
    let mut row = host.interactions[2].clone();
    row.server_address = "other.example".into();
    row.record_hash = row.digest();
    let in_place = client
        .command("ALTER TABLE ai_interactions UPDATE record_hash = unhex(repeat('00', 32)) WHERE 1 SETTINGS mutations_sync = 2")
        .await;
    assert!(in_place.is_err(), "a key column");
    client
        .command(&format!(
            "ALTER TABLE ai_interactions DELETE WHERE rec_seq = {} SETTINGS mutations_sync = 2",
            row.rec_seq
        ))
        .await
        .expect("deleted");
    client
        .insert_rows(InteractionRow::TABLE, &[&row], None)
        .await
        .expect("put in");
    let report = verify(&client, host.now()).await;
    assert_eq!(words(&report, "host-a"), [("digest_mismatch", 1)]);
}

#[tokio::test]
async fn a_forged_twin_is_found() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(4);
    host.deliver(&client).await;
    let mut row = host.interactions[2].clone();
    row.server_address = "other.example".into();
    row.record_hash = row.digest();
    client
        .insert_rows(InteractionRow::TABLE, &[&row], None)
        .await
        .expect("put in");
    let report = verify(&client, host.now()).await;
    assert_eq!(
        words(&report, "host-a"),
        [("record_twin", 1)],
        "the other one still fits the seal"
    );
    // A record behind the last seal, and one of a host that never was there.
    let forged = |host_id: &str, seal_seq: u64, rec_seq: u64| {
        let mut row = row.clone();
        row.host_id = host_id.into();
        (row.seal_seq, row.rec_seq) = (seal_seq, rec_seq);
        row.record_hash = row.digest();
        row
    };
    let rows = [forged("host-a", 9, 77), forged("ghost", 1, 1)];
    client
        .insert_rows(InteractionRow::TABLE, &[&rows[0], &rows[1]], None)
        .await
        .expect("put in");
    let report = verify(&client, host.now()).await;
    assert_eq!(
        words(&report, "host-a"),
        [("record_twin", 1), ("record_unsealed", 1)]
    );
    assert_eq!(
        words(&report, "ghost"),
        [("record_unsealed", 1), ("host_missing", 1)]
    );
}

#[tokio::test]
async fn deleted_seals_in_the_middle_are_found() {
    need_library!();
    let found =
        after_attack(&["ALTER TABLE evidence_seals DELETE WHERE host_id = 'host-a' AND seal_seq IN (2, 3)"])
            .await;
    assert_eq!(found, [("record_unsealed", 12), ("seal_missing", 2)]);
}

#[tokio::test]
async fn edited_and_forged_seals_are_found() {
    need_library!();
    let found = after_attack(&[
        "ALTER TABLE evidence_seals UPDATE events_lost_ring = 7 WHERE host_id = 'host-a' AND seal_seq = 2",
    ])
    .await;
    assert_eq!(found, [("seal_changed", 1)]);
    let found = after_attack(&[
        "INSERT INTO evidence_seals SELECT * REPLACE (unhex(repeat('ab', 32)) AS seal_hash) FROM evidence_seals WHERE host_id = 'host-a' AND seal_seq = 2",
    ])
    .await;
    assert_eq!(found, [("seal_fork", 2)]);
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_found_by_time_by_the_next_start_and_by_anchors() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(4);
    host.deliver(&client).await;
    let notary = Notary::open(
        "n",
        &directory.path().join("keys"),
        directory.path().join("anchors"),
        T,
    )
    .expect("notary");
    notary.anchor(&client, T / 1_000_000).await.expect("anchor");
    for table in ["evidence_seals", "ai_interactions", "ai_findings"] {
        client
            .command(&format!(
                "ALTER TABLE {table} DELETE WHERE seal_seq >= 4 SETTINGS mutations_sync = 2"
            ))
            .await
            .expect("cut");
    }
    let report = verify(&client, host.now() + 300_000_000_000).await;
    assert_eq!(
        words(&report, "host-a"),
        [("stale", 1), ("anchored_seal_missing", 1)]
    );
    let last: Link = host.seals.last().expect("seal").into();
    let opening = Opening {
        reason: OpenReason::Unclean,
        previous: Some(last),
    };
    let next = Host::start("host-a", host.at + STEP, opening).work(1);
    next.deliver(&client).await;
    let report = verify(&client, next.now()).await;
    assert_eq!(
        words(&report, "host-a"),
        [("seal_missing", 2), ("anchored_seal_missing", 1)]
    );
}

#[tokio::test]
async fn a_clock_that_is_set_is_a_remark_and_nothing_is_lost() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    // An hour back, and later a day forward, as the boot clock goes on; what the daemon does then.
    let mut host = Host::start("host-a", T, Opening::default()).work(2);
    host.jump(-3_600_000_000_000);
    host = host.work(2);
    host.jump(86_400_000_000_000);
    host = host.work(1);
    host.deliver(&client).await;
    let report = verify(&client, host.now()).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(words(&report, "host-a"), []);
    assert_eq!(report.hosts[0].findings.count(Kind::ClockJump), 2);
    assert_eq!((report.total(|c| c.seals), report.total(|c| c.records)), (6, 30));
}

#[tokio::test]
async fn two_hosts_with_one_id_are_found() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    // A machine that was cloned with the agent on it: both go on from the same last seal, with the same key.
    let origin = Host::start("host-a", T, Opening::default()).work(2);
    let opening = Opening {
        reason: OpenReason::Restart,
        previous: origin.seals.last().map(Link::from),
    };
    let one = Host::start("host-a", origin.at + STEP, opening).work(4);
    let other = Host::start("host-a", origin.at + 2 * STEP, opening).work(3);
    for host in [&origin, &one, &other] {
        host.deliver(&client).await;
    }
    let report = verify(&client, one.now()).await;
    let found = words(&report, "host-a");
    assert!(found.contains(&("two_agents", 1)), "{found:?}");
    assert!(found.contains(&("epoch_unlinked", 1)), "{found:?}");
    // Neither the one nor the other is taken for forged.
    assert!(
        !found.iter().any(|(word, _)| word.starts_with("record_")),
        "{found:?}"
    );
}

#[tokio::test]
async fn delivery_again_and_in_another_order_is_no_finding() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut host = Host::start("host-a", T, Opening::default()).work(4);
    host.deliver(&client).await;
    host.seals.reverse();
    host.findings.reverse();
    host.interactions.reverse();
    host.interactions.pop();
    // Another block: its checksum is another one, so the engine stores it again.
    host.deliver(&client).await;
    let stored = client
        .rows::<u64>("SELECT count() FROM ai_interactions")
        .await
        .expect("count");
    assert_eq!(stored, [23], "second copies are there");
    let report = verify(&client, host.now()).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(
        (report.total(|c| c.records), report.total(|c| c.copies)),
        (24, 5 + 12 + 11)
    );
}

#[tokio::test]
async fn an_erased_host_is_found_by_inventory_certificate_and_anchor() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = two_hosts(&client).await;
    let notary = Notary::open(
        "n",
        &directory.path().join("keys"),
        directory.path().join("anchors"),
        T,
    )
    .expect("notary");
    notary.anchor(&client, T / 1_000_000).await.expect("anchor");
    let erase = async |tables: &[&str]| {
        for table in tables {
            client
                .command(&format!(
                    "ALTER TABLE {table} DELETE WHERE host_id = 'host-a' SETTINGS mutations_sync = 2"
                ))
                .await
                .expect("erased");
        }
    };
    erase(&["evidence_seals", "ai_interactions", "ai_findings", "host_keys"]).await;
    let report = verify(&client, now).await;
    assert_eq!(
        words(&report, "host-a"),
        [("host_missing", 1), ("anchored_seal_missing", 1)]
    );
    // The anchors in the database go too: the files outside still tell.
    client
        .command("TRUNCATE TABLE evidence_anchors")
        .await
        .expect("erased");
    let report = verify(&client, now).await;
    assert!(
        report.hosts.iter().all(|h| h.host != "host-a"),
        "nothing in the database names it"
    );
    let mut options = Options::new(now);
    options.outside = observer::notary::all(&directory.path().join("anchors")).expect("files");
    let mut source = StoreSource::new(client.clone(), options.period, None);
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!(
        words(&report, "host-a"),
        [("host_missing", 1), ("anchored_seal_missing", 1)]
    );
    // And the inventory does.
    client
        .command("INSERT INTO host_inventory (observed_at, source, host_id, in_scope, first_seen) VALUES (now64(3), 'cmdb', 'host-a', true, now64(3))")
        .await
        .expect("inventory");
    let report = verify(&client, now).await;
    assert_eq!(words(&report, "host-a"), [("host_missing", 1)]);
}

#[tokio::test]
async fn a_deleted_payload_leaves_the_chain_whole() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(1);
    host.deliver(&client).await;
    let put = format!(
        "INSERT INTO ai_payloads (ts, interaction_hash, salt, direction, redacted_text) \
         SELECT ts, record_hash, unhex(repeat('11', 16)), 'prompt', 'text' FROM ai_interactions WHERE rec_seq = {}",
        host.interactions[0].rec_seq
    );
    client.command(&put).await.expect("payload");
    assert_eq!(verify(&client, host.now()).await.verdict(), Verdict::Verified);
    client
        .command("TRUNCATE TABLE ai_payloads")
        .await
        .expect("deleted");
    let report = verify(&client, host.now()).await;
    assert_eq!(report.verdict(), Verdict::Verified);
    assert_eq!(report.found(&[Kind::RecordChanged]), 0);
}

#[tokio::test]
async fn a_period_and_pages_give_the_same_as_the_whole() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(6);
    host.deliver(&client).await;
    let mut options = Options::new(host.now());
    options.period.from = Some(T + 2 * STEP);
    options.period.to = Some(T + 5 * STEP);
    let mut source = StoreSource::new(client.clone(), options.period, Some("host-a".into()));
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.seals), report.total(|c| c.records)), (3, 18));
    client
        .command("ALTER TABLE ai_findings DELETE WHERE seal_seq = 5 SETTINGS mutations_sync = 2")
        .await
        .expect("deleted");
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!(
        words(&report, "host-a"),
        [("record_missing", 3), ("digest_unchecked", 3)]
    );
}
