//! Agents, tools, jobs, web applications and inference servers: bytes after their public documentation.

use super::*;
use crate::exchange::{Dialect, DialectEvidence};
use crate::protocol::eventstream::testing::message;

/// One call, the same however its bytes are cut.
pub(super) fn call(name: Option<&str>, request: &[u8], response: &[u8]) -> (Exchange, Texts) {
    let sides = [(Side::Request, request), (Side::Response, response)];
    let mut hooks = run(&catalog(), name, &sides, 5);
    assert_eq!(hooks.finished.len(), 1, "{:?} {:?}", hooks.not_ai, hooks.lost);
    let whole = run(&catalog(), name, &sides, usize::MAX);
    let (number, facts) = hooks.finished.remove(0);
    let texts = hooks.texts.remove(&number).unwrap_or_default();
    assert_eq!(
        whole.texts.get(&number).map(Texts::all).unwrap_or_default(),
        texts.all()
    );
    assert_eq!(facts.dialect, whole.finished[0].1.dialect);
    assert_eq!(facts.tool_calls, whole.finished[0].1.tool_calls);
    (facts, texts)
}

pub(super) fn refused(name: Option<&str>, request: &[u8], response: &[u8]) {
    let hooks = run(
        &catalog(),
        name,
        &[(Side::Request, request), (Side::Response, response)],
        17,
    );
    assert_eq!(hooks.finished.len(), 0, "{:?}", hooks.finished[0].1.dialect);
}

pub(super) fn names(facts: &Exchange) -> Vec<(String, u64)> {
    let first = facts.tool_calls.iter().flat_map(|calls| &calls.first);
    first.map(|call| (call.name.clone(), call.bytes)).collect()
}

const MCP: &str = "Host: tools.corp.example\r\nAccept: application/json, text/event-stream\r\n";

#[test]
fn mcp_begins_a_session() {
    let asked = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let body = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-03-26","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nMcp-Session-Id: 7f-1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (facts, _) = call(None, &request("POST /mcp", MCP, asked), answer.as_bytes());
    assert_eq!(
        (facts.dialect, facts.evidence, facts.operation),
        (Dialect::Mcp, DialectEvidence::RequestShape, "mcp")
    );
    assert_eq!(facts.rpc.method, "initialize");
    assert_eq!(facts.rpc.session.as_deref(), Some("7f-1"));
    assert_eq!(
        facts.rpc.version.as_deref(),
        Some("2025-03-26"),
        "what the server agreed to"
    );
    assert_eq!((facts.provider.as_str(), facts.response_id), ("unknown", None));
    // A language server speaks the same protocol.
    let editor =
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"rootUri":"file:///","capabilities":{}}}"#;
    refused(
        None,
        &request("POST /lsp", MCP, editor),
        &response("200 OK", "{}"),
    );
}

