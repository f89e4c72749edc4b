//! What people decided, as far as the store holds it: register, dispositions, notes of agents, verification runs; and the
//! accounts that calls were made with.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::facts::{fact_row, list};
use super::sql::{calls, findings};
use crate::{
    review::{
        Scope,
        coverage::{of_host, view},
    },
    store::Client,
};

fact_row! {
    /// An entry of a register that was in force in the period. Times are ns.
    RegisterEntry {
        /// AI system.
        system: String,
        /// Its entry.
        entry: String,
        /// Who answers for it.
        owner: String,
        /// approved, conditional, prohibited or under_review.
        status: String,
        /// Who decided.
        approved_by: String,
        /// Reference of the decision.
        approval: String,
        /// Approved from here on.
        valid_from: i64,
        /// Until; 2100: without end.
        valid_until: i64,
        /// When somebody has to look at it again; 2100: not said.
        review_date: i64,
        /// Reference into the register of risks.
        risk_ref: String,
        /// Classes of data that may go there; empty and not limited: the entry does not say.
        data_classes: Vec<String>,
        /// Whether `data_classes` limits anything.
        data_classes_limited: bool,
        /// Version of the register.
        register_version: String,
        /// Its SHA-256.
        register: String,
        /// Calls that fell under this entry.
        calls: u64,
        /// Of them calls that the policy did not sanction.
        not_sanctioned: u64,
        /// First of them; 0: none.
        first: i64,
        /// Last of them; 0: none.
        last: i64,
    }
}

fact_row! {
    /// An account that calls were made with: a keyed hash, and what is known of it.
    Account {
        /// Keyed hash.
        account: String,
        /// api_key, oauth_token, jwt, ...
        kind: String,
        /// credential: its holder has it; claimed: the client says so.
        evidence: String,
        /// Organisation, tenant or resource.
        organization: String,
        /// Who says it.
        organization_source: String,
        /// Project or deployment.
        project: String,
        /// Server.
        server_address: String,
        /// Calls.
        calls: u64,
        /// Of them calls that the policy did not sanction.
        not_sanctioned: u64,
        /// Hosts.
        hosts: u64,
        /// Users.
        users: u64,
        /// Callers.
        callers: u64,
        /// First, ns.
        first: i64,
        /// Last, ns.
        last: i64,
    }
}

fact_row! {
    /// A finding that somebody judged: the last word on it.
    Disposition {
        /// Hash of the finding.
        finding: String,
        /// When it was made, ns.
        found: i64,
        /// When it was judged, ns.
        judged: i64,
        /// Type.
        kind: String,
        /// Rule.
        rule: String,
        /// Severity.
        severity: String,
        /// open, true_positive, false_positive, accepted_risk or fixed.
        disposition: String,
        /// Who judged.
        analyst: String,
        /// Ticket.
        ticket: String,
        /// Nonconformity.
        nonconformity: String,
        /// How often it was judged.
        judgements: u64,
    }
}

fact_row! {
    /// Findings of one severity, and what became of them. Hours, where nothing was disposed of, are negative.
    DispositionSum {
        /// Severity.
        severity: String,
        /// Findings.
        findings: u64,
        /// Nobody has said anything, or "open".
        open: u64,
        /// Judged right.
        true_positive: u64,
        /// Judged wrong.
        false_positive: u64,
        /// The risk was accepted.
        accepted_risk: u64,
        /// Mended.
        fixed: u64,
        /// Median time from finding to judgement.
        median_hours: f64,
        /// Oldest that is open, ns; 0: none.
        oldest_open: i64,
    }
}

fact_row! {
    /// A word that agents say about themselves in their seals.
    Note {
        /// The word.
        note: String,
        /// Hosts.
        hosts: u64,
        /// Seals.
        seals: u64,
        /// First, ns.
        first: i64,
        /// Last, ns.
        last: i64,
    }
}

