//! One call of every dialect over HTTP, and what happens to it when bytes are cut off, flipped or lied about: bounded,
//! reported once, no panic, and the next call on the connection is read.

use super::connection::Random;
use super::*;

/// Dialect, request line, host, body, answer: JSON, or an event stream where it begins with `data:` or `event:`.
type Sample = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

pub(super) const SAMPLES: &[Sample] = &[
    (
        "openai-chat",
        "POST /v1/chat/completions",
        "api.openai.com",
        r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"r\u00e9s"}]}"#,
        r#"{"id":"c1","object":"chat.completion","model":"m-1","choices":[{"message":{"content":"hi","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
    ),
    (
        "openai-chat",
        "POST /v1/chat/completions",
        "api.openai.com",
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#,
        "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ),
    (
        "openai-responses",
        "POST /v1/responses",
        "api.openai.com",
        r#"{"model":"m","input":"x","previous_response_id":"resp_0"}"#,
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"hi\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"object\":\"response\",\"id\":\"resp_1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
    ),
    (
        "openai-completions",
        "POST /v1/completions",
        "api.openai.com",
        r#"{"model":"m","prompt":"x"}"#,
        r#"{"object":"text_completion","choices":[{"text":"hi"}]}"#,
    ),
    (
        "openai-embeddings",
        "POST /v1/embeddings",
        "api.openai.com",
        r#"{"model":"m","input":"x"}"#,
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1]}],"usage":{"prompt_tokens":1}}"#,
    ),
    (
        "openai-images",
        "POST /v1/images/generations",
        "api.openai.com",
        r#"{"model":"m","prompt":"x"}"#,
        r#"{"data":[{"b64_json":"AAAA"}]}"#,
    ),
    (
        "openai-moderations",
        "POST /v1/moderations",
        "api.openai.com",
        r#"{"model":"m","input":"x"}"#,
        r#"{"results":[]}"#,
    ),
    (
        "openai-batches",
        "POST /v1/batches",
        "api.openai.com",
        r#"{"input_file_id":"f","endpoint":"/v1/responses"}"#,
        r#"{"id":"b"}"#,
    ),
    (
        "openai-runs",
        "POST /v1/threads/thread_1/runs",
        "api.openai.com",
        r#"{"assistant_id":"a"}"#,
        r#"{"id":"run","object":"thread.run"}"#,
    ),
    (
        "openai-vector-stores",
        "POST /v1/vector_stores/vs_1/search",
        "api.openai.com",
        r#"{"query":"x"}"#,
        r#"{"data":[]}"#,
    ),
    (
        "anthropic-messages",
        "POST /v1/messages",
        "api.anthropic.com",
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"}]}]}"#,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"type\":\"message\",\"model\":\"m-1\",\"usage\":{\"input_tokens\":3}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":2}}\n\n",
    ),
    (
        "anthropic-batches",
        "POST /v1/messages/batches",
        "api.anthropic.com",
        r#"{"requests":[{"custom_id":"a","params":{"model":"m","messages":[{"role":"user","content":"x"}]}}]}"#,
        r#"{"id":"b"}"#,
    ),
    (
        "gemini-generate-content",
        "POST /v1beta/models/m:generateContent",
        "generativelanguage.googleapis.com",
        r#"{"contents":[{"parts":[{"text":"x"},{"functionResponse":{"name":"f","response":{"a":1}}}]}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"b":[1,null]}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
    ),
    (
        "gemini-embed-content",
        "POST /v1beta/models/m:embedContent",
        "generativelanguage.googleapis.com",
        r#"{"content":{"parts":[{"text":"x"}]}}"#,
        r#"{"embedding":{"values":[1]}}"#,
    ),
    (
        "bedrock-converse",
        "POST /model/m/converse",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        r#"{"messages":[{"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[{"json":{"a":"b"}}]}}]}]}"#,
        r#"{"output":{"message":{"content":[{"toolUse":{"name":"f","input":{"a":{}}}}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2}}"#,
    ),
    (
        "bedrock-invoke",
        "POST /model/meta.llama/invoke",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        r#"{"prompt":"x"}"#,
        r#"{"generation":"hi","prompt_token_count":3,"generation_token_count":2,"stop_reason":"stop"}"#,
    ),
    (
        "cohere-v2-chat",
        "POST /v2/chat",
        "api.cohere.com",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
        r#"{"id":"1","message":{"content":[{"text":"hi"}]},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}"#,
    ),
    (
        "cohere-v1-chat",
        "POST /v1/chat",
        "api.cohere.com",
        r#"{"message":"x","chat_history":[]}"#,
        r#"{"text":"hi","meta":{"billed_units":{"input_tokens":3}}}"#,
    ),
    (
        "rerank",
        "POST /v2/rerank",
        "api.cohere.com",
        r#"{"model":"m","query":"x","documents":["a"]}"#,
        r#"{"results":[]}"#,
    ),
    (
        "ollama-chat",
        "POST /api/chat",
        "localhost",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
        "{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"content\":\"h\"},\"done\":false}\n{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"content\":\"i\"},\"done\":true,\"prompt_eval_count\":3,\"eval_count\":2}\n",
    ),
    (
        "ollama-generate",
        "POST /api/generate",
        "localhost",
        r#"{"model":"m","prompt":"x"}"#,
        r#"{"model":"m","created_at":"t","response":"hi","done":true,"eval_count":2}"#,
    ),
    (
        "llamacpp-completion",
        "POST /completion",
        "localhost",
        r#"{"prompt":"x","n_predict":5}"#,
        r#"{"content":"hi","tokens_evaluated":3,"tokens_predicted":2,"stop_type":"eos"}"#,
    ),
    (
        "hf-inference",
        "POST /generate_stream",
        "localhost",
        r#"{"inputs":"x"}"#,
        "data: {\"token\":{\"text\":\"hi\"}}\n\ndata: {\"token\":{\"text\":\"\"},\"generated_text\":\"hi\",\"details\":{\"generated_tokens\":2}}\n\n",
    ),
    (
        "watsonx-generation",
        "POST /ml/v1/text/generation",
        "eu-de.ml.cloud.ibm.com",
        r#"{"model_id":"m","input":"x"}"#,
        r#"{"results":[{"generated_text":"hi","generated_token_count":2,"input_token_count":3}]}"#,
    ),
    (
        "replicate-predictions",
        "POST /v1/models/a/b/predictions",
        "api.replicate.com",
        r#"{"input":{"prompt":"x"}}"#,
        r#"{"id":"p","status":"starting"}"#,
    ),
    (
        "kserve-infer",
        "POST /v2/models/m/infer",
        "localhost",
        r#"{"inputs":[{"name":"t","datatype":"BYTES","shape":[1],"data":["x"]}]}"#,
        r#"{"model_name":"m","outputs":[{"data":["hi"]}]}"#,
    ),
    (
        "sagemaker-invoke",
        "POST /endpoints/e/invocations",
        "runtime.sagemaker.eu-west-1.amazonaws.com",
        r#"{"question":"x"}"#,
        r#"{"answer":"hi"}"#,
    ),
    (
        "amazon-q",
        "POST /generateAssistantResponse",
        "q.us-east-1.amazonaws.com",
        r#"{"conversationState":{"conversationId":"c","currentMessage":{"userInputMessage":{"content":"x"}}}}"#,
        "{}",
    ),
    (
        "mcp",
        "POST /mcp",
        "localhost",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"f","arguments":{"a":["b",1,true]}}}"#,
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"r\"}],\"isError\":true}}\n\n",
    ),
    (
        "a2a",
        "POST /a2a",
        "localhost",
        r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":{"parts":[{"text":"x"}]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"id":"t","status":{"state":"completed"}}}"#,
    ),
    (
        "chatgpt-web",
        "POST /backend-api/conversation",
        "chatgpt.com",
        r#"{"messages":[{"author":{"role":"user"},"content":{"parts":["x"]}}],"model":"m"}"#,
        "data: {\"message\":{\"content\":{\"parts\":[\"h\"]}}}\n\ndata: {\"message\":{\"content\":{\"parts\":[\"hi\"]}}}\n\n",
    ),
    (
        "claude-web",
        "POST /api/organizations/o/chat_conversations/c-1/completion",
        "claude.ai",
        r#"{"prompt":"x"}"#,
        "event: completion\ndata: {\"type\":\"completion\",\"completion\":\"hi\"}\n\n",
    ),
    (
        "count-tokens",
        "POST /v1/messages/count_tokens",
        "api.anthropic.com",
        r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
        r#"{"input_tokens":3}"#,
    ),
    (
        "mistral-conversations",
        "POST /v1/conversations",
        "api.mistral.ai",
        r#"{"model":"m","inputs":"x"}"#,
        r#"{"conversation_id":"conv_1","outputs":[{"content":"hi"}]}"#,
    ),
    (
        "gemini-interactions",
        "POST /v1beta/interactions",
        "generativelanguage.googleapis.com",
        r#"{"model":"m","input":"x"}"#,
        r#"{"id":"v1_x","outputs":[{"type":"text","text":"hi"}],"usage":{"total_input_tokens":3}}"#,
    ),
    (
        "dashscope",
        "POST /api/v1/services/aigc/text-generation/generation",
        "dashscope.aliyuncs.com",
        r#"{"model":"m","input":{"prompt":"x"}}"#,
        r#"{"output":{"text":"hi","finish_reason":"stop"},"usage":{"input_tokens":3,"output_tokens":2}}"#,
    ),
    (
        "dify-chat",
        "POST /v1/chat-messages",
        "localhost",
        r#"{"inputs":{},"query":"x","response_mode":"streaming"}"#,
        "data: {\"event\":\"message\",\"answer\":\"hi\"}\n\ndata: {\"metadata\":{\"usage\":{\"prompt_tokens\":3}}}\n\n",
    ),
    (
        "native",
        "POST /v1/flux-dev",
        "api.bfl.ai",
        r#"{"prompt":"x"}"#,
        r#"{"id":"f","polling_url":"u"}"#,
    ),
    (
        "elevenlabs-speech",
        "POST /v1/text-to-speech/v",
        "api.elevenlabs.io",
        r#"{"text":"x","model_id":"m"}"#,
        r#"{"audio_base64":"AAAA"}"#,
    ),
];

