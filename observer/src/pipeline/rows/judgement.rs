//! What policy is asked about an exchange or a connection, and its answer in the row.

use super::{super::Rulebook, Of, contradiction::name_in_tls, finding::finding_fact, text};
use crate::{
    evidence::{ConnectionRow, InteractionRow, LOGIN_UID_UNSET},
    identity::Identity,
    policy::{Attribute, FindingFact, Judgement, Reason, Subject, Verdict},
};

pub(super) fn set_judgement(row: &mut InteractionRow, book: &Rulebook, of: &Of<'_>) {
    let host = row.server_address.to_ascii_lowercase();
    let mut judgement = judge(row, book, of, (&host, &row.gen_ai_provider_name));
    let in_tls = name_in_tls(book, of);
    let provider = in_tls
        .as_deref()
        .map(|name| provider_of(row, book, (&host, name)));
    if let (Some(name), Some(provider)) = (&in_tls, &provider) {
        let other = judge(row, book, of, (name, provider));
        if other.verdict.strictness() > judgement.verdict.strictness() {
            judgement = Judgement {
                reason: Reason::HostNotTlsName,
                ..other
            };
        }
    }
    let (verdict, reason) = (judgement.verdict.name(), judgement.reason.name());
    let rule_id = judgement.rule_id.to_owned();
    let entry = entry_of(&judgement);
    (row.policy_verdict, row.policy_reason, row.policy_rule_id) =
        (verdict.to_owned(), reason.to_owned(), rule_id);
    (row.register_entry_id, row.ai_system) = entry;
    row.policy_version = book.judge.policy.version().to_owned();
    row.policy_id = book.judge.policy.id().to_owned();
    row.policy_sha256 = book.judge.policy.digest();
    row.register_sha256 = book.judge.register_digest();
}

/// Provider that a call would have had, had it named the host that TLS did.
fn provider_of(row: &InteractionRow, book: &Rulebook, (host, in_tls): (&str, &str)) -> String {
    let owner = |name| book.catalog.owner(name, &row.url_path_template);
    match (owner(in_tls), owner(host)) {
        (Some(owner), _) => owner.to_owned(),
        (None, Some(_)) => "unknown".to_owned(),
        // What was said tells it, at either.
        (None, None) => row.gen_ai_provider_name.clone(),
    }
}

fn judge<'b>(
    row: &InteractionRow,
    book: &'b Rulebook,
    of: &Of<'_>,
    (host, provider): (&str, &str),
) -> Judgement<'b> {
    let process = of.flow.client();
    let findings: Vec<FindingFact<'_>> = of.report.findings.iter().filter_map(finding_fact).collect();
    let words = ProcessWords::of(process);
    let fingerprint = if row.account_hmac == [0; 16] {
        String::new()
    } else {
        hex::encode(row.account_hmac)
    };
    let mut subject = Subject::at(row.ts, &findings)
        .with(Attribute::Provider, provider)
        .with(Attribute::Host, host);
    let facts = [
        (Attribute::Model, &row.gen_ai_request_model),
        (Attribute::Model, &row.gen_ai_response_model),
        (Attribute::Operation, &row.gen_ai_operation_name),
        (Attribute::Path, &row.url_path_template),
        (Attribute::Namespace, &row.k8s_namespace_name),
        (Attribute::Workload, &row.k8s_workload_name),
        (Attribute::ServiceAccount, &row.k8s_service_account),
        (Attribute::Client, &row.client_name),
        (Attribute::McpServer, &row.mcp_server_name),
        (Attribute::McpServerExecutable, &row.mcp_server_executable),
        (Attribute::Role, &row.role),
        (Attribute::ClaimedAccount, &row.account_claimed_subject),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
    account_facts(&mut subject, row, &fingerprint);
    set_process_facts(&mut subject, process, &words, &book.host_name);
    book.judge.judge(&subject)
}

/// What proves an account, and what is only said about one.
fn account_facts<'a>(subject: &mut Subject<'a>, row: &'a InteractionRow, fingerprint: &'a str) {
    let sure = |is_sure: bool| {
        if is_sure {
            Attribute::Account
        } else {
            Attribute::ClaimedAccount
        }
    };
    subject.add(sure(row.account_evidence == "credential"), fingerprint);
    let named = sure(row.account_organization_source != "claimed");
    subject.add(named, &row.account_organization);
    // A project is the address's where the organisation is, and else the client's word.
    subject.add(
        sure(row.account_organization_source == "address"),
        &row.account_project,
    );
}

/// Facts about a process that have to be written as words first.
struct ProcessWords {
    uid: String,
    login_uid: String,
    sha256: String,
}

impl ProcessWords {
    fn of(process: &Identity) -> Self {
        Self {
            uid: process.uid.to_string(),
            login_uid: login(process).map(|uid| uid.to_string()).unwrap_or_default(),
            sha256: process
                .executable_digest
                .get()
                .map(hex::encode)
                .unwrap_or_default(),
        }
    }
}

fn set_process_facts<'a>(
    subject: &mut Subject<'a>,
    process: &'a Identity,
    words: &'a ProcessWords,
    machine: &'a str,
) {
    let facts = [
        (Attribute::User, process.user.as_str()),
        (Attribute::User, &words.uid),
        (Attribute::LoginUser, &process.lineage.login_user),
        (Attribute::LoginUser, &words.login_uid),
        (Attribute::Executable, &process.executable),
        (Attribute::ExecutableSha256, &words.sha256),
        (Attribute::Machine, machine),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
}

fn login(process: &Identity) -> Option<u32> {
    (process.login_uid != LOGIN_UID_UNSET).then_some(process.login_uid)
}

/// Identifier and system of the entry of the register that an exchange fell under.
fn entry_of(judgement: &Judgement<'_>) -> (String, String) {
    judgement
        .entry
        .map_or_else(Default::default, |entry| (text(&entry.id), text(&entry.system)))
}

/// What is known without reading a connection is judged as in an exchange; so use that cannot be read is seen, too.
pub(in super::super) fn set_connection_judgement(
    row: &mut ConnectionRow,
    book: &Rulebook,
    process: &Identity,
) {
    let host = row.server_address.to_ascii_lowercase();
    let provider = book
        .catalog
        .lookup(&host, "/")
        .map(|m| m.provider)
        .unwrap_or_default();
    let words = ProcessWords::of(process);
    let mut subject = Subject::at(row.ts, &[]);
    let facts = [
        (Attribute::Provider, provider.as_str()),
        (Attribute::Host, &host),
        (Attribute::Namespace, &row.k8s_namespace_name),
        (Attribute::Workload, &row.k8s_workload_name),
        (Attribute::ServiceAccount, &row.k8s_service_account),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
    set_process_facts(&mut subject, process, &words, &book.host_name);
    let judgement = book.judge.judge(&subject);
    // Nobody knows what an unnamed connection is for.
    let verdict = if host.is_empty() {
        Verdict::Unknown
    } else {
        judgement.verdict
    };
    row.policy_verdict = verdict.name().to_owned();
    row.policy_rule_id = judgement.rule_id.to_owned();
    row.policy_reason = judgement.reason.name().to_owned();
    (row.register_entry_id, row.ai_system) = entry_of(&judgement);
    row.policy_sha256 = book.judge.policy.digest();
    row.register_sha256 = book.judge.register_digest();
}
