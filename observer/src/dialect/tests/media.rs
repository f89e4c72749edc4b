//! Documents, speech, videos, agents, and the dialects that few speak.

use super::vendors::{counts, talk, typed, words};
use super::*;
use crate::exchange::Dialect;

fn json(body: &str) -> Vec<u8> {
    response("200 OK", body)
}

#[test]
fn documents_are_read_as_text_and_counted_as_binary() {
    let asked = format!(
        r#"{{"model":"mistral-ocr-latest","document":{{"type":"document_url","document_url":"data:application/pdf;base64,{}"}}}}"#,
        "JVBERi0x".repeat(40)
    );
    let answer = json(
        r##"{"pages":[{"index":0,"markdown":"# Contract"}],"model":"mistral-ocr-2","usage_info":{"pages_processed":1}}"##,
    );
    let (facts, texts) = talk("POST /v1/ocr", "api.mistral.ai", &asked, &answer);
    assert_eq!(
        (facts.dialect, facts.dialect.operation()),
        (Dialect::MistralOcr, "ocr")
    );
    assert_eq!(facts.request_model.as_deref(), Some("mistral-ocr-latest"));
    assert_eq!(facts.response_model.as_deref(), Some("mistral-ocr-2"));
    assert_eq!(texts.with(TextRole::Answer), ["# Contract"]);
    assert!(facts.binary_bytes > 300, "{}", facts.binary_bytes);
    assert_eq!(counts(&facts.usage), [None; 5], "pages are no tokens");
}

#[test]
fn deepgram_names_its_model_in_the_query() {
    let (facts, texts) = talk(
        "POST /v1/speak?encoding=mp3&model=aura%2D2",
        "api.deepgram.com",
        r#"{"text":"Say this"}"#,
        &typed("audio/mpeg", b"\xff\xf3 not text"),
    );
    assert_eq!(
        (facts.dialect, facts.dialect.operation()),
        (Dialect::DeepgramSpeak, "speech")
    );
    assert_eq!(facts.request_model.as_deref(), Some("aura-2"));
    assert_eq!(texts.with(TextRole::Prompt), ["Say this"]);
    let heard =
        r#"{"metadata":{},"results":{"channels":[{"alternatives":[{"transcript":"a small step"}]}]}}"#;
    let (facts, texts) = talk(
        "POST /v1/listen?model=nova-3",
        "api.deepgram.com",
        r#"{"url":"https://example.com/a.wav"}"#,
        &json(heard),
    );
    assert_eq!(
        (facts.dialect.operation(), facts.request_model.as_deref()),
        ("transcription", Some("nova-3"))
    );
    assert_eq!(texts.with(TextRole::Answer), ["a small step"]);
}

#[test]
fn audio_as_it_is_goes_to_deepgram_and_to_nobody_unknown() {
    let wav =
        "POST /v1/listen HTTP/1.1\r\nhost: HOST\r\ncontent-type: audio/wav\r\ncontent-length: 4\r\n\r\nRIFF";
    for (host, found) in [("api.deepgram.com", 1), ("radio.example", 0)] {
        let request = wav.replace("HOST", host).into_bytes();
        let sides = [
            (Side::Request, &request[..]),
            (Side::Response, &json("{\"results\":{}}")[..]),
        ];
        let hooks = run(&catalog(), None, &sides, 7);
        assert_eq!(hooks.finished.len(), found, "{host}");
    }
}

