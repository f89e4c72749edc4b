//! Recognises AI exchanges: host, then path, then the shape of the request, then the shape of the response.

use super::rules::Mark;
use crate::exchange::Dialect;

/// Path endings of the dialects that are read, and whether an ending is telling on its own. Others need a body that
/// agrees where the host is unknown: `/responses` could be anybody's.
const SUFFIXES: &[(&str, Dialect, bool)] = &[
    ("/chat/completions", Dialect::OpenAiChat, true),
    ("/responses", Dialect::OpenAiResponses, false),
    ("/embeddings", Dialect::OpenAiEmbeddings, false),
    ("/v1/messages", Dialect::AnthropicMessages, false),
];
/// Path endings of dialects that are not read.
const FOREIGN: &[&str] = &[
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/v1/complete",
    "/v1/completions",
    "/completions",
    "/v1/chat",
    "/v2/chat",
    "/v1/embed",
    "/v2/embed",
    "/rerank",
    "/converse",
    "/converse-stream",
    "/invoke",
    "/invoke-with-response-stream",
    "/generate",
    "/generate_stream",
    "/predictions",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
    "/moderations",
    "/count_tokens",
    "/input_tokens",
    "/messages/batches",
];
/// Segments of a path that may be stored.
const SEGMENTS: &[&str] = &[
    "v1",
    "v2",
    "v3",
    "v4",
    "v1beta",
    "v1beta1",
    "api",
    "openai",
    "anthropic",
    "apps",
    "inference",
    "compatible-mode",
    "compatibility",
    "paas",
    "coding",
    "engines",
    "models",
    "backend-api",
    "codex",
    "zen",
    "ai",
    "llm",
    "deployments",
    "chat",
    "completions",
    "responses",
    "embeddings",
    "messages",
    "serving-endpoints",
    "projects",
];

/// Dialect that a path ends as, and whether that is telling on its own.
pub(super) fn by_path(path: &str) -> Option<(Dialect, bool)> {
    let path = path.trim_end_matches('/');
    if is_foreign(path) {
        return None;
    }
    let (_, dialect, telling) = SUFFIXES.iter().find(|(suffix, ..)| path.ends_with(suffix))?;
    Some((*dialect, *telling))
}

/// Whether a path belongs to a dialect that is not read.
pub(super) fn is_foreign(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let chat = path.ends_with("/chat/completions");
    !chat
        && (FOREIGN.iter().any(|suffix| path.ends_with(suffix))
            || path.contains(":generateContent")
            || path.contains(":streamGenerateContent"))
}

/// Dialect of a request body with these marks. `anthropic` says that the head names an Anthropic API version.
pub(super) fn by_request(marks: u32, anthropic: bool) -> Option<Dialect> {
    let has = |mark: Mark| marks & mark as u32 != 0;
    if has(Mark::Foreign) {
        return None;
    }
    // Where the model is in the path, the version stands in the body.
    if has(Mark::AnthropicVersion) && has(Mark::Messages) && has(Mark::MessageRole) {
        return Some(Dialect::AnthropicMessages);
    }
    if !has(Mark::Model) {
        return None;
    }
    if has(Mark::Messages) && has(Mark::MessageRole) {
        let messages_api = anthropic || has(Mark::InputSchema) || (has(Mark::System) && has(Mark::MaxTokens));
        return Some(if messages_api {
            Dialect::AnthropicMessages
        } else {
            Dialect::OpenAiChat
        });
    }
    if !has(Mark::Input) || has(Mark::Messages) {
        return None;
    }
    if has(Mark::Responses) || has(Mark::MessageRole) {
        return Some(Dialect::OpenAiResponses);
    }
    has(Mark::Embeddings).then_some(Dialect::OpenAiEmbeddings)
}

/// Whether a request body does not contradict the dialect its path names.
pub(super) fn agrees(dialect: Dialect, marks: u32) -> bool {
    let has = |mark: Mark| marks & mark as u32 != 0;
    match dialect {
        Dialect::OpenAiChat => has(Mark::Messages),
        Dialect::AnthropicMessages => has(Mark::Model) && has(Mark::Messages) && has(Mark::MessageRole),
        Dialect::OpenAiResponses | Dialect::OpenAiEmbeddings => has(Mark::Model) && has(Mark::Input),
    }
}

/// Dialect of a response body: its `object` and `type`, its marks, and whether it lists embeddings.
pub(super) fn by_response(
    object: Option<&str>,
    kind: Option<&str>,
    marks: u32,
    embeddings: bool,
) -> Option<Dialect> {
    let usage = marks & Mark::Usage as u32 != 0;
    match (object, kind) {
        (Some("chat.completion" | "chat.completion.chunk"), _) => Some(Dialect::OpenAiChat),
        (Some("response"), _) => Some(Dialect::OpenAiResponses),
        (Some("list"), _) if embeddings => Some(Dialect::OpenAiEmbeddings),
        (None, Some("message" | "message_start" | "message_delta" | "message_stop")) if usage => {
            Some(Dialect::AnthropicMessages)
        }
        _ => None,
    }
}

/// A path as it may be stored: known segments stay, others become `{name}`.
pub(super) fn template(path: &str) -> String {
    let mut template = String::new();
    let mut before = "";
    for segment in path.split('/').filter(|segment| !segment.is_empty()).take(12) {
        template.push('/');
        template.push_str(match (SEGMENTS.contains(&segment), before) {
            (_, "deployments") => "{deployment}",
            (true, _) => segment,
            (_, "projects") => "{project}",
            (_, "models" | "engines" | "serving-endpoints") => "{model}",
            _ => "{name}",
        });
        before = segment;
    }
    if template.is_empty() {
        "/".to_owned()
    } else {
        template
    }
}
