//! The schema for a cluster, as far as one engine without Keeper can run it: replicated tables as plain ones, Distributed
//! tables as Merge tables over the one shard. And retention, and the text of the roles.

use observer::evidence::Opening;
use observer::store::cluster::{ROLES, script, statements};
use observer::store::migrate;
use observer::verify::{Options, Period, StoreSource, Verdict, run};

use crate::support::*;
use crate::verify::{Host, T};

/// Before the names of the tables of the shard.
const SHARD: &str = "shard_";

/// A statement of the cluster's schema for one shard that is alone.
fn alone(statement: &str) -> String {
    let text = statement
        .replace(" ON CLUSTER '{cluster}'", "")
        .replace("ENGINE = Replicated", "ENGINE = ")
        .replace(
            "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
            "non_replicated_deduplication_window = 10000",
        );
    // The embedded engine has one database; so the tables of the shard get names of their own.
    let text = text
        .replace(
            "DATABASE IF NOT EXISTS ai_evidence_local",
            "DATABASE IF NOT EXISTS ai_evidence",
        )
        .replace("ai_evidence_local.", &format!("ai_evidence.{SHARD}"));
    match text.split_once(" ENGINE = Distributed(") {
        None => text,
        Some((head, arguments)) => {
            let table = arguments.split('\'').nth(5).expect("table");
            format!("{head} ENGINE = Merge('ai_evidence', '^{SHARD}{table}$')")
        }
    }
}

#[tokio::test]
async fn the_schema_of_a_cluster_can_be_applied_twice_and_reads_what_shards_hold() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let client = store.client();
    for _ in 0..2 {
        for statement in statements() {
            let statement = alone(&statement);
            client
                .command_without_database(&statement)
                .await
                .unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }
    let inserts: Vec<&str> = script_inserts();
    for _ in 0..2 {
        for insert in &inserts {
            let insert = insert.replacen("INTO ai_evidence.", &format!("INTO ai_evidence.{SHARD}"), 1);
            client.command(&insert).await.expect("migrations");
        }
    }
    assert_eq!(
        migrate(&client).await.expect("an agent finds nothing to do"),
        [0; 0]
    );
    // Rows come to the shard; everything reads them through the tables above.
    let host = Host::start("host-a", T, Opening::default()).work(2);
    host.deliver_to(&client, SHARD).await;
    let mut source = StoreSource::new(client.clone(), Period::default(), None);
    let report = run(&mut source, &Options::new(host.now()), &mut ())
        .await
        .expect("verified");
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(report.total(|c| c.records), 12);
    let hours = client
        .rows::<u64>("SELECT toUInt64(uniqExactMerge(interactions)) FROM ai_usage_hourly")
        .await;
    assert_eq!(hours.expect("the view of the shard was fed"), [6]);
}

fn script_inserts() -> Vec<&'static str> {
    let text: &'static str = Box::leak(script().into_boxed_str());
    text.lines()
        .filter(|line| line.starts_with("INSERT "))
        .map(|line| line.trim_end_matches(';'))
        .collect()
}

#[tokio::test]
async fn roles_name_tables_that_there_are_and_give_nobody_the_right_to_remove() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let tables = client
        .rows::<String>("SELECT name FROM system.tables WHERE database = 'ai_evidence'")
        .await
        .expect("tables");
    for line in ROLES.lines().filter(|line| line.starts_with("GRANT")) {
        for word in line
            .split_whitespace()
            .filter_map(|w| w.strip_prefix("ai_evidence."))
        {
            assert!(word == "*" || tables.iter().any(|t| t == word), "{line}");
        }
        for right in [
            "DELETE",
            "TRUNCATE",
            "ALTER UPDATE",
            "DROP TABLE",
            "DROP DATABASE",
            "ALL ",
        ] {
            assert!(!line.contains(right), "{line}");
        }
        let is_agent = line.ends_with("TO aio_agent;");
        assert!(
            !is_agent || !line.contains("SELECT") || line.contains("schema_migrations"),
            "{line}"
        );
    }
}
