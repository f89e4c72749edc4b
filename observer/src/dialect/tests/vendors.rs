//! One conversation per dialect of other vendors.

use super::*;
use crate::exchange::{Dialect, DialectEvidence, Usage};

/// Whole exchange: facts and texts, the same for pieces of any size.
pub(super) fn talk(line: &str, host: &str, asked: &str, answer: &[u8]) -> (Exchange, Texts) {
    let request = request(line, &format!("host: {host}\r\n"), asked);
    let mut last = None;
    for piece in [1, 13, 100_000] {
        let sides = [(Side::Request, &request[..]), (Side::Response, answer)];
        let mut hooks = run(&catalog(), None, &sides, piece);
        assert_eq!(hooks.finished.len(), 1, "{line}: {:?}", hooks.not_ai);
        let (number, facts) = hooks.finished.remove(0);
        let texts = hooks.texts.remove(&number).unwrap();
        assert!(texts.all_ended());
        if let Some((_, before)) = &last {
            let before: &Texts = before;
            assert_eq!(before.all(), texts.all(), "{line}: pieces of {piece}");
        }
        last = Some((facts, texts));
    }
    last.unwrap()
}

pub(super) fn typed(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut out =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    out.extend(chunked(body, 17));
    out
}

pub(super) fn counts(usage: &Usage) -> [Option<u64>; 5] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.reasoning_output_tokens,
    ]
}

pub(super) fn words(set: &std::collections::BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

#[test]
fn ollama_chat_streams_by_lines() {
    let asked = r#"{"model":"qwen3","messages":[{"role":"user","content":"Hi","images":["iVBORw0KGgo="]},
        {"role":"tool","tool_name":"f","content":"5"}],"options":{}}"#;
    let lines = [
        r#"{"model":"qwen3:4b","created_at":"t","message":{"role":"assistant","content":"AK"},"done":false}"#,
        r#"{"model":"qwen3:4b","created_at":"t","message":{"role":"assistant","content":"IA","tool_calls":[{"function":{"name":"add","arguments":{"x":"two"}}}]},"done":false}"#,
        r#"{"model":"qwen3:4b","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":298}"#,
    ];
    let answer = typed("application/x-ndjson", lines.join("\n").as_bytes());
    let (facts, texts) = talk("POST /api/chat", "localhost:11434", asked, &answer);
    assert_eq!(
        (facts.dialect, facts.evidence),
        (Dialect::OllamaChat, DialectEvidence::PathSuffix)
    );
    assert_eq!(
        (facts.provider.as_str(), facts.host.as_str()),
        ("ollama", "localhost")
    );
    assert_eq!(facts.request_model.as_deref(), Some("qwen3"));
    assert_eq!(facts.response_model.as_deref(), Some("qwen3:4b"));
    assert_eq!(counts(&facts.usage), [Some(26), Some(298), None, None, None]);
    assert!(facts.stream && facts.first_chunk_ns.is_some());
    assert_eq!(words(&facts.finish_reasons), ["stop"]);
    assert_eq!(words(&facts.tool_names), ["add"]);
    assert_eq!(
        texts.with(TextRole::Answer),
        ["AKIA"],
        "put together from its lines"
    );
    assert_eq!(texts.with(TextRole::ToolArguments), [r#""x": "two""#]);
    assert_eq!(texts.with(TextRole::ToolResult), ["5"]);
    assert_eq!(texts.with(TextRole::Prompt)[0], "Hi");
}

#[test]
fn ollama_lines_after_a_hole_are_read() {
    let catalog = catalog();
    let asked = request(
        "POST /api/generate",
        "host: a.example\r\n",
        r#"{"model":"m","prompt":"p"}"#,
    );
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n";
    let first = br#"{"model":"m","created_at":"t","response":"one","do"#;
    let rest = "tail of a line\n{\"model\":\"m\",\"created_at\":\"t\",\"response\":\"\",\"done\":true,\"eval_count\":7}\n";
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog, None);
    reader.push(Side::Request, &asked, 1, &mut hooks);
    reader.push(Side::Response, head, 2, &mut hooks);
    reader.push(Side::Response, first, 3, &mut hooks);
    reader.gap(
        Side::Response,
        Some(1000 - (first.len() + rest.len()) as u64),
        4,
        &mut hooks,
    );
    reader.push(Side::Response, rest.as_bytes(), 5, &mut hooks);
    reader.close(6, &mut hooks);
    let (_, facts) = &hooks.finished[0];
    assert_eq!(facts.usage.output_tokens, Some(7));
    assert_eq!(facts.response_incomplete, Some(Incomplete::Gap));
}

