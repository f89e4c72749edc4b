//! Live sessions over a WebSocket (OpenAI realtime, Gemini live): what client and server say up to the end of a response
//! is one exchange, since a server that listens for speech answers without being asked in so many words. Services of speech
//! alone (Deepgram, AssemblyAI, ElevenLabs) do not say where a response ends: with them, the session is one exchange.

use super::connection::{ConnectionHooks, Inner};
use super::reader::{ExchangeReader, NotAi};
use super::rules::Mark;
use super::socket::{Talk, blank_line_ends, stream_head};
use crate::protocol::websocket::WebSocketEvent;
use crate::protocol::{Incomplete, Side};

/// Type of the server's message that ends a response.
const DONE: &str = "response.done";

/// The turn that is under way.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    /// Bytes on the wire, and what is missing, by side.
    bytes: [u64; 2],
    flaws: [Option<Incomplete>; 2],
    /// The message under way is audio as it is, by side.
    audio: [bool; 2],
}

impl Inner {
    /// An event of a live session.
    pub(super) fn turn_event(
        &mut self,
        talk: &mut Talk,
        event: WebSocketEvent<'_>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        match event {
            WebSocketEvent::Begin { side, text } => {
                // Live sessions put JSON into binary messages, too.
                let audio = talk.whole && !text;
                self.turn_says(talk, side, audio, now_ns, hooks);
            }
            WebSocketEvent::Data { side, data } => {
                let audio = talk.turn.as_ref().is_some_and(|turn| turn.audio[side as usize]);
                match self.turn_reader(talk) {
                    Some((_, reader)) if audio => reader.audio(side, data.len() as u64),
                    Some((number, reader)) => {
                        let data = blank_line_ends(side, data);
                        reader.body(side, &data, now_ns, hooks.text_sink(number));
                    }
                    None => {}
                }
            }
            WebSocketEvent::Gap { side } => {
                if let Some((number, reader)) = self.turn_reader(talk) {
                    reader.gap(side, hooks.text_sink(number));
                }
            }
            WebSocketEvent::End {
                side,
                incomplete,
                wire_bytes,
            } => {
                if let Some(turn) = &mut talk.turn {
                    let at = side as usize;
                    turn.bytes[at] = turn.bytes[at].saturating_add(wire_bytes);
                    turn.flaws[at] = turn.flaws[at].or(incomplete);
                }
                self.turn_said(talk, side, now_ns, hooks);
            }
            WebSocketEvent::Closed {
                side: Side::Response,
                reason,
            } => self.turn_end(talk, Some(reason), now_ns, hooks),
            WebSocketEvent::Closed {
                side: Side::Request, ..
            } => {}
            WebSocketEvent::Skipped { side, bytes, reason } => hooks.lost(side, bytes, reason),
        }
    }

    fn turn_reader(&mut self, talk: &Talk) -> Option<(u64, &mut ExchangeReader)> {
        let number = talk.turn.as_ref()?.number;
        self.open.get_mut(&number).map(|reader| (number, &mut **reader))
    }

    /// A message begins, perhaps the first of a turn.
    fn turn_says(
        &mut self,
        talk: &mut Talk,
        side: Side,
        audio: bool,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        if self.turn_reader(talk).is_none() {
            self.make_room(now_ns, hooks);
            let number = talk.next_number();
            let head = talk.head.clone();
            let name = self.server_name.as_deref();
            let mut reader = ExchangeReader::over_socket(&self.catalog, head, name, now_ns);
            reader.speech = talk.whole;
            // Models are named once in a session.
            [reader.request.model, reader.response.model] = talk.models.clone();
            self.open.insert(number, Box::new(reader));
            talk.turn = Some(Turn {
                number,
                bytes: [0; 2],
                flaws: [None; 2],
                audio: [false; 2],
            });
        }
        if let Some(turn) = &mut talk.turn {
            turn.audio[side as usize] = audio;
        }
        let status = talk.status;
        let Some((number, reader)) = self.turn_reader(talk) else {
            return;
        };
        if side == Side::Response {
            if reader.first_response_ns.is_none() {
                reader.response_head(&stream_head(status), now_ns);
            }
            if !audio {
                reader.body(side, b"data: ", now_ns, hooks.text_sink(number));
            }
        }
    }

    /// A message is over.
    fn turn_said(&mut self, talk: &mut Talk, side: Side, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if talk.turn.as_ref().is_some_and(|turn| turn.audio[side as usize]) {
            return;
        }
        let Some((number, reader)) = self.turn_reader(talk) else {
            return;
        };
        let end: &[u8] = if side == Side::Request { b"\n" } else { b"\n\n" };
        reader.body(side, end, now_ns, hooks.text_sink(number));
        let response = &reader.response;
        let complete = response.marks & Mark::TurnComplete as u64 != 0;
        let done = complete || response.kind.as_deref() == Some(DONE);
        if side == Side::Response && done && !talk.whole {
            self.turn_end(talk, None, now_ns, hooks);
        }
    }

    /// The response of the turn is over, or the session is.
    fn turn_end(
        &mut self,
        talk: &mut Talk,
        why: Option<Incomplete>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(turn) = talk.turn.take() else { return };
        let number = turn.number;
        let Some(reader) = self.open.get_mut(&number) else {
            return;
        };
        let models = [&reader.request.model, &reader.response.model];
        talk.models = models.map(Clone::clone);
        let (why, answered) = match talk.whole {
            // Such a session has no other end.
            true => (why.filter(|why| *why != Incomplete::Closed), turn.bytes[1] > 0),
            false => (
                why,
                why.is_none() || reader.response.first_fragment_ns.is_some() || reader.response.heard,
            ),
        };
        let flaws = [turn.flaws[0], turn.flaws[1].or(why)];
        for (side, flaw) in [Side::Request, Side::Response].into_iter().zip(flaws) {
            let bytes = turn.bytes[side as usize];
            reader.end(side, flaw, bytes, now_ns, hooks.text_sink(number));
        }
        if answered {
            self.settle(Some(number), now_ns, hooks);
        } else {
            // A session that was set up, or closed, and in which nothing was said.
            self.open.remove(&number);
            hooks.not_ai(number, NotAi::Other);
        }
    }
}
