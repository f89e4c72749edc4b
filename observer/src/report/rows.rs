//! Evidence rows as tables.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{
    table::{Column, Tone, Value, left, render, right, toned},
    text,
};
use crate::evidence::{ConnectionRow, FindingRow, InteractionRow, Severity};

/// What a table of interactions shows of one. Names are the columns of `ai_interactions`, so that it can be read
/// from the store by [`Line::COLUMNS`].
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Line {
    /// First byte of the request, ns since the Unix epoch.
    pub ts: i64,
    /// Command name.
    pub process_comm: String,
    /// Process id.
    pub process_pid: u32,
    /// User id.
    pub user_id: u32,
    /// Name of that; empty when there is none.
    pub user_name: String,
    /// Container; empty outside.
    pub container_id: String,
    /// Host asked.
    pub server_address: String,
    /// Provider.
    pub gen_ai_provider_name: String,
    /// Model asked for.
    pub gen_ai_request_model: String,
    /// Model that answered.
    pub gen_ai_response_model: String,
    /// Input tokens, where known.
    pub gen_ai_usage_input_tokens: Option<u64>,
    /// Output tokens, where known.
    pub gen_ai_usage_output_tokens: Option<u64>,
    /// Request bytes.
    pub request_bytes: u64,
    /// Response bytes.
    pub response_bytes: u64,
    /// How long it took, ns.
    pub duration_ns: u64,
    /// Verdict.
    pub policy_verdict: String,
    /// Number of findings.
    pub finding_count: u16,
    /// decoded, partial or opaque.
    pub visibility: String,
    /// Why not decoded.
    pub visibility_reason: String,
}

impl From<&InteractionRow> for Line {
    fn from(row: &InteractionRow) -> Self {
        Self {
            ts: row.ts,
            process_comm: row.process_comm.clone(),
            process_pid: row.process_pid,
            user_id: row.user_id,
            user_name: row.user_name.clone(),
            container_id: row.container_id.clone(),
            server_address: row.server_address.clone(),
            gen_ai_provider_name: row.gen_ai_provider_name.clone(),
            gen_ai_request_model: row.gen_ai_request_model.clone(),
            gen_ai_response_model: row.gen_ai_response_model.clone(),
            gen_ai_usage_input_tokens: row.gen_ai_usage_input_tokens,
            gen_ai_usage_output_tokens: row.gen_ai_usage_output_tokens,
            request_bytes: row.request_bytes,
            response_bytes: row.response_bytes,
            duration_ns: row.duration_ns,
            policy_verdict: row.policy_verdict.clone(),
            finding_count: row.finding_count,
            visibility: row.visibility.clone(),
            visibility_reason: row.visibility_reason.clone(),
        }
    }
}

/// Longest name in a column; a hostile server name or model does not push the others away.
const NAME: usize = 32;

/// Columns of [`Line::values`].
pub const LINE_COLUMNS: [Column; 12] = [
    left("time (UTC)"),
    left("process"),
    left("user"),
    left("host"),
    left("provider"),
    left("model"),
    right("tokens in/out"),
    right("bytes req/resp"),
    right("took"),
    left("verdict"),
    right("findings"),
    left("visibility"),
];

impl Line {
    /// Columns to select, in the order of the fields.
    pub fn select() -> String {
        <Self as Row>::COLUMN_NAMES.join(", ")
    }

    /// The values of [`LINE_COLUMNS`].
    pub fn values(&self) -> Vec<Value> {
        let user = match self.user_name.as_str() {
            // The number that no user has: a recording does not know.
            "" if self.user_id == u32::MAX => "?".to_owned(),
            "" => self.user_id.to_string(),
            name => name.to_owned(),
        };
        let container: String = self.container_id.chars().take(12).collect();
        let user = if container.is_empty() {
            user
        } else {
            format!("{user}@{container}")
        };
        let (asked, answered) = (&self.gen_ai_request_model, &self.gen_ai_response_model);
        let tokens = (self.gen_ai_usage_input_tokens, self.gen_ai_usage_output_tokens);
        vec![
            text::clock(self.ts).into(),
            format!("{} ({})", text::short(&self.process_comm, NAME), self.process_pid).into(),
            text::short(&user, NAME).into(),
            text::short(&self.server_address, NAME).into(),
            text::short(&self.gen_ai_provider_name, NAME).into(),
            text::short(if answered.is_empty() { asked } else { answered }, NAME).into(),
            format!("{}/{}", text::count(tokens.0), text::count(tokens.1)).into(),
            format!(
                "{}/{}",
                text::bytes(self.request_bytes),
                text::bytes(self.response_bytes)
            )
            .into(),
            text::millis(self.duration_ns).into(),
            toned(&*self.policy_verdict, verdict_tone(&self.policy_verdict)),
            toned(
                self.finding_count.to_string(),
                if self.finding_count > 0 {
                    Tone::Bad
                } else {
                    Tone::Plain
                },
            ),
            toned(
                with_reason(&self.visibility, &self.visibility_reason),
                visibility_tone(&self.visibility),
            ),
        ]
    }
}

