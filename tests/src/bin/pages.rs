//! Writes each dashboard with the answers to its queries as a page for `tests/draw`; `cargo xtask dashboards --draw` runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use observer::kernel::clock::wall_ns;
use observer_tests::grafana::{Period, expand};
use observer_tests::harness::document;
use serde_json::{Value, json};

/// Write dashboards with the answers to their queries as pages that draw.js draws
#[derive(Parser)]
struct Cli {
    /// Directory of the dashboards (JSON)
    #[arg(long)]
    dashboards: PathBuf,
    /// Address of the store's HTTP interface
    #[arg(long)]
    store: std::net::SocketAddr,
    /// Directory of the pages
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let to = wall_ns() / 1_000_000_000;
    for entry in std::fs::read_dir(&cli.dashboards)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let name = path
            .file_stem()
            .and_then(|n| n.to_str())
            .context("a file without a name")?
            .to_owned();
        let period = period(&cli, &dashboard, to)?;
        let answers = answers(&cli, &dashboard, &period);
        let input = json!({ "dashboard": dashboard, "answers": answers, "from": period.from * 1_000, "to": to * 1_000 });
        // Nothing in the data may end the script.
        let input = input.to_string().replace("</", "<\\/");
        let page = format!(
            "<!doctype html><meta charset=utf-8><link rel=stylesheet href=draw.css><style>body{{background:#111217;color:#ccccdc;\
             font:14px Inter,Helvetica,sans-serif;margin:0}}button,th,label,div[role=columnheader]{{color:inherit}}</style><div id=root></div><script>window.OBSERVER={input}</script>\
             <script src=draw.js></script>"
        );
        std::fs::write(cli.out.join(format!("{name}.html")), page)?;
    }
    Ok(())
}

/// The period that the dashboard shows at first, with a workload and a record that are there.
fn period(cli: &Cli, dashboard: &Value, to: i64) -> Result<Period> {
    let back = dashboard["time"]["from"]
        .as_str()
        .and_then(|t| t.strip_prefix("now-"))
        .context("no time")?;
    let (number, unit) = back.split_at(back.len() - 1);
    let seconds = number.parse::<i64>()? * if unit == "h" { 3_600 } else { 86_400 };
    let found = document(
        cli.store,
        "SELECT k8s_workload_name AS workload, lower(hex(interaction_hash)) AS record FROM ai_evidence.ai_findings WHERE severity = 'critical' ORDER BY ts DESC LIMIT 1",
    )?;
    let value = |key: &str| found["data"][0][key].as_str().unwrap_or_default().to_owned();
    Ok(Period {
        from: to - seconds,
        to,
        all: true,
        values: vec![("workload", value("workload")), ("record", value("record"))],
    })
}

/// The answer of each panel by its id; a text where the store refused.
fn answers(cli: &Cli, dashboard: &Value, period: &Period) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        let Some(sql) = panel["targets"][0]["rawSql"].as_str() else {
            continue;
        };
        let own = panel["timeFrom"]
            .as_str()
            .and_then(|w| w.strip_suffix('w')?.parse::<i64>().ok());
        let period = own.map_or_else(
            || period.clone(),
            |weeks| Period {
                from: period.to - weeks * 7 * 86_400,
                ..period.clone()
            },
        );
        let answer = expand(sql, &period).and_then(|sql| document(cli.store, &sql));
        let answer = answer.unwrap_or_else(|error| json!(format!("{error:#}")));
        answers.insert(panel["id"].to_string(), answer);
    }
    answers
}
