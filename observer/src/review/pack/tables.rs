//! The data of the pack, as CSV (RFC 4180) and JSON. Pure.

use serde_json::{Value, json as object};

mod governance;

use super::PackFile;
use super::facts::Facts;
use crate::report::{
    json::timestamp,
    text::{safe, steers},
};

/// A value of a CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it; characters that steer a
/// terminal, or turn the direction of text, are replaced as on the page.
fn field(text: &str) -> String {
    let text = &*safe(text);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn csv(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = heads.join(",");
    out.push_str("\r\n");
    for row in rows {
        let fields: Vec<String> = row.iter().map(|text| field(text)).collect();
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}

/// JSON, with characters that steer a terminal written as escapes: they stand in texts only.
fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in format!("{value:#}\n").chars() {
        let mut units = [0; 2];
        match c {
            c if c != '\n' && steers(c) => c
                .encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            c => out.push(c),
        }
    }
    out
}

/// All files but the page.
pub(super) fn files(facts: &Facts) -> Vec<PackFile> {
    let file = |name, content| PackFile { name, content };
    vec![
        file("systems.csv", systems(facts)),
        file("unread.csv", unread(facts)),
        file("findings.csv", findings(facts)),
        file("blind-spots.csv", blind(facts)),
        file("gaps.csv", gaps(facts)),
        file("changes.csv", changes(facts)),
        file("sample.csv", sample(facts)),
        file("register.csv", governance::register(facts)),
        file("accounts.csv", governance::accounts(facts)),
        file("dispositions.csv", governance::dispositions(facts)),
        file("notes.csv", governance::notes(facts)),
        file("coverage.json", json(&facts.coverage.to_json())),
        file("verification.json", json(&facts.verification.to_json())),
        file("report.json", json(&summary(facts))),
    ]
}

fn systems(facts: &Facts) -> String {
    let heads = [
        "provider",
        "server_address",
        "model",
        "caller",
        "verdict",
        "policy_rule",
        "calls",
        "failed",
        "hosts",
        "users",
        "input_tokens",
        "output_tokens",
        "calls_without_tokens",
        "first_utc",
        "last_utc",
    ];
    csv(
        &heads,
        facts.systems.iter().map(|s| {
            vec![
                s.provider.clone(),
                s.server_address.clone(),
                s.model.clone(),
                s.caller.clone(),
                s.verdict.clone(),
                s.policy_rule.clone(),
                s.calls.to_string(),
                s.failed.to_string(),
                s.hosts.to_string(),
                s.users.to_string(),
                s.input_tokens.to_string(),
                s.output_tokens.to_string(),
                s.tokens_unknown.to_string(),
                timestamp(s.first),
                timestamp(s.last),
            ]
        }),
    )
}

fn unread(facts: &Facts) -> String {
    let heads = [
        "destination",
        "class",
        "caller",
        "reasons",
        "connections",
        "first_utc",
        "last_utc",
    ];
    csv(
        &heads,
        facts.unread.iter().map(|u| {
            vec![
                u.destination.clone(),
                u.class.clone(),
                u.caller.clone(),
                u.reasons.join(" "),
                u.connections.to_string(),
                timestamp(u.first),
                timestamp(u.last),
            ]
        }),
    )
}

fn findings(facts: &Facts) -> String {
    let heads = [
        "type",
        "rule",
        "severity",
        "direction",
        "provider",
        "verdict",
        "findings",
        "calls",
        "hosts",
        "disposed",
    ];
    csv(
        &heads,
        facts.findings.iter().map(|f| {
            vec![
                f.kind.clone(),
                f.rule.clone(),
                f.severity.clone(),
                f.direction.clone(),
                f.provider.clone(),
                f.verdict.clone(),
                f.findings.to_string(),
                f.calls.to_string(),
                f.hosts.to_string(),
                f.disposed.to_string(),
            ]
        }),
    )
}

fn blind(facts: &Facts) -> String {
    let heads = [
        "reason",
        "executable",
        "tls_stack",
        "hosts",
        "connections_ai",
        "connections_unknown",
        "last_utc",
    ];
    csv(
        &heads,
        facts.blind.iter().map(|b| {
            vec![
                b.reason.clone(),
                b.executable.clone(),
                b.runtime.clone(),
                b.hosts.to_string(),
                b.flows_ai.to_string(),
                b.flows_unknown.to_string(),
                timestamp(b.last),
            ]
        }),
    )
}

fn gaps(facts: &Facts) -> String {
    let rows = facts.coverage.hosts.iter().flat_map(|host| {
        host.gaps.iter().map(|gap| {
            vec![
                host.host.clone(),
                timestamp(gap.from),
                timestamp(gap.to),
                ((gap.to - gap.from) / 1_000_000_000).to_string(),
                gap.cause.to_owned(),
            ]
        })
    });
    csv(&["host_id", "from_utc", "to_utc", "seconds", "cause"], rows)
}

fn changes(facts: &Facts) -> String {
    let heads = [
        "host_id",
        "since_utc",
        "until_utc",
        "agent_version",
        "agent_sha256",
        "config_sha256",
        "policy_sha256",
        "register_sha256",
        "rule_pack_sha256",
        "catalog_version",
        "seals",
    ];
    csv(
        &heads,
        facts.changes.iter().map(|c| {
            vec![
                c.host.clone(),
                timestamp(c.since),
                timestamp(c.until),
                c.agent_version.clone(),
                c.agent.clone(),
                c.config.clone(),
                c.policy.clone(),
                c.register.clone(),
                c.rules.clone(),
                c.catalogue.clone(),
                c.seals.to_string(),
            ]
        }),
    )
}

fn sample(facts: &Facts) -> String {
    let heads = [
        "ts_utc",
        "host_id",
        "caller",
        "user",
        "provider",
        "server_address",
        "model",
        "verdict",
        "findings",
        "epoch_and_seal",
        "record_hash",
    ];
    csv(
        &heads,
        facts.sample.iter().map(|d| {
            vec![
                timestamp(d.ts),
                d.host.clone(),
                d.caller.clone(),
                d.user.clone(),
                d.provider.clone(),
                d.server_address.clone(),
                d.model.clone(),
                d.verdict.clone(),
                d.findings.to_string(),
                d.seal.clone(),
                d.record.clone(),
            ]
        }),
    )
}

fn summary(facts: &Facts) -> Value {
    let request = &facts.request;
    object!({
        "scope": request.statement,
        "from": timestamp(facts.coverage.scope.from),
        "to": timestamp(facts.coverage.scope.to),
        "host": request.scope.host,
        "workload": request.scope.workload,
        "made_at": timestamp(request.verify.now),
        "made_by": concat!("observer ", env!("CARGO_PKG_VERSION")),
        "verdict": facts.verification.verdict().word(),
        "answer": facts.coverage.answer().word(),
        "systems": facts.all_systems(),
        "systems_unsanctioned": facts.unsanctioned_systems(),
        "calls": facts.calls(),
        "calls_failed": facts.failed_calls(),
        "findings": facts.finding_total(),
        "findings_disposed": facts.disposed(),
        "findings_open": facts.governance.open(),
        "register_entries": facts.governance.register.len(),
        "accounts": facts.governance.accounts.len(),
        "destinations_never_read": facts.unread.len(),
        "sample_seed": request.seed,
        "lists_cut": facts.cut,
        "controls": super::CONTROLS.iter().map(|c| object!({
            "id": c.id, "title": c.title, "shows": c.shows, "strength": c.strength.word(), "limit": c.limit, "count": c.live.say(facts),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_keeps_its_columns_and_starts_no_formula() {
        let text = csv(
            &["a", "b"],
            [
                vec!["x,\"y\"\n".into(), "=1+1".into()],
                vec!["-5".into(), "@SUM(A1)".into()],
            ],
        );
        assert_eq!(text, "a,b\r\n\"x,\"\"y\"\"\u{fffd}\",'=1+1\r\n-5,'@SUM(A1)\r\n");
    }
}
