//! What was in use, by whose leave, and what went out with it. Pure.

use super::super::charts;
use super::super::facts::{Facts, System};
use super::super::html::{Cell, classed, grouped, number, paragraph, table, text};
use super::{SHOWN, rest, time, verdict_cell};

pub(super) fn systems(facts: &Facts) -> String {
    let mut out = String::from("<h2>AI systems and providers in use</h2>\n");
    out.push_str(&charts::calls(
        &facts.bins,
        facts.coverage.scope.from,
        facts.coverage.scope.to,
    ));
    out.push_str(
        "<p class=\"legend\"><i class=\"sanctioned\"></i>sanctioned<i class=\"unknown\"></i>unknown<i class=\"unsanctioned\"></i>unsanctioned: calls over time, by the verdict at the time of the call</p>\n",
    );
    let rows: Vec<Vec<Cell>> = facts
        .systems
        .iter()
        .take(SHOWN)
        .map(|s| {
            vec![
                text(&*s.provider),
                text(&*s.server_address),
                text(&*s.model),
                text(&*s.caller),
                verdict_cell(&s.verdict),
                number(s.calls),
                number(s.failed),
                number(s.hosts),
                tokens(s.input_tokens, s),
                tokens(s.output_tokens, s),
                time(s.first),
                time(s.last),
            ]
        })
        .collect();
    let heads = [
        "provider",
        "server",
        "model",
        "caller",
        "verdict",
        "calls",
        "failed",
        "hosts",
        "tokens in",
        "tokens out",
        "first",
        "last",
    ];
    out.push_str(&table(&heads, &rows, "No AI call was decoded in this period."));
    out.push_str(&rest(facts.systems.len(), "systems.csv"));
    out.push_str(&paragraph(&format!(
        "Tokens are those that answers state; {} of {} calls stated none.",
        grouped(facts.calls_without_tokens()),
        grouped(facts.calls())
    )));
    out.push_str("<h3>Destinations that were seen and never read</h3>\n");
    let rows: Vec<Vec<Cell>> = facts
        .unread
        .iter()
        .take(SHOWN)
        .map(|u| {
            vec![
                text(&*u.destination),
                text(&*u.class),
                text(&*u.caller),
                text(u.reasons.join(", ")),
                number(u.connections),
                time(u.first),
                time(u.last),
            ]
        })
        .collect();
    let heads = [
        "destination",
        "class",
        "caller",
        "why",
        "connections",
        "first",
        "last",
    ];
    out.push_str(&table(&heads, &rows, "No such destination."));
    out.push_str(&rest(facts.unread.len(), "unread.csv"));
    out
}

/// Tokens of the calls that stated some.
fn tokens(count: u64, of: &System) -> Cell {
    if of.tokens_unknown == of.calls {
        return classed("not said", "n");
    }
    number(count)
}

pub(super) fn sanctioned(facts: &Facts) -> String {
    let mut out = String::from("<h2>Sanctioned and unsanctioned use</h2>\n");
    let rows: Vec<Vec<Cell>> = ["sanctioned", "unsanctioned", "unknown"]
        .into_iter()
        .map(|verdict| {
            let (systems, calls) = facts.system_total(verdict);
            vec![verdict_cell(verdict), number(systems), number(calls)]
        })
        .collect();
    out.push_str(&table(&["verdict", "systems", "calls"], &rows, ""));
    out.push_str(&paragraph(
        "The verdict is that of the policy in force at the time of the call. Changing the policy later does not change it.",
    ));
    let unsanctioned = facts.systems.iter().filter(|s| s.verdict == "unsanctioned");
    let rows: Vec<Vec<Cell>> = unsanctioned
        .take(SHOWN)
        .map(|s| {
            vec![
                text(&*s.server_address),
                text(&*s.model),
                text(&*s.caller),
                text(if s.policy_rule.is_empty() {
                    "default of the policy"
                } else {
                    &s.policy_rule
                }),
                number(s.calls),
                number(s.users),
                time(s.first),
                time(s.last),
            ]
        })
        .collect();
    let heads = [
        "server",
        "model",
        "caller",
        "decided by",
        "calls",
        "users",
        "first",
        "last",
    ];
    out.push_str(&table(
        &heads,
        &rows,
        "No unsanctioned use was observed within this scope.",
    ));
    out
}

pub(super) fn findings(facts: &Facts) -> String {
    let mut out = String::from("<h2>Sensitive data in calls</h2>\n");
    let mut by_kind: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for f in &facts.findings {
        *by_kind.entry(format!("{}: {}", f.kind, f.rule)).or_default() += f.findings;
    }
    let mut bars: Vec<(String, u64)> = by_kind.into_iter().collect();
    bars.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    bars.truncate(12);
    if !bars.is_empty() {
        out.push_str(&charts::bars("findings by rule", &bars));
    }
    let rows: Vec<Vec<Cell>> = facts
        .findings
        .iter()
        .take(SHOWN)
        .map(|f| {
            let class = match f.severity.as_str() {
                "critical" => "critical",
                "high" => "high",
                "medium" => "medium",
                _ => "",
            };
            vec![
                classed(&*f.severity, class),
                text(&*f.kind),
                text(&*f.rule),
                text(&*f.direction),
                text(&*f.provider),
                verdict_cell(&f.verdict),
                number(f.findings),
                number(f.calls),
                number(f.hosts),
                number(f.disposed),
            ]
        })
        .collect();
    let heads = [
        "severity", "type", "rule", "where", "provider", "call was", "findings", "calls", "hosts", "disposed",
    ];
    out.push_str(&table(
        &heads,
        &rows,
        "No sensitive data was found in what was read.",
    ));
    out.push_str(&rest(facts.findings.len(), "findings.csv"));
    out.push_str(&paragraph(
        "Values are never kept: a finding is a rule, a place and a count.",
    ));
    out
}
