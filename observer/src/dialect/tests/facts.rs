//! Facts beside models and tokens: tools with their sizes, kinds of errors, numbers, limits, conversations, attempts.

use super::*;
use crate::exchange::{RateLimit, ToolUse, ToolUses};

const OPENAI: &str = "Host: api.openai.com\r\n";
const ANTHROPIC: &str = "Host: api.anthropic.com\r\nanthropic-version: 2023-06-01\r\n";

/// The facts of one call, the same however its bytes are cut.
fn facts(request: &[u8], response: &[u8]) -> Exchange {
    let sides = [(Side::Request, request), (Side::Response, response)];
    let whole = run(&catalog(), None, &sides, usize::MAX);
    let [(_, facts)] = whole.finished.as_slice() else {
        panic!("not ai: {:?}", whole.not_ai);
    };
    let timeless = |facts: &Exchange| Exchange {
        started_ns: 0,
        first_response_ns: None,
        first_chunk_ns: None,
        ended_ns: 0,
        ..facts.clone()
    };
    for piece in [1, 13] {
        let cut = run(&catalog(), None, &sides, piece);
        assert_eq!(timeless(&cut.finished[0].1), timeless(facts), "piece {piece}");
    }
    facts.clone()
}

fn uses(list: &[(&str, u64)]) -> Option<ToolUses> {
    let first = list.iter().map(|(name, bytes)| ToolUse {
        name: (*name).to_owned(),
        bytes: *bytes,
    });
    Some(ToolUses {
        first: first.collect(),
        count: u32::try_from(list.len()).unwrap(),
    })
}

const CHAT_WITH_RESULTS: &str = r#"{"model":"m","messages":[{"role":"user","content":"Weather?","name":"ada"},
  {"role":"assistant","content":null,"tool_calls":[
    {"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"K\u00f6ln\"}"}},
    {"id":"c2","type":"function","function":{"name":"clock","arguments":"{}"}}]},
  {"role":"tool","tool_call_id":"c2","content":"12:00"},
  {"tool_call_id":"c1","content":[{"type":"text","text":"rain"},{"type":"text","text":" all day"}],"role":"tool"},
  {"role":"tool","tool_call_id":"c9","content":""}]}"#;

#[test]
fn chat_tools_plain_and_streamed() {
    let asked = request("POST /v1/chat/completions", OPENAI, CHAT_WITH_RESULTS);
    let plain = response(
        "200 OK",
        r#"{"object":"chat.completion","choices":[{"message":{"tool_calls":[
        {"function":{"arguments":"{\"a\":1}","name":"one"}},{"function":{"name":"two","arguments":""}}]}},
        {"message":{"content":"none"}}]}"#,
    );
    let plain = facts(&asked, &plain);
    assert_eq!(plain.tool_calls, uses(&[("one", 7), ("two", 0)]));
    assert_eq!(
        plain.tool_results,
        uses(&[("clock", 5), ("weather", 12), ("", 0)])
    );
    let events = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"one\",\"arguments\":\"\"}}]}}]}\n\n\
        data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"two\",\"arguments\":\"{\"},\"index\":1}]},\"index\":0}]}\n\n\
        data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}},{\"index\":1,\"function\":{\"arguments\":\"}\"}}]}}]}\n\n\
        data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\ndata: [DONE]\n\n";
    let streamed = facts(&asked, &stream("", events.as_bytes(), 50));
    assert_eq!(streamed.tool_calls, uses(&[("one", 7), ("two", 2)]));
}

#[test]
fn messages_tools_plain_and_streamed() {
    let asked = r#"{"model":"claude","max_tokens":9,"metadata":{"user_id":"user_0a_account__session_7f-3"},"messages":[
      {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"read","input":{"path":"/a"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"1234567"},
        {"type":"tool_result","tool_use_id":"t0","content":[{"type":"text","text":"ab"},{"type":"text","text":"c"}]},
        {"type":"text","text":"Go on."}]}]}"#;
    let asked = request("POST /v1/messages", ANTHROPIC, asked);
    let plain = response(
        "200 OK",
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"Well."},
        {"type":"tool_use","id":"t2","name":"write","input":{"path":"/b","lines":[1,22,true,null],"deep":{"x":"y"}}}],
        "usage":{"input_tokens":1,"output_tokens":2}}"#,
    );
    let plain = facts(&asked, &plain);
    let json = r#"{"path":"/b","lines":[1,22,true,null],"deep":{"x":"y"}}"#;
    assert_eq!(plain.tool_calls, uses(&[("write", json.len() as u64)]));
    assert_eq!(plain.tool_results, uses(&[("read", 7), ("", 3)]));
    assert_eq!(plain.conversation_id.as_deref(), Some("7f-3"));
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"write\",\"input\":{}}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\": \"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t3\",\"name\":\"stop\",\"input\":{}}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let streamed = facts(&asked, &stream("", events.as_bytes(), 50));
    assert_eq!(streamed.tool_calls, uses(&[("write", 8), ("stop", 2)]));
}

