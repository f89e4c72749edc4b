//! One body on its way: content coding off, then JSON, an event stream of JSON, or text that is neither.

mod start;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::envelope::{self, Envelopes};
use crate::protocol::encoding::{ContentDecoder, EncodingLoss};
use crate::protocol::eventstream::{EventStreamDecoder, Message};
use crate::protocol::json::{JsonEvents, JsonWalker};
use crate::protocol::multipart::{MultipartDecoder, Part, PartEvents};
use crate::protocol::sse::SseDecoder;
use crate::protocol::urlencoded::UrlencodedDecoder;
use crate::protocol::{Fields, Incomplete, Side};
use start::{Form, Opening, Start, Told};

/// Takes the content of a body.
pub(super) trait Document: JsonEvents {
    /// An event of a stream begins; its data follows as JSON events.
    fn event(&mut self, name: &[u8]);
    /// The document broke off: the next JSON event belongs to a new one.
    fn broken(&mut self);
    /// Bytes that are not JSON.
    fn raw(&mut self, piece: &[u8]);
    /// No more of them for now.
    fn raw_end(&mut self);
    /// An exception of this name ended the stream.
    fn failed(&mut self, name: &[u8]);
    /// A field of a form begins; its value follows as pieces.
    fn field(&mut self, name: &str);
    /// A piece of its value.
    fn field_piece(&mut self, piece: &[u8]);
    /// It is complete.
    fn field_end(&mut self);
    /// So many bytes of audio, images or files.
    fn binary(&mut self, bytes: u64);
    /// A piece of the answer is there, in a form that has no fragments.
    fn output(&mut self) {}
}

enum Mode {
    /// Nothing so far that tells; bytes of a byte order mark count as blanks.
    Sniff(Start),
    Json(JsonWalker),
    Sse(SseDecoder),
    /// An AWS event stream, and the body whose parts are its events (SageMaker).
    Events(EventStreamDecoder, Option<Box<Mode>>),
    /// Behind a hole in JSON by lines: up to the next line.
    ToLine,
    Raw,
    /// A form, and whether the current part of it is a file.
    Form(MultipartDecoder, bool),
    /// A form without files.
    Fields(UrlencodedDecoder),
    /// Messages of gRPC or Connect.
    Messages(Box<Envelopes>),
    /// Audio, images or files.
    Binary,
}

/// Reader of one body.
pub(super) struct Body {
    decoder: ContentDecoder,
    /// A field that is not known may name a content coding: the first byte has to tell.
    coding_unknown: bool,
    mode: Mode,
    /// What head and first bytes say of the form.
    opening: Opening,
    /// Bytes after content decoding.
    decoded: u64,
    /// Worst thing that happened to the content.
    incomplete: Option<Incomplete>,
}

impl Body {
    /// A reader for a body behind a head with these fields; `unknown`: and with others that are not known.
    pub(super) fn new(side: Side, fields: &Fields, unknown: bool) -> Self {
        let codings: Vec<String> = fields
            .all("content-encoding")
            .map(|v| String::from_utf8_lossy(v).into_owned())
            .collect();
        let kind = fields.get("content-type").unwrap_or_default();
        let media = kind.to_ascii_lowercase();
        let named = match (MultipartDecoder::new(&kind), Envelopes::of(&media, fields)) {
            (Some(form), _) => Some(Mode::Form(form, false)),
            (None, Some(messages)) => Some(Mode::Messages(Box::new(messages))),
            // A message of Connect that is alone in its body.
            (None, None) => envelope::is_proto(&media).then_some(Mode::Raw),
        };
        let start = named.map_or_else(Start::default, Start::named);
        Self {
            decoder: ContentDecoder::new(Some(&codings.join(","))),
            coding_unknown: unknown && codings.is_empty(),
            mode: Mode::Sniff(start),
            opening: Opening::new(side, Form::of(&media, side)),
            decoded: 0,
            incomplete: None,
        }
    }

    pub(super) fn decoded(&self) -> u64 {
        self.decoded
    }

    pub(super) fn incomplete(&self) -> Option<Incomplete> {
        self.incomplete
    }

    /// Whether the body is a stream of events or of JSON by lines.
    pub(super) fn is_stream(&self) -> bool {
        let sniffing = matches!(self.mode, Mode::Sniff(_));
        matches!(self.mode, Mode::Sse(_) | Mode::Events(..))
            || self.opening.form == Form::Lines
            || (self.opening.form == Form::Sse && sniffing)
    }

    /// Whether the body began as JSON does, once its first bytes tell.
    pub(super) fn begins_as_json(&self) -> Option<bool> {
        self.opening.json
    }

    pub(super) fn push(&mut self, data: &[u8], document: &mut impl Document) {
        if let (true, Some(first)) = (self.coding_unknown, data.first()) {
            self.coding_unknown = false;
            self.decoder = ContentDecoder::new(coding_by_first_byte(*first));
        }
        let Self {
            decoder,
            mode,
            opening,
            decoded,
            incomplete,
            ..
        } = self;
        let result = decoder.push(data, &mut |piece| {
            *decoded += piece.len() as u64;
            content(mode, opening, piece, document, incomplete);
        });
        if let Err(loss) = result {
            incomplete.get_or_insert(encoding_loss(loss));
        }
    }

