//! Jobs, assistants and their runs, and calls of tools that come as events: bytes after their public documentation.

use super::agents::{call, names, refused};
use super::*;
use crate::exchange::Dialect;
use crate::protocol::eventstream::testing::message;

const OPENAI: &str = "Host: api.openai.com\r\n";

#[test]
fn jobs_and_agents_of_openai() {
    let cases = [
        (
            "POST /v1/batches",
            r#"{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}"#,
            Dialect::OpenAiBatches,
            "batch",
        ),
        (
            "POST /v1/assistants",
            r#"{"model":"gpt-4o","instructions":"Be brief.","tools":[]}"#,
            Dialect::OpenAiAssistants,
            "create_agent",
        ),
        (
            "POST /v1/threads",
            r#"{"messages":[{"role":"user","content":"hello"}]}"#,
            Dialect::OpenAiThreads,
            "thread",
        ),
        (
            "POST /v1/threads/thread_1/messages",
            r#"{"role":"user","content":"hello"}"#,
            Dialect::OpenAiThreads,
            "thread",
        ),
        (
            "POST /v1/vector_stores/vs_1/search",
            r#"{"query":"hello"}"#,
            Dialect::OpenAiVectorStores,
            "retrieval",
        ),
        (
            "POST /v1/vector_stores",
            r#"{"name":"hello"}"#,
            Dialect::OpenAiVectorStores,
            "vector_store",
        ),
    ];
    for (line, body, dialect, operation) in cases {
        let (facts, texts) = call(
            None,
            &request(line, OPENAI, body),
            &response("200 OK", r#"{"id":"x_1"}"#),
        );
        assert_eq!((facts.dialect, facts.operation), (dialect, operation), "{line}");
        assert_eq!(facts.response_id.as_deref(), Some("x_1"));
        assert!(
            texts.all().iter().any(|(.., text)| text.contains("hello")) || !body.contains("hello"),
            "{line}"
        );
    }
    let run =
        r#"{"assistant_id":"asst_1","stream":true,"additional_messages":[{"role":"user","content":"go"}]}"#;
    let events = "event: thread.run.created\ndata: {\"id\":\"run_1\",\"object\":\"thread.run\",\"model\":\"gpt-4o\",\"usage\":null}\n\n\
        event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":\"Hi \"}}]}}\n\n\
        event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":\"there\"}}]}}\n\n\
        event: thread.message.completed\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message\",\"content\":[{\"type\":\"text\",\"text\":{\"value\":\"Hi there\"}}]}\n\n\
        event: thread.run.completed\ndata: {\"id\":\"run_1\",\"object\":\"thread.run\",\"status\":\"completed\",\"model\":\"gpt-4o\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\nevent: done\ndata: [DONE]\n\n";
    let (facts, texts) = call(
        None,
        &request("POST /v1/threads/thread_1/runs", OPENAI, run),
        &stream("", events.as_bytes(), 60),
    );
    assert_eq!(
        (facts.dialect, facts.operation),
        (Dialect::OpenAiRuns, "invoke_agent")
    );
    assert_eq!(facts.conversation_id.as_deref(), Some("thread_1"));
    assert_eq!(
        (facts.usage.input_tokens, facts.usage.output_tokens),
        (Some(5), Some(2))
    );
    assert_eq!(facts.response_model.as_deref(), Some("gpt-4o"));
    assert_eq!(texts.with(TextRole::Answer), ["Hi there"]);
    assert_eq!(texts.with(TextRole::Prompt), ["go"]);
}

#[test]
fn batches_of_messages_and_files() {
    let asked = r#"{"requests":[{"custom_id":"a","params":{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":"one of many"}]}}]}"#;
    let fields = "Host: api.anthropic.com\r\nanthropic-version: 2023-06-01\r\n";
    let answer = r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}"#;
    let (facts, texts) = call(
        None,
        &request("POST /v1/messages/batches", fields, asked),
        &response("200 OK", answer),
    );
    assert_eq!(
        (facts.dialect, facts.operation),
        (Dialect::AnthropicBatches, "batch")
    );
    assert_eq!(facts.request_model.as_deref(), Some("claude-x"));
    assert_eq!(texts.with(TextRole::Prompt), ["one of many"]);
    let form = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: application/octet-stream\r\n\r\nsecret plans\r\n--b--\r\n";
    let upload = format!(
        "POST /v1/files HTTP/1.1\r\n{OPENAI}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let (facts, _) = call(
        None,
        upload.as_bytes(),
        &response("200 OK", r#"{"id":"file-1","object":"file"}"#),
    );
    assert_eq!((facts.dialect, facts.operation), (Dialect::OpenAiFiles, "file"));
    assert_eq!(
        (facts.binary_bytes, facts.response_id.as_deref()),
        (12, Some("file-1"))
    );
    // The same form to nobody known is anybody's.
    let elsewhere = upload.replace("api.openai.com", "files.example.org");
    refused(None, elsewhere.as_bytes(), &response("200 OK", "{}"));
}

/// A run in which the provider's own tool was called twice and the client's once: each step counts its calls anew.
#[test]
fn steps_of_a_run_call_tools() {
    let delta = |step: &str, call: &str| {
        format!(
            "event: thread.run.step.delta\ndata: {{\"id\":\"{step}\",\"object\":\"thread.run.step.delta\",\"delta\":{{\"step_details\":{{\"type\":\"tool_calls\",\"tool_calls\":[{call}]}}}}}}\n\n"
        )
    };
    let code = |input: &str| {
        format!(r#"{{"index":0,"type":"code_interpreter","code_interpreter":{{"input":"{input}"}}}}"#)
    };
    let own = |piece: &str| format!(r#"{{"index":1,"type":"function","function":{{{piece}}}}}"#);
    let whole = "event: thread.run.step.completed\ndata: {\"id\":\"step_1\",\"object\":\"thread.run.step\",\"step_details\":{\"type\":\"tool_calls\",\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"code_interpreter\",\"code_interpreter\":{\"input\":\"import\",\"outputs\":[]}}]}}\n\n";
    let events = [
        "event: thread.run.created\ndata: {\"id\":\"run_1\",\"object\":\"thread.run\"}\n\n".to_owned(),
        delta("step_1", &code("imp")),
        delta("step_1", &code("ort")),
        whole.to_owned(),
        delta("step_2", &code("x")),
        delta("step_2", &own(r#""name":"look_up","arguments":"""#)),
        delta("step_2", &own(r#""arguments":"{}""#)),
    ]
    .concat();
    let run = request(
        "POST /v1/threads/t/runs",
        OPENAI,
        r#"{"assistant_id":"a","stream":true}"#,
    );
    let (facts, texts) = call(None, &run, &stream("", events.as_bytes(), 70));
    assert_eq!(facts.dialect, Dialect::OpenAiRuns);
    assert_eq!(facts.response_id.as_deref(), Some("run_1"));
    let mut called = names(&facts);
    called.sort();
    let expected = [("code_interpreter", 1), ("code_interpreter", 6), ("look_up", 2)];
    assert_eq!(called, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    assert_eq!(
        facts.tool_names.iter().collect::<Vec<_>>(),
        ["code_interpreter", "look_up"]
    );
    let mut arguments = texts.with(TextRole::ToolArguments);
    arguments.sort();
    assert_eq!(arguments, ["import", "x", "{}"]);
}

#[test]
fn amazon_q_calls_tools_in_events() {
    let events: Vec<u8> = [
        ("assistantResponseEvent", r#"{"content":"Reading."}"#),
        (
            "toolUseEvent",
            r#"{"name":"read","toolUseId":"t1","input":"{\"path\":"}"#,
        ),
        (
            "toolUseEvent",
            r#"{"name":"read","toolUseId":"t1","input":"\"secret\"}"}"#,
        ),
        ("toolUseEvent", r#"{"name":"read","toolUseId":"t1","stop":true}"#),
        ("toolUseEvent", r#"{"name":"list","toolUseId":"t2","input":"{}"}"#),
    ]
    .iter()
    .flat_map(|(name, payload)| message(name, payload.as_bytes()))
    .collect();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ncontent-length: {}\r\n\r\n",
        events.len()
    )
    .into_bytes();
    answer.extend(events);
    let asked = r#"{"conversationState":{"conversationId":"q","currentMessage":{"userInputMessage":{"content":"x"}}}}"#;
    let host = "Host: q.us-east-1.amazonaws.com\r\n";
    let (facts, texts) = call(
        None,
        &request("POST /generateAssistantResponse", host, asked),
        &answer,
    );
    let mut called = names(&facts);
    called.sort();
    assert_eq!(called, [("list".to_owned(), 2), ("read".to_owned(), 17)]);
    assert_eq!(texts.with(TextRole::Answer), ["Reading."]);
    let arguments = texts.with(TextRole::ToolArguments).concat();
    assert!(arguments.contains("secret"), "{arguments}");
}