#[test]
fn responses_tools_plain_and_streamed() {
    let asked = r#"{"model":"m","previous_response_id":"resp_0","input":[{"role":"user","content":"x"},
      {"type":"function_call","call_id":"c1","name":"look","arguments":"{}"},
      {"type":"function_call_output","call_id":"c1","output":"found it"},
      {"type":"function_call_output","call_id":"c0","output":""}]}"#;
    let asked = request("POST /v1/responses", OPENAI, asked);
    let output = r#"[{"type":"reasoning"},{"type":"function_call","call_id":"c2","name":"open","arguments":"{\"n\":5}"},
        {"type":"web_search_call","id":"ws_1","status":"completed"}]"#;
    let object = format!(
        r#"{{"id":"resp_1","object":"response","status":"completed","model":"m","conversation":{{"id":"conv_7"}},"output":{output}}}"#
    );
    let plain = facts(&asked, &response("200 OK", &object));
    assert_eq!(plain.tool_calls, uses(&[("open", 7), ("web_search", 0)]));
    assert_eq!(plain.tool_results, uses(&[("look", 8), ("", 0)]));
    assert_eq!(plain.previous_response_id.as_deref(), Some("resp_0"));
    assert_eq!(plain.conversation_id.as_deref(), Some("conv_7"));
    let object = object.replace('\n', "");
    let events = format!(
        "event: response.output_item.added\ndata: {{\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"open\",\"arguments\":\"\"}}}}\n\n\
        event: response.function_call_arguments.delta\ndata: {{\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{{\\\"n\\\"\"}}\n\n\
        event: response.function_call_arguments.delta\ndata: {{\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\":5}}\"}}\n\n\
        event: response.function_call_arguments.done\ndata: {{\"type\":\"response.function_call_arguments.done\",\"output_index\":1,\"arguments\":\"{{\\\"n\\\":5}}\"}}\n\n\
        event: response.output_item.done\ndata: {{\"type\":\"response.output_item.done\",\"output_index\":2,\"item\":{{\"type\":\"web_search_call\",\"id\":\"ws_1\"}}}}\n\n\
        event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{object}}}\n\n"
    );
    let streamed = facts(&asked, &stream("", events.as_bytes(), 50));
    assert_eq!(streamed.tool_calls, plain.tool_calls);
    // Only the last event is there: it repeats everything.
    let last = &events[events.find("event: response.completed").unwrap()..];
    let only_last = facts(&asked, &stream("", last.as_bytes(), 50));
    assert_eq!(only_last.tool_calls, plain.tool_calls);
}

#[test]
fn tools_of_gemini_bedrock_and_ollama() {
    let asked = r#"{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"ok":[1,2]}}},{"text":"x"}]}]}"#;
    let asked = request(
        "POST /v1beta/models/g:generateContent",
        "Host: generativelanguage.googleapis.com\r\n",
        asked,
    );
    let answer = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"g","args":{"a":1.5}}},{"functionCall":{"name":"h","args":{}}}]}}],"usageMetadata":{}}"#;
    let gemini = facts(&asked, &response("200 OK", answer));
    assert_eq!(gemini.tool_calls, uses(&[("g", 9), ("h", 2)]));
    assert_eq!(gemini.tool_results, uses(&[("f", 12)]));
    let asked = r#"{"messages":[{"role":"assistant","content":[{"toolUse":{"toolUseId":"u1","name":"f","input":{}}}]},
        {"role":"user","content":[{"toolResult":{"toolUseId":"u1","content":[{"text":"abc"},{"json":{"k":"v"}}]}}]}]}"#;
    let asked = request(
        "POST /model/m/converse",
        "Host: bedrock-runtime.eu-west-1.amazonaws.com\r\n",
        asked,
    );
    let answer = r#"{"output":{"message":{"content":[{"text":"x"},{"toolUse":{"toolUseId":"u2","name":"g","input":{"a":"b"}}}]}},"stopReason":"tool_use"}"#;
    let bedrock = facts(&asked, &response("200 OK", answer));
    assert_eq!(bedrock.tool_calls, uses(&[("g", 9)]));
    assert_eq!(bedrock.tool_results, uses(&[("f", 12)]));
    let asked = r#"{"model":"m","messages":[{"role":"tool","tool_name":"f","content":"1234"}]}"#;
    let asked = request("POST /api/chat", "Host: localhost:11434\r\n", asked);
    let answer = r#"{"model":"m","created_at":"x","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"g","arguments":{"a":[]}}}]},"done":false}
{"model":"m","created_at":"x","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"g","arguments":{}}}]},"done":true}"#;
    let ollama = facts(&asked, &response("200 OK", answer));
    assert_eq!(ollama.tool_calls, uses(&[("g", 8), ("g", 2)]));
    assert_eq!(ollama.tool_results, uses(&[("f", 4)]));
}

