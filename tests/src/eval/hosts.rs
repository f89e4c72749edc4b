//! Evaluation of hosts: a table of host patterns and paths, with provider and class, against the catalogue.
//!
//! The file has tab-separated columns with their names in the first line; `host`, `provider_id` and `category` are
//! needed, `api_paths` (separated by `;`) is used where it is there. A `*` in a host and `{name}` in a path are filled
//! with examples, each of which must be known. A row is a negative case where its category or provider says so
//! ([`NEGATIVE`]): it must not be taken for AI.
//!
//! JSON: `{field: {correct, total}}` for `is_ai` and `provider`, `classes: {class: {is_ai, provider}}` and
//! `disagreements`.

mod samples;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use observer::catalog::{Catalog, Class, Explanation, Known, Standing};
use serde_json::{Value, json};

use super::{Outcome, input};

/// Words for rows that are no AI.
const NEGATIVE: &[&str] = &[
    "none", "(none)", "-", "no", "not-ai", "not_ai", "notai", "non-ai", "non_ai", "no-ai", "negative",
    "other", "false", "0",
];

/// One line of the file.
#[derive(Debug)]
struct Row {
    line: usize,
    host: String,
    provider: String,
    class: String,
    paths: Vec<String>,
    ai: bool,
}

/// Right answers out of all.
#[derive(Debug, Default, Clone, Copy)]
struct Score {
    correct: usize,
    total: usize,
}

impl Score {
    fn count(&mut self, right: bool) {
        self.total += 1;
        self.correct += usize::from(right);
    }

    fn json(self) -> Value {
        json!({"correct": self.correct, "total": self.total})
    }

    fn text(self) -> String {
        match self.total {
            0 => "-".to_owned(),
            _ => format!("{}/{}", self.correct, self.total),
        }
    }
}

#[derive(Debug, Default)]
struct Report {
    is_ai: Score,
    provider: Score,
    classes: BTreeMap<String, [Score; 2]>,
    disagreements: Vec<Value>,
}

/// Evaluates one file.
///
/// # Errors
/// As [`super::run`]; the columns are not there, or there is no row.
pub fn run(path: &Path) -> Result<Outcome> {
    let rows = read(path)?;
    if rows.is_empty() {
        bail!("{}: no row", path.display());
    }
    let report = judge_all(&Catalog::builtin(), &rows);
    Ok(Outcome {
        json: as_json(&report),
        text: as_text(&report),
    })
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let mut lines = input::lines(path)?.enumerate();
    let shown = path.display();
    let head = match lines.next() {
        Some((_, line)) => line?,
        None => bail!("{shown}: empty"),
    };
    let names: Vec<&str> = head.trim_end().split('\t').collect();
    let column = |name: &str| names.iter().position(|n| n.eq_ignore_ascii_case(name));
    let needed = |name: &str| {
        column(name)
            .with_context(|| format!("{shown}: line 1: no column `{name}`, only {}", names.join(", ")))
    };
    let (host, provider, class) = (needed("host")?, needed("provider_id")?, needed("category")?);
    let paths = column("api_paths");
    let mut rows = Vec::new();
    for (number, line) in lines {
        let line = line?;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        if cell(host).is_empty() {
            bail!("{shown}: line {}: no host", number + 1);
        }
        rows.push(Row {
            line: number + 1,
            host: cell(host).to_owned(),
            provider: cell(provider).to_owned(),
            class: cell(class).to_owned(),
            paths: paths.map_or_else(Vec::new, |at| samples::paths(cell(at))),
            ai: !negative(cell(class)) && !negative(cell(provider)) && !cell(class).is_empty(),
        });
    }
    Ok(rows)
}

fn negative(word: &str) -> bool {
    NEGATIVE.contains(&word.to_ascii_lowercase().as_str())
}

fn judge_all(catalog: &Catalog, rows: &[Row]) -> Report {
    let mut report = Report::default();
    for row in rows {
        let class = if row.class.is_empty() { "none" } else { &row.class };
        let scores = report.classes.entry(class.to_owned()).or_default();
        let (ai, provider, why) = judge(catalog, row);
        report.is_ai.count(ai);
        scores[0].count(ai);
        if row.ai {
            report.provider.count(provider);
            scores[1].count(provider);
        }
        if let Some(why) = why {
            report.disagreements.push(json!({
                "line": row.line,
                "host": row.host,
                "category": row.class,
                "field": if ai { "provider" } else { "is_ai" },
                "expected": if row.ai { row.provider.clone() } else { "no AI".to_owned() },
                "got": why,
            }));
        }
    }
    report
}

