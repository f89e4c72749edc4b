//! Reads request bodies: facts, shape and text.

use super::body::Document;
use super::heads::{identifier, is_no_identifier};
use super::locate::Locator;
use super::names::{Names, min_listed};
use super::rpc;
use super::rules::{Fact, Mark, Slot};
use super::texts::{Action, MAX_FACT, StringReader, Text, Texts, plain_key};
use super::tools::RequestTools;
use super::{TextRole, TextSink};
use crate::exchange::Product;
use crate::protocol::Side;
use crate::protocol::json::{Container, JsonEvents, Literal, Numbers};

/// Roles that messages of the known dialects have.
const ROLES: &[&[u8]] = &[
    b"system",
    b"user",
    b"assistant",
    b"developer",
    b"tool",
    b"function",
];
/// The result of a tool that is JSON.
const RESULT_TREE: Slot = Slot::Tree(TextRole::ToolResult);
/// Arguments of a tool.
const ARGUMENT_TREE: Slot = Slot::Tree(TextRole::ToolArguments);

/// A field of a form.
#[derive(Debug, Clone, Copy)]
enum Field {
    Model,
    Stream,
    Text,
}

/// What a request body said so far.
pub(super) struct RequestBody {
    at: Locator,
    names: Names,
    strings: StringReader,
    raw: Option<Text>,
    /// Field of a form that is being read.
    field: Field,
    pub(super) texts: Texts,
    /// Role for the text of the current message. A message that states its role after its content has no better
    /// answer than "prompt" while the content passes.
    message: TextRole,
    pub(super) marks: u64,
    pub(super) model: Option<String>,
    /// A model named by a hash.
    pub(super) version: Option<String>,
    /// `type` at the top: what a message over a WebSocket asks for.
    pub(super) kind: Option<String>,
    pub(super) stream: Option<bool>,
    pub(super) conversation: Option<String>,
    /// The response that the request goes on from.
    pub(super) previous: Option<String>,
    /// Session inside the name of a user (Claude Code).
    pub(super) user_session: Option<String>,
    pub(super) tools: RequestTools,
    /// Method of JSON-RPC.
    pub(super) method: Option<String>,
    /// Tool, prompt or resource that it is for.
    pub(super) called: Option<String>,
    /// Version of MCP.
    pub(super) protocol_version: Option<String>,
    /// The MCP client, as it says itself.
    pub(super) product: Product,
}

impl RequestBody {
    pub(super) fn new() -> Self {
        Self {
            at: Locator::request(),
            names: Names::default(),
            strings: StringReader::new(),
            raw: None,
            field: Field::Text,
            texts: Texts::new(Side::Request),
            message: TextRole::Prompt,
            marks: 0,
            model: None,
            version: None,
            kind: None,
            stream: None,
            conversation: None,
            previous: None,
            user_session: None,
            tools: RequestTools::default(),
            method: None,
            called: None,
            protocol_version: None,
            product: Product::default(),
        }
    }

    fn fact(&mut self, fact: Fact, value: String) {
        match fact {
            Fact::Model => self.model = Some(value),
            Fact::Version => self.version = Some(value),
            Fact::Type => self.kind = Some(value),
            Fact::Conversation => self.conversation = identifier(&value).or(self.conversation.take()),
            Fact::Previous => self.previous = identifier(&value).or(self.previous.take()),
            Fact::User => self.user_session = session_of(&value),
            Fact::CallId => self.tools.call(value),
            Fact::AnswersId => self.tools.answers(value),
            Fact::ItemName => self.tools.name(value),
            Fact::ItemType => self.tools.kind(&value),
            Fact::Method => self.method = rpc::method_name(&value),
            Fact::Called => self.called = Some(value),
            Fact::ResponseMode => self.stream = Some(value == "streaming"),
            Fact::ProtocolVersion => self.protocol_version = identifier(&value),
            Fact::ProductName => self.product.name = rpc::product_word(&value),
            Fact::ProductVersion => self.product.version = rpc::product_word(&value),
            Fact::Role => {
                if ROLES.contains(&value.as_bytes()) {
                    self.marks |= Mark::MessageRole as u64;
                }
                self.message = match value.as_str() {
                    "tool" | "function" => TextRole::ToolResult,
                    "system" | "developer" => TextRole::System,
                    _ => TextRole::Prompt,
                };
            }
            _ => {}
        }
    }
}

