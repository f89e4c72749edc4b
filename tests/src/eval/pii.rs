//! Evaluation of personal data in sentences: spans that another project marked, compared with what is found.
//!
//! A span is found when a rule that answers its type ([`super::labels`]) finds something that overlaps it; a finding of
//! such a rule that overlaps no span of the type is a false alarm. Published examples count as found. Findings of rules
//! that answer no type of the file are listed by rule, as nobody marked what they look for. Types for which the project
//! has no rule on purpose (names, free dates) are counted apart, in `out_of_scope`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use observer::sensitive::{Class, Engine, Rules, redact};
use serde::Deserialize;
use serde_json::{Value, json};

use super::labels::{Meaning, meaning};
use super::{Outcome, input};

/// Characters of a text that are shown on either side of a place.
const SHOWN: usize = 40;

#[derive(Debug, Deserialize)]
struct Row {
    text: String,
    #[serde(default)]
    spans: Vec<Span>,
}

/// Characters from `start` to `end` of the text.
#[derive(Debug, Deserialize)]
struct Span {
    start: usize,
    end: usize,
    #[serde(rename = "type")]
    label: String,
}

/// What became of one type.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct OfType {
    found: usize,
    missed: usize,
    false_alarms: usize,
}

impl OfType {
    fn recall(self) -> f64 {
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        count(self.found) / count((self.found + self.missed).max(1))
    }
}

#[derive(Debug, Default)]
struct Report {
    types: BTreeMap<String, OfType>,
    out_of_scope: BTreeMap<String, usize>,
    /// Findings of rules that answer no type.
    unmarked: BTreeMap<String, usize>,
    /// Places on which marks and rules disagree.
    wrong: Vec<String>,
}

/// Evaluates one file.
///
/// # Errors
/// As [`super::run`].
pub fn run(path: &Path) -> Result<Outcome> {
    let rows: Vec<Row> = input::rows(path)?;
    let (rules, engine) = super::builtin()?;
    let mut report = Report::default();
    let labels: BTreeSet<&str> = rows
        .iter()
        .flat_map(|r| &r.spans)
        .map(|s| s.label.as_str())
        .collect();
    let mut asked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for label in labels {
        match meaning(&engine, label) {
            Meaning::OutOfScope => {
                let spans = rows.iter().flat_map(|row| &row.spans);
                let count = spans.filter(|span| span.label == label).count();
                report.out_of_scope.insert(label.to_owned(), count);
            }
            Meaning::Rules(rules) => {
                asked.insert(label, rules);
            }
        }
    }
    for row in &rows {
        judge(&engine, row, &asked, &mut report);
    }
    Ok(Outcome {
        json: as_json(&rules, &report),
        text: as_text(&rules, &report),
    })
}

fn judge(engine: &Engine, row: &Row, asked: &BTreeMap<&str, BTreeSet<String>>, report: &mut Report) {
    let found = found(engine, &row.text);
    let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    for (label, rules) in asked {
        let of = report.types.entry((*label).to_owned()).or_default();
        let spans = row.spans.iter().filter(|span| span.label == *label);
        let spans: Vec<Range<usize>> = spans
            .map(|span| super::byte_range(&row.text, span.start, span.end))
            .collect();
        let answers: Vec<&(String, Range<usize>)> =
            found.iter().filter(|(rule, _)| rules.contains(rule)).collect();
        for span in &spans {
            if answers.iter().any(|(_, place)| overlap(place, span)) {
                of.found += 1;
            } else {
                of.missed += 1;
                let shown = shown(&row.text, span);
                report.wrong.push(format!("missed       {label:<20} {shown}"));
            }
        }
        let mut false_places: Vec<&Range<usize>> = Vec::new();
        for (rule, place) in answers {
            let known = false_places.iter().any(|other| overlap(place, other));
            if known || spans.iter().any(|span| overlap(place, span)) {
                continue;
            }
            false_places.push(place);
            of.false_alarms += 1;
            let shown = shown(&row.text, place);
            report
                .wrong
                .push(format!("false alarm  {label:<20} {shown} by {rule}"));
        }
    }
    for (rule, place) in &found {
        if !asked.values().any(|rules| rules.contains(rule)) {
            *report.unmarked.entry(rule.clone()).or_default() += 1;
            let shown = shown(&row.text, place);
            report.wrong.push(format!("not marked   {rule:<20} {shown}"));
        }
    }
}

