//! What the auditor's pack is written from.

use anyhow::Context;
use clickhouse::{Row, RowOwned, RowRead};
use serde::{Deserialize, Serialize};

use super::{
    governance_facts::{self, Governance},
    sql,
};
use crate::{
    review::{Coverage, Scope, coverage},
    store::Client,
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
    /// All systems of one verdict, also those that the list has no room for.
    SystemTotal {
        /// sanctioned, unsanctioned or unknown.
        word: String,
        /// Systems.
        systems: u64,
        /// Calls.
        calls: u64,
        /// Of them failed ones.
        failed: u64,
        /// Calls that did not say their tokens.
        tokens_unknown: u64,
    }
}

fact_row! {
    /// All findings.
    FindingTotal {
        /// Findings.
        findings: u64,
        /// Findings that somebody disposed of.
        disposed: u64,
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
    /// Systems in use, most calls first. Where there are too many, those that are not sanctioned stay.
    pub systems: Vec<System>,
    /// All of them, by verdict.
    pub system_totals: Vec<SystemTotal>,
    /// Destinations never read.
    pub unread: Vec<Unread>,
    /// Findings by kind, worst first.
    pub findings: Vec<FindingGroup>,
    /// All of them.
    pub finding_totals: FindingTotal,
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
    /// Lists that are longer than [`MAX_ROWS`].
    pub cut: Vec<&'static str>,
}

impl Facts {
    /// Systems in use.
    pub fn all_systems(&self) -> u64 {
        self.systems_sum(|total| total.systems)
    }

    /// Systems that are not sanctioned.
    pub fn unsanctioned_systems(&self) -> u64 {
        self.system_total("unsanctioned").0
    }

    /// Systems and calls of a verdict.
    pub fn system_total(&self, verdict: &str) -> (u64, u64) {
        let total = self.system_totals.iter().find(|total| total.word == verdict);
        total.map_or((0, 0), |total| (total.systems, total.calls))
    }

    /// Findings.
    pub fn finding_total(&self) -> u64 {
        self.finding_totals.findings
    }

    /// Findings that somebody disposed of.
    pub fn disposed(&self) -> u64 {
        self.finding_totals.disposed
    }

    /// Calls.
    pub fn calls(&self) -> u64 {
        self.systems_sum(|total| total.calls)
    }

    /// Calls that failed.
    pub fn failed_calls(&self) -> u64 {
        self.systems_sum(|total| total.failed)
    }

    /// Calls that did not say their tokens.
    pub fn calls_without_tokens(&self) -> u64 {
        self.systems_sum(|total| total.tokens_unknown)
    }

    fn systems_sum(&self, of: fn(&SystemTotal) -> u64) -> u64 {
        self.system_totals.iter().map(of).sum()
    }
}

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
        system_totals: Vec::new(),
        unread: Vec::new(),
        findings: Vec::new(),
        finding_totals: FindingTotal {
            findings: 0,
            disposed: 0,
        },
        bins: Vec::new(),
        blind: Vec::new(),
        changes: Vec::new(),
        sample: Vec::new(),
        excluded: Vec::new(),
        governance: Governance::default(),
        cut: Vec::new(),
        request,
    };
    read(client, &scope, &mut facts).await?;
    facts.governance = governance_facts::gather(client, &scope, &mut facts.cut).await?;
    Ok(facts)
}

/// Reads the lists and their totals.
async fn read(client: &Client, scope: &Scope, facts: &mut Facts) -> anyhow::Result<()> {
    let cut = &mut facts.cut;
    facts.systems = list(client, &sql::systems(scope), "systems", cut).await?;
    // What was kept by another order is shown in this one.
    facts
        .systems
        .sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| names(a).cmp(&names(b))));
    facts.system_totals = client.rows(&sql::system_totals(scope)).await?;
    facts.unread = list(client, &sql::unread(scope), "unread", cut).await?;
    facts.findings = list(client, &sql::finding_groups(scope), "findings", cut).await?;
    let totals = client.rows(&sql::finding_totals(scope)).await?;
    facts.finding_totals = totals.into_iter().next().context("no count of findings")?;
    facts.bins = list(client, &sql::bins(scope), "calls over time", cut).await?;
    facts.blind = list(client, &sql::blind(scope), "blind spots", cut).await?;
    facts.changes = list(client, &sql::changes(scope), "changes", cut).await?;
    let drawn = sql::sample(scope, &facts.request.seed, facts.request.sample);
    facts.sample = list(client, &drawn, "sample", cut).await?;
    facts.excluded = list(client, &sql::excluded(scope), "hosts out of scope", cut).await?;
    Ok(())
}

/// What a system is called.
fn names(system: &System) -> [&str; 4] {
    [
        &system.provider,
        &system.server_address,
        &system.model,
        &system.caller,
    ]
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
