//! Stored interactions with their findings, as a policy sees them: for judging history anew.

use clickhouse::Row;
use serde::Deserialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{Client, StoreError};
use crate::evidence::LOGIN_UID_UNSET;
use crate::policy::{Attribute, FindingFact, Judge, Judgement, Subject};
use crate::sensitive::Severity;

/// One interaction.
#[derive(Debug, Clone, PartialEq, Eq, Row, Deserialize)]
pub struct Judged {
    /// When, ns since the Unix epoch.
    pub ts: i64,
    host_name: String,
    k8s_namespace_name: String,
    k8s_workload_name: String,
    k8s_service_account: String,
    process_executable_path: String,
    executable_sha256: String,
    user_id: u32,
    login_uid: u32,
    user_name: String,
    /// `server.address`.
    pub server_address: String,
    url_path_template: String,
    /// `gen_ai.provider.name`.
    pub gen_ai_provider_name: String,
    gen_ai_operation_name: String,
    gen_ai_request_model: String,
    gen_ai_response_model: String,
    client_name: String,
    mcp_server_name: String,
    mcp_server_executable: String,
    role: String,
    login_user_name: String,
    account: String,
    account_evidence: String,
    account_organization: String,
    account_organization_source: String,
    account_project: String,
    account_claimed_subject: String,
    /// Verdict as stored.
    pub policy_verdict: String,
    /// Rule that decided.
    pub policy_rule_id: String,
    /// What decided; empty in rows of older agents.
    pub policy_reason: String,
    /// Type, rule, severity, direction.
    findings: Vec<(String, String, i8, String)>,
}

impl Judged {
    /// Columns or expressions with the names of the fields.
    const SELECT: &'static str = "ts, host_name, k8s_namespace_name, k8s_workload_name, k8s_service_account, \
        process_executable_path, lower(hex(process_executable_sha256)) AS executable_sha256, user_id, login_uid, user_name, \
        server_address, url_path_template, gen_ai_provider_name, gen_ai_operation_name, gen_ai_request_model, \
        gen_ai_response_model, client_name, mcp_server_name, mcp_server_executable, if(role = '', 'client', role) AS role, login_user_name, if(account_hmac = unhex('00000000000000000000000000000000'), '', lower(hex(account_hmac))) AS account, account_evidence, account_organization, account_organization_source, account_project, account_claimed_subject, policy_verdict, policy_rule_id, policy_reason, found AS findings";

    /// Name of the user, else the number.
    pub fn user(&self) -> String {
        if self.user_name.is_empty() {
            self.user_id.to_string()
        } else {
            self.user_name.clone()
        }
    }

    /// The verdict of `judge` on this interaction, at its time.
    pub fn judge<'j>(&self, judge: &'j Judge) -> Judgement<'j> {
        let findings: Vec<FindingFact<'_>> = self.findings.iter().map(finding).collect();
        let host = self.server_address.to_ascii_lowercase();
        let uid = self.user_id.to_string();
        let login = if self.login_uid == LOGIN_UID_UNSET {
            String::new()
        } else {
            self.login_uid.to_string()
        };
        let sha256 = if self.executable_sha256.bytes().all(|b| b == b'0') {
            ""
        } else {
            &self.executable_sha256
        };
        let sure = |is_sure: bool| {
            if is_sure {
                Attribute::Account
            } else {
                Attribute::ClaimedAccount
            }
        };
        let mut subject = Subject::at(self.ts, &findings);
        let facts = [
            (Attribute::Provider, self.gen_ai_provider_name.as_str()),
            (Attribute::Host, &host),
            (Attribute::Model, &self.gen_ai_request_model),
            (Attribute::Model, &self.gen_ai_response_model),
            (Attribute::Operation, &self.gen_ai_operation_name),
            (Attribute::Path, &self.url_path_template),
            (Attribute::Namespace, &self.k8s_namespace_name),
            (Attribute::Workload, &self.k8s_workload_name),
            (Attribute::ServiceAccount, &self.k8s_service_account),
            (Attribute::User, &self.user_name),
            (Attribute::User, &uid),
            (Attribute::LoginUser, &self.login_user_name),
            (Attribute::LoginUser, &login),
            (Attribute::Client, &self.client_name),
            (Attribute::McpServer, &self.mcp_server_name),
            (Attribute::McpServerExecutable, &self.mcp_server_executable),
            (Attribute::Role, &self.role),
            (Attribute::ClaimedAccount, &self.account_claimed_subject),
            (sure(self.account_evidence == "credential"), &self.account),
            (
                sure(self.account_organization_source != "claimed"),
                &self.account_organization,
            ),
            (
                sure(self.account_organization_source == "address"),
                &self.account_project,
            ),
            (Attribute::Executable, &self.process_executable_path),
            (Attribute::ExecutableSha256, sha256),
            (Attribute::Machine, &self.host_name),
        ];
        facts
            .into_iter()
            .for_each(|(attribute, fact)| subject.add(attribute, fact));
        judge.judge(&subject)
    }
}

fn finding((class, rule, severity, place): &(String, String, i8, String)) -> FindingFact<'_> {
    let severity = match severity {
        5 => Severity::Critical,
        4 => Severity::High,
        3 => Severity::Medium,
        2 => Severity::Low,
        _ => Severity::Info,
    };
    FindingFact {
        class,
        rule,
        severity,
        place,
    }
}

/// Shows every interaction of the period `[from_ns, to_ns)`, one after the other.
///
/// # Errors
/// What the store says.
pub async fn each(
    client: &Client,
    from_ns: i64,
    to_ns: i64,
    mut show: impl FnMut(&Judged),
) -> Result<(), StoreError> {
    let sql = sql(from_ns, to_ns);
    let mut rows = client.raw().query_raw(&sql).fetch::<Judged>()?;
    while let Some(row) = rows.next().await? {
        show(&row);
    }
    Ok(())
}

fn sql(from_ns: i64, to_ns: i64) -> String {
    let period = format!("from='{}', to='{}'", written(from_ns), written(to_ns));
    format!(
        "SELECT {} FROM pv_interactions({period}) AS i LEFT JOIN (\
         SELECT interaction_hash, groupArray(tuple(toString(finding_type), toString(rule_id), CAST(severity, 'Int8'), \
         toString(direction))) AS found FROM pv_findings({period}) WHERE confidence != 'documented_example' \
         GROUP BY interaction_hash) AS f ON f.interaction_hash = i.record_hash",
        Judged::SELECT
    )
}

/// A time as ClickHouse reads it.
fn written(ns: i64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:9]");
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(form).unwrap_or_default()
}
