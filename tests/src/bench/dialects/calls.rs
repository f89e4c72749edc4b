//! Calls to measure with, in the form of recordings.

use serde_json::{Value, json};

use super::super::recording::prose;

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A kind of call, by name.
pub(super) type Call = (&'static str, Value);

fn call(host: &str, path: &str, request: &Value, media: &str, response: String) -> Value {
    json!({
        "id": path, "kind": "http", "method": "POST", "host": host, "path": path, "status": 200,
        "req_headers": [["Content-Type", "application/json"], ["User-Agent", "OpenAI/Python 2.8.1"], ["Accept", "application/json"],
            ["Authorization", format!("Bearer {}", "k".repeat(48))]],
        "req_body": request.to_string(),
        "resp_headers": [["Content-Type", media], ["x-request-id", "req_1"], ["Date", "Tue, 25 Nov 2025 09:00:00 GMT"]],
        "resp_body": response,
    })
}

fn chat(path: &str, content: &Value, stream: bool, media: &str, response: String) -> Value {
    let request = json!({"model": "gpt-4o-mini", "stream": stream, "messages": [
        {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": content}]});
    call("api.openai.com", path, &request, media, response)
}

fn messages(content: &Value, stream: bool, media: &str, response: String) -> Value {
    let request = json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": stream, "system": "You are helpful.",
        "messages": [{"role": "user", "content": content}]});
    call("api.anthropic.com", "/v1/messages", &request, media, response)
}

fn generate(parts: &Value, verb: &str, media: &str, response: String) -> Value {
    let path = format!("/v1beta/models/gemini-2.5-flash:{verb}");
    let request = json!({"contents": [{"role": "user", "parts": parts}]});
    call(
        "generativelanguage.googleapis.com",
        &path,
        &request,
        media,
        response,
    )
}

fn completion(text: &str) -> String {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_764_000_000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 90, "total_tokens": 490}})
    .to_string()
}

fn message(text: &str) -> String {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 400, "output_tokens": 90}})
    .to_string()
}

fn candidates(text: &str, last: bool) -> Value {
    let reason = if last { json!("STOP") } else { Value::Null };
    json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 400, "candidatesTokenCount": 90, "totalTokenCount": 490}, "modelVersion": "gemini-2.5-flash"})
}

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// Calls with a body of `size` bytes.
pub(super) fn large(size: usize) -> Vec<Call> {
    let text = prose(size);
    let image = PNG.trim_end_matches('=').repeat(size / PNG.len());
    let url = format!("data:image/png;base64,{image}");
    let picture =
        json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    let source =
        json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}]);
    let inline = json!([{"inlineData": {"mimeType": "image/png", "data": image}}]);
    let path = "/v1/chat/completions";
    let mut packed = chat(path, &json!(text), false, JSON, completion("Yes."));
    packed["req_encoding_actual"] = json!("zstd");
    vec![
        (
            "chat, text",
            chat(path, &json!(text), false, JSON, completion("Yes.")),
        ),
        ("chat, text in zstd", packed),
        (
            "chat, image",
            chat(path, &picture, false, JSON, completion("Yes.")),
        ),
        (
            "chat, text in the answer",
            chat(path, &json!("Go on."), false, JSON, completion(&text)),
        ),
        (
            "messages, text",
            messages(&json!(text), false, JSON, message("Yes.")),
        ),
        ("messages, image", messages(&source, false, JSON, message("Yes."))),
        (
            "generateContent, text",
            generate(
                &json!([{"text": text}]),
                "generateContent",
                JSON,
                candidates("Yes.", true).to_string(),
            ),
        ),
        (
            "generateContent, image",
            generate(
                &inline,
                "generateContent",
                JSON,
                candidates("Yes.", true).to_string(),
            ),
        ),
    ]
}

/// Answers of `events` events.
pub(super) fn streams(events: usize) -> Vec<Call> {
    let words = prose(events * 8);
    let words: Vec<&str> = words.split_inclusive(' ').cycle().take(events).collect();
    let data = |value: Value| format!("data: {value}\n\n");
    let named = |value: Value| {
        format!(
            "event: {}\ndata: {value}\n\n",
            value["type"].as_str().unwrap_or_default()
        )
    };
    let chunk = |word: &&str| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": {"content": word}, "logprobs": null, "finish_reason": null}]})
    };
    let delta = |word: &&str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}});
    let started = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-5", "content": [], "usage": {"input_tokens": 400, "output_tokens": 1}}});
    let line = |word: &&str| {
        format!(
            "{}\n",
            json!({"model": "llama3.2", "created_at": "2025-11-25T09:00:00.1Z", "message": {"role": "assistant", "content": word}, "done": false})
        )
    };
    let chat_answer = words.iter().map(|w| data(chunk(w))).collect::<String>() + "data: [DONE]\n\n";
    let messages_answer = named(started) + &words.iter().map(|w| named(delta(w))).collect::<String>();
    let ollama = json!({"model": "llama3.2", "messages": [{"role": "user", "content": "Tell me a story."}]});
    let gemini: String = words.iter().map(|w| data(candidates(w, false))).collect();
    let array: Vec<Value> = words.iter().map(|w| candidates(w, false)).collect();
    let asked = json!("Tell me a story.");
    vec![
        (
            "chat, SSE",
            chat("/v1/chat/completions", &asked, true, SSE, chat_answer),
        ),
        ("messages, SSE", messages(&asked, true, SSE, messages_answer)),
        (
            "generateContent, SSE",
            generate(&json!([{"text": "Go."}]), "streamGenerateContent", SSE, gemini),
        ),
        (
            "generateContent, array",
            generate(
                &json!([{"text": "Go."}]),
                "streamGenerateContent",
                JSON,
                json!(array).to_string(),
            ),
        ),
        (
            "Ollama, NDJSON",
            call(
                "ollama.example",
                "/api/chat",
                &ollama,
                "application/x-ndjson",
                words.iter().map(line).collect(),
            ),
        ),
    ]
}

/// The usual call: 2 KiB asked, half a KiB answered.
pub(super) fn small() -> Vec<Call> {
    let (question, answer) = (prose(2048), prose(512));
    let embeddings = json!({"model": "text-embedding-3-small", "input": question});
    let vector: Vec<f64> = (0..256).map(|n| f64::from(n) / 1024.0).collect();
    let list = json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": "text-embedding-3-small", "usage": {"prompt_tokens": 400, "total_tokens": 400}});
    let responses = json!({"model": "gpt-4o-mini", "input": question});
    let response = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o-mini",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer, "annotations": []}]}],
        "usage": {"input_tokens": 400, "output_tokens": 90, "total_tokens": 490}});
    let path = "/v1/chat/completions";
    vec![
        (
            "chat",
            chat(path, &json!(question), false, JSON, completion(&answer)),
        ),
        ("chat, unknown host", {
            let mut call = chat(path, &json!(question), false, JSON, completion(&answer));
            call["host"] = json!("llm.corp.example");
            call
        }),
        (
            "messages",
            messages(&json!(question), false, JSON, message(&answer)),
        ),
        (
            "generateContent",
            generate(
                &json!([{"text": question}]),
                "generateContent",
                JSON,
                candidates(&answer, true).to_string(),
            ),
        ),
        (
            "responses",
            call(
                "api.openai.com",
                "/v1/responses",
                &responses,
                JSON,
                response.to_string(),
            ),
        ),
        (
            "embeddings",
            call(
                "api.openai.com",
                "/v1/embeddings",
                &embeddings,
                JSON,
                list.to_string(),
            ),
        ),
    ]
}