/// Whether the catalogue agrees about AI and about the provider; where not, what it says.
fn judge(catalog: &Catalog, row: &Row) -> (bool, bool, Option<String>) {
    let hosts = samples::hosts(&row.host);
    if !row.ai {
        let paths = samples::or_root(&row.paths);
        let taken = cases(&hosts, &paths).find_map(|(host, path)| {
            let found = catalog.explain(host, path);
            (found.standing == Standing::Ai).then(|| said(host, path, &found))
        });
        return (taken.is_none(), true, taken);
    }
    let (mut ai, mut provider, mut why) = (true, true, None);
    for host in &hosts {
        for (path, found) in answers(catalog, host, &row.paths) {
            let named = |entry: &Known| catalog.is_name_of(&row.provider, &entry.provider);
            let known = is_known(&found);
            // Several servers have the same port and paths: each of them is a right answer.
            let local = |entry: &Known| entry.class == Class::SelfHosted;
            let also = found.entry.as_ref().is_some_and(local) && found.others.iter().any(named);
            let named = also || found.entry.as_ref().is_some_and(named);
            ai &= known;
            provider &= named;
            if !(known && named) && why.is_none() {
                why = Some(said(host, &path, &found));
            }
        }
    }
    (ai, provider, why)
}

/// What is known of a host with each of its paths. Where no path is labelled, a shared host is asked for with one that
/// the catalogue wants: the label is about the host then.
fn answers(catalog: &Catalog, host: &str, paths: &[String]) -> Vec<(String, Explanation)> {
    let ask = |path: String| {
        let found = catalog.explain(host, &path);
        (path, found)
    };
    let answers: Vec<_> = samples::or_root(paths).into_iter().map(ask).collect();
    let wanted = answers
        .first()
        .filter(|(_, found)| paths.is_empty() && found.standing == Standing::NeedsPath)
        .and_then(|(_, found)| found.entry.as_ref()?.paths.first())
        .map(|rule| rule.replacen('*', "/x", 1));
    match wanted {
        Some(path) => vec![ask(path)],
        None => answers,
    }
}

/// Services around AI are in such lists too.
fn is_known(found: &Explanation) -> bool {
    matches!(found.standing, Standing::Ai | Standing::Related)
}

fn cases<'a>(hosts: &'a [String], paths: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
    hosts
        .iter()
        .flat_map(move |host| paths.iter().map(move |path| (host.as_str(), path.as_str())))
}

fn said(host: &str, path: &str, found: &Explanation) -> String {
    match &found.entry {
        Some(entry) => format!(
            "{host}{path}: {} by {} ({}) in {}:{}",
            found.standing.name(),
            entry.pattern,
            entry.provider,
            entry.file,
            entry.line
        ),
        None => format!("{host}{path}: {}", found.standing.name()),
    }
}

fn as_json(report: &Report) -> Value {
    let classes: BTreeMap<&String, Value> = report
        .classes
        .iter()
        .map(|(class, [ai, provider])| (class, json!({"is_ai": ai.json(), "provider": provider.json()})))
        .collect();
    json!({
        "is_ai": report.is_ai.json(),
        "provider": report.provider.json(),
        "classes": classes,
        "disagreements": report.disagreements,
    })
}

fn as_text(report: &Report) -> String {
    let mut text = format!("{:<20} {:>10} {:>10}\n", "CLASS", "IS_AI", "PROVIDER");
    let all = [report.is_ai, report.provider];
    let classes = report
        .classes
        .iter()
        .map(|(class, scores)| (class.as_str(), scores));
    for (class, [ai, provider]) in classes.chain([("all", &all)]) {
        text.push_str(&format!(
            "{class:<20} {:>10} {:>10}\n",
            ai.text(),
            provider.text()
        ));
    }
    for d in &report.disagreements {
        let word = |key: &str| d[key].as_str().unwrap_or_default();
        text.push_str(&format!(
            "line {}: {} ({}): {}: expected {}, got {}\n",
            d["line"],
            word("host"),
            word("category"),
            word("field"),
            word("expected"),
            word("got")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn outcome(text: &str) -> Result<Outcome> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        run(file.path())
    }

    #[test]
    fn right_and_wrong_rows_are_counted_by_class() {
        let text = "provider_id\tcategory\thost\tapi_paths\n\
            openai\tllm-api\tapi.openai.com\t/v1/chat/completions;/v1/responses\n\
            azure-openai\tllm-api\t*.openai.azure.com\t\n\
            anthropic\tllm-api\tapi.openai.com\t\n\
            nobody\tllm-api\tnobody.example\t/v1/x\n\
            (none)\tnot-ai\tauth.openai.com\t/oauth/token\n\
            (none)\tnot-ai\tapi.openai.com\t/v1/chat/completions\n";
        let json = outcome(text).unwrap().json;
        assert_eq!(json["is_ai"], json!({"correct": 4, "total": 6}), "{json:#}");
        assert_eq!(json["provider"], json!({"correct": 2, "total": 4}), "{json:#}");
        assert_eq!(
            json["classes"]["not-ai"]["is_ai"],
            json!({"correct": 1, "total": 2})
        );
        let lines: Vec<u64> = json["disagreements"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|d| d["line"].as_u64())
            .collect();
        assert_eq!(lines, [4, 5, 7]);
    }

    #[test]
    fn a_file_without_the_columns_is_refused_with_their_names() {
        let error = outcome("name\thost\nx\ty\n").unwrap_err().to_string();
        assert!(error.contains("line 1: no column `provider_id`"), "{error}");
        let error = outcome("provider_id\tcategory\thost\nx\ty\t\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2: no host"), "{error}");
    }
}
