//! The beginning of a body: what its head says of its form, and what its first bytes say to that.

use std::borrow::Cow;

use super::Mode;
use crate::dialect::envelope;
use crate::protocol::Side;
use crate::protocol::eventstream::EventStreamDecoder;
use crate::protocol::json::JsonWalker;
use crate::protocol::sse::SseDecoder;
use crate::protocol::urlencoded::UrlencodedDecoder;

/// Most bytes kept until the next one tells. Only blanks can be more, and of those nobody needs all.
const MAX_KEPT: usize = 1024;
/// How an event stream begins: its fields, or a comment.
const EVENT_FIELDS: &[&[u8]] = &[b"data:", b"event:", b"id:", b"retry:", b":"];

/// What a media type says of the form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Other,
    /// Server-sent events.
    Sse,
    /// JSON by lines.
    Lines,
    /// An AWS event stream.
    Events,
    /// A form without files, unless it is JSON all the same.
    Fields,
    /// Text as it is, unless it is something else all the same.
    Text,
    Binary,
}

impl Form {
    pub(super) fn of(media: &str, side: Side) -> Self {
        let starts = |types: &[&str]| types.iter().any(|kind| media.starts_with(kind));
        let response = side == Side::Response;
        if response && media.contains("text/event-stream") {
            Self::Sse
        } else if response
            && ["x-ndjson", "stream+json", "jsonl"]
                .iter()
                .any(|kind| media.contains(kind))
        {
            Self::Lines
        } else if media.contains("vnd.amazon.eventstream") {
            Self::Events
        } else if !response && media.starts_with("application/x-www-form-urlencoded") {
            Self::Fields
        } else if response && is_text(media) {
            Self::Text
        } else if starts(&["audio/", "image/", "video/", "multipart/"]) {
            Self::Binary
        } else {
            Self::Other
        }
    }
}

/// Whether an answer of this type is text for people: what was heard, and its forms with times.
fn is_text(media: &str) -> bool {
    matches!(
        envelope::essence(media),
        "text/plain" | "text/vtt" | "text/srt" | "application/x-subrip"
    )
}

/// Whose body it is, what its head says of it, and whether it began as a JSON object or array, once that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) side: Side,
    pub(super) form: Form,
    pub(super) json: Option<bool>,
}

impl Opening {
    pub(super) fn new(side: Side, form: Form) -> Self {
        Self {
            side,
            form,
            json: None,
        }
    }
}

/// First bytes of a body that do not tell yet.
#[derive(Default)]
pub(super) struct Start {
    kept: Vec<u8>,
    /// What the head says. A request that begins as a JSON object is one all the same: there are servers that look at
    /// nothing else.
    named: Option<Box<Mode>>,
}

/// What a body turned out to be.
pub(super) struct Told<'a> {
    pub(super) mode: Mode,
    /// Its bytes so far.
    pub(super) bytes: Cow<'a, [u8]>,
    /// How many blanks stand before what is to be read.
    pub(super) skip: usize,
    /// It is nothing that was to be expected.
    pub(super) flaw: bool,
}

impl Start {
    /// The start of a body of which the head says what it is.
    pub(super) fn named(mode: Mode) -> Self {
        Self {
            kept: Vec::new(),
            named: Some(Box::new(mode)),
        }
    }

    /// Takes the next bytes; gives what the body is once they tell.
    pub(super) fn push<'a>(&mut self, opening: &Opening, piece: &'a [u8]) -> Option<Told<'a>> {
        let mut bytes = Cow::Borrowed(piece);
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(piece);
            bytes = Cow::Owned(std::mem::take(&mut self.kept));
        }
        let blanks = bytes.iter().take_while(|b| is_blank(**b)).count();
        let rest = bytes.get(blanks..).unwrap_or_default();
        // What is no text has no blanks in front.
        let by_head = self.named.is_some() || opening.form == Form::Binary;
        let found = match by_head {
            true => self.by_head(opening, rest).map(|mode| (mode, false)),
            false => by_bytes(opening, rest),
        };
        let is_json = matches!(found, Some((Mode::Json(_), _)));
        let skip = if by_head && !is_json { 0 } else { blanks };
        let Some((mode, flaw)) = found else {
            self.kept = bytes.get(skip..).unwrap_or_default().to_vec();
            self.kept.truncate(MAX_KEPT);
            return None;
        };
        Some(Told {
            mode,
            bytes,
            skip,
            flaw,
        })
    }

    /// No byte comes behind the ones so far: what the body is, if there are any or its head says it.
    pub(super) fn close(&mut self, opening: &Opening) -> Option<Told<'static>> {
        let bytes = std::mem::take(&mut self.kept);
        let (mode, flaw) = match self.named.take() {
            Some(named) => (*named, false),
            None if bytes.is_empty() => return None,
            None if opening.form == Form::Binary => (Mode::Binary, false),
            None => (Mode::Raw, opening.form != Form::Text),
        };
        Some(Told {
            mode,
            bytes: Cow::Owned(bytes),
            skip: 0,
            flaw,
        })
    }

    /// What a body is that is no text by its head; `rest`: its bytes without blanks in front.
    fn by_head(&mut self, opening: &Opening, rest: &[u8]) -> Option<Mode> {
        let is_object = match opening.side {
            Side::Request => begins_object(rest)?,
            Side::Response => false,
        };
        Some(match self.named.take() {
            _ if is_object => Mode::Json(JsonWalker::new()),
            Some(named) => *named,
            None => Mode::Binary,
        })
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf)
}

/// Whether bytes begin as a JSON object does. Samples of audio may begin with a brace, too.
fn begins_object(rest: &[u8]) -> Option<bool> {
    let (brace, inside) = rest.split_first()?;
    if *brace != b'{' {
        return Some(false);
    }
    let next = inside.iter().find(|b| !b.is_ascii_whitespace())?;
    Some(matches!(next, b'"' | b'}'))
}

/// Whether bytes begin as an event stream does.
fn begins_events(rest: &[u8]) -> Option<bool> {
    if EVENT_FIELDS.iter().any(|field| rest.starts_with(field)) {
        return Some(true);
    }
    match EVENT_FIELDS.iter().any(|field| field.starts_with(rest)) {
        true => None,
        false => Some(false),
    }
}

/// What a body is by its first bytes, without blanks in front, and whether it is nothing that was to be expected.
fn by_bytes(opening: &Opening, rest: &[u8]) -> Option<(Mode, bool)> {
    let response = opening.side == Side::Response;
    Some(match rest.first()? {
        0 if opening.form == Form::Events => (Mode::Events(EventStreamDecoder::default(), None), false),
        b'{' | b'[' => (Mode::Json(JsonWalker::new()), false),
        _ if opening.form == Form::Sse => (Mode::Sse(SseDecoder::new()), false),
        _ if opening.form == Form::Fields => (Mode::Fields(UrlencodedDecoder::default()), false),
        _ if response && begins_events(rest)? => (Mode::Sse(SseDecoder::new()), false),
        // Some answers are for one program only (`)]}'`, then lengths and JSON by lines): no JSON, and no mistake.
        first => (
            Mode::Raw,
            opening.form != Form::Text && !(response && *first == b')'),
        ),
    })
}
