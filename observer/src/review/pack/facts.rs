//! What the auditor's pack is written from.

use clickhouse::{Row, RowOwned, RowRead};
use serde::{Deserialize, Serialize};

use super::governance_facts::{self, Governance};
use crate::{
    review::{
        Coverage, Scope, coverage,
        coverage::{of_host, of_workload, view},
    },
    store::{Client, literal},
    verify::{Options, Period, Progress, Report, StoreSource, run as verify},
};

/// Longest list.
pub(super) const MAX_ROWS: usize = 5_000;

macro_rules! fact_row {
    ($(#[$meta:meta])* $name:ident { $( $(#[$fm:meta])* $field:ident: $t:ty, )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
        pub struct $name {
            $( $(#[$fm])* pub $field: $t, )*
        }
    };
}
pub(super) use fact_row;

fact_row! {
    /// One AI system in use: who calls what. Times are ns.
    System {
        /// `gen_ai.provider.name`.
        provider: String,
        /// `server.address`.
        server_address: String,
        /// `gen_ai.request.model`.
        model: String,
        /// Workload, or the command name where there is none.
        caller: String,
        /// sanctioned, unsanctioned or unknown.
        verdict: String,
        /// Rule of the policy that decided.
        policy_rule: String,
        /// Calls.
        calls: u64,
        /// Of them failed ones.
        failed: u64,
        /// Hosts.
        hosts: u64,
        /// Users.
        users: u64,
        /// Input tokens, of the calls that said.
        input_tokens: u64,
        /// Output tokens, of the calls that said.
        output_tokens: u64,
        /// Calls that did not say.
        tokens_unknown: u64,
        /// First use in the period.
        first: i64,
        /// Last use in the period.
        last: i64,
    }
}

fact_row! {
    /// A destination that was seen at the socket and never read.
    Unread {
        /// Name or address.
        destination: String,
        /// ai_known, ai_suspected, model_hub, served or unknown.
        class: String,
        /// Workload, or the command name where there is none.
        caller: String,
        /// Why, most frequent first.
        reasons: Vec<String>,
        /// Connections.
        connections: u64,
        /// First.
        first: i64,
        /// Last.
        last: i64,
    }
}

fact_row! {
    /// Findings of one kind.
    FindingGroup {
        /// Type.
        kind: String,
        /// Rule.
        rule: String,
        /// Severity.
        severity: String,
        /// Direction.
        direction: String,
        /// Provider.
        provider: String,
        /// Verdict on the call.
        verdict: String,
        /// Findings.
        findings: u64,
        /// Calls.
        calls: u64,
        /// Hosts.
        hosts: u64,
        /// Findings that somebody disposed of.
        disposed: u64,
    }
}

fact_row! {
    /// Calls in one part of the period.
    Bin {
        /// Begin, ns.
        at: i64,
        /// Sanctioned.
        sanctioned: u64,
        /// Unsanctioned.
        unsanctioned: u64,
        /// Unknown.
        unknown: u64,
    }
}

fact_row! {
    /// A program that could not be read.
    Blind {
        /// Why.
        reason: String,
        /// Executable.
        executable: String,
        /// TLS stack.
        runtime: String,
        /// Hosts.
        hosts: u64,
        /// Connections to AI.
        flows_ai: u64,
        /// Connections to nobody known.
        flows_unknown: u64,
        /// Last seen, ns.
        last: i64,
    }
}

fact_row! {
    /// One version of agent, configuration, policy, rules and catalogue on a host.
    Change {
        /// Host.
        host: String,
        /// First seal with it, ns.
        since: i64,
        /// Last.
        until: i64,
        /// Version of the agent.
        agent_version: String,
        /// Its file.
        agent: String,
        /// Configuration.
        config: String,
        /// Policy.
        policy: String,
        /// Register of AI systems.
        register: String,
        /// Rules for sensitive data.
        rules: String,
        /// Catalogue.
        catalogue: String,
        /// Seals.
        seals: u64,
    }
}

fact_row! {
    /// A call that was drawn.
    Drawn {
        /// When, ns.
        ts: i64,
        /// Host.
        host: String,
        /// Caller.
        caller: String,
        /// User.
        user: String,
        /// Provider.
        provider: String,
        /// Server.
        server_address: String,
        /// Model.
        model: String,
        /// Verdict.
        verdict: String,
        /// Findings in it.
        findings: u16,
        /// Seal that covers it.
        seal: String,
        /// Hash of the record.
        record: String,
    }
}

fact_row! {
    /// A host that is out of scope by the inventory.
    Excluded {
        /// Host.
        host: String,
        /// Why.
        reason: String,
    }
}

/// How the pack is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Period and host.
    pub scope: Scope,
    /// What it is about, in the words of whoever asked.
    pub statement: String,
    /// Seed of the sample.
    pub seed: String,
    /// Size of the sample.
    pub sample: u32,
    /// How the chain is verified.
    pub verify: Options,
}

/// Everything in the pack.
#[derive(Debug, Clone)]
pub struct Facts {
    /// How it was asked for.
    pub request: Request,
    /// Coverage.
    pub coverage: Coverage,
    /// Verification.
    pub verification: Report,
    /// Systems in use, most calls first.
    pub systems: Vec<System>,
    /// Destinations never read.
    pub unread: Vec<Unread>,
    /// Findings by kind, worst first.
    pub findings: Vec<FindingGroup>,
    /// Calls over time.
    pub bins: Vec<Bin>,
    /// Programs that could not be read.
    pub blind: Vec<Blind>,
    /// Versions in use.
    pub changes: Vec<Change>,
    /// The sample.
    pub sample: Vec<Drawn>,
    /// Hosts out of scope.
    pub excluded: Vec<Excluded>,
    /// What people decided, and accounts.
    pub governance: Governance,
    /// Findings that somebody disposed of.
    pub disposed: u64,
    /// Lists that are longer than [`MAX_ROWS`].
    pub cut: Vec<&'static str>,
}

impl Facts {
    /// Systems that are not sanctioned.
    pub fn unsanctioned_systems(&self) -> usize {
        self.systems
            .iter()
            .filter(|s| s.verdict == "unsanctioned")
            .count()
    }

    /// Findings.
    pub fn finding_total(&self) -> u64 {
        self.findings.iter().map(|f| f.findings).sum()
    }

    /// Calls.
    pub fn calls(&self) -> u64 {
        self.systems.iter().map(|s| s.calls).sum()
    }

    /// Calls that failed.
    pub fn failed_calls(&self) -> u64 {
        self.systems.iter().map(|s| s.failed).sum()
    }
}

const CALLER: &str = "if(k8s_workload_name = '', if(process_comm = '', process_executable_path, process_comm), k8s_namespace_name || '/' || k8s_workload_name)";

/// Reads all facts of a period.
///
/// # Errors
/// When the store cannot be read.
pub async fn gather(client: &Client, request: Request, progress: &mut dyn Progress) -> anyhow::Result<Facts> {
    let scope = request.scope.clone();
    let now = request.verify.now;
    let mut options = request.verify.clone();
    options.period = Period {
        from: Some(scope.from),
        to: Some(scope.to),
    };
    options.host.clone_from(&scope.host);
    let mut source = StoreSource::new(client.clone(), options.period, scope.host.clone());
    let verification = verify(&mut source, &options, progress).await?;
    let mut facts = Facts {
        coverage: coverage(client, &scope, now).await?,
        verification,
        systems: Vec::new(),
        unread: Vec::new(),
        findings: Vec::new(),
        bins: Vec::new(),
        blind: Vec::new(),
        changes: Vec::new(),
        sample: Vec::new(),
        excluded: Vec::new(),
        governance: Governance::default(),
        disposed: 0,
        cut: Vec::new(),
        request,
    };
    let seed = facts.request.seed.clone();
    let sample = facts.request.sample;
    facts.systems = list(client, &systems_sql(&scope), "systems", &mut facts.cut).await?;
    facts.unread = list(client, &unread_sql(&scope), "unread", &mut facts.cut).await?;
    facts.findings = list(client, &findings_sql(&scope), "findings", &mut facts.cut).await?;
    facts.bins = list(client, &bins_sql(&scope), "calls over time", &mut facts.cut).await?;
    facts.blind = list(client, &blind_sql(&scope), "blind spots", &mut facts.cut).await?;
    facts.changes = list(client, &changes_sql(&scope), "changes", &mut facts.cut).await?;
    facts.sample = list(
        client,
        &sample_sql(&scope, &seed, sample),
        "sample",
        &mut facts.cut,
    )
    .await?;
    facts.excluded = list(
        client,
        &excluded_sql(&scope),
        "hosts out of scope",
        &mut facts.cut,
    )
    .await?;
    facts.governance = governance_facts::gather(client, &scope, &mut facts.cut).await?;
    facts.disposed = facts.findings.iter().map(|f| f.disposed).sum();
    Ok(facts)
}

pub(super) async fn list<T>(
    client: &Client,
    sql: &str,
    name: &'static str,
    cut: &mut Vec<&'static str>,
) -> anyhow::Result<Vec<T>>
where
    T: RowOwned + RowRead,
{
    let mut rows: Vec<T> = client.rows(&format!("{sql} LIMIT {}", MAX_ROWS + 1)).await?;
    if rows.len() > MAX_ROWS {
        rows.truncate(MAX_ROWS);
        cut.push(name);
    }
    Ok(rows)
}

/// The calls of a scope.
pub(super) fn calls(scope: &Scope) -> String {
    format!(
        "{} WHERE {} AND {}",
        view("interactions", scope),
        of_host(scope),
        of_workload(scope, Some("process_comm"))
    )
}

fn systems_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(gen_ai_provider_name) AS provider, toString(server_address) AS server_address, toString(gen_ai_request_model) AS model, {CALLER} AS caller, \
         toString(policy_verdict) AS verdict, toString(policy_rule_id) AS policy_rule, count() AS calls, countIf(error_type != '') AS failed, uniqExact(host_id) AS hosts, \
         uniqExact(user_id) AS users, toUInt64(sum(ifNull(gen_ai_usage_input_tokens, 0))) AS input_tokens, toUInt64(sum(ifNull(gen_ai_usage_output_tokens, 0))) AS output_tokens, \
         countIf(gen_ai_usage_input_tokens IS NULL AND gen_ai_usage_output_tokens IS NULL) AS tokens_unknown, \
         toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} GROUP BY provider, server_address, model, caller, verdict, policy_rule ORDER BY calls DESC, provider, server_address, model, caller",
        calls(scope)
    )
}

