//! Single rows: an exchange with its findings, a connection, a program that cannot be read.

use std::net::{Ipv4Addr, Ipv6Addr};

use observer::evidence::{BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, Sequencer, Severity};
use sha2::{Digest, Sha256};

use super::cast::{APPROVED, BLIND, ENDPOINTS, Endpoint, FINDINGS, USERS, Workload};
use super::{Rows, SECOND};
use crate::random::Random;

/// What is the same in all rows of a host.
pub(super) struct Place {
    pub(super) host_id: String,
    pub(super) host_name: String,
}

impl Place {
    pub(super) fn new(number: usize) -> Self {
        let digest = Sha256::digest(format!("machine {number}"));
        Self {
            host_id: hex::encode(&digest[..16]),
            host_name: format!("node-{:02}", number + 1),
        }
    }

    fn pod(&self, workload: &str) -> String {
        format!("{workload}-{}", &self.host_id[..5])
    }
}

fn part<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text);
    std::array::from_fn(|i| digest[i])
}

/// Where a workload calls this time: nearly always where it always does.
fn endpoint(workload: &Workload, random: &mut Random) -> &'static Endpoint {
    match random.below(100) {
        0 => &ENDPOINTS[random.below(APPROVED)],
        1 if workload.namespace == "data" => &ENDPOINTS[7],
        _ => &ENDPOINTS[workload.endpoint],
    }
}

/// Rule and verdict, as the policy of this made-up company has them.
fn verdict(endpoint: &Endpoint) -> (&'static str, &'static str) {
    match endpoint.provider {
        "deepseek" => ("prohibited-provider", "unsanctioned"),
        "openrouter" => ("", "unsanctioned"),
        "gcp.gemini" | "ollama" => ("", "unknown"),
        _ => (endpoint.entry, "sanctioned"),
    }
}

fn account(workload: &Workload, random: &mut Random) -> [u8; 16] {
    let personal = workload.namespace == "labs" && random.one_in(3);
    part(&format!(
        "account {} {personal}",
        if personal {
            workload.name
        } else {
            workload.namespace
        }
    ))
}

/// Second word of a user agent, without what follows.
fn version(user_agent: &str) -> &str {
    let after = user_agent.rsplit('/').next().unwrap_or_default();
    after.split(' ').next().unwrap_or_default()
}

/// Name and session of a coding agent; empty for other programs.
fn agent(workload: &Workload, random: &mut Random) -> (&'static str, String) {
    let name = match workload.name {
        "agent-sandbox" => "opencode",
        "shell-helper" => "claude-code",
        _ => return ("", String::new()),
    };
    (name, format!("{name}-{}", random.below(30)))
}

pub(super) fn exchange(
    rows: &mut Rows,
    chain: &mut Sequencer,
    random: &mut Random,
    place: &Place,
    workload: &Workload,
    ts: i64,
) {
    let endpoint = endpoint(workload, random);
    let mut row = answered(asked(place, workload, endpoint, random), endpoint, random);
    row.ts = ts;
    if endpoint.port != 443 && row.duration_ns.is_multiple_of(4) {
        served(&mut row);
    }
    let found: Vec<usize> = (0..usize::from(random.one_in(25)) + usize::from(random.one_in(90)))
        .map(|_| random.below(FINDINGS.len()).min(random.below(FINDINGS.len())))
        .collect();
    row.finding_count = u16::try_from(found.len()).unwrap_or(0);
    let row = chain.interaction(row);
    for kind in found {
        rows.findings.push(chain.finding(finding(&row, kind, random)));
    }
    rows.interactions.push(row);
}

