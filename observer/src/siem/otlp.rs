//! OTLP/JSON logs (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>) with the attributes of the OpenTelemetry semantic
//! conventions; what those have no name for begins with `observer.`. Pure.

use serde_json::{Value, json};

use super::{address, is_empty};
use crate::evidence::{ConnectionRow, FindingRow, InteractionRow, Severity};

/// Severity numbers of the log data model.
const INFO: u8 = 9;
const WARN: u8 = 13;
const ERROR: u8 = 17;

/// Attributes by name, those that are unknown left out.
fn attributes<'n>(pairs: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    pairs
        .into_iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| json!({"key": key, "value": any_value(&value)}))
        .collect()
}

/// `AnyValue`: integers are texts in OTLP/JSON, as protobuf's JSON has all 64-bit ones.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::String(text) => json!({"stringValue": text}),
        Value::Null | Value::Object(_) => json!({"stringValue": value.to_string()}),
    }
}

/// One request with one record: a line of a file must stand for itself.
fn request(resource: Value, event: &str, ts: i64, severity: u8, attributes: Value) -> Value {
    let text = match severity {
        ERROR => "ERROR",
        WARN => "WARN",
        _ => "INFO",
    };
    json!({"resourceLogs": [{
        "resource": {"attributes": resource},
        "scopeLogs": [{
            "scope": {"name": "observer", "version": env!("CARGO_PKG_VERSION")},
            "logRecords": [{
                "timeUnixNano": ts.to_string(),
                "severityNumber": severity,
                "severityText": text,
                "eventName": event,
                "attributes": attributes,
            }],
        }],
    }]})
}

/// How loud a row is by what the policy said of it.
fn by_verdict(verdict: &str) -> u8 {
    if verdict == "unsanctioned" { WARN } else { INFO }
}

fn hash(bytes: &[u8; 32]) -> Value {
    hex::encode(bytes).into()
}

pub(super) fn interaction(row: &InteractionRow) -> Value {
    let resource = attributes([
        ("host.id", json!(row.host_id)),
        ("host.name", json!(row.host_name)),
        ("os.type", json!(row.os_type)),
        ("container.id", json!(row.container_id)),
        ("container.image.name", json!(row.container_image_name)),
        ("k8s.cluster.name", json!(row.k8s_cluster_name)),
        ("k8s.node.name", json!(row.k8s_node_name)),
        ("k8s.namespace.name", json!(row.k8s_namespace_name)),
        ("k8s.pod.name", json!(row.k8s_pod_name)),
        ("k8s.pod.uid", json!(row.k8s_pod_uid)),
        ("process.pid", json!(row.process_pid)),
        ("process.executable.path", json!(row.process_executable_path)),
        ("process.user.id", json!(row.user_id)),
        ("process.user.name", json!(row.user_name)),
    ]);
    let severity = by_verdict(&row.policy_verdict);
    request(resource, "observer.ai_interaction", row.ts, severity, call(row))
}

fn call(row: &InteractionRow) -> Value {
    attributes([
        ("gen_ai.operation.name", json!(row.gen_ai_operation_name)),
        ("gen_ai.provider.name", json!(row.gen_ai_provider_name)),
        ("gen_ai.request.model", json!(row.gen_ai_request_model)),
        ("gen_ai.response.model", json!(row.gen_ai_response_model)),
        ("gen_ai.response.id", json!(row.gen_ai_response_id)),
        ("gen_ai.conversation.id", json!(row.gen_ai_conversation_id)),
        (
            "gen_ai.response.finish_reasons",
            json!(row.gen_ai_response_finish_reasons),
        ),
        ("gen_ai.usage.input_tokens", json!(row.gen_ai_usage_input_tokens)),
        (
            "gen_ai.usage.output_tokens",
            json!(row.gen_ai_usage_output_tokens),
        ),
        ("server.address", json!(row.server_address)),
        (
            "server.port",
            json!((row.server_port != 0).then_some(row.server_port)),
        ),
        ("network.peer.address", json!(address(row.network_peer_address))),
        ("http.request.method", json!(row.http_request_method)),
        ("http.response.status_code", json!(row.http_response_status_code)),
        ("url.template", json!(row.url_path_template)),
        ("user_agent.original", json!(row.user_agent)),
        ("error.type", json!(row.error_type)),
        ("mcp.method.name", json!(row.mcp_method_name)),
        ("observer.role", json!(row.role)),
        ("observer.duration_ns", json!(row.duration_ns)),
        ("observer.policy.verdict", json!(row.policy_verdict)),
        ("observer.policy.rule_id", json!(row.policy_rule_id)),
        ("observer.policy.reason", json!(row.policy_reason)),
        ("observer.ai_system", json!(row.ai_system)),
        ("observer.agent.name", json!(row.agent_name)),
        ("observer.agent.session_id", json!(row.agent_session_id)),
        ("observer.login_user.name", json!(row.login_user_name)),
        ("observer.visibility", json!(row.visibility)),
        ("observer.visibility.reason", json!(row.visibility_reason)),
        ("observer.finding_count", json!(row.finding_count)),
        ("observer.chain_epoch", json!(row.chain_epoch)),
        ("observer.rec_seq", json!(row.rec_seq)),
        ("observer.record_hash", hash(&row.record_hash)),
    ])
}