#[test]
fn images_and_videos_are_predicted() {
    let (facts, texts) = talk(
        "POST /v1beta/models/veo-3:predictLongRunning",
        "generativelanguage.googleapis.com",
        r#"{"instances":[{"prompt":"a calm sea"}]}"#,
        &json(r#"{"name":"models/veo-3/operations/1"}"#),
    );
    assert_eq!(
        (facts.dialect.operation(), facts.request_model.as_deref()),
        ("video_generation", Some("veo-3"))
    );
    assert_eq!(texts.with(TextRole::Prompt), ["a calm sea"]);
    let (facts, _) = talk(
        "POST /v1beta/models/imagen-4:predict",
        "generativelanguage.googleapis.com",
        r#"{"instances":[{"prompt":"a calm sea"}]}"#,
        &json(r#"{"predictions":[]}"#),
    );
    assert_eq!(facts.dialect.operation(), "image_generation");
    let (facts, _) = talk(
        "POST /v1/videos/generations",
        "api.x.ai",
        r#"{"model":"grok-imagine-video","prompt":"a calm sea"}"#,
        &json(r#"{"request_id":"1"}"#),
    );
    assert_eq!(
        (facts.dialect.operation(), facts.provider.as_str()),
        ("video_generation", "x_ai")
    );
}

#[test]
fn an_agent_is_invoked_in_a_session() {
    let (facts, texts) = talk(
        "POST /agents/A1/agentAliases/B2/sessions/s-7/text",
        "bedrock-agent-runtime.us-east-1.amazonaws.com",
        r#"{"inputText":"Where to?","enableTrace":false}"#,
        &json("{}"),
    );
    assert_eq!(
        (facts.dialect.operation(), facts.provider.as_str()),
        ("invoke_agent", "aws.bedrock")
    );
    assert_eq!(facts.conversation_id.as_deref(), Some("s-7"));
    assert!(!facts.path_template.contains("A1") && !facts.path_template.contains("s-7"));
    assert_eq!(texts.with(TextRole::Prompt), ["Where to?"]);
}

#[test]
fn llama_cpp_speaks_its_own_dialect_anywhere() {
    let lines = "data: {\"content\":\"A\",\"stop\":false}\n\ndata: {\"content\":\"B\",\"stop\":true,\"tokens_evaluated\":9,\"tokens_predicted\":2,\"stop_type\":\"eos\"}\n\n";
    let (facts, texts) = talk(
        "POST /completion",
        "gpu-7.example",
        r#"{"prompt":"Once","n_predict":8,"stream":true}"#,
        &typed("text/event-stream", lines.as_bytes()),
    );
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::LlamaCppCompletion, "llamacpp")
    );
    assert_eq!(counts(&facts.usage), [Some(9), Some(2), None, None, None]);
    assert_eq!(texts.with(TextRole::Answer), ["AB"]);
    assert_eq!(words(&facts.finish_reasons), ["eos"]);
}

#[test]
fn ollama_that_speaks_openai_is_known_by_its_port_or_its_word() {
    let asked = r#"{"model":"qwen3","messages":[{"role":"user","content":"Hi"}]}"#;
    let plain = r#"{"object":"chat.completion","model":"qwen3","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let signed = plain.replace("\"choices\"", "\"system_fingerprint\":\"fp_ollama\",\"choices\"");
    let provider = |host: &str, answer: &str| {
        let (facts, _) = talk("POST /v1/chat/completions", host, asked, &json(answer));
        facts.provider
    };
    assert_eq!(provider("10.0.0.9:11434", plain), "ollama");
    assert_eq!(provider("box.example", &signed), "ollama");
    assert_eq!(provider("box.example:8000", plain), "unknown");
    // The catalogue's word counts for more than a port.
    assert_eq!(provider("api.openai.com:11434", plain), "openai");
}

#[test]
fn reasoning_apart_from_the_output_is_added_where_the_total_shows_it() {
    let asked = r#"{"model":"grok-4","messages":[{"role":"user","content":"Hi"}]}"#;
    let output = |usage: &str| {
        let answer =
            format!(r#"{{"object":"chat.completion","model":"grok-4","choices":[],"usage":{usage}}}"#);
        let (facts, _) = talk("POST /v1/chat/completions", "api.x.ai", asked, &json(&answer));
        facts.usage.output_tokens
    };
    let details = r#""completion_tokens_details":{"reasoning_tokens":100}"#;
    let usage = |output: u64, total: u64| {
        format!(r#"{{"prompt_tokens":10,"completion_tokens":{output},"total_tokens":{total},{details}}}"#)
    };
    assert_eq!(output(&usage(7, 117)), Some(107));
    assert_eq!(output(&usage(107, 117)), Some(107));
    assert_eq!(
        output(r#"{"completion_tokens_details":{"reasoning_tokens":100},"total_tokens":110}"#),
        None
    );
}

#[test]
fn usage_is_found_where_services_put_it() {
    let asked = r#"{"model":"kimi","messages":[{"role":"user","content":"Hi"}],"stream":true}"#;
    let events = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"kimi\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":21,\"cached_tokens\":8}}]}\n\ndata: [DONE]\n\n";
    let answer = typed("text/event-stream", events.as_bytes());
    let (facts, _) = talk("POST /proxy/x/v1/chat/completions", "gw.example", asked, &answer);
    assert_eq!(facts.usage.input_tokens, Some(19));
    assert_eq!(facts.usage.output_tokens, Some(21));
    let asked = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let answer =
        r#"{"result":{"response":"Hello","usage":{"prompt_tokens":3,"completion_tokens":4}},"success":true}"#;
    let path = "POST /client/v4/accounts/a/ai/run/@cf/meta/llama-3/chat/completions";
    let (facts, texts) = talk(path, "gw.example", asked, &json(answer));
    assert_eq!(counts(&facts.usage)[..2], [Some(3), Some(4)]);
    assert_eq!(texts.with(TextRole::Answer), ["Hello"]);
}

#[test]
fn at_home_a_model_may_be_left_out() {
    let (facts, _) = talk(
        "POST /v1/chat",
        "api.cohere.com",
        r#"{"message":"Hello"}"#,
        &json(r#"{"text":"Hi","generation_id":"g"}"#),
    );
    assert_eq!(facts.dialect, Dialect::CohereChatV1);
    let request = request(
        "POST /v1/chat",
        "host: chat.example\r\n",
        r#"{"message":"Hello"}"#,
    );
    let answer = json(r#"{"text":"Hi"}"#);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &answer)],
        50,
    );
    assert!(hooks.finished.is_empty(), "anybody's `message` is no chat");
}
