//! How long rows are kept: the TTL of the tables, as it is configured.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::client::{Client, StoreError};
use super::cluster::ON_CLUSTER;
use super::literal;
use crate::config::Retention;

/// Tables of records, with the column that their age is counted from. One time for all: a seal counts them together.
const RECORDS: [(&str, &str); 5] = [
    ("ai_interactions", "toDateTime(ts)"),
    ("ai_findings", "toDateTime(ts)"),
    ("ai_connections", "toDateTime(ts)"),
    ("blind_spots", "toDateTime(ts)"),
    ("ai_usage_hourly", "hour"),
];

const SEALS: (&str, &str) = ("evidence_seals", "toDateTime(interval_start)");

const PAYLOADS: (&str, &str) = ("ai_payloads", "toDateTime(ts)");

/// What is asked of each table: table, age, days.
fn wanted(retention: &Retention) -> impl Iterator<Item = (&'static str, &'static str, u32)> {
    let of =
        |(table, age): (&'static str, &'static str), days: Option<u32>| days.map(|days| (table, age, days));
    let records = RECORDS.map(|table| of(table, retention.records));
    let others = [of(SEALS, retention.seals), of(PAYLOADS, retention.payloads)];
    records.into_iter().chain(others).flatten()
}

fn set(database: &str, table: &str, cluster: &str, age: &str, days: u32) -> String {
    format!("ALTER TABLE {database}.{table}{cluster} MODIFY TTL {age} + INTERVAL {days} DAY DELETE")
}

/// The statements that set it. Repeatable.
pub fn statements(retention: &Retention, database: &str, on_cluster: bool) -> Vec<String> {
    let cluster = if on_cluster {
        format!(" {ON_CLUSTER}")
    } else {
        String::new()
    };
    wanted(retention)
        .map(|(table, age, days)| set(database, table, &cluster, age, days))
        .collect()
}

/// What was done about a retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Tables whose TTL was changed.
    pub changed: Vec<&'static str>,
    /// Tables that are Distributed: the TTL is that of the tables behind them.
    pub distributed: Vec<&'static str>,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Found {
    name: String,
    engine: String,
    definition: String,
}

/// Sets it where it is another, so that a start of the daemon does not rewrite tables that are as they should be.
///
/// # Errors
/// What the store says.
pub async fn apply(client: &Client, retention: &Retention) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    if *retention == Retention::default() {
        return Ok(applied);
    }
    let sql = format!(
        "SELECT name, engine, create_table_query AS definition FROM system.tables WHERE database = {}",
        literal(client.database())
    );
    let tables = client.rows::<Found>(&sql).await?;
    for (table, age, days) in wanted(retention) {
        let Some(found) = tables.iter().find(|found| found.name == table) else {
            continue;
        };
        if found.engine == "Distributed" {
            applied.distributed.push(table);
        } else if !found.definition.contains(&format!("toIntervalDay({days})")) {
            client
                .command(&set(client.database(), table, "", age, days))
                .await?;
            applied.changed.push(table);
        }
    }
    Ok(applied)
}