fn unread_sql(scope: &Scope) -> String {
    format!(
        "SELECT if(server_address = '', toString(network_peer_address), toString(server_address)) AS destination, toString(endpoint_class) AS class, {CALLER} AS caller, \
         arrayMap(r -> toString(r), topK(3)(if(opaque_reason = '', visibility, opaque_reason))) AS reasons, count() AS connections, \
         toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} WHERE {} AND {} GROUP BY destination, class, caller HAVING countIf(visibility = 'decoded') = 0 AND countIf(visibility IN ('opaque', 'partial')) > 0 \
         ORDER BY indexOf(['ai_known', 'local_model', 'ai_suspected', 'unknown'], class), connections DESC, destination",
        view("connections", scope),
        of_host(scope),
        of_workload(scope, Some("process_comm"))
    )
}

fn findings_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(f.finding_type) AS kind, toString(f.rule_id) AS rule, toString(f.severity) AS severity, toString(f.direction) AS direction, \
         toString(f.gen_ai_provider_name) AS provider, toString(i.policy_verdict) AS verdict, count() AS findings, uniqExact(f.interaction_hash) AS calls, uniqExact(f.host_id) AS hosts, \
         countIf(f.record_hash IN (SELECT finding_hash FROM finding_dispositions WHERE disposition != 'open')) AS disposed \
         FROM (SELECT * FROM {} WHERE {} AND {}) AS f LEFT JOIN (SELECT record_hash, policy_verdict FROM {}) AS i ON f.interaction_hash = i.record_hash \
         GROUP BY f.finding_type, f.rule_id, f.severity, f.direction, f.gen_ai_provider_name, i.policy_verdict ORDER BY f.severity DESC, findings DESC, rule",
        view("findings", scope),
        of_host(scope),
        of_workload(scope, None),
        calls(scope)
    )
}

