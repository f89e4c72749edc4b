//! Files about what people decided, and accounts. Pure.

use super::super::facts::Facts;
use super::super::governance_facts::{Account, Disposition, Note, RegisterEntry};
use super::{csv, timestamp};

/// A time; empty where there is none.
fn when(ns: i64) -> String {
    if ns == 0 { String::new() } else { timestamp(ns) }
}

pub(super) fn register(facts: &Facts) -> String {
    let heads = [
        "ai_system",
        "entry_id",
        "status",
        "owner",
        "approved_by",
        "approval",
        "valid_from_utc",
        "valid_until_utc",
        "review_date_utc",
        "risk_ref",
        "data_classes_limited",
        "data_classes",
        "register_version",
        "register_sha256",
        "calls",
        "calls_not_sanctioned",
        "first_use_utc",
        "last_use_utc",
    ];
    let row = |e: &RegisterEntry| {
        vec![
            e.system.clone(),
            e.entry.clone(),
            e.status.clone(),
            e.owner.clone(),
            e.approved_by.clone(),
            e.approval.clone(),
            timestamp(e.valid_from),
            timestamp(e.valid_until),
            timestamp(e.review_date),
            e.risk_ref.clone(),
            e.data_classes_limited.to_string(),
            e.data_classes.join(" "),
            e.register_version.clone(),
            e.register.clone(),
            e.calls.to_string(),
            e.not_sanctioned.to_string(),
            when(e.first),
            when(e.last),
        ]
    };
    csv(&heads, facts.governance.register.iter().map(row))
}

pub(super) fn accounts(facts: &Facts) -> String {
    let heads = [
        "account_hmac",
        "kind",
        "evidence",
        "organization",
        "organization_source",
        "project",
        "server_address",
        "calls",
        "calls_not_sanctioned",
        "hosts",
        "users",
        "callers",
        "first_utc",
        "last_utc",
    ];
    let row = |a: &Account| {
        vec![
            a.account.clone(),
            a.kind.clone(),
            a.evidence.clone(),
            a.organization.clone(),
            a.organization_source.clone(),
            a.project.clone(),
            a.server_address.clone(),
            a.calls.to_string(),
            a.not_sanctioned.to_string(),
            a.hosts.to_string(),
            a.users.to_string(),
            a.callers.to_string(),
            timestamp(a.first),
            timestamp(a.last),
        ]
    };
    csv(&heads, facts.governance.accounts.iter().map(row))
}

pub(super) fn dispositions(facts: &Facts) -> String {
    let heads = [
        "finding_hash",
        "found_utc",
        "judged_utc",
        "type",
        "rule",
        "severity",
        "disposition",
        "analyst",
        "ticket",
        "nonconformity_ref",
        "judgements",
    ];
    let row = |d: &Disposition| {
        vec![
            d.finding.clone(),
            timestamp(d.found),
            timestamp(d.judged),
            d.kind.clone(),
            d.rule.clone(),
            d.severity.clone(),
            d.disposition.clone(),
            d.analyst.clone(),
            d.ticket.clone(),
            d.nonconformity.clone(),
            d.judgements.to_string(),
        ]
    };
    csv(&heads, facts.governance.dispositions.iter().map(row))
}

pub(super) fn notes(facts: &Facts) -> String {
    let row = |n: &Note| {
        vec![
            n.note.clone(),
            n.hosts.to_string(),
            n.seals.to_string(),
            timestamp(n.first),
            timestamp(n.last),
        ]
    };
    csv(
        &["note", "hosts", "seals", "first_utc", "last_utc"],
        facts.governance.notes.iter().map(row),
    )
}