/// A request body with the sink its text goes to.
pub(super) struct RequestDoc<'a> {
    pub(super) body: &'a mut RequestBody,
    pub(super) sink: &'a mut dyn TextSink,
}

impl RequestDoc<'_> {
    /// A number or a word of this length, perhaps in arguments or the result of a tool.
    fn word_in_tree(&mut self, len: usize) {
        let body = &mut *self.body;
        let slot = body.at.slot();
        if is_tree(slot) {
            let size = body.tools.size.word(len, body.at.cursor.is_first());
            body.tools.tree(slot == RESULT_TREE, size);
        }
    }
}

impl JsonEvents for RequestDoc<'_> {
    fn begin(&mut self, container: Container) {
        let body = &mut *self.body;
        // A message is an object two levels below the top.
        if container == Container::Object && body.at.cursor.depth() == 2 {
            body.message = TextRole::Prompt;
        }
        let slot = body.at.slot();
        if is_tree(slot) {
            let size = body.tools.size.begin(body.at.cursor.is_first());
            body.tools.tree(slot == RESULT_TREE, size);
        }
        if matches!(slot, Slot::Tree(_)) {
            body.names.begin(container);
        }
        if container == Container::Object && body.at.marks() & Mark::Item as u64 != 0 {
            body.tools.begin();
        }
        body.at.cursor.begin(container);
    }

    fn end(&mut self, container: Container) {
        let body = &mut *self.body;
        body.at.cursor.leave();
        let slot = body.at.slot();
        if is_tree(slot) {
            let size = body.tools.size.end();
            body.tools.tree(slot == RESULT_TREE, size);
        }
        if matches!(slot, Slot::Tree(_)) {
            body.names.end();
        }
        if container == Container::Object && body.at.marks() & Mark::Item as u64 != 0 {
            body.tools.end();
        }
        body.at.cursor.value_end();
    }

    fn key(&mut self, key: &[u8], _: bool) {
        let body = &mut *self.body;
        let known = body.at.cursor.key(key);
        let slot = body.at.slot();
        if is_tree(slot) {
            let size = body.tools.size.key(key.len());
            body.tools.tree(slot == RESULT_TREE, size);
        }
        if matches!(slot, Slot::Tree(_)) {
            body.names.key(key);
        }
        if known {
            body.marks |= body.at.marks();
        } else if !plain_key(key) {
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
        let slot = body.at.slot();
        if body.strings.is_idle() {
            let action = slot.action(body.message, false);
            body.strings.begin(action, &mut body.texts, &body.at.cursor);
            if matches!(slot, Slot::Tree(_)) {
                body.strings.named(body.names.of_string(), self.sink);
            }
        }
        if matches!(slot, Slot::Tree(_)) {
            body.names.piece(piece);
        }
        match slot {
            Slot::Message if body.message == TextRole::ToolResult => body.tools.result(piece.len() as u64),
            Slot::Message => body.tools.text(piece.len() as u64),
            Slot::Text(TextRole::ToolResult) | RESULT_TREE => body.tools.result(piece.len() as u64),
            ARGUMENT_TREE => body.tools.tree(false, piece.len() as u64),
            _ => {}
        }
        body.strings
            .piece(piece, &mut body.texts, &body.at.cursor, self.sink);
    }

    fn string_end(&mut self) {
        let slot = self.body.at.slot();
        let body = &mut *self.body;
        if is_tree(slot) {
            let size = body.tools.size.string_end(body.at.cursor.is_first());
            body.tools.tree(slot == RESULT_TREE, size);
        }
        let kept = body.strings.end(&mut body.texts, &body.at.cursor, self.sink);
        let kept = kept.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if let (Slot::Fact(fact), Some(value)) = (slot, kept) {
            if is_text_too(fact, &value) {
                let path = body.at.cursor.path();
                body.texts.whole(
                    &body.at.cursor,
                    path,
                    TextRole::Other,
                    value.as_bytes(),
                    self.sink,
                );
            }
            body.fact(fact, value);
        }
        body.at.cursor.value_end();
    }

    fn number(&mut self, text: &[u8]) {
        self.word_in_tree(text.len());
        let body = &mut *self.body;
        if let Some(named) = body.names.of_number(body.at.slot(), text) {
            body.texts.number(&body.at.cursor, named, text, self.sink);
        }
        body.at.cursor.value_end();
    }

    fn numbers(&mut self, run: &Numbers<'_>) {
        let at = &mut self.body.at;
        let slot = at.slot();
        if is_tree(slot) || run.longest_integer() >= min_listed(slot) {
            run.iter().for_each(|text| self.number(text));
        } else {
            at.cursor.skip(run.count());
        }
    }

    fn literal(&mut self, literal: Literal) {
        self.word_in_tree(if literal == Literal::False { 5 } else { 4 });
        if self.body.at.slot() == Slot::Fact(Fact::Stream) && literal != Literal::Null {
            self.body.stream = Some(literal == Literal::True);
        }
        self.body.at.cursor.value_end();
    }
}

