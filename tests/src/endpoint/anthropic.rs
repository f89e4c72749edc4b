//! Anthropic's messages, plain and streamed.
//! Source: anthropic-sdk-python's types and recorded exchanges (design/ai-dialects.md section 3).

use serde_json::{Value, json};

use super::answer::{Answer, new_id, text_of};

pub(super) fn answer(body: &Value) -> Answer {
    let mut prompt = text_of(&body["system"]);
    if !prompt.is_empty() {
        prompt.push(' ');
    }
    prompt.push_str(&text_of(&body["messages"]));
    Answer::new(body, &prompt)
}

/// Anthropic's `input_tokens` leaves out cached ones.
fn usage(answer: &Answer, output: u64) -> Value {
    json!({
        "input_tokens": answer.input_tokens.saturating_sub(answer.wishes.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.wishes.cached.min(answer.input_tokens),
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.tool.is_some() {
        "tool_use"
    } else {
        "end_turn"
    }
}

/// A message in one piece.
pub(super) fn message(answer: &Answer) -> Value {
    let content = match &answer.tool {
        Some(name) => {
            json!([{"type": "tool_use", "id": new_id("toolu_"), "name": name, "input": {"place": "here"}}])
        }
        None => json!([{"type": "text", "text": answer.text()}]),
    };
    json!({
        "id": new_id("msg_"), "type": "message", "role": "assistant", "model": answer.model, "content": content,
        "stop_reason": stop_reason(answer), "stop_sequence": null, "usage": usage(answer, answer.output_tokens),
    })
}

/// The events of a streamed message.
pub(super) fn stream(answer: &Answer) -> Vec<String> {
    let event = |name: &str, mut value: Value| {
        value["type"] = json!(name);
        format!("event: {name}\ndata: {value}\n\n")
    };
    let start = json!({
        "id": new_id("msg_"), "type": "message", "role": "assistant", "model": answer.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(answer, 1),
    });
    let mut events = vec![event("message_start", json!({"message": start}))];
    match &answer.tool {
        Some(name) => {
            let block = json!({"type": "tool_use", "id": new_id("toolu_"), "name": name, "input": {}});
            events.push(event(
                "content_block_start",
                json!({"index": 0, "content_block": block}),
            ));
            let delta = json!({"type": "input_json_delta", "partial_json": "{\"place\":\"here\"}"});
            events.push(event("content_block_delta", json!({"index": 0, "delta": delta})));
        }
        None => {
            events.push(event(
                "content_block_start",
                json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
            ));
            events.push(event("ping", json!({})));
            for piece in &answer.pieces {
                let delta = json!({"type": "text_delta", "text": piece});
                events.push(event("content_block_delta", json!({"index": 0, "delta": delta})));
            }
        }
    }
    events.push(event("content_block_stop", json!({"index": 0})));
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
    events.push(event(
        "message_delta",
        json!({"delta": delta, "usage": {"output_tokens": answer.output_tokens}}),
    ));
    events.push(event("message_stop", json!({})));
    events
}

/// An error as Anthropic words it.
pub(super) fn error(status: u16) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": kind}, "request_id": new_id("req_")})
}
