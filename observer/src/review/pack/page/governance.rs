//! What people decided: register, accounts, dispositions, notes of agents, verification runs. Pure.

use super::super::facts::Facts;
use super::super::governance_facts::{Disposition, RegisterEntry};
use super::super::html::{Cell, classed, grouped, number, paragraph, table, text};
use super::{SHOWN, rest, time};
use crate::report::text::duration;

/// From here on a time means "without end" (2100-01-01, ns).
pub(in super::super) const NO_END: i64 = 4_102_444_800_000_000_000;

const HOUR: f64 = 3_600.0 * 1e9;

/// The day of a time.
fn date(ns: i64) -> String {
    super::day(ns)[..10].to_owned()
}

fn until(ns: i64) -> Cell {
    if ns >= NO_END { text("-") } else { text(date(ns)) }
}

fn used(ns: i64) -> Cell {
    if ns == 0 { text("-") } else { time(ns) }
}

fn status(entry: &RegisterEntry) -> Cell {
    let class = match entry.status.as_str() {
        "approved" => "good",
        "prohibited" => "bad",
        _ => "warn",
    };
    classed(entry.status.replace('_', " "), class)
}

pub(super) fn register(facts: &Facts) -> String {
    let entries = &facts.governance.register;
    let mut out = String::from("<h2>Register of AI systems</h2>\n");
    let to = facts.coverage.scope.to;
    let rows: Vec<Vec<Cell>> = entries.iter().take(SHOWN).map(|e| register_row(e, to)).collect();
    let heads = [
        "system",
        "entry",
        "state",
        "owner",
        "approved by",
        "valid from",
        "until",
        "review by",
        "data classes",
        "calls",
        "not sanctioned",
        "last use",
    ];
    out.push_str(&table(
        &heads,
        &rows,
        "No register was in force in this period: nothing says which systems are approved, and by whom.",
    ));
    out.push_str(&rest(entries.len(), "register.csv"));
    if entries.is_empty() {
        return out;
    }
    let unused = entries.iter().filter(|e| e.calls == 0).count();
    let overdue = facts.governance.overdue(to);
    out.push_str(&paragraph(&format!(
        "Entries of all registers that seals of this period name, as their files state them. A call falls under at most one entry, that of its time. \
         {unused} entries had no call within this scope, {overdue} had a review date before the end of the period. \
         Systems without an entry are under \"Sanctioned and unsanctioned use\"."
    )));
    out
}

fn register_row(e: &RegisterEntry, to: i64) -> Vec<Cell> {
    let approved = [e.approved_by.as_str(), e.approval.as_str()];
    let approved: Vec<&str> = approved.into_iter().filter(|part| !part.is_empty()).collect();
    let classes = match (e.data_classes_limited, e.data_classes.is_empty()) {
        (false, _) => "not limited".to_owned(),
        (true, true) => "none allowed".to_owned(),
        (true, false) => e.data_classes.join(", "),
    };
    let review = if e.review_date < to {
        classed(date(e.review_date), "bad")
    } else {
        until(e.review_date)
    };
    vec![
        text(&*e.system),
        text(&*e.entry),
        status(e),
        text(&*e.owner),
        text(approved.join(", ")),
        text(date(e.valid_from)),
        until(e.valid_until),
        review,
        text(classes),
        number(e.calls),
        number(e.not_sanctioned),
        used(e.last),
    ]
}

pub(super) fn accounts(facts: &Facts) -> String {
    let accounts = &facts.governance.accounts;
    let mut out = String::from("<h2>Accounts</h2>\n");
    let rows: Vec<Vec<Cell>> = accounts
        .iter()
        .take(SHOWN)
        .map(|a| {
            let organization = match a.organization_source.as_str() {
                "" => a.organization.clone(),
                source => format!("{} ({source})", a.organization),
            };
            vec![
                classed(a.account.chars().take(12).collect::<String>(), "h"),
                text(a.kind.replace('_', " ")),
                text(&*a.evidence),
                text(organization),
                text(&*a.project),
                text(&*a.server_address),
                number(a.calls),
                number(a.not_sanctioned),
                number(a.hosts),
                number(a.users),
                time(a.first),
                time(a.last),
            ]
        })
        .collect();
    let heads = [
        "account",
        "kind",
        "known by",
        "organisation (says)",
        "project",
        "server",
        "calls",
        "not sanctioned",
        "hosts",
        "users",
        "first",
        "last",
    ];
    out.push_str(&table(&heads, &rows, "No account was seen in this period."));
    out.push_str(&rest(accounts.len(), "accounts.csv"));
    out.push_str(&paragraph(&format!(
        "An account is a keyed hash, here its first 12 digits: the key itself is never kept. What a client claims, nobody verified. {} calls named no account.",
        grouped(facts.governance.calls_without_account)
    )));
    out
}

