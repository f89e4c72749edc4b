//! Evaluation of secrets: lines that hold one and lines that do not, by the rule of another scanner.
//!
//! A line is found when it gives a finding of class `credential`, `secret` or `custom` that is no published example:
//! a line about a person is no secret, and an example that the pack knows is said to be one. The line is scanned as
//! one text, by the engine that the daemon uses. Labels are those of single rules: a line that is a negative for one
//! may hold another rule's secret, so not all negatives can stay silent. Negatives that stand among the positives of
//! another rule, word for word, are counted among all negatives and once more by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use observer::sensitive::{Class, Engine, Rules, scan_text};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tally::{Kind, Tally};
use super::{Outcome, input};

/// Rules in the table at most.
const SHOWN_RULES: usize = 60;

#[derive(Debug, Deserialize)]
struct Row {
    rule_id: String,
    kind: Kind,
    text: String,
}

/// What became of the lines of one labelled rule.
#[derive(Debug, Default)]
struct OfRule {
    positives: Tally,
    negatives: Tally,
    /// Rules of this project that found something, on all its lines.
    by: BTreeSet<String>,
}

/// What became of all lines.
#[derive(Debug, Default)]
struct Totals {
    positives: Tally,
    negatives: Tally,
    /// Those of the negatives whose text is a positive of another rule.
    also_positive: Tally,
    by_rule: BTreeMap<String, OfRule>,
    /// Rows that disagree with their label: number of the row, label and who found something. Never their text.
    disagreements: Vec<Value>,
}

impl Totals {
    fn add(&mut self, number: usize, row: Row, finders: BTreeSet<String>, also_positive: bool) {
        let found = !finders.is_empty();
        let negative = row.kind == Kind::Negative;
        if found == negative {
            let kind = if negative { "negative" } else { "positive" };
            self.disagreements.push(
                json!({"row": number, "rule_id": row.rule_id, "kind": kind, "by": finders, "also_positive": also_positive}),
            );
        }
        let of_rule = self.by_rule.entry(row.rule_id).or_default();
        let tallies = match row.kind {
            Kind::Positive => [&mut self.positives, &mut of_rule.positives],
            Kind::Negative => [&mut self.negatives, &mut of_rule.negatives],
        };
        for tally in tallies {
            tally.add(found);
        }
        if negative && also_positive {
            self.also_positive.add(found);
        }
        of_rule.by.extend(finders);
    }
}

/// Evaluates one file.
///
/// # Errors
/// As [`super::run`].
pub fn run(path: &Path) -> Result<Outcome> {
    let rows: Vec<Row> = input::rows(path)?;
    let (rules, engine) = super::builtin()?;
    let positive = |row: &&Row| row.kind == Kind::Positive;
    let positives: BTreeSet<String> = rows.iter().filter(positive).map(|row| row.text.clone()).collect();
    let mut totals = Totals::default();
    for (index, row) in rows.into_iter().enumerate() {
        let finders = finders(&engine, &row.text);
        let also_positive = positives.contains(&row.text);
        totals.add(index + 1, row, finders, also_positive);
    }
    Ok(Outcome {
        json: as_json(&rules, &totals),
        text: as_text(&rules, &totals),
    })
}

/// The rules that find something secret in a text.
fn finders(engine: &Engine, text: &str) -> BTreeSet<String> {
    let report = scan_text(engine, [text.as_bytes()]);
    let secret = |class| matches!(class, Class::Credential | Class::Secret | Class::Custom);
    report
        .findings
        .into_iter()
        .filter(|finding| secret(finding.class) && !finding.documented_example)
        .map(|finding| finding.rule_id)
        .collect()
}

fn as_json(rules: &Rules, totals: &Totals) -> Value {
    let one = |of: &OfRule| json!({"positives": of.positives.json(), "negatives": of.negatives.json(), "by": of.by});
    let by_rule: serde_json::Map<String, Value> = totals
        .by_rule
        .iter()
        .map(|(id, of)| (id.clone(), one(of)))
        .collect();
    json!({
        "rules": rules.list().len(),
        "rule_version": rules.version(),
        "positives": totals.positives.json(),
        "negatives": totals.negatives.json(),
        "negatives_also_positive": totals.also_positive.json(),
        "by_rule": by_rule,
        "disagreements": totals.disagreements,
    })
}

