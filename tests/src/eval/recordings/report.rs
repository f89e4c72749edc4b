//! The result as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::super::Outcome;
use super::connection::Transport;
use super::judge::{Count, Disagreement, FIELDS, Tally};

/// JSON: `{field: {"correct": n, "total": n}, ..., "disagreements": [...]}`; fields over both transports, and
/// `http1.field` and `http2.field` for each.
pub(super) fn outcome(tallies: &[(Transport, Tally)]) -> Outcome {
    let mut json = Map::new();
    for field in FIELDS {
        json.insert(field.to_owned(), counted(sum(tallies, field)));
    }
    for (transport, tally) in tallies {
        for field in FIELDS {
            let count = tally.fields.get(field).copied().unwrap_or_default();
            json.insert(format!("{}.{field}", transport.name()), counted(count));
        }
    }
    let all = tallies
        .iter()
        .flat_map(|(transport, tally)| tally.disagreements.iter().map(|d| listed(*transport, d)));
    json.insert("disagreements".to_owned(), all.collect());
    Outcome {
        json: Value::Object(json),
        text: table(tallies),
    }
}

fn sum(tallies: &[(Transport, Tally)], field: &str) -> Count {
    let mut all = Count::default();
    for count in tallies.iter().filter_map(|(_, tally)| tally.fields.get(field)) {
        all.correct += count.correct;
        all.total += count.total;
    }
    all
}

fn counted(count: Count) -> Value {
    json!({"correct": count.correct, "total": count.total})
}

fn listed(transport: Transport, of: &Disagreement) -> Value {
    json!({"id": of.id, "transport": transport.name(), "field": of.field, "call": of.call,
        "label": of.label, "observer": of.observer, "judgement": of.judgement})
}

fn table(tallies: &[(Transport, Tally)]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{:<18}{:>13}{:>9}   {}", "", "", "%", header(tallies));
    for field in FIELDS {
        let count = sum(tallies, field);
        let _ = write!(
            out,
            "{field:<18}{:>13}{:>9}",
            format!("{}/{}", count.correct, count.total),
            percent(count)
        );
        for (_, tally) in tallies {
            let count = tally.fields.get(field).copied().unwrap_or_default();
            let _ = write!(out, "   {:>11}", format!("{}/{}", count.correct, count.total));
        }
        out.push('\n');
    }
    for (transport, tally) in tallies {
        let name = transport.name();
        let partial: Vec<String> = tally
            .partial
            .iter()
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        let _ = writeln!(
            out,
            "\n{name}: {} calls of others taken for AI, {} counts where the answer has none, {} of {} calls about models, files \
             and jobs are rows; rows not read whole: {}",
            tally.false_ai,
            tally.false_counts,
            tally.administration.correct,
            tally.administration.total,
            if partial.is_empty() {
                "none".to_owned()
            } else {
                partial.join(", ")
            },
        );
    }
    disagreements(&mut out, tallies);
    out
}

fn header(tallies: &[(Transport, Tally)]) -> String {
    let names = tallies
        .iter()
        .map(|(transport, _)| format!("{:>11}", transport.name()));
    names.collect::<Vec<_>>().join("   ")
}

/// Each once, with the transports on which it was seen.
fn disagreements(out: &mut String, tallies: &[(Transport, Tally)]) {
    let mut seen: Vec<(&Disagreement, Vec<&str>)> = Vec::new();
    for (transport, tally) in tallies {
        for one in &tally.disagreements {
            match seen.iter_mut().find(|(other, _)| *other == one) {
                Some((_, on)) => on.push(transport.name()),
                None => seen.push((one, vec![transport.name()])),
            }
        }
    }
    if seen.is_empty() {
        return;
    }
    seen.sort_by_key(|(one, _)| FIELDS.iter().position(|field| *field == one.field));
    let (judged, seen): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(one, _)| one.judgement.is_some());
    let mut wrong: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (one, _) in &judged {
        let why = one.judgement.as_deref().unwrap_or_default();
        *wrong.entry((one.field, why)).or_default() += 1;
    }
    if !judged.is_empty() {
        let _ = writeln!(
            out,
            "\n{} labels judged wrong, and not counted (each is in the JSON)",
            judged.len()
        );
    }
    for ((field, why), times) in wrong {
        let _ = writeln!(out, "  {field:<18} {times}: {why}");
    }
    let _ = writeln!(out, "\n{} disagreements", seen.len());
    for (one, on) in seen {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        let only = if on.len() < tallies.len() {
            format!(" ({} only)", on.join(", "))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "  {:<18} {}: label {}, observer {}{only}\n    {}",
            one.field,
            one.id,
            value(&one.label),
            value(&one.observer),
            one.call
        );
    }
}

fn percent(count: Count) -> String {
    if count.total == 0 {
        return "-".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of recordings")]
    let share = count.correct as f64 * 100.0 / count.total as f64;
    format!("{share:.2}")
}