pub(super) fn dispositions(facts: &Facts) -> String {
    let governance = &facts.governance;
    let mut out = String::from("<h3>What became of the findings</h3>\n");
    let rows: Vec<Vec<Cell>> = governance
        .disposition_sums
        .iter()
        .map(|sum| {
            let hours = if sum.median_hours < 0.0 {
                "-".to_owned()
            } else {
                hours(sum.median_hours)
            };
            vec![
                severity(&sum.severity),
                number(sum.findings),
                number(sum.open),
                number(sum.true_positive),
                number(sum.false_positive),
                number(sum.accepted_risk),
                number(sum.fixed),
                classed(hours, "n"),
                used(sum.oldest_open),
            ]
        })
        .collect();
    let heads = [
        "severity",
        "findings",
        "open",
        "true positive",
        "false positive",
        "accepted risk",
        "fixed",
        "median time to disposition",
        "oldest open",
    ];
    out.push_str(&table(&heads, &rows, "There was nothing to dispose of."));
    let rows: Vec<Vec<Cell>> = governance
        .dispositions
        .iter()
        .take(SHOWN)
        .map(disposition)
        .collect();
    let heads = [
        "judged",
        "found",
        "severity",
        "rule",
        "disposition",
        "by",
        "ticket",
        "nonconformity",
        "finding",
    ];
    if !governance.disposition_sums.is_empty() {
        out.push_str(&table(
            &heads,
            &rows,
            "Nobody disposed of a finding of this period.",
        ));
        out.push_str(&rest(governance.dispositions.len(), "dispositions.csv"));
    }
    out
}

fn disposition(d: &Disposition) -> Vec<Cell> {
    vec![
        time(d.judged),
        time(d.found),
        severity(&d.severity),
        text(&*d.rule),
        text(d.disposition.replace('_', " ")),
        text(&*d.analyst),
        text(&*d.ticket),
        text(&*d.nonconformity),
        classed(d.finding.chars().take(12).collect::<String>(), "h"),
    ]
}

fn severity(word: &str) -> Cell {
    let class = match word {
        "critical" => "critical",
        "high" => "high",
        "medium" => "medium",
        _ => "",
    };
    classed(word, class)
}

/// So many hours, for people.
fn hours(hours: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates, and this is for people"
    )]
    duration((hours * HOUR) as i64)
}

pub(super) fn notes(facts: &Facts) -> String {
    let mut out = String::from("<h3>What agents noted about themselves</h3>\n");
    let rows: Vec<Vec<Cell>> = facts
        .governance
        .notes
        .iter()
        .take(SHOWN)
        .map(|n| {
            vec![
                text(n.note.replace('_', " ")),
                number(n.hosts),
                number(n.seals),
                time(n.first),
                time(n.last),
            ]
        })
        .collect();
    out.push_str(&table(
        &["note", "hosts", "seals", "first", "last"],
        &rows,
        "No seal of this period has a note.",
    ));
    out
}

pub(super) fn runs(facts: &Facts) -> String {
    let mut out = String::from("<h3>Verifications that were noted in this period</h3>\n");
    let rows: Vec<Vec<Cell>> = facts
        .governance
        .runs
        .iter()
        .take(SHOWN)
        .map(|r| {
            vec![
                time(r.at),
                text(&*r.version),
                text(r.verdict.replace('_', " ")),
                number(r.seals),
                number(r.records),
                classed(r.report.chars().take(12).collect::<String>(), "h"),
            ]
        })
        .collect();
    out.push_str(&table(
        &["when", "verifier", "verdict", "seals", "records", "report"],
        &rows,
        "None (`observer verify --record` notes one).",
    ));
    out
}
