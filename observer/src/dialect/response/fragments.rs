//! Streamed texts in pieces: each is held until its document has said which text it goes on.

use super::super::rules::Fact;
use super::super::{TextRole, TextSink};
use super::{MAX_STREAMED_TEXTS, ResponseBody};
use crate::protocol::json::path::PathId;

/// In the type of an event: a transcript of what the user said.
pub(super) const HEARD: &str = "input_audio_transcription";
/// Number of the item that it is, beside those of the answer.
pub(super) const HEARD_ITEM: u64 = u64::MAX;

/// A fragment of a streamed text, held until the document has said where it belongs.
pub(super) struct Fragment {
    pub(super) path: PathId,
    pub(super) what: What,
    pub(super) bytes: Vec<u8>,
    /// Choice, block or output item.
    pub(super) outer: Option<u64>,
    /// Tool call or part in it.
    pub(super) inner: Option<u64>,
}

/// What a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Text(TextRole),
    /// A text of which the type of the event says what it is.
    Typed,
    /// The name of a tool.
    ToolName,
}

/// What the current document said; forgotten at its end.
#[derive(Default)]
pub(super) struct Doc {
    /// Name of the event, else `type` of the document.
    pub(super) kind: String,
    pub(super) fragments: Vec<Fragment>,
    pub(super) held: usize,
    /// Where the current choice and the current tool call begin in `fragments`, and their numbers.
    pub(super) choice: (usize, Option<u64>),
    pub(super) tool: (usize, Option<u64>),
    pub(super) outer: Option<u64>,
    pub(super) inner: Option<u64>,
    pub(super) status: Option<String>,
    pub(super) code: Option<String>,
    /// `code` at the top: an error code in an event of type `error`.
    pub(super) flat_code: Option<String>,
    /// When the first fragment came of which the type of the event says what it is.
    pub(super) typed_ns: Option<u64>,
    /// Whether a count is of audio, and the count.
    pub(super) modality: (Option<bool>, Option<(Fact, u64)>),
}

impl ResponseBody {
    /// A fragment came at the cursor.
    pub(super) fn fragment(&mut self, what: What, bytes: Vec<u8>, now_ns: u64) {
        if bytes.is_empty() {
            return;
        }
        match what {
            What::Typed => self.doc.typed_ns.get_or_insert(now_ns),
            What::Text(_) | What::ToolName => self.first_fragment_ns.get_or_insert(now_ns),
        };
        self.hold(what, bytes);
    }

    pub(super) fn hold(&mut self, what: What, bytes: Vec<u8>) {
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
    pub(super) fn so_far(&mut self, role: TextRole, whole: Vec<u8>, now_ns: u64) {
        let known = if whole.starts_with(&self.so_far) {
            self.so_far.len()
        } else {
            0
        };
        let new = whole.get(known..).unwrap_or_default().to_vec();
        self.so_far = whole;
        self.fragment(What::Text(role), new, now_ns);
    }

    /// The name of a tool whose call is streamed: the document has yet to say which call it is.
    pub(super) fn name_fragment(&mut self, name: String) {
        self.hold(What::ToolName, name.into_bytes());
    }

    /// Hands fragments on to the texts they belong to.
    pub(super) fn flush(&mut self, sink: &mut dyn TextSink) {
        let Doc {
            kind, outer, inner, ..
        } = &self.doc;
        let media = (kind.contains("audio") && !kind.contains("transcript")) || kind.contains("image");
        let heard = kind.contains(HEARD);
        let by_kind = match ["arguments", "input", "code"]
            .iter()
            .any(|word| kind.contains(word))
        {
            _ if heard => TextRole::Prompt,
            true => TextRole::ToolArguments,
            false => TextRole::Answer,
        };
        let doc_outer = if heard { HEARD_ITEM } else { outer.unwrap_or(0) };
        let doc_inner = inner.unwrap_or(0);
        if let Some(at_ns) = self.doc.typed_ns.take() {
            if heard {
                (self.heard, self.hearing) = (true, true);
            } else {
                self.first_fragment_ns.get_or_insert(at_ns);
            }
        }
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
}