    /// Bytes are missing here.
    pub(super) fn gap(&mut self, document: &mut impl Document) {
        self.incomplete = Some(Incomplete::Gap);
        self.decoder.gap();
        settle(&mut self.mode, &mut self.opening, document, &mut self.incomplete);
        match &mut self.mode {
            Mode::Sse(sse) => {
                sse.gap();
                document.broken();
            }
            Mode::Events(events, parts) => {
                events.gap();
                document.broken();
                // Where the body in the parts goes on is not known.
                if let Some(parts) = parts {
                    **parts = Mode::Raw;
                }
            }
            Mode::Json(_) | Mode::Sniff(_) if self.opening.form == Form::Lines => {
                document.broken();
                self.mode = Mode::ToLine;
            }
            Mode::Json(_) | Mode::Sniff(_) => {
                document.broken();
                self.opening.json.get_or_insert(false);
                self.mode = Mode::Raw;
            }
            Mode::Raw => document.raw_end(),
            Mode::Messages(messages) => messages.gap(document),
            Mode::Form(form, file) => {
                form.close(&mut Parts { document, file });
                self.mode = Mode::Binary;
            }
            Mode::Fields(form) => {
                let file = &mut false;
                form.close(&mut Parts { document, file });
            }
            Mode::ToLine | Mode::Binary => {}
        }
    }

    /// The body is over; `clean` as far as the framing knows.
    pub(super) fn close(&mut self, clean: bool, document: &mut impl Document) {
        end(&mut self.mode, &mut self.opening, document, &mut self.incomplete);
        document.raw_end();
        if clean && !self.decoder.is_complete() {
            self.incomplete.get_or_insert(Incomplete::Encoding);
        }
    }
}

/// First bytes that do not tell yet are not followed by more.
fn settle(
    mode: &mut Mode,
    opening: &mut Opening,
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    if let Mode::Sniff(start) = mode
        && let Some(told) = start.close(opening)
    {
        begin(mode, opening, told, document, incomplete);
    }
}

/// A body ends in this mode.
fn end(
    mode: &mut Mode,
    opening: &mut Opening,
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    settle(mode, opening, document, incomplete);
    match mode {
        Mode::Json(walker) => {
            if walker.close(document).is_err() {
                document.broken();
                incomplete.get_or_insert(Incomplete::Malformed);
            }
        }
        Mode::Sse(sse) => {
            let is_whole = incomplete.is_none();
            sse.close(&mut |name, data| event(name, data, document, incomplete));
            if is_whole && sse.lost() > 0 {
                *incomplete = Some(Incomplete::OverBudget);
            }
        }
        Mode::Events(events, parts) => {
            if let Some(parts) = parts {
                let opening = &mut Opening::new(opening.side, Form::Other);
                end(parts, opening, document, incomplete);
            }
            events.close();
            if events.lost() > 0 {
                incomplete.get_or_insert(if events.is_over_budget() {
                    Incomplete::OverBudget
                } else {
                    Incomplete::Malformed
                });
            }
        }
        Mode::Messages(messages) => {
            if let Some(loss) = messages.close(document) {
                incomplete.get_or_insert(loss);
            }
        }
        Mode::Form(form, file) => {
            if !form.is_over() {
                incomplete.get_or_insert(Incomplete::Malformed);
            }
            form.close(&mut Parts { document, file });
        }
        Mode::Fields(form) => {
            let file = &mut false;
            form.close(&mut Parts { document, file });
        }
        Mode::Raw | Mode::Sniff(_) | Mode::ToLine | Mode::Binary => {}
    }
}

/// The coding of a body that begins with this byte, where a head does not tell: gzip and zstd name themselves, text
/// begins with a character. Anything else has a coding that is not known.
fn coding_by_first_byte(first: u8) -> Option<&'static str> {
    match first {
        0x1f => Some("gzip"),
        0x28 => Some("zstd"),
        0xef => None,
        b if b.is_ascii_graphic() || b.is_ascii_whitespace() => None,
        _ => Some("unknown"),
    }
}

pub(super) fn encoding_loss(loss: EncodingLoss) -> Incomplete {
    match loss {
        EncodingLoss::OverBudget => Incomplete::OverBudget,
        EncodingLoss::Unsupported | EncodingLoss::Corrupt | EncodingLoss::Ended => Incomplete::Encoding,
    }
}

fn content(
    mode: &mut Mode,
    opening: &mut Opening,
    piece: &[u8],
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    let mut rest = piece;
    if matches!(mode, Mode::ToLine) {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return;
        };
        rest = &rest[end + 1..];
        *mode = Mode::Sniff(Start::default());
    }
    match mode {
        Mode::Sniff(start) => {
            if let Some(told) = start.push(opening, rest) {
                begin(mode, opening, told, document, incomplete);
            }
        }
        _ => read(mode, opening, rest, document, incomplete),
    }
}

