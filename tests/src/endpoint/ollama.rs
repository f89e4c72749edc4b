//! Ollama's chat and generate: lines of JSON unless `stream` is false.
//! Source: ollama's docs/api.md.

use serde_json::{Value, json};

use super::answer::{Answer, text_of};

pub(super) fn answer(body: &Value) -> Answer {
    let mut prompt = text_of(&body["messages"]);
    if let Some(text) = body["prompt"].as_str() {
        prompt.push_str(text);
    }
    Answer::new(body, &prompt)
}

fn line(answer: &Answer, done: bool) -> Value {
    let mut value = json!({"model": answer.model, "created_at": "2026-01-01T00:00:00.000000Z", "done": done});
    if done {
        value["done_reason"] = json!("stop");
        value["total_duration"] = json!(5_000_000);
        value["load_duration"] = json!(1_000_000);
        if !answer.wishes.no_usage {
            value["prompt_eval_count"] = json!(answer.input_tokens);
            value["eval_count"] = json!(answer.output_tokens);
        }
    }
    value
}

fn chat_line(answer: &Answer, text: &str, done: bool) -> Value {
    let mut value = line(answer, done);
    value["message"] = json!({"role": "assistant", "content": text});
    value
}

fn generate_line(answer: &Answer, text: &str, done: bool) -> Value {
    let mut value = line(answer, done);
    value["response"] = json!(text);
    value
}

pub(super) fn chat(answer: &Answer) -> Value {
    chat_line(answer, &answer.text(), true)
}

pub(super) fn generate(answer: &Answer) -> Value {
    generate_line(answer, &answer.text(), true)
}

pub(super) fn chat_stream(answer: &Answer) -> Vec<String> {
    lines(answer, chat_line)
}

pub(super) fn generate_stream(answer: &Answer) -> Vec<String> {
    lines(answer, generate_line)
}

fn lines(answer: &Answer, line: fn(&Answer, &str, bool) -> Value) -> Vec<String> {
    let mut lines: Vec<String> = answer
        .pieces
        .iter()
        .map(|piece| format!("{}\n", line(answer, piece, false)))
        .collect();
    lines.push(format!("{}\n", line(answer, "", true)));
    lines
}

/// Models that are there (`/api/tags`).
pub(super) fn tags() -> Value {
    json!({"models": [{
        "name": "llama3.2:latest", "model": "llama3.2:latest", "modified_at": "2026-01-01T00:00:00Z",
        "size": 2_019_393_189_u64, "digest": "a80c4f17acd5", "details": {"format": "gguf", "family": "llama"},
    }]})
}

pub(super) fn error(status: u16) -> Value {
    json!({"error": format!("request failed with {status}")})
}