#[test]
fn ollama_generate_and_embed_plain() {
    let answer = response(
        "200 OK",
        r#"{"model":"llama3","created_at":"t","response":"A joke","done":true,"done_reason":"stop","context":[1,2],"eval_count":38}"#,
    );
    let asked = r#"{"model":"llama3","prompt":"Tell","system":"Be brief","stream":false}"#;
    let (facts, texts) = talk("POST /api/generate", "gpu.corp.example", asked, &answer);
    assert_eq!(facts.dialect, Dialect::OllamaGenerate);
    assert_eq!(
        counts(&facts.usage),
        [None, Some(38), None, None, None],
        "no count of cached input"
    );
    assert!(!facts.stream);
    assert_eq!(texts.with(TextRole::Prompt), ["Tell"]);
    assert_eq!(texts.with(TextRole::System), ["Be brief"]);
    assert_eq!(texts.with(TextRole::Answer), ["A joke"]);
    let answer = response(
        "200 OK",
        r#"{"model":"e","embeddings":[[0.1,0.2]],"prompt_eval_count":4}"#,
    );
    let (facts, _) = talk(
        "POST /api/embed",
        "localhost",
        r#"{"model":"e","input":["text"]}"#,
        &answer,
    );
    assert_eq!(
        (facts.dialect.operation(), facts.provider.as_str()),
        ("embeddings", "ollama")
    );
    assert_eq!(counts(&facts.usage), [Some(4), None, None, None, None]);
}

#[test]
fn openai_shapes_on_an_unknown_host_are_ai_of_an_unknown_provider() {
    let chat = r#"{"model":"facebook/opt","messages":[{"role":"user","content":"x"}]}"#;
    let (facts, _) = talk(
        "POST /v1/chat/completions",
        "localhost:8000",
        chat,
        &response("200 OK", "{}"),
    );
    assert_eq!(
        (facts.provider.as_str(), facts.host.as_str()),
        ("unknown", "localhost")
    );
    let asked = r#"{"model":"facebook/opt-125m","prompt":["one","two"],"max_tokens":20}"#;
    let answer = response(
        "200 OK",
        r#"{"id":"cmpl-1","object":"text_completion","model":"facebook/opt-125m","choices":[{"index":0,"text":"x","finish_reason":"length"}],
        "usage":{"prompt_tokens":20,"completion_tokens":21}}"#,
    );
    let (facts, texts) = talk("POST /v1/completions", "localhost:8000", asked, &answer);
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::OpenAiCompletions, "unknown")
    );
    assert_eq!(facts.dialect.operation(), "text_completion");
    assert_eq!(counts(&facts.usage), [Some(20), Some(21), None, None, None]);
    assert_eq!(texts.with(TextRole::Prompt), ["one", "two"]);
    assert_eq!(texts.with(TextRole::Answer), ["x"]);
    assert_eq!(words(&facts.finish_reasons), ["length"]);
}

const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Weather?"},{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]},
    {"role":"model","parts":[{"functionCall":{"name":"w","args":{"city":"Bonn"}}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"w","response":{"sky":"grey"}}}]}],
    "systemInstruction":{"parts":[{"text":"Be terse"}]}}"#;
