//! Newer and rarer dialects: Gemini's interactions and batches, DashScope, Dify, LM Studio, agents of Vertex and Bedrock, services
//! with a form of their own, and what differs between the versions of those that are old.

use super::vendors::{counts, talk, typed, words};
use super::*;
use crate::exchange::{Dialect, DialectEvidence};

fn json(body: &str) -> Vec<u8> {
    response("200 OK", body)
}

/// Dialect and operation.
fn kind(facts: &Exchange) -> (Dialect, &'static str) {
    (facts.dialect, facts.operation)
}

#[test]
fn gemini_interactions_plain_and_streamed() {
    let host = "generativelanguage.googleapis.com";
    let asked = r#"{"model":"gemini-3-pro-preview","input":"why","previous_interaction_id":"v1_a","system_instruction":"short"}"#;
    let usage = r#""usage":{"total_input_tokens":7,"total_output_tokens":20,"total_thought_tokens":22,"total_cached_tokens":3,"total_tokens":49}"#;
    let answer = format!(
        r#"{{"id":"v1_b","object":"interaction","model":"gemini-3-pro-preview","status":"completed","outputs":[{{"type":"text","text":"because"}}],{usage}}}"#
    );
    let (facts, texts) = talk("POST /v1beta/interactions", host, asked, &json(&answer));
    assert_eq!(kind(&facts), (Dialect::GeminiInteractions, "generate_content"));
    assert_eq!(
        (facts.evidence, facts.provider.as_str()),
        (DialectEvidence::Host, "gcp.gemini")
    );
    assert_eq!(counts(&facts.usage), [Some(7), Some(42), Some(3), None, Some(22)]);
    assert_eq!(facts.previous_response_id.as_deref(), Some("v1_a"));
    assert_eq!(facts.response_id.as_deref(), Some("v1_b"));
    // Tools count in the total, which some answers leave out.
    for total in [
        r#""total_tool_use_tokens":10,"total_tokens":59"#,
        r#""total_tool_use_tokens":10"#,
    ] {
        let answer = answer.replace(r#""total_tokens":49"#, total);
        let (facts, _) = talk("POST /v1beta/interactions", host, asked, &json(&answer));
        assert_eq!(counts(&facts.usage), [Some(7), Some(42), Some(3), None, Some(22)]);
    }
    assert_eq!(words(&facts.finish_reasons), ["completed"]);
    assert_eq!(texts.with(TextRole::Prompt), ["why"]);
    assert_eq!(texts.with(TextRole::System), ["short"]);
    assert_eq!(texts.with(TextRole::Answer), ["because"]);
    let events = format!(
        "event: interaction.start\ndata: {{\"event_type\":\"interaction.start\",\"interaction\":{{\"id\":\"v1_c\",\"model\":\"m-2\",\"status\":\"in_progress\"}}}}\n\n\
         event: content.delta\ndata: {{\"index\":0,\"delta\":{{\"type\":\"text\",\"text\":\"AK\"}}}}\n\n\
         event: content.delta\ndata: {{\"index\":0,\"delta\":{{\"type\":\"text\",\"text\":\"IA\"}}}}\n\n\
         event: interaction.complete\ndata: {{\"interaction\":{{\"id\":\"v1_c\",\"status\":\"completed\",{usage}}}}}\n\n"
    );
    let (facts, texts) = talk(
        "POST /v1beta/interactions",
        "proxy.example",
        asked,
        &stream("", events.as_bytes(), 31),
    );
    assert_eq!(
        (kind(&facts).0, facts.provider.as_str()),
        (Dialect::GeminiInteractions, "unknown")
    );
    assert_eq!(counts(&facts.usage), [Some(7), Some(42), Some(3), None, Some(22)]);
    assert_eq!(
        (facts.response_id.as_deref(), facts.response_model.as_deref()),
        (Some("v1_c"), Some("m-2"))
    );
    assert!(facts.stream && facts.first_chunk_ns.is_some());
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
}

#[test]
fn gemini_counts_audio_and_says_how_long_to_wait() {
    let (host, asked) = (
        "generativelanguage.googleapis.com",
        r#"{"contents":[{"parts":[{"text":"q"}]}]}"#,
    );
    let answer = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":9,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"tokenCount":40,"modality":"AUDIO"}],"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":9}]}}"#;
    let (facts, _) = talk(
        "POST /v1beta/models/m:generateContent",
        host,
        asked,
        &json(answer),
    );
    assert_eq!(
        (facts.usage.input_audio_tokens, facts.usage.output_audio_tokens),
        (Some(40), None)
    );
    let busy = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
    let busy = response("429 Too Many Requests", busy);
    let (facts, _) = talk("POST /v1beta/models/m:generateContent", host, asked, &busy);
    assert_eq!(facts.rate_limits.retry_after_ms, Some(34_500));
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("RESOURCE_EXHAUSTED", "rate_limited")
    );
}

