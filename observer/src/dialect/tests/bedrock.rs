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
    assert_eq!(texts.with(TextRole::Prompt), ["q"]);
    assert_eq!(texts.with(TextRole::System), ["s"]);
    assert_eq!(texts.with(TextRole::ToolResult), [r#""a": "r""#]);
    assert_eq!(texts.with(TextRole::ToolArguments), [r#""k": "v""#]);

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

/// An event as a client sends it: JSON in base64, in a message, in a message that is signed.
fn signed(event: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(event);
    let inner = message("chunk", format!(r#"{{"bytes":"{text}"}}"#).as_bytes());
    framed(&[(":chunk-signature", "00ff")], &inner)
}

#[test]
fn bedrock_speaks_in_both_directions() {
    use base64::Engine as _;
    let asked = [
        signed(r#"{"event":{"sessionStart":{"inferenceConfiguration":{"maxTokens":9}}}}"#),
        signed(r#"{"event":{"textInput":{"promptName":"p","content":"be kind"}}}"#),
        signed(&format!(
            r#"{{"event":{{"audioInput":{{"content":"{}"}}}}}}"#,
            "UklG".repeat(100)
        )),
        framed(&[(":chunk-signature", "00")], b""),
    ]
    .concat();
    let said = |event: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(event);
        message("chunk", format!(r#"{{"bytes":"{text}"}}"#).as_bytes())
    };
    let answered = [
        said(r#"{"event":{"completionStart":{"sessionId":"s-1"}}}"#),
        said(r#"{"event":{"textOutput":{"content":"hello","role":"ASSISTANT"}}}"#),
        said(
            r#"{"event":{"usageEvent":{"details":{"total":{"input":{"speechTokens":7,"textTokens":3},"output":{"speechTokens":4,"textTokens":2}}},"totalInputTokens":10,"totalOutputTokens":6,"totalTokens":16}}}"#,
        ),
        said(r#"{"event":{"completionEnd":{"stopReason":"END_TURN"}}}"#),
    ]
    .concat();
    let kind = "application/vnd.amazon.eventstream";
    let mut request = format!(
        "POST /model/amazon.nova-sonic-v1%3A0/invoke-with-bidirectional-stream HTTP/1.1\r\nhost: bedrock-runtime.us-east-1.amazonaws.com\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        asked.len()
    )
    .into_bytes();
    request.extend(asked);
    let answer = typed(kind, &answered);
    for piece in [7, 100_000] {
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request[..]), (Side::Response, &answer[..])],
            piece,
        );
        assert_eq!(hooks.finished.len(), 1, "{:?}", hooks.not_ai);
        let (number, facts) = &hooks.finished[0];
        assert_eq!(
            (facts.dialect, facts.operation, facts.stream),
            (Dialect::BedrockBidirectional, "chat", true)
        );
        assert_eq!(facts.request_model.as_deref(), Some("amazon.nova-sonic-v1:0"));
        assert_eq!(counts(&facts.usage), [Some(10), Some(6), None, None, None]);
        assert_eq!(
            (facts.usage.input_audio_tokens, facts.usage.output_audio_tokens),
            (Some(7), Some(4))
        );
        assert_eq!(words(&facts.finish_reasons), ["END_TURN"]);
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        let texts = &hooks.texts[number];
        assert_eq!(texts.with(TextRole::Prompt), ["be kind"]);
        assert_eq!(texts.with(TextRole::Answer), ["hello"]);
        assert_eq!(facts.binary_bytes, 400);
    }
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
