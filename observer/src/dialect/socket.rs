//! AI calls over a WebSocket. Live sessions are read by their turns (`socket_turns`), and a session at a service of speech is one
//! exchange. OpenAI responses: each `response.create` of the client and the events that answer it are one exchange, read as
//! a request and an event stream of it would be.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::connection::{ConnectionHooks, Inner};
use super::paths;
use super::reader::{ExchangeReader, NotAi};
use super::socket_turns::Turn;
use crate::budget::Held;
use crate::exchange::Dialect;
use crate::protocol::websocket::{Agreement, WebSocketConnection, WebSocketEvent};
use crate::protocol::{Fields, Incomplete, RequestHead, ResponseHead, Side};

/// Most requests of one socket that wait for their answer. The oldest is given up for a new one.
const MAX_WAITING: usize = 64;
/// Numbers of exchanges inside sockets begin here, apart from those of the connection around them.
const FIRST_EXCHANGE: u64 = 1 << 63;
/// The client's message that asks for a response.
const CREATE: &str = "response.create";
/// Types of server messages that end a response.
const LAST: &[&str] = &[
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.cancelled",
    "error",
];

/// Most bytes of the server that wait for the request that they answer.
const MAX_EARLY: usize = 64 * 1024;
/// How long they wait.
const EARLY_NS: u64 = 500_000_000;

/// A socket on which responses are asked for.
pub(super) struct Socket {
    /// The exchange that opened it.
    handshake: u64,
    wire: WebSocketConnection,
    talk: Talk,
    /// Bytes of the server that came while nothing was asked. A write is known when it returns, and by then another thread of
    /// the client may have read the answer.
    early: Held,
    early_since_ns: u64,
}

pub(super) struct Talk {
    pub(super) head: RequestHead,
    pub(super) status: u16,
    /// A live session: exchanges are its turns.
    live: bool,
    /// A session at a service of speech, which is one turn: nothing in it says where one question ends.
    pub(super) whole: bool,
    /// The turn that is under way, and the models named so far (asked, answered).
    pub(super) turn: Option<Turn>,
    pub(super) models: [Option<String>; 2],
    /// Next exchange, counted from `FIRST_EXCHANGE`.
    next: u64,
    /// Exchange whose request is being sent.
    asking: Option<u64>,
    /// Exchanges whose answer is not over; the first one is being answered.
    waiting: VecDeque<u64>,
    /// Bytes of the answer so far, and what is missing in it.
    answer_bytes: u64,
    answer_flaw: Option<Incomplete>,
    /// A server message is being read.
    answering: bool,
}

/// Whether a request asks for a WebSocket on which a model may be asked: HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441). `speech`: its
/// host is a service of speech.
pub(super) fn is_handshake(head: &RequestHead, speech: impl FnOnce() -> bool) -> bool {
    let is = |name: &str| {
        head.fields
            .get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    };
    (is("upgrade") || is(":protocol")) && (in_turns(head) || speech())
}

/// Whether the path says that a session has responses or turns.
fn in_turns(head: &RequestHead) -> bool {
    let has = |dialect| dialect == Dialect::OpenAiResponses || is_live(dialect);
    paths::dialects(&head.path).any(|(dialect, _)| has(dialect))
}

fn is_live(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAiRealtime | Dialect::GeminiLive)
}

impl Talk {
    /// The number of a new exchange.
    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

/// What a server's event stream would say of itself.
pub(super) fn stream_head(status: u16) -> ResponseHead {
    let kind = ("content-type".to_owned(), b"text/event-stream".to_vec());
    ResponseHead {
        status,
        fields: Fields(vec![kind]),
        unknown_fields: 0,
    }
}

/// Between the values of JSON a line end is a blank; in an event stream it would end the line.
pub(super) fn blank_line_ends(side: Side, data: &[u8]) -> Cow<'_, [u8]> {
    if side == Side::Request || memchr::memchr2(b'\r', b'\n', data).is_none() {
        return Cow::Borrowed(data);
    }
    let blank = |byte: &u8| match byte {
        b'\r' | b'\n' => b' ',
        byte => *byte,
    };
    Cow::Owned(data.iter().map(blank).collect())
}

