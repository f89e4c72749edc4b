//! Evaluation of identifiers with checksums: short texts, each labelled with the kind of identifier that another
//! project looks for in it, and whether there is one.
//!
//! A positive is found when a rule that answers its label ([`super::labels`]) finds something at each marked place; one
//! without marks, when such a rule finds anything. A negative is a false alarm when such a rule finds anything: a text
//! that holds no IBAN may well hold a telephone number. Published examples count: that the pack knows a number as one
//! is said apart from whether its checksum is right. Texts are scanned whole, by the engine that the daemon uses.
//!
//! Kinds for which the project has no rule on purpose (names, free dates) are counted apart, in `out_of_scope`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use observer::sensitive::{Engine, Rules, redact};
use serde::Deserialize;
use serde_json::{Value, json};

use super::labels::{Meaning, meaning};
use super::tally::{Kind, Tally};
use super::{Outcome, input};

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    recognizer: String,
    #[serde(default)]
    entity: String,
    kind: Kind,
    text: String,
    #[serde(default)]
    spans: Vec<Span>,
}

impl Row {
    /// The label of the row; where it has none, what its recogniser is called after.
    fn label(&self) -> String {
        match self.entity.as_str() {
            "" => self.recognizer.trim_end_matches("_recognizer").to_uppercase(),
            entity => entity.to_owned(),
        }
    }
}

/// Characters from `start` to `end` of the text.
#[derive(Debug, Deserialize)]
struct Span {
    start: usize,
    end: usize,
}

/// What became of the rows of one label.
#[derive(Debug, Default)]
struct OfLabel {
    positives: Tally,
    negatives: Tally,
    out_of_scope: bool,
    /// Rules that found something where they were asked.
    by: BTreeSet<String>,
    /// Texts on which label and rules disagree.
    wrong: Vec<String>,
}

/// Evaluates one file.
///
/// # Errors
/// As [`super::run`].
pub fn run(path: &Path) -> Result<Outcome> {
    let rows: Vec<Row> = input::rows(path)?;
    let (rules, engine) = super::builtin()?;
    let mut labels: BTreeMap<String, OfLabel> = BTreeMap::new();
    for row in &rows {
        judge(&engine, row, labels.entry(row.label()).or_default());
    }
    Ok(Outcome {
        json: as_json(&rules, &labels),
        text: as_text(&rules, &labels),
    })
}

fn judge(engine: &Engine, row: &Row, of: &mut OfLabel) {
    // Texts that are masks or words to deny have a label of no identifier at all.
    let meaning = match row.label().as_str() {
        "PATTERN" | "" => Meaning::OutOfScope,
        label => meaning(engine, label),
    };
    let asked = match &meaning {
        Meaning::OutOfScope => None,
        Meaning::Rules(rules) => Some(rules),
    };
    of.out_of_scope |= asked.is_none();
    let found: Vec<(usize, usize)> = redact(engine, &row.text)
        .findings
        .into_iter()
        .filter(|finding| asked.is_some_and(|rules| rules.contains(&finding.rule_id)))
        .map(|finding| {
            let start = usize::try_from(finding.start).unwrap_or(usize::MAX);
            let bytes = usize::try_from(finding.bytes).unwrap_or(usize::MAX);
            of.by.insert(finding.rule_id);
            (start, start.saturating_add(bytes))
        })
        .collect();
    let marked = row.spans.iter().all(|span| {
        let place = super::byte_range(&row.text, span.start, span.end);
        found
            .iter()
            .any(|(start, end)| *start < place.end && place.start < *end)
    });
    let hit = !found.is_empty() && (row.kind == Kind::Negative || marked);
    let (tally, right) = match row.kind {
        Kind::Positive => (&mut of.positives, hit),
        Kind::Negative => (&mut of.negatives, !hit),
    };
    tally.add(hit);
    if !right {
        let what = if hit { "false alarm" } else { "missed" };
        of.wrong.push(format!("{what:<12} {:?}", row.text));
    }
}

