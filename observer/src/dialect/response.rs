//! Reads response bodies, plain and streamed: facts, shape and text.

use std::collections::{BTreeSet, HashMap};

use super::body::Document;
use super::errors::MAX_MESSAGE;
use super::heads::identifier;
use super::locate::Locator;
use super::request::long_integer;
use super::rpc;
use super::rules::{Fact, Mark, Slot};
use super::texts::{MAX_FRAGMENT, StringReader, Text, Texts, plain_key};
use super::tools::{Form, ResponseTools};
use super::{TextRole, TextSink};
use crate::exchange::{ToolUses, Usage};
use crate::protocol::Side;
use crate::protocol::json::path::PathId;
use crate::protocol::json::{Container, JsonEvents, Literal};

/// Most streamed texts (choices, blocks, tool calls) of one answer that are put together; fragments of further ones
/// are texts of their own.
pub(super) const MAX_STREAMED_TEXTS: usize = 1024;
/// Most distinct tool names and finish reasons kept.
pub(super) const MAX_NAMES: usize = 64;
/// Longest name of an event kept.
const MAX_EVENT_NAME: usize = 64;
/// The result of a tool that is JSON.
const RESULT_TREE: Slot = Slot::Tree(TextRole::ToolResult);
/// Longest error type kept.
const MAX_ERROR: usize = 64;

/// A fragment of a streamed text, held until the document has said where it belongs.
struct Fragment {
    path: PathId,
    what: What,
    bytes: Vec<u8>,
    /// Choice, block or output item.
    outer: Option<u64>,
    /// Tool call or part in it.
    inner: Option<u64>,
}

/// What a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text(TextRole),
    /// A text of which the type of the event says what it is.
    Typed,
    /// The name of a tool.
    ToolName,
}

/// What the current document said; forgotten at its end.
#[derive(Default)]
struct Doc {
    /// Name of the event, else `type` of the document.
    kind: String,
    fragments: Vec<Fragment>,
    held: usize,
    /// Where the current choice and the current tool call begin in `fragments`, and their numbers.
    choice: (usize, Option<u64>),
    tool: (usize, Option<u64>),
    outer: Option<u64>,
    inner: Option<u64>,
    status: Option<String>,
    code: Option<String>,
    /// `code` at the top: an error code in an event of type `error`.
    flat_code: Option<String>,
}

/// What a response body said so far.
pub(super) struct ResponseBody {
    at: Locator,
    strings: StringReader,
    raw: Option<Text>,
    doc: Doc,
    streamed: HashMap<(PathId, u64, u64), Text>,
    pub(super) texts: Texts,
    /// Time of the first fragment of model output.
    pub(super) first_fragment_ns: Option<u64>,
    /// Something was lost: what repeats fragments may be the only copy.
    holes: bool,
    pub(super) marks: u64,
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    /// Last `object` and `type` at the top of a document.
    pub(super) object: Option<String>,
    pub(super) kind: Option<String>,
    item_object: Option<String>,
    pub(super) usage: Usage,
    /// Input and output tokens together, as stated.
    pub(super) total: Option<u64>,
    /// What the server says of itself.
    pub(super) fingerprint: Option<String>,
    /// Counts that stand for those of `usage` where these are missing: as billed.
    pub(super) billed: (Option<u64>, Option<u64>),
    /// The document is an array of documents, as some servers stream them; its brackets are left out.
    listed: bool,
    pub(super) finish: BTreeSet<String>,
    /// State of a response object; stands for a finish reason where there is none.
    pub(super) status: Option<String>,
    pub(super) tools: BTreeSet<String>,
    pub(super) error_type: Option<String>,
    pub(super) error_code: Option<String>,
    /// The beginning of what it says of an error, in clear.
    pub(super) error_text: Vec<u8>,
    pub(super) request_id: Option<String>,
    pub(super) conversation: Option<String>,
    calls: ResponseTools,
    /// Method of JSON-RPC that the server calls.
    pub(super) method: Option<String>,
    /// Version of MCP that was agreed on.
    pub(super) protocol_version: Option<String>,
    /// A tool failed (MCP).
    pub(super) tool_failed: bool,
    /// Task of another agent (A2A).
    pub(super) task: Option<String>,
    /// Name of the first event of a stream; empty where it has none.
    pub(super) first_event: Option<String>,
    /// The last text that came as a whole again and again.
    so_far: Vec<u8>,
}

