//! Reads what coverage is computed from.

use std::collections::BTreeMap;

use clickhouse::{Row, RowOwned, RowRead};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    coverage::{
        account::{Answer, Flows, GAP_SLACK_NS, Gap, HostAccount, HostCoverage, SealFacts},
        ratio,
    },
    evidence::SealKind,
    report::json::timestamp,
    store::{Client, StoreError, literal},
};

/// What is asked about. Times are ns, wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// From here on.
    pub from: i64,
    /// Before this.
    pub to: i64,
    /// Only this host id.
    pub host: Option<String>,
    /// Only connections and calls of this Kubernetes workload, or of processes with this command name.
    pub workload: Option<String>,
}

/// The coverage of a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// What was asked.
    pub scope: Scope,
    /// Hosts, by name.
    pub hosts: Vec<HostCoverage>,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct InventoryRow {
    host: String,
    from_ms: i64,
    to_ms: i64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct SealFactsRow {
    host: String,
    chain_epoch: u64,
    seal_seq: u64,
    seal_kind: SealKind,
    open_reason: String,
    boot: String,
    interval_start: i64,
    interval_end: i64,
    probes_required: u16,
    probes_attached: u16,
    selftest: String,
    events_seen: u64,
    lost: u64,
    flows: u64,
    unknown: u64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct ConnectionFacts {
    host: String,
    endpoint_class: String,
    visibility: String,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    plaintext_sent: u64,
    plaintext_received: u64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Counted {
    host: String,
    n: u64,
}

/// The parameterised view of a table for the period of a scope.
pub(super) fn view(name: &str, scope: &Scope) -> String {
    format!(
        "pv_{name}(from='{}', to='{}')",
        timestamp(scope.from),
        timestamp(scope.to)
    )
}

/// Hands out rows one by one.
pub(super) async fn each<T>(client: &Client, sql: &str, take: &mut dyn FnMut(T)) -> Result<(), StoreError>
where
    T: RowOwned + RowRead,
{
    let mut rows = client.raw().query_raw(sql).fetch::<T>()?;
    while let Some(row) = rows.next().await? {
        take(row);
    }
    Ok(())
}

/// Condition for one host.
pub(super) fn of_host(scope: &Scope) -> String {
    scope
        .host
        .as_deref()
        .map_or_else(|| "1".into(), |host| format!("host_id = {}", literal(host)))
}

/// Condition for one workload. Not every table has the command name.
pub(super) fn of_workload(scope: &Scope, process_column: Option<&str>) -> String {
    scope.workload.as_deref().map_or_else(
        || "1".into(),
        |workload| {
            let name = literal(workload);
            process_column.map_or_else(
                || format!("k8s_workload_name = {name}"),
                |column| format!("(k8s_workload_name = {name} OR {column} = {name})"),
            )
        },
    )
}

/// Computes the coverage of a scope. `now` is the wall clock, ns; nothing is expected after it.
///
/// # Errors
/// When the store cannot be read.
pub async fn coverage(client: &Client, scope: &Scope, now: i64) -> Result<Coverage, StoreError> {
    let mut scope = scope.clone();
    scope.to = scope.to.min(now).max(scope.from);
    let inventory = inventory(client, &scope).await?;
    let mut hosts = hosts_from_seals(client, &scope, &inventory, now).await?;
    for (host, up) in &inventory {
        hosts.entry(host.clone()).or_insert_with(|| {
            HostAccount::new(host, scope.from, scope.to, Some(*up))
                .with_cells(scope.from, scope.to)
                .finish(now)
        });
    }
    add_flows(client, &scope, &mut hosts).await?;
    add_use(client, &scope, &mut hosts).await?;
    let mut hosts: Vec<HostCoverage> = hosts.into_values().collect();
    if scope.workload.is_some() {
        // Seals count all flows of the host, not those of one workload.
        for host in &mut hosts {
            host.ai_flows = 0;
            host.unknown_opaque = 0;
        }
    }
    Ok(Coverage { scope, hosts })
}

async fn inventory(client: &Client, scope: &Scope) -> Result<BTreeMap<String, (i64, i64)>, StoreError> {
    let sql = format!(
        "SELECT toString(host_id) AS host, toUnixTimestamp64Milli(argMax(first_seen, observed_at)) AS from_ms, \
         toUnixTimestamp64Milli(argMax(gone_at, observed_at)) AS to_ms FROM host_inventory WHERE {} \
         GROUP BY host_id HAVING argMax(in_scope, observed_at)",
        of_host(scope)
    );
    let rows = client.rows::<InventoryRow>(&sql).await?;
    let ns = |ms: i64| ms.saturating_mul(1_000_000);
    Ok(rows
        .into_iter()
        .map(|row| (row.host, (ns(row.from_ms), ns(row.to_ms))))
        .collect())
}

async fn hosts_from_seals(
    client: &Client,
    scope: &Scope,
    inventory: &BTreeMap<String, (i64, i64)>,
    now: i64,
) -> Result<BTreeMap<String, HostCoverage>, StoreError> {
    // A seal longer than a day does not happen: the interval is at most an hour.
    let sql = format!(
        "SELECT toString(host_id) AS host, chain_epoch, seal_seq, seal_kind, toString(open_reason) AS open_reason, toString(boot_id) AS boot, \
         interval_start, interval_end, probes_required, probes_attached, toString(selftest) AS selftest, events_seen, \
         events_lost_ring + events_lost_user + records_dropped_spool AS lost, toUInt64(ai_flows) AS flows, \
         toUInt64(unknown_flows_opaque) AS unknown FROM v_seals WHERE {} AND interval_start >= fromUnixTimestamp64Nano({}, 'UTC') - INTERVAL 1 DAY \
         AND interval_start < fromUnixTimestamp64Nano({}, 'UTC') AND interval_end > fromUnixTimestamp64Nano({}, 'UTC') \
         ORDER BY host_id, chain_epoch, seal_seq",
        of_host(scope),
        scope.from,
        scope.to,
        scope.from
    );
    let mut done = BTreeMap::new();
    let mut current: Option<(String, HostAccount)> = None;
    each::<SealFactsRow>(client, &sql, &mut |row| {
        if current.as_ref().is_some_and(|(host, _)| *host != row.host)
            && let Some((host, account)) = current.take()
        {
            done.insert(host, account.finish(now));
        }
        let (_, account) = current.get_or_insert_with(|| {
            let up = inventory.get(&row.host).copied();
            let account =
                HostAccount::new(&row.host, scope.from, scope.to, up).with_cells(scope.from, scope.to);
            (row.host.clone(), account)
        });
        account.seal(&facts(row), scope.from);
    })
    .await?;
    if let Some((host, account)) = current {
        done.insert(host, account.finish(now));
    }
    Ok(done)
}

fn facts(row: SealFactsRow) -> SealFacts {
    SealFacts {
        chain_epoch: row.chain_epoch,
        seal_seq: row.seal_seq,
        kind: row.seal_kind,
        open_reason: row.open_reason,
        boot_id: row.boot,
        start: row.interval_start,
        end: row.interval_end,
        probes_required: row.probes_required,
        probes_attached: row.probes_attached,
        selftest: row.selftest,
        events_seen: row.events_seen,
        events_lost: row.lost,
        ai_flows: row.flows,
        unknown_opaque: row.unknown,
    }
}

async fn add_flows(
    client: &Client,
    scope: &Scope,
    hosts: &mut BTreeMap<String, HostCoverage>,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT toString(host_id) AS host, toString(endpoint_class) AS endpoint_class, toString(visibility) AS visibility, bytes_sent, bytes_received, \
         plaintext_sent, plaintext_received FROM {} WHERE {} AND {} AND endpoint_class IN ('ai_known', 'local_model', 'unknown') AND visibility != 'none'",
        view("connections", scope),
        of_host(scope),
        of_workload(scope, Some("process_comm"))
    );
    each::<ConnectionFacts>(client, &sql, &mut |row| {
        if let Some(host) = hosts.get_mut(&row.host) {
            host.flows.add(&flow(&row));
        }
    })
    .await
}

fn flow(row: &ConnectionFacts) -> Flows {
    if row.endpoint_class == "unknown" {
        return Flows {
            unknown_opaque: u64::from(row.visibility == "opaque"),
            ..Flows::default()
        };
    }
    let mut flow = Flows {
        all: 1,
        decoded: u64::from(row.visibility == "decoded"),
        partial: u64::from(row.visibility == "partial"),
        opaque: u64::from(row.visibility == "opaque"),
        ..Flows::default()
    };
    match (row.bytes_sent, row.bytes_received) {
        (Some(sent), Some(received)) => {
            flow.socket_bytes = sent.saturating_add(received);
            flow.plain_bytes = row.plaintext_sent.saturating_add(row.plaintext_received);
        }
        _ => flow.bytes_unknown = 1,
    }
    flow
}

async fn add_use(
    client: &Client,
    scope: &Scope,
    hosts: &mut BTreeMap<String, HostCoverage>,
) -> Result<(), StoreError> {
    let count = async |view_name: &str, condition: String| {
        let sql = format!(
            "SELECT toString(host_id) AS host, count() AS n FROM {} WHERE {} AND {condition} GROUP BY host_id",
            view(view_name, scope),
            of_host(scope),
        );
        client.rows::<Counted>(&sql).await
    };
    for row in count("interactions", of_workload(scope, Some("process_comm"))).await? {
        if let Some(host) = hosts.get_mut(&row.host) {
            host.interactions = row.n;
        }
    }
    let blind = format!("flows_unknown > 0 AND {}", of_workload(scope, None));
    for row in count("blind_spots", blind).await? {
        if let Some(host) = hosts.get_mut(&row.host) {
            host.blind_spots = row.n;
        }
    }
    Ok(())
}

impl Coverage {
    /// Connections of all hosts.
    pub fn flows(&self) -> Flows {
        let mut all = Flows::default();
        self.hosts.iter().for_each(|host| all.add(&host.flows));
        all
    }

    /// A sum over all hosts.
    pub fn sum(&self, of: impl Fn(&HostCoverage) -> u64) -> u64 {
        self.hosts.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Time good by time expected, ns.
    pub fn time(&self) -> (u64, u64) {
        let sum = |of: fn(&HostCoverage) -> i64| self.sum(|h| u64::try_from(of(h)).unwrap_or(0));
        (sum(|h| h.good), sum(|h| h.expected))
    }

    /// C_time.
    pub fn c_time(&self) -> Option<f64> {
        let (good, expected) = self.time();
        ratio(good, expected)
    }

    /// C_event.
    pub fn c_event(&self) -> Option<f64> {
        let seen = self.sum(|h| h.events_seen);
        ratio(seen, seen.saturating_add(self.sum(|h| h.events_lost)))
    }

    /// The estimate C = C_time x C_event x C_flow, where all three were measured.
    pub fn estimate(&self) -> Option<f64> {
        Some(self.c_time()? * self.c_event()? * self.flows().c_flow()?)
    }

    /// Flows to nobody known that could not be read: of all programs as the seals count them, of one workload as the
    /// connections do.
    pub fn unknown_opaque(&self) -> u64 {
        match self.scope.workload {
            None => self.sum(|h| h.unknown_opaque),
            Some(_) => self.flows().unknown_opaque,
        }
    }

    /// The answer for all hosts together.
    pub fn answer(&self) -> Answer {
        let answers: Vec<Answer> = self.hosts.iter().map(HostCoverage::answer).collect();
        if answers.contains(&Answer::Some) {
            Answer::Some
        } else if answers.is_empty() || answers.contains(&Answer::Unknown) {
            Answer::Unknown
        } else {
            Answer::None
        }
    }

    /// For programs. Ratios that were not measured are null.
    pub fn to_json(&self) -> Value {
        let seen = self.sum(|h| h.events_seen);
        let lost = self.sum(|h| h.events_lost);
        json!({
            "from": timestamp(self.scope.from),
            "to": timestamp(self.scope.to),
            "host": self.scope.host,
            "workload": self.scope.workload,
            "answer": self.answer().word(),
            "estimate": self.estimate(),
            "c_time": factor(self.c_time(), self.time().0, self.time().1, "ns"),
            "c_event": factor(self.c_event(), seen, seen.saturating_add(lost), "events"),
            "c_flow": factor(self.flows().c_flow(), self.flows().decoded, self.flows().all, "flows"),
            "c_byte": factor(self.flows().c_byte(), self.flows().plain_bytes, self.flows().socket_bytes, "bytes"),
            "flows_with_unknown_bytes": self.flows().bytes_unknown,
            "unknown_opaque_flows": self.unknown_opaque(),
            "hosts": self.hosts.iter().map(host_json).collect::<Vec<_>>(),
        })
    }
}

fn factor(ratio: Option<f64>, part: u64, whole: u64, unit: &str) -> Value {
    json!({"ratio": ratio, "part": part, "whole": whole, "unit": unit})
}

fn host_json(host: &HostCoverage) -> Value {
    json!({
        "host_id": host.host,
        "in_inventory": host.in_inventory,
        "answer": host.answer().word(),
        "doubts": host.doubts().iter().map(|d| d.word()).collect::<Vec<_>>(),
        "expected_ns": host.expected,
        "sealed_ns": host.sealed,
        "probes_ok_ns": host.probes_ok,
        "selftest_ok_ns": host.selftest_ok,
        "selftest_not_measured_ns": host.selftest_not_measured,
        "good_ns": host.good,
        "c_time": host.c_time(),
        "c_event": host.c_event(),
        "c_flow": host.flows.c_flow(),
        "c_byte": host.flows.c_byte(),
        "seals": host.seals,
        "events_seen": host.events_seen,
        "events_lost": host.events_lost,
        "interactions": host.interactions,
        "flows": host.flows.all,
        "flows_decoded": host.flows.decoded,
        "flows_partial": host.flows.partial,
        "flows_opaque": host.flows.opaque,
        "unknown_opaque_flows": host.unknown_opaque.max(host.flows.unknown_opaque),
        "blind_spots": host.blind_spots,
        "gaps": host.gaps.iter().map(gap_json).collect::<Vec<_>>(),
    })
}

fn gap_json(gap: &Gap) -> Value {
    json!({
        "from": timestamp(gap.from),
        "to": timestamp(gap.to),
        "seconds": (gap.to - gap.from + GAP_SLACK_NS / 2) / 1_000_000_000,
        "cause": gap.cause,
    })
}