fact_row! {
    /// A verification that was noted in the store.
    Run {
        /// When, ns.
        at: i64,
        /// Of which program.
        version: String,
        /// Seals that it read.
        seals: u64,
        /// Records that it read.
        records: u64,
        /// Its verdict.
        verdict: String,
        /// SHA-256 of its report.
        report: String,
    }
}

/// What people decided, and who pays.
#[derive(Debug, Clone, Default)]
pub struct Governance {
    /// Entries of the registers that were in force, by system.
    pub register: Vec<RegisterEntry>,
    /// Accounts, most calls first.
    pub accounts: Vec<Account>,
    /// Calls of which no account is known.
    pub calls_without_account: u64,
    /// Findings that somebody judged, last first.
    pub dispositions: Vec<Disposition>,
    /// The same by severity, worst first.
    pub disposition_sums: Vec<DispositionSum>,
    /// What agents noted about themselves.
    pub notes: Vec<Note>,
    /// Verifications in the period.
    pub runs: Vec<Run>,
}

impl Governance {
    /// Entries that were looked at too late: their review date is before `at`.
    pub fn overdue(&self, at: i64) -> usize {
        self.register.iter().filter(|e| e.review_date < at).count()
    }

    /// Findings that are open.
    pub fn open(&self) -> u64 {
        self.disposition_sums.iter().map(|sum| sum.open).sum()
    }
}

/// Reads them.
pub(super) async fn gather(
    client: &Client,
    scope: &Scope,
    cut: &mut Vec<&'static str>,
) -> anyhow::Result<Governance> {
    let without = client.rows::<u64>(&without_account_sql(scope)).await?;
    Ok(Governance {
        register: list(client, &register_sql(scope), "register", cut).await?,
        accounts: list(client, &accounts_sql(scope), "accounts", cut).await?,
        calls_without_account: without.first().copied().unwrap_or(0),
        dispositions: list(client, &dispositions_sql(scope), "dispositions", cut).await?,
        disposition_sums: list(client, &sums_sql(scope), "dispositions by severity", cut).await?,
        notes: list(client, &notes_sql(scope), "notes", cut).await?,
        runs: list(client, &runs_sql(scope), "verification runs", cut).await?,
    })
}

fn register_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(r.ai_system) AS system, r.entry_id AS entry, r.owner AS owner, toString(r.status) AS status, r.approved_by AS approved_by, r.approval AS approval, \
         toUnixTimestamp64Milli(r.valid_from) * 1000000 AS valid_from, toUnixTimestamp64Milli(r.valid_until) * 1000000 AS valid_until, \
         toUnixTimestamp64Milli(r.review_date) * 1000000 AS review_date, r.risk_ref AS risk_ref, \
         arrayMap(c -> toString(c), r.allowed_data_classes) AS data_classes, r.data_classes_limited AS data_classes_limited, \
         toString(r.register_version) AS register_version, lower(hex(r.register_sha256)) AS register, toUInt64(u.calls) AS calls, toUInt64(u.not_sanctioned) AS not_sanctioned, \
         toInt64(u.first) AS first, toInt64(u.last) AS last \
         FROM (SELECT * FROM v_register WHERE register_sha256 IN (SELECT register_sha256 FROM {seals} WHERE {host})) AS r \
         LEFT JOIN (SELECT register_sha256, toString(register_entry_id) AS entry_id, count() AS calls, countIf(policy_verdict != 'sanctioned') AS not_sanctioned, \
         toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last FROM {calls} GROUP BY register_sha256, entry_id) AS u \
         ON u.register_sha256 = r.register_sha256 AND u.entry_id = r.entry_id ORDER BY system, entry, r.register_sha256, valid_from",
        seals = view("seals", scope),
        host = of_host(scope),
        calls = calls(scope),
    )
}

/// Whether a call names an account.
const HAS_ACCOUNT: &str = "account_hmac != unhex('00000000000000000000000000000000')";

