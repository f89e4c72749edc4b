//! Requests that wait for their answer, and answers that wait for their request.

use std::collections::VecDeque;

use super::super::{ExchangeReader, TextSink};
use crate::budget::Held;
use crate::protocol::jsonrpc::Id;
use crate::protocol::{Fields, Incomplete, ResponseHead, Side};

/// Most answers that wait, and the longest of them.
const MAX_EARLY: usize = 4;
const MAX_EARLY_BYTES: usize = 64 * 1024;
/// How long they wait.
const EARLY_NS: u64 = 500_000_000;

/// An exchange under way.
pub(super) struct Open {
    /// Who asks.
    pub asker: Side,
    /// `None` for a notification, and while it is not known.
    pub id: Option<Id>,
    /// The request has come whole.
    pub asked: bool,
    /// Its answer is under way.
    pub answered: bool,
    pub reader: Box<ExchangeReader>,
}

impl Open {
    pub(super) fn new(asker: Side, reader: ExchangeReader) -> Self {
        Self {
            asker,
            id: None,
            asked: false,
            answered: false,
            reader: Box::new(reader),
        }
    }

    /// What a message of this direction is in the exchange.
    pub(super) fn side(&self, from: Side) -> Side {
        if from == self.asker {
            Side::Request
        } else {
            Side::Response
        }
    }

    /// Its answer begins.
    pub(super) fn answer(&mut self, began_ns: u64) {
        self.answered = true;
        let json = ("content-type".to_owned(), b"application/json".to_vec());
        let head = ResponseHead {
            fields: Fields(vec![json]),
            ..ResponseHead::default()
        };
        self.reader.response_head(&head, began_ns);
    }

    /// There is no room for it any more.
    pub(super) fn give_up(&mut self, now_ns: u64, sink: &mut dyn TextSink) {
        let why = Some(Incomplete::OverBudget);
        if !self.asked {
            self.reader.end(Side::Request, why, 0, now_ns, sink);
        }
        self.reader.end(Side::Response, why, 0, now_ns, sink);
    }

    /// The reader, with the end of what gets no answer.
    pub(super) fn ended(mut self, now_ns: u64, sink: &mut dyn TextSink) -> Box<ExchangeReader> {
        if self.id.is_none() && !self.answered {
            // Nobody answers a notification.
            self.reader.end(Side::Response, None, 0, now_ns, sink);
        }
        self.reader
    }
}

/// A whole answer whose request has not been seen.
pub(super) struct Waiting {
    asker: Side,
    id: Id,
    pub text: Held,
    pub began_ns: u64,
}

/// Answers that wait.
#[derive(Default)]
pub(super) struct Early(VecDeque<Waiting>);

impl Early {
    /// Keeps an answer; `false` where there is no room.
    pub(super) fn keep(&mut self, asker: Side, id: Id, text: Held, began_ns: u64, now_ns: u64) -> bool {
        let old = |waiting: &Waiting| now_ns.saturating_sub(waiting.began_ns) > EARLY_NS;
        if self.0.front().is_some_and(old) {
            self.0.pop_front();
        }
        let room = self.0.len() < MAX_EARLY && text.len() <= MAX_EARLY_BYTES;
        if room {
            self.0.push_back(Waiting {
                asker,
                id,
                text,
                began_ns,
            });
        }
        room
    }

    /// The answer to this request.
    pub(super) fn take(&mut self, asker: Side, id: &Id) -> Option<Waiting> {
        let at = self.0.iter().position(|w| w.asker == asker && w.id == *id)?;
        self.0.remove(at)
    }

    /// Those that nobody asked for: who would have, and how many bytes.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Side, u64)> {
        self.0.drain(..).map(|w| (w.asker, w.text.len() as u64))
    }
}