#[test]
fn mcp_calls_a_tool_plain_streamed_and_failing() {
    let asked = r#"{"jsonrpc":"2.0","id":"a-2","method":"tools/call","params":{"name":"weather","arguments":{"city":"K\u00f6ln","days":3}}}"#;
    let fields = format!("{MCP}Mcp-Session-Id: 7f-1\r\nMCP-Protocol-Version: 2025-06-18\r\n");
    let asked = request("POST /mcp", &fields, asked);
    let result = r#"{"jsonrpc":"2.0","id":"a-2","result":{"content":[{"type":"text","text":"12 degrees"}],"structuredContent":{"t":"12"},"isError":false}}"#;
    let plain = response("200 OK", result);
    let events = format!(
        "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progress\":1}}}}\n\nevent: message\ndata: {result}\n\n"
    );
    for answer in [plain, stream("", events.as_bytes(), 40)] {
        let (facts, texts) = call(None, &asked, &answer);
        assert_eq!((facts.dialect, facts.operation), (Dialect::Mcp, "execute_tool"));
        assert_eq!(facts.rpc.method, "tools/call");
        assert_eq!(facts.rpc.version.as_deref(), Some("2025-06-18"));
        assert_eq!(
            names(&facts),
            [(
                "weather".to_owned(),
                "{\"city\":\"Köln\",\"days\":3}".len() as u64
            )]
        );
        assert_eq!(facts.tool_names.iter().collect::<Vec<_>>(), ["weather"]);
        let results = facts.tool_results.unwrap();
        assert_eq!(
            (
                results.count,
                results.first[0].name.as_str(),
                results.first[0].bytes
            ),
            (1, "weather", 10)
        );
        assert_eq!((facts.error_type.as_str(), facts.usage.input_tokens), ("", None));
        let arguments = [r#""city": "Köln""#, r#""days": 3"#];
        assert_eq!(texts.with(TextRole::ToolArguments), arguments);
        assert_eq!(texts.with(TextRole::ToolResult), ["12 degrees", r#""t": "12""#]);
        assert!(texts.all_ended());
    }
    // A client ends the stream when it has its answer; before that something is missing.
    let streamed = stream("", events.as_bytes(), 40);
    let end = chunked(b"", 1).len();
    for (cut, incomplete) in [(end, None), (end + 60, Some(Incomplete::Closed))] {
        let (facts, _) = call(None, &asked, &streamed[..streamed.len() - cut]);
        assert_eq!(facts.response_incomplete, incomplete, "{cut} bytes cut off");
    }
    let (facts, _) = call(
        None,
        &asked,
        &response("200 OK", &result.replace("false", "true")),
    );
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("tool_error", "tool_error")
    );
    let error = r#"{"jsonrpc":"2.0","id":"a-2","error":{"code":-32602,"message":"Unknown tool"}}"#;
    let (facts, _) = call(None, &asked, &response("200 OK", error));
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("-32602", "invalid_request")
    );
}

#[test]
fn mcp_without_a_session_and_other_methods() {
    // 2026-07-28: every request says for itself what it is.
    let fields = format!(
        "{MCP}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: resources/read\r\nMcp-Name: file:///a\r\n"
    );
    let asked = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a","_meta":{"io.modelcontextprotocol/clientInfo":{"name":"c"}}}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","contents":[{"uri":"file:///a","text":"the file"}]}}"#;
    let (facts, texts) = call(
        None,
        &request("POST /", &fields, asked),
        &response("200 OK", answer),
    );
    assert_eq!(
        (facts.rpc.method.as_str(), facts.rpc.session, facts.operation),
        ("resources/read", None, "mcp")
    );
    assert_eq!(texts.with(TextRole::ToolResult), ["the file"]);
    for method in ["tools/list", "prompts/list", "server/discover"] {
        let asked = format!(r#"{{"method":"{method}","jsonrpc":"2.0","id":2}}"#);
        let (facts, _) = call(None, &request("POST /x", MCP, &asked), &response("200 OK", "{}"));
        assert_eq!(facts.rpc.method, method);
    }
    // The client's answer to what the server asked of it: a model's text goes to the tool.
    let fields = format!("{MCP}Mcp-Session-Id: s\r\n");
    let sampled = r#"{"jsonrpc":"2.0","id":9,"result":{"role":"assistant","content":{"type":"text","text":"sampled"},"model":"m"}}"#;
    let (facts, texts) = call(
        None,
        &request("POST /mcp", &fields, sampled),
        &response("202 Accepted", ""),
    );
    assert_eq!(
        (facts.dialect, facts.evidence),
        (Dialect::Mcp, DialectEvidence::ClientHeaders)
    );
    assert_eq!(texts.with(TextRole::Answer), ["sampled"]);
}

#[test]
fn mcp_speaks_on_a_stream_that_was_asked_for() {
    let get = |path: &str, fields: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: tools.corp.example\r\nAccept: text/event-stream\r\n{fields}\r\n"
        )
    };
    // 2024-11-05: the first event names the place to post to, answers come here.
    let events = "event: endpoint\ndata: /messages?session_id=1\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"late\"}]}}\n\n";
    let (facts, texts) = call(
        None,
        get("/sse", "").as_bytes(),
        &stream("", events.as_bytes(), 30),
    );
    assert_eq!(
        (facts.dialect, facts.evidence),
        (Dialect::Mcp, DialectEvidence::ResponseShape)
    );
    assert_eq!(texts.with(TextRole::ToolResult), ["late"]);
    let events = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"please\"}}]}}\n\n";
    let (facts, texts) = call(
        None,
        get("/mcp", "Mcp-Session-Id: s\r\n").as_bytes(),
        &stream("", events.as_bytes(), 30),
    );
    assert_eq!(facts.rpc.method, "sampling/createMessage");
    assert_eq!(texts.with(TextRole::Prompt), ["please"]);
    // Anybody's stream of events, and a server that has none.
    let other = stream(
        "",
        b"event: tick\ndata: {\"n\":1}\n\nevent: endpoint\ndata: x\n\n",
        30,
    );
    refused(None, get("/events", "").as_bytes(), &other);
    refused(
        None,
        get("/mcp", "Mcp-Session-Id: s\r\n").as_bytes(),
        &response("405 x", "{}"),
    );
}