impl Document for RequestDoc<'_> {
    fn event(&mut self, _: &[u8]) {}

    fn broken(&mut self) {
        let body = &mut *self.body;
        body.strings.abort(&mut body.texts, &body.at.cursor, self.sink);
        body.tools.broken();
        body.names.reset();
        body.at.cursor.reset();
    }

    fn failed(&mut self, _: &[u8]) {}

    fn field(&mut self, name: &str) {
        let body = &mut *self.body;
        let keep = |limit| Action::Keep {
            limit,
            spill: TextRole::Other,
        };
        let (field, action) = match name {
            "model" => (Field::Model, keep(MAX_FACT)),
            // Gemini in the browser: JSON in a field.
            "f.req" => (Field::Text, Action::Raw),
            "stream" => (Field::Stream, keep(MAX_FACT)),
            "prompt" | "input" | "text" => (Field::Text, Action::Text(TextRole::Prompt)),
            _ => (Field::Text, Action::Text(TextRole::Other)),
        };
        match name {
            "prompt" => body.marks |= Mark::Prompt as u64,
            "text" => body.marks |= Mark::Text as u64,
            _ => {}
        }
        body.field = field;
        body.strings.begin(action, &mut body.texts, &body.at.cursor);
    }

    fn field_piece(&mut self, piece: &[u8]) {
        let body = &mut *self.body;
        body.strings
            .piece(piece, &mut body.texts, &body.at.cursor, self.sink);
    }

    fn field_end(&mut self) {
        let body = &mut *self.body;
        let kept = body.strings.end(&mut body.texts, &body.at.cursor, self.sink);
        let kept = kept.map(|value| String::from_utf8_lossy(value).into_owned());
        match (body.field, kept) {
            (Field::Model, Some(value)) => body.model = Some(value),
            (Field::Stream, Some(value)) => body.stream = Some(value.eq_ignore_ascii_case("true")),
            _ => {}
        }
    }

    fn binary(&mut self, bytes: u64) {
        self.body.texts.binary += bytes;
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

fn is_tree(slot: Slot) -> bool {
    slot == RESULT_TREE || slot == ARGUMENT_TREE
}

/// Whether a fact is handed on as text, too: it may be the name of a person, or what stands where an identifier should is none.
fn is_text_too(fact: Fact, value: &str) -> bool {
    match fact {
        Fact::ItemName | Fact::User | Fact::Called | Fact::ProductName | Fact::ProductVersion => true,
        Fact::Conversation | Fact::Previous => is_no_identifier(value),
        _ => false,
    }
}

/// The session that Claude Code puts into the name of the user: `user_…_account_…_session_{uuid}`, or as a member of
/// JSON.
fn session_of(user: &str) -> Option<String> {
    let (_, session) = match user.rsplit_once("_session_") {
        Some(found) => found,
        None => user.split_once("\"session_id\"")?,
    };
    let session = session.trim_start_matches([':', ' ', '"']);
    identifier(session.split('"').next()?)
}
