//! OCSF 1.9 (<https://schema.ocsf.io/1.9.0>): API Activity (6003) with the profile `ai_operation`, Data Security Finding (2006), Network
//! Activity (4001), Compliance Finding (2003). Pure.
//!
//! The profile `record_integrity` is left out on purpose: its fingerprint is one of the event as written, ours is one of the stored row.
//! That one is `metadata.uid`, and its place in the chain is `unmapped`.

use std::net::Ipv6Addr;

use serde_json::{Value, json};

use super::{Event, address, known};
use crate::evidence::{ConnectionRow, FindingRow, InteractionRow, Severity};

const VERSION: &str = "1.9.0";
const INFORMATIONAL: u8 = 1;
const MEDIUM: u8 = 3;
/// `activity_id` of what the schema has no word for.
const OTHER: u8 = 99;
/// Profiles of what a call tells.
const PROFILES: &[&str] = &["ai_operation", "host", "container"];

/// What every event has: class, activity and severity by their numbers, and where it comes from.
struct Head<'r> {
    class_uid: u32,
    activity_id: u8,
    severity_id: u8,
    /// ns since the Unix epoch.
    ts: i64,
    host_id: &'r str,
    chain_epoch: u64,
    rec_seq: u64,
    record_hash: &'r [u8; 32],
    profiles: &'r [&'r str],
}

impl Head<'_> {
    /// The members of `event` and those of the head.
    fn with(&self, event: Value) -> Value {
        let mut all = json!({
            "category_uid": self.class_uid / 1000,
            "class_uid": self.class_uid,
            "activity_id": self.activity_id,
            "type_uid": self.class_uid * 100 + u32::from(self.activity_id),
            "severity_id": self.severity_id,
            // OCSF counts milliseconds.
            "time": self.ts / 1_000_000,
            "metadata": {
                "version": VERSION,
                "uid": hex::encode(self.record_hash),
                "sequence": self.rec_seq,
                "profiles": self.profiles,
                "product": {"name": "Observer", "vendor_name": "Observer", "version": env!("CARGO_PKG_VERSION")},
            },
            "unmapped": {"host_id": self.host_id, "chain_epoch": self.chain_epoch, "rec_seq": self.rec_seq},
        });
        if let (Value::Object(all), Value::Object(event)) = (&mut all, event) {
            for (name, value) in event {
                match (all.get_mut(&name), value) {
                    (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                    (_, value) => {
                        all.insert(name, value);
                    }
                }
            }
        }
        known(all)
    }
}

fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => INFORMATIONAL,
        Severity::Low => 2,
        Severity::Medium => MEDIUM,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// Head of the event of a row, whichever table it is of.
macro_rules! head {
    ($row:ident, $class_uid:literal, $activity_id:expr, $severity_id:expr, $profiles:expr) => {
        Head {
            class_uid: $class_uid,
            activity_id: $activity_id,
            severity_id: $severity_id,
            ts: $row.ts,
            host_id: &$row.host_id,
            chain_epoch: $row.chain_epoch,
            rec_seq: $row.rec_seq,
            record_hash: &$row.record_hash,
            profiles: $profiles,
        }
    };
}

/// The process and its user; for the rows that name them.
macro_rules! actor {
    ($row:ident) => {
        json!({
            "process": {
                "pid": $row.process_pid,
                "name": $row.process_comm,
                "file": {"path": $row.process_executable_path, "name": $row.process_comm, "type_id": 1},
            },
            "user": {"uid": $row.user_id.to_string(), "name": $row.user_name},
        })
    };
}

/// The host, as the device that it happened on.
fn device(name: &str, host_id: &str) -> Value {
    json!({"hostname": name, "uid": host_id, "type_id": 1})
}

fn endpoint(name: &str, peer: Ipv6Addr, port: u16) -> Value {
    json!({"hostname": name, "ip": address(peer), "port": (port != 0).then_some(port)})
}

/// Source and destination of what a program of the observed host asked, or was asked.
fn endpoints(is_server: bool, this: Value, name: &str, peer: Ipv6Addr, port: u16) -> [Value; 2] {
    if is_server {
        let service = json!({"hostname": name, "port": (port != 0).then_some(port)});
        [json!({"ip": address(peer)}), service]
    } else {
        [this, endpoint(name, peer, port)]
    }
}

impl InteractionRow {
    fn actor(&self) -> Value {
        let mut actor = actor!(self);
        let parent = (self.process_parent_pid != 0).then_some(self.process_parent_pid);
        actor["process"]["parent_process"] = json!({"pid": parent});
        actor
    }

