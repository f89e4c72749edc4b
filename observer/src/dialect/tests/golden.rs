//! One conversation per dialect, plain and streamed.

use super::*;
use crate::exchange::{Dialect, DialectEvidence, Usage};

const CHAT: &str = r#"{"model":"gpt-4o-mini","stream":true,"messages":[
  {"role":"system","content":"Be \"brief\"."},
  {"role":"user","content":[{"type":"text","text":"Look\nhere"},{"type":"image_url","image_url":{"url":"data:image/png;base64,DATA"}}]},
  {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"k\":\"a\\nAKIA\"}"}}]},
  {"role":"tool","tool_call_id":"call_1","content":"result \u00e9 \ud83d\ude00"}],
  "metadata":{"secret@example.org":"note"}}"#;

fn chat_request() -> Vec<u8> {
    let media = "A".repeat(400);
    let fields =
        "Host: api.openai.com\r\nAuthorization: Bearer not-a-key\r\nUser-Agent: OpenAI/Python 1.0\r\n";
    request("POST /v1/chat/completions", fields, &CHAT.replace("DATA", &media))
}

fn only(hooks: &Hooks) -> (&Exchange, &Texts) {
    assert_eq!(
        hooks.finished.len(),
        1,
        "not ai: {:?}, lost: {:?}",
        hooks.not_ai,
        hooks.lost
    );
    let (number, facts) = &hooks.finished[0];
    (facts, hooks.texts.get(number).expect("texts"))
}

fn usage(input: u64, output: u64, read: Option<u64>, created: Option<u64>, reasoning: Option<u64>) -> Usage {
    Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        cache_read_input_tokens: read,
        cache_creation_input_tokens: created,
        reasoning_output_tokens: reasoning,
        ..Usage::default()
    }
}

fn text(path: &str, role: TextRole, text: &str) -> (String, TextRole, String) {
    (path.to_owned(), role, text.to_owned())
}

#[test]
fn chat_plain() {
    let answer = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1764000000,"model":"gpt-4o-mini-2024-07-18",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"get_weather","arguments":"{\"city\":\"K\\u00f6ln\"}"}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":8},
        "completion_tokens_details":{"reasoning_tokens":5}}}"#;
    let (request, response) = (chat_request(), response("200 OK", answer));
    for piece in [1, 7, 100_000] {
        let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
        let hooks = run(&catalog(), Some("api.openai.com"), &sides, piece);
        let (facts, texts) = only(&hooks);
        assert_eq!(
            (facts.dialect, facts.evidence),
            (Dialect::OpenAiChat, DialectEvidence::Host)
        );
        assert_eq!(
            (facts.provider.as_str(), facts.host.as_str()),
            ("openai", "api.openai.com")
        );
        assert_eq!(facts.path_template, "/v1/chat/completions");
        assert_eq!(facts.request_model.as_deref(), Some("gpt-4o-mini"));
        assert_eq!(facts.response_model.as_deref(), Some("gpt-4o-mini-2024-07-18"));
        assert_eq!(facts.response_id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(facts.usage, usage(30, 12, Some(8), None, Some(5)));
        assert!(facts.stream, "the request asks for a stream");
        assert_eq!(facts.first_chunk_ns, None, "the answer was none");
        assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["tool_calls"]);
        assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["get_weather"]);
        assert_eq!((facts.status, facts.error_type.as_str()), (Some(200), ""));
        assert_eq!(facts.user_agent, "OpenAI/Python 1.0");
        assert_eq!(facts.credential.as_ref().unwrap().0, b"not-a-key");
        assert_eq!(
            (facts.request_bytes, facts.response_bytes),
            (request.len() as u64, response.len() as u64)
        );
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        assert_eq!(facts.started_ns, 1000);
        assert!(
            facts.first_response_ns.unwrap() >= facts.started_ns
                && facts.ended_ns >= facts.first_response_ns.unwrap()
        );
        assert!(facts.binary_bytes >= 400);
        assert!(texts.all_ended());
        let expected = [
            text("$.messages[*].content", TextRole::System, "Be \"brief\"."),
            text("$.messages[*].content[*].text", TextRole::Prompt, "Look\nhere"),
            text("$.messages[*].tool_calls[*].function.name", TextRole::Other, "f"),
            text(
                "$.messages[*].tool_calls[*].function.arguments",
                TextRole::ToolArguments,
                "{\"k\":\"a\nAKIA\"}",
            ),
            text("$.messages[*].content", TextRole::ToolResult, "result é 😀"),
            text("$.metadata.*", TextRole::Other, "secret@example.org"),
            text("$.metadata.*", TextRole::Other, "note"),
            text("$.choices[*].message.content", TextRole::Answer, "Hi"),
            text(
                "$.choices[*].message.tool_calls[*].function.arguments",
                TextRole::ToolArguments,
                "{\"city\":\"Köln\"}",
            ),
        ];
        assert_eq!(texts.all(), expected, "piece {piece}");
    }
}