fn asked(place: &Place, workload: &Workload, endpoint: &Endpoint, random: &mut Random) -> InteractionRow {
    let user = random.below(USERS.len());
    let (rule, verdict) = verdict(endpoint);
    let model = endpoint.models[random.below(endpoint.models.len())];
    let account = account(workload, random);
    let (agent, session) = agent(workload, random);
    InteractionRow {
        host_name: place.host_name.clone(),
        os_type: "linux".into(),
        k8s_cluster_name: "prod-eu".into(),
        k8s_node_name: place.host_name.clone(),
        k8s_namespace_name: workload.namespace.into(),
        k8s_pod_name: place.pod(workload.name),
        k8s_container_name: "app".into(),
        k8s_workload_kind: "Deployment".into(),
        k8s_workload_name: workload.name.into(),
        k8s_service_account: workload.namespace.into(),
        container_id: hex::encode(part::<32>(&place.pod(workload.name))),
        container_image_name: format!("registry.contoso.example/{}:1.4", workload.name),
        process_pid: 4_000 + random.below(200) as u32,
        process_parent_pid: 3_990,
        process_comm: workload.comm.into(),
        process_executable_path: workload.path.into(),
        process_executable_sha256: part(workload.path),
        process_ancestry: vec!["containerd-shim".into(), "systemd".into()],
        user_id: 1_001 + user as u32,
        user_name: USERS[user].into(),
        server_address: endpoint.host.into(),
        server_port: endpoint.port,
        name_source: "sni".into(),
        network_peer_address: peer(endpoint.host),
        tie: "in_call".into(),
        tls_stack: if endpoint.port == 443 {
            workload.stack
        } else {
            "none"
        }
        .into(),
        http_request_method: "POST".into(),
        url_path_template: endpoint.path.into(),
        user_agent: workload.user_agent.into(),
        dialect: endpoint.dialect.into(),
        dialect_evidence: "host".into(),
        gen_ai_provider_name: endpoint.provider.into(),
        gen_ai_operation_name: endpoint.operation.into(),
        gen_ai_request_model: model.into(),
        credential_hmac: account,
        account_hmac: account,
        account_kind: if endpoint.port == 443 { "api_key" } else { "" }.into(),
        account_evidence: "credential".into(),
        hmac_key_id: "k1".into(),
        client_name: workload.user_agent.split('/').next().unwrap_or_default().into(),
        client_version: version(workload.user_agent).into(),
        agent_name: agent.into(),
        agent_session_id: session,
        policy_id: "contoso".into(),
        policy_version: "2026-10".into(),
        policy_rule_id: rule.into(),
        policy_reason: if rule.is_empty() { "default" } else { "rule" }.into(),
        register_sha256: super::registers::digest(),
        register_entry_id: endpoint.entry.into(),
        policy_verdict: verdict.into(),
        catalog_version: "2026-11-01".into(),
        visibility: "decoded".into(),
        role: "client".into(),
        ..InteractionRow::unknown()
    }
}

/// Makes it a call that a model server of the host answered to a notebook (RFC 5737).
fn served(row: &mut InteractionRow) {
    row.role = "server".into();
    row.network_peer_address =
        Ipv4Addr::new(198, 51, 100, 10 + row.process_pid.to_le_bytes()[0] % 8).to_ipv6_mapped();
    row.process_comm = "ollama".into();
    row.process_executable_path = "/usr/bin/ollama".into();
    row.process_executable_sha256 = part("/usr/bin/ollama");
    (row.user_id, row.user_name) = (998, "ollama".into());
}

fn answered(mut row: InteractionRow, endpoint: &Endpoint, random: &mut Random) -> InteractionRow {
    let embeddings = endpoint.operation == "embeddings";
    let size = 7 + random.below(8);
    let input = 80 + random.below(1 << size) as u64;
    row.gen_ai_request_stream = !embeddings && random.one_in(2);
    row.duration_ns = 200_000_000 + random.below(9_000_000_000) as u64;
    row.time_to_first_chunk_ns = row.gen_ai_request_stream.then_some(row.duration_ns / 6);
    row.request_bytes = input * 4 + 900;
    row.response_bytes = 2_000 + random.below(20_000) as u64;
    row.scan_bytes_seen = row.request_bytes + row.response_bytes;
    row.scan_bytes_scanned = row.scan_bytes_seen;
    let status = match random.below(100) {
        0 => 500,
        1 | 2 => 429,
        _ => 200,
    };
    row.http_response_status_code = Some(status);
    if status != 200 {
        row.error_type = if status == 429 {
            "rate_limit_error"
        } else {
            "api_error"
        }
        .into();
        return row;
    }
    row.gen_ai_response_model = row.gen_ai_request_model.clone();
    row.gen_ai_response_id = format!("resp_{:012x}", random.below(1 << 40));
    row.gen_ai_usage_input_tokens = Some(input);
    if !embeddings {
        row.gen_ai_usage_output_tokens = Some(20 + random.below(1_200) as u64);
        row.gen_ai_response_finish_reasons = vec!["stop".into()];
        row.gen_ai_conversation_id = format!("conv_{:06x}", random.below(1 << 14));
        if random.one_in(9) {
            row.tool_names = vec!["search_docs".into()];
        }
    }
    row
}

fn finding(row: &InteractionRow, kind: usize, random: &mut Random) -> FindingRow {
    let (rule, class, severity, confidence, answer) = FINDINGS[kind];
    let secret = severity == 5;
    FindingRow {
        ts: row.ts,
        interaction_hash: row.record_hash,
        finding_type: class.into(),
        rule_id: rule.into(),
        rule_version: "1".into(),
        severity: Severity::try_from(severity).unwrap_or(Severity::Info),
        confidence: confidence.into(),
        direction: if answer { "response" } else { "prompt" }.into(),
        json_path: if answer {
            "$.choices[*].message.content"
        } else {
            "$.messages[*].content"
        }
        .into(),
        match_count: 1 + random.below(3) as u32,
        match_bytes: 20 + random.below(60) as u32,
        value_hmac: if secret {
            vec![part(&format!("{rule} {}", random.below(40)))]
        } else {
            Vec::new()
        },
        hmac_key_id: if secret { "k1".into() } else { String::new() },
        server_address: row.server_address.clone(),
        gen_ai_provider_name: row.gen_ai_provider_name.clone(),
        k8s_namespace_name: row.k8s_namespace_name.clone(),
        k8s_workload_name: row.k8s_workload_name.clone(),
        ..FindingRow::unknown()
    }
}