impl ResponseBody {
    pub(super) fn new() -> Self {
        Self {
            at: Locator::response(),
            strings: StringReader::new(),
            raw: None,
            doc: Doc::default(),
            streamed: HashMap::new(),
            texts: Texts::new(Side::Response),
            first_fragment_ns: None,
            holes: false,
            marks: 0,
            id: None,
            model: None,
            object: None,
            kind: None,
            item_object: None,
            usage: Usage::default(),
            total: None,
            fingerprint: None,
            billed: (None, None),
            listed: false,
            finish: BTreeSet::new(),
            status: None,
            tools: BTreeSet::new(),
            error_type: None,
            error_code: None,
            error_text: Vec::new(),
            request_id: None,
            conversation: None,
            calls: ResponseTools::default(),
            method: None,
            protocol_version: None,
            tool_failed: false,
            task: None,
            first_event: None,
            so_far: Vec::new(),
        }
    }

    /// Whether items of a list are embeddings.
    pub(super) fn has_embeddings(&self) -> bool {
        self.marks & Mark::Embedding as u64 != 0 || self.item_object.as_deref() == Some("embedding")
    }

    /// The body is over: so are all streamed texts.
    pub(super) fn close(&mut self, sink: &mut dyn TextSink) {
        for (_, text) in self.streamed.drain() {
            self.texts.end(text, sink);
        }
    }

    fn word_fact(&mut self, fact: Fact, value: String) {
        match fact {
            Fact::Id if self.id.is_none() => self.id = Some(value),
            Fact::Model => self.model = Some(value),
            Fact::Object => self.object = Some(value),
            Fact::Fingerprint => self.fingerprint = Some(value),
            Fact::ItemObject => self.item_object = Some(value),
            Fact::Type => {
                if self.doc.kind.is_empty() {
                    self.doc.kind.clone_from(&value);
                }
                self.kind = Some(value);
            }
            // A word of watsonx for "still running".
            Fact::Finish if value == "not_finished" => {}
            Fact::Finish => insert(&mut self.finish, value),
            Fact::ToolName => {
                if !self.calls.name(&value) {
                    self.name_fragment(value.clone());
                }
                insert(&mut self.tools, value);
            }
            Fact::ItemType => self.item_type(&value),
            Fact::Method => self.method = rpc::method_name(&value),
            Fact::ProtocolVersion => self.protocol_version = identifier(&value),
            Fact::Task => self.task = identifier(&value).or(self.task.take()),
            Fact::RequestId => self.request_id = identifier(&value).or(self.request_id.take()),
            Fact::Conversation => self.conversation = identifier(&value).or(self.conversation.take()),
            Fact::Status => self.doc.status = Some(value),
            Fact::ErrorType => self.error_type = error_word(value).or(self.error_type.take()),
            Fact::ErrorCode => self.doc.code = error_word(value),
            Fact::FlatCode => self.doc.flat_code = error_word(value),
            _ => {}
        }
    }

    fn number_fact(&mut self, fact: Fact, text: &[u8]) {
        if fact == Fact::ErrorCode {
            // Those of JSON-RPC are negative.
            self.doc.code = error_word(String::from_utf8_lossy(text).into_owned());
            return;
        }
        let Some(value) = whole_number(text) else { return };
        let usage = &mut self.usage;
        match fact {
            Fact::Input => usage.input_tokens = Some(value),
            Fact::LargestInput => usage.input_tokens = usage.input_tokens.max(Some(value)),
            Fact::BilledInput => self.billed.0 = Some(value),
            Fact::BilledOutput => self.billed.1 = Some(value),
            Fact::Output => usage.output_tokens = Some(value),
            Fact::CacheRead => usage.cache_read_input_tokens = Some(value),
            Fact::CacheCreation => usage.cache_creation_input_tokens = Some(value),
            Fact::Reasoning => usage.reasoning_output_tokens = Some(value),
            Fact::InputAudio => usage.input_audio_tokens = Some(value),
            Fact::OutputAudio => usage.output_audio_tokens = Some(value),
            Fact::Total => self.total = Some(value),
            Fact::ChoiceIndex => self.doc.choice.1 = Some(value),
            Fact::ToolIndex => self.doc.tool.1 = Some(value),
            Fact::OuterIndex => self.doc.outer = Some(value),
            Fact::InnerIndex => self.doc.inner = Some(value),
            _ => {}
        }
    }

    /// Whether a container at the cursor may be a tool call.
    fn item(&mut self, container: Container) -> Option<Form> {
        if container != Container::Object {
            return None;
        }
        let marks = self.at.marks();
        let has = |mark: Mark| marks & mark as u64 != 0;
        has(Mark::Item)
            .then_some(Form::Whole)
            .or_else(|| has(Mark::RepeatedItem).then_some(Form::Repeated))
    }

