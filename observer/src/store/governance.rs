//! Registers and policies in the store: rows name them by digest, these tables say what they were.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{Client, ErrorKind, StoreError};
use crate::policy::{Attribute, Entry, Judge, REGISTER_MATCHES, Register, Status};

/// Time that stands for "no end" in the tables (2100-01-01), ms since the Unix epoch.
const NO_END_MS: i64 = 4_102_444_800_000;

/// Text of a policy or of a register.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct GovernanceFile {
    /// `policy` or `register`.
    pub kind: String,
    /// SHA-256 of `text`.
    pub sha256: [u8; 32],
    /// Version as written in it.
    pub version: String,
    /// The file.
    pub text: String,
    /// Host that stored it first.
    pub host_id: String,
}

impl GovernanceFile {
    /// Table that holds these rows.
    pub const TABLE: &'static str = "governance_files";

    /// Policy and register of `judge`, as far as there are any.
    pub fn of(judge: &Judge, host_id: &str) -> Vec<Self> {
        let file = |kind: &str, sha256, version: &str, text: &str| Self {
            kind: kind.to_owned(),
            sha256,
            version: version.to_owned(),
            text: text.to_owned(),
            host_id: host_id.to_owned(),
        };
        let policy = &judge.policy;
        let mut files = Vec::new();
        if !policy.is_none() {
            files.push(file("policy", policy.digest(), policy.version(), policy.text()));
        }
        if let Some(register) = &judge.register {
            files.push(file(
                "register",
                register.digest(),
                register.version(),
                register.text(),
            ));
        }
        files
    }
}

/// An entry of a register.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct RegisterRow {
    /// From when on, ms since the Unix epoch.
    pub valid_from: i64,
    /// Before when.
    pub valid_until: i64,
    /// When it has to be looked at again.
    pub review_date: i64,
    /// Identifier.
    pub entry_id: String,
    /// Name of the system.
    pub ai_system: String,
    /// Who answers for it.
    pub owner: String,
    /// `Enum8`, from 1.
    pub status: i8,
    /// Regular expressions for `match()`; empty: any.
    pub provider_match: String,
    /// As above, for host names.
    pub endpoint_match: String,
    /// As above.
    pub model_match: String,
    /// As above.
    pub namespace_match: String,
    /// As above.
    pub workload_match: String,
    /// All conditions as written, by attribute.
    pub matches: Vec<(String, Vec<String>)>,
    /// Kinds of sensitive data that are allowed.
    pub allowed_data_classes: Vec<String>,
    /// Whether these limit anything.
    pub data_classes_limited: bool,
    /// Related controls.
    pub soa_controls: Vec<String>,
    /// Reference into the register of risks.
    pub risk_ref: String,
    /// Reference of the decision.
    pub approval: String,
    /// Who decided.
    pub approved_by: String,
    /// Version of the register.
    pub register_version: String,
    /// SHA-256 of the register's file.
    pub register_sha256: [u8; 32],
    /// Host that stored it first.
    pub host_id: String,
}

impl RegisterRow {
    /// Table that holds these rows.
    pub const TABLE: &'static str = "ai_register";

    /// Rows of a register, stored by this host.
    pub fn of(register: &Register, host_id: &str) -> Vec<Self> {
        let row = |entry: &Entry| Self {
            valid_from: ms(entry.valid_from),
            valid_until: ms(entry.valid_until),
            review_date: ms(entry.review_date),
            entry_id: entry.id.clone(),
            ai_system: entry.system.clone(),
            owner: entry.owner.clone(),
            status: status_number(entry.status),
            provider_match: expression(&entry.matches(Attribute::Provider)),
            endpoint_match: expression(&entry.matches(Attribute::Host)),
            model_match: expression(&entry.matches(Attribute::Model)),
            namespace_match: expression(&entry.matches(Attribute::Namespace)),
            workload_match: expression(&entry.matches(Attribute::Workload)),
            matches: matches(entry),
            allowed_data_classes: entry.allowed_data_classes.clone().unwrap_or_default(),
            data_classes_limited: entry.allowed_data_classes.is_some(),
            soa_controls: entry.related_controls.clone(),
            risk_ref: entry.risk_reference.clone(),
            approval: entry.approval.clone(),
            approved_by: entry.approved_by.clone(),
            register_version: register.version().to_owned(),
            register_sha256: register.digest(),
            host_id: host_id.to_owned(),
        };
        register.entries().iter().map(row).collect()
    }
}

fn ms(ns: i64) -> i64 {
    ns.div_euclid(1_000_000).min(NO_END_MS)
}

fn status_number(status: Status) -> i8 {
    match status {
        Status::Approved => 1,
        Status::Conditional => 2,
        Status::Prohibited => 3,
        Status::UnderReview => 4,
    }
}

fn matches(entry: &Entry) -> Vec<(String, Vec<String>)> {
    let named = REGISTER_MATCHES
        .into_iter()
        .map(|attribute| (attribute.name().to_owned(), entry.matches(attribute)));
    named.filter(|(_, values)| !values.is_empty()).collect()
}

/// A regular expression for texts and patterns with `*` and `?`; empty, which fits all, for none.
fn expression(values: &[String]) -> String {
    let one = |value: &String| {
        let escaped = regex_syntax::escape(value);
        escaped.replace(r"\*", ".*").replace(r"\?", ".")
    };
    let all: Vec<String> = values.iter().map(one).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("^(?:{})$", all.join("|"))
    }
}

/// Stores a file that the store does not have. Who may only insert stores it again; readers drop second copies.
///
/// # Errors
/// What the store says.
pub async fn bring_file(client: &Client, file: &GovernanceFile) -> Result<(), StoreError> {
    if has(client, GovernanceFile::TABLE, "sha256", file.sha256).await? {
        return Ok(());
    }
    let token = format!("{}/{}", file.kind, hex::encode(file.sha256));
    client
        .insert_rows(GovernanceFile::TABLE, &[file], Some(&token))
        .await
}

/// As [`bring_file`], for the entries of a register.
///
/// # Errors
/// What the store says.
pub async fn bring_register(client: &Client, rows: &[RegisterRow]) -> Result<(), StoreError> {
    let Some(first) = rows.first() else { return Ok(()) };
    if has(
        client,
        RegisterRow::TABLE,
        "register_sha256",
        first.register_sha256,
    )
    .await?
    {
        return Ok(());
    }
    let rows: Vec<&RegisterRow> = rows.iter().collect();
    let token = format!("register/{}", hex::encode(first.register_sha256));
    client.insert_rows(RegisterRow::TABLE, &rows, Some(&token)).await
}

async fn has(client: &Client, table: &str, column: &str, digest: [u8; 32]) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT count() FROM {table} WHERE {column} = unhex('{}')",
        hex::encode(digest)
    );
    match client.rows::<u64>(&sql).await {
        Ok(counts) => Ok(counts.first().is_some_and(|count| *count > 0)),
        Err(error) if error.kind == ErrorKind::Denied => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_expressions_for_the_whole() {
        let of = |values: &[&str]| expression(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), "");
        assert_eq!(
            of(&["api.x.ai", "*.y-z.com", "a?"]),
            r"^(?:api\.x\.ai|.*\.y\-z\.com|a.)$"
        );
    }

    #[test]
    fn an_entry_without_end_ends_in_2100() {
        assert_eq!((ms(i64::MAX), ms(-1), ms(2_000_000)), (NO_END_MS, -1, 2));
    }
}
