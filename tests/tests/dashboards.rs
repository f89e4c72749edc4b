//! Every query of every dashboard and alert on the real engine, against a filled and an empty database. Needs no privilege.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use observer::store::{Client, migrate};
use observer_tests::grafana::{Period, dashboards, expand, json, own_period, panels};
use observer_tests::harness::{Store, daemon, library, skip};
use observer_tests::month::{self, Plan};
use serde_json::Value;

/// End of the made-up time: 2026-11-01 00:00 UTC.
const END: i64 = 1_793_491_200;
const DAYS: i64 = 9;

/// Panels that have nothing to show of a good history, by title.
const MAY_BE_EMPTY: &[&str] = &[
    "Two seals with one number",
    "Clients whose clear text fell silent",
    "Nonconformities from findings",
    "Clocks and late delivery",
    "Hosts with something wrong, latest interval",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// A query as text, with its answer.
struct Answer {
    columns: Vec<(String, String)>,
    rows: Vec<Value>,
}

fn ask(store: &Store, sql: &str) -> Result<Answer> {
    let value = store.document(sql)?;
    let columns = value["meta"].as_array().context("no columns")?;
    Ok(Answer {
        columns: columns
            .iter()
            .map(|c| (text(c, "name").to_owned(), text(c, "type").to_owned()))
            .collect(),
        rows: value["data"].as_array().cloned().unwrap_or_default(),
    })
}

fn is_number(kind: &str) -> bool {
    [
        "UInt",
        "Int",
        "Float",
        "Nullable(UInt",
        "Nullable(Int",
        "Nullable(Float",
    ]
    .iter()
    .any(|p| kind.starts_with(p))
}

/// Whether the columns are those that the panel draws.
fn check_columns(panel: &Value, answer: &Answer) -> Result<()> {
    let kind = text(panel, "type");
    let columns = &answer.columns;
    let first = columns.first().context("no column")?;
    if matches!(kind, "timeseries" | "state-timeline") {
        ensure!(
            first.0 == "time" && first.1.starts_with("DateTime"),
            "the first column is {first:?}, not a time"
        );
        let texts = columns[1..].iter().filter(|c| !is_number(&c.1)).count();
        ensure!(
            texts <= if kind == "timeseries" { 1 } else { 2 },
            "{texts} text columns"
        );
    }
    if matches!(kind, "timeseries" | "barchart") {
        ensure!(
            columns[1..].iter().any(|c| is_number(&c.1)),
            "no number among {columns:?}"
        );
    }
    if kind == "stat" {
        ensure!(
            columns.len() == 1,
            "{} columns instead of one number",
            columns.len()
        );
    }
    let names: BTreeSet<&str> = columns.iter().map(|c| c.0.as_str()).collect();
    for rule in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
        let name = text(&rule["matcher"], "options");
        let is_general = rule["properties"][0]["id"] == "color" || rule["matcher"]["id"] == "byRegexp";
        ensure!(
            is_general || names.contains(name),
            "it refers to a column {name:?} that the query does not give"
        );
    }
    Ok(())
}

fn check_panel(store: &Store, panel: &Value, period: &Period, filled: bool) -> Result<()> {
    let period = &own_period(panel, period)?;
    for target in panel["targets"].as_array().into_iter().flatten() {
        let sql = expand(text(target, "rawSql"), period)?;
        let answer = ask(store, &sql)?;
        check_columns(panel, &answer)?;
        let nothing = answer
            .rows
            .iter()
            .all(|row| row.as_object().is_none_or(|o| o.values().all(Value::is_null)));
        let may_be_empty = MAY_BE_EMPTY.contains(&text(panel, "title"));
        ensure!(!filled || !nothing || may_be_empty, "it shows nothing");
    }
    Ok(())
}

fn check_variables(store: &Store, dashboard: &Value, period: &Period) -> Result<()> {
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        if variable["type"] == "query" {
            ask(store, &expand(text(variable, "query"), period)?)?;
        }
    }
    Ok(())
}

