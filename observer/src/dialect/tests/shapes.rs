//! What is recognised where neither host nor path tells, and what is not taken for AI.

use super::*;
use crate::dialect::Scope;
use crate::exchange::{Dialect, DialectEvidence};

const HOST: &str = "host: app.corp.example\r\n";

fn outcome(line: &str, asked: &str, answer: &str) -> Result<(Dialect, DialectEvidence), NotAi> {
    let request = request(line, HOST, asked);
    let response = response("200 OK", answer);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        31,
    );
    match (hooks.finished.as_slice(), hooks.not_ai.as_slice()) {
        ([(_, facts)], []) => Ok((facts.dialect, facts.evidence)),
        ([], [(_, why)]) => Err(*why),
        other => panic!("{} finished, {} not", other.0.len(), other.1.len()),
    }
}

#[test]
fn shapes_of_requests_and_responses() {
    let chat = r#"{"messages":[{"role":"user","content":"x"}],"model":"m"}"#;
    let anthropic = r#"{"model":"m","max_tokens":5,"system":"s","messages":[{"role":"user","content":"x"}]}"#;
    let responses = r#"{"model":"m","input":[{"role":"user","content":"x"}]}"#;
    let embeddings = r#"{"model":"m","input":"x","dimensions":5}"#;
    let either = r#"{"model":"m","input":"x"}"#;
    let response_object = r#"{"object":"response"}"#;
    let list = r#"{"object":"list","data":[{"object":"embedding","embedding":[1]}]}"#;
    let completion = r#"{"object":"chat.completion","choices":[]}"#;
    use DialectEvidence::{PathSuffix, RequestShape, ResponseShape};
    let cases = [
        ("POST /ask", chat, "{}", Ok((Dialect::OpenAiChat, RequestShape))),
        (
            "POST /ask",
            anthropic,
            "{}",
            Ok((Dialect::AnthropicMessages, RequestShape)),
        ),
        (
            "POST /ask",
            responses,
            "{}",
            Ok((Dialect::OpenAiResponses, RequestShape)),
        ),
        (
            "POST /ask",
            embeddings,
            "{}",
            Ok((Dialect::OpenAiEmbeddings, RequestShape)),
        ),
        (
            "POST /ask",
            either,
            response_object,
            Ok((Dialect::OpenAiResponses, ResponseShape)),
        ),
        (
            "POST /ask",
            either,
            list,
            Ok((Dialect::OpenAiEmbeddings, ResponseShape)),
        ),
        ("POST /ask", either, "{}", Err(NotAi::Other)),
        (
            "POST /ask",
            r#"{"q":1}"#,
            completion,
            Ok((Dialect::OpenAiChat, ResponseShape)),
        ),
        (
            "POST /x/responses",
            either,
            "{}",
            Ok((Dialect::OpenAiResponses, PathSuffix)),
        ),
        (
            "POST /survey/responses",
            r#"{"answers":[1]}"#,
            r#"{"ok":true}"#,
            Err(NotAi::Other),
        ),
        (
            "POST /v1/messages",
            r#"{"to":"+49","body":"sms"}"#,
            r#"{"sid":"x"}"#,
            Err(NotAi::Other),
        ),
        ("POST /v1/messages/count_tokens", "{}", "{}", Err(NotAi::Other)),
        (
            "POST /v1/messages/count_tokens",
            anthropic,
            r#"{"input_tokens":14}"#,
            Ok((Dialect::CountTokens, PathSuffix)),
        ),
        (
            "POST /x/chat/completions",
            "{}",
            "{}",
            Ok((Dialect::OpenAiChat, PathSuffix)),
        ),
        (
            "POST /rpc",
            r#"{"jsonrpc":"2.0","method":"a"}"#,
            "{}",
            Err(NotAi::Other),
        ),
        (
            "POST /rooms",
            r#"{"model":"m","messages":[{"role":"guest","content":"x"}]}"#,
            "{}",
            Err(NotAi::Other),
        ),
    ];
    for (line, asked, answer, want) in cases {
        assert_eq!(outcome(line, asked, answer), want, "{line} {asked} {answer}");
    }
}

#[test]
fn the_paths_of_the_rules_leave_room_for_those_of_documents() {
    use super::super::locate::Locator;
    for locator in [Locator::request(), Locator::response()] {
        let known = locator.known();
        assert!(
            known * 5 < crate::protocol::json::path::MAX_PATHS * 3,
            "{known} paths"
        );
    }
}