#[test]
fn chat_streamed_with_choices_and_tool_calls_interleaved() {
    let events = [
        r#"{"id":"","object":"chat.completion.chunk","model":"","choices":[],"prompt_filter_results":[]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"delta":{"content":"AK"},"index":0},{"delta":{"content":"other "},"index":1}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"index":1,"delta":{"content":"choice"}}],"usage":null}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"IA"}}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"one","arguments":"{\"a"}},{"index":1,"function":{"name":"two","arguments":"[1"}}]}}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":",2]"}}]}}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"c1","model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
    ];
    let body: String = events
        .iter()
        .map(|e| format!("data: {e}\n\n"))
        .chain(["data: [DONE]\n\n".to_owned()])
        .collect();
    let request = chat_request();
    let coded = gzip(body.as_bytes());
    let plain = stream("", body.as_bytes(), 13);
    let packed = stream("content-encoding: gzip\r\n", &coded, 50);
    for (response, piece) in [(&plain, 1), (&plain, 100_000), (&packed, 1), (&packed, 64)] {
        let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
        let hooks = run(&catalog(), None, &sides, piece);
        let (facts, texts) = only(&hooks);
        assert_eq!(
            (facts.response_id.as_deref(), facts.response_model.as_deref()),
            (Some("c1"), Some("m-1"))
        );
        assert_eq!(facts.usage, usage(9, 4, None, None, None));
        assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(facts.response_bytes, response.len() as u64);
        assert_eq!(facts.response_incomplete, None);
        assert_eq!(texts.with(TextRole::Answer), ["AKIA", "other choice"]);
        let mut arguments = texts.with(TextRole::ToolArguments);
        arguments.retain(|t| !t.contains("AKIA"));
        assert_eq!(arguments, ["{\"a\":1}", "[1,2]"]);
        assert!(texts.all_ended());
        let chunk = facts.first_chunk_ns.expect("first chunk");
        assert!(chunk >= facts.first_response_ns.unwrap());
        if piece < 100 {
            assert!(
                chunk < facts.ended_ns,
                "model output is seen before the end, through gzip too"
            );
        }
    }
}

const MESSAGES: &str = r#"{"model":"claude-x","max_tokens":64,"system":[{"type":"text","text":"sys"}],"messages":[
  {"role":"user","content":"hello"},
  {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"SIG"},{"type":"tool_use","id":"toolu_1","name":"ls","input":{"path":"/etc","id":"12345"}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"passwd"}]}]}],
  "tools":[{"name":"ls","description":"List","input_schema":{"type":"object"}}]}"#;

fn messages_request(path: &str, host: &str) -> Vec<u8> {
    let fields = format!("host: {host}\r\nx-api-key: fake-key\r\nanthropic-version: 2023-06-01\r\n");
    request(&format!("POST {path}"), &fields, MESSAGES)
}

#[test]
fn messages_plain() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[{"type":"text","text":"yes"},
        {"type":"tool_use","id":"toolu_2","name":"rm","input":{"path":"/tmp/x","card":4111111111111111}}],"stop_reason":"tool_use","stop_sequence":null,
        "usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":7}}"#;
    let request = messages_request("/v1/messages?beta=true", "api.anthropic.com");
    let response = response("200 OK", answer);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        33,
    );
    let (facts, texts) = only(&hooks);
    assert_eq!(
        (facts.dialect, facts.evidence),
        (Dialect::AnthropicMessages, DialectEvidence::Host)
    );
    assert_eq!(facts.path_template, "/v1/messages");
    assert_eq!(facts.usage, usage(113, 7, Some(100), Some(3), None));
    assert!(!facts.stream);
    assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["rm"]);
    assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["tool_use"]);
    assert_eq!(texts.with(TextRole::Prompt), ["hello", "hm"]);
    assert_eq!(texts.with(TextRole::System), ["sys"]);
    assert_eq!(texts.with(TextRole::ToolResult), ["passwd"]);
    // Everything in tool input is text, whatever its keys are called; a long number too.
    let arguments = texts.with(TextRole::ToolArguments);
    let named = [
        r#""path": "/etc""#,
        r#""id": "12345""#,
        r#""path": "/tmp/x""#,
        r#""card": 4111111111111111"#,
    ];
    assert_eq!(arguments, named);
    assert_eq!(texts.with(TextRole::Answer), ["yes"]);
    assert_eq!(facts.credential.as_ref().unwrap().0, b"fake-key");
}

