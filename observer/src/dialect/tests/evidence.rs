//! What a row names as the reason for being AI: host, path suffix, request shape, response shape, client headers, in
//! this order; and what of known hosts is not AI.

use super::*;
use crate::exchange::{Dialect, DialectEvidence};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
const ANSWER: &str = r#"{"object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":1}}"#;

fn talk(host: &str, line: &str, asked: &str, answer: &str) -> Hooks {
    let request = request(line, &format!("host: {host}\r\n"), asked);
    let response = response("200 OK", answer);
    run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        31,
    )
}

fn found(hooks: &Hooks) -> (&str, &str, DialectEvidence) {
    assert_eq!((hooks.finished.len(), hooks.not_ai.len()), (1, 0));
    let facts = &hooks.finished[0].1;
    (&facts.host, &facts.provider, facts.evidence)
}

#[test]
fn an_unknown_host_that_speaks_a_known_dialect_is_ai_of_an_unknown_provider() {
    use DialectEvidence::{PathSuffix, RequestShape, ResponseShape};
    let host = "llm.corp.example";
    for (line, asked, answer, evidence) in [
        ("POST /gw/v1/chat/completions", CHAT, "{}", PathSuffix),
        ("POST /ask", CHAT, "{}", RequestShape),
        ("POST /ask", r#"{"q":1}"#, ANSWER, ResponseShape),
    ] {
        let hooks = talk(host, line, asked, answer);
        assert_eq!(found(&hooks), (host, "unknown", evidence), "{line}");
        assert_eq!(hooks.finished[0].1.dialect, Dialect::OpenAiChat);
    }
}

#[test]
fn a_known_host_goes_before_path_and_shape() {
    let hooks = talk("api.groq.com", "POST /openai/v1/chat/completions", CHAT, ANSWER);
    assert_eq!(found(&hooks), ("api.groq.com", "groq", DialectEvidence::Host));
    let hooks = talk("api.groq.com", "POST /new/way", CHAT, ANSWER);
    assert_eq!(found(&hooks), ("api.groq.com", "groq", DialectEvidence::Host));
}

#[test]
fn other_traffic_of_a_known_host_is_no_interaction() {
    for (host, line, body) in [
        (
            "api.anthropic.com",
            "POST /api/event_logging/batch",
            r#"{"events":[{"model":"m"}]}"#,
        ),
        (
            "api.openai.com",
            "POST /v1/organization/invites",
            r#"{"email":"a"}"#,
        ),
        ("chatgpt.com", "POST /ces/v1/t", r#"{"type":"track"}"#),
        (
            "api.openai.com",
            "POST /v1/uploads",
            r#"{"filename":"a","purpose":"x"}"#,
        ),
    ] {
        let hooks = talk(host, line, body, "{}");
        assert!(hooks.finished.is_empty(), "{host} {line}");
        assert_eq!(hooks.not_ai[0].1, NotAi::CatalogHostOther, "{host} {line}");
    }
    // Services of the company, and services around AI, are no AI hosts at all.
    for (host, line, body) in [
        ("auth.openai.com", "POST /oauth/token", r#"{"grant_type":"x"}"#),
        (
            "cloud.langfuse.com",
            "POST /api/public/ingestion",
            r#"{"batch":[]}"#,
        ),
        (
            "huggingface.co",
            "POST /api/models/x/preupload",
            r#"{"files":[]}"#,
        ),
    ] {
        let hooks = talk(host, line, body, "{}");
        assert!(hooks.finished.is_empty(), "{host} {line}");
        assert_eq!(hooks.not_ai[0].1, NotAi::Other, "{host} {line}");
    }
}

#[test]
fn a_shared_host_is_known_by_its_path_and_its_owner_by_the_form_of_the_call() {
    let host = "acme.cloud.databricks.com";
    let hooks = talk(host, "POST /serving-endpoints/m/invocations", CHAT, ANSWER);
    assert_eq!(found(&hooks), (host, "databricks", DialectEvidence::Host));
    let hooks = talk(host, "POST /driver-proxy-api/x", CHAT, ANSWER);
    assert_eq!(found(&hooks), (host, "databricks", DialectEvidence::RequestShape));
    let hooks = talk(host, "POST /api/2.0/sql/statements", r#"{"statement":"x"}"#, "{}");
    assert_eq!(hooks.not_ai[0].1, NotAi::Other);
}

/// The request body is lost, and the answer says nothing.
fn unread(path: &str, fields: &str) -> Hooks {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: gw.corp.example\r\n{fields}content-length: 500\r\n\r\n");
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    reader.push(Side::Request, head.as_bytes(), 1, &mut hooks);
    reader.gap(Side::Request, Some(500), 2, &mut hooks);
    reader.push(Side::Response, &response("200 OK", r#"{"ok":1}"#), 3, &mut hooks);
    hooks
}

#[test]
fn where_no_body_can_be_read_the_client_says_what_a_path_means() {
    let hooks = unread("/api/chat", "user-agent: ollama-python/0.6.1 (x86_64 linux)\r\n");
    assert_eq!(found(&hooks).1, "ollama");
    assert_eq!(found(&hooks).2, DialectEvidence::ClientHeaders);
    let hooks = unread("/v2/chat", "User-Agent: cohere/5.17.0\r\n");
    assert_eq!(
        found(&hooks),
        ("gw.corp.example", "unknown", DialectEvidence::ClientHeaders)
    );
    let hooks = unread("/v2/chat", "user-agent: Mozilla/5.0\r\n");
    assert!(hooks.finished.is_empty() && hooks.not_ai[0].1 == NotAi::Other);
    let hooks = unread("/upload", "user-agent: OpenAI/Python 2.1.0\r\n");
    assert!(
        hooks.finished.is_empty(),
        "a client alone is no call of a known API"
    );
}