#[test]
fn errors_have_a_kind_and_the_answer_a_number() {
    let asked = request("POST /v1/chat/completions", OPENAI, CHAT_WITH_RESULTS);
    let body = r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let answer = format!(
        "HTTP/1.1 429 x\r\ncontent-type: application/json\r\nx-request-id: req_9\r\nretry-after-ms: 250\r\n\
         x-ratelimit-limit-tokens: 9\r\nx-ratelimit-remaining-tokens: 0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let refused = facts(&asked, answer.as_bytes());
    assert_eq!(
        (refused.error_type.as_str(), refused.error_class),
        ("insufficient_quota", "quota_exceeded")
    );
    assert_eq!(refused.request_id.as_deref(), Some("req_9"));
    assert_eq!(refused.rate_limits.retry_after_ms, Some(250));
    assert_eq!(refused.rate_limits.requests, RateLimit::default());
    assert_eq!(
        refused.rate_limits.tokens,
        RateLimit {
            limit: Some(9),
            remaining: Some(0),
            reset_ms: None
        }
    );
    // The same type, told apart by the words only.
    let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 tokens"},"request_id":"req_b"}"#;
    let asked = request(
        "POST /v1/messages",
        ANTHROPIC,
        r#"{"model":"c","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#,
    );
    let refused = facts(&asked, &response("400 x", body));
    assert_eq!(
        (refused.error_class, refused.request_id.as_deref()),
        ("context_length", Some("req_b"))
    );
    let fine = facts(&asked, &response("200 x", r#"{"type":"message","usage":{}}"#));
    assert_eq!((fine.error_class, fine.request_id), ("", None));
}

#[test]
fn conversations_from_heads_and_paths() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let with = |fields: &str| {
        let fields = format!("{OPENAI}{fields}");
        let asked = request("POST /v1/chat/completions", &fields, body);
        facts(&asked, &response("200 OK", "{}")).conversation_id
    };
    assert_eq!(
        with("session_id: 019a-7\r\nthread-id: t-1\r\n").as_deref(),
        Some("t-1")
    );
    assert_eq!(with("session-id: two words\r\n"), None);
    assert_eq!(with(""), None);
    use crate::dialect::paths::conversation;
    assert_eq!(
        conversation("/v1/threads/thread_9/runs").as_deref(),
        Some("thread_9")
    );
    assert_eq!(conversation("/v1/threads/runs"), None);
    assert_eq!(conversation("/v1/conversations"), None);
}

#[test]
fn attempts_of_the_same_bytes_have_the_same_mark() {
    let ask = |fields: &str, path: &str, body: &str| {
        let asked = request(path, &format!("{OPENAI}{fields}"), body);
        facts(&asked, &response("200 OK", "{}")).attempt
    };
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let path = "POST /v1/chat/completions";
    let first = ask("x-stainless-retry-count: 0\r\n", path, body);
    let second = ask("x-stainless-retry-count: 1\r\n", path, body);
    assert!(first.fingerprint.is_some());
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_eq!((first.stated, second.stated), (Some(1), Some(2)));
    let other = ask("", path, &body.replace('x', "y"));
    assert_ne!(first.fingerprint, other.fingerprint);
    assert_ne!(
        first.fingerprint,
        ask("", "POST /v2/chat/completions", body).fingerprint
    );
    // Cut short: it may be any.
    let asked = request(path, OPENAI, body);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &asked[..asked.len() - 1])],
        usize::MAX,
    );
    assert_eq!(hooks.finished[0].1.attempt.fingerprint, None);
}

#[test]
fn audio_tokens_are_part_of_the_others() {
    let asked = request("POST /v1/chat/completions", OPENAI, CHAT_WITH_RESULTS);
    let answer = r#"{"object":"chat.completion","usage":{"prompt_tokens":10,"completion_tokens":20,
        "prompt_tokens_details":{"audio_tokens":3},"completion_tokens_details":{"audio_tokens":0}}}"#;
    let usage = facts(&asked, &response("200 OK", answer)).usage;
    assert_eq!(
        (
            usage.input_tokens,
            usage.input_audio_tokens,
            usage.output_audio_tokens
        ),
        (Some(10), Some(3), Some(0))
    );
}
