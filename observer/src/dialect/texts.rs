//! Hands text on to the scan: numbers texts, names their places, decodes JSON inside strings, leaves binary out.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Place, TextRole, TextSink};
use crate::budget::Held;
use crate::protocol::Side;
use crate::protocol::json::Escapes;
use crate::protocol::json::path::{Cursor, PathId};

/// Longest fact (model name, identifier) that is kept; a longer one is text.
pub(super) const MAX_FACT: usize = 256;
/// Longest fragment of a streamed text that is held until its event is read.
pub(super) const MAX_FRAGMENT: usize = 1024 * 1024;
/// Bytes of a string that tell base64 from text.
const PROBE: usize = 256;
/// Longest key that is taken for a name in an API.
const MAX_PLAIN_KEY: usize = 40;
/// Text numbers of the response begin here.
const RESPONSE_TEXTS: u64 = 1 << 48;

/// JSON inside a string (tool arguments, tool results) carries a second layer of escapes: `\nAKIA` must not reach the
/// scan as the letter n before a token.
#[derive(Debug, Clone, Copy)]
enum Filter {
    Undecided,
    Plain,
    Json(Escapes),
}

/// One text being handed on.
#[derive(Debug)]
pub(super) struct Text {
    number: u64,
    place: Arc<Place>,
    filter: Filter,
    /// It has a name before it, and ends with the quotation mark that JSON has there.
    named: bool,
}

/// Text output of one side of an exchange.
#[derive(Debug)]
pub(super) struct Texts {
    side: Side,
    next: u64,
    places: HashMap<(PathId, TextRole), Arc<Place>>,
    /// Bytes handed on.
    pub(super) bytes: u64,
    /// Bytes left out as binary.
    pub(super) binary: u64,
}

impl Texts {
    pub(super) fn new(side: Side) -> Self {
        let next = if side == Side::Request { 0 } else { RESPONSE_TEXTS };
        Self {
            side,
            next,
            places: HashMap::new(),
            bytes: 0,
            binary: 0,
        }
    }

    /// Begins a text at `path`.
    pub(super) fn begin(&mut self, cursor: &Cursor, path: PathId, role: TextRole) -> Text {
        let side = self.side;
        let place = self.places.entry((path, role)).or_insert_with(|| {
            Arc::new(Place {
                side,
                path: cursor.text(path),
                role,
            })
        });
        let text = Text {
            number: self.next,
            place: Arc::clone(place),
            filter: Filter::Undecided,
            named: false,
        };
        self.next += 1;
        text
    }

    /// Begins the text of a body that cannot be parsed.
    pub(super) fn begin_raw(&mut self, cursor: &Cursor) -> Text {
        let mut text = self.begin(cursor, PathId::ROOT, TextRole::Other);
        text.filter = Filter::Json(Escapes::default());
        text
    }

    pub(super) fn piece(&mut self, text: &mut Text, piece: &[u8], sink: &mut dyn TextSink) {
        if matches!(text.filter, Filter::Undecided)
            && let Some(first) = piece.iter().find(|b| !b.is_ascii_whitespace())
        {
            let tool = matches!(text.place.role, TextRole::ToolArguments | TextRole::ToolResult);
            let json = *first == b'{' || (*first == b'[' && tool);
            text.filter = if json {
                Filter::Json(Escapes::default())
            } else {
                Filter::Plain
            };
        }
        let (number, place, bytes) = (text.number, &text.place, &mut self.bytes);
        let mut out = |piece: &[u8]| {
            *bytes += piece.len() as u64;
            sink.text(place, number, piece);
        };
        match &mut text.filter {
            Filter::Json(escapes) => escapes.all(piece, &mut out),
            Filter::Plain | Filter::Undecided => out(piece),
        }
    }

    pub(super) fn end(&mut self, text: Text, sink: &mut dyn TextSink) {
        if let Filter::Json(mut escapes) = text.filter {
            escapes.finish(&mut |piece| {
                self.bytes += piece.len() as u64;
                sink.text(&text.place, text.number, piece);
            });
        }
        if text.named {
            sink.text(&text.place, text.number, b"\"");
        }
        sink.end(text.number);
    }

    /// Hands on a number with its name, as JSON has it. What is added is no part of what was said, and is not counted.
    pub(super) fn number(
        &mut self,
        cursor: &Cursor,
        (role, name): (TextRole, &[u8]),
        text: &[u8],
        sink: &mut dyn TextSink,
    ) {
        let mut open = self.begin(cursor, cursor.path(), role);
        if !name.is_empty() {
            sink.text(&open.place, open.number, &[b"\"", name, b"\": "].concat());
        }
        self.piece(&mut open, text, sink);
        self.end(open, sink);
    }

    /// Hands on a text that is there as a whole.
    pub(super) fn whole(
        &mut self,
        cursor: &Cursor,
        path: PathId,
        role: TextRole,
        text: &[u8],
        sink: &mut dyn TextSink,
    ) {
        let mut open = self.begin(cursor, path, role);
        self.piece(&mut open, text, sink);
        self.end(open, sink);
    }
}

