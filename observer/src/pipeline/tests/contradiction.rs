//! Requests whose `Host` says something else than their TLS handshake.

use std::sync::Arc;

use super::testbed::*;
use crate::evidence::InteractionRow;
use crate::policy::{Judge, Policy};

const RULES: &str = "version: '1'\ndefault: unsanctioned\nrules:\n  - {id: openai, verdict: sanctioned, provider: [openai]}\n  \
     - {id: lab, verdict: sanctioned, host: [llm.corp.example]}\n  - {id: no, verdict: unsanctioned, provider: [deepseek]}\n";

/// Row of a call that names `host`, over a connection whose handshake named `in_tls`.
fn judged(rules: &str, in_tls: &str, host: &str) -> InteractionRow {
    let mut bed = Bed::new();
    bed.pipeline.set_judge(Arc::new(Judge {
        policy: Policy::parse(rules, "policy.yaml").unwrap(),
        register: None,
    }));
    let mut flow = flow(1, &process(42));
    bed.connect(&flow);
    if !in_tls.is_empty() {
        bed.name(&flow, in_tls);
    }
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}"#;
    bed.sent(&mut flow, &post("/v1/chat/completions", host, body));
    bed.received(&mut flow, &answer("hello"));
    bed.finish();
    bed.interactions()[0].clone()
}

fn verdict(rules: &str, in_tls: &str, host: &str) -> [String; 3] {
    let row = judged(rules, in_tls, host);
    [row.policy_verdict, row.policy_reason, row.policy_rule_id]
}

#[test]
fn a_host_that_tls_contradicts_permits_nothing() {
    let row = judged(RULES, "relay.evil.example", "api.openai.com");
    assert_eq!(
        [
            row.policy_verdict.as_str(),
            &row.policy_reason,
            &row.policy_rule_id
        ],
        ["unsanctioned", "host_not_tls_name", ""]
    );
    // What the request says stays what it says.
    assert_eq!(
        [
            row.server_address.as_str(),
            &row.name_source,
            &row.gen_ai_provider_name
        ],
        ["api.openai.com", "http_host", "openai"]
    );
    assert_eq!(
        verdict(RULES, "api.deepseek.com", "api.openai.com"),
        ["unsanctioned", "host_not_tls_name", "no"]
    );
}

#[test]
fn the_stricter_verdict_stands_whichever_name_it_is_about() {
    assert_eq!(
        verdict(RULES, "api.openai.com", "api.deepseek.com"),
        ["unsanctioned", "rule", "no"]
    );
    let unknown = RULES.replace("default: unsanctioned", "default: unknown");
    assert_eq!(
        verdict(&unknown, "relay.evil.example", "api.openai.com"),
        ["unknown", "host_not_tls_name", ""]
    );
}

#[test]
fn what_names_the_same_service_is_judged_as_before() {
    for (in_tls, host) in [
        ("", "api.openai.com"),
        ("api.openai.com", "API.OpenAI.com:443"),
        ("api.openai.com", "api.openai.com."),
        ("eu.api.openai.com", "api.openai.com"),
        // Two names that are allowed.
        ("llm.corp.example", "api.openai.com"),
    ] {
        assert_eq!(
            verdict(RULES, in_tls, host),
            ["sanctioned", "rule", "openai"],
            "{in_tls} {host}"
        );
    }
}