fn accounts_sql(scope: &Scope) -> String {
    format!(
        "SELECT lower(hex(account_hmac)) AS account, toString(account_kind) AS kind, toString(account_evidence) AS evidence, toString(account_organization) AS organization, \
         toString(account_organization_source) AS organization_source, toString(account_project) AS project, toString(server_address) AS server_address, count() AS calls, \
         countIf(policy_verdict != 'sanctioned') AS not_sanctioned, uniqExact(host_id) AS hosts, uniqExact(user_id) AS users, \
         uniqExact(k8s_workload_name, process_comm) AS callers, toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} AND {HAS_ACCOUNT} GROUP BY account, kind, evidence, organization, organization_source, project, server_address \
         ORDER BY calls DESC, account, server_address",
        calls(scope)
    )
}

fn without_account_sql(scope: &Scope) -> String {
    format!("SELECT count() FROM {} AND NOT ({HAS_ACCOUNT})", calls(scope))
}

/// The findings of a scope, with the last word on each.
fn judged(scope: &Scope) -> String {
    format!(
        "(SELECT record_hash, ts, finding_type, rule_id, severity FROM {}) AS f LEFT JOIN \
         (SELECT finding_hash, toString(argMax(disposition, ts)) AS disposition, toString(argMax(analyst, ts)) AS analyst, argMax(ticket, ts) AS ticket, \
         argMax(nonconformity_ref, ts) AS nonconformity, toUnixTimestamp64Milli(max(ts)) * 1000000 AS judged, count() AS judgements \
         FROM finding_dispositions GROUP BY finding_hash) AS d ON d.finding_hash = f.record_hash",
        findings(scope)
    )
}

fn dispositions_sql(scope: &Scope) -> String {
    format!(
        "SELECT lower(hex(f.record_hash)) AS finding, toUnixTimestamp64Nano(f.ts) AS found, toInt64(d.judged) AS judged, toString(f.finding_type) AS kind, \
         toString(f.rule_id) AS rule, toString(f.severity) AS severity, d.disposition AS disposition, d.analyst AS analyst, d.ticket AS ticket, \
         d.nonconformity AS nonconformity, toUInt64(d.judgements) AS judgements FROM {} WHERE d.judgements > 0 ORDER BY judged DESC, finding",
        judged(scope)
    )
}

fn sums_sql(scope: &Scope) -> String {
    let of = |word: &str| format!("countIf(d.disposition = '{word}') AS {word}");
    format!(
        "SELECT toString(f.severity) AS severity, count() AS findings, countIf(d.judgements = 0 OR d.disposition = 'open') AS open, {}, {}, {}, {}, \
         toFloat64(if(countIf(d.judgements > 0 AND d.disposition != 'open') = 0, -1, \
         medianExactIf((d.judged - toUnixTimestamp64Nano(f.ts)) / 3600000000000, d.judgements > 0 AND d.disposition != 'open'))) AS median_hours, \
         toInt64(if(open = 0, 0, minIf(toUnixTimestamp64Nano(f.ts), d.judgements = 0 OR d.disposition = 'open'))) AS oldest_open \
         FROM {} GROUP BY f.severity ORDER BY f.severity DESC",
        of("true_positive"),
        of("false_positive"),
        of("accepted_risk"),
        of("fixed"),
        judged(scope)
    )
}

fn notes_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(arrayJoin(notes)) AS note, uniqExact(host_id) AS hosts, count() AS seals, toUnixTimestamp64Nano(min(interval_start)) AS first, \
         toUnixTimestamp64Nano(max(interval_end)) AS last FROM {} WHERE {} GROUP BY note ORDER BY seals DESC, note",
        view("seals", scope),
        of_host(scope)
    )
}

fn runs_sql(scope: &Scope) -> String {
    format!(
        "SELECT toUnixTimestamp64Milli(ts) * 1000000 AS at, toString(verifier_version) AS version, seals, records, toString(verdict) AS verdict, \
         lower(hex(report_sha256)) AS report FROM verification_runs \
         WHERE ts >= fromUnixTimestamp64Nano({}, 'UTC') AND ts < fromUnixTimestamp64Nano({}, 'UTC') ORDER BY at DESC, report",
        scope.from, scope.to
    )
}
