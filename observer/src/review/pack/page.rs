//! The page of the pack. Pure. It may say "observed", "recorded" and "supports evidence for"; it may not say that something
//! complies, is certified, cannot be changed, or that there was no AI use beyond what the rule of absence allows.

use super::charts;
use super::controls::CONTROLS;
use super::facts::{Facts, MAX_ROWS};
use super::html::{Cell, classed, escape, grouped, list, number, paragraph, table, text};
use super::percent;
use crate::{
    coverage::account::Answer,
    report::{json::timestamp, text::duration},
    verify::{Kind, Level, NOT_FOUND, Verdict},
};

const STYLE: &str = include_str!("style.css");

/// Rows of a table on the page; the files have all.
const SHOWN: usize = 60;

/// What no host observer sees; stands in every report.
const OUT_OF_SCOPE: [&str; 6] = [
    "machines without an agent: laptops, phones, other operating systems, nodes that are not in the inventory",
    "what runs inside a virtual machine or sandbox with a kernel of its own (its connections are seen, its content is not)",
    "AI inside products that are used over the network (the provider's side)",
    "models that run inside a process without any connection",
    "programs whose TLS cannot be read: they are listed under blind spots",
    "what leaves through a tunnel that was opened elsewhere",
];

fn day(ns: i64) -> String {
    timestamp(ns)[..16].to_owned()
}

fn time(ns: i64) -> Cell {
    classed(day(ns), "t")
}

/// The page; `files` are the other files of the pack with their SHA-256.
pub fn page(facts: &Facts, files: &[(&str, String)]) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>AI use observed, {} to {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        day(facts.coverage.scope.from),
        day(facts.coverage.scope.to)
    );
    for section in [
        head,
        systems,
        sanctioned,
        findings,
        coverage,
        blind_spots,
        changes,
        verification,
        sample,
        controls,
    ] {
        out.push_str(&section(facts));
    }
    out.push_str(&method(facts, files));
    out.push_str("</body>\n</html>\n");
    out
}

fn head(facts: &Facts) -> String {
    let request = &facts.request;
    let scope = &facts.coverage.scope;
    let only = [("host", &scope.host), ("workload", &scope.workload)]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|v| format!(" Only {name} {v}.")))
        .collect::<String>();
    let mut out = format!(
        "<h1>AI use observed on hosts</h1>\n<p class=\"lead\">{} to {} UTC, made {} UTC by observer {}</p>\n<p class=\"scope\">{}</p>\n",
        day(scope.from),
        day(scope.to),
        day(request.verify.now),
        env!("CARGO_PKG_VERSION"),
        escape(&format!("{}{only}", request.statement))
    );
    out.push_str(&cards(facts));
    out.push_str("<h2>Scope</h2>\n");
    let listed = facts.coverage.hosts.iter().filter(|h| h.in_inventory).count();
    out.push_str(&paragraph(&format!(
        "{} hosts: {listed} that the inventory has in scope, {} known only since they sealed. AI exchanges are recorded where they are readable \
         at the host's TLS boundary; what cannot be read is counted.",
        facts.coverage.hosts.len(),
        facts.coverage.hosts.len() - listed
    )));
    if listed == 0 {
        out.push_str(&paragraph(
            "No inventory was given. So nobody can say from these records whether there are hosts that were never observed.",
        ));
    }
    out.push_str("<h3>Out of scope</h3>\n");
    out.push_str(&list(OUT_OF_SCOPE));
    let rows: Vec<Vec<Cell>> = facts
        .excluded
        .iter()
        .map(|e| vec![text(&*e.host), text(&*e.reason)])
        .collect();
    out.push_str(&table(
        &["host out of scope", "reason in the inventory"],
        &rows,
        "The inventory excludes no host.",
    ));
    out
}

fn cards(facts: &Facts) -> String {
    let coverage = &facts.coverage;
    let verdict = facts.verification.verdict();
    let card = |class: &str, value: String, what: String| {
        format!(
            "<div class=\"card {class}\"><b>{}</b><span>{}</span></div>\n",
            escape(&value),
            escape(&what)
        )
    };
    let verdict_class = match verdict {
        Verdict::Verified => "good",
        Verdict::Unverifiable => "warn",
        Verdict::Findings => "bad",
    };
    let unsanctioned = facts.unsanctioned_systems();
    let answer_class = if coverage.answer() == Answer::Unknown {
        "warn"
    } else {
        ""
    };
    let cards = [
        card(
            answer_class,
            coverage.answer().word().into(),
            "AI use in this period and scope".into(),
        ),
        card(
            "",
            grouped(facts.systems.len() as u64),
            format!("AI systems in use, {} calls", grouped(facts.calls())),
        ),
        card(
            if unsanctioned > 0 { "bad" } else { "" },
            grouped(unsanctioned as u64),
            "of them not sanctioned by the policy".into(),
        ),
        card(
            "",
            grouped(facts.finding_total()),
            format!(
                "findings of sensitive data, {} disposed of",
                grouped(facts.disposed)
            ),
        ),
        card(
            "",
            percent(coverage.c_time()),
            "C_time: time observed by time expected".into(),
        ),
        card(
            "",
            percent(coverage.flows().c_flow()),
            format!(
                "C_flow: {} of {} connections to AI read",
                grouped(coverage.flows().decoded),
                grouped(coverage.flows().all)
            ),
        ),
        card(
            "",
            grouped(coverage.unknown_opaque()),
            "flows to nobody known that could not be read".into(),
        ),
        card(
            verdict_class,
            verdict.word().replace('_', " "),
            "verification of the records".into(),
        ),
    ];
    format!("<div class=\"cards\">\n{}</div>\n", cards.concat())
}