    /// A number or a word of this length, perhaps in the arguments of a tool.
    fn word_in_arguments(&mut self, len: usize) {
        if self.at.slot().is_arguments() {
            let size = self.calls.size.word(len, self.at.cursor.is_first());
            self.calls.arguments(size);
        }
    }

    /// What stands at the cursor, in a document of this type.
    fn slot(&mut self) -> Slot {
        match self.at.slot() {
            Slot::Piece if self.doc.kind.is_empty() => Slot::Delta(TextRole::Answer),
            Slot::Piece => Slot::Repeat(TextRole::Answer),
            slot => slot,
        }
    }

    /// A fragment came at the cursor.
    fn fragment(&mut self, what: What, bytes: Vec<u8>, now_ns: u64) {
        if bytes.is_empty() {
            return;
        }
        self.first_fragment_ns.get_or_insert(now_ns);
        self.hold(what, bytes);
    }

    fn hold(&mut self, what: What, bytes: Vec<u8>) {
        self.doc.held += bytes.len();
        let path = self.at.cursor.path();
        self.doc.fragments.push(Fragment {
            path,
            what,
            bytes,
            outer: None,
            inner: None,
        });
    }

    /// A text comes again with more at its end: only that is new.
    fn so_far(&mut self, role: TextRole, whole: Vec<u8>, now_ns: u64) {
        let known = if whole.starts_with(&self.so_far) {
            self.so_far.len()
        } else {
            0
        };
        let new = whole.get(known..).unwrap_or_default().to_vec();
        self.so_far = whole;
        self.fragment(What::Text(role), new, now_ns);
    }

    /// What was heard is a prompt; what was said came in pieces before.
    fn transcript(&mut self, whole: &[u8], sink: &mut dyn TextSink) {
        let heard = self.doc.kind.contains("input_audio");
        let role = if heard { TextRole::Prompt } else { TextRole::Answer };
        if heard || self.first_fragment_ns.is_none() || self.holes {
            let path = self.at.cursor.path();
            self.texts.whole(&self.at.cursor, path, role, whole, sink);
        }
    }

    /// Size of the result that the answer itself is: what it says as text, else as JSON.
    pub(super) fn result_bytes(&self) -> u64 {
        match self.calls.result {
            [0, json] => json,
            [text, _] => text,
        }
    }

    /// The name of a tool whose call is streamed: the document has yet to say which call it is.
    fn name_fragment(&mut self, name: String) {
        self.hold(What::ToolName, name.into_bytes());
    }

    /// The type of an item of an answer: tools of the provider have no other name (`web_search_call`).
    fn item_type(&mut self, kind: &str) {
        let own = kind
            .strip_suffix("_call")
            .filter(|name| !matches!(*name, "function" | "custom_tool" | "mcp"));
        if let Some(name) = own
            && !self.calls.name(name)
        {
            self.name_fragment(name.to_owned());
        }
    }

    /// Calls of tools in the answer so far.
    pub(super) fn tool_calls(&self) -> ToolUses {
        self.calls.all(self.holes)
    }

    /// Hands fragments on to the texts they belong to.
    fn flush(&mut self, sink: &mut dyn TextSink) {
        let Doc {
            kind, outer, inner, ..
        } = &self.doc;
        let media = (kind.contains("audio") && !kind.contains("transcript")) || kind.contains("image");
        let by_kind = match ["arguments", "input", "code"]
            .iter()
            .any(|word| kind.contains(word))
        {
            true => TextRole::ToolArguments,
            false => TextRole::Answer,
        };
        let (doc_outer, doc_inner) = (outer.unwrap_or(0), inner.unwrap_or(0));
        self.doc.held = 0;
        self.doc.choice.0 = 0;
        self.doc.tool.0 = 0;
        for fragment in std::mem::take(&mut self.doc.fragments) {
            let number = (
                fragment.outer.unwrap_or(doc_outer),
                fragment.inner.unwrap_or(doc_inner),
            );
            let role = match fragment.what {
                What::ToolName => {
                    let name = String::from_utf8_lossy(&fragment.bytes).into_owned();
                    self.calls.streamed_name(number, name);
                    continue;
                }
                What::Typed if media => {
                    self.texts.binary += fragment.bytes.len() as u64;
                    continue;
                }
                What::Typed => by_kind,
                What::Text(role) => role,
            };
            if role == TextRole::ToolArguments {
                self.calls.streamed_arguments(number, fragment.bytes.len() as u64);
            }
            let key = (fragment.path, number.0, number.1);
            if !self.streamed.contains_key(&key) {
                if self.streamed.len() >= MAX_STREAMED_TEXTS {
                    self.texts
                        .whole(&self.at.cursor, fragment.path, role, &fragment.bytes, sink);
                    continue;
                }
                let text = self.texts.begin(&self.at.cursor, fragment.path, role);
                self.streamed.insert(key, text);
            }
            if let Some(text) = self.streamed.get_mut(&key) {
                self.texts.piece(text, &fragment.bytes, sink);
            }
        }
    }