/// An address of the ranges for documentation (RFC 5737).
fn peer(host: &str) -> Ipv6Addr {
    let last: [u8; 1] = part(host);
    Ipv4Addr::new(203, 0, 113, last[0]).to_ipv6_mapped()
}

fn socket(place: &Place, random: &mut Random, host: &str, ts: i64) -> ConnectionRow {
    let sent = 2_000 + random.below(60_000) as u64;
    ConnectionRow {
        ts,
        closed_ts: ts + (1 + random.below(90)) as i64 * SECOND,
        close_reason: "closed".into(),
        connection_id: 1 + random.below(1 << 48) as u64,
        host_name: place.host_name.clone(),
        k8s_cluster_name: "prod-eu".into(),
        k8s_node_name: place.host_name.clone(),
        process_pid: 4_000 + random.below(200) as u32,
        network_transport: "tcp".into(),
        network_family: "ipv4".into(),
        network_peer_address: peer(host),
        network_local_port: 32_768 + random.below(28_000) as u16,
        server_port: 443,
        server_address: host.into(),
        name_source: if host.is_empty() { "none" } else { "sni" }.into(),
        endpoint_class: if host.is_empty() { "unknown" } else { "ai_known" }.into(),
        catalog_version: "2026-11-01".into(),
        bytes_sent: Some(sent + 900),
        bytes_received: Some(sent / 2 + 5_400),
        ..ConnectionRow::unknown()
    }
}

pub(super) fn connection(
    rows: &mut Rows,
    chain: &mut Sequencer,
    random: &mut Random,
    place: &Place,
    workload: &Workload,
    ts: i64,
) {
    let endpoint = &ENDPOINTS[workload.endpoint];
    let mut row = socket(place, random, endpoint.host, ts);
    row.k8s_namespace_name = workload.namespace.into();
    row.k8s_pod_name = place.pod(workload.name);
    row.k8s_container_name = "app".into();
    row.k8s_workload_kind = "Deployment".into();
    row.k8s_workload_name = workload.name.into();
    row.k8s_service_account = workload.namespace.into();
    row.container_image_name = format!("registry.contoso.example/{}:1.4", workload.name);
    row.process_comm = workload.comm.into();
    row.process_executable_path = workload.path.into();
    row.user_name = USERS[0].into();
    row.user_id = 1_001;
    row.server_port = endpoint.port;
    row.tls_stack = if endpoint.port == 443 {
        workload.stack
    } else {
        "none"
    }
    .into();
    row.plaintext_sent = row.bytes_sent.unwrap_or(0).saturating_sub(700);
    row.plaintext_received = row.bytes_received.unwrap_or(0).saturating_sub(5_200);
    row.exchanges_decoded = 3;
    row.visibility = "decoded".into();
    rows.connections.push(chain.connection(row));
}

pub(super) fn blind_connection(
    rows: &mut Rows,
    chain: &mut Sequencer,
    random: &mut Random,
    place: &Place,
    index: usize,
    ts: i64,
) {
    let (path, _, reason, host) = BLIND[index];
    let mut row = socket(place, random, host, ts);
    row.process_comm = path.rsplit('/').next().unwrap_or(path).into();
    row.process_executable_path = path.into();
    if reason == "quic" {
        row.network_transport = "udp".into();
    }
    row.visibility = "opaque".into();
    row.opaque_reason = reason.into();
    rows.connections.push(chain.connection(row));
}

pub(super) fn blind_spot(rows: &mut Rows, chain: &mut Sequencer, place: &Place, index: usize, ts: i64) {
    let (path, runtime, reason, host) = BLIND[index];
    let flows = 4 + u32::from(place.host_id.as_bytes()[0]) % 9;
    rows.blind_spots.push(chain.blind_spot(BlindSpotRow {
        ts,
        reason: reason.into(),
        process_executable_path: path.into(),
        process_executable_sha256: part(path),
        runtime: runtime.into(),
        process_count: 1,
        flows_ai: if host.is_empty() { 0 } else { flows },
        flows_unknown: if host.is_empty() { flows } else { 0 },
        bytes_sent: u64::from(flows) * 30_000,
        ..BlindSpotRow::unknown()
    }));
}
