//! Reads response bodies, plain and streamed: facts, shape and text.

mod document;
mod fragments;

use std::collections::{BTreeSet, HashMap};

use twox_hash::XxHash64;

use super::heads::{self, identifier};
use super::locate::Locator;
use super::names::Names;
use super::rpc;
use super::rules::{Fact, Mark, Slot};
use super::texts::{StringReader, Text, Texts};
use super::tools::{Form, ResponseTools};
use super::{TextRole, TextSink};
use crate::exchange::{Product, ToolUses, Usage};
use crate::protocol::Side;
use crate::protocol::json::Container;
use crate::protocol::json::path::PathId;
pub(super) use document::ResponseDoc;
use fragments::{Doc, HEARD, HEARD_ITEM};

/// Most streamed texts (choices, blocks, tool calls) of one answer that are put together; fragments of further ones
/// are texts of their own.
pub(super) const MAX_STREAMED_TEXTS: usize = 1024;
/// Most distinct tool names and finish reasons kept.
pub(super) const MAX_NAMES: usize = 64;
/// Longest name of an event kept.
const MAX_EVENT_NAME: usize = 64;
/// The result of a tool that is JSON.
const RESULT_TREE: Slot = Slot::Tree(TextRole::ToolResult);
/// Event of Amazon Q that is a piece of a tool call: it streams arguments where others repeat them.
const TOOL_EVENT: &str = "toolUseEvent";
/// Event of a run that is a piece of one of its steps; each step numbers its calls anew.
const STEP_EVENT: &str = "thread.run.step.delta";
/// Longest error type kept.
const MAX_ERROR: usize = 64;