fn check_all(store: &Store, period: &Period, filled: bool) -> Result<()> {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for dashboard in dashboards()? {
        if let Err(error) = check_variables(store, &dashboard, period) {
            wrong.push(format!("{}, variables: {error:#}", text(&dashboard, "title")));
        }
        for panel in panels(&dashboard) {
            seen += 1;
            if let Err(error) = check_panel(store, panel, period, filled) {
                wrong.push(format!(
                    "{} / {}: {error:#}",
                    text(&dashboard, "title"),
                    text(panel, "title")
                ));
            }
        }
    }
    ensure!(seen > 60, "only {seen} panels");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

fn period(from: i64, to: i64) -> Period {
    Period {
        from,
        to,
        all: true,
        values: Vec::new(),
    }
}

/// Alerts that fire, by their uid.
fn firing(store: &Store, end: i64) -> Result<BTreeSet<String>> {
    let file = json(&root().join("deploy/grafana/provisioning/alerting/observer.json"))?;
    let mut firing = BTreeSet::new();
    for rule in file["groups"][0]["rules"].as_array().context("no rules")? {
        let seconds = rule["data"][0]["relativeTimeRange"]["from"]
            .as_i64()
            .context("no period")?;
        let period = period(end - seconds, end);
        let sql = expand(text(&rule["data"][0]["model"], "rawSql"), &period)?;
        let answer = ask(store, &sql).with_context(|| text(rule, "uid").to_owned())?;
        let numbers: Vec<&(String, String)> = answer.columns.iter().filter(|c| is_number(&c.1)).collect();
        let [number] = numbers[..] else {
            bail!("{}: not one number: {:?}", text(rule, "uid"), answer.columns)
        };
        let above = rule["data"][1]["model"]["conditions"][0]["evaluator"]["params"][0]
            .as_f64()
            .context("no limit")?;
        if answer
            .rows
            .iter()
            .any(|row| row[&number.0].as_f64().is_some_and(|n| n > above))
        {
            firing.insert(text(rule, "uid").to_owned());
        }
    }
    Ok(firing)
}

async fn migrated(dir: &Path) -> Result<Option<(Store, Client)>> {
    if !daemon().exists() || !library().exists() {
        skip("the daemon or the engine library is missing: cargo xtask setup, cargo xtask build");
        return Ok(None);
    }
    let store = Store::start(dir)?;
    let client = store.client()?;
    migrate(&client).await?;
    Ok(Some((store, client)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_panel_and_alert_works_on_a_filled_store() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some((mut store, client)) = migrated(dir.path()).await? else {
        return Ok(());
    };
    let plan = Plan {
        hosts: 8,
        days: DAYS,
        interval_minutes: 60,
        end: END * 1_000_000_000,
    };
    month::fill(&client, &plan, &mut |_| {}).await?;
    let record = store.query("SELECT lower(hex(any(interaction_hash))) AS record FROM ai_evidence.ai_findings WHERE k8s_workload_name = 'code-review'")?;
    let all = Period {
        values: vec![
            ("workload", "code-review".into()),
            ("record", text(&record[0], "record").to_owned()),
        ],
        ..period(END - DAYS * 86_400, END)
    };
    check_all(&store, &all, true)?;
    // With a choice in each variable the filters must be right, too; what they leave may be nothing.
    check_all(&store, &Period { all: false, ..all }, false)?;
    let firing = firing(&store, END)?;
    for expected in [
        "observer-finding-open",
        "observer-new-blind-spot",
        "observer-late",
        "observer-review-due",
    ] {
        assert!(
            firing.contains(expected),
            "{expected} does not fire; those that do: {firing:?}"
        );
    }
    for unexpected in ["observer-fork", "observer-verification-failed", "observer-clock"] {
        assert!(!firing.contains(unexpected), "{unexpected} fires without cause");
    }
    store.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_is_no_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some((mut store, _)) = migrated(dir.path()).await? else {
        return Ok(());
    };
    check_all(&store, &period(END - 86_400, END), false)?;
    assert_eq!(firing(&store, END)?, BTreeSet::new());
    store.stop()
}

#[test]
fn ids_links_and_sizes_fit() -> Result<()> {
    let dashboards = dashboards()?;
    let uids: BTreeSet<&str> = dashboards.iter().map(|d| text(d, "uid")).collect();
    assert_eq!(uids.len(), dashboards.len(), "a uid is used twice");
    assert!(dashboards.len() >= 10);
    for dashboard in &dashboards {
        let text = dashboard.to_string();
        for link in text.split("/d/").skip(1) {
            let uid = link.split(['?', '"']).next().unwrap_or_default();
            assert!(uids.contains(uid), "a link leads to {uid}, which is no dashboard");
        }
        for panel in panels(dashboard) {
            let place = &panel["gridPos"];
            let right = place["x"].as_u64().unwrap_or(99) + place["w"].as_u64().unwrap_or(99);
            assert!(right <= 24, "{} leaves the grid", panel["title"]);
        }
    }
    Ok(())
}
