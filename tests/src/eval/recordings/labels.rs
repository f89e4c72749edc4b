//! What a recording is labelled with, and which value of a row each label means.

use observer::evidence::InteractionRow;
use serde_json::Value;

/// Names of providers in labels and in the catalogue, the label's first. A label that begins with the name and a hyphen
/// means the same (`bedrock-agent`).
const PROVIDERS: [(&str, &str); 15] = [
    ("azure-openai", "azure.ai.openai"),
    ("azure", "azure.ai.inference"),
    ("bedrock", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("google", "gcp.gemini"),
    ("vertex", "gcp.vertex_ai"),
    ("mistral", "mistral_ai"),
    ("xai", "x_ai"),
    ("sagemaker", "amazon_sagemaker"),
    ("watsonx", "ibm.watsonx.ai"),
    ("github-copilot", "github_copilot"),
    ("openai-chatgpt-backend", "openai"),
    ("unknown", "unknown"),
    ("together", "together_ai"),
    ("fireworks", "fireworks_ai"),
];

/// What an operation is called in labels, and the names of the conventions that mean it.
const OPERATIONS: [(&str, &[&str]); 14] = [
    ("chat", &["chat"]),
    ("completion", &["text_completion"]),
    ("embeddings", &["embeddings"]),
    ("rerank", &["rerank"]),
    ("moderation", &["moderation"]),
    ("image", &["image_generation"]),
    ("audio", &["speech", "transcription", "translation"]),
    ("video", &["video_generation", "generate_content"]),
    ("count_tokens", &["count_tokens"]),
    ("prediction", &["generate_content", "text_completion"]),
    ("ocr", &["ocr"]),
    ("agent", &["invoke_agent", "chat"]),
    ("tokenize", &["tokenize", "count_tokens"]),
    ("classify", &["classify", "classification"]),
];

/// Requests about models, files and jobs: traffic of AI services in which no model is asked.
const ADMINISTRATION: [&str; 9] = [
    "models",
    "files",
    "batch",
    "cache",
    "auth",
    "other",
    "tools",
    "guardrail",
    "assistants",
];

/// A label whose value may say "unknown".
type Stated = Option<Option<u64>>;

/// The labels of a recording. A label that the recording lacks is `None`.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// A model was asked for something; `None` where an AI service was asked for something else.
    pub(super) asks_model: Option<bool>,
    pub(super) provider: Option<String>,
    /// The recording names its host, so the bytes say whose service it is.
    pub(super) host_known: bool,
    pub(super) operations: Option<Vec<&'static str>>,
    pub(super) request_model: Option<String>,
    pub(super) response_model: Option<String>,
    pub(super) stream: Option<bool>,
    pub(super) tool_calls: Option<bool>,
    input: Stated,
    output: Stated,
    total: Stated,
    cache_read: Stated,
    cache_write: Stated,
    reasoning: Stated,
    api: String,
}

