//! Rows in, events out.

use serde_json::{Value, json};

use super::*;
use crate::evidence::{ConnectionRow, FindingRow, InteractionRow, Severity};

fn interaction() -> InteractionRow {
    let mut row = InteractionRow::unknown();
    row.host_id = "h1".into();
    row.chain_epoch = 7;
    row.rec_seq = 42;
    row.record_hash = [0xab; 32];
    row.ts = 1_790_000_000_123_456_789;
    row.duration_ns = 2_500_000_000;
    row.process_pid = 4711;
    row.process_comm = "python3".into();
    row.user_id = 1000;
    row.user_name = "ada".into();
    row.server_address = "api.openai.com".into();
    row.network_peer_address = "::ffff:192.0.2.7".parse().unwrap();
    row.server_port = 443;
    row.gen_ai_provider_name = "openai".into();
    row.gen_ai_operation_name = "chat".into();
    row.gen_ai_request_model = "gpt-5-mini".into();
    row.gen_ai_response_model = "gpt-5-mini-2026-08-01".into();
    row.gen_ai_usage_input_tokens = Some(12);
    row.gen_ai_usage_output_tokens = Some(0);
    row.http_response_status_code = Some(200);
    row.policy_verdict = "unsanctioned".into();
    row.policy_rule_id = "shadow".into();
    row
}

/// Every value of an event, with its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| leaves(value, &format!("{path}.{name}"), found)),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, path, found)),
        other => found.push((path.to_owned(), other.clone())),
    }
}

#[test]
fn a_call_is_an_api_activity_with_model_and_tokens() {
    let event = &interaction().ocsf()[0];
    let got = json!({
        "type": event["type_uid"], "time": event["time"], "uid": event["metadata"]["uid"], "model": event["ai_model"],
        "tokens": event["message_context"], "peer": event["dst_endpoint"], "pid": event["actor"]["process"]["pid"],
    });
    assert_eq!(
        got,
        json!({
            "type": 600_399, "time": 1_790_000_000_123_i64, "uid": "ab".repeat(32),
            "model": {"model_name": "gpt-5-mini", "ai_provider": "openai", "version": "gpt-5-mini-2026-08-01"},
            "tokens": {"service": {"name": "openai"}, "prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12},
            "peer": {"hostname": "api.openai.com", "ip": "192.0.2.7", "port": 443}, "pid": 4711,
        })
    );
}

#[test]
fn what_nobody_sanctioned_is_a_compliance_finding_and_what_somebody_did_is_none() {
    let mut row = interaction();
    let events = row.ocsf();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["class_uid"], 2003);
    assert_eq!(events[1]["compliance"]["control"], "shadow");
    assert_eq!(
        events[1]["finding_info"]["related_events"][0]["uid"],
        "ab".repeat(32)
    );
    for verdict in ["sanctioned", "unknown"] {
        row.policy_verdict = verdict.into();
        assert_eq!(row.ocsf().len(), 1, "{verdict}");
    }
}

#[test]
fn what_is_unknown_is_absent_and_never_zero() {
    let mut row = InteractionRow::unknown();
    row.ts = 1;
    for event in row.ocsf().into_iter().chain([row.otlp()]) {
        let mut found = Vec::new();
        leaves(&event, "", &mut found);
        assert!(
            found.iter().all(|(_, v)| !v.is_null() && *v != json!("")),
            "{event:#}"
        );
        let text = event.to_string();
        for absent in ["tokens", "ai_model", "\"port\"", "server.port", "status_code"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }
    let mut connection = ConnectionRow::unknown();
    connection.bytes_sent = Some(5);
    let event = &connection.ocsf()[0];
    assert_eq!(
        event["traffic"],
        json!({"bytes_out": 5}),
        "no sum without both parts"
    );
}

#[test]
fn a_finding_says_what_kind_where_and_how_bad_and_names_its_call() {
    let mut row = FindingRow::unknown();
    row.severity = Severity::Critical;
    row.rule_id = "aws_access_key".into();
    row.direction = "prompt".into();
    row.interaction_hash = [1; 32];
    let event = &row.ocsf()[0];
    assert_eq!(
        (&event["type_uid"], &event["severity_id"], &event["is_alert"]),
        (&json!(200_601), &json!(5), &json!(true))
    );
    assert_eq!(event["finding_info"]["title"], "aws_access_key in prompt");
    assert_eq!(event["finding_info"]["related_events"][0]["uid"], "01".repeat(32));
    let record = &row.otlp()["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["severityText"], "ERROR");
}

#[test]
fn a_log_record_has_the_names_of_the_conventions_and_integers_as_text() {
    let request = interaction().otlp();
    let record = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!(record["timeUnixNano"], "1790000000123456789");
    assert_eq!(record["severityText"], "WARN");
    let value = |of: &Value, key: &str| {
        let list = of["attributes"].as_array().unwrap();
        let found = list.iter().find(|a| a["key"] == key);
        found.map_or(Value::Null, |a| a["value"].clone())
    };
    assert_eq!(
        value(record, "gen_ai.usage.input_tokens"),
        json!({"intValue": "12"})
    );
    assert_eq!(
        value(record, "gen_ai.usage.output_tokens"),
        json!({"intValue": "0"})
    );
    assert_eq!(
        value(record, "gen_ai.request.model"),
        json!({"stringValue": "gpt-5-mini"})
    );
    let resource = &request["resourceLogs"][0]["resource"];
    assert_eq!(value(resource, "process.pid"), json!({"intValue": "4711"}));
}
