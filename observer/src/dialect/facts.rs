//! Puts together the facts of a finished exchange.

use super::reader::ExchangeReader;
use super::recognise;
use crate::exchange::{Credential, Dialect, DialectEvidence, Exchange, Usage};
use crate::protocol::RequestHead;

/// Longest user agent kept.
const MAX_USER_AGENT: usize = 256;
/// Longest credential kept.
const MAX_CREDENTIAL: usize = 8 * 1024;
/// Header fields that carry a key as they stand.
const KEY_FIELDS: &[&str] = &[
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
];

/// The facts of `reader`; `streamed` says whether the answer was an event stream.
pub(super) fn exchange(
    reader: ExchangeReader,
    dialect: Dialect,
    evidence: DialectEvidence,
    streamed: bool,
    ended_ns: u64,
) -> Exchange {
    let error_type = error_type(&reader);
    let usage = usage(dialect, reader.response.usage);
    let ExchangeReader {
        head,
        host,
        catalog,
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
    let credential = head.as_ref().and_then(credential);
    let user_agent = head
        .as_ref()
        .and_then(|h| h.fields.get("user-agent"))
        .unwrap_or_default();
    Exchange {
        dialect,
        evidence,
        provider: catalog.map_or_else(|| "unknown".to_owned(), |m| m.provider),
        host,
        path_template: head
            .as_ref()
            .map_or_else(String::new, |h| recognise::template(&h.path)),
        method: head.map(|h| h.method).unwrap_or_default(),
        request_model: request.model,
        response_model: response.model,
        response_id: response.id,
        conversation_id: request.conversation,
        stream: request.stream.unwrap_or(streamed),
        usage,
        finish_reasons,
        tool_names: response.tools,
        status: reader.status,
        error_type,
        user_agent: cut(user_agent, MAX_USER_AGENT),
        credential,
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

/// Anthropic counts cached input apart from `input_tokens`; everybody else includes it.
fn usage(dialect: Dialect, stated: Usage) -> Usage {
    if dialect != Dialect::AnthropicMessages {
        return stated;
    }
    let cached = stated.cache_read_input_tokens.unwrap_or(0);
    let created = stated.cache_creation_input_tokens.unwrap_or(0);
    let all = stated
        .input_tokens
        .map(|input| input.saturating_add(cached).saturating_add(created));
    Usage {
        input_tokens: all,
        ..stated
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
        .or_else(|| response.error_code.clone())
        .or(flat);
    stated
        .or_else(|| failed.map(|status| status.to_string()))
        .unwrap_or_default()
}

fn credential(head: &RequestHead) -> Option<Credential> {
    let of_field = |name: &&str| head.fields.all(name).next().map(<[u8]>::to_vec);
    let authorization = head.fields.all("authorization").next().and_then(|value| {
        let at = value.iter().position(|b| *b == b' ')?;
        let (scheme, token) = value.split_at(at);
        let takes = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"basic");
        takes.then(|| token.trim_ascii().to_vec())
    });
    let in_query = || head.query.split('&').find_map(|pair| pair.strip_prefix("key="));
    let found = KEY_FIELDS
        .iter()
        .find_map(of_field)
        .or(authorization)
        .or_else(|| in_query().map(|key| key.as_bytes().to_vec()));
    found
        .filter(|key| !key.is_empty() && key.len() <= MAX_CREDENTIAL)
        .map(Credential)
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