fn as_text(rules: &Rules, totals: &Totals) -> String {
    let mut out = format!("{} rules, version {}\n", rules.list().len(), rules.version());
    let by_rule = &totals.by_rule;
    for (name, tally) in [
        ("positives", totals.positives),
        ("negatives", totals.negatives),
        ("of which are positives of another rule", totals.also_positive),
    ] {
        let _ = writeln!(
            out,
            "{name:<10} {:>6} of {:>6} found, {:>5.1} %",
            tally.found,
            tally.total,
            tally.percent()
        );
    }
    let missed = |of: &OfRule| of.positives.total - of.positives.found;
    list(&mut out, "missed", by_rule, missed, |of| of.positives.total);
    list(
        &mut out,
        "false alarms",
        by_rule,
        |of| of.negatives.found,
        |of| of.negatives.total,
    );
    out
}

/// The labelled rules for which `bad` is not 0, worst first.
fn list(
    out: &mut String,
    title: &str,
    by_rule: &BTreeMap<String, OfRule>,
    bad: impl Fn(&OfRule) -> usize,
    of_all: impl Fn(&OfRule) -> usize,
) {
    let mut rows: Vec<(&String, &OfRule)> = by_rule.iter().filter(|(_, of)| bad(of) > 0).collect();
    rows.sort_by_key(|(id, of)| (std::cmp::Reverse(bad(of)), (*id).clone()));
    let _ = writeln!(out, "\n{title}, by labelled rule: {} rules", rows.len());
    for (id, of) in rows.iter().take(SHOWN_RULES) {
        let by: Vec<&str> = of.by.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "{:>4} of {:>4}  {id:<44} {}",
            bad(of),
            of_all(of),
            by.join(", ")
        );
    }
    if rows.len() > SHOWN_RULES {
        let _ = writeln!(out, "     and {} more rules", rows.len() - SHOWN_RULES);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use observer::sensitive::rules::expand_example;

    use super::*;

    #[test]
    fn found_and_silent_lines_are_counted_by_rule() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (rule, kind, text) in [
            ("a.1", "positive", "ghp_<alnum:36>"),
            ("a.1", "positive", "nothing"),
            ("a.1", "negative", "nothing"),
            ("b.1", "negative", "glpat-<b64url:20>"),
            ("b.1", "positive", "AKIA<base32:9>EXAMPLE"),
            ("b.1", "negative", "write to jo.doe@acme-corp.io"),
        ] {
            let row = json!({"rule_id": rule, "kind": kind, "text": expand_example(text), "source": "x"});
            writeln!(file, "{row}").unwrap();
        }
        let outcome = run(file.path()).unwrap();
        assert_eq!(outcome.json["positives"], json!({"found": 1, "total": 3}));
        assert_eq!(outcome.json["negatives"], json!({"found": 1, "total": 3}));
        assert_eq!(
            outcome.json["by_rule"]["a.1"]["positives"],
            json!({"found": 1, "total": 2})
        );
        assert_eq!(outcome.json["by_rule"]["b.1"]["by"], json!(["gitlab_token"]));
        assert_eq!(
            outcome.json["negatives_also_positive"],
            json!({"found": 0, "total": 1})
        );
        let rows: Vec<_> = outcome.json["disagreements"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| &d["row"])
            .collect();
        assert_eq!(rows, [2, 4, 5]);
        assert!(outcome.text.contains("1 of      3 found"), "{}", outcome.text);
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "{{\"rule_id\": \"a\", \"kind\": \"maybe\", \"text\": \"x\"}}"
        )
        .unwrap();
        let error = format!("{:#}", run(file.path()).unwrap_err());
        assert!(error.contains("line 1") && error.contains("maybe"), "{error}");
    }
}
