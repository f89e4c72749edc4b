//! What is asked of the store for the pack. Pure.

use crate::{
    review::{
        Scope,
        coverage::{of_host, of_workload, view},
    },
    store::literal,
};

const CALLER: &str = "if(k8s_workload_name = '', if(process_comm = '', process_executable_path, process_comm), k8s_namespace_name || '/' || k8s_workload_name)";

/// The calls of a scope.
pub(super) fn calls(scope: &Scope) -> String {
    format!(
        "{} WHERE {} AND {}",
        view("interactions", scope),
        of_host(scope),
        of_workload(scope, Some("process_comm"))
    )
}

/// The findings of a scope. A finding names the workload of its call and not the process, so those of a process are found by
/// their calls.
pub(super) fn findings(scope: &Scope) -> String {
    let of_workload = match scope.workload {
        None => "1".to_owned(),
        Some(_) => format!(
            "({} OR interaction_hash IN (SELECT record_hash FROM {}))",
            of_workload(scope, None),
            calls(scope)
        ),
    };
    format!(
        "{} WHERE {} AND {of_workload}",
        view("findings", scope),
        of_host(scope)
    )
}

/// One row for each system in use.
fn each_system(scope: &Scope) -> String {
    format!(
        "SELECT toString(gen_ai_provider_name) AS provider, toString(server_address) AS server_address, toString(gen_ai_request_model) AS model, {CALLER} AS caller, \
         toString(policy_verdict) AS verdict, toString(policy_rule_id) AS policy_rule, count() AS calls, countIf(error_type != '') AS failed, uniqExact(host_id) AS hosts, \
         uniqExact(user_id) AS users, toUInt64(sum(ifNull(gen_ai_usage_input_tokens, 0))) AS input_tokens, toUInt64(sum(ifNull(gen_ai_usage_output_tokens, 0))) AS output_tokens, \
         countIf(gen_ai_usage_input_tokens IS NULL AND gen_ai_usage_output_tokens IS NULL) AS tokens_unknown, \
         toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} GROUP BY provider, server_address, model, caller, verdict, policy_rule",
        calls(scope)
    )
}

/// Systems in use. Those that are not sanctioned come first, since a list that is too long is cut at its end.
pub(super) fn systems(scope: &Scope) -> String {
    format!(
        "{} ORDER BY verdict = 'unsanctioned' DESC, calls DESC, provider, server_address, model, caller",
        each_system(scope)
    )
}

/// All systems by verdict: whatever is neither is unknown.
pub(super) fn system_totals(scope: &Scope) -> String {
    format!(
        "SELECT if(s.verdict IN ('sanctioned', 'unsanctioned'), s.verdict, 'unknown') AS word, count() AS systems, sum(s.calls) AS calls, sum(s.failed) AS failed, \
         sum(s.tokens_unknown) AS tokens_unknown FROM ({}) AS s GROUP BY word ORDER BY word",
        each_system(scope)
    )
}