/// What stands under a table of which only the first rows are shown.
fn rest(rows: usize, file: &str) -> String {
    match rows {
        0..=SHOWN => String::new(),
        _ => paragraph(&format!(
            "The first {SHOWN} of {rows} rows; all of them are in {file}."
        )),
    }
}

fn systems(facts: &Facts) -> String {
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
                tokens(s.input_tokens, s.output_tokens, s.tokens_unknown, s.calls),
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
        "tokens in / out",
        "first",
        "last",
    ];
    out.push_str(&table(&heads, &rows, "No AI call was decoded in this period."));
    out.push_str(&rest(facts.systems.len(), "systems.csv"));
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

fn tokens(input: u64, output: u64, unknown: u64, calls: u64) -> Cell {
    if unknown == calls {
        return classed("not said", "n");
    }
    let less = if unknown > 0 {
        format!(" ({} calls did not say)", grouped(unknown))
    } else {
        String::new()
    };
    classed(format!("{} / {}{less}", grouped(input), grouped(output)), "n")
}

fn verdict_cell(verdict: &str) -> Cell {
    match verdict {
        "sanctioned" => classed(verdict, "sanctioned"),
        "unsanctioned" => classed(verdict, "unsanctioned"),
        _ => classed(verdict, "unknown"),
    }
}

fn sanctioned(facts: &Facts) -> String {
    let mut out = String::from("<h2>Sanctioned and unsanctioned use</h2>\n");
    // Whatever is neither is unknown.
    let word = |verdict: &str| match verdict {
        "sanctioned" => "sanctioned",
        "unsanctioned" => "unsanctioned",
        _ => "unknown",
    };
    let sum = |verdict: &str| -> (usize, u64) {
        let of: Vec<_> = facts
            .systems
            .iter()
            .filter(|s| word(&s.verdict) == verdict)
            .collect();
        (of.len(), of.iter().map(|s| s.calls).sum())
    };
    let rows: Vec<Vec<Cell>> = ["sanctioned", "unsanctioned", "unknown"]
        .into_iter()
        .map(|verdict| {
            let (systems, calls) = sum(verdict);
            vec![verdict_cell(verdict), number(systems as u64), number(calls)]
        })
        .collect();
    out.push_str(&table(&["verdict", "systems", "calls"], &rows, ""));
    out.push_str(&paragraph(
        "The verdict is that of the policy in force at the time of the call. Changing the policy later does not change it.",
    ));
    let rows: Vec<Vec<Cell>> = facts
        .systems
        .iter()
        .filter(|s| s.verdict == "unsanctioned")
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

fn findings(facts: &Facts) -> String {
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

fn coverage(facts: &Facts) -> String {
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

fn blind_spots(facts: &Facts) -> String {
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

fn changes(facts: &Facts) -> String {
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
        "rules",
        "catalogue",
    ];
    out.push_str(&table(&heads, &rows, "No seals in this period."));
    out.push_str(&rest(facts.changes.len(), "changes.csv"));
    out.push_str(&paragraph("Digests are SHA-256, here their first 12 digits. Why something was changed is in the records of changes of the organisation."));
    out
}

fn verification(facts: &Facts) -> String {
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

fn sample(facts: &Facts) -> String {
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

fn controls(facts: &Facts) -> String {
    let mut out = String::from("<h2>ISO/IEC 42001:2023: what these records support</h2>\n");
    out.push_str(&paragraph(
        "Numbers and short titles only; the standard itself is not repeated here. The records support evidence for what is listed, as far as the strength says. \
         They make nothing conform by themselves, and where it says none, something else must show it.",
    ));
    let rows: Vec<Vec<Cell>> = CONTROLS
        .iter()
        .map(|c| {
            let class = match c.strength.word() {
                "strong" => "good",
                "none" => "warn",
                _ => "",
            };
            vec![
                text(c.id),
                text(c.title),
                text(c.shows),
                text(c.live.say(facts)),
                classed(c.strength.word(), class),
                text(c.limit),
            ]
        })
        .collect();
    out.push_str(&table(
        &[
            "number",
            "short title",
            "what the records show",
            "in this period",
            "strength",
            "limit",
        ],
        &rows,
        "",
    ));
    out
}

fn method(facts: &Facts, files: &[(&str, String)]) -> String {
    let mut out = String::from("<h2>Method and files</h2>\n");
    out.push_str(&paragraph(
        "Times are UTC. Tokens are those that answers state. A caller is a Kubernetes workload, or the command name of a process where there is none. \
         OBSERVED_NONE is said only where every interval has a seal, all probes were attached, the self-test came through, nothing was lost and no flow to nobody known was unreadable.",
    ));
    if !facts.cut.is_empty() {
        out.push_str(&paragraph(&format!(
            "Lists that were cut at {MAX_ROWS} rows: {}.",
            facts.cut.join(", ")
        )));
    }
    let rows: Vec<Vec<Cell>> = files
        .iter()
        .map(|(name, digest)| vec![text(*name), classed(&**digest, "h")])
        .collect();
    out.push_str(&table(&["file", "SHA-256"], &rows, "No files."));
    out
}