#[test]
fn shapes_of_other_vendors() {
    let chat = r#"{"messages":[{"role":"user","content":"x"}],"model":"m"}"#;
    use DialectEvidence::{PathSuffix, RequestShape, ResponseShape};
    let cases = [
        (
            "POST /v1/fine_tuning/jobs",
            chat,
            "{}",
            Err(NotAi::UnknownDialect),
        ),
        (
            "POST /api/chat",
            chat,
            "{}",
            Ok((Dialect::OllamaChat, PathSuffix)),
        ),
        (
            "POST /api/chat",
            r#"{"messages":[{"text":"hi"}],"room":"a"}"#,
            r#"{"ok":true}"#,
            Err(NotAi::Other),
        ),
        (
            "POST /api/generate",
            r#"{"report":"pdf"}"#,
            "{}",
            Err(NotAi::Other),
        ),
        (
            "POST /ask",
            r#"{"q":1}"#,
            r#"{"model":"m","created_at":"t","message":{"content":"x"},"done":true}"#,
            Ok((Dialect::OllamaChat, ResponseShape)),
        ),
        (
            "POST /ask",
            r#"{"contents":[{"parts":[{"text":"x"}]}]}"#,
            "{}",
            Ok((Dialect::GeminiGenerate, RequestShape)),
        ),
        ("POST /api/rerank", r#"{"query":"x"}"#, "{}", Err(NotAi::Other)),
        (
            "POST /v1/rerank",
            r#"{"query":"x","documents":["a"]}"#,
            "{}",
            Ok((Dialect::Rerank, PathSuffix)),
        ),
        (
            "POST /model/m/invoke",
            r#"{"prompt":"x"}"#,
            "{}",
            Ok((Dialect::BedrockInvokeText, PathSuffix)),
        ),
        ("POST /tools/invoke", r#"{"prompt":"x"}"#, "{}", Err(NotAi::Other)),
        ("POST /api/predictions", r#"{"day":"x"}"#, "{}", Err(NotAi::Other)),
    ];
    for (line, asked, answer, want) in cases {
        assert_eq!(outcome(line, asked, answer), want, "{line} {asked} {answer}");
    }
}

#[test]
fn scope_is_decided_early() {
    let scope_after = |name: Option<&str>, bytes: &[u8]| {
        let mut reader = ConnectionReader::new(catalog(), name);
        let mut hooks = Hooks::default();
        reader.push(Side::Request, bytes, 1, &mut hooks);
        (reader.scope(), reader.unsupported())
    };
    let head = |line: &str, kind: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: a.example\r\ncontent-type: {kind}\r\ncontent-length: 900000\r\n\r\n"
        )
        .into_bytes()
    };
    let with = |mut head: Vec<u8>, body: &str| {
        head.extend_from_slice(body.as_bytes());
        head
    };
    let json = "application/json";
    let shape = r#"{"model":"m","messages":[{"role":"user","#;
    let long = format!("{{\"a\":\"{}", "x".repeat(65 * 1024));
    assert_eq!(
        scope_after(Some("api.openai.com"), b"P").0,
        Scope::Ai,
        "the server name tells"
    );
    assert_eq!(scope_after(None, b"POST /v1/chat").0, Scope::Undecided);
    assert_eq!(
        scope_after(None, &head("POST /v1/chat/completions", json)).0,
        Scope::Ai
    );
    assert_eq!(
        scope_after(None, &head("POST /x/responses", json)).0,
        Scope::Ai,
        "until the body disagrees"
    );
    assert_eq!(scope_after(None, &head("POST /x", json)).0, Scope::Undecided);
    assert_eq!(
        scope_after(None, &with(head("POST /x", json), shape)).0,
        Scope::Ai
    );
    assert_eq!(
        scope_after(None, &with(head("POST /x", json), &long)).0,
        Scope::Other,
        "64 KiB without a shape"
    );
    let form = head("POST /x", "multipart/form-data; boundary=1");
    assert_eq!(scope_after(None, &form).0, Scope::Undecided);
    assert_eq!(
        scope_after(None, &with(form, &long)).0,
        Scope::Other,
        "64 KiB of something else"
    );
    let page = b"GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(
        scope_after(None, page).0,
        Scope::Undecided,
        "one page says nothing"
    );
    assert_eq!(scope_after(None, &page.repeat(8)).0, Scope::Other);
    assert_eq!(
        scope_after(None, b"GET /v1/models HTTP/1.1\r\nhost: a.example\r\n\r\n").0,
        Scope::Undecided
    );
    assert_eq!(scope_after(None, b"SSH-2.0-x\r\n").0, Scope::Other);
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04";
    assert_eq!(scope_after(None, http2), (Scope::Undecided, None));
    assert_eq!(scope_after(Some("api.openai.com"), http2), (Scope::Ai, None));
}

#[test]
fn other_traffic_of_a_catalogue_host_is_not_ai_but_the_flow_stays_known() {
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    let mut hooks = Hooks::default();
    let telemetry = request("POST /v1/traces", "host: api.openai.com\r\n", r#"{"spans":[]}"#);
    reader.push(Side::Request, &telemetry, 1, &mut hooks);
    reader.push(Side::Response, &response("200 OK", "{}"), 2, &mut hooks);
    reader.push(
        Side::Request,
        b"GET /v1/files HTTP/1.1\r\nhost: api.openai.com\r\n\r\n",
        3,
        &mut hooks,
    );
    assert_eq!(
        hooks.not_ai,
        [(0, NotAi::CatalogHostOther), (1, NotAi::CatalogHostOther)]
    );
    assert_eq!(reader.scope(), Scope::Ai);
}

#[test]
fn a_body_that_is_not_json_is_read_as_text_and_marked() {
    let broken = r#"{"model":"m","messages":[{"role":"user","content":"half"#;
    let no_json = "secret=one\\ntwo";
    for (body, want) in [(broken, "half"), (no_json, "secret=one\ntwo")] {
        let request = request("POST /v1/chat/completions", HOST, body);
        let hooks = run(&catalog(), None, &[(Side::Request, &request)], 11);
        let (number, facts) = &hooks.finished[0];
        assert_eq!(facts.request_incomplete, Some(Incomplete::Malformed));
        assert_eq!(facts.response_incomplete, Some(Incomplete::Closed));
        let texts = &hooks.texts[number];
        assert!(
            texts.all().iter().any(|(_, _, text)| text == want),
            "{:?}",
            texts.all().len()
        );
        assert!(texts.all_ended());
    }
}
