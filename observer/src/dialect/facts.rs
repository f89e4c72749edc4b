//! Puts together the facts of a finished exchange.

use super::reader::ExchangeReader;
use super::response::error_word;
use super::{account, caller, paths};
use crate::exchange::{Dialect, DialectEvidence, Exchange, Usage};
use crate::protocol::{Fields, grpc};

/// Longest user agent kept.
const MAX_USER_AGENT: usize = 256;
/// Port that Ollama listens on unless told otherwise.
const OLLAMA_PORT: u16 = 11_434;
/// Facts that stand in the head of a response (Bedrock).
#[derive(Debug, Default)]
pub(super) struct HeadFacts {
    usage: Usage,
    error: Option<String>,
    /// Organisation as the service names it.
    organization: Option<String>,
}

impl HeadFacts {
    pub(super) fn of(fields: &Fields) -> Self {
        let count = |name: &str| {
            fields
                .get(&format!("x-amzn-bedrock-{name}-token-count"))?
                .parse()
                .ok()
        };
        let error = fields.get("x-amzn-errortype").or_else(|| grpc_error(fields));
        let word = |text: String| {
            text.split(':')
                .next()
                .and_then(|word| error_word(word.to_owned()))
        };
        Self {
            usage: Usage {
                input_tokens: count("input"),
                output_tokens: count("output"),
                cache_read_input_tokens: count("cache-read-input"),
                cache_creation_input_tokens: count("cache-write-input"),
                reasoning_output_tokens: None,
            },
            organization: account::named_by_service(fields),
            error: error.and_then(word).filter(|word| !word.is_empty()),
        }
    }

    /// What stands behind the body (gRPC).
    pub(super) fn trailers(&mut self, fields: &Fields) {
        self.error = grpc_error(fields).or(self.error.take());
    }
}

/// How a call of gRPC failed, where its status says so.
fn grpc_error(fields: &Fields) -> Option<String> {
    let status = fields.get("grpc-status")?;
    grpc::status_name(status.trim()).map(str::to_owned)
}

/// The facts of `reader`; `streamed` says whether the answer was an event stream.
pub(super) fn exchange(
    reader: ExchangeReader,
    dialect: Dialect,
    evidence: DialectEvidence,
    streamed: bool,
    ended_ns: u64,
) -> Exchange {
    let error_type = error_type(&reader);
    let usage = usage(dialect, stated(&reader), reader.response.total);
    let unlisted = unlisted(&reader, dialect);
    let path = reader.head.as_ref().map_or("", |h| h.path.as_str());
    let path_model = paths::model(path);
    let session = (dialect == Dialect::BedrockAgent)
        .then(|| paths::session(path))
        .flatten();
    let asked = paths::asks_stream(path);
    let stream = stream(dialect, reader.request.stream.or(asked), streamed);
    let streamed = streamed || asked == Some(true);
    let ExchangeReader {
        head,
        host,
        owner,
        request,
        response,
        ..
    } = reader;
    let mut finish_reasons = response.finish;
    if let (true, Dialect::OpenAiResponses, Some(status)) =
        (finish_reasons.is_empty(), dialect, response.status)
    {
        finish_reasons.insert(status);
    }
    let credential = head.as_ref().and_then(account::credential);
    let named = reader.head_facts.organization;
    let account = head
        .as_ref()
        .map(|head| account::account(head, credential.as_ref(), named))
        .unwrap_or_default();
    let client = head.as_ref().map(caller::client).unwrap_or_default();
    let in_query = head
        .as_ref()
        .and_then(|h| query_model(dialect, &h.query).or_else(|| routed_model(&h.fields)));
    let user_agent = head
        .as_ref()
        .and_then(|h| h.fields.get("user-agent"))
        .unwrap_or_default();
    Exchange {
        dialect,
        evidence,
        provider: owner.unwrap_or_else(|| unlisted.to_owned()),
        host,
        path_template: head
            .as_ref()
            .map_or_else(String::new, |h| paths::template(&h.path)),
        method: head.map(|h| h.method).unwrap_or_default(),
        request_model: request
            .model
            .or_else(|| {
                request
                    .version
                    .filter(|_| dialect == Dialect::ReplicatePredictions)
            })
            .or(path_model)
            .or(in_query),
        response_model: response.model,
        response_id: response.id,
        conversation_id: request.conversation.or(session),
        stream,
        usage,
        finish_reasons,
        tool_names: response.tools,
        status: reader.status,
        error_type,
        user_agent: cut(user_agent, MAX_USER_AGENT),
        credential: credential.map(|(credential, _)| credential),
        account,
        client,
        started_ns: reader.started_ns,
        first_response_ns: reader.first_response_ns,
        first_chunk_ns: response.first_fragment_ns.filter(|_| streamed),
        ended_ns,
        request_bytes: reader.request_end.wire_bytes,
        response_bytes: reader.response_end.wire_bytes,
        request_text_bytes: request.texts.bytes,
        response_text_bytes: response.texts.bytes,
        binary_bytes: request.texts.binary + response.texts.binary,
        request_incomplete: reader.request_end.incomplete,
        response_incomplete: reader.response_end.incomplete,
    }
}