#[test]
fn batches_are_jobs_whose_prompts_are_read() {
    let asked = r#"{"batch":{"display_name":"b","input_config":{"requests":{"requests":[{"request":{"contents":[{"parts":[{"text":"one of many"}]}]}}]}}}}"#;
    let (facts, texts) = talk(
        "POST /v1beta/models/gemini-2.5-flash:batchGenerateContent",
        "generativelanguage.googleapis.com",
        asked,
        &json(r#"{"name":"batches/x"}"#),
    );
    assert_eq!(kind(&facts), (Dialect::GeminiBatches, "batch"));
    assert_eq!(facts.request_model.as_deref(), Some("gemini-2.5-flash"));
    assert_eq!(texts.with(TextRole::Prompt), ["one of many"]);
    let asked = r#"{"input_files":["f"],"endpoint":"/v1/chat/completions","model":"mistral-small-latest"}"#;
    let (facts, _) = talk(
        "POST /v1/batch/jobs",
        "api.mistral.ai",
        asked,
        &json(r#"{"id":"j"}"#),
    );
    assert_eq!(
        (kind(&facts).1, facts.request_model.as_deref()),
        ("batch", Some("mistral-small-latest"))
    );
}

#[test]
fn dashscope_has_one_form_for_all() {
    let host = "dashscope.aliyuncs.com";
    let path = "POST /api/v1/services/aigc/text-generation/generation";
    let asked = r#"{"model":"qwen-plus","input":{"messages":[{"role":"user","content":"hello"}]},"parameters":{"result_format":"message"}}"#;
    let event = |text: &str, finish: &str, output: u64| {
        format!(
            "id:1\nevent:result\ndata:{{\"output\":{{\"choices\":[{{\"message\":{{\"content\":\"{text}\",\"role\":\"assistant\"}},\"finish_reason\":\"{finish}\"}}]}},\"usage\":{{\"total_tokens\":{},\"input_tokens\":22,\"output_tokens\":{output}}},\"request_id\":\"r-1\"}}\n\n",
            22 + output
        )
    };
    // Each event has the whole text so far.
    let events = [
        event("AK", "null", 1),
        event("AKIA", "null", 2),
        event("AKIA!", "stop", 3),
    ]
    .concat();
    let (facts, texts) = talk(path, host, asked, &stream("", events.as_bytes(), 23));
    assert_eq!(
        (kind(&facts), facts.provider.as_str()),
        ((Dialect::DashScope, "chat"), "alibaba")
    );
    assert_eq!(counts(&facts.usage), [Some(22), Some(3), None, None, None]);
    assert_eq!(words(&facts.finish_reasons), ["stop"]);
    assert_eq!(
        (facts.request_model.as_deref(), facts.request_id.as_deref()),
        (Some("qwen-plus"), Some("r-1"))
    );
    assert!(facts.stream);
    assert_eq!(texts.with(TextRole::Answer), ["AKIA!"]);
    assert_eq!(texts.with(TextRole::Prompt), ["hello"]);
    let asked = r#"{"model":"text-embedding-v3","input":{"texts":["a b"]}}"#;
    let answer = json(
        r#"{"output":{"embeddings":[{"embedding":[0.1,2],"text_index":0}]},"usage":{"total_tokens":4},"request_id":"r-2"}"#,
    );
    let (facts, texts) = talk(
        "POST /api/v1/services/embeddings/text-embedding/text-embedding",
        host,
        asked,
        &answer,
    );
    assert_eq!(kind(&facts), (Dialect::DashScope, "embeddings"));
    assert_eq!(texts.with(TextRole::Prompt), ["a b"]);
    let refused = response(
        "400 Bad Request",
        r#"{"code":"InvalidParameter","message":"no","request_id":"r-3"}"#,
    );
    let (facts, _) = talk(path, host, r#"{"model":"m","input":{"prompt":"x"}}"#, &refused);
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("InvalidParameter", "invalid_request")
    );
}

#[test]
fn dify_and_lm_studio_anywhere() {
    let asked = r#"{"inputs":{"topic":"x"},"query":"what","response_mode":"streaming","conversation_id":"conv-7","user":"u"}"#;
    let events = "data: {\"event\":\"message\",\"message_id\":\"m-1\",\"conversation_id\":\"conv-7\",\"answer\":\"AK\"}\n\n\
        data: {\"event\":\"message\",\"message_id\":\"m-1\",\"answer\":\"IA\"}\n\n\
        data: {\"event\":\"message_end\",\"message_id\":\"m-1\",\"metadata\":{\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":4,\"total_tokens\":15}}}\n\n";
    let (facts, texts) = talk(
        "POST /v1/chat-messages",
        "dify.corp.example",
        asked,
        &stream("", events.as_bytes(), 19),
    );
    assert_eq!((kind(&facts), facts.stream), ((Dialect::DifyChat, "chat"), true));
    assert_eq!(counts(&facts.usage), [Some(11), Some(4), None, None, None]);
    assert_eq!(
        (facts.conversation_id.as_deref(), facts.response_id.as_deref()),
        (Some("conv-7"), Some("m-1"))
    );
    assert_eq!(texts.with(TextRole::Answer), ["AKIA"]);
    assert_eq!(texts.with(TextRole::Prompt), [r#""topic": "x""#, "what"]);
    let answer = json(
        r#"{"model_instance_id":"qwen3-4b","output":[{"type":"message","content":"hi"}],"stats":{"input_tokens":9,"total_output_tokens":5,"reasoning_output_tokens":2},"response_id":"resp_9"}"#,
    );
    let asked = r#"{"model":"qwen3-4b","input":"hello"}"#;
    let (facts, texts) = talk("POST /api/v1/chat", "localhost:1234", asked, &answer);
    assert_eq!(kind(&facts), (Dialect::LmStudioChat, "chat"));
    assert_eq!(counts(&facts.usage), [Some(9), Some(5), None, None, Some(2)]);
    assert_eq!(facts.response_id.as_deref(), Some("resp_9"));
    assert_eq!(texts.with(TextRole::Answer), ["hi"]);
}

#[test]
fn agents_and_knowledge_bases_of_clouds() {
    let host = "bedrock-agent-runtime.us-east-1.amazonaws.com";
    let (facts, texts) = talk(
        "POST /knowledgebases/KB123/retrieve",
        host,
        r#"{"retrievalQuery":{"text":"find"}}"#,
        &json(r#"{"retrievalResults":[{"content":{"text":"found"},"score":0.5}]}"#),
    );
    assert_eq!(kind(&facts), (Dialect::BedrockAgent, "retrieval"));
    assert_eq!(texts.with(TextRole::Prompt), ["find"]);
    assert_eq!(texts.with(TextRole::ToolResult), ["found"]);
    let (facts, texts) = talk(
        "POST /retrieveAndGenerate",
        host,
        r#"{"input":{"text":"ask"},"sessionId":"s-1"}"#,
        &json(r#"{"output":{"text":"told"},"sessionId":"s-1"}"#),
    );
    assert_eq!(
        (kind(&facts).1, facts.conversation_id.as_deref()),
        ("chat", Some("s-1"))
    );
    assert_eq!(
        (texts.with(TextRole::Prompt), texts.with(TextRole::Answer)),
        (vec!["ask".to_owned()], vec!["told".to_owned()])
    );
    let (facts, _) = talk(
        "POST /runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A1%3Aruntime%2Fa/invocations",
        "bedrock-agentcore.us-east-1.amazonaws.com",
        r#"{"anything":"goes"}"#,
        &json("{}"),
    );
    assert_eq!(kind(&facts), (Dialect::BedrockAgent, "invoke_agent"));
    let (facts, texts) = talk(
        "POST /v1/projects/p/locations/us-central1/reasoningEngines/77:streamQuery",
        "us-central1-aiplatform.googleapis.com",
        r#"{"class_method":"stream_query","input":{"message":"hi","session_id":"s-2","user_id":"u"}}"#,
        &typed(
            "application/json",
            br#"{"content":{"parts":[{"text":"hello"}],"role":"model"}}"#,
        ),
    );
    assert_eq!(
        (kind(&facts), facts.stream),
        ((Dialect::VertexAgent, "invoke_agent"), true)
    );
    assert_eq!(facts.conversation_id.as_deref(), Some("s-2"));
    assert_eq!(
        (texts.with(TextRole::Prompt), texts.with(TextRole::Answer)),
        (vec!["hi".to_owned()], vec!["hello".to_owned()])
    );
}

#[test]
fn services_with_a_form_of_their_own() {
    // What the host is for says what a prompt asks for.
    let cases = [
        (
            "POST /v1/flux-pro-1.1",
            "api.bfl.ai",
            r#"{"prompt":"a cat"}"#,
            "image_generation",
        ),
        (
            "POST /dream-machine/v1/generations",
            "api.lumalabs.ai",
            r#"{"prompt":"a cat","model":"ray-2"}"#,
            "video_generation",
        ),
        (
            "POST /tts/bytes",
            "api.cartesia.ai",
            r#"{"model_id":"sonic-2","transcript":"a cat"}"#,
            "speech",
        ),
    ];
    for (line, host, asked, operation) in cases {
        let (facts, texts) = talk(line, host, asked, &json("{}"));
        assert_eq!(
            (kind(&facts), facts.evidence),
            ((Dialect::Native, operation), DialectEvidence::Host),
            "{host}"
        );
        assert!(
            texts.all().iter().any(|(.., text)| text == "a cat"),
            "{host}: {:?}",
            texts.all()
        );
    }
    let (facts, _) = talk(
        "POST /client/v4/accounts/abc/ai/run/@cf/meta/llama-3.1-8b-instruct",
        "api.cloudflare.com",
        r#"{"messages":[{"role":"user","content":"hi"}]}"#,
        &json(
            r#"{"result":{"response":"ho","usage":{"prompt_tokens":3,"completion_tokens":2}},"success":true,"errors":[]}"#,
        ),
    );
    assert_eq!(kind(&facts), (Dialect::Native, "chat"));
    assert_eq!(
        facts.request_model.as_deref(),
        Some("@cf/meta/llama-3.1-8b-instruct")
    );
    assert_eq!(counts(&facts.usage), [Some(3), Some(2), None, None, None]);
    // A form with the prompt in a field.
    let form = "--b\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\na dog\r\n--b--\r\n";
    let request = format!(
        "POST /v2beta/stable-image/generate/core HTTP/1.1\r\nhost: api.stability.ai\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = typed("image/png", b"\x89PNG....");
    let sides = [
        (Side::Request, request.as_bytes()),
        (Side::Response, answer.as_slice()),
    ];
    let hooks = run(&catalog(), None, &sides, 11);
    let (number, facts) = &hooks.finished[0];
    assert_eq!(kind(facts), (Dialect::Native, "image_generation"));
    assert_eq!(hooks.texts[number].with(TextRole::Prompt), ["a dog"]);
}

#[test]
fn other_traffic_of_such_services_has_no_prompt() {
    for (line, host, asked) in [
        ("POST /v1/assets", "api.lumalabs.ai", r#"{"name":"cat.png"}"#),
        (
            "POST /v1/voices/settings",
            "api.cartesia.ai",
            r#"{"stability":1}"#,
        ),
        (
            "POST /v1/events",
            "api.openai.com",
            r#"{"events":[{"type":"click","messages":2}]}"#,
        ),
        (
            "POST /v1/metrics",
            "api.mistral.ai",
            r#"{"messages":[{"level":"info"}]}"#,
        ),
    ] {
        let request = request(line, &format!("host: {host}\r\n"), asked);
        let answer = json("{}");
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &answer)],
            5_000,
        );
        assert_eq!(
            hooks.not_ai.len(),
            1,
            "{line}: {:?}",
            hooks.finished.first().map(|f| f.1.dialect)
        );
    }
}

#[test]
fn errors_as_other_services_write_them() {
    let ask = |host: &str, path: &str, asked: &str, status: &str, body: &str| {
        let (facts, _) = talk(&format!("POST {path}"), host, asked, &response(status, body));
        (facts.error_type, facts.error_class)
    };
    let of = |ty: &str, class: &'static str| (ty.to_owned(), class);
    assert_eq!(
        ask(
            "us-south.ml.cloud.ibm.com",
            "/ml/v1/text/generation",
            r#"{"model_id":"m","input":"x"}"#,
            "404 Not Found",
            r#"{"errors":[{"code":"model_not_supported","message":"no"}],"trace":"t","status_code":404}"#
        ),
        of("model_not_supported", "not_found")
    );
    assert_eq!(
        ask(
            "api.elevenlabs.io",
            "/v1/text-to-speech/v",
            r#"{"text":"x"}"#,
            "401 Unauthorized",
            r#"{"detail":{"status":"quota_exceeded","message":"This request exceeds your quota"}}"#
        ),
        of("quota_exceeded", "quota_exceeded")
    );
    assert_eq!(
        ask(
            "q.us-east-1.amazonaws.com",
            "/generateAssistantResponse",
            r#"{"conversationState":{"currentMessage":{"userInputMessage":{"content":"x"}}}}"#,
            "400 Bad Request",
            r#"{"__type":"com.amazon.aws.codewhisperer#ThrottlingException","message":"slow"}"#
        ),
        of("ThrottlingException", "rate_limited")
    );
}

#[test]
fn what_is_said_aloud_in_a_chat_is_its_answer() {
    let asked = r#"{"model":"gpt-audio","messages":[{"role":"user","content":"say it"}]}"#;
    let audio = "UklG".repeat(100);
    let answer = format!(
        r#"{{"object":"chat.completion","choices":[{{"message":{{"content":null,"audio":{{"data":"{audio}","transcript":"aloud"}}}}}}]}}"#
    );
    let (facts, texts) = talk(
        "POST /v1/chat/completions",
        "api.openai.com",
        asked,
        &json(&answer),
    );
    assert_eq!(texts.with(TextRole::Answer), ["aloud"]);
    assert_eq!(facts.binary_bytes, 400);
}

#[test]
fn forms_of_inference_servers_and_of_hugging_face() {
    let (facts, _) = talk(
        "POST /embed",
        "tei.corp.example",
        r#"{"inputs":"x"}"#,
        &json("[[0.1,0.2]]"),
    );
    assert_eq!(kind(&facts), (Dialect::HfInference, "embeddings"));
    let path = "POST /hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction";
    let (facts, _) = talk(path, "router.huggingface.co", r#"{"inputs":"x"}"#, &json("[0.1]"));
    assert_eq!(
        (kind(&facts).1, facts.request_model.as_deref()),
        ("embeddings", Some("BAAI/bge-m3"))
    );
    let (facts, texts) = talk(
        "POST /v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking",
        "ai.api.nvidia.com",
        r#"{"model":"nvidia/rerank","query":{"text":"q"},"passages":[{"text":"p"}]}"#,
        &json(r#"{"rankings":[{"index":0,"logit":1.5}]}"#),
    );
    assert_eq!(kind(&facts), (Dialect::Rerank, "rerank"));
    assert_eq!(texts.with(TextRole::Prompt), ["q", "p"]);
    let asked = r#"{"input":{"converse":{"messages":[]}}}"#;
    let (facts, _) = talk(
        "POST /model/m/count-tokens",
        "bedrock-runtime.us-east-1.amazonaws.com",
        asked,
        &json(r#"{"inputTokens":9}"#),
    );
    assert_eq!((kind(&facts).1, facts.usage.input_tokens), ("count_tokens", None));
    let asked = r#"{"anthropic_version":"vertex-2023-10-16","model":"claude-x","messages":[{"role":"user","content":"x"}]}"#;
    let (facts, _) = talk(
        "POST /v1/projects/p/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict",
        "us-east5-aiplatform.googleapis.com",
        asked,
        &json(r#"{"input_tokens":14}"#),
    );
    assert_eq!(
        (kind(&facts).1, facts.request_model.as_deref()),
        ("count_tokens", Some("claude-x"))
    );
    let asked = r#"{"inputs":"and now","stream":true}"#;
    let (facts, _) = talk(
        "POST /v1/conversations/conv_1",
        "api.mistral.ai",
        asked,
        &json("{}"),
    );
    assert_eq!(
        (kind(&facts).0, facts.conversation_id.as_deref()),
        (Dialect::MistralConversations, Some("conv_1"))
    );
}

#[test]
fn a_model_behind_a_long_prompt_is_waited_for() {
    let long = "word ".repeat(40_000);
    // As Anthropic's SDK for Python orders its keys, at a gateway that nobody knows.
    let asked =
        format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"{long}"}}],"model":"claude-x"}}"#);
    let answer = json(
        r#"{"type":"message","model":"claude-x-1","content":[],"usage":{"input_tokens":3,"output_tokens":1}}"#,
    );
    for (path, dialect) in [
        ("/v1/messages", Dialect::AnthropicMessages),
        ("/ask", Dialect::OpenAiChat),
    ] {
        let request = request(&format!("POST {path}"), "host: llm.corp.example\r\n", &asked);
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &answer)],
            4_096,
        );
        let facts = &hooks.finished[0].1;
        assert_eq!(
            (facts.dialect, facts.request_model.as_deref()),
            (dialect, Some("claude-x")),
            "{path}"
        );
    }
    // One that never names a model is none.
    let asked = asked.replace("\"model\":\"claude-x\"", "\"topic\":\"chat\"");
    let request = request("POST /forum", "host: forum.example\r\n", &asked);
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &json("{}"))],
        4_096,
    );
    assert_eq!((hooks.finished.len(), hooks.not_ai.len()), (0, 1));
}

#[test]
fn long_numbers_in_vectors_are_text_and_others_are_not() {
    // Token numbers as input; a card number among them is looked at.
    let asked = r#"{"model":"m","input":[[1, 2,3 ,4111111111111111,5]]}"#;
    let vector = (0..300)
        .map(|n| format!("{}", f64::from(n) / 8192.0))
        .collect::<Vec<_>>()
        .join(", ");
    let answer = json(&format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{vector}]}}],"model":"m","usage":{{"prompt_tokens":5}}}}"#
    ));
    let (facts, texts) = talk("POST /v1/embeddings", "api.openai.com", asked, &answer);
    assert_eq!(facts.usage.input_tokens, Some(5));
    let all: Vec<String> = texts.all().into_iter().map(|(.., text)| text).collect();
    assert_eq!(all, ["4111111111111111"]);
}
