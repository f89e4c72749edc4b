//! Live kernel: names that would speak to terminals, databases and browsers, in every text that a process chooses. Rows hold them as
//! text, and so do `observer top`, the report, the log and the queries of the dashboards.

use std::path::Path;

use anyhow::{Context, Result};
use observer_tests::grafana::{Period, dashboards, expand, panels};
use observer_tests::harness::{Host, Options, executable, live};
use serde_json::Value;

/// Speaks to terminals, browsers, databases and spreadsheets.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}<img src=x onerror=alert(1)>'; DROP TABLE ai_interactions; --\n\\";

/// No character that steers a terminal.
fn is_calm(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control())
}

/// Texts in a row, however deep.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// A call of a program with a hostile name and path, to a model, with a tool and an agent that have one, too.
fn hostile_call(host: &Host) -> Result<()> {
    let folder = host.dir().join(HOSTILE);
    std::fs::create_dir(&folder)?;
    let program = folder.join("\u{1b}[2J<b>'--\n=x");
    std::fs::copy(executable("curl")?, &program)?;
    let name = format!("gpt-4o {HOSTILE}");
    let body = serde_json::json!({"model": name, "user": HOSTILE, "messages": [{"role": "user", "content": HOSTILE}],
        "tools": [{"type": "function", "function": {"name": HOSTILE, "parameters": {"type": "object"}}}]});
    host.program(&program)
        .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(host.dir().join("ca.pem"))
        .args(["--connect-to", &format!("::127.0.0.1:{}", host.endpoint.port())])
        .args([
            "--user-agent",
            "<script>alert(2)</script>' OR 1=1; --",
            "--header",
            "Content-Type: application/json",
        ])
        .args([
            "--data",
            &body.to_string(),
            "https://api.openai.com/v1/chat/completions",
        ])
        .run()?;
    Ok(())
}

/// The page shows the name as text, and no tag of it.
fn check_pack(pack: &Path) -> Result<()> {
    let page = std::fs::read_to_string(pack.join("report.html"))?;
    assert!(
        page.contains("&lt;img src=x"),
        "the hostile model is not in the report"
    );
    for raw in ["<img", "<script>alert", "\u{1b}", "\u{7}"] {
        assert!(!page.contains(raw), "the report holds {raw:?}");
    }
    for entry in std::fs::read_dir(pack)? {
        let path = entry?.path();
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        assert!(
            text.chars()
                .all(|c| c == '\n' || c == '\r' || c == '\t' || !c.is_control()),
            "{}",
            path.display()
        );
    }
    Ok(())
}

/// Every query of every dashboard runs over these rows and with such a name as the reader's choice.
fn check_dashboards(host: &Host) -> Result<()> {
    let store = host.store.as_ref().context("no store")?;
    let now = store.query("SELECT toUnixTimestamp(now()) AS now")?[0]["now"]
        .as_i64()
        .context("no time")?;
    let name = HOSTILE.trim_end_matches('\\').to_owned();
    let values = ["cluster", "namespace", "host", "provider", "workload", "record"]
        .map(|variable| (variable, name.clone()));
    let chosen = Period {
        from: now - 3600,
        to: now + 60,
        all: false,
        values: values.into(),
    };
    let all = Period {
        all: true,
        values: Vec::new(),
        ..chosen.clone()
    };
    let mut asked = 0;
    for dashboard in dashboards()? {
        for target in panels(&dashboard).flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
            let sql = target["rawSql"].as_str().unwrap_or_default();
            for period in [&chosen, &all] {
                store
                    .document(&expand(sql, period)?)
                    .with_context(|| dashboard["title"].to_string())?;
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "{asked} queries");
    Ok(())
}

#[test]
fn names_that_speak_to_terminals_databases_and_browsers_are_text() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        more: "alerts:\n  to: stdout\n  findings: info\n".to_owned(),
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    hostile_call(&host)?;
    host.wait_for_interactions(1)?;
    host.wait_for_seals(4)?;
    let shown = host.observer(&["top", "--once"])?;
    assert!(
        shown.contains("DROP TABLE") || shown.contains("gpt-4o"),
        "{shown}"
    );
    assert!(is_calm(&shown), "{shown:?}");
    let pack = host.dir().join("pack");
    let pack_name = pack.display().to_string();
    host.observer(&["report", "--from", "1h", "--output", &pack_name])?;
    check_pack(&pack)?;
    check_dashboards(&host)?;
    let logged = host.daemon()?.output();
    assert!(logged.chars().all(|c| c == '\n' || !c.is_control()), "{logged:?}");
    let record = host.finish(1)?;
    let mut stored = Vec::new();
    for rows in [
        &record.interactions,
        &record.connections,
        &record.findings,
        &record.seals,
    ] {
        rows.iter().for_each(|row| texts(row, &mut stored));
    }
    for text in &stored {
        assert!(is_calm(text), "{text:?}");
    }
    assert!(
        stored.iter().filter(|text| text.contains("DROP TABLE")).count() >= 3,
        "{stored:#?}"
    );
    Ok(())
}