impl Socket {
    /// A socket that the exchange `handshake` opens, if the server's answer says so.
    pub(super) fn accepted(handshake: u64, head: &RequestHead, answer: &ResponseHead) -> Option<Self> {
        let connect = head.method == "CONNECT" && (200..300).contains(&answer.status);
        if answer.status != 101 && !connect {
            return None;
        }
        let agreed = Agreement::read(answer.fields.all("sec-websocket-extensions"));
        let talk = Talk {
            head: head.clone(),
            status: answer.status,
            live: paths::dialects(&head.path).any(|(dialect, _)| is_live(dialect)) || !in_turns(head),
            whole: !in_turns(head),
            turn: None,
            models: [None, None],
            next: FIRST_EXCHANGE,
            asking: None,
            waiting: VecDeque::new(),
            answer_bytes: 0,
            answer_flaw: None,
            answering: false,
        };
        let wire = WebSocketConnection::new(agreed);
        Some(Self {
            handshake,
            wire,
            talk,
            early: Held::default(),
            early_since_ns: 0,
        })
    }
}

impl Socket {
    /// Keeps bytes of the server while nothing is asked; `false` when they are to be read now.
    fn keeps_early(&mut self, data: &[u8], now_ns: u64) -> bool {
        let may_wait =
            !self.talk.live && self.talk.waiting.is_empty() && self.early.len() + data.len() <= MAX_EARLY;
        let is_first = self.early.is_empty();
        let keeps = may_wait && self.early.extend(data);
        if keeps && is_first {
            self.early_since_ns = now_ns;
        }
        keeps
    }
}

impl Inner {
    /// Whether the bytes of this exchange are those of the socket.
    pub(super) fn is_socket(&self, exchange: u64) -> bool {
        self.socket
            .as_ref()
            .is_some_and(|socket| socket.handshake == exchange)
    }

    /// Bytes of the socket.
    pub(super) fn socket_data(
        &mut self,
        side: Side,
        data: &[u8],
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(mut socket) = self.socket.take() else {
            return;
        };
        if side == Side::Response && socket.keeps_early(data, now_ns) {
            self.socket = Some(socket);
            return;
        }
        let stale = now_ns.saturating_sub(socket.early_since_ns) > EARLY_NS;
        if side == Side::Response || stale {
            // In order, or no answer to what is asked now.
            self.take_early(&mut socket, now_ns, hooks);
        }
        let Socket { wire, talk, .. } = &mut *socket;
        wire.push(side, data, &mut |event| {
            self.socket_event(talk, event, now_ns, hooks);
        });
        if side == Side::Request && !socket.talk.waiting.is_empty() {
            self.take_early(&mut socket, now_ns, hooks);
        }
        self.socket = Some(socket);
    }

    fn take_early(&mut self, socket: &mut Socket, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let early = std::mem::take(&mut socket.early);
        let Socket { wire, talk, .. } = socket;
        if !early.is_empty() {
            wire.push(Side::Response, &early, &mut |event| {
                self.socket_event(talk, event, now_ns, hooks);
            });
        }
    }

    /// Bytes of the socket are missing.
    pub(super) fn socket_gap(
        &mut self,
        side: Side,
        missing: Option<u64>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(mut socket) = self.socket.take() else {
            return;
        };
        self.take_early(&mut socket, now_ns, hooks);
        let Socket { wire, talk, .. } = &mut *socket;
        wire.gap(side, missing, &mut |event| {
            self.socket_event(talk, event, now_ns, hooks);
        });
        self.socket = Some(socket);
    }

    /// The connection around the socket is over.
    pub(super) fn socket_close(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let Some(mut socket) = self.socket.take() else {
            return;
        };
        self.take_early(&mut socket, now_ns, hooks);
        let Socket { wire, talk, .. } = &mut *socket;
        wire.close(&mut |event| self.socket_event(talk, event, now_ns, hooks));
    }