/// Positives and negatives of all labels in scope, or of all others.
fn totals(labels: &BTreeMap<String, OfLabel>, out_of_scope: bool) -> (Tally, Tally) {
    let mut totals = (Tally::default(), Tally::default());
    for of in labels.values().filter(|of| of.out_of_scope == out_of_scope) {
        totals.0.merge(of.positives);
        totals.1.merge(of.negatives);
    }
    totals
}

fn as_json(rules: &Rules, labels: &BTreeMap<String, OfLabel>) -> Value {
    let (positives, negatives) = totals(labels, false);
    let (out_positives, out_negatives) = totals(labels, true);
    let one = |of: &OfLabel| {
        json!({
            "positives": of.positives.json(),
            "negatives": of.negatives.json(),
            "by": of.by,
            "out_of_scope": of.out_of_scope,
        })
    };
    let by_rule: serde_json::Map<String, Value> = labels
        .iter()
        .map(|(label, of)| (label.clone(), one(of)))
        .collect();
    json!({
        "rules": rules.list().len(),
        "rule_version": rules.version(),
        "positives": positives.json(),
        "negatives": negatives.json(),
        "by_rule": by_rule,
        "out_of_scope": {"positives": out_positives.json(), "negatives": out_negatives.json()},
    })
}

fn as_text(rules: &Rules, labels: &BTreeMap<String, OfLabel>) -> String {
    let mut out = format!("{} rules, version {}\n", rules.list().len(), rules.version());
    let (positives, negatives) = totals(labels, false);
    for (name, tally) in [("positives", positives), ("negatives", negatives)] {
        let _ = writeln!(
            out,
            "{name:<10} {:>6} of {:>6} found, {:>5.1} %",
            tally.found,
            tally.total,
            tally.percent()
        );
    }
    let right = Tally {
        found: positives.found + negatives.total - negatives.found,
        total: positives.total + negatives.total,
    };
    let _ = writeln!(
        out,
        "right      {:>6} of {:>6}      , {:>5.1} %",
        right.found,
        right.total,
        right.percent()
    );
    let (out_positives, out_negatives) = totals(labels, true);
    let _ = writeln!(
        out,
        "out of scope (no rule on purpose): {} rows",
        out_positives.total + out_negatives.total
    );
    let wrong = |of: &&OfLabel| !of.out_of_scope && !of.wrong.is_empty();
    let disagreeing = labels.values().filter(wrong).count();
    let _ = writeln!(out, "\ndisagreements: {disagreeing} labels");
    for (label, of) in labels.iter().filter(|(_, of)| wrong(of)) {
        for text in &of.wrong {
            let _ = writeln!(out, "{label:<28} {text}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn texts_are_judged_by_the_rules_that_answer_their_label() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let row = |entity: &str, kind: &str, text: &str, spans: Value| json!({"recognizer": "x_recognizer", "entity": entity, "kind": kind, "text": text, "spans": spans});
        for row in [
            row(
                "IBAN_CODE",
                "positive",
                "é DE89 3704 0044 0532 0130 00",
                json!([{"start": 2, "end": 29, "value": ""}]),
            ),
            row("IBAN_CODE", "positive", "DE89 3704 0044 0532 0130 01", json!([])),
            row("IBAN_CODE", "negative", "write to jo.doe@acme-corp.io", json!([])),
            row("IBAN_CODE", "negative", "GB33BUKB20201555555555", json!([])),
            row("PERSON", "positive", "Dan", json!([])),
        ] {
            writeln!(file, "{row}").unwrap();
        }
        let outcome = run(file.path()).unwrap();
        assert_eq!(outcome.json["positives"], json!({"found": 1, "total": 2}));
        assert_eq!(outcome.json["negatives"], json!({"found": 1, "total": 2}));
        assert_eq!(
            outcome.json["out_of_scope"]["positives"],
            json!({"found": 0, "total": 1})
        );
        assert_eq!(outcome.json["by_rule"]["IBAN_CODE"]["by"], json!(["iban"]));
        assert!(outcome.text.contains("false alarm"), "{}", outcome.text);
    }
}
