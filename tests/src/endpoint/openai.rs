//! OpenAI's shapes: chat completions, responses, embeddings.
//! Source: openai-python's types and recorded exchanges (design/ai-dialects.md sections 1 and 2).

use serde_json::{Value, json};

use super::answer::{Answer, new_id, now, text_of};

/// Suffix that the resolved model has beside the one asked for, as OpenAI answers `gpt-4o-mini-2024-07-18` to
/// `gpt-4o-mini`.
pub const SNAPSHOT: &str = "-2026-01-01";

fn answered_model(answer: &Answer) -> String {
    format!("{}{SNAPSHOT}", answer.model)
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.wishes.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        },
    })
}

pub(super) fn chat_answer(body: &Value) -> Answer {
    Answer::new(body, &text_of(&body["messages"]))
}

/// A chat completion in one piece.
pub(super) fn chat(answer: &Answer) -> Value {
    let (message, finish) = match &answer.tool {
        Some(name) => {
            let call = json!({"id": new_id("call_"), "type": "function", "function": {"name": name, "arguments": "{\"place\":\"here\"}"}});
            (
                json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null}),
                "tool_calls",
            )
        }
        None => (
            json!({"role": "assistant", "content": answer.text(), "refusal": null, "annotations": []}),
            "stop",
        ),
    };
    let mut value = json!({
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": now(),
        "model": answered_model(answer),
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    });
    if answer.wishes.no_usage
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("usage");
    }
    value
}