const GEMINI_PARTS: [&str; 2] = [
    r#"{"candidates":[{"content":{"parts":[{"text":"AK"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":4},"modelVersion":"gemini-2.5-flash","responseId":"r1"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"IA"},{"functionCall":{"name":"report","args":{"t":"cold"}}}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":17,"thoughtsTokenCount":135,"cachedContentTokenCount":4}}"#,
];

#[test]
fn gemini_streams_as_events_and_as_an_array() {
    let events: String = GEMINI_PARTS
        .iter()
        .map(|part| format!("data: {part}\r\n\r\n"))
        .collect();
    let array = format!("[{}]", GEMINI_PARTS.join(",\r\n"));
    let path = "/v1beta/models/gemini-2.5%2Dflash:streamGenerateContent";
    for (query, answer) in [
        ("?alt=sse", typed("text/event-stream", events.as_bytes())),
        ("", typed("application/json; charset=UTF-8", array.as_bytes())),
    ] {
        let (facts, texts) = talk(
            &format!("POST {path}{query}"),
            "generativelanguage.googleapis.com",
            GEMINI,
            &answer,
        );
        assert_eq!(
            (facts.dialect, facts.evidence),
            (Dialect::GeminiGenerate, DialectEvidence::Host)
        );
        assert_eq!(facts.dialect.operation(), "generate_content");
        assert_eq!(facts.provider, "gcp.gemini");
        assert_eq!(
            facts.path_template,
            "/v1beta/models/{model}:streamGenerateContent"
        );
        assert_eq!(facts.request_model.as_deref(), Some("gemini-2.5-flash"));
        assert_eq!(facts.response_model.as_deref(), Some("gemini-2.5-flash"));
        assert_eq!(facts.response_id.as_deref(), Some("r1"));
        assert_eq!(
            counts(&facts.usage),
            [Some(9), Some(152), Some(4), None, Some(135)],
            "thoughts are output"
        );
        assert!(facts.stream && facts.first_chunk_ns.is_some());
        assert_eq!(words(&facts.finish_reasons), ["STOP"]);
        assert_eq!(words(&facts.tool_names), ["report"]);
        assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
        assert_eq!(texts.with(TextRole::Prompt), ["Weather?"]);
        assert_eq!(texts.with(TextRole::System), ["Be terse"]);
        let arguments = [r#""city": "Bonn""#, r#""t": "cold""#];
        assert_eq!(texts.with(TextRole::ToolArguments), arguments);
        assert_eq!(texts.with(TextRole::ToolResult), [r#""sky": "grey""#]);
    }
}

#[test]
fn gemini_errors_embeddings_and_counting() {
    let error = r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#;
    let path = "POST /v1/projects/p/locations/l/publishers/google/models/m-1:streamGenerateContent";
    let answer = response("429 Too Many Requests", error);
    let (facts, _) = talk(path, "aiplatform.googleapis.com", GEMINI, &answer);
    assert_eq!(facts.provider, "gcp.vertex_ai");
    assert_eq!(facts.error_type, "RESOURCE_EXHAUSTED");
    assert_eq!(counts(&facts.usage), [None; 5]);
    let asked = r#"{"requests":[{"model":"models/e","content":{"parts":[{"text":"one"}]}}]}"#;
    let answer = response(
        "200 OK",
        r#"{"embeddings":[{"values":[0.1]}],"usageMetadata":{"promptTokenCount":3}}"#,
    );
    let host = "generativelanguage.googleapis.com";
    let (facts, texts) = talk("POST /v1beta/models/e:batchEmbedContents", host, asked, &answer);
    assert_eq!(facts.dialect.operation(), "embeddings");
    assert_eq!(facts.request_model.as_deref(), Some("e"));
    assert_eq!(counts(&facts.usage), [Some(3), None, None, None, None]);
    assert_eq!(texts.with(TextRole::Prompt), ["one"]);
    let asked = r#"{"generateContentRequest":{"contents":[{"parts":[{"text":"count me"}]}]}}"#;
    let answer = response("200 OK", r#"{"totalTokens":61}"#);
    let (facts, texts) = talk("POST /v1beta/models/e:countTokens", host, asked, &answer);
    assert_eq!(facts.dialect.operation(), "count_tokens");
    assert_eq!(counts(&facts.usage), [None; 5], "counted, not used");
    assert_eq!(texts.with(TextRole::Prompt), ["count me"]);
}

#[test]
fn azure_names_a_deployment() {
    let asked = r#"{"prompt":"x","model":"gpt-35-turbo"}"#;
    let path = "POST //openai/deployments/secret-name/completions?api-version=1";
    let answer = response(
        "404 Not Found",
        r#"{"error":{"code":"DeploymentNotFound","message":"x"}}"#,
    );
    let (facts, _) = talk(path, "a.openai.azure.com", asked, &answer);
    assert_eq!(facts.provider, "azure.ai.openai");
    assert_eq!(
        facts.path_template,
        "/openai/deployments/{deployment}/completions"
    );
    assert_eq!(facts.error_type, "DeploymentNotFound");
}

#[test]
fn groq_puts_usage_beside_the_answer() {
    let asked = r#"{"model":"llama","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let events = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}}\n\ndata: [DONE]\n\n";
    let answer = typed("text/event-stream", events.as_bytes());
    let (facts, _) = talk("POST /openai/v1/chat/completions", "api.groq.com", asked, &answer);
    assert_eq!(facts.provider, "groq");
    assert_eq!(counts(&facts.usage), [Some(5), Some(6), None, None, None]);
}

#[test]
fn images_speech_and_moderations() {
    let asked = r#"{"model":"gpt-image-1","prompt":"a circle"}"#;
    let answer = format!(
        r#"{{"data":[{{"b64_json":"{}"}}],"usage":{{"input_tokens":14,"output_tokens":272}}}}"#,
        "A".repeat(600)
    );
    let (facts, texts) = talk(
        "POST /v1/images/generations",
        "api.openai.com",
        asked,
        &response("200 OK", &answer),
    );
    assert_eq!(facts.dialect.operation(), "image_generation");
    assert_eq!(counts(&facts.usage), [Some(14), Some(272), None, None, None]);
    assert!(facts.binary_bytes >= 600);
    assert_eq!(texts.with(TextRole::Prompt), ["a circle"]);
    let sound = typed("audio/mpeg", &[0xff; 900]);
    let asked = r#"{"model":"tts-1","input":"Read this","voice":"alloy"}"#;
    let (facts, texts) = talk("POST /v1/audio/speech", "localhost:8000", asked, &sound);
    assert_eq!((facts.dialect.operation(), facts.binary_bytes), ("speech", 900));
    assert_eq!((facts.response_incomplete, facts.response_text_bytes), (None, 0));
    assert_eq!(texts.with(TextRole::Prompt), ["Read this"]);
    let (facts, _) = talk(
        "POST /v1/moderations",
        "api.openai.com",
        r#"{"model":"omni","input":"safe"}"#,
        &response(
            "200 OK",
            r#"{"id":"modr-1","model":"omni-1","results":[{"flagged":false}]}"#,
        ),
    );
    assert_eq!(facts.dialect.operation(), "moderation");
    assert_eq!(facts.response_model.as_deref(), Some("omni-1"));
}

#[test]
fn cohere_chat_of_both_versions() {
    let asked = r#"{"model":"command","messages":[{"role":"user","content":"q"}],"stream":true}"#;
    let events = concat!(
        "event: message-start\ndata: {\"id\":\"c1\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}}\n\n",
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"AK\"}}}}\n\n",
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"IA\"}}}}\n\n",
        "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":1,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}}\n\n",
        "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":212.0,\"output_tokens\":49},\"billed_units\":{\"input_tokens\":12,\"output_tokens\":48}}}}\n\n",
    );
    let answer = typed("text/event-stream", events.as_bytes());
    let (facts, texts) = talk("POST /v2/chat", "api.cohere.com", asked, &answer);
    assert_eq!(
        (facts.dialect, facts.provider.as_str()),
        (Dialect::CohereChat, "cohere")
    );
    assert_eq!(
        counts(&facts.usage),
        [Some(212), Some(49), None, None, None],
        "not what is billed"
    );
    assert_eq!(facts.response_id.as_deref(), Some("c1"));
    assert_eq!(words(&facts.finish_reasons), ["COMPLETE"]);
    assert_eq!(words(&facts.tool_names), ["f"]);
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);

    let asked = r#"{"message":"joke","chat_history":[{"role":"USER","message":"before"}],"stream":true}"#;
    let lines = concat!(
        "{\"is_finished\":false,\"event_type\":\"stream-start\",\"generation_id\":\"g1\"}\n",
        "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"AK\"}\n",
        "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"IA\"}\n",
        "{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"text\":\"AKIA\",\"meta\":{\"billed_units\":{\"input_tokens\":7,\"output_tokens\":149}}},\"finish_reason\":\"COMPLETE\"}\n",
    );
    let answer = typed("application/stream+json", lines.as_bytes());
    let (facts, texts) = talk("POST /v1/chat", "api.cohere.com", asked, &answer);
    assert_eq!(facts.dialect, Dialect::CohereChatV1);
    assert_eq!(
        counts(&facts.usage),
        [Some(7), Some(149), None, None, None],
        "only billed is known"
    );
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
    assert_eq!(texts.with(TextRole::Prompt), ["joke", "before"]);
    assert_eq!(facts.response_id.as_deref(), Some("g1"));
}

#[test]
fn embed_and_rerank() {
    let answer = response(
        "200 OK",
        r#"{"id":"e","texts":["hello"],"embeddings":[[0.1]],"meta":{"billed_units":{"input_tokens":9}}}"#,
    );
    let asked = r#"{"model":"embed-3","texts":["Hello"],"input_type":"search_query"}"#;
    let (facts, texts) = talk("POST /v2/embed", "api.cohere.com", asked, &answer);
    assert_eq!(facts.dialect.operation(), "embeddings");
    assert_eq!(counts(&facts.usage), [Some(9), None, None, None, None]);
    assert_eq!(texts.with(TextRole::Prompt), ["Hello"]);
    let asked = r#"{"model":"rerank-2","query":"capital?","documents":["Paris",{"text":"Rome"}]}"#;
    let answer = response(
        "200 OK",
        r#"{"data":[{"index":0}],"model":"rerank-2-lite","usage":{"total_tokens":57}}"#,
    );
    let (facts, texts) = talk("POST /v1/rerank", "api.voyageai.com", asked, &answer);
    assert_eq!(
        (facts.dialect.operation(), facts.provider.as_str()),
        ("rerank", "voyage")
    );
    assert_eq!(
        counts(&facts.usage),
        [None; 5],
        "a total alone is no count of input"
    );
    assert_eq!(texts.with(TextRole::Prompt), ["capital?", "Paris", "Rome"]);
}

#[test]
fn hugging_face_watsonx_replicate_and_elevenlabs() {
    let events = "data:{\"token\":{\"text\":\"AK\"},\"generated_text\":null}\n\ndata:{\"token\":{\"text\":\"IA\"},\"generated_text\":\"AKIA\",\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":2,\"input_length\":5}}\n\n";
    let answer = typed("text/event-stream", events.as_bytes());
    let (facts, texts) = talk(
        "POST /generate_stream",
        "tgi.corp.example",
        r#"{"inputs":"q"}"#,
        &answer,
    );
    assert_eq!(facts.dialect, Dialect::HfInference);
    assert_eq!(counts(&facts.usage), [Some(5), Some(2), None, None, None]);
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
    let asked = r#"{"model_id":"google/flan","input":"epigram","project_id":"p"}"#;
    let events = "id: 1\nevent: message\ndata: {\"model_id\":\"google/flan\",\"results\":[{\"generated_text\":\"a\",\"generated_token_count\":0,\"input_token_count\":8,\"stop_reason\":\"not_finished\"}]}\n\nid: 2\nevent: message\ndata: {\"model_id\":\"google/flan\",\"results\":[{\"generated_text\":\"b\",\"generated_token_count\":11,\"input_token_count\":0,\"stop_reason\":\"eos_token\"}]}\n\n";
    let answer = typed("text/event-stream", events.as_bytes());
    let (facts, texts) = talk(
        "POST /ml/v1/text/generation_stream",
        "us-south.ml.cloud.ibm.com",
        asked,
        &answer,
    );
    assert_eq!(facts.request_model.as_deref(), Some("google/flan"));
    assert_eq!(counts(&facts.usage), [Some(8), Some(11), None, None, None]);
    assert_eq!(words(&facts.finish_reasons), ["eos_token"]);
    assert_eq!(
        (facts.stream, texts.with(TextRole::Answer)),
        (true, vec!["ab".to_owned()])
    );
    let answer = response(
        "201 Created",
        r#"{"id":"p1","model":"a/b","version":"39ed","status":"starting","input":{"prompt":"x"}}"#,
    );
    let asked = r#"{"version":"39ed","input":{"prompt":"a chariot"}}"#;
    let (facts, texts) = talk("POST /v1/predictions", "api.replicate.com", asked, &answer);
    assert_eq!(facts.dialect, Dialect::ReplicatePredictions);
    assert_eq!(facts.request_model.as_deref(), Some("39ed"));
    assert_eq!(facts.response_model.as_deref(), Some("a/b"));
    assert_eq!(texts.with(TextRole::Prompt), ["a chariot"]);
    let asked = r#"{"text":"Say this","model_id":"eleven_v2"}"#;
    let answer = typed("audio/mpeg", &[0xff; 100]);
    let (facts, texts) = talk(
        "POST /v1/text-to-speech/voice/stream",
        "api.elevenlabs.io",
        asked,
        &answer,
    );
    assert_eq!(
        (facts.dialect.operation(), facts.provider.as_str()),
        ("speech", "elevenlabs")
    );
    assert_eq!(facts.request_model.as_deref(), Some("eleven_v2"));
    assert_eq!(texts.with(TextRole::Prompt), ["Say this"]);
}

#[test]
fn forms_with_a_file_to_transcribe() {
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF0123\r\n--b\r\n\
        Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\n\
        Content-Disposition: form-data; name=\"prompt\"\r\n\r\nNames: AKIA\r\n--b--\r\n";
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost:8000\r\ncontent-type: multipart/form-data; boundary=b\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{form}", form.len());
    let answer = response(
        "200 OK",
        r#"{"text":"spoken words","usage":{"type":"tokens","input_tokens":14,"output_tokens":3}}"#,
    );
    for piece in [1, 9, 10_000] {
        let sides = [(Side::Request, request.as_bytes()), (Side::Response, &answer[..])];
        let hooks = run(&catalog(), None, &sides, piece);
        let (number, facts) = &hooks.finished[0];
        assert_eq!(facts.dialect.operation(), "transcription");
        assert_eq!(facts.request_model.as_deref(), Some("whisper-1"));
        assert_eq!((facts.binary_bytes, facts.request_incomplete), (8, None));
        assert_eq!(counts(&facts.usage), [Some(14), Some(3), None, None, None]);
        let texts = &hooks.texts[number];
        assert_eq!(texts.with(TextRole::Prompt), ["Names: AKIA"]);
        assert_eq!(texts.with(TextRole::Answer), ["spoken words"]);
        assert!(texts.all_ended());
    }
}
