//! Puts together the facts of a finished exchange.

use std::collections::BTreeSet;

use super::reader::ExchangeReader;
use super::response::error_word;
use super::{account, caller, errors, heads, native, paths, rpc};
use crate::exchange::{
    Attempt, Client, Dialect, DialectEvidence, Exchange, Product, Rpc, ToolUse, ToolUses, Usage,
};
use crate::protocol::{Fields, RequestHead};

/// Longest user agent kept.
const MAX_USER_AGENT: usize = 256;
/// Port that Ollama listens on unless told otherwise.
const OLLAMA_PORT: u16 = 11_434;
/// What OpenTelemetry calls an error of which nothing is known but that there was one.
const OTHER_ERROR: &str = "_OTHER";

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
    let conversation_id = conversation(&reader);
    let error_class = error_class(&reader, &error_type);
    let attempt = attempt(&reader);
    let readable = !paths::is_grpc(path);
    let (calls, results) = called(&reader, dialect).unzip();
    let rpc = rpc_facts(&reader, dialect);
    let operation = operation(&reader, dialect, &rpc.method);
    let response_id = response_id(&reader, dialect);
    let asked = paths::asks_stream(path);
    let stream = stream(dialect, reader.request.stream.or(asked), streamed);
    let streamed = streamed || asked == Some(true);
    let ExchangeReader {
        head,
        host,
        owner,
        request,
        response,
        head_facts,
        ..
    } = reader;
    let tool_calls = calls.or_else(|| readable.then(|| response.tool_calls()));
    let tool_names = tool_names(dialect, response.tools, tool_calls.as_ref());
    let finish_reasons = finish_reasons(dialect, response.finish, response.status);
    let credential = head.as_ref().and_then(account::credential);
    let named = head_facts.organization;
    let mut rate_limits = head_facts.rate_limits;
    rate_limits.retry_after_ms = rate_limits.retry_after_ms.or(response.retry_after_ms);
    let account = head
        .as_ref()
        .map(|head| account::account(head, credential.as_ref(), named))
        .unwrap_or_default();
    let client = client(head.as_ref(), request.product);
    let in_query = head
        .as_ref()
        .and_then(|h| query_model(dialect, &h.query).or_else(|| routed_model(&h.fields)));
    let user_agent = head
        .as_ref()
        .and_then(|h| h.fields.get("user-agent"))
        .unwrap_or_default();
    Exchange {
        dialect,
        ties: head.as_ref().map(|h| heads::ties(&h.fields)).unwrap_or_default(),
        evidence,
        operation,
        rpc,
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
            .or(in_query)
            .map(|model| bare(dialect, model)),
        response_model: response.model,
        response_id,
        request_id: head_facts.request_id.or(response.request_id.clone()),
        conversation_id,
        previous_response_id: request.previous,
        stream,
        usage,
        finish_reasons,
        tool_calls,
        tool_results: results.or_else(|| readable.then_some(request.tools.results)),
        tool_names,
        status: reader.status,
        error_type,
        error_class,
        rate_limits,
        attempt,
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

/// The program that calls: by the head of its request, else as it says itself over MCP.
fn client(head: Option<&RequestHead>, product: Product) -> Client {
    let mut client = head.map(caller::client).unwrap_or_default();
    if client.name.is_empty() {
        (client.name, client.version) = (product.name, product.version);
    }
    client
}

fn response_id(reader: &ExchangeReader, dialect: Dialect) -> Option<String> {
    match dialect {
        // Numbers of JSON-RPC name nothing.
        Dialect::Mcp => None,
        Dialect::A2a => reader.response.task.clone(),
        _ => reader.response.id.clone().or(reader.response.other_id.clone()),
    }
}

/// Names of tools that are called: by the answer, or by the request itself.
fn tool_names(dialect: Dialect, named: BTreeSet<String>, calls: Option<&ToolUses>) -> BTreeSet<String> {
    if dialect != Dialect::Mcp {
        return named;
    }
    let calls = calls.into_iter().flat_map(|calls| &calls.first);
    calls.map(|call| call.name.clone()).collect()
}

/// Finish reasons; the state of a response stands for one where there is none.
fn finish_reasons(
    dialect: Dialect,
    mut reasons: BTreeSet<String>,
    status: Option<String>,
) -> BTreeSet<String> {
    let stated = matches!(
        dialect,
        Dialect::OpenAiResponses | Dialect::OpenAiRealtime | Dialect::GeminiInteractions
    );
    if let (true, true, Some(status)) = (reasons.is_empty(), stated, status.and_then(error_word)) {
        reasons.insert(status);
    }
    reasons
}

/// The name of a model without the collection that it stands in (Gemini live: `models/…`).
fn bare(dialect: Dialect, model: String) -> String {
    match model.strip_prefix("models/") {
        Some(name) if dialect == Dialect::GeminiLive => name.to_owned(),
        _ => model,
    }
}

/// The call that a request of MCP is, and its result.
fn called(reader: &ExchangeReader, dialect: Dialect) -> Option<(ToolUses, ToolUses)> {
    if dialect != Dialect::Mcp {
        return None;
    }
    let (mut calls, mut results) = (ToolUses::default(), ToolUses::default());
    let name = reader.request.called.clone().unwrap_or_default();
    if reader.request.method.as_deref() == Some("tools/call") {
        let bytes = reader.request.tools.arguments;
        calls.push(ToolUse {
            name: name.clone(),
            bytes,
        });
        let bytes = reader.response.result_bytes();
        if bytes > 0 {
            results.push(ToolUse { name, bytes });
        }
    }
    Some((calls, results))
}

/// Method, session and version of a call between agents and tools.
fn rpc_facts(reader: &ExchangeReader, dialect: Dialect) -> Rpc {
    if !matches!(dialect, Dialect::Mcp | Dialect::A2a) {
        return Rpc::default();
    }
    let (request, response) = (&reader.request, &reader.response);
    let head = reader.head.as_ref();
    let path = head.map_or("", |head| head.path.as_str());
    let method = request
        .method
        .clone()
        .or_else(|| rpc::rest_method(path).map(str::to_owned))
        .or_else(|| response.method.clone());
    let of_head = |read: fn(&Fields) -> Option<String>| head.and_then(|head| read(&head.fields));
    Rpc {
        method: method.unwrap_or_default(),
        session: of_head(rpc::session).or_else(|| reader.head_facts.session.clone()),
        // What was agreed on goes before what was asked for.
        version: response
            .protocol_version
            .clone()
            .or_else(|| of_head(rpc::version))
            .or_else(|| reader.head_facts.version.clone())
            .or_else(|| request.protocol_version.clone()),
        server: response.product.clone(),
    }
}

/// What is asked for: some dialects ask for several things, and path, host or body tell which.
fn operation(reader: &ExchangeReader, dialect: Dialect, method: &str) -> &'static str {
    if dialect == Dialect::Native {
        let class = reader.catalog.as_ref().map(|found| found.class);
        let heard = reader.speech && reader.request.texts.binary > 0;
        return native::operation(class, reader.request.marks, heard);
    }
    let path = reader.head.as_ref().map_or("", |h| h.path.as_str());
    paths::operation(dialect, path).unwrap_or_else(|| rpc::operation(dialect, method))
}