    /// The document is over: what only it as a whole could say.
    fn document_end(&mut self, sink: &mut dyn TextSink) {
        self.flush(sink);
        let doc = std::mem::take(&mut self.doc);
        self.calls
            .document_end((doc.outer.unwrap_or(0), doc.inner.unwrap_or(0)));
        if let Some(status) = doc.status {
            self.status = Some(status);
        }
        let flat = doc.flat_code.filter(|_| doc.kind == "error");
        if let Some(code) = doc.code.or(flat) {
            self.error_code = Some(code);
        }
    }
}

/// A response body with the sink its text goes to and the time of the bytes.
pub(super) struct ResponseDoc<'a> {
    pub(super) body: &'a mut ResponseBody,
    pub(super) sink: &'a mut dyn TextSink,
    pub(super) now_ns: u64,
}

impl JsonEvents for ResponseDoc<'_> {
    fn begin(&mut self, container: Container) {
        let body = &mut *self.body;
        if container == Container::Array && body.at.cursor.depth() == 0 && !body.listed {
            body.listed = true;
            return;
        }
        let from = body.doc.fragments.len();
        match body.at.slot() {
            Slot::Choice => body.doc.choice = (from, None),
            Slot::ToolCall => body.doc.tool = (from, None),
            slot if slot.is_arguments() => {
                let size = body.calls.size.begin(body.at.cursor.is_first());
                body.calls.arguments(size);
            }
            _ => {}
        }
        if let Some(form) = body.item(container) {
            body.calls.begin(form);
        }
        body.at.cursor.begin(container);
    }

    fn end(&mut self, container: Container) {
        let body = &mut *self.body;
        if body.at.cursor.depth() == 0 {
            body.listed = false;
            return;
        }
        body.at.cursor.leave();
        let position = body.at.cursor.array_index();
        let doc = &mut body.doc;
        match body.at.slot() {
            Slot::Choice => {
                let number = doc.choice.1.unwrap_or(position);
                let from = doc.choice.0.min(doc.fragments.len());
                doc.fragments[from..]
                    .iter_mut()
                    .for_each(|f| f.outer = Some(number));
            }
            Slot::ToolCall => {
                let number = doc.tool.1.unwrap_or(position);
                let from = doc.tool.0.min(doc.fragments.len());
                doc.fragments[from..]
                    .iter_mut()
                    .for_each(|f| f.inner = Some(number));
            }
            slot if slot.is_arguments() => {
                let size = body.calls.size.end();
                body.calls.arguments(size);
            }
            _ => {}
        }
        if body.item(container).is_some() {
            body.calls.end();
        }
        body.at.cursor.value_end();
        if body.at.cursor.depth() == 0 {
            body.document_end(self.sink);
        }
    }

    fn key(&mut self, key: &[u8], _: bool) {
        let body = &mut *self.body;
        let known = body.at.cursor.key(key);
        if body.at.slot().is_arguments() {
            let size = body.calls.size.key(key.len());
            body.calls.arguments(size);
        }
        if known {
            body.marks |= body.at.marks();
        } else if !plain_key(key) && body.at.slot() != Slot::Echo {
            body.texts.whole(
                &body.at.cursor,
                body.at.cursor.path(),
                TextRole::Other,
                key,
                self.sink,
            );
        }
    }

    fn string(&mut self, piece: &[u8]) {
        let body = &mut *self.body;
        if body.strings.is_idle() {
            let repeated = body.first_fragment_ns.is_some() && !body.holes;
            let action = body.slot().action(TextRole::Answer, repeated);
            body.strings.begin(action, &mut body.texts, &body.at.cursor);
        }
        match body.at.slot() {
            Slot::ErrorText => {
                let room = MAX_MESSAGE.saturating_sub(body.error_text.len());
                body.error_text.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            slot if slot.is_arguments() => body.calls.arguments(piece.len() as u64),
            Slot::Text(TextRole::ToolResult) => body.calls.result[0] += piece.len() as u64,
            RESULT_TREE => body.calls.result[1] += piece.len() as u64,
            _ => {}
        }
        body.strings
            .piece(piece, &mut body.texts, &body.at.cursor, self.sink);
    }

    fn string_end(&mut self) {
        let body = &mut *self.body;
        let slot = body.slot();
        if slot.is_arguments() {
            let size = body.calls.size.string_end(body.at.cursor.is_first());
            body.calls.arguments(size);
        }
        let kept = body
            .strings
            .end(&mut body.texts, &body.at.cursor, self.sink)
            .map(<[u8]>::to_vec);
        match (slot, kept) {
            (Slot::Fact(fact), Some(kept)) => {
                if fact == Fact::FlatCode {
                    // Elsewhere it is program text.
                    let path = body.at.cursor.path();
                    body.texts
                        .whole(&body.at.cursor, path, TextRole::ToolArguments, &kept, self.sink);
                }
                body.word_fact(fact, String::from_utf8_lossy(&kept).into_owned());
            }
            (Slot::Delta(role), Some(kept)) => body.fragment(What::Text(role), kept, self.now_ns),
            (Slot::TypedDelta, Some(kept)) => body.fragment(What::Typed, kept, self.now_ns),
            (Slot::SoFar(role), Some(kept)) => body.so_far(role, kept, self.now_ns),
            (Slot::Transcript, Some(kept)) => body.transcript(&kept, self.sink),
            _ => {}
        }
        if body.doc.held > MAX_FRAGMENT {
            body.flush(self.sink);
        }
        body.at.cursor.value_end();
    }

    fn number(&mut self, text: &[u8]) {
        let body = &mut *self.body;
        body.word_in_arguments(text.len());
        match body.at.slot() {
            Slot::Fact(fact) => body.number_fact(fact, text),
            Slot::Text(role) | Slot::Tree(role) if long_integer(text) => {
                body.texts
                    .whole(&body.at.cursor, body.at.cursor.path(), role, text, self.sink);
            }
            _ => {}
        }
        body.at.cursor.value_end();
    }

    fn literal(&mut self, literal: Literal) {
        if self.body.at.slot() == Slot::Fact(Fact::ToolFailed) {
            self.body.tool_failed |= literal == Literal::True;
        }
        self.body
            .word_in_arguments(if literal == Literal::False { 5 } else { 4 });
        self.body.at.cursor.value_end();
    }
}