pub(super) fn bytes(sample: &Sample) -> (Vec<u8>, Vec<u8>) {
    let (_, line, host, body, answer) = *sample;
    let request = request(line, &format!("Host: {host}\r\n"), body);
    let streamed = answer.starts_with("data:") || answer.starts_with("event:");
    let response = match streamed {
        true => stream("", answer.as_bytes(), 37),
        false => response("200 OK", answer),
    };
    (request, response)
}

/// The dialects that came out.
fn dialects(hooks: &Hooks) -> Vec<&'static str> {
    hooks
        .finished
        .iter()
        .map(|(_, facts)| facts.dialect.name())
        .collect()
}

pub(super) fn reported_once(hooks: &Hooks, most: usize, what: &str) {
    let all = hooks.finished.len() + hooks.not_ai.len();
    assert!(all <= most, "{what}: {all} exchanges");
    for (number, _) in &hooks.finished {
        let texts = hooks.texts.get(number);
        assert!(texts.is_none_or(Texts::all_ended), "{what}: a text goes on");
    }
}

#[test]
fn every_dialect_is_what_it_is() {
    let catalog = catalog();
    for sample in SAMPLES {
        let (request, response) = bytes(sample);
        let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
        for piece in [1, 50_000] {
            let hooks = run(&catalog, None, &sides, piece);
            assert_eq!(dialects(&hooks), [sample.0], "{} {:?}", sample.1, hooks.not_ai);
            let facts = &hooks.finished[0].1;
            let partial = (facts.request_incomplete, facts.response_incomplete);
            assert_eq!(partial, (None, None), "{}", sample.1);
        }
    }
}