pub(super) fn finding(row: &FindingRow) -> Value {
    let resource = attributes([
        ("host.id", json!(row.host_id)),
        ("k8s.namespace.name", json!(row.k8s_namespace_name)),
    ]);
    let severity = match row.severity {
        Severity::Critical | Severity::High => ERROR,
        Severity::Medium => WARN,
        Severity::Low | Severity::Info => INFO,
    };
    let about = attributes([
        ("gen_ai.provider.name", json!(row.gen_ai_provider_name)),
        ("server.address", json!(row.server_address)),
        ("observer.finding.type", json!(row.finding_type)),
        ("observer.finding.rule_id", json!(row.rule_id)),
        ("observer.finding.rule_version", json!(row.rule_version)),
        ("observer.finding.confidence", json!(row.confidence)),
        ("observer.finding.direction", json!(row.direction)),
        ("observer.finding.json_path", json!(row.json_path)),
        ("observer.finding.match_count", json!(row.match_count)),
        ("observer.interaction_hash", hash(&row.interaction_hash)),
        ("observer.chain_epoch", json!(row.chain_epoch)),
        ("observer.rec_seq", json!(row.rec_seq)),
        ("observer.record_hash", hash(&row.record_hash)),
    ]);
    request(resource, "observer.ai_finding", row.ts, severity, about)
}

pub(super) fn connection(row: &ConnectionRow) -> Value {
    let resource = attributes([
        ("host.id", json!(row.host_id)),
        ("host.name", json!(row.host_name)),
        ("container.id", json!(row.container_id)),
        ("container.image.name", json!(row.container_image_name)),
        ("k8s.cluster.name", json!(row.k8s_cluster_name)),
        ("k8s.node.name", json!(row.k8s_node_name)),
        ("k8s.namespace.name", json!(row.k8s_namespace_name)),
        ("k8s.pod.name", json!(row.k8s_pod_name)),
        ("k8s.pod.uid", json!(row.k8s_pod_uid)),
        ("process.pid", json!(row.process_pid)),
        ("process.executable.path", json!(row.process_executable_path)),
        ("process.user.id", json!(row.user_id)),
        ("process.user.name", json!(row.user_name)),
    ]);
    let severity = by_verdict(&row.policy_verdict);
    let about = attributes([
        ("server.address", json!(row.server_address)),
        (
            "server.port",
            json!((row.server_port != 0).then_some(row.server_port)),
        ),
        ("network.peer.address", json!(address(row.network_peer_address))),
        ("network.transport", json!(row.network_transport)),
        ("network.type", json!(row.network_family)),
        ("observer.bytes_sent", json!(row.bytes_sent)),
        ("observer.bytes_received", json!(row.bytes_received)),
        ("observer.endpoint_class", json!(row.endpoint_class)),
        ("observer.name_source", json!(row.name_source)),
        ("observer.tls_stack", json!(row.tls_stack)),
        ("observer.visibility", json!(row.visibility)),
        ("observer.opaque_reason", json!(row.opaque_reason)),
        ("observer.enforcement", json!(row.enforcement)),
        ("observer.enforcement_rule_id", json!(row.enforcement_rule_id)),
        ("observer.policy.verdict", json!(row.policy_verdict)),
        ("observer.policy.rule_id", json!(row.policy_rule_id)),
        ("observer.chain_epoch", json!(row.chain_epoch)),
        ("observer.rec_seq", json!(row.rec_seq)),
        ("observer.record_hash", hash(&row.record_hash)),
    ]);
    request(resource, "observer.ai_connection", row.ts, severity, about)
}