#[test]
fn agents_ask_agents() {
    let asked = r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":{"role":"user","contextId":"c-1","parts":[{"kind":"text","text":"plan a trip"}],"messageId":"m"}}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"id":"task-9","contextId":"c-1","status":{"state":"completed"},"artifacts":[{"parts":[{"kind":"text","text":"done"}]}],"kind":"task"}}"#;
    let (facts, texts) = call(
        None,
        &request("POST /a2a", "Host: agent.corp.example\r\n", asked),
        &response("200 OK", answer),
    );
    assert_eq!((facts.dialect, facts.operation), (Dialect::A2a, "invoke_agent"));
    assert_eq!(facts.response_id.as_deref(), Some("task-9"));
    assert_eq!(facts.conversation_id.as_deref(), Some("c-1"));
    assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["completed"]);
    assert_eq!(texts.with(TextRole::Prompt), ["plan a trip"]);
    assert_eq!(texts.with(TextRole::Answer), ["done"]);
    // 1.0 over HTTP, streamed.
    let fields = "Host: agent.corp.example\r\nA2A-Version: 1.0\r\n";
    let asked = r#"{"message":{"role":"ROLE_USER","parts":[{"text":"plan"}]}}"#;
    let events = "data: {\"task\":{\"id\":\"t-2\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}}\n\ndata: {\"message\":{\"parts\":[{\"text\":\"ok\"}]}}\n\n";
    let (facts, texts) = call(
        None,
        &request("POST /v1/message:stream", fields, asked),
        &stream("", events.as_bytes(), 30),
    );
    assert_eq!(
        (facts.dialect, facts.rpc.method.as_str()),
        (Dialect::A2a, "message/stream")
    );
    assert_eq!(facts.response_id.as_deref(), Some("t-2"));
    assert_eq!(texts.with(TextRole::Answer), ["ok"]);
    refused(
        None,
        &request("POST /v1/message:stream", "Host: x.example\r\n", r#"{"a":1}"#),
        &response("200 OK", "{}"),
    );
}

