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

/// What the panels must show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Each something, but for those that have nothing to show of a good history.
    Something,
    /// Something or nothing.
    Anything,
    /// No number: nobody observed, so a 0 would be made up.
    NoNumber,
}

fn check_panel(store: &Store, panel: &Value, period: &Period, shown: Shown) -> Result<()> {
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
        ensure!(
            shown != Shown::Something || !nothing || may_be_empty,
            "it shows nothing"
        );
        ensure!(
            shown != Shown::NoNumber || nothing || text(panel, "type") != "stat",
            "it shows a number where nothing is known: {:?}",
            answer.rows
        );
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

fn check_all(store: &Store, period: &Period, shown: Shown) -> Result<()> {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for dashboard in dashboards()? {
        if let Err(error) = check_variables(store, &dashboard, period) {
            wrong.push(format!("{}, variables: {error:#}", text(&dashboard, "title")));
        }
        for panel in panels(&dashboard) {
            seen += 1;
            if let Err(error) = check_panel(store, panel, period, shown) {
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
    check_all(&store, &all, Shown::Something)?;
    // With a choice in each variable the filters must be right, too; what they leave may be nothing.
    let made_up = Period {
        all: false,
        ..all.clone()
    };
    check_all(&store, &made_up, Shown::Anything)?;
    clusters_have_their_silent_hosts(&store, &all)?;
    alerts_of_a_good_history(&store)?;
    dead_hosts_are_missed_until_they_are_gone(&store, &client).await?;
    each_verdict_but_verified_calls(&store, &client).await?;
    a_secret_that_arrives_late_calls(&store, &client).await?;
    store.stop()
}

/// The made-up history has its open findings and late rows; nothing of it is a reason to be called at night.
fn alerts_of_a_good_history(store: &Store) -> Result<()> {
    let firing = firing(store, END)?;
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
    for unexpected in [
        "observer-fork",
        "observer-verification-failed",
        "observer-verification-partial",
        "observer-verification-old",
        "observer-seal-missing",
        "observer-clock",
    ] {
        assert!(!firing.contains(unexpected), "{unexpected} fires without cause");
    }
    Ok(())
}

/// Hosts of the inventory without a seal are in the cluster that the inventory names, though no exchange of theirs does.
fn clusters_have_their_silent_hosts(store: &Store, all: &Period) -> Result<()> {
    for (cluster, expected) in [("prod-eu", 1), ("another", 0)] {
        let mut period = all.clone();
        period.values.push(("cluster", cluster.to_owned()));
        let rows = panel_rows(
            store,
            "observer-coverage",
            "Hosts of the inventory without a seal",
            &period,
        )?;
        ensure!(rows.len() == expected, "{cluster}: {rows:?}");
    }
    Ok(())
}

fn panel_rows(store: &Store, uid: &str, title: &str, period: &Period) -> Result<Vec<Value>> {
    let all = dashboards()?;
    let dashboard = all
        .iter()
        .find(|d| text(d, "uid") == uid)
        .context("no dashboard")?;
    let panel = panels(dashboard)
        .find(|panel| text(panel, "title") == title)
        .context("no panel")?;
    let sql = expand(text(&panel["targets"][0], "rawSql"), period)?;
    Ok(ask(store, &sql)?.rows)
}

/// All hosts sealed until the end, once an hour.
async fn dead_hosts_are_missed_until_they_are_gone(store: &Store, client: &Client) -> Result<()> {
    const HOUR: i64 = 3_600;
    let missed = |at: i64| Ok::<_, anyhow::Error>(firing(store, at)?.contains("observer-seal-missing"));
    ensure!(
        !missed(END + 2 * HOUR)?,
        "three intervals may pass: the way to the store takes time"
    );
    ensure!(missed(END + 4 * HOUR)?, "dead hosts are not missed");
    ensure!(missed(END + 72 * HOUR)?, "dead hosts are forgotten");
    // A change of the policy: two seals of nearly no length, on every host.
    let seals = "INSERT INTO ai_evidence.evidence_seals (host_id, chain_epoch, seal_seq, interval_start, interval_end, seal_kind)";
    let newest = "SELECT host_id, max(chain_epoch) AS epoch, argMax(seal_seq, (chain_epoch, seal_seq)) AS seq FROM ai_evidence.evidence_seals GROUP BY host_id";
    for (number, from, to) in [(1, END, END + 1), (2, END + 1, END + 1)] {
        let sql = format!(
            "{seals} SELECT host_id, epoch, seq + {number}, fromUnixTimestamp64Milli({from}000, 'UTC'), \
             fromUnixTimestamp64Milli({to}000, 'UTC'), 'interval' FROM ({newest})"
        );
        client.command(&sql).await?;
    }
    ensure!(
        !missed(END + 2 * HOUR)?,
        "short seals are taken for the length of an interval"
    );
    let gone = format!(
        "INSERT INTO ai_evidence.host_inventory (observed_at, source, host_id, in_scope, gone_at) SELECT \
         fromUnixTimestamp64Milli({0}000, 'UTC'), 'kubernetes/prod-eu', host_id, true, fromUnixTimestamp64Milli({0}000, 'UTC') \
         FROM ({newest})",
        END + HOUR
    );
    client.command(&gone).await?;
    ensure!(
        !missed(END + 4 * HOUR)?,
        "hosts that the inventory says are gone are missed"
    );
    Ok(())
}

/// Runs that found something are noted as such, whatever they found; before, somebody verified each day.
async fn each_verdict_but_verified_calls(store: &Store, client: &Client) -> Result<()> {
    let after = END + 3 * 86_400;
    ensure!(
        firing(store, after)?.contains("observer-verification-old"),
        "nobody misses the verifications"
    );
    for (minute, verdict, calls) in [
        (1, "findings", [true, false]),
        (2, "could_not_verify", [false, true]),
        (3, "verified", [false, false]),
    ] {
        let sql = format!(
            "INSERT INTO ai_evidence.verification_runs (ts, run_id, verdict) SELECT \
             fromUnixTimestamp64Milli({}000, 'UTC'), generateUUIDv4(), '{verdict}'",
            END + minute * 60
        );
        client.command(&sql).await?;
        let firing = firing(store, after)?;
        let of_runs = ["observer-verification-failed", "observer-verification-partial"];
        ensure!(of_runs.map(|uid| firing.contains(uid)) == calls, "{verdict}");
    }
    Ok(())
}

/// The call began two days ago, its rows come now.
async fn a_secret_that_arrives_late_calls(store: &Store, client: &Client) -> Result<()> {
    let now = store.query("SELECT toUnixTimestamp(now()) AS now")?[0]["now"]
        .as_i64()
        .context("no time")?;
    let calls = |at: i64| Ok::<_, anyhow::Error>(firing(store, at)?.contains("observer-secret-unsanctioned"));
    let began = "now64(9, 'UTC') - INTERVAL 2 DAY";
    for sql in [
        format!(
            "INSERT INTO ai_evidence.ai_interactions (ts, record_hash, policy_verdict) SELECT {began}, SHA256('late'), 'unknown'"
        ),
        format!(
            "INSERT INTO ai_evidence.ai_findings (ts, record_hash, interaction_hash, finding_type, severity, rule_id) SELECT {began}, \
             SHA256('late finding'), SHA256('late'), 'secret', 'high', 'a_rule'"
        ),
    ] {
        client.command(&sql).await?;
    }
    ensure!(calls(now + 60)?, "nobody is called");
    ensure!(!calls(now + 3_600)?, "it calls for ever");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_is_no_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some((mut store, _)) = migrated(dir.path()).await? else {
        return Ok(());
    };
    check_all(&store, &period(END - 86_400, END), Shown::NoNumber)?;
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