#[test]
fn cut_at_every_byte() {
    let catalog = catalog();
    for sample in SAMPLES {
        let (request, response) = bytes(sample);
        for cut in 0..request.len() {
            let sides = [(Side::Request, &request[..cut])];
            reported_once(&run(&catalog, None, &sides, 50_000), 1, sample.1);
            // The server answers before the request ends.
            let sides = [(Side::Request, &request[..cut]), (Side::Response, &response[..])];
            reported_once(&run(&catalog, None, &sides, 50_000), 2, sample.1);
        }
        for cut in 0..response.len() {
            let sides = [(Side::Request, &request[..]), (Side::Response, &response[..cut])];
            let hooks = run(&catalog, None, &sides, 50_000);
            reported_once(&hooks, 1, sample.1);
            // A client of MCP ends the stream when it has its answer.
            let is_answered = sample.0 == "mcp" && !response[cut..].contains(&b'}');
            for (_, facts) in &hooks.finished {
                let is_whole = facts.response_incomplete.is_none();
                assert_eq!(is_whole, is_answered, "{} cut at {cut}", sample.1);
            }
        }
    }
}

#[test]
fn flipped_bits_do_no_more_than_spoil_a_call_and_the_next_one_is_read() {
    let catalog = catalog();
    let mut random = Random(88_172_645_463_325_252);
    let (next_request, next_response) = bytes(&SAMPLES[0]);
    for sample in SAMPLES {
        let (request, response) = bytes(sample);
        let body = |message: &[u8]| message.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let plain = !response.windows(7).any(|w| w == b"chunked");
        for _ in 0..60 {
            let (mut request, mut response) = (request.clone(), response.clone());
            let from = body(&request);
            let at = from + random.below(request.len() - from);
            request[at] ^= 1 << random.below(8);
            if plain && response.len() > body(&response) {
                let from = body(&response);
                let at = from + random.below(response.len() - from);
                response[at] ^= 1 << random.below(8);
            }
            request.extend_from_slice(&next_request);
            response.extend_from_slice(&next_response);
            // In turns of the calls: the framing is whole, so the second call is read whatever became of the first.
            let hooks = run(
                &catalog,
                Some("api.openai.com"),
                &[(Side::Request, &request), (Side::Response, &response)],
                900,
            );
            reported_once(&hooks, 2, sample.1);
            let last = hooks.finished.last().map(|(_, facts)| facts);
            let last = last.unwrap_or_else(|| panic!("{}: {:?}", sample.1, hooks.not_ai));
            assert_eq!(last.response_id.as_deref(), Some("c1"), "{}", sample.1);
            assert_eq!(last.usage.input_tokens, Some(3), "{}", sample.1);
        }
        // Anywhere, heads and framing too.
        for _ in 0..60 {
            let (mut request, mut response) = (request.clone(), response.clone());
            let at = random.below(request.len());
            request[at] ^= 1 << random.below(8);
            let at = random.below(response.len());
            response[at] ^= 1 << random.below(8);
            let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
            let hooks = run(&catalog, Some("api.openai.com"), &sides, 900);
            reported_once(&hooks, 4, sample.1);
        }
    }
}

#[test]
fn holes_anywhere_are_holes_and_no_facts() {
    let catalog = catalog();
    let mut random = Random(7_172_645_463_325_253);
    for sample in SAMPLES {
        let (request, response) = bytes(sample);
        for _ in 0..40 {
            let mut hooks = Hooks::default();
            let mut reader = ConnectionReader::new(Arc::clone(&catalog), Some(sample.2));
            for (side, bytes) in [(Side::Request, &request), (Side::Response, &response)] {
                let from = random.below(bytes.len());
                let to = (from + 1 + random.below(40)).min(bytes.len());
                let missing = (random.below(2) == 0).then_some((to - from) as u64);
                reader.push(side, &bytes[..from], 1, &mut hooks);
                reader.gap(side, missing, 1, &mut hooks);
                reader.push(side, &bytes[to..], 1, &mut hooks);
            }
            reader.close(2, &mut hooks);
            reported_once(&hooks, 3, sample.1);
            for (_, facts) in &hooks.finished {
                let partial = facts.request_incomplete.or(facts.response_incomplete);
                assert!(partial.is_some(), "{}", sample.1);
            }
        }
    }
}
