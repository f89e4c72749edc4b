//! The dashboards on a large store: a made-up month that the engine multiplies, and the time of each panel's query over it.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer::store::migrate;
use serde_json::Value;

use super::{Name, Row, Rows, median, number};
use crate::grafana::{Period, dashboards, expand, own_period, panels};
use crate::harness::{DATABASE, Store};
use crate::month::{self, Plan};

/// Exchanges, unless OBSERVER_BENCH_ROWS says otherwise.
const ROWS: u64 = 10_000_000;
/// End of the made-up month: 2026-11-01 00:00 UTC.
const END: i64 = 1_793_491_200;
const DAY: i64 = 86_400;
/// Longer than so many seconds, and a reader wonders whether it hangs.
const AIM: f64 = 2.0;
const REPEATS: usize = 3;
/// Numbers of copies begin here: those of the month are below.
const COPIES: u64 = 1_000_000_000;
/// A hundred columns at once take more than a query gets by itself.
const FILLING: &str = "SETTINGS max_memory_usage = 1200000000, max_block_size = 8192, max_threads = 1";

pub(super) fn run() -> Result<Vec<Row>> {
    let wanted = std::env::var("OBSERVER_BENCH_ROWS").ok();
    let wanted = wanted.and_then(|n| n.parse().ok()).unwrap_or(ROWS);
    let dir = tempfile::Builder::new()
        .prefix("observer-bench-")
        .tempdir_in(".")
        .context("no folder for the store")?;
    let mut store = Store::start(dir.path())?;
    let mut rows = Rows::new(Name::Dashboards);
    fill(&store, wanted)?;
    for table in [
        "ai_interactions",
        "ai_findings",
        "ai_connections",
        "evidence_seals",
    ] {
        let count = number(count(&store, &format!("ai_evidence.{table}"))?);
        rows.one(format!("rows of {table}"), count, "rows");
    }
    for dashboard in dashboards()? {
        measure(&store, &dashboard, &mut rows)?;
    }
    store.stop()?;
    Ok(rows.1)
}

fn count(store: &Store, from: &str) -> Result<u64> {
    let rows = store.query(&format!("SELECT count() AS n FROM {from}"))?;
    rows[0]["n"].as_u64().context("no count")
}

/// A month of twenty hosts, and copies of its rows until there are enough.
fn fill(store: &Store, wanted: u64) -> Result<()> {
    let client = store.client()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let plan = Plan::month(END * 1_000_000_000);
    let filled = runtime.block_on(async {
        migrate(&client).await?;
        month::fill(&client, &plan, &mut |_| {}).await
    })?;
    let base = filled.interactions as u64;
    for copy in 1..wanted.div_ceil(base) {
        for (table, hashes) in [
            ("ai_interactions", ["record_hash", ""]),
            ("ai_findings", ["record_hash", "interaction_hash"]),
            ("ai_connections", ["record_hash", ""]),
        ] {
            store.query(&copies(table, hashes, copy))?;
        }
    }
    // Intervals of ten minutes become such of half a minute.
    for copy in 1..20 {
        store.query(&seals(copy))?;
    }
    wait_for_merges(store)
}

/// Other rows like those of the month: a little later, with numbers and hashes of their own; findings point to the copies of their exchanges.
fn copies(table: &str, hashes: [&str; 2], copy: u64) -> String {
    let hashes = hashes.iter().filter(|column| !column.is_empty());
    let hashes: Vec<String> = hashes.map(|column| hash(column, copy)).collect();
    format!(
        "INSERT INTO {DATABASE}.{table} SELECT * REPLACE (ts + toIntervalMillisecond({}) AS ts, rec_seq + {} AS rec_seq, {}) \
         FROM (SELECT * FROM {DATABASE}.{table} WHERE rec_seq < {COPIES}) {FILLING}",
        copy * 997,
        copy * COPIES,
        hashes.join(", ")
    )
}

