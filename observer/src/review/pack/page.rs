//! The page of the pack. Pure. It may say "observed", "recorded" and "supports evidence for"; it may not say that something
//! complies, is certified, cannot be changed, or that there was no AI use beyond what the rule of absence allows.

mod governance;
mod proof;
mod usage;

use super::controls::CONTROLS;
use super::facts::{Facts, MAX_ROWS};
use super::html::{Cell, classed, escape, grouped, list, paragraph, table, text};
use super::percent;
use crate::{coverage::account::Answer, report::json::timestamp, verify::Verdict};

const STYLE: &str = include_str!("style.css");

/// Rows of a table on the page; the files have all.
const SHOWN: usize = 40;

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
    let sections: [fn(&Facts) -> String; 15] = [
        head,
        usage::systems,
        usage::sanctioned,
        governance::register,
        governance::accounts,
        usage::findings,
        governance::dispositions,
        proof::coverage,
        proof::blind_spots,
        proof::changes,
        governance::notes,
        proof::verification,
        governance::runs,
        proof::sample,
        controls,
    ];
    for section in sections {
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
            grouped(facts.all_systems()),
            format!("AI systems in use, {} calls", grouped(facts.calls())),
        ),
        card(
            if unsanctioned > 0 { "bad" } else { "" },
            grouped(unsanctioned),
            "of them not sanctioned by the policy".into(),
        ),
        card(
            "",
            grouped(facts.finding_total()),
            format!(
                "findings of sensitive data, {} disposed of",
                grouped(facts.disposed())
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
        _ => paragraph(&format!("The first {SHOWN} of the {rows} rows in {file}.")),
    }
}

fn verdict_cell(verdict: &str) -> Cell {
    match verdict {
        "sanctioned" => classed(verdict, "sanctioned"),
        "unsanctioned" => classed(verdict, "unsanctioned"),
        _ => classed(verdict, "unknown"),
    }
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
            "Lists that were cut at {MAX_ROWS} rows: {}. Numbers of systems, calls and findings are those of all.",
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
