//! Rows are kept as long as is asked, each kind by itself, and a chain whose rows went by age verifies.

use observer::config::Retention;
use observer::evidence::{InteractionRow, Opening, SealRow};
use observer::kernel::clock::wall_ns;
use observer::store::{Client, retention};
use observer::verify::{Kind, Options, Period, Report, StoreSource, Verdict, run};

use crate::support::*;
use crate::verify::{Host, STEP};

const DAY: i64 = 86_400_000_000_000;

/// The tables that a retention sets, with the days that it sets.
const TABLES: [(&str, u32); 7] = [
    (InteractionRow::TABLE, 10),
    ("ai_findings", 10),
    ("ai_connections", 10),
    ("blind_spots", 10),
    ("ai_usage_hourly", 10),
    (SealRow::TABLE, 1_000),
    ("ai_payloads", 3),
];

const ASKED: Retention = Retention {
    records: Some(10),
    seals: Some(1_000),
    payloads: Some(3),
};

async fn definition(client: &Client, table: &str) -> String {
    let sql = format!(
        "SELECT create_table_query FROM system.tables WHERE database = 'ai_evidence' AND name = '{table}'"
    );
    client.rows::<String>(&sql).await.expect("table")[0].clone()
}

async fn count(client: &Client, table: &str) -> u64 {
    let sql = format!("SELECT count() FROM {table}");
    client.rows::<u64>(&sql).await.expect("count")[0]
}

#[tokio::test]
async fn it_is_set_once_on_every_table_and_only_where_it_is_another() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let nothing = retention::apply(&client, &Retention::default())
        .await
        .expect("nothing");
    assert!(nothing.changed.is_empty(), "nothing was asked for");
    let set = retention::apply(&client, &ASKED).await.expect("set");
    assert_eq!(set.changed, TABLES.map(|(name, _)| name));
    for (name, days) in TABLES {
        let text = definition(&client, name).await;
        assert!(text.contains(&format!("toIntervalDay({days})")), "{text}");
    }
    let again = retention::apply(&client, &ASKED).await.expect("again");
    assert_eq!(again, retention::Applied::default());
    let seals = Retention {
        seals: Some(2_000),
        ..Retention::default()
    };
    let set = retention::apply(&client, &seals).await.expect("seals");
    assert_eq!(set.changed, ["evidence_seals"], "the rest was not asked for");
    assert!(
        definition(&client, "ai_findings")
            .await
            .contains("toIntervalDay(10)")
    );
}

async fn verify(client: &Client, now: i64, keep_records: u32) -> Report {
    let mut options = Options::new(now);
    options.keep_records_days = keep_records;
    options.stale_after = 100 * DAY;
    let mut source = StoreSource::new(client.clone(), Period::default(), None);
    run(&mut source, &options, &mut ()).await.expect("verified")
}

/// Lets the engine drop what is too old.
async fn merge(client: &Client, table: &str) {
    for statement in ["MATERIALIZE TTL", ""] {
        let sql = if statement.is_empty() {
            format!("OPTIMIZE TABLE {table} FINAL")
        } else {
            format!("ALTER TABLE {table} {statement} SETTINGS mutations_sync = 2")
        };
        client.command(&sql).await.expect("merged");
    }
}

#[tokio::test]
async fn texts_go_before_records_and_records_before_seals_and_the_chain_verifies() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = wall_ns();
    // One host whose records are 20 days old, one whose are five; both have texts.
    for (id, age) in [("old", 20), ("young", 5)] {
        let host = Host::start(id, (now - age * DAY) / STEP * STEP, Opening::default()).work(2);
        host.deliver(&client).await;
    }
    client
        .command(
            "INSERT INTO ai_payloads (ts, interaction_hash, salt, direction, redacted_text) \
             SELECT ts, record_hash, unhex(repeat('11', 16)), 'prompt', 'text' FROM ai_interactions",
        )
        .await
        .expect("texts");
    assert_eq!(count(&client, "ai_payloads").await, 12);
    let payloads = Retention {
        payloads: Some(3),
        ..Retention::default()
    };
    retention::apply(&client, &payloads).await.expect("set");
    merge(&client, "ai_payloads").await;
    assert_eq!(
        count(&client, "ai_payloads").await,
        0,
        "all are older than three days"
    );
    let report = verify(&client, now, 400).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.records), report.total(|c| c.seals)), (24, 6));

    retention::apply(&client, &ASKED).await.expect("set");
    for table in ["ai_interactions", "ai_findings", "evidence_seals"] {
        merge(&client, table).await;
    }
    let report = verify(&client, now, 10).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.records), report.total(|c| c.seals)), (12, 6));
    assert_eq!(report.found(&[Kind::RetentionExpired]), 12);
    // Whoever says that records are kept longer does not take it for age.
    let report = verify(&client, now, 400).await;
    assert_eq!(report.found(&[Kind::RecordMissing]), 12, "{}", report.to_json());
}

#[tokio::test]
async fn the_age_of_records_counts_from_now_whatever_the_period() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let now = wall_ns();
    let host = Host::start("old", (now - 20 * DAY) / STEP * STEP, Opening::default()).work(2);
    host.deliver(&client).await;
    retention::apply(&client, &ASKED).await.expect("set");
    for table in ["ai_interactions", "ai_findings"] {
        merge(&client, table).await;
    }
    assert_eq!(count(&client, "ai_interactions").await, 0);
    let mut options = Options::new(now);
    options.keep_records_days = 10;
    options.stale_after = 100 * DAY;
    options.period.to = Some(now - 15 * DAY);
    let mut source = StoreSource::new(client.clone(), options.period, None);
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(report.found(&[Kind::RetentionExpired]), 12);
}