#[test]
fn messages_streamed_on_an_unknown_host() {
    let events = [
        (
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_2","type":"message","role":"assistant","model":"claude-y","content":[],"usage":{"input_tokens":20,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        ),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        ("ping", r#"{"type":"ping"}"#),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}   "#,
        ),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"grep","input":{}}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":\"a\\"}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"nb\"}"}}"#,
        ),
        (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":6}}"#,
        ),
        (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":11}}"#,
        ),
        ("message_stop", r#"{"type":"message_stop"}"#),
    ];
    let body: String = events
        .iter()
        .map(|(n, d)| format!("event: {n}\r\ndata:{d}\r\n\r\n"))
        .collect();
    let request = messages_request("/gateway/acme/v1/messages", "llm.corp.example:8443");
    let response = stream("", body.as_bytes(), 77);
    for piece in [1, 5, 100_000] {
        let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
        let hooks = run(&catalog(), None, &sides, piece);
        let (facts, texts) = only(&hooks);
        assert_eq!(facts.evidence, DialectEvidence::PathSuffix);
        assert_eq!(
            (facts.provider.as_str(), facts.host.as_str()),
            ("unknown", "llm.corp.example")
        );
        assert_eq!(facts.path_template, "/{name}/{name}/v1/messages");
        assert_eq!(facts.usage, usage(25, 11, Some(5), None, None));
        assert!(facts.stream, "the request is silent, the answer was a stream");
        assert_eq!(texts.with(TextRole::Answer), ["Hello"]);
        assert!(
            texts
                .with(TextRole::ToolArguments)
                .contains(&"{\"q\":\"a\nb\"}".to_owned())
        );
        assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["grep"]);
        assert!(texts.all_ended());
    }
}

const RESPONSES: &str = r#"{"model":"gpt-5","instructions":"Be kind","previous_response_id":"resp_0","store":false,"input":[
  {"type":"message","role":"user","content":[{"type":"input_text","text":"Q"}]},
  {"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":1}"},
  {"type":"function_call_output","call_id":"c","output":"42 found"}]}"#;

#[test]
fn responses_plain() {
    let answer = r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-5-1","instructions":"Be kind","error":null,
        "output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"thought"}],"encrypted_content":"zz"},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"A","annotations":[]}]},
        {"type":"function_call","call_id":"d","name":"g","arguments":"{\"y\":2}"}],
        "usage":{"input_tokens":50,"input_tokens_details":{"cached_tokens":10},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":15}}}"#;
    let request = request("POST /v1/responses", "host: api.openai.com\r\n", RESPONSES);
    let response = response("200 OK", answer);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        19,
    );
    let (facts, texts) = only(&hooks);
    assert_eq!(facts.dialect, Dialect::OpenAiResponses);
    assert_eq!(facts.conversation_id, None);
    assert_eq!(facts.previous_response_id.as_deref(), Some("resp_0"));
    assert_eq!(facts.usage, usage(50, 20, Some(10), None, Some(15)));
    assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["completed"]);
    assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["g"]);
    assert_eq!(
        texts.with(TextRole::Prompt),
        ["Q"],
        "what the answer repeats is read once"
    );
    assert_eq!(texts.with(TextRole::System), ["Be kind"]);
    assert_eq!(texts.with(TextRole::ToolResult), ["42 found"]);
    assert_eq!(texts.with(TextRole::ToolArguments), ["{\"x\":1}", "{\"y\":2}"]);
    assert_eq!(texts.with(TextRole::Answer), ["thought", "A"]);
    assert_eq!(facts.error_type, "");
}