impl Labels {
    /// Labels of a row.
    pub(super) fn read(row: &Value) -> Self {
        let text = |key: &str| {
            row[key]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let stated = |key: &str| row.get(key).map(Value::as_u64);
        let (op, api) = (text("op").unwrap_or_default(), text("api").unwrap_or_default());
        Self {
            asks_model: asks_model(row, &op),
            provider: text("provider"),
            host_known: text("host").is_some(),
            operations: operations(&op, &api),
            request_model: text("req_model"),
            response_model: text("resp_model"),
            stream: row["req_stream"].as_bool(),
            tool_calls: row["tool_calls"].as_bool(),
            input: stated("input_tokens"),
            output: stated("output_tokens"),
            total: stated("total_tokens"),
            cache_read: stated("cache_read_tokens"),
            cache_write: stated("cache_write_tokens"),
            reasoning: stated("reasoning_tokens"),
            api,
        }
    }

    /// Token counts by name: what the row has, and the values that the label means. Counts in a row are those of
    /// `docs/schema.md`: input with the cached part of it, output with reasoning. Labels have them as the service
    /// states them, and Anthropic and Bedrock state the cached part apart from the input, Gemini (and others, where the
    /// total says so) reasoning apart from the output.
    pub(super) fn tokens(&self, row: &InteractionRow) -> Vec<(&'static str, Option<u64>, Stated)> {
        let or_0 = |stated: Stated| stated.flatten().unwrap_or(0);
        let cached = if self.counts_cached_apart(row) {
            or_0(self.cache_read) + or_0(self.cache_write)
        } else {
            0
        };
        let reasoning = if self.counts_reasoning_apart() {
            or_0(self.reasoning)
        } else {
            0
        };
        let more = |stated: Stated, more: u64| stated.map(|value| value.map(|n| n + more));
        vec![
            (
                "input_tokens",
                row.gen_ai_usage_input_tokens,
                more(self.input, cached),
            ),
            (
                "output_tokens",
                row.gen_ai_usage_output_tokens,
                more(self.output, reasoning),
            ),
            (
                "cache_read_tokens",
                row.gen_ai_usage_cache_read_input_tokens,
                self.cache_read,
            ),
            (
                "cache_write_tokens",
                row.gen_ai_usage_cache_creation_input_tokens,
                self.cache_write,
            ),
            (
                "reasoning_tokens",
                row.gen_ai_usage_reasoning_output_tokens,
                self.reasoning,
            ),
        ]
    }

    fn counts_cached_apart(&self, row: &InteractionRow) -> bool {
        let of = |text: &str| text.starts_with("anthropic") || text.starts_with("bedrock");
        of(&self.api) || (row.dialect.starts_with("anthropic") && !self.api.starts_with("openai"))
    }

    fn counts_reasoning_apart(&self) -> bool {
        let (Some(Some(input)), Some(Some(output)), Some(Some(reasoning))) =
            (self.input, self.output, self.reasoning)
        else {
            return false;
        };
        let whole = self.total == Some(Some(input + output + reasoning)) && reasoning > 0;
        self.api.starts_with("gemini") || whole
    }

    /// Whether a provider of the catalogue is the labelled one.
    pub(super) fn means_provider(&self, found: &str) -> bool {
        let label = self.provider.as_deref().unwrap_or_default();
        let named = |(name, _): &&(&str, &str)| {
            label == *name || label.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
        };
        if let Some((_, meant)) = PROVIDERS.iter().find(named) {
            return found == *meant;
        }
        let plain = |text: &str| -> String {
            let letters = text.chars().filter(char::is_ascii_alphanumeric);
            letters.collect::<String>().to_ascii_lowercase()
        };
        let (label, found) = (plain(label), plain(found));
        // The catalogue says `_ai`, `_cloud` and the like where labels have the bare name.
        let within = |long: &str, short: &str| short.len() >= 4 && long.starts_with(short);
        label == found || within(&found, &label) || within(&label, &found)
    }
}

fn asks_model(row: &Value, op: &str) -> Option<bool> {
    match row["is_ai"].as_bool()? {
        false => Some(false),
        true if row["method"] != "POST" || ADMINISTRATION.contains(&op) => None,
        true => Some(true),
    }
}

fn operations(op: &str, api: &str) -> Option<Vec<&'static str>> {
    let (_, names) = OPERATIONS.iter().find(|(name, _)| *name == op)?;
    let mut names = names.to_vec();
    if op == "chat" && (api.starts_with("gemini") || api.starts_with("vertex")) {
        names.push("generate_content");
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn providers_are_the_same_under_other_names_and_no_others() {
        let means =
            |label: &str, found: &str| Labels::read(&json!({"provider": label})).means_provider(found);
        for (label, found) in [
            ("bedrock-agent", "aws.bedrock"),
            ("mistral", "mistral_ai"),
            ("ollama", "ollama_cloud"),
            ("openrouter", "openrouter"),
            ("nvidia-nim", "nvidia"),
            ("unknown-openai-compatible", "unknown"),
        ] {
            assert!(means(label, found), "{label} {found}");
        }
        for (label, found) in [
            ("openai", "unknown"),
            ("azure-openai", "openai"),
            ("mistralrs", "mistral_ai"),
            ("bedrock", "anthropic"),
        ] {
            assert!(!means(label, found), "{label} {found}");
        }
    }

    #[test]
    fn counts_are_compared_as_rows_have_them() {
        let row = InteractionRow::unknown();
        let labels = Labels::read(
            &json!({"api": "anthropic.messages", "input_tokens": 5, "cache_read_tokens": 7,
            "cache_write_tokens": null, "output_tokens": null}),
        );
        let tokens = labels.tokens(&row);
        assert_eq!(tokens[0].2, Some(Some(12)));
        assert_eq!((tokens[1].2, tokens[3].2), (Some(None), Some(None)));
        // Not stated at all.
        assert_eq!(tokens[4].2, None);
        let labels = Labels::read(
            &json!({"api": "openai.chat", "input_tokens": 1, "output_tokens": 2,
            "reasoning_tokens": 3, "total_tokens": 6, "cache_read_tokens": 1}),
        );
        let tokens = labels.tokens(&row);
        assert_eq!((tokens[0].2, tokens[1].2), (Some(Some(1)), Some(Some(5))));
    }
}
