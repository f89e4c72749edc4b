//! The JSON of an answer as it passes: events in, what stands where and whose it is out.

use super::super::body::Document;
use super::super::errors::MAX_MESSAGE;
use super::super::heads::is_no_identifier;
use super::super::names::min_listed;
use super::super::rules::{Fact, Slot};
use super::super::texts::{MAX_FRAGMENT, plain_key};
use super::super::{TextRole, TextSink};
use super::fragments::{Doc, What};
use super::{MAX_EVENT_NAME, RESULT_TREE, ResponseBody, error_word};
use crate::protocol::json::{Container, JsonEvents, Literal, Numbers};

/// A response body with the sink its text goes to and the time of the bytes.
pub(in crate::dialect) struct ResponseDoc<'a> {
    pub(in crate::dialect) body: &'a mut ResponseBody,
    pub(in crate::dialect) sink: &'a mut dyn TextSink,
    pub(in crate::dialect) now_ns: u64,
}

impl JsonEvents for ResponseDoc<'_> {
    fn begin(&mut self, container: Container) {
        let body = &mut *self.body;
        if container == Container::Array && body.at.cursor.depth() == 0 && !body.listed {
            body.listed = true;
            return;
        }
        let from = body.doc.fragments.len();
        if matches!(body.at.slot(), Slot::Tree(_)) {
            body.names.begin(container);
        }
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
        if matches!(body.at.slot(), Slot::Tree(_)) {
            body.names.end();
        }
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
        if matches!(body.at.slot(), Slot::Tree(_)) {
            body.names.key(key);
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
            if matches!(body.at.slot(), Slot::Tree(_)) {
                body.strings.named(body.names.of_string(), self.sink);
            }
        }
        if matches!(body.at.slot(), Slot::Tree(_)) {
            body.names.piece(piece);
        }
        match body.at.slot() {
            slot @ (Slot::ErrorText | Slot::Failure) => {
                let room = MAX_MESSAGE.saturating_sub(body.error_text.len());
                body.error_text.extend_from_slice(&piece[..piece.len().min(room)]);
                body.failed |= slot == Slot::Failure && !piece.is_empty();
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
                let value = String::from_utf8_lossy(&kept).into_owned();
                if let Some(role) = role_too(fact, &value) {
                    let path = body.at.cursor.path();
                    body.texts.whole(&body.at.cursor, path, role, &kept, self.sink);
                }
                body.word_fact(fact, value);
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
        let slot = body.at.slot();
        if let Slot::Fact(fact) = slot {
            body.number_fact(fact, text);
        } else if let Some(named) = body.names.of_number(slot, text) {
            body.texts.number(&body.at.cursor, named, text, self.sink);
        }
        body.at.cursor.value_end();
    }

    fn numbers(&mut self, run: &Numbers<'_>) {
        let at = &mut self.body.at;
        let slot = at.slot();
        let counts = matches!(slot, Slot::Fact(_)) || slot.is_arguments();
        if counts || run.longest_integer() >= min_listed(slot) {
            run.iter().for_each(|text| self.number(text));
        } else {
            at.cursor.skip(run.count());
        }
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

/// The role of a fact that is handed on as text, too.
fn role_too(fact: Fact, value: &str) -> Option<TextRole> {
    let is_no_word = || error_word(value.to_owned()).is_none();
    match fact {
        // Elsewhere it is program text.
        Fact::FlatCode => Some(TextRole::ToolArguments),
        Fact::ProductName | Fact::ProductVersion => Some(TextRole::Other),
        // What is not stored, since it is none.
        Fact::Finish if is_no_word() => Some(TextRole::Other),
        Fact::Conversation | Fact::Task | Fact::RequestId if is_no_identifier(value) => Some(TextRole::Other),
        _ => None,
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
        body.names.reset();
        body.at.cursor.reset();
    }

    fn broken(&mut self) {
        let body = &mut *self.body;
        body.strings.abort(&mut body.texts, &body.at.cursor, self.sink);
        body.names.reset();
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