/// Interactions as a table.
pub fn interactions<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    let rows: Vec<Vec<Value>> = lines.into_iter().map(Line::values).collect();
    render(&LINE_COLUMNS, &rows)
}

/// Findings as a table.
pub fn findings(rows: &[FindingRow]) -> String {
    const COLUMNS: [Column; 8] = [
        left("rule"),
        left("kind"),
        left("severity"),
        left("confidence"),
        left("where"),
        left("JSON path"),
        right("count"),
        left("host"),
    ];
    let values = |row: &FindingRow| -> Vec<Value> {
        let severity = severity_name(row.severity);
        vec![
            text::short(&row.rule_id, NAME).into(),
            row.finding_type.as_str().into(),
            toned(severity, severity_tone(severity)),
            row.confidence.as_str().into(),
            row.direction.as_str().into(),
            text::short(&row.json_path, 2 * NAME).into(),
            row.match_count.to_string().into(),
            text::short(&row.server_address, NAME).into(),
        ]
    };
    render(&COLUMNS, &rows.iter().map(values).collect::<Vec<_>>())
}

/// Connections as a table.
pub fn connections(rows: &[ConnectionRow]) -> String {
    const COLUMNS: [Column; 8] = [
        left("opened (UTC)"),
        left("process"),
        left("host"),
        left("peer"),
        right("plaintext out/in"),
        right("exchanges"),
        left("visibility"),
        left("ended by"),
    ];
    let values = |row: &ConnectionRow| -> Vec<Value> {
        vec![
            text::clock(row.ts).into(),
            format!("{} ({})", text::short(&row.process_comm, NAME), row.process_pid).into(),
            text::short(&row.server_address, NAME).into(),
            peer(row).into(),
            format!(
                "{}/{}",
                text::bytes(row.plaintext_sent),
                text::bytes(row.plaintext_received)
            )
            .into(),
            row.exchanges_decoded.to_string().into(),
            toned(
                with_reason(&row.visibility, &row.opaque_reason),
                visibility_tone(&row.visibility),
            ),
            row.close_reason.as_str().into(),
        ]
    };
    render(&COLUMNS, &rows.iter().map(values).collect::<Vec<_>>())
}

fn peer(row: &ConnectionRow) -> String {
    if row.network_peer_address.is_unspecified() {
        return "?".to_owned();
    }
    let address = row.network_peer_address.to_canonical();
    std::net::SocketAddr::new(address, row.server_port).to_string()
}

fn with_reason(visibility: &str, reason: &str) -> String {
    if reason.is_empty() {
        visibility.to_owned()
    } else {
        format!("{visibility}: {reason}")
    }
}

fn verdict_tone(verdict: &str) -> Tone {
    match verdict {
        "sanctioned" => Tone::Good,
        "unsanctioned" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn visibility_tone(visibility: &str) -> Tone {
    match visibility {
        "decoded" => Tone::Plain,
        "partial" => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// Colour of a severity.
pub fn severity_tone(severity: &str) -> Tone {
    match severity {
        "high" | "critical" => Tone::Bad,
        "medium" => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// Word for a severity, as the table's Enum8 gives it.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interaction_shows_unknown_tokens_as_unknown_and_its_container() {
        let mut row = InteractionRow::unknown();
        row.process_comm = "python3".into();
        row.process_pid = 7;
        row.user_id = 1000;
        row.container_id = "0123456789abcdef".into();
        row.gen_ai_usage_output_tokens = Some(0);
        row.gen_ai_request_model = "asked".into();
        row.visibility = "partial".into();
        row.visibility_reason = "lost_events".into();
        let text = interactions([&Line::from(&row)]);
        for part in [
            "python3 (7)",
            "1000@0123456789ab",
            " ?/0 ",
            "asked",
            "partial: lost_events",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn every_column_of_the_store_is_a_column_of_the_row() {
        for name in <Line as Row>::COLUMN_NAMES {
            assert!(<InteractionRow as Row>::COLUMN_NAMES.contains(name), "{name}");
        }
        assert_eq!(
            Line::from(&InteractionRow::unknown()).values().len(),
            LINE_COLUMNS.len()
        );
    }

    #[test]
    fn a_peer_that_is_not_known_is_not_invented() {
        let mut row = ConnectionRow::unknown();
        assert_eq!(peer(&row), "?");
        row.network_peer_address = "::ffff:192.0.2.7".parse().unwrap();
        row.server_port = 443;
        assert_eq!(peer(&row), "192.0.2.7:443");
    }
}
