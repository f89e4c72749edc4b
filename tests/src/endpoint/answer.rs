//! What an answer consists of before it is put into a provider's shape, and the numbers that tests predict from it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::directive::Directives;

/// Answer of the model when no directive says otherwise.
pub const ANSWER: &str = "The answer to your question is forty two.";

/// Input tokens that each request costs beside its words, as chat templates do.
pub const TEMPLATE_TOKENS: u64 = 7;

/// Tokens of a text: its words. Simple, and tests can compute it.
pub fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Input tokens that the endpoint states for a prompt.
pub fn input_tokens(prompt: &str) -> u64 {
    TEMPLATE_TOKENS + tokens(prompt)
}

/// An answer in pieces, and what it cost.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// Model as asked.
    pub(super) model: String,
    /// Wishes in that name.
    pub(super) wishes: Directives,
    /// Text in the pieces that a stream sends.
    pub(super) pieces: Vec<String>,
    /// First tool of the request, when it is to be called.
    pub(super) tool: Option<String>,
    /// All input tokens, cached ones included.
    pub(super) input_tokens: u64,
    /// Output tokens.
    pub(super) output_tokens: u64,
}

impl Answer {
    /// Answer to a request body with `model`, the prompt as the shape's own reader found it.
    pub(super) fn new(body: &Value, prompt: &str) -> Self {
        let model = body["model"].as_str().unwrap_or_default().to_owned();
        let wishes = Directives::parse(&model);
        let text = if wishes.echo { prompt } else { ANSWER };
        let pieces: Vec<String> = match wishes.chunks {
            Some(count) => (0..count).map(|number| format!("word{number} ")).collect(),
            None => text.split_inclusive(' ').map(str::to_owned).collect(),
        };
        let tool = wishes.tool.then(|| first_tool(body)).flatten();
        let output_tokens = pieces.iter().map(|piece| tokens(piece)).sum();
        Self {
            model,
            wishes,
            pieces,
            tool,
            input_tokens: input_tokens(prompt),
            output_tokens,
        }
    }

    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }
}

fn first_tool(body: &Value) -> Option<String> {
    let tool = body["tools"].get(0)?;
    let name = tool["function"]["name"]
        .as_str()
        .or_else(|| tool["name"].as_str())?;
    Some(name.to_owned())
}

/// All text in a message list or input: every string under `content`, `text` or `input`, in order.
pub(super) fn text_of(value: &Value) -> String {
    let mut text = String::new();
    collect(value, &mut text);
    text
}

fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(part) => {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(part);
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        Value::Object(fields) => {
            for key in ["content", "text", "input"] {
                if let Some(part) = fields.get(key) {
                    collect(part, text);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A new id with the provider's prefix. Unlike a real one it is predictable; nothing depends on that.
pub(super) fn new_id(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{:08x}{:016x}", std::process::id(), number)
}

/// Seconds since 1970, for `created`.
pub(super) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_found_in_strings_and_parts() {
        let messages = json!([
            {"role": "system", "content": "be short"},
            {"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "text", "text": "this"}]},
        ]);
        assert_eq!(text_of(&messages), "be short what is this");
    }

    #[test]
    fn chunks_decide_words_and_tokens() {
        let answer = Answer::new(&json!({"model": "m+chunks-3"}), "a b");
        assert_eq!(answer.text(), "word0 word1 word2 ");
        assert_eq!(answer.output_tokens, 3);
        assert_eq!(answer.input_tokens, TEMPLATE_TOKENS + 2);
    }

    #[test]
    fn a_tool_is_named_only_when_wished_and_there() {
        let tools = json!([{"type": "function", "function": {"name": "get_weather"}}]);
        assert_eq!(
            Answer::new(&json!({"model": "tool", "tools": tools}), "")
                .tool
                .as_deref(),
            Some("get_weather")
        );
        assert_eq!(
            Answer::new(&json!({"model": "gpt-4o", "tools": tools}), "").tool,
            None
        );
        assert_eq!(Answer::new(&json!({"model": "tool"}), "").tool, None);
    }
}
