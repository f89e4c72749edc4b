//! How far the records carry: coverage, blind spots, changes, verification, sample. Pure.

use super::super::charts;
use super::super::facts::Facts;
use super::super::html::{Cell, classed, grouped, list, number, paragraph, table, text};
use super::super::percent;
use super::{SHOWN, rest, time, verdict_cell};
use crate::{
    coverage::account::Answer,
    report::text::duration,
    verify::{Kind, Level, NOT_FOUND},
};

pub(super) fn coverage(facts: &Facts) -> String {
    let coverage = &facts.coverage;
    let flows = coverage.flows();
    let (good, expected) = coverage.time();
    let ns = |ns: u64| duration(i64::try_from(ns).unwrap_or(i64::MAX));
    let seen = coverage.sum(|h| h.events_seen);
    let lost = coverage.sum(|h| h.events_lost);
    let mut out = String::from("<h2>Coverage</h2>\n");
    let row =
        |name: &str, ratio: Option<f64>, of: String| vec![text(name), classed(percent(ratio), "n"), text(of)];
    let rows = [
        row(
            "C_time",
            coverage.c_time(),
            format!(
                "{} observed of {} expected, over {} hosts",
                ns(good),
                ns(expected),
                coverage.hosts.len()
            ),
        ),
        row(
            "C_event",
            coverage.c_event(),
            format!(
                "{} events lost of {}",
                grouped(lost),
                grouped(seen.saturating_add(lost))
            ),
        ),
        row(
            "C_flow",
            flows.c_flow(),
            format!(
                "{} decoded, {} in part, {} opaque of {} connections to AI",
                grouped(flows.decoded),
                grouped(flows.partial),
                grouped(flows.opaque),
                grouped(flows.all)
            ),
        ),
        row(
            "C_byte",
            flows.c_byte(),
            format!(
                "{} clear bytes of {} on the sockets; {} connections whose bytes are not known",
                grouped(flows.plain_bytes),
                grouped(flows.socket_bytes),
                grouped(flows.bytes_unknown)
            ),
        ),
        row(
            "C",
            coverage.estimate(),
            "C_time x C_event x C_flow: an estimate, no bound".into(),
        ),
    ];
    out.push_str(&table(&["ratio", "value", "of what"], &rows, ""));
    out.push_str(&paragraph(&format!(
        "Beside these ratios: {} flows to nobody known could not be read. No ratio holds them.",
        grouped(coverage.unknown_opaque())
    )));
    out.push_str("<h3>What can be said, by host and time</h3>\n");
    out.push_str(&charts::grid(
        &coverage.hosts,
        coverage.scope.from,
        coverage.scope.to,
    ));
    out.push_str(
        "<p class=\"legend\"><i class=\"some\"></i>OBSERVED_SOME<i class=\"nothing\"></i>OBSERVED_NONE<i class=\"doubt\"></i>UNKNOWN<i class=\"out\"></i>not expected</p>\n",
    );
    out.push_str(&host_table(facts));
    out.push_str("<h3>Gaps and their causes</h3>\n");
    let gaps: Vec<Vec<Cell>> = coverage
        .hosts
        .iter()
        .flat_map(|host| {
            host.gaps.iter().map(|gap| {
                vec![
                    text(&*host.host),
                    time(gap.from),
                    time(gap.to),
                    classed(duration(gap.to - gap.from), "n"),
                    text(gap.cause.replace('_', " ")),
                ]
            })
        })
        .collect();
    let shown = &gaps[..gaps.len().min(SHOWN)];
    out.push_str(&table(
        &["host", "from (UTC)", "to (UTC)", "length", "cause"],
        shown,
        "No gaps.",
    ));
    out.push_str(&rest(gaps.len(), "gaps.csv"));
    out
}

fn host_table(facts: &Facts) -> String {
    let rows: Vec<Vec<Cell>> = facts
        .coverage
        .hosts
        .iter()
        .take(SHOWN)
        .map(|host| {
            let doubts: Vec<&str> = host.doubts().iter().map(|d| d.word()).collect();
            let class = if host.answer() == Answer::Unknown {
                "a warn"
            } else {
                "a"
            };
            vec![
                text(&*host.host),
                classed(host.answer().word(), class),
                classed(percent(host.c_time()), "n"),
                classed(percent(host.c_event()), "n"),
                classed(percent(host.flows.c_flow()), "n"),
                number(host.unknown_opaque.max(host.flows.unknown_opaque)),
                text(doubts.join(", ").replace('_', " ")),
            ]
        })
        .collect();
    let heads = [
        "host",
        "answer",
        "C_time",
        "C_event",
        "C_flow",
        "unknown opaque",
        "in doubt because of",
    ];
    table(&heads, &rows, "No host.") + &rest(facts.coverage.hosts.len(), "coverage.json")
}