/// The first bytes have told what the body is.
fn begin(
    mode: &mut Mode,
    opening: &mut Opening,
    told: Told<'_>,
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    if told.flaw {
        incomplete.get_or_insert(Incomplete::Malformed);
    }
    *mode = told.mode;
    opening.json.get_or_insert(matches!(mode, Mode::Json(_)));
    let rest = told.bytes.get(told.skip..).unwrap_or_default();
    if !rest.is_empty() {
        read(mode, opening, rest, document, incomplete);
    }
}

fn read(
    mode: &mut Mode,
    opening: &Opening,
    rest: &[u8],
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    match mode {
        Mode::Json(walker) => {
            if let Err((loss, read)) = walker.push(rest, document) {
                incomplete.get_or_insert(json_loss(loss));
                document.broken();
                document.raw(&rest[read..]);
                *mode = Mode::Raw;
            }
        }
        Mode::Sse(sse) => {
            let (is_whole, lost) = (incomplete.is_none(), sse.lost());
            sse.push(rest, &mut |name, data| event(name, data, document, incomplete));
            if is_whole && sse.lost() > lost {
                // Cut for want of room, and no JSON only because of that.
                *incomplete = Some(Incomplete::OverBudget);
            }
        }
        Mode::Events(events, parts) => events.push(rest, &mut |message| {
            if message.name == b"PayloadPart" {
                let parts = parts.get_or_insert_with(|| Box::new(Mode::Sniff(Start::default())));
                let opening = &mut Opening::new(opening.side, Form::Other);
                content(parts, opening, message.payload, document, incomplete);
            } else {
                told(message, document, incomplete);
            }
        }),
        Mode::Raw => document.raw(rest),
        Mode::Messages(messages) => messages.push(rest, document, incomplete),
        Mode::Form(form, file) => form.push(rest, &mut Parts { document, file }),
        Mode::Fields(form) => {
            let file = &mut false;
            form.push(rest, &mut Parts { document, file });
        }
        Mode::Binary => document.binary(rest.len() as u64),
        Mode::Sniff(_) | Mode::ToLine => {}
    }
}

/// Hands the parts of a form on to a document.
struct Parts<'a, D> {
    document: &'a mut D,
    file: &'a mut bool,
}

impl<D: Document> PartEvents for Parts<'_, D> {
    fn begin(&mut self, part: Part) {
        *self.file = part.file;
        if !part.file {
            self.document.field(&part.name);
        }
    }

    fn content(&mut self, piece: &[u8]) {
        match *self.file {
            true => self.document.binary(piece.len() as u64),
            false => self.document.field_piece(piece),
        }
    }

    fn end(&mut self) {
        if !*self.file {
            self.document.field_end();
        }
    }
}

/// One message of an AWS event stream. An answer of `invoke` is wrapped: `{"bytes": base64 of what the model says}`.
fn told(message: Message<'_>, document: &mut impl Document, incomplete: &mut Option<Incomplete>) {
    if message.payload.first() == Some(&0) {
        // What clients send is signed: each event stands in a message that holds nothing else.
        let mut inner = EventStreamDecoder::default();
        inner.push(message.payload, &mut |event| {
            if event.payload.first() != Some(&0) {
                told(event, document, incomplete);
            }
        });
        return;
    }
    if message.name == b"chunk"
        && let Some(inner) = wrapped(message.payload)
    {
        event(b"", &inner, document, incomplete);
        return;
    }
    event(message.name, message.payload, document, incomplete);
    if message.failed {
        document.failed(message.name);
    }
}

/// The content of `"bytes"`, decoded. Base64 needs no escapes, so the first quote ends it.
fn wrapped(payload: &[u8]) -> Option<Vec<u8>> {
    const KEY: &[u8] = b"\"bytes\"";
    let rest = payload.get(memchr::memmem::find(payload, KEY)? + KEY.len()..)?;
    let rest = rest.get(memchr::memchr(b'"', rest)? + 1..)?;
    STANDARD.decode(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
}

/// One event: JSON, the end mark `[DONE]`, or text.
pub(super) fn event(
    name: &[u8],
    data: &[u8],
    document: &mut impl Document,
    incomplete: &mut Option<Incomplete>,
) {
    let trimmed = data.trim_ascii();
    if trimmed.is_empty() || trimmed == b"[DONE]" {
        return;
    }
    document.event(name);
    if !matches!(trimmed[0], b'{' | b'[') {
        document.raw(data);
        document.raw_end();
        return;
    }
    let mut walker = JsonWalker::new();
    let failed = match walker.push(data, document) {
        Err((loss, read)) => Some((json_loss(loss), read)),
        Ok(()) => walker
            .close(document)
            .err()
            .map(|loss| (json_loss(loss), data.len())),
    };
    if let Some((loss, read)) = failed {
        incomplete.get_or_insert(loss);
        document.broken();
        if read < data.len() {
            document.raw(&data[read..]);
            document.raw_end();
        }
    }
}

fn json_loss(loss: crate::protocol::json::JsonLoss) -> Incomplete {
    match loss {
        crate::protocol::json::JsonLoss::Malformed => Incomplete::Malformed,
        crate::protocol::json::JsonLoss::OverBudget => Incomplete::OverBudget,
    }
}