#[test]
fn chats_in_the_browser() {
    let asked = r#"{"action":"next","messages":[{"id":"1","author":{"role":"user"},"content":{"content_type":"text","parts":["my question"]}}],"conversation_id":"c0-1","parent_message_id":"p","model":"gpt-5"}"#;
    let whole = "data: {\"message\":{\"id\":\"2\",\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"An\"]},\"metadata\":{\"model_slug\":\"gpt-5-x\"}},\"conversation_id\":\"c0-1\"}\n\n\
        data: {\"message\":{\"id\":\"2\",\"author\":{\"role\":\"assistant\"},\"content\":{\"content_type\":\"text\",\"parts\":[\"An answer\"]},\"metadata\":{\"model_slug\":\"gpt-5-x\",\"finish_details\":{\"type\":\"stop\"}}},\"conversation_id\":\"c0-1\"}\n\ndata: [DONE]\n\n";
    let pieces = "event: delta_encoding\ndata: \"v1\"\n\nevent: delta\ndata: {\"p\":\"\",\"o\":\"add\",\"v\":{\"message\":{\"content\":{\"parts\":[\"\"]},\"metadata\":{\"model_slug\":\"gpt-5-x\"}},\"conversation_id\":\"c0-1\"}}\n\n\
        event: delta\ndata: {\"p\":\"/message/content/parts/0\",\"o\":\"append\",\"v\":\"An \"}\n\nevent: delta\ndata: {\"v\":\"answer\"}\n\n\
        event: delta\ndata: {\"p\":\"\",\"o\":\"patch\",\"v\":[{\"p\":\"/message/status\",\"o\":\"replace\",\"v\":\"\"}]}\n\ndata: [DONE]\n\n";
    for events in [whole, pieces] {
        let (facts, texts) = call(
            None,
            &request("POST /backend-api/f/conversation", "Host: chatgpt.com\r\n", asked),
            &stream("", events.as_bytes(), 40),
        );
        assert_eq!(
            (facts.dialect, facts.provider.as_str(), facts.operation),
            (Dialect::ChatGptWeb, "openai", "chat")
        );
        assert_eq!(facts.request_model.as_deref(), Some("gpt-5"));
        assert_eq!(facts.response_model.as_deref(), Some("gpt-5-x"));
        assert_eq!(facts.conversation_id.as_deref(), Some("c0-1"));
        assert!(facts.stream && facts.first_chunk_ns.is_some());
        assert_eq!(facts.usage, Default::default(), "nothing is worked out");
        assert_eq!(texts.with(TextRole::Prompt), ["my question"]);
        assert_eq!(texts.with(TextRole::Answer).concat(), "An answer");
    }
    let asked = r#"{"prompt":"my question","parent_message_uuid":"u","attachments":[{"file_name":"a","extracted_content":"a file"}],"model":"claude-x"}"#;
    let path = "POST /api/organizations/0a-1/chat_conversations/7b-2/completion";
    let events = "event: completion\ndata: {\"type\":\"completion\",\"completion\":\"An \",\"stop_reason\":null}\n\nevent: completion\ndata: {\"type\":\"completion\",\"completion\":\"answer\",\"stop_reason\":\"stop_sequence\"}\n\n";
    let (facts, texts) = call(
        None,
        &request(path, "Host: claude.ai\r\n", asked),
        &stream("", events.as_bytes(), 40),
    );
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::ClaudeWeb, "anthropic")
    );
    assert_eq!(facts.conversation_id.as_deref(), Some("7b-2"));
    assert_eq!(
        facts.path_template,
        "/api/organizations/{name}/chat_conversations/{name}/completion"
    );
    assert_eq!(texts.with(TextRole::Prompt), ["my question", "a file"]);
    assert_eq!(texts.with(TextRole::Answer), ["An answer"]);
}

#[test]
fn gemini_in_the_browser_is_a_form() {
    let form = "f.req=%5Bnull%2C%22%5B%5B%5C%22my+question%5C%22%5D%5D%22%5D&at=token%3A1&";
    let asked = format!(
        "POST /_/BardChatUi/data/assistant.lamda.BardFrontendService/StreamGenerate?bl=x HTTP/1.1\r\nHost: gemini.google.com\r\nContent-Type: application/x-www-form-urlencoded;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let body = ")]}'\n\n31\n[[\"wrb.fr\",null,\"an answer\"]]\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (facts, texts) = call(None, asked.as_bytes(), answer.as_bytes());
    assert_eq!(
        (facts.dialect, facts.operation, facts.request_incomplete),
        (Dialect::GeminiWeb, "chat", None)
    );
    assert!(facts.provider.starts_with("gcp."), "{}", facts.provider);
    let all: String = texts.all().into_iter().map(|(.., text)| text).collect();
    assert!(all.contains("my question") && all.contains("an answer"), "{all}");
}

