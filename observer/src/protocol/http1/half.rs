//! State of one direction of a connection.

use super::chunked::Chunked;
use crate::{budget::Held, protocol::Incomplete};

/// State of one direction.
/// ```text
/// Start -> Length | Chunked | UntilClose -> Start
///   any -> Seeking (hole, nonsense) -> Start at the next push
///   Chunked -> Rejoin (hole) -> Chunked, or Start, at a push that begins like a chunk or a message
///   any -> Tunnel (switched protocol), Over (closed)
/// ```
#[derive(Debug)]
pub(super) enum State {
    /// Before or inside a head (kept in `Half::head`).
    Start,
    /// Lost: skip until the next push.
    Seeking,
    Length {
        left: u64,
    },
    Chunked(Chunked),
    /// In a chunked body behind a hole.
    Rejoin,
    UntilClose,
    /// The connection speaks another protocol.
    Tunnel,
    Over,
}

pub(super) struct Half {
    pub(super) state: State,
    pub(super) head: Held,
    /// The start line in `head` is whole and good.
    pub(super) started: bool,
    /// Bytes of the current message on the connection.
    pub(super) wire: u64,
    /// Exchange of the current message; valid in body states.
    pub(super) exchange: u64,
    /// A hole was inside the current body.
    pub(super) gapped: bool,
    /// Why bytes are skipped while there is no message.
    pub(super) skip_reason: Incomplete,
}

/// A request whose response has not begun.
#[derive(Debug)]
pub(super) struct Awaiting {
    pub(super) exchange: u64,
    pub(super) method: Method,
}

/// What of the method matters for the framing of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

impl Half {
    /// Whether the next byte begins a message.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Start) && self.head.is_empty()
    }

    /// `bytes` more belong to the current message. Holes of absurd length may have come before.
    pub(super) fn count(&mut self, bytes: usize) {
        self.wire = self.wire.saturating_add(bytes as u64);
    }

    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            head: Held::default(),
            started: false,
            wire: 0,
            exchange: 0,
            gapped: false,
            skip_reason: Incomplete::Malformed,
        }
    }
}
