//! What a message is: a request, a notification or an answer, and which one. Read while it passes.

use super::super::json::{Container, JsonEvents, JsonWalker, Literal, Numbers};

/// Longest identifier of a request that is kept; a longer one is none.
pub(super) const MAX_ID: usize = 128;
/// The only version there is.
const VERSION: &[u8] = b"2.0";

/// Identifier of a request: a number or a string, as written. Chosen by a peer, so it is compared and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Id {
    text: bool,
    value: Vec<u8>,
}

/// What a message is, as far as its keys have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Not known.
    Unknown,
    /// It has a method: a request, or without an identifier a notification.
    Request,
    /// It has a result or an error.
    Answer,
}

/// Reads the outer keys of one message.
#[derive(Default)]
pub struct Envelope {
    walker: JsonWalker,
    outer: Outer,
}

impl Envelope {
    /// Takes the next bytes of the message.
    pub fn push(&mut self, data: &[u8]) {
        // What is not JSON says nothing more.
        let _ = self.walker.push(data, &mut self.outer);
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.outer.kind
    }

    /// Its identifier.
    pub fn id(&self) -> Option<&Id> {
        self.outer.id.as_ref()
    }

    /// Whether it says that it is JSON-RPC 2.0.
    pub fn is_rpc(&self) -> bool {
        self.outer.version
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Version,
    Id,
    Other,
}

/// State of the outer keys.
struct Outer {
    depth: usize,
    key: Key,
    /// String being read; one byte more than the longest that counts.
    scratch: Vec<u8>,
    kind: Kind,
    id: Option<Id>,
    version: bool,
}

impl Default for Outer {
    fn default() -> Self {
        Self {
            depth: 0,
            key: Key::Other,
            scratch: Vec::new(),
            kind: Kind::Unknown,
            id: None,
            version: false,
        }
    }
}

impl Outer {
    fn is_wanted(&self) -> bool {
        self.depth == 1 && self.key != Key::Other
    }

    fn id(&mut self, text: bool, value: &[u8]) {
        let value = value.to_vec();
        self.id = (value.len() <= MAX_ID).then_some(Id { text, value });
    }
}

impl JsonEvents for Outer {
    fn begin(&mut self, _: Container) {
        self.depth += 1;
    }

    fn end(&mut self, _: Container) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn key(&mut self, key: &[u8], _: bool) {
        if self.depth != 1 {
            return;
        }
        self.scratch.clear();
        self.key = match key {
            b"jsonrpc" => Key::Version,
            b"id" => Key::Id,
            _ => Key::Other,
        };
        match key {
            b"method" => self.kind = Kind::Request,
            b"result" | b"error" if self.kind == Kind::Unknown => self.kind = Kind::Answer,
            _ => {}
        }
    }

    fn string(&mut self, piece: &[u8]) {
        if self.is_wanted() {
            let room = (MAX_ID + 1).saturating_sub(self.scratch.len());
            self.scratch.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }

    fn string_end(&mut self) {
        if self.is_wanted() {
            let value = std::mem::take(&mut self.scratch);
            match self.key {
                Key::Version => self.version = value == VERSION,
                Key::Id => self.id(true, &value),
                Key::Other => {}
            }
        }
    }

    fn number(&mut self, text: &[u8]) {
        if self.depth == 1 && self.key == Key::Id {
            self.id(false, text);
        }
    }

    fn numbers(&mut self, _: &Numbers<'_>) {}

    fn literal(&mut self, _: Literal) {}
}