#[test]
fn amazon_q_and_inference_servers() {
    let asked = r#"{"conversationState":{"conversationId":"q-1","currentMessage":{"userInputMessage":{"content":"my question","modelId":"auto"}},"chatTriggerType":"MANUAL"}}"#;
    let fields = "Host: q.us-east-1.amazonaws.com\r\nx-amz-target: AmazonCodeWhispererStreamingService.GenerateAssistantResponse\r\n";
    let (facts, texts) = call(
        None,
        &request("POST /generateAssistantResponse", fields, asked),
        &response("200 OK", "{}"),
    );
    assert_eq!((facts.dialect, facts.operation), (Dialect::AmazonQ, "chat"));
    assert_eq!(facts.conversation_id.as_deref(), Some("q-1"));
    assert_eq!(texts.with(TextRole::Prompt), ["my question"]);
    let tensors =
        r#"{"id":"1","inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["my question"]}]}"#;
    let answer = r#"{"model_name":"llama","outputs":[{"name":"out","datatype":"BYTES","shape":[1],"data":["an answer"]}]}"#;
    let host = "Host: triton.corp.example\r\n";
    let (facts, texts) = call(
        None,
        &request("POST /v2/models/llama/versions/1/infer", host, tensors),
        &response("200 OK", answer),
    );
    assert_eq!(facts.dialect, Dialect::KserveInfer);
    assert_eq!(facts.request_model.as_deref(), Some("llama"));
    assert_eq!(texts.with(TextRole::Prompt).last().unwrap(), "my question");
    assert_eq!(texts.with(TextRole::Answer), ["an answer"]);
    let events = "data: {\"model_name\":\"llama\",\"text_output\":\"an \"}\n\ndata: {\"model_name\":\"llama\",\"text_output\":\"answer\"}\n\n";
    let (facts, texts) = call(
        None,
        &request(
            "POST /v2/models/llama/generate_stream",
            host,
            r#"{"text_input":"my question","parameters":{}}"#,
        ),
        &stream("", events.as_bytes(), 40),
    );
    assert_eq!((facts.dialect, facts.stream), (Dialect::KserveInfer, true));
    assert_eq!(texts.with(TextRole::Answer), ["an answer"]);
    refused(
        None,
        &request("POST /v2/models/x/infer", host, r#"{"rows":[1]}"#),
        &response("200 OK", "{}"),
    );
}

#[test]
fn sagemaker_streams_a_body_in_parts() {
    let parts = [
        "data: {\"token\":{\"text\":\"an \"}}\n\nda",
        "ta: {\"token\":{\"text\":\"answer\"},\"details\":{\"generated_tokens\":2}}\n\n",
    ];
    let mut body = Vec::new();
    for part in parts {
        body.extend(message("PayloadPart", part.as_bytes()));
    }
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    let host = "Host: runtime.sagemaker.eu-west-1.amazonaws.com\r\n";
    let path = "POST /endpoints/my-llama/invocations-response-stream";
    let asked = request(path, host, r#"{"question":"my question"}"#);
    let (facts, texts) = call(None, &asked, &answer);
    assert_eq!((facts.dialect, facts.stream), (Dialect::SageMakerInvoke, true));
    assert_eq!(facts.request_model.as_deref(), Some("my-llama"));
    assert_eq!(facts.usage.output_tokens, Some(2));
    assert_eq!(texts.with(TextRole::Answer), ["an answer"]);
    // The model's own shape says more.
    let asked = request(
        "POST /endpoints/e/invocations",
        host,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
    );
    let (facts, _) = call(None, &asked, &response("200 OK", "{}"));
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::OpenAiChat, "amazon_sagemaker")
    );
}

#[test]
fn watsonx_copilot_and_vllm() {
    let chat = r#"{"model_id":"ibm/granite","project_id":"p","messages":[{"role":"user","content":"x"}]}"#;
    let (facts, _) = call(
        None,
        &request(
            "POST /ml/v1/text/chat?version=2024-10-08",
            "Host: eu-de.ml.cloud.ibm.com\r\n",
            chat,
        ),
        &response(
            "200 OK",
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":0}}"#,
        ),
    );
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::OpenAiChat, "ibm.watsonx.ai")
    );
    assert_eq!(facts.request_model.as_deref(), Some("ibm/granite"));
    assert_eq!(facts.usage.output_tokens, Some(0), "stated, so known");
    let copilot = "Host: copilot-proxy.githubusercontent.com\r\n";
    let (facts, _) = call(
        None,
        &request(
            "POST /v1/engines/gpt-4o-copilot/completions",
            copilot,
            r#"{"prompt":"def f","suffix":"","max_tokens":5,"stream":true}"#,
        ),
        &response("200 OK", "{}"),
    );
    assert_eq!(facts.dialect, Dialect::OpenAiCompletions);
    assert_eq!(facts.request_model.as_deref(), Some("gpt-4o-copilot"));
    for (path, body, dialect) in [
        (
            "POST /tokenize",
            r#"{"model":"m","prompt":"x"}"#,
            Dialect::CountTokens,
        ),
        (
            "POST /pooling",
            r#"{"model":"m","input":"x"}"#,
            Dialect::OpenAiEmbeddings,
        ),
        (
            "POST /score",
            r#"{"model":"m","text_1":"x","text_2":["y"]}"#,
            Dialect::Rerank,
        ),
    ] {
        let (facts, _) = call(
            None,
            &request(path, "Host: vllm.corp.example:8000\r\n", body),
            &response("200 OK", "{}"),
        );
        assert_eq!(facts.dialect, dialect, "{path}");
    }
}