fn bins_sql(scope: &Scope) -> String {
    let width = crate::coverage::account::cell_width(scope.from, scope.to);
    format!(
        "SELECT toInt64({from} + intDiv(toUnixTimestamp64Nano(ts) - {from}, {width}) * {width}) AS at, countIf(policy_verdict = 'sanctioned') AS sanctioned, \
         countIf(policy_verdict = 'unsanctioned') AS unsanctioned, countIf(policy_verdict NOT IN ('sanctioned', 'unsanctioned')) AS unknown FROM {} GROUP BY at ORDER BY at",
        calls(scope),
        from = scope.from
    )
}

fn blind_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(reason) AS reason, toString(process_executable_path) AS executable, toString(runtime) AS runtime, uniqExact(host_id) AS hosts, \
         sum(flows_ai) AS flows_ai, sum(flows_unknown) AS flows_unknown, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} WHERE {} AND {} GROUP BY reason, executable, runtime ORDER BY flows_ai DESC, flows_unknown DESC, executable",
        view("blind_spots", scope),
        of_host(scope),
        of_workload(scope, None)
    )
}

fn changes_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(host_id) AS host, toUnixTimestamp64Nano(min(interval_start)) AS since, toUnixTimestamp64Nano(max(interval_end)) AS until, \
         toString(agent_version) AS agent_version, lower(hex(agent_sha256)) AS agent, lower(hex(config_sha256)) AS config, lower(hex(policy_sha256)) AS policy, lower(hex(register_sha256)) AS register, \
         lower(hex(rule_pack_sha256)) AS rules, toString(catalog_version) AS catalogue, count() AS seals \
         FROM {} WHERE {} GROUP BY host, agent_version, agent, config, policy, register, rules, catalogue ORDER BY host, since",
        view("seals", scope),
        of_host(scope)
    )
}

fn sample_sql(scope: &Scope, seed: &str, size: u32) -> String {
    format!(
        "SELECT * FROM (SELECT toUnixTimestamp64Nano(ts) AS ts, toString(host_id) AS host, {CALLER} AS caller, if(user_name = '', toString(user_id), toString(user_name)) AS user, \
         toString(gen_ai_provider_name) AS provider, toString(server_address) AS server_address, toString(gen_ai_request_model) AS model, toString(policy_verdict) AS verdict, \
         finding_count AS findings, toString(chain_epoch) || '/' || toString(seal_seq) AS seal, lower(hex(record_hash)) AS record \
         FROM {} ORDER BY SHA256(concat({}, record_hash)) LIMIT {size})",
        calls(scope).replacen(" WHERE ", " AS c WHERE ", 1),
        literal(seed)
    )
}

fn excluded_sql(scope: &Scope) -> String {
    format!(
        "SELECT toString(host_id) AS host, argMax(exclusion_reason, observed_at) AS reason FROM host_inventory WHERE {} GROUP BY host_id \
         HAVING NOT argMax(in_scope, observed_at) ORDER BY host",
        of_host(scope)
    )
}