/// What to do with a string value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Hand it on.
    Text(TextRole),
    /// Keep up to `limit` bytes for `StringReader::end` to return; a longer one is handed on instead.
    Keep { limit: usize, spill: TextRole },
    /// Hand it on unless it is base64 or a `data:` URL.
    Probe(TextRole),
    /// Hand it on as JSON that stands in a text.
    Raw,
    /// Leave it out: its text was or will be handed on from elsewhere.
    Skip,
}

enum Mode {
    Idle,
    Text(Text),
    Keep(usize, TextRole),
    Probe(TextRole),
    Binary,
    Skip,
}

/// Reads one string value after another.
pub(super) struct StringReader {
    mode: Mode,
    kept: Held,
}

impl StringReader {
    pub(super) fn new() -> Self {
        Self {
            mode: Mode::Idle,
            kept: Held::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.mode, Mode::Idle)
    }

    /// A string value begins at the cursor.
    pub(super) fn begin(&mut self, action: Action, texts: &mut Texts, cursor: &Cursor) {
        self.kept.clear();
        self.mode = match action {
            Action::Text(role) => Mode::Text(texts.begin(cursor, cursor.path(), role)),
            Action::Keep { limit, spill } => Mode::Keep(limit, spill),
            Action::Probe(role) => Mode::Probe(role),
            Action::Raw => Mode::Text(texts.begin_raw(cursor)),
            Action::Skip => Mode::Skip,
        };
    }

    /// The string that just began has a name: it goes before the text, as JSON has it, and is not counted.
    pub(super) fn named(&mut self, name: &[u8], sink: &mut dyn TextSink) {
        if let Mode::Text(text) = &mut self.mode
            && !name.is_empty()
        {
            sink.text(&text.place, text.number, &[b"\"", name, b"\": \""].concat());
            text.named = true;
        }
    }

    pub(super) fn piece(
        &mut self,
        piece: &[u8],
        texts: &mut Texts,
        cursor: &Cursor,
        sink: &mut dyn TextSink,
    ) {
        match &mut self.mode {
            Mode::Text(text) => texts.piece(text, piece, sink),
            Mode::Keep(limit, spill) => {
                let (limit, spill) = (*limit, *spill);
                let take = piece.len().min(limit - self.kept.len());
                let kept = if self.kept.extend(&piece[..take]) { take } else { 0 };
                if kept < piece.len() {
                    self.spill(spill, texts, cursor, sink);
                    self.piece(&piece[kept..], texts, cursor, sink);
                }
            }
            Mode::Probe(role) => {
                let role = *role;
                let take = piece.len().min(PROBE - self.kept.len());
                // So few always have room.
                self.kept.extend(&piece[..take]);
                if self.kept.len() == PROBE {
                    if is_binary(&self.kept) {
                        texts.binary += self.kept.len() as u64;
                        self.mode = Mode::Binary;
                    } else {
                        self.spill(role, texts, cursor, sink);
                    }
                    self.piece(&piece[take..], texts, cursor, sink);
                }
            }
            Mode::Binary => texts.binary += piece.len() as u64,
            Mode::Skip | Mode::Idle => {}
        }
    }

    /// The string is complete. Returns it when it was kept.
    pub(super) fn end(
        &mut self,
        texts: &mut Texts,
        cursor: &Cursor,
        sink: &mut dyn TextSink,
    ) -> Option<&[u8]> {
        match std::mem::replace(&mut self.mode, Mode::Idle) {
            Mode::Text(text) => texts.end(text, sink),
            Mode::Keep(..) => return Some(&self.kept),
            // Too short to tell base64 from a token: better scanned once too often.
            Mode::Probe(role) => texts.whole(cursor, cursor.path(), role, &self.kept, sink),
            Mode::Binary | Mode::Skip | Mode::Idle => {}
        }
        None
    }

    /// The document broke off: what was held back is handed on.
    pub(super) fn abort(&mut self, texts: &mut Texts, cursor: &Cursor, sink: &mut dyn TextSink) {
        if let Mode::Keep(_, spill) = self.mode {
            self.spill(spill, texts, cursor, sink);
        }
        self.end(texts, cursor, sink);
    }

    fn spill(&mut self, role: TextRole, texts: &mut Texts, cursor: &Cursor, sink: &mut dyn TextSink) {
        let mut text = texts.begin(cursor, cursor.path(), role);
        texts.piece(&mut text, &self.kept, sink);
        self.kept.clear();
        self.mode = Mode::Text(text);
    }
}

/// Whether a key is no more than a name in an API: letters only, so neither a token nor an address.
pub(super) fn plain_key(key: &[u8]) -> bool {
    key.len() <= MAX_PLAIN_KEY
        && key
            .iter()
            .all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-'))
}

/// Base64 (either alphabet) throughout, or a `data:` URL that says so.
fn is_binary(probe: &[u8]) -> bool {
    if probe.starts_with(b"data:")
        && memchr::memmem::find(&probe[..probe.len().min(128)], b";base64,").is_some()
    {
        return true;
    }
    probe
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}
