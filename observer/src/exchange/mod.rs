//! An exchange: one AI request and its response, as facts. Exists only in memory; text of the bodies is not kept
//! here but handed on to the scan as it passes (see `dialect::TextSink`).

mod account;
mod dialect;

use std::collections::BTreeSet;

pub use account::{Account, AccountKind, Claim, ClaimSource, Client, ClientKind, Credential};
pub use dialect::{Dialect, DialectEvidence};

use crate::protocol::Incomplete;

/// Token counts as the answer states them. `None` is "the answer does not say", which is not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// `gen_ai.usage.input_tokens`: all input tokens, cached ones included (the parts of Anthropic
    /// and Bedrock are added up).
    pub input_tokens: Option<u64>,
    /// `gen_ai.usage.output_tokens`: all output tokens, reasoning included (Gemini's thoughts are added).
    pub output_tokens: Option<u64>,
    /// `gen_ai.usage.cache_read.input_tokens`.
    pub cache_read_input_tokens: Option<u64>,
    /// `gen_ai.usage.cache_creation.input_tokens`.
    pub cache_creation_input_tokens: Option<u64>,
    /// `gen_ai.usage.reasoning.output_tokens`.
    pub reasoning_output_tokens: Option<u64>,
    /// The part of the input that is audio.
    pub input_audio_tokens: Option<u64>,
    /// The part of the output that is audio.
    pub output_audio_tokens: Option<u64>,
}

/// Most tool calls, and most tool results, that are listed one by one; further ones are counted.
pub const MAX_TOOL_USES: usize = 64;

/// A call of a tool, or the result of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolUse {
    /// Name of the tool; empty where the body does not say.
    pub name: String,
    /// Size in bytes: of the arguments as JSON text, or of the text of the result.
    pub bytes: u64,
}

/// Calls of tools, or results, of one body in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolUses {
    /// The first [`MAX_TOOL_USES`].
    pub first: Vec<ToolUse>,
    /// All of them.
    pub count: u32,
}

impl ToolUses {
    /// One more.
    pub fn push(&mut self, one: ToolUse) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < MAX_TOOL_USES {
            self.first.push(one);
        }
    }
}

/// What an answer says of one limit. `None`: it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How much is allowed.
    pub limit: Option<u64>,
    /// How much of it is left.
    pub remaining: Option<u64>,
    /// When it is whole again, in milliseconds after the answer.
    pub reset_ms: Option<u64>,
}

/// What an answer says of limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of requests.
    pub requests: RateLimit,
    /// Of tokens.
    pub tokens: RateLimit,
    /// How long to wait before the next attempt, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What tells attempts of the same request from different requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of method, path and body as sent, equal in all attempts; `None` when the body was not read whole. Exists in
    /// memory only: whoever has a prompt could look for it.
    pub fingerprint: Option<u64>,
    /// Number of the attempt, counted from 1, where the client says it.
    pub stated: Option<u16>,
    /// Number that the client gave to the request and all its attempts.
    pub invocation: Option<String>,
}

/// Facts of calls between agents and tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rpc {
    /// Method that is called; empty outside of MCP and A2A, and where none is.
    pub method: String,
    /// `mcp.session.id`.
    pub session: Option<String>,
    /// `mcp.protocol.version`.
    pub version: Option<String>,
    /// The MCP server, as it says itself.
    pub server: Product,
}

/// A program by its own word. What it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What may tie a call to another one of the same host, of which it is a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// Trace that the request belongs to (W3C traceparent).
    pub trace: Option<String>,
    /// Number that the client gave to the request.
    pub request: Option<String>,
    /// Digest of the prompt (`dialect::PromptDigest`).
    pub prompt: Option<[u8; 24]>,
    /// Digests of what the conversation said up to each of its last turns, this request's last.
    pub turns: Vec<[u8; 16]>,
}

