//! Dialect stage: HTTP messages in, exchanges out, with the text of the bodies handed on as it passes.

mod account;
mod agent_rules;
mod body;
mod caller;
mod clients;
mod envelope;
pub mod connection;
pub(crate) mod errors;
mod facts;
mod heads;
mod hub;
mod locate;
mod names;
mod native;
mod others;
mod prompt;
pub mod reader;
mod recognise;
mod request;
mod response;
mod rpc;
mod rules;
mod socket;
mod socket_turns;
mod stdio;
#[cfg(test)]
mod tests;
mod texts;
mod tools;
mod transport;
mod upgrade;
mod vendor_rules;
mod paths;

pub use connection::{ConnectionHooks, ConnectionReader, Scope};
pub use prompt::{PromptDigest, Turn};
pub use reader::{ExchangeReader, NotAi, Outcome, Verdict};
pub use stdio::StdioReader;

use crate::protocol::Side;

/// What a text in a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextRole {
    /// Prompt content: what users and models said so far.
    Prompt,
    /// The system prompt, where it can be told from the rest before it is read.
    System,
    /// What the model answered.
    Answer,
    /// Arguments of a tool call.
    ToolArguments,
    /// Result of a tool call.
    ToolResult,
    /// Anything else in the body.
    Other,
}

/// Where in an exchange a text stands. Array indexes are erased, so a few dozen places exist per dialect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Request or response.
    pub side: Side,
    /// JSON path with indexes erased, for example `$.messages[*].content`; `$` for a body that is not JSON.
    pub path: String,
    /// What the text is.
    pub role: TextRole,
}

/// Takes the decoded text of bodies as it passes. The scan implements it; dialects only call it.
pub trait TextSink {
    /// A piece of text at `place`. Consecutive pieces of one text come in order. `text` is a number the caller
    /// gives to each separate text (each JSON string, each streamed choice): pieces with the same number
    /// belong together even when other texts come between them.
    fn text(&mut self, place: &Place, text: u64, piece: &[u8]);
    /// The text with this number is complete.
    fn end(&mut self, text: u64);
}