/// Conversation, thread or session: as the body of the request names it, its head, its path, or the answer.
fn conversation(reader: &ExchangeReader) -> Option<String> {
    let (request, response) = (&reader.request, &reader.response);
    let head = reader.head.as_ref();
    request
        .conversation
        .clone()
        .or_else(|| request.user_session.clone())
        .or_else(|| head.and_then(|head| heads::session(&head.fields)))
        .or_else(|| head.and_then(|head| paths::conversation(&head.path)))
        .or_else(|| response.conversation.clone())
}

/// Kind of the error that `error_type` names.
fn error_class(reader: &ExchangeReader, error_type: &str) -> &'static str {
    if error_type.is_empty() {
        return "";
    }
    let response = &reader.response;
    let words = [error_type, response.error_code.as_deref().unwrap_or_default()];
    errors::class(reader.status, &words, &response.error_text)
}

/// What tells attempts apart. A body that was not read whole may be any.
fn attempt(reader: &ExchangeReader) -> Attempt {
    let whole = reader.request_end.incomplete.is_none();
    let fingerprint = whole.then(|| reader.fingerprint()).flatten();
    let head = reader.head.as_ref();
    head.map_or_else(Attempt::default, |head| heads::attempt(&head.fields, fingerprint))
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
        Dialect::DeepgramSpeak
        | Dialect::DeepgramListen
        | Dialect::ElevenLabsSpeech
        | Dialect::Native
        | Dialect::OpenAiRealtime => paths::model_in_query(query),
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
        ..
    } = stated;
    match dialect {
        Dialect::AnthropicMessages | Dialect::BedrockConverse | Dialect::BedrockInvokeChat => Usage {
            input_tokens: add(add(input_tokens, read), created),
            ..stated
        },
        Dialect::GeminiGenerate | Dialect::GeminiLive | Dialect::GeminiInteractions => Usage {
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

/// The provider's word for the error, else the status code, else that there was one; empty when there was none.
fn error_type(reader: &ExchangeReader) -> String {
    let response = &reader.response;
    let failed = reader.status.filter(|status| *status >= 400);
    // Some servers put the error at the top: `{"object": "error", "type": ...}`.
    let flat = response
        .kind
        .clone()
        .filter(|_| response.object.as_deref() == Some("error"))
        .and_then(error_word);
    // The answer is fine; what the tool did is not.
    let tool = response.tool_failed.then(|| "tool_error".to_owned());
    let stated = response
        .error_type
        .clone()
        .or_else(|| reader.head_facts.error.clone())
        .or_else(|| response.error_code.clone())
        .or(flat)
        .or_else(|| failed.and(response.flat_code.clone()))
        .or(tool);
    stated
        .or_else(|| failed.map(|status| status.to_string()))
        .or_else(|| response.failed.then(|| OTHER_ERROR.to_owned()))
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