impl Document for ResponseDoc<'_> {
    fn event(&mut self, name: &[u8]) {
        let body = &mut *self.body;
        let name = &name[..name.len().min(MAX_EVENT_NAME)];
        body.first_event
            .get_or_insert_with(|| String::from_utf8_lossy(name).into_owned());
        body.doc = Doc {
            kind: String::from_utf8_lossy(name).into_owned(),
            ..Doc::default()
        };
        body.listed = false;
        body.at.cursor.reset();
    }

    fn broken(&mut self) {
        let body = &mut *self.body;
        body.strings.abort(&mut body.texts, &body.at.cursor, self.sink);
        body.document_end(self.sink);
        body.at.cursor.reset();
        body.listed = false;
        body.holes = true;
    }

    fn failed(&mut self, name: &[u8]) {
        let word = error_word(String::from_utf8_lossy(name).into_owned());
        self.body.error_type = word.or(self.body.error_type.take());
    }

    // No answer is a form.
    fn field(&mut self, _: &str) {}
    fn field_piece(&mut self, piece: &[u8]) {
        self.body.texts.binary += piece.len() as u64;
    }
    fn field_end(&mut self) {}

    fn binary(&mut self, bytes: u64) {
        self.body.texts.binary += bytes;
    }

    fn output(&mut self) {
        self.body.first_fragment_ns.get_or_insert(self.now_ns);
    }

    fn raw(&mut self, piece: &[u8]) {
        let body = &mut *self.body;
        let text = body
            .raw
            .get_or_insert_with(|| body.texts.begin_raw(&body.at.cursor));
        body.texts.piece(text, piece, self.sink);
    }

    fn raw_end(&mut self) {
        if let Some(text) = self.body.raw.take() {
            self.body.texts.end(text, self.sink);
        }
    }
}

fn insert(names: &mut BTreeSet<String>, name: String) {
    if names.len() < MAX_NAMES {
        names.insert(name);
    }
}

/// An error type or code, if it is a word: free text could hold clear text.
pub(super) fn error_word(value: String) -> Option<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    (value.len() <= MAX_ERROR && value.bytes().all(word)).then_some(value)
}

/// A count as written: digits, perhaps with a fraction of zero.
fn whole_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    whole.parse().ok()
}