/// Facts of one exchange. Times are nanoseconds of the clock that the records carry (CLOCK_BOOTTIME).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// API shape.
    pub dialect: Dialect,
    /// What ties it to others.
    pub ties: Ties,
    /// Why it was taken for that.
    pub evidence: DialectEvidence,
    /// `gen_ai.operation.name`: the dialect's, or what the method of the call says.
    pub operation: &'static str,
    /// What stands in a call of MCP or A2A beside the rest.
    pub rpc: Rpc,
    /// `gen_ai.provider.name`; `unknown` where neither catalogue nor host says.
    pub provider: String,
    /// Host of the request (`Host` field).
    pub host: String,
    /// `http.request.method`.
    pub method: String,
    /// `url.template`: known path suffix with variable parts as `{name}`; never the raw path.
    pub path_template: String,
    /// `gen_ai.request.model`.
    pub request_model: Option<String>,
    /// `gen_ai.response.model`.
    pub response_model: Option<String>,
    /// `gen_ai.response.id`.
    pub response_id: Option<String>,
    /// Number that the server gave to the request, for its support to find it.
    pub request_id: Option<String>,
    /// `gen_ai.conversation.id`: conversation, thread or session that request or answer names.
    pub conversation_id: Option<String>,
    /// Response that the request goes on from.
    pub previous_response_id: Option<String>,
    /// `gen_ai.request.stream`: what the request asks for; where it is silent, whether the answer was a stream.
    pub stream: bool,
    /// Token counts.
    pub usage: Usage,
    /// `gen_ai.response.finish_reasons`, each once.
    pub finish_reasons: BTreeSet<String>,
    /// Names of tools that the answer calls, each once.
    pub tool_names: BTreeSet<String>,
    /// Calls of tools in the answer; `None` where it cannot be known.
    pub tool_calls: Option<ToolUses>,
    /// Results of tools in the request, those of earlier turns included; `None` where it cannot be known.
    pub tool_results: Option<ToolUses>,
    /// `http.response.status_code`; `None` when no response head was seen.
    pub status: Option<u16>,
    /// `error.type`: provider's error type, else the status code as text; empty when there was no error.
    pub error_type: String,
    /// What kind of error it was (`dialect::errors`); empty when there was none.
    pub error_class: &'static str,
    /// Limits as the answer states them.
    pub rate_limits: RateLimits,
    /// Whether it is another attempt of a request.
    pub attempt: Attempt,
    /// `User-Agent`, at most 256 bytes.
    pub user_agent: String,
    /// Key or token that the request carries, for a keyed hash only. Never stored, never shown.
    pub credential: Option<Credential>,
    /// Whose account that is, as far as the heads say.
    pub account: Account,
    /// Which program calls, as it says itself.
    pub client: Client,
    /// First byte of the request.
    pub started_ns: u64,
    /// First byte of the response head.
    pub first_response_ns: Option<u64>,
    /// First piece of model output in a stream.
    pub first_chunk_ns: Option<u64>,
    /// Last byte of the response, or the time at which the exchange was given up.
    pub ended_ns: u64,
    /// Request bytes as sent on the connection: head and body, before any decoding.
    pub request_bytes: u64,
    /// Response bytes as received on the connection: head and body, before any decoding.
    pub response_bytes: u64,
    /// Text of the request handed to the scan, in bytes after decoding (binary parts left out).
    pub request_text_bytes: u64,
    /// Text of the response handed to the scan, in bytes after decoding (binary parts left out).
    pub response_text_bytes: u64,
    /// Base64 images, audio and files in both bodies, in bytes as written: not scanned.
    pub binary_bytes: u64,
    /// Why the request was not read whole.
    pub request_incomplete: Option<Incomplete>,
    /// Why the response was not read whole.
    pub response_incomplete: Option<Incomplete>,
}

impl Exchange {
    /// Why the exchange was not read whole: of both sides, the request counts.
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.request_incomplete.or(self.response_incomplete)
    }
}