/// The events of a streamed chat completion, `[DONE]` included.
pub(super) fn chat_stream(answer: &Answer, body: &Value) -> Vec<String> {
    let with_usage = body["stream_options"]["include_usage"] == true && !answer.wishes.no_usage;
    let id = new_id("chatcmpl-");
    let created = now();
    let chunk = |choices: Value, usage: Value| {
        let mut value = json!({
            "id": id, "object": "chat.completion.chunk", "created": created, "model": answered_model(answer),
            "service_tier": "default", "system_fingerprint": "fp_0123456789", "choices": choices,
        });
        if with_usage {
            value["usage"] = usage;
        }
        format!("data: {value}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut events = vec![chunk(
        choice(
            json!({"role": "assistant", "content": "", "refusal": null}),
            Value::Null,
        ),
        Value::Null,
    )];
    let finish = if let Some(name) = &answer.tool {
        let call = json!([{"index": 0, "id": new_id("call_"), "type": "function", "function": {"name": name, "arguments": ""}}]);
        events.push(chunk(
            choice(json!({"tool_calls": call}), Value::Null),
            Value::Null,
        ));
        let rest = json!([{"index": 0, "function": {"arguments": "{\"place\":\"here\"}"}}]);
        events.push(chunk(
            choice(json!({"tool_calls": rest}), Value::Null),
            Value::Null,
        ));
        "tool_calls"
    } else {
        for piece in &answer.pieces {
            events.push(chunk(choice(json!({"content": piece}), Value::Null), Value::Null));
        }
        "stop"
    };
    events.push(chunk(choice(json!({}), json!(finish)), Value::Null));
    if with_usage {
        events.push(chunk(json!([]), usage(answer)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

pub(super) fn responses_answer(body: &Value) -> Answer {
    Answer::new(body, &text_of(&body["input"]))
}

/// A response (the `/responses` API) in one piece.
pub(super) fn response(answer: &Answer, body: &Value) -> Value {
    response_object(answer, body, &new_id("resp_"), true)
}

fn response_object(answer: &Answer, body: &Value, id: &str, completed: bool) -> Value {
    let output = json!([{
        "type": "message", "id": new_id("msg_"), "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": answer.text(), "annotations": [], "logprobs": []}],
    }]);
    let usage = json!({
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.wishes.cached},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    });
    json!({
        "id": id, "object": "response", "created_at": now(),
        "status": if completed { "completed" } else { "in_progress" },
        "error": null, "incomplete_details": null, "instructions": body["instructions"], "metadata": {},
        "model": answered_model(answer),
        "output": if completed { output } else { json!([]) },
        "parallel_tool_calls": true, "previous_response_id": body["previous_response_id"],
        "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [], "store": true,
        "usage": if completed && !answer.wishes.no_usage { usage } else { Value::Null },
    })
}

/// The events of a streamed response, as `text/event-stream`.
pub(super) fn response_stream(answer: &Answer, body: &Value) -> Vec<String> {
    response_events(answer, body)
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

/// The events of a streamed response; over a WebSocket each is a message.
pub(super) fn response_events(answer: &Answer, body: &Value) -> Vec<Value> {
    let id = new_id("resp_");
    let item = new_id("msg_");
    let mut sequence = 0_u64;
    let mut event = |name: &str, mut value: Value| {
        value["type"] = json!(name);
        value["sequence_number"] = json!(sequence);
        sequence += 1;
        value
    };
    let mut events = vec![
        event(
            "response.created",
            json!({"response": response_object(answer, body, &id, false)}),
        ),
        event(
            "response.in_progress",
            json!({"response": response_object(answer, body, &id, false)}),
        ),
        event(
            "response.output_item.added",
            json!({"output_index": 0, "item": {"id": item, "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
        ),
        event(
            "response.content_part.added",
            json!({"item_id": item, "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
        ),
    ];
    for piece in &answer.pieces {
        events.push(event(
            "response.output_text.delta",
            json!({"item_id": item, "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []}),
        ));
    }
    events.push(event("response.output_text.done", json!({"item_id": item, "output_index": 0, "content_index": 0, "text": answer.text(), "logprobs": []})));
    let part = json!({"type": "output_text", "text": answer.text(), "annotations": [], "logprobs": []});
    events.push(event(
        "response.content_part.done",
        json!({"item_id": item, "output_index": 0, "content_index": 0, "part": part}),
    ));
    let message =
        json!({"id": item, "type": "message", "status": "completed", "role": "assistant", "content": [part]});
    events.push(event(
        "response.output_item.done",
        json!({"output_index": 0, "item": message}),
    ));
    events.push(event(
        "response.completed",
        json!({"response": response_object(answer, body, &id, true)}),
    ));
    events
}

/// Embeddings: four numbers for each input.
pub(super) fn embeddings(body: &Value) -> (Answer, Value) {
    let answer = Answer::new(body, &text_of(&body["input"]));
    let count = body["input"].as_array().map_or(1, Vec::len);
    let data: Vec<Value> = (0..count)
        .map(|index| {
            // openai-python asks for base64 unless told otherwise: little-endian f32.
            let vector = if body["encoding_format"] == "base64" {
                json!("AACAPwAAAD8AAIA+AAAAPg==")
            } else {
                json!([1.0, 0.5, 0.25, 0.125])
            };
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let value = json!({
        "object": "list", "data": data, "model": answered_model(&answer),
        "usage": {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens},
    });
    (answer, value)
}

/// A list of models. `models` beside `data` is what some tools read instead.
pub(super) fn models() -> Value {
    let data: Vec<Value> = ["gpt-4o-mini", "gpt-5.1-codex", "claude-sonnet-4-6", "mistral-small-latest"]
        .map(|name| json!({"id": name, "object": "model", "type": "model", "display_name": name, "created": 1_700_000_000, "owned_by": "test"}))
        .to_vec();
    json!({"object": "list", "data": data, "has_more": false})
}

/// One model, whatever its name.
pub(super) fn model(path: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    json!({"id": name, "name": format!("models/{name}"), "object": "model", "type": "model", "display_name": name, "created": 1_700_000_000, "owned_by": "test"})
}

/// An error as OpenAI words it.
pub(super) fn error(status: u16) -> Value {
    let (kind, code, message) = match status {
        401 => (
            "invalid_request_error",
            json!("invalid_api_key"),
            "Incorrect API key provided.",
        ),
        429 => (
            "rate_limit_error",
            json!("rate_limit_exceeded"),
            "Rate limit reached for requests.",
        ),
        500.. => (
            "server_error",
            Value::Null,
            "The server had an error while processing your request.",
        ),
        _ => ("invalid_request_error", Value::Null, "The request is not valid."),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}
