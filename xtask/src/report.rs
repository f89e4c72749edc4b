//! What the demo recorded, for people and for programs.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use anyhow::Result;
use serde_json::{Value, json};

use crate::demo::Recorded;

const TITLES: [&str; 12] = [
    "time",
    "process",
    "user",
    "container",
    "host",
    "provider",
    "model",
    "tokens in/out",
    "bytes out/in",
    "verdict",
    "findings",
    "visibility",
];

/// One JSON object on standard output.
pub(crate) fn json(recorded: &Recorded) -> Result<()> {
    let value = json!({
        "interactions": recorded.interactions,
        "findings": recorded.findings,
        "connections": recorded.connections,
        "coverage": recorded.coverage,
    });
    let mut out = BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, &value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// A table on standard output, and the coverage line under it.
pub(crate) fn table(recorded: &Recorded) -> Result<()> {
    let findings = findings_by_interaction(&recorded.findings);
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(recorded.interactions.iter().map(|row| cells(row, &findings)));
    let widths: Vec<usize> = (0..TITLES.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out)?;
    for (index, row) in rows.iter().enumerate() {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(out, "{}", rule.join("  "))?;
        }
    }
    writeln!(out, "\n{}", coverage_line(&recorded.coverage))?;
    out.flush()?;
    Ok(())
}

fn findings_by_interaction(findings: &[Value]) -> BTreeMap<&str, String> {
    let mut by_interaction: BTreeMap<&str, String> = BTreeMap::new();
    for finding in findings {
        let Some(interaction) = finding["interaction_hash"].as_str() else {
            continue;
        };
        let text = by_interaction.entry(interaction).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&format!(
            "{} x{}",
            text_of(&finding["rule_id"]),
            text_of(&finding["match_count"])
        ));
    }
    by_interaction
}

fn cells(row: &Value, findings: &BTreeMap<&str, String>) -> [String; 12] {
    let time = text_of(&row["ts"]);
    let container: String = text_of(&row["container_id"]).chars().take(12).collect();
    let model = match (
        text_of(&row["gen_ai_request_model"]),
        text_of(&row["gen_ai_response_model"]),
    ) {
        (asked, answered) if answered == "-" || answered == asked => asked,
        (asked, answered) => format!("{asked} -> {answered}"),
    };
    let visibility = match text_of(&row["visibility_reason"]).as_str() {
        "-" => text_of(&row["visibility"]),
        reason => format!("{} ({reason})", text_of(&row["visibility"])),
    };
    [
        time.split(' ').nth(1).unwrap_or(&time).chars().take(12).collect(),
        format!(
            "{}[{}]",
            text_of(&row["process_comm"]),
            text_of(&row["process_pid"])
        ),
        match text_of(&row["user_name"]).as_str() {
            "-" => text_of(&row["user_id"]),
            name => name.to_owned(),
        },
        container,
        text_of(&row["server_address"]),
        text_of(&row["gen_ai_provider_name"]),
        model,
        format!(
            "{}/{}",
            tokens(&row["gen_ai_usage_input_tokens"]),
            tokens(&row["gen_ai_usage_output_tokens"])
        ),
        format!(
            "{}/{}",
            text_of(&row["request_bytes"]),
            text_of(&row["response_bytes"])
        ),
        text_of(&row["policy_verdict"]),
        row["record_hash"]
            .as_str()
            .and_then(|hash| findings.get(hash))
            .cloned()
            .unwrap_or_else(|| "-".to_owned()),
        visibility,
    ]
}

/// A token count that the answer did not state is unknown, not 0.
fn tokens(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(|| "unknown".to_owned(), |count| count.to_string())
}

/// Text of a value; `-` for nothing. Control characters cannot reach the terminal: names come from other processes.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect(),
        other => other.to_string(),
    }
}

fn coverage_line(coverage: &Value) -> String {
    let count = |name: &str| {
        coverage[name]
            .as_u64()
            .map_or_else(|| "not measured".to_owned(), |n| n.to_string())
    };
    let percent = |name: &str| {
        coverage[name].as_f64().map_or_else(
            || "not measured".to_owned(),
            |ratio| format!("{:.1} %", ratio * 100.0),
        )
    };
    format!(
        "coverage: AI flows decoded {} of {} ({}), events delivered {} ({} seen, {} lost in the ring, {} later), \
         plaintext of socket bytes {}, unreadable flows to unknown hosts {}, probes {} of {}",
        count("ai_flows_decoded"),
        count("ai_flows"),
        percent("c_flow"),
        percent("c_event"),
        count("events_seen"),
        count("events_lost_ring"),
        count("events_lost_user"),
        percent("c_byte"),
        count("unknown_flows_opaque"),
        count("probes_attached"),
        count("probes_required"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tokens_are_not_zero() {
        let row = json!({"gen_ai_usage_input_tokens": null, "gen_ai_usage_output_tokens": 0});
        assert_eq!(cells(&row, &BTreeMap::new())[7], "unknown/0");
    }

    #[test]
    fn findings_join_by_hash() {
        let findings = [
            json!({"interaction_hash": "aa", "rule_id": "aws-access-key", "match_count": 1}),
            json!({"interaction_hash": "aa", "rule_id": "card", "match_count": 2}),
            json!({"interaction_hash": "bb", "rule_id": "email", "match_count": 1}),
        ];
        let joined = findings_by_interaction(&findings);
        assert_eq!(joined["aa"], "aws-access-key x1, card x2");
        assert_eq!(cells(&json!({"record_hash": "bb"}), &joined)[10], "email x1");
        assert_eq!(cells(&json!({"record_hash": "cc"}), &joined)[10], "-");
    }

    #[test]
    fn a_process_name_cannot_reach_the_terminal_as_control() {
        assert_eq!(text_of(&json!("a\u{1b}[31mb")), "a?[31mb");
    }

    #[test]
    fn coverage_that_was_not_measured_says_so() {
        let line = coverage_line(&json!({"ai_flows": 0, "ai_flows_decoded": 0, "c_flow": null}));
        assert!(line.contains("0 of 0 (not measured)"), "{line}");
    }
}