/// Rules about persons that find something in a text, and where, in bytes.
fn found(engine: &Engine, text: &str) -> Vec<(String, Range<usize>)> {
    redact(engine, text)
        .findings
        .into_iter()
        .filter(|finding| finding.class == Class::Pii)
        .filter_map(|finding| {
            let start = usize::try_from(finding.start).ok()?;
            let end = start.checked_add(usize::try_from(finding.bytes).ok()?)?;
            Some((finding.rule_id, start..end))
        })
        .collect()
}

/// A place with what stands around it, in one line.
fn shown(text: &str, place: &Range<usize>) -> String {
    let before: String = text[..place.start].chars().rev().take(SHOWN).collect();
    let before: String = before.chars().rev().collect();
    let after: String = text[place.end..].chars().take(SHOWN).collect();
    format!("{:?}", format!("{before}[{}]{after}", &text[place.clone()]))
}

fn as_json(rules: &Rules, report: &Report) -> Value {
    let one = |of: &OfType| json!({"true_positives": of.found, "misses": of.missed, "false_alarms": of.false_alarms});
    let spans: serde_json::Map<String, Value> = report
        .types
        .iter()
        .map(|(label, of)| (label.clone(), one(of)))
        .collect();
    json!({
        "rules": rules.list().len(),
        "rule_version": rules.version(),
        "spans": spans,
        "not_marked": report.unmarked,
        "out_of_scope": report.out_of_scope,
    })
}

fn as_text(rules: &Rules, report: &Report) -> String {
    let mut out = format!("{} rules, version {}\n", rules.list().len(), rules.version());
    let _ = writeln!(
        out,
        "{:<20} {:>6} {:>7} {:>12} {:>7}",
        "type", "found", "missed", "false alarms", "recall"
    );
    for (label, of) in &report.types {
        let _ = writeln!(
            out,
            "{label:<20} {:>6} {:>7} {:>12} {:>7.3}",
            of.found,
            of.missed,
            of.false_alarms,
            of.recall()
        );
    }
    let list = |counts: &BTreeMap<String, usize>| {
        let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        each.join(", ")
    };
    let _ = writeln!(
        out,
        "findings of kinds that are not marked: {}",
        list(&report.unmarked)
    );
    let _ = writeln!(
        out,
        "out of scope (no rule on purpose): {}",
        list(&report.out_of_scope)
    );
    let _ = writeln!(out, "\ndisagreements: {}", report.wrong.len());
    for line in &report.wrong {
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn spans_are_compared_by_type() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "é Write to jo.doe@acme-corp.io or ann@acme-corp.io, SSN 536-90-4399";
        let at = |value: &str| text.chars().count() - text[text.find(value).unwrap()..].chars().count();
        let span = |value: &str, label: &str| json!({"start": at(value), "end": at(value) + value.len(), "type": label, "value": value});
        let row = json!({"text": text, "spans": [
            span("jo.doe@acme-corp.io", "EMAIL_ADDRESS"),
            span("Write", "EMAIL_ADDRESS"),
            span("Write", "PERSON"),
        ]});
        writeln!(file, "{row}").unwrap();
        let outcome = run(file.path()).unwrap();
        assert_eq!(
            outcome.json["spans"],
            json!({"EMAIL_ADDRESS": {"true_positives": 1, "misses": 1, "false_alarms": 1}})
        );
        assert_eq!(outcome.json["not_marked"], json!({"us_ssn": 1}));
        assert_eq!(outcome.json["out_of_scope"], json!({"PERSON": 1}));
        assert!(outcome.text.contains("missed"), "{}", outcome.text);
    }
}