/// Destinations that were never read.
pub(super) fn unread(scope: &Scope) -> String {
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

/// Whether somebody disposed of the finding `of`.
fn is_disposed(of: &str) -> String {
    format!("{of}.record_hash IN (SELECT finding_hash FROM finding_dispositions WHERE disposition != 'open')")
}

/// Findings by kind.
pub(super) fn finding_groups(scope: &Scope) -> String {
    format!(
        "SELECT toString(f.finding_type) AS kind, toString(f.rule_id) AS rule, toString(f.severity) AS severity, toString(f.direction) AS direction, \
         toString(f.gen_ai_provider_name) AS provider, toString(i.policy_verdict) AS verdict, count() AS findings, uniqExact(f.interaction_hash) AS calls, uniqExact(f.host_id) AS hosts, \
         countIf({}) AS disposed \
         FROM (SELECT * FROM {}) AS f LEFT JOIN (SELECT record_hash, policy_verdict FROM {}) AS i ON f.interaction_hash = i.record_hash \
         GROUP BY f.finding_type, f.rule_id, f.severity, f.direction, f.gen_ai_provider_name, i.policy_verdict ORDER BY f.severity DESC, findings DESC, rule",
        is_disposed("f"),
        findings(scope),
        calls(scope)
    )
}

/// All findings.
pub(super) fn finding_totals(scope: &Scope) -> String {
    format!(
        "SELECT count() AS findings, countIf({}) AS disposed FROM (SELECT record_hash FROM {}) AS f",
        is_disposed("f"),
        findings(scope)
    )
}

/// Calls over time.
pub(super) fn bins(scope: &Scope) -> String {
    let width = crate::coverage::account::cell_width(scope.from, scope.to);
    format!(
        "SELECT toInt64({from} + intDiv(toUnixTimestamp64Nano(ts) - {from}, {width}) * {width}) AS at, countIf(policy_verdict = 'sanctioned') AS sanctioned, \
         countIf(policy_verdict = 'unsanctioned') AS unsanctioned, countIf(policy_verdict NOT IN ('sanctioned', 'unsanctioned')) AS unknown FROM {} GROUP BY at ORDER BY at",
        calls(scope),
        from = scope.from
    )
}

/// Programs that could not be read.
pub(super) fn blind(scope: &Scope) -> String {
    format!(
        "SELECT toString(reason) AS reason, toString(process_executable_path) AS executable, toString(runtime) AS runtime, uniqExact(host_id) AS hosts, \
         sum(flows_ai) AS flows_ai, sum(flows_unknown) AS flows_unknown, toUnixTimestamp64Nano(max(ts)) AS last \
         FROM {} WHERE {} AND {} GROUP BY reason, executable, runtime ORDER BY flows_ai DESC, flows_unknown DESC, executable",
        view("blind_spots", scope),
        of_host(scope),
        of_workload(scope, None)
    )
}

/// Versions in use.
pub(super) fn changes(scope: &Scope) -> String {
    format!(
        "SELECT toString(host_id) AS host, toUnixTimestamp64Nano(min(interval_start)) AS since, toUnixTimestamp64Nano(max(interval_end)) AS until, \
         toString(agent_version) AS agent_version, lower(hex(agent_sha256)) AS agent, lower(hex(config_sha256)) AS config, lower(hex(policy_sha256)) AS policy, lower(hex(register_sha256)) AS register, \
         lower(hex(rule_pack_sha256)) AS rules, toString(catalog_version) AS catalogue, count() AS seals \
         FROM {} WHERE {} GROUP BY host, agent_version, agent, config, policy, register, rules, catalogue ORDER BY host, since",
        view("seals", scope),
        of_host(scope)
    )
}

/// Calls that the seed draws.
pub(super) fn sample(scope: &Scope, seed: &str, size: u32) -> String {
    format!(
        "SELECT * FROM (SELECT toUnixTimestamp64Nano(ts) AS ts, toString(host_id) AS host, {CALLER} AS caller, if(user_name = '', toString(user_id), toString(user_name)) AS user, \
         toString(gen_ai_provider_name) AS provider, toString(server_address) AS server_address, toString(gen_ai_request_model) AS model, toString(policy_verdict) AS verdict, \
         finding_count AS findings, toString(chain_epoch) || '/' || toString(seal_seq) AS seal, lower(hex(record_hash)) AS record \
         FROM {} ORDER BY SHA256(concat({}, record_hash)) LIMIT {size})",
        calls(scope).replacen(" WHERE ", " AS c WHERE ", 1),
        literal(seed)
    )
}

/// Hosts out of scope.
pub(super) fn excluded(scope: &Scope) -> String {
    format!(
        "SELECT toString(host_id) AS host, argMax(exclusion_reason, observed_at) AS reason FROM host_inventory WHERE {} GROUP BY host_id \
         HAVING NOT argMax(in_scope, observed_at) ORDER BY host",
        of_host(scope)
    )
}
