//! Gemini's generateContent, plain and streamed.
//! Source: python-genai's types (design/ai-dialects.md).

use serde_json::{Value, json};

use super::answer::{Answer, new_id};

/// Answer to a body; the model is in the path.
pub(super) fn answer(body: &Value, model: &str) -> Answer {
    let mut prompt = parts_text(&body["systemInstruction"]);
    for content in body["contents"].as_array().into_iter().flatten() {
        if !prompt.is_empty() {
            prompt.push(' ');
        }
        prompt.push_str(&parts_text(content));
    }
    let mut named = json!({"model": model});
    if let Some(declared) = body["tools"][0]["functionDeclarations"].as_array() {
        named["tools"] = json!(declared);
    }
    let mut answer = Answer::new(&named, &prompt);
    let wished = &body["generationConfig"];
    if wished["responseMimeType"] == "application/json" {
        let schema = [&wished["responseJsonSchema"], &wished["responseSchema"]];
        let schema = schema.into_iter().find(|schema| schema.is_object());
        let text = sample(schema.unwrap_or(&Value::Null), DEPTH).to_string();
        answer.pieces = vec![text];
    }
    answer
}

/// Levels of a schema that are followed.
const DEPTH: u8 = 8;

/// The least value that fits a JSON schema, which is enough for tools that ask themselves what to do next.
fn sample(schema: &Value, depth: u8) -> Value {
    let kind = schema["type"].as_str().unwrap_or("object");
    match kind.to_ascii_lowercase().as_str() {
        _ if schema["enum"][0].is_string() => schema["enum"][0].clone(),
        "object" if depth > 0 => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields
                .map(|(name, field)| (name.clone(), sample(field, depth - 1)))
                .collect()
        }
        "object" => json!({}),
        "array" => json!([]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        _ => json!("short"),
    }
}

fn parts_text(content: &Value) -> String {
    let parts = content["parts"].as_array();
    let texts: Vec<&str> = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    texts.join(" ")
}

fn usage(answer: &Answer) -> Value {
    json!({
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": answer.output_tokens,
        "totalTokenCount": answer.input_tokens + answer.output_tokens,
        "cachedContentTokenCount": answer.wishes.cached,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
    })
}

fn chunk(answer: &Answer, id: &str, parts: &Value, last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    let mut value = json!({"modelVersion": answer.model, "responseId": id});
    if last {
        candidate["finishReason"] = json!("STOP");
        if !answer.wishes.no_usage {
            value["usageMetadata"] = usage(answer);
        }
    }
    value["candidates"] = json!([candidate]);
    value
}

fn parts(answer: &Answer, text: &str) -> Value {
    match &answer.tool {
        Some(name) => json!([{"functionCall": {"name": name, "args": {"place": "here"}}}]),
        None => json!([{"text": text}]),
    }
}

/// A response in one piece.
pub(super) fn response(answer: &Answer) -> Value {
    chunk(answer, &new_id("gen-"), &parts(answer, &answer.text()), true)
}

/// The events of a streamed response (`alt=sse`).
pub(super) fn stream(answer: &Answer) -> Vec<String> {
    let id = new_id("gen-");
    let texts = if answer.tool.is_some() {
        vec![String::new()]
    } else {
        answer.pieces.clone()
    };
    let count = texts.len();
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let value = chunk(answer, &id, &parts(answer, text), index + 1 == count);
            format!("data: {value}\r\n\r\n")
        })
        .collect()
}

/// An error as Google words it.
pub(super) fn error(status: u16) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": "The request failed.", "status": name}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wished_schema_is_fulfilled() {
        let body = json!({
            "contents": [{"role": "user", "parts": [{"text": "one two"}]}],
            "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {
                "type": "object", "properties": {"choice": {"type": "string", "enum": ["flash", "pro"]}, "score": {"type": "INTEGER"}}}},
        });
        let text = answer(&body, "gemini-2.5-flash").text();
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("JSON"),
            json!({"choice": "flash", "score": 1})
        );
    }
}