#[test]
fn responses_streamed() {
    let done = r#"{"type":"response.completed","response":{"id":"resp_2","object":"response","status":"completed","model":"gpt-5-1","instructions":"Be kind","output":[{"type":"message","content":[{"type":"output_text","text":"Hello"}]},{"type":"function_call","name":"g","arguments":"{\"a\":1}"}],"usage":{"input_tokens":5,"output_tokens":6}}}"#;
    let events = [
        r#"{"type":"response.created","response":{"id":"resp_2","object":"response","status":"in_progress","model":"gpt-5-1","instructions":"Be kind","output":[]}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"m","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hel","obfuscation":"x"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"lo"}"#,
        r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"Hello"}"#,
        r#"{"delta":"{\"a\"","output_index":1,"type":"response.function_call_arguments.delta"}"#,
        r#"{"delta":":1}","output_index":1,"type":"response.function_call_arguments.delta"}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{\"a\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","name":"g","arguments":"{\"a\":1}"}}"#,
        done,
    ];
    let body: String = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    let request = request(
        "POST /openai/v1/responses?api-version=1",
        "host: r1.openai.azure.com\r\n",
        RESPONSES,
    );
    let response = stream("", body.as_bytes(), 1000);
    for piece in [3, 100_000] {
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &response)],
            piece,
        );
        let (facts, texts) = only(&hooks);
        assert_eq!(facts.provider, "azure.ai.openai");
        assert_eq!(facts.path_template, "/openai/v1/responses");
        assert_eq!(facts.response_id.as_deref(), Some("resp_2"));
        assert_eq!(facts.usage, usage(5, 6, None, None, None));
        assert_eq!(
            texts.with(TextRole::Answer),
            ["Hello"],
            "once, not once per repetition"
        );
        assert_eq!(texts.with(TextRole::ToolArguments), ["{\"x\":1}", "{\"a\":1}"]);
        assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["completed"]);
    }
}

#[test]
fn responses_stream_with_a_hole_reads_the_repetition() {
    let first = "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"Hel\"}\n\n";
    let lost = "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"lo\"}\n\n";
    let last = "data: {\"type\":\"response.output_text.done\",\"output_index\":0,\"text\":\"Hello\"}\n\n\
        data: {\"type\":\"response.completed\",\"response\":{\"object\":\"response\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n";
    let request = request("POST /v1/responses", "host: api.openai.com\r\n", RESPONSES);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    reader.push(Side::Request, &request, 1, &mut hooks);
    reader.push(Side::Response, head.as_bytes(), 2, &mut hooks);
    reader.push(Side::Response, first.as_bytes(), 3, &mut hooks);
    reader.gap(Side::Response, Some(lost.len() as u64), 4, &mut hooks);
    reader.push(Side::Response, b"\n\n", 5, &mut hooks);
    reader.push(Side::Response, last.as_bytes(), 5, &mut hooks);
    reader.close(6, &mut hooks);
    let (facts, texts) = only(&hooks);
    assert_eq!(facts.response_incomplete, Some(Incomplete::Gap));
    assert_eq!(
        facts.usage,
        usage(1, 2, None, None, None),
        "events after the hole are read"
    );
    assert_eq!(texts.with(TextRole::Answer), ["Hel", "Hello"]);
}

#[test]
fn embeddings() {
    let asked = r#"{"model":"text-embedding-3-small","input":["one","two"],"encoding_format":"float"}"#;
    let answer = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let request = request("POST /v1/embeddings", "host: api.openai.com\r\n", asked);
    let response = response("200 OK", answer);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        10,
    );
    let (facts, texts) = only(&hooks);
    assert_eq!(
        (facts.dialect, facts.dialect.operation()),
        (Dialect::OpenAiEmbeddings, "embeddings")
    );
    assert_eq!(
        (facts.usage.input_tokens, facts.usage.output_tokens),
        (Some(4), None)
    );
    assert_eq!(texts.with(TextRole::Prompt), ["one", "two"]);
}

#[test]
fn errors_plain_and_in_a_stream() {
    let cases: [(Vec<u8>, &str); 6] = [
        (response("429 Too Many", r#"{"error":{"message":"slow down","type":"rate_limit_exceeded","code":null}}"#), "rate_limit_exceeded"),
        (response("401 No", r#"{"error":{"code":"401","message":"no"}}"#), "401"),
        (response("400 Bad", r#"{"object":"error","message":"m","type":"invalid_request_error","code":null}"#), "invalid_request_error"),
        (response("502 Bad", "<html>bad gateway</html>"), "502"),
        (stream("", b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n", 9), "overloaded_error"),
        (stream("", b"data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}\n\n", 9), "server_error"),
    ];
    for (response, want) in cases {
        let request = chat_request();
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &response)],
            50,
        );
        let (facts, _) = only(&hooks);
        assert_eq!(facts.error_type, want);
        assert_eq!(
            facts.usage,
            Usage::default(),
            "an answer without usage has unknown tokens"
        );
    }
}