/// What a response body said so far.
pub(super) struct ResponseBody {
    at: Locator,
    names: Names,
    strings: StringReader,
    raw: Option<Text>,
    doc: Doc,
    streamed: HashMap<(PathId, u64, u64), Text>,
    pub(super) texts: Texts,
    /// Time of the first fragment of model output.
    pub(super) first_fragment_ns: Option<u64>,
    /// What the user said came in pieces.
    pub(super) heard: bool,
    /// So did what is being said.
    hearing: bool,
    /// Something was lost: what repeats fragments may be the only copy.
    holes: bool,
    pub(super) marks: u64,
    pub(super) id: Option<String>,
    pub(super) other_id: Option<String>,
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
    /// It says in words alone that the call failed.
    pub(super) failed: bool,
    /// `code` at the top of the last document that has one: an error code where the call failed.
    pub(super) flat_code: Option<String>,
    /// How long to wait, as the body says.
    pub(super) retry_after_ms: Option<u64>,
    pub(super) request_id: Option<String>,
    pub(super) conversation: Option<String>,
    calls: ResponseTools,
    /// Method of JSON-RPC that the server calls.
    pub(super) method: Option<String>,
    /// Version of MCP that was agreed on.
    pub(super) protocol_version: Option<String>,
    /// The MCP server, as it says itself.
    pub(super) product: Product,
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
            names: Names::default(),
            strings: StringReader::new(),
            raw: None,
            doc: Doc::default(),
            streamed: HashMap::new(),
            texts: Texts::new(Side::Response),
            first_fragment_ns: None,
            heard: false,
            hearing: false,
            holes: false,
            marks: 0,
            id: None,
            other_id: None,
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
            failed: false,
            flat_code: None,
            retry_after_ms: None,
            request_id: None,
            conversation: None,
            calls: ResponseTools::default(),
            method: None,
            protocol_version: None,
            product: Product::default(),
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
            Fact::Id if self.doc.kind == STEP_EVENT => self.doc.outer = Some(number_of(&value)),
            Fact::Id if self.id.is_none() => self.id = Some(value),
            Fact::OtherId => self.other_id = Some(value),
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
            // Words of watsonx and DashScope for "still running".
            Fact::Finish if matches!(value.as_str(), "not_finished" | "null") => {}
            // Some servers say here which text of the caller's ended the answer.
            Fact::Finish => error_word(value)
                .into_iter()
                .for_each(|word| insert(&mut self.finish, word)),
            Fact::ToolType if value == "function" => {}
            Fact::ToolName | Fact::ToolType => {
                if !self.calls.name(&value) {
                    self.name_fragment(value.clone());
                }
                insert(&mut self.tools, value);
            }
            Fact::ItemType => self.item_type(&value),
            Fact::Method => self.method = rpc::method_name(&value),
            Fact::ProtocolVersion => self.protocol_version = identifier(&value),
            Fact::ProductName => self.product.name = rpc::product_word(&value),
            Fact::ProductVersion => self.product.version = rpc::product_word(&value),
            Fact::Task => self.task = identifier(&value).or(self.task.take()),
            Fact::RequestId => self.request_id = identifier(&value).or(self.request_id.take()),
            Fact::Conversation => self.conversation = identifier(&value).or(self.conversation.take()),
            Fact::EventCall => self.doc.inner = Some(number_of(&value)),
            Fact::Status => self.doc.status = Some(value),
            // AWS puts the name of a service before it: `com.amazon.coral#ThrottlingException`.
            Fact::ErrorType => {
                let word = value.rsplit('#').next().unwrap_or_default().to_owned();
                self.error_type = error_word(word).or(self.error_type.take());
            }
            Fact::RetryDelay => self.retry_after_ms = heads::wait_ms(&value, None),
            Fact::Modality => {
                self.doc.modality.0 = Some(value == "AUDIO");
                self.modality();
            }
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
            Fact::ModalityInput | Fact::ModalityOutput => {
                self.doc.modality.1 = Some((fact, value));
                self.modality();
            }
            _ => {}
        }
    }

    /// A count and what it is of stand beside each other, in any order.
    fn modality(&mut self) {
        let (Some(audio), Some((fact, count))) = self.doc.modality else {
            return;
        };
        self.doc.modality = (None, None);
        match fact {
            Fact::ModalityInput if audio => self.usage.input_audio_tokens = Some(count),
            Fact::ModalityOutput if audio => self.usage.output_audio_tokens = Some(count),
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
            Slot::Repeat(TextRole::ToolArguments) if self.doc.kind == TOOL_EVENT => {
                Slot::Delta(TextRole::ToolArguments)
            }
            Slot::EventTool if self.doc.kind == TOOL_EVENT => Slot::Fact(Fact::ToolName),
            Slot::EventTool => Slot::Text(TextRole::Other),
            slot => slot,
        }
    }

    /// What was heard is a prompt, else it was said. Both may have come in pieces before.
    fn transcript(&mut self, whole: &[u8], sink: &mut dyn TextSink) {
        let (role, in_pieces) = match self.doc.kind.contains(HEARD) {
            true => (TextRole::Prompt, std::mem::take(&mut self.hearing)),
            false => (TextRole::Answer, self.first_fragment_ns.is_some()),
        };
        if role == TextRole::Prompt {
            // What is said next is another text.
            let over = self.streamed.extract_if(|(_, outer, _), _| *outer == HEARD_ITEM);
            over.for_each(|(_, text)| self.texts.end(text, sink));
        }
        if !in_pieces || self.holes {
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

    /// The document is over: what only it as a whole could say.
    fn document_end(&mut self, sink: &mut dyn TextSink) {
        self.flush(sink);
        let doc = std::mem::take(&mut self.doc);
        self.calls
            .document_end((doc.outer.unwrap_or(0), doc.inner.unwrap_or(0)));
        if let Some(status) = doc.status {
            self.status = Some(status);
        }
        let flat = doc.flat_code.clone().filter(|_| doc.kind == "error");
        self.flat_code = doc.flat_code.or(self.flat_code.take());
        if let Some(code) = doc.code.or(flat) {
            self.error_code = Some(code);
        }
    }
}

fn insert(names: &mut BTreeSet<String>, name: String) {
    if names.len() < MAX_NAMES {
        names.insert(name);
    }
}

/// An error type, an error code or a finish reason, if it is a word: free text could hold clear text.
pub(super) fn error_word(value: String) -> Option<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    (value.len() <= MAX_ERROR && value.bytes().all(word)).then_some(value)
}

/// A number for what is named by a word.
fn number_of(word: &str) -> u64 {
    XxHash64::oneshot(0, word.as_bytes())
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