/// Provider on a host that the catalogue does not know. Ollama runs anywhere: nobody else speaks its dialect, and where it
/// speaks OpenAI's, it has its port or says who it is.
fn unlisted(reader: &ExchangeReader, dialect: Dialect) -> &'static str {
    let port = reader.head.as_ref().and_then(|head| head.port);
    let fingerprint = reader.response.fingerprint.as_deref();
    match dialect {
        Dialect::OllamaChat | Dialect::OllamaGenerate | Dialect::OllamaEmbed => "ollama",
        _ if port == Some(OLLAMA_PORT) || fingerprint == Some("fp_ollama") => "ollama",
        Dialect::LlamaCppCompletion => "llamacpp",
        _ => "unknown",
    }
}

/// Model in the routing field of Google's gRPC clients (AIP-4222): `model=models%2Fgemini-2.5-flash`.
fn routed_model(fields: &Fields) -> Option<String> {
    let model = paths::model_in_query(&fields.get("x-goog-request-params")?)?;
    Some(
        model
            .rsplit_once("models/")
            .map_or(model.clone(), |(_, name)| name.to_owned()),
    )
}

fn query_model(dialect: Dialect, query: &str) -> Option<String> {
    match dialect {
        Dialect::DeepgramSpeak | Dialect::DeepgramListen => paths::model_in_query(query),
        _ => None,
    }
}

/// Whether a stream was asked for; Ollama answers with one unless told otherwise.
fn stream(dialect: Dialect, asked: Option<bool>, streamed: bool) -> bool {
    let default = matches!(dialect, Dialect::OllamaChat | Dialect::OllamaGenerate);
    asked.unwrap_or(streamed || default)
}

/// Token counts as stated: in the body, else as billed, else in the head. A total alone says neither input nor
/// output.
fn stated(reader: &ExchangeReader) -> Usage {
    let (response, head) = (&reader.response, &reader.head_facts.usage);
    let body = response.usage;
    Usage {
        input_tokens: body.input_tokens.or(response.billed.0).or(head.input_tokens),
        output_tokens: body.output_tokens.or(response.billed.1).or(head.output_tokens),
        cache_read_input_tokens: body.cache_read_input_tokens.or(head.cache_read_input_tokens),
        cache_creation_input_tokens: body
            .cache_creation_input_tokens
            .or(head.cache_creation_input_tokens),
        ..body
    }
}

/// Counts as everybody means them: Anthropic and Bedrock count cached input apart from the input, Gemini counts thoughts
/// apart from the output, and so do those of the others whose `total` shows it (xAI); everybody else includes them.
fn usage(dialect: Dialect, stated: Usage, total: Option<u64>) -> Usage {
    let add = |count: Option<u64>, more: Option<u64>| count.map(|n| n.saturating_add(more.unwrap_or(0)));
    let Usage {
        input_tokens,
        output_tokens,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: created,
        reasoning_output_tokens: thoughts,
    } = stated;
    match dialect {
        Dialect::AnthropicMessages | Dialect::BedrockConverse | Dialect::BedrockInvokeChat => Usage {
            input_tokens: add(add(input_tokens, read), created),
            ..stated
        },
        Dialect::GeminiGenerate => Usage {
            output_tokens: add(output_tokens, thoughts),
            ..stated
        },
        _ if thoughts.is_some_and(|n| n > 0)
            && total.is_some()
            && total == add(add(input_tokens, output_tokens), thoughts)
            && output_tokens.is_some() =>
        {
            Usage {
                output_tokens: add(output_tokens, thoughts),
                ..stated
            }
        }
        _ => stated,
    }
}

/// The provider's word for the error, else the status code; empty when there was no error.
fn error_type(reader: &ExchangeReader) -> String {
    let response = &reader.response;
    let failed = reader.status.filter(|status| *status >= 400);
    // Some servers put the error at the top: `{"object": "error", "type": ...}`.
    let flat = response
        .kind
        .clone()
        .filter(|_| response.object.as_deref() == Some("error"));
    let stated = response
        .error_type
        .clone()
        .or_else(|| reader.head_facts.error.clone())
        .or_else(|| response.error_code.clone())
        .or(flat);
    stated
        .or_else(|| failed.map(|status| status.to_string()))
        .unwrap_or_default()
}

/// At most `limit` bytes, cut between characters.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