    fn socket_event(
        &mut self,
        talk: &mut Talk,
        event: WebSocketEvent<'_>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        if talk.live {
            self.turn_event(talk, event, now_ns, hooks);
            return;
        }
        match event {
            WebSocketEvent::Begin {
                side: Side::Request,
                text: true,
            } => {
                self.ask(talk, now_ns, hooks);
            }
            WebSocketEvent::Begin {
                side: Side::Response,
                text: true,
            } => {
                self.answer(talk, now_ns, hooks);
            }
            WebSocketEvent::Begin { text: false, .. } => {}
            WebSocketEvent::Data { side, data } => self.socket_content(talk, side, data, now_ns, hooks),
            WebSocketEvent::Gap { side } => {
                if let Some((number, reader)) = self.speaking(talk, side) {
                    reader.gap(side, hooks.text_sink(number));
                }
            }
            WebSocketEvent::End {
                side: Side::Request,
                incomplete,
                wire_bytes,
            } => {
                self.asked(talk, incomplete, wire_bytes, now_ns, hooks);
            }
            WebSocketEvent::End {
                side: Side::Response,
                incomplete,
                wire_bytes,
            } => {
                self.answered(talk, incomplete, wire_bytes, now_ns, hooks);
            }
            WebSocketEvent::Closed {
                side: Side::Response,
                reason,
            } => {
                while !talk.waiting.is_empty() {
                    self.answer_end(talk, Some(reason), now_ns, hooks);
                }
            }
            WebSocketEvent::Closed {
                side: Side::Request, ..
            } => {}
            WebSocketEvent::Skipped { side, bytes, reason } => hooks.lost(side, bytes, reason),
        }
    }

    /// The exchange whose message is being read.
    fn speaking(&mut self, talk: &Talk, side: Side) -> Option<(u64, &mut ExchangeReader)> {
        let number = match side {
            Side::Request => talk.asking,
            Side::Response => talk.waiting.front().copied().filter(|_| talk.answering),
        }?;
        self.open.get_mut(&number).map(|reader| (number, &mut **reader))
    }

    /// A message of the client begins: perhaps a request.
    fn ask(&mut self, talk: &mut Talk, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        self.make_room(now_ns, hooks);
        let number = talk.next_number();
        talk.asking = Some(number);
        let head = talk.head.clone();
        let reader = ExchangeReader::over_socket(&self.catalog, head, self.server_name.as_deref(), now_ns);
        self.open.insert(number, Box::new(reader));
    }

    /// A message of the client is over.
    fn asked(
        &mut self,
        talk: &mut Talk,
        incomplete: Option<Incomplete>,
        wire_bytes: u64,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(number) = talk.asking.take() else { return };
        let Some(reader) = self.open.get_mut(&number) else {
            return;
        };
        reader.end(
            Side::Request,
            incomplete,
            wire_bytes,
            now_ns,
            hooks.text_sink(number),
        );
        let create = match reader.request.kind.as_deref() {
            Some(kind) => kind == CREATE,
            // The type was in what is missing.
            None => incomplete.is_some(),
        };
        if !create {
            self.open.remove(&number);
            hooks.not_ai(number, NotAi::Other);
            return;
        }
        if talk.waiting.len() == MAX_WAITING {
            self.answer_end(talk, Some(Incomplete::OverBudget), now_ns, hooks);
        }
        talk.waiting.push_back(number);
        self.settle(Some(number), now_ns, hooks);
    }

    /// A message of the server begins.
    fn answer(&mut self, talk: &mut Talk, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        talk.answering = true;
        let status = talk.status;
        let Some((number, reader)) = self.speaking(talk, Side::Response) else {
            return;
        };
        if reader.first_response_ns.is_none() {
            reader.response_head(&stream_head(status), now_ns);
        }
        reader.body(Side::Response, b"data: ", now_ns, hooks.text_sink(number));
    }

    fn socket_content(
        &mut self,
        talk: &Talk,
        side: Side,
        data: &[u8],
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some((number, reader)) = self.speaking(talk, side) else {
            return;
        };
        let data = blank_line_ends(side, data);
        reader.body(side, &data, now_ns, hooks.text_sink(number));
    }

    /// A message of the server is over.
    fn answered(
        &mut self,
        talk: &mut Talk,
        incomplete: Option<Incomplete>,
        wire_bytes: u64,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some((number, reader)) = self.speaking(talk, Side::Response) else {
            talk.answering = false;
            return;
        };
        reader.body(Side::Response, b"\n\n", now_ns, hooks.text_sink(number));
        let last = reader
            .response
            .kind
            .as_deref()
            .is_some_and(|kind| LAST.contains(&kind));
        talk.answering = false;
        talk.answer_bytes = talk.answer_bytes.saturating_add(wire_bytes);
        talk.answer_flaw = talk.answer_flaw.or(incomplete);
        if last {
            self.answer_end(talk, None, now_ns, hooks);
        } else {
            self.settle(Some(number), now_ns, hooks);
        }
    }

    /// The answer being sent is over, or the connection is.
    fn answer_end(
        &mut self,
        talk: &mut Talk,
        why: Option<Incomplete>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let (bytes, flaw) = (std::mem::take(&mut talk.answer_bytes), talk.answer_flaw.take());
        let Some(number) = talk.waiting.pop_front() else {
            return;
        };
        let Some(reader) = self.open.get_mut(&number) else {
            return;
        };
        reader.end(
            Side::Response,
            flaw.or(why),
            bytes,
            now_ns,
            hooks.text_sink(number),
        );
        self.settle(Some(number), now_ns, hooks);
    }
}