    /// Who called, and where that ran.
    pub(super) fn caller(&self) -> Value {
        known(json!({
            "actor": self.actor(),
            "device": device(&self.host_name, &self.host_id),
            "container": {"uid": self.container_id, "image": {"name": self.container_image_name}, "pod_uuid": self.k8s_pod_uid},
        }))
    }

    fn model(&self) -> Value {
        let asked = &self.gen_ai_request_model;
        let answered = &self.gen_ai_response_model;
        let name = if asked.is_empty() { answered } else { asked };
        if name.is_empty() {
            return Value::Null;
        }
        json!({"model_name": name, "ai_provider": self.gen_ai_provider_name,
            "version": if answered == name { "" } else { answered }})
    }

    fn api_activity(&self) -> Value {
        let total = self
            .gen_ai_usage_input_tokens
            .zip(self.gen_ai_usage_output_tokens);
        let failed = !self.error_type.is_empty();
        let [source, destination] = endpoints(
            self.role == "server",
            json!({"hostname": self.host_name, "uid": self.host_id}),
            &self.server_address,
            self.network_peer_address,
            self.server_port,
        );
        head!(self, 6003, OTHER, INFORMATIONAL, PROFILES).with(json!({
            "activity_name": self.gen_ai_operation_name,
            "status_id": if failed { 2 } else { 1 },
            "status_detail": self.error_type,
            "duration": self.duration_ns / 1_000_000,
            "actor": self.actor(),
            "device": device(&self.host_name, &self.host_id),
            "container": {"uid": self.container_id, "image": {"name": self.container_image_name}, "pod_uuid": self.k8s_pod_uid},
            "api": {
                "operation": self.gen_ai_operation_name,
                "service": {"name": self.gen_ai_provider_name},
                "request": {"uid": self.response_request_id},
                "response": {"code": self.http_response_status_code, "error": self.error_type},
            },
            "src_endpoint": source,
            "dst_endpoint": destination,
            "http_request": {"http_method": self.http_request_method, "user_agent": self.user_agent,
                "url": {"hostname": self.server_address, "path": self.url_path_template}},
            "http_response": {"code": self.http_response_status_code},
            "ai_model": self.model(),
            "stop_reason": self.gen_ai_response_finish_reasons.join(", "),
            "message_context": {
                "uid": self.gen_ai_conversation_id,
                "application": {"name": self.client_name, "version": self.client_version},
                "service": {"name": self.gen_ai_provider_name},
                "prompt_tokens": self.gen_ai_usage_input_tokens,
                "completion_tokens": self.gen_ai_usage_output_tokens,
                "total_tokens": total.map(|(input, output)| input.saturating_add(output)),
            },
            "unmapped": {
                "policy_verdict": self.policy_verdict, "policy_rule_id": self.policy_rule_id, "policy_reason": self.policy_reason,
                "ai_system": self.ai_system, "visibility": self.visibility, "visibility_reason": self.visibility_reason,
                "finding_count": self.finding_count, "k8s_namespace_name": self.k8s_namespace_name,
                "k8s_pod_name": self.k8s_pod_name, "k8s_workload_name": self.k8s_workload_name,
                "agent_name": self.agent_name, "agent_session_id": self.agent_session_id, "login_user_name": self.login_user_name,
            },
        }))
    }

    /// For what nobody approved.
    pub(super) fn compliance_finding(&self) -> Option<Value> {
        (self.policy_verdict == "unsanctioned").then(|| {
            head!(self, 2003, 1, MEDIUM, PROFILES).with(json!({
                "activity_name": "Create",
                "status_id": 1,
                "finding_info": {
                    "uid": format!("{}-policy", hex::encode(self.record_hash)),
                    "title": "AI use that no policy sanctions",
                    "related_events": [{"uid": hex::encode(self.record_hash), "type_uid": 600_399}],
                },
                "compliance": {"control": self.policy_rule_id, "status_id": 3, "status_detail": self.policy_reason,
                    "requirements": [self.policy_version]},
                "actor": self.actor(),
                "device": device(&self.host_name, &self.host_id),
                "resources": [{"name": self.server_address, "type": self.gen_ai_provider_name}],
            }))
        })
    }
}

impl Event for InteractionRow {
    fn ocsf(&self) -> Vec<Value> {
        std::iter::once(self.api_activity())
            .chain(self.compliance_finding())
            .collect()
    }

    fn otlp(&self) -> Value {
        super::otlp::interaction(self)
    }
}