fn seals(copy: u64) -> String {
    format!(
        "INSERT INTO {DATABASE}.evidence_seals SELECT * REPLACE (interval_start + toIntervalSecond({after}) AS interval_start, \
         interval_start + toIntervalSecond({after} + 30) AS interval_end, seal_seq + {} AS seal_seq, {}) \
         FROM (SELECT * FROM {DATABASE}.evidence_seals WHERE seal_seq < {COPIES}) {FILLING}",
        copy * COPIES,
        hash("seal_hash", copy),
        after = copy * 30,
    )
}

fn hash(column: &str, copy: u64) -> String {
    format!(
        "toFixedString(concat(sipHash128({column}, {copy}), sipHash128({column}, {copy}, 1)), 32) AS {column}"
    )
}

/// Merges would take the queries' time; those of a store that runs for days are over but for the newest rows.
fn wait_for_merges(store: &Store) -> Result<()> {
    let start = Instant::now();
    while count(store, "system.merges")? > 0 {
        ensure!(start.elapsed() < Duration::from_secs(600), "merges do not end");
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// The slowest query of a dashboard, over the period that it opens with, and each other one that is slow.
fn measure(store: &Store, dashboard: &Value, rows: &mut Rows) -> Result<()> {
    let title = dashboard["title"].as_str().context("no title")?;
    let days = days(dashboard["time"]["from"].as_str().context("no period")?)?;
    let period = Period {
        from: END - days * DAY,
        to: END,
        all: true,
        values: chosen(store)?,
    };
    let mut times: Vec<(f64, &str)> = Vec::new();
    for panel in panels(dashboard) {
        let name = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let sql = target["rawSql"].as_str().unwrap_or_default();
            let sql = expand(sql, &own_period(panel, &period)?)?;
            times.push((
                time(store, &sql).with_context(|| format!("{title} / {name}"))?,
                name,
            ));
        }
    }
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (slowest, name) = *times.first().context("a dashboard without a query")?;
    let all: f64 = times.iter().map(|(seconds, _)| seconds).sum();
    let note = format!(
        "{name}; {} queries over {days} days took {all:.1} s together",
        times.len()
    );
    rows.one(format!("{title}: slowest query"), slowest, "s")
        .at_most(AIM)
        .note(note);
    for (seconds, name) in times.into_iter().skip(1).filter(|(seconds, _)| *seconds > AIM) {
        rows.one(format!("{title}: {name}"), seconds, "s").at_most(AIM);
    }
    Ok(())
}

/// A workload and a record for the dashboard that shows one.
fn chosen(store: &Store) -> Result<Vec<(&'static str, String)>> {
    let sql = "SELECT k8s_workload_name AS workload, lower(hex(any(interaction_hash))) AS record FROM ai_evidence.ai_findings \
               GROUP BY workload ORDER BY count() DESC, workload LIMIT 1";
    let rows = store.query(sql)?;
    let text = |name: &str| rows[0][name].as_str().unwrap_or_default().to_owned();
    Ok(vec![("workload", text("workload")), ("record", text("record"))])
}

/// Seconds of a query: the median of some runs, or one where that is long already.
fn time(store: &Store, sql: &str) -> Result<f64> {
    let mut seconds = Vec::new();
    while seconds.len() < REPEATS && seconds.first().is_none_or(|first| *first < 2.0 * AIM) {
        let started = Instant::now();
        store.document(sql)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(median(&seconds))
}

/// Days of a period as Grafana writes it: `now-7d`, `now-24h`.
fn days(from: &str) -> Result<i64> {
    let length = from
        .strip_prefix("now-")
        .context("a period that does not begin with now-")?;
    match length.strip_suffix('d') {
        Some(days) => Ok(days.parse()?),
        None => Ok(length
            .strip_suffix('h')
            .context("neither days nor hours")?
            .parse::<i64>()?
            / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read() {
        assert_eq!(days("now-90d").expect("days"), 90);
        assert_eq!(days("now-24h").expect("hours"), 1);
        assert!(days("now/w").is_err());
    }
}
