//! `cargo xtask test --clients`: real AI clients against a local endpoint while the daemon watches, and the table of it in
//! `docs/clients.md`. The work is done by the program `client-matrix`; here are the build, the table and the exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::{document, machine};
use crate::demo::Format;
use crate::run::{is_root, output, root, say};
use crate::{build, setup};

const AREA: &str = "clients";
const DOCUMENT: &str = "docs/clients.md";

/// Heads of the table's columns.
const HEADS: [&str; 11] = [
    "client",
    "version",
    "TLS stack",
    "stored as",
    "how found",
    "tie",
    "protocol",
    "connections",
    "decoded",
    "otherwise",
    "date",
];

/// Runs the clients whose names contain one of the words, all without one; only then the document is written.
pub(crate) fn run(words: &[String], format: Format) -> Result<ExitCode> {
    if !is_root() {
        bail!(
            "the clients run in namespaces and are observed: sudo env PATH=\"$PATH\" cargo xtask test --clients"
        );
    }
    setup::all()?;
    build::all()?;
    let rows = measure(words)?;
    let table = table(&rows, &date());
    if words.is_empty() {
        write_down(&table)?;
    }
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let whole = json!({"machine": machine::line(), "clients": rows});
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
        }
        Format::Table => writeln!(out, "{table}")?,
    }
    let (summary, good) = summary(&rows);
    say(AREA, &summary);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(words: &[String]) -> Result<Vec<Value>> {
    let output = Command::new(build::client_matrix())
        .args(words)
        .current_dir(root())
        .env("OBSERVER_LIVE", "1")
        .env("OBSERVER_BIN", build::daemon())
        .env("OBSERVER_ENDPOINT", build::endpoint())
        .env("OBSERVER_CHDB", setup::chdb_library())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the client matrix")?;
    if !output.status.success() {
        bail!(
            "it ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).context("a result is not JSON"))
        .collect()
}

fn date() -> String {
    output(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_else(|| "unknown".to_owned())
}

fn write_down(table: &str) -> Result<()> {
    let path = root().join(DOCUMENT);
    let old = std::fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let new = document::replace(&old, "clients", &format!("{}\n\n{table}", machine::line()))?;
    std::fs::write(&path, new).with_context(|| format!("cannot write {DOCUMENT}"))?;
    say(AREA, &format!("{DOCUMENT} written"));
    Ok(())
}

/// One sentence, and whether no client was silent.
fn summary(rows: &[Value]) -> (String, bool) {
    let of = |test: fn(&Value) -> bool| rows.iter().filter(|row| test(row)).count();
    let silent = of(|row| row["silent"] == true);
    let text = format!(
        "{} clients: {} ran well, {} decoded, {silent} silent",
        rows.len(),
        of(|row| row["trouble"] == ""),
        of(|row| verdict(row) == "yes"),
    );
    (text, silent == 0)
}

/// Table in Markdown.
fn table(rows: &[Value], date: &str) -> String {
    let mut text = format!("| {} |\n|{}\n", HEADS.join(" | "), "---|".repeat(HEADS.len()));
    for row in rows {
        let cells = cells(row, date).map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn cells(row: &Value, date: &str) -> [String; 11] {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    [
        text("client"),
        text("version"),
        text("built_with"),
        set(row, "stacks"),
        set(row, "found"),
        set(row, "ties"),
        set(row, "protocols"),
        shares(row, "connection_rows", "connections"),
        decoded(row),
        otherwise(row),
        date.to_owned(),
    ]
}

fn runs(row: &Value) -> impl Iterator<Item = &Value> {
    row["runs"].as_array().into_iter().flatten()
}

/// All words of a list in both runs; `-` when there are none.
fn set(row: &Value, name: &str) -> String {
    let words: BTreeSet<&str> = runs(row)
        .flat_map(|run| run[name].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    if words.is_empty() {
        return "-".to_owned();
    }
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// `1/1, 1/1`: parts of wholes, for each run.
fn shares(row: &Value, part: &str, whole: &str) -> String {
    let shares: Vec<String> = runs(row)
        .map(|run| format!("{}/{}", run[part], run[whole]))
        .collect();
    if shares.is_empty() {
        "-".to_owned()
    } else {
        shares.join(", ")
    }
}

/// yes, part or no; `-` for a client that makes no AI call.
fn verdict(row: &Value) -> &'static str {
    let sum = |name: &str| runs(row).filter_map(|run| run[name].as_u64()).sum::<u64>();
    match (sum("decoded"), sum("calls")) {
        (_, 0) => "-",
        (0, _) => "no",
        (decoded, calls) if decoded >= calls => "yes",
        _ => "part",
    }
}

fn decoded(row: &Value) -> String {
    match verdict(row) {
        "-" => "-".to_owned(),
        verdict => format!("{verdict} ({})", shares(row, "decoded", "calls")),
    }
}

/// Why something is missing.
fn otherwise(row: &Value) -> String {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in runs(row).flat_map(|run| run["reasons"].as_object().into_iter().flatten()) {
        *reasons.entry(reason).or_default() += count.as_u64().unwrap_or_default();
    }
    let mut words: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} x {reason}"))
        .collect();
    if row["silent"] == true {
        words.insert(0, "SILENT: no row".to_owned());
    }
    if let Some(trouble) = row["trouble"].as_str().filter(|text| !text.is_empty()) {
        words.insert(0, trouble.to_owned());
    }
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(decoded: u64, calls: u64) -> Value {
        json!({"connections": 1, "calls": calls, "decoded": decoded, "connection_rows": 1, "protocols": ["h2"],
            "stacks": [], "found": [], "ties": ["in_call"], "reasons": if decoded < calls { json!({"connection opaque: no_probe": 1}) } else { json!({}) }})
    }

    fn row(runs: &[Value]) -> Value {
        json!({"client": "a|b", "version": "1", "built_with": "x", "trouble": "", "silent": false, "runs": runs})
    }

    #[test]
    fn decoded_says_what_both_runs_came_to() {
        assert_eq!(decoded(&row(&[seen(1, 1), seen(1, 1)])), "yes (1/1, 1/1)");
        assert_eq!(decoded(&row(&[seen(0, 1), seen(1, 1)])), "part (0/1, 1/1)");
        assert_eq!(decoded(&row(&[seen(0, 1), seen(0, 1)])), "no (0/1, 0/1)");
        assert_eq!(decoded(&row(&[seen(0, 0), seen(0, 0)])), "-");
    }

    #[test]
    fn a_row_has_its_reasons_and_no_broken_cells() {
        let text = table(&[row(&[seen(0, 1), seen(0, 1)])], "2026-11-25");
        let line = text.lines().last().expect("a row");
        assert!(line.starts_with("| a\\|b | 1 | x | - | - | in_call | h2 | 1/1, 1/1 | no (0/1, 0/1) | 2 x connection opaque: no_probe |"), "{line}");
    }

    #[test]
    fn a_silent_client_fails_the_run() {
        let mut silent = row(&[seen(0, 1)]);
        silent["silent"] = json!(true);
        assert!(!summary(&[silent.clone()]).1);
        assert!(otherwise(&silent).starts_with("SILENT"));
        assert!(summary(&[row(&[seen(0, 1)])]).1);
    }
}