impl Event for FindingRow {
    fn ocsf(&self) -> Vec<Value> {
        let head = head!(self, 2006, 1, severity(self.severity), &["host"]);
        let confidence = if self.confidence == "pattern" { 2 } else { 3 };
        vec![head.with(json!({
            "activity_name": "Create",
            "status_id": 1,
            "confidence_id": confidence,
            "confidence": self.confidence,
            "is_alert": matches!(self.severity, Severity::High | Severity::Critical),
            "finding_info": {
                "uid": hex::encode(self.record_hash),
                "title": format!("{} in {}", self.rule_id, self.direction),
                "types": [self.finding_type],
                "analytic": {"uid": self.rule_id, "type_id": 1, "version": self.rule_version},
                "related_events": [{"uid": hex::encode(self.interaction_hash), "type_uid": 600_399}],
            },
            // On its way (in transit), seen on the host that sent it.
            "data_security": {"data_lifecycle_state_id": 2, "detection_system_id": 1, "detection_pattern": self.rule_id},
            "device": device("", &self.host_id),
            "dst_endpoint": {"hostname": self.server_address},
            "unmapped": {"json_path": self.json_path, "match_count": self.match_count, "match_bytes": self.match_bytes,
                "gen_ai_provider_name": self.gen_ai_provider_name, "k8s_namespace_name": self.k8s_namespace_name,
                "k8s_workload_name": self.k8s_workload_name},
        }))]
    }

    fn otlp(&self) -> Value {
        super::otlp::finding(self)
    }
}

impl ConnectionRow {
    /// For use that nobody approved and nobody can read. Only alerts have it: in an export the connection itself says so.
    pub(super) fn compliance_finding(&self) -> Value {
        head!(self, 2003, 1, MEDIUM, &["host", "container"]).with(json!({
            "activity_name": "Create",
            "status_id": 1,
            "finding_info": {
                "uid": format!("{}-policy", hex::encode(self.record_hash)),
                "title": "Connection to AI that no policy sanctions and that cannot be read",
                "related_events": [{"uid": hex::encode(self.record_hash), "type_uid": 400_106}],
            },
            "compliance": {"control": self.policy_rule_id, "status_id": 3, "status_detail": self.policy_reason},
            "actor": actor!(self),
            "device": device(&self.host_name, &self.host_id),
            "container": {"uid": self.container_id, "image": {"name": self.container_image_name}, "pod_uuid": self.k8s_pod_uid},
            "resources": [{"name": self.server_address}],
            "unmapped": {"opaque_reason": self.opaque_reason, "k8s_namespace_name": self.k8s_namespace_name,
                "k8s_pod_name": self.k8s_pod_name, "k8s_workload_name": self.k8s_workload_name},
        }))
    }
}

impl Event for ConnectionRow {
    fn ocsf(&self) -> Vec<Value> {
        let is_server = self.endpoint_class == "served";
        let port = (self.network_local_port != 0).then_some(self.network_local_port);
        let [source, destination] = endpoints(
            is_server,
            json!({"hostname": self.host_name, "port": port}),
            &self.server_address,
            self.network_peer_address,
            self.server_port,
        );
        // Traffic (6): what went over it, told at its end.
        let head = head!(self, 4001, 6, INFORMATIONAL, &["host", "container"]);
        vec![head.with(json!({
            "activity_name": "Traffic",
            "start_time": self.ts / 1_000_000,
            "end_time": self.closed_ts / 1_000_000,
            "observation_point_id": 1,
            "device": device(&self.host_name, &self.host_id),
            "container": {"uid": self.container_id, "image": {"name": self.container_image_name}, "pod_uuid": self.k8s_pod_uid},
            "actor": actor!(self),
            "src_endpoint": source,
            "dst_endpoint": destination,
            "connection_info": {"protocol_name": self.network_transport, "direction_id": if is_server { 1 } else { 2 }},
            "traffic": {"bytes_out": self.bytes_sent, "bytes_in": self.bytes_received,
                "bytes": self.bytes_sent.zip(self.bytes_received).map(|(sent, received)| sent.saturating_add(received))},
            "unmapped": {"endpoint_class": self.endpoint_class, "visibility": self.visibility, "opaque_reason": self.opaque_reason, "enforcement": self.enforcement, "enforcement_rule_id": self.enforcement_rule_id,
                "name_source": self.name_source, "tls_stack": self.tls_stack, "policy_verdict": self.policy_verdict,
                "policy_rule_id": self.policy_rule_id, "k8s_namespace_name": self.k8s_namespace_name,
                "k8s_pod_name": self.k8s_pod_name, "k8s_workload_name": self.k8s_workload_name},
        }))]
    }

    fn otlp(&self) -> Value {
        super::otlp::connection(self)
    }
}
