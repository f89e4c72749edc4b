//! Bedrock, and Anthropic's messages on Bedrock and Vertex.

use super::vendors::{counts, talk, typed, words};
use super::*;
use crate::exchange::Dialect;
use crate::protocol::eventstream::testing::{framed, message};

#[test]
fn bedrock_converse_plain_and_streamed() {
    let asked = r#"{"messages":[{"role":"user","content":[{"text":"q"},{"toolResult":{"content":[{"json":{"a":"r"}}]}}]}],
        "system":[{"text":"s"}],"inferenceConfig":{}}"#;
    let host = "bedrock-runtime.us-east-1.amazonaws.com";
    let plain = response(
        "200 OK",
        r#"{"output":{"message":{"content":[{"text":"hi"},{"toolUse":{"name":"f","input":{"k":"v"}}}]}},"stopReason":"tool_use",
        "usage":{"inputTokens":10,"outputTokens":5,"cacheReadInputTokens":3,"cacheWriteInputTokens":2}}"#,
    );
    let (facts, texts) = talk("POST /model/amazon.nova-v1%3A0/converse", host, asked, &plain);
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::BedrockConverse, "aws.bedrock")
    );
    assert_eq!(facts.request_model.as_deref(), Some("amazon.nova-v1:0"));
    assert_eq!(
        counts(&facts.usage),
        [Some(15), Some(5), Some(3), Some(2), None],
        "cached input is counted apart"
    );
    assert_eq!((facts.stream, words(&facts.tool_names)), (false, vec!["f"]));
    assert_eq!(texts.with(TextRole::Prompt), ["q", "s"]);
    assert_eq!(texts.with(TextRole::ToolResult), ["r"]);
    assert_eq!(texts.with(TextRole::ToolArguments), ["v"]);

    let events = [
        message("messageStart", br#"{"role":"assistant","p":"abc"}"#),
        message(
            "contentBlockDelta",
            br#"{"contentBlockIndex":0,"delta":{"text":"AK"},"p":"abcdef"}"#,
        ),
        message(
            "contentBlockDelta",
            br#"{"contentBlockIndex":0,"delta":{"text":"IA"},"p":"a"}"#,
        ),
        message(
            "contentBlockStart",
            br#"{"contentBlockIndex":1,"start":{"toolUse":{"name":"g"}}}"#,
        ),
        message(
            "contentBlockDelta",
            br#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":1}"}}}"#,
        ),
        message("messageStop", br#"{"stopReason":"end_turn"}"#),
        message("metadata", br#"{"usage":{"inputTokens":14,"outputTokens":9}}"#),
    ]
    .concat();
    let answer = typed("application/vnd.amazon.eventstream", &events);
    let (facts, texts) = talk("POST /model/m/converse-stream", host, asked, &answer);
    assert_eq!(counts(&facts.usage), [Some(14), Some(9), None, None, None]);
    assert!(facts.stream && facts.first_chunk_ns.is_some());
    assert_eq!(facts.response_incomplete, None);
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
    assert_eq!(texts.with(TextRole::ToolArguments), ["{\"a\":1}"]);
    assert_eq!(
        (words(&facts.finish_reasons), words(&facts.tool_names)),
        (vec!["end_turn"], vec!["g"])
    );
}

#[test]
fn bedrock_exceptions_and_error_heads() {
    let asked = r#"{"messages":[{"role":"user","content":[{"text":"q"}]}]}"#;
    let host = "bedrock-runtime.us-east-1.amazonaws.com";
    let broken = framed(
        &[
            (":message-type", "exception"),
            (":exception-type", "throttlingException"),
        ],
        br#"{"message":"x"}"#,
    );
    let answer = typed("application/vnd.amazon.eventstream", &broken);
    let (facts, _) = talk("POST /model/m/converse-stream", host, asked, &answer);
    assert_eq!(facts.error_type, "throttlingException");
    let answer = b"HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: ExpiredTokenException:http://x/\r\ncontent-length: 0\r\n\r\n";
    let (facts, _) = talk("POST /model/m/converse", host, asked, answer);
    assert_eq!(facts.error_type, "ExpiredTokenException");
}

#[test]
fn bedrock_invoke_takes_the_shape_of_the_models_maker() {
    use base64::Engine;
    let chunk = |text: &str| {
        let inner = base64::engine::general_purpose::STANDARD.encode(text);
        message("chunk", format!(r#"{{"bytes":"{inner}","p":"abcd"}}"#).as_bytes())
    };
    let host = "bedrock-runtime.us-east-1.amazonaws.com";
    let events = [
        chunk(r#"{"type":"message_start","message":{"id":"msg_1","model":"claude","usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}"#),
        chunk(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"AKIA"}}"#),
        chunk(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#),
    ]
    .concat();
    let asked = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"q"}]}"#;
    let answer = typed("application/vnd.amazon.eventstream", &events);
    let path = "POST /model/us.anthropic.claude-v1:0/invoke-with-response-stream";
    let (facts, texts) = talk(path, host, asked, &answer);
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::AnthropicMessages, "aws.bedrock")
    );
    assert_eq!(facts.request_model.as_deref(), Some("us.anthropic.claude-v1:0"));
    assert_eq!(counts(&facts.usage), [Some(15), Some(7), Some(5), None, None]);
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
    assert!(facts.stream);

    let answer = typed(
        "application/vnd.amazon.eventstream",
        &chunk(
            r#"{"outputText":"hi","completionReason":"FINISH","totalOutputTextTokenCount":128,"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":128}}"#,
        ),
    );
    let path = "POST /model/amazon.titan-text/invoke-with-response-stream";
    let (facts, texts) = talk(path, host, r#"{"inputText":"list"}"#, &answer);
    assert_eq!(facts.dialect.operation(), "text_completion");
    assert_eq!(counts(&facts.usage), [Some(7), Some(128), None, None, None]);
    assert_eq!(
        (texts.with(TextRole::Prompt), texts.with(TextRole::Answer)),
        (vec!["list".to_owned()], vec!["hi".to_owned()])
    );

    let answer = b"HTTP/1.1 200 OK\r\nx-amzn-bedrock-input-token-count: 5\r\nx-amzn-bedrock-output-token-count: 10\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"outputs\":[{\"text\":\"x\"}]} ";
    let (facts, _) = talk(
        "POST /model/mistral.m/invoke",
        host,
        r#"{"prompt":"say"}"#,
        answer,
    );
    assert_eq!(
        counts(&facts.usage),
        [Some(5), Some(10), None, None, None],
        "from the head"
    );
}

#[test]
fn vertex_takes_messages_of_anthropic() {
    let asked = r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5,"messages":[{"role":"user","content":"q"}]}"#;
    let answer = response(
        "200 OK",
        r#"{"type":"message","id":"msg_1","model":"claude-1","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":3,"output_tokens":4}}"#,
    );
    let path = "POST /v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict";
    let (facts, _) = talk(path, "aiplatform.googleapis.com", asked, &answer);
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::AnthropicMessages, "gcp.vertex_ai")
    );
    assert_eq!(facts.request_model.as_deref(), Some("claude@1"));
    assert!(!facts.stream);
}
