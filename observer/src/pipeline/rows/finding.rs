//! Rows of findings.

use super::{super::Rulebook, text};
use crate::{
    dialect::{Place, TextRole},
    evidence::{FindingRow, InteractionRow, Severity},
    policy::FindingFact,
    protocol::Side,
    sensitive::{self, Finding, ScanReport},
};

/// A finding, as policy sees it: published examples are none.
pub(super) fn finding_fact(finding: &Finding) -> Option<FindingFact<'_>> {
    (!finding.documented_example).then(|| FindingFact {
        class: finding.class.name(),
        rule: &finding.rule_id,
        severity: finding.severity,
        place: direction(&finding.place),
    })
}

/// Rows of the findings of an exchange. The link to the interaction is set when that has its hash.
pub(in super::super) fn findings(
    book: &Rulebook,
    row: &InteractionRow,
    report: &ScanReport,
) -> Vec<FindingRow> {
    report
        .findings
        .iter()
        .map(|finding| one_finding(book, row, finding))
        .collect()
}

fn one_finding(book: &Rulebook, of: &InteractionRow, finding: &Finding) -> FindingRow {
    let mut row = FindingRow::unknown();
    row.ts = of.ts;
    row.finding_type = finding.class.name().to_owned();
    row.rule_id.clone_from(&finding.rule_id);
    row.rule_version.clone_from(&book.rules_version);
    row.rule_pack_sha256 = book.rules_digest;
    row.severity = severity(finding.severity);
    // A published example is never to be confused with a real value, however well its checksum fits.
    let confidence = if finding.documented_example {
        "documented_example"
    } else {
        finding.confidence.name()
    };
    row.confidence = confidence.to_owned();
    row.direction = direction(&finding.place).to_owned();
    row.json_path = text(&finding.place.path);
    row.match_count = finding.count;
    row.match_bytes = finding.bytes;
    row.value_hmac.clone_from(&finding.hmacs);
    if !finding.hmacs.is_empty() {
        row.hmac_key_id = book.key.id().to_owned();
    }
    row.server_address.clone_from(&of.server_address);
    row.gen_ai_provider_name.clone_from(&of.gen_ai_provider_name);
    row.k8s_namespace_name.clone_from(&of.k8s_namespace_name);
    row.k8s_workload_name.clone_from(&of.k8s_workload_name);
    row
}

fn severity(of: sensitive::Severity) -> Severity {
    match of {
        sensitive::Severity::Info => Severity::Info,
        sensitive::Severity::Low => Severity::Low,
        sensitive::Severity::Medium => Severity::Medium,
        sensitive::Severity::High => Severity::High,
        sensitive::Severity::Critical => Severity::Critical,
    }
}

fn direction(place: &Place) -> &'static str {
    match (place.role, place.side) {
        (TextRole::ToolArguments, _) => "tool_args",
        (TextRole::ToolResult, _) => "tool_result",
        // What was heard in a live session comes back in writing.
        (TextRole::Prompt | TextRole::System, _) | (_, Side::Request) => "prompt",
        (_, Side::Response) => "response",
    }
}