pub(super) fn blind_spots(facts: &Facts) -> String {
    let mut out = String::from("<h2>Blind spots</h2>\n");
    let rows: Vec<Vec<Cell>> = facts
        .blind
        .iter()
        .take(SHOWN)
        .map(|b| {
            vec![
                text(b.reason.replace('_', " ")),
                text(&*b.executable),
                text(&*b.runtime),
                number(b.hosts),
                number(b.flows_ai),
                number(b.flows_unknown),
                time(b.last),
            ]
        })
        .collect();
    let heads = [
        "why",
        "program",
        "TLS stack",
        "hosts",
        "connections to AI",
        "to nobody known",
        "last seen",
    ];
    out.push_str(&table(
        &heads,
        &rows,
        "No program was noted that could not be read.",
    ));
    out.push_str(&rest(facts.blind.len(), "blind-spots.csv"));
    out
}

pub(super) fn changes(facts: &Facts) -> String {
    let mut out = String::from("<h2>Changes of agent, rules and policy</h2>\n");
    let short = |digest: &str| {
        let known = digest.bytes().any(|b| b != b'0');
        classed(
            if known {
                digest[..digest.len().min(12)].to_owned()
            } else {
                "-".into()
            },
            "h",
        )
    };
    let rows: Vec<Vec<Cell>> = facts
        .changes
        .iter()
        .take(SHOWN)
        .map(|c| {
            vec![
                text(&*c.host),
                time(c.since),
                time(c.until),
                text(&*c.agent_version),
                short(&c.agent),
                short(&c.config),
                short(&c.policy),
                short(&c.register),
                short(&c.rules),
                text(&*c.catalogue),
            ]
        })
        .collect();
    let heads = [
        "host",
        "since",
        "until",
        "version",
        "agent",
        "configuration",
        "policy",
        "register",
        "rules",
        "catalogue",
    ];
    out.push_str(&table(&heads, &rows, "No seals in this period."));
    out.push_str(&rest(facts.changes.len(), "changes.csv"));
    out.push_str(&paragraph("Digests are SHA-256, here their first 12 digits. Why something was changed is in the records of changes of the organisation."));
    out
}

pub(super) fn verification(facts: &Facts) -> String {
    let report = &facts.verification;
    let mut out = String::from("<h2>Verification of the records</h2>\n");
    out.push_str(&paragraph(&format!(
        "{}: {} hosts, {} seals, {} records, {} anchors. Hash of every record, digest, hash and signature of every seal, numbers, links, \
         certificates and anchors were computed anew. The records are tamper-evident: a change is found, not prevented.",
        report.verdict().word().replace('_', " "),
        report.hosts.len(),
        grouped(report.total(|c| c.seals)),
        grouped(report.total(|c| c.records)),
        grouped(report.anchors)
    )));
    let all = report
        .hosts
        .iter()
        .map(|h| (h.host.as_str(), &h.findings))
        .chain([("-", &report.general)]);
    let rows: Vec<Vec<Cell>> = all
        .flat_map(|(host, findings)| findings.kept().iter().map(move |f| (host, f)))
        .take(SHOWN)
        .map(|(host, f)| {
            let (level, class) = match f.kind.level() {
                Level::Finding => ("finding", "bad"),
                Level::Unverifiable => ("unverifiable", "warn"),
                Level::Remark => ("remark", ""),
            };
            vec![
                classed(level, class),
                text(host),
                text(f.kind.word().replace('_', " ")),
                number(f.count),
                text(f.place.to_string()),
                text(&*f.detail),
            ]
        })
        .collect();
    out.push_str(&table(
        &["level", "host", "what", "rows", "where", "detail"],
        &rows,
        "Nothing was found.",
    ));
    let meanings: Vec<String> = Kind::ALL
        .iter()
        .filter(|kind| report.found(&[**kind]) > 0)
        .map(|kind| format!("{}: {}", kind.word().replace('_', " "), kind.meaning()))
        .collect();
    out.push_str(&list(meanings.iter().map(String::as_str)));
    out.push_str("<h3>What no verification of stored records can find</h3>\n");
    out.push_str(&list(NOT_FOUND));
    out
}

pub(super) fn sample(facts: &Facts) -> String {
    let mut out = String::from("<h2>Random sample</h2>\n");
    out.push_str(&paragraph(&format!(
        "The {} calls whose SHA-256 of seed and record hash is smallest, with the seed \"{}\". The same seed draws the same calls from the same records.",
        facts.request.sample, facts.request.seed
    )));
    let rows: Vec<Vec<Cell>> = facts
        .sample
        .iter()
        .map(|d| {
            vec![
                time(d.ts),
                text(&*d.host),
                text(&*d.caller),
                text(&*d.user),
                text(&*d.server_address),
                text(&*d.model),
                verdict_cell(&d.verdict),
                number(d.findings.into()),
                classed(&*d.record, "h"),
            ]
        })
        .collect();
    let heads = [
        "time", "host", "caller", "user", "server", "model", "verdict", "findings", "record",
    ];
    out.push_str(&table(&heads, &rows, "No calls to draw from."));
    out
}
