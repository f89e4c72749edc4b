//! Reads one connection: ordered plaintext of both directions in, exchanges out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hub;
use super::others::Others;
use super::reader::Verdict;
use super::socket::{self, Socket};
use super::transport::Transport;
use super::{ExchangeReader, NotAi, Outcome, TextSink};
use crate::budget::Held;
use crate::catalog::{Catalog, Class};
use crate::exchange::Exchange;
use crate::protocol::http2::Http2Connection;
use crate::protocol::http2::sniff::{Opening, joined, opening};
use crate::protocol::sniff::{Sniff, sniff};
use crate::protocol::{HttpEvent, Incomplete, RequestHead, ResponseHead, Side};

/// Bytes of a direction that are kept until its protocol is known.
pub const MAX_SNIFF: usize = 64 * 1024;
/// Most exchanges of one HTTP/1.1 connection that are read at a time. The decoder below holds at most this many requests
/// open; the rest is room for what it has given up.
pub const MAX_OPEN: usize = 64;
/// Most exchanges of one HTTP/2 connection that are read at a time. Servers hardly ever allow more streams; of more, those
/// that wait longest are given up.
pub const MAX_OPEN_STREAMS: usize = 256;

/// What a connection is, as far as the bytes so far say. Drives the scope gate in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Not decided yet: keep delivering.
    Undecided,
    /// Carries AI exchanges: deliver everything.
    Ai,
    /// Carries something else: stop delivering.
    Other,
}

/// What the owner of a connection provides and hears. Exchanges of one connection are numbered from 0.
pub trait ConnectionHooks {
    /// Where the text of this exchange goes. May be called many times, also for an exchange that turns out not to be
    /// AI.
    fn text_sink(&mut self, exchange: u64) -> &mut dyn TextSink;
    /// The exchange is over and was AI. All its text has been handed on.
    fn finished(&mut self, exchange: u64, facts: Exchange);
    /// The exchange is over, or given up, and was not AI: drop what was kept for it.
    fn not_ai(&mut self, exchange: u64, reason: NotAi);
    /// A request to a hub of models is for this repository.
    fn repository(&mut self, _name: String) {}
    /// `bytes` of this direction belong to no exchange and were not read.
    fn lost(&mut self, side: Side, bytes: u64, reason: Incomplete);
}

/// Protocol of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// Not a byte of a direction is decided.
    Unknown,
    /// HTTP, in one of its versions.
    Http,
    /// Not a protocol that carries AI calls.
    Foreign,
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Http1,
    Http2,
    Foreign,
}

/// Reader of one connection.
pub struct ConnectionReader {
    inner: Inner,
    http: Transport,
    protocol: Protocol,
    /// First bytes of each direction while the protocol is unknown, and the time of the first of them.
    first: [Held; 2],
    first_ns: [u64; 2],
    /// Holes in front of them.
    holes: [Option<Option<u64>>; 2],
}

pub(super) struct Inner {
    pub(super) catalog: Arc<Catalog>,
    pub(super) server_name: Option<String>,
    /// The server name is in the catalogue.
    known_host: bool,
    pub(super) open: BTreeMap<u64, Box<ExchangeReader>>,
    /// Most of them.
    pub(super) room: usize,
    /// Above the highest exchange number opened so far.
    pub(super) next: u64,
    /// Time of the first byte of the message being read, by direction.
    message_ns: [u64; 2],
    /// An exchange was recognised as AI, or may be by its path.
    ai: bool,
    /// An exchange was recognised for good.
    confirmed: bool,
    /// Exchanges that were clearly something else.
    others: Others,
    /// What the connection goes on as, if it changed to HTTP/2.
    pub(super) http2: Option<Box<Http2Connection>>,
    /// The connection changed to a protocol that is not read.
    switched: bool,
    /// A request for a WebSocket that is not answered yet.
    handshake: Option<(u64, RequestHead)>,
    /// The connection as a whole is the WebSocket.
    tunnelled: bool,
    /// A WebSocket that is read.
    pub(super) socket: Option<Box<Socket>>,
}

impl ConnectionReader {
    /// A reader for a connection; `server_name` is the name asked for in the TLS handshake, where known.
    pub fn new(catalog: Arc<Catalog>, server_name: Option<&str>) -> Self {
        let known_host = server_name.is_some_and(|name| catalog.host_is_ai(name));
        let inner = Inner {
            catalog,
            server_name: server_name.map(str::to_ascii_lowercase),
            known_host,
            open: BTreeMap::new(),
            room: MAX_OPEN,
            next: 0,
            message_ns: [0; 2],
            ai: false,
            confirmed: false,
            others: Others::default(),
            http2: None,
            switched: false,
            handshake: None,
            tunnelled: false,
            socket: None,
        };
        Self {
            inner,
            http: Transport::http1(),
            protocol: Protocol::Unknown,
            first: Default::default(),
            first_ns: [0; 2],
            holes: [None; 2],
        }
    }

    /// The server name became known after the first bytes.
    pub fn set_server_name(&mut self, name: &str) {
        self.inner.known_host = self.inner.catalog.host_is_ai(name);
        self.inner.server_name = Some(name.to_ascii_lowercase());
    }

    /// The next bytes of one direction, at `now_ns` (nanoseconds, CLOCK_BOOTTIME).
    pub fn push(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if data.is_empty() {
            return;
        }
        match self.protocol {
            Protocol::Unknown => self.sniff(side, data, now_ns, hooks),
            Protocol::Http => self.http(side, data, now_ns, hooks),
            Protocol::Foreign => hooks.lost(side, data.len() as u64, Incomplete::Malformed),
        }
    }

    /// Bytes of one direction are missing here: `missing` of them, or an unknown number.
    pub fn gap(&mut self, side: Side, missing: Option<u64>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if self.protocol == Protocol::Unknown {
            let first = &self.first[side as usize];
            if first.is_empty() {
                self.holes[side as usize] = Some(missing);
                return;
            }
            // Whatever came before the hole, the rest is looked through for the next message.
            let http2 = opening(first, side) != Opening::No || joined(first) != Opening::No;
            self.decide(side, if http2 { Start::Http2 } else { Start::Http1 }, hooks);
        }
        let inner = &mut self.inner;
        self.http
            .gap(side, missing, &mut |event| inner.event(event, now_ns, hooks));
    }

    /// The connection, handle or process is over: everything open is finished now.
    pub fn close(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if self.protocol == Protocol::Unknown {
            self.decide(Side::Request, Start::Http1, hooks);
        }
        self.inner.socket_close(now_ns, hooks);
        self.inner.refuse_handshake(now_ns, hooks);
        let inner = &mut self.inner;
        self.http.close(&mut |event| inner.event(event, now_ns, hooks));
        inner.http2_close(now_ns, hooks);
        while let Some((exchange, reader)) = inner.open.pop_first() {
            inner.finish(exchange, reader, now_ns, hooks);
        }
    }

    /// What the connection is, as far as known.
    pub fn scope(&self) -> Scope {
        let inner = &self.inner;
        if inner.ai || inner.confirmed || inner.known_host || inner.socket.is_some() {
            return Scope::Ai;
        }
        let multiplexed = self.http.is_multiplexed() || inner.http2.is_some();
        match self.protocol {
            Protocol::Foreign => Scope::Other,
            // Beside other calls of the connection, one that is not decided may still be AI.
            Protocol::Http if multiplexed && !inner.open.is_empty() => Scope::Undecided,
            Protocol::Http if inner.others.decide() => Scope::Other,
            Protocol::Http | Protocol::Unknown => Scope::Undecided,
        }
    }

    /// Whether an answer would be to a request that is not here (yet).
    pub fn expects_request(&self) -> bool {
        match self.protocol {
            Protocol::Unknown => self.holes[Side::Request as usize].is_none(),
            Protocol::Http => self.http.expects_request(),
            Protocol::Foreign => false,
        }
    }

    /// Protocol that is spoken here and not read: `websocket` (or what else HTTP/1 was switched to).
    pub fn unsupported(&self) -> Option<&'static str> {
        self.inner.switched.then_some("websocket")
    }

    fn sniff(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let first = &mut self.first[side as usize];
        if first.is_empty() {
            self.first_ns[side as usize] = now_ns;
        }
        first.append(data);
        let holed = self.holes[side as usize].is_some();
        let known = self.inner.known_host || side == Side::Response || holed;
        let room = first.len() < MAX_SNIFF && first.settle();
        let start = match (sniff(first, side), joined(first)) {
            (Sniff::Http1Request | Sniff::Http1Response, _) => Start::Http1,
            (Sniff::Http2Preface, _) | (Sniff::Other, Opening::Yes) => Start::Http2,
            (Sniff::NeedMore, _) | (Sniff::Other, Opening::More) if room => return,
            // Joined in the middle of a connection to an AI host, or of one whose other direction may tell.
            (Sniff::Other, _) if known => Start::Http1,
            (Sniff::Other | Sniff::NeedMore, _) => Start::Foreign,
        };
        self.decide(side, start, hooks);
    }

    /// The protocol is known, since `side` told it: bytes kept so far go where they belong.
    fn decide(&mut self, side: Side, start: Start, hooks: &mut dyn ConnectionHooks) {
        self.protocol = match start {
            Start::Http1 | Start::Http2 => Protocol::Http,
            Start::Foreign => Protocol::Foreign,
        };
        if start == Start::Http2 {
            let begun = |side: Side| opening(&self.first[side as usize], side);
            let whole = begun(side) != Opening::No && self.holes == [None; 2];
            let request = !whole || begun(Side::Request) == Opening::No;
            self.http = Transport::http2([request, !whole]);
            self.inner.room = MAX_OPEN_STREAMS;
            // Behind its hole, this side begins with a frame.
            self.holes[side as usize] = None;
        }
        for side in [Side::Request, Side::Response] {
            let (kept, at) = (
                std::mem::take(&mut self.first[side as usize]),
                self.first_ns[side as usize],
            );
            if let Some(missing) = self.holes[side as usize].take() {
                self.gap(side, missing, at, hooks);
            }
            self.push(side, &kept, at, hooks);
        }
    }

    fn http(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if self.http.is_idle(side) {
            self.inner.message_ns[side as usize] = now_ns;
        }
        let inner = &mut self.inner;
        self.http
            .push(side, data, &mut |event| inner.event(event, now_ns, hooks));
    }
}

impl Inner {
    pub(super) fn event(&mut self, event: HttpEvent<'_>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let number = event.exchange();
        match event {
            HttpEvent::RequestHead { exchange, head } => self.request_head(exchange, head, now_ns, hooks),
            HttpEvent::ResponseHead { exchange, head } => {
                self.response_head(exchange, &head, now_ns, hooks);
            }
            HttpEvent::Body { exchange, side, data } => {
                if self.is_socket(exchange) {
                    self.socket_data(side, data, now_ns, hooks);
                } else if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.body(side, data, now_ns, hooks.text_sink(exchange));
                } else {
                    self.others.body(exchange, data.len());
                }
            }
            HttpEvent::BodyGap {
                exchange,
                side,
                missing,
            } => {
                if self.is_socket(exchange) {
                    self.socket_gap(side, missing, now_ns, hooks);
                } else if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.gap(side, hooks.text_sink(exchange));
                }
            }
            HttpEvent::Trailers { exchange, fields } => {
                if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.trailers(&fields);
                }
            }
            HttpEvent::End {
                exchange,
                side,
                incomplete,
                wire_bytes,
            } => {
                if self.http2.is_some() && side == Side::Response {
                    // The answer of HTTP/1.1 says only that it comes over HTTP/2.
                } else if self.is_socket(exchange) && side == Side::Response {
                    // Over HTTP/1.1, the answer to the handshake ends where the socket begins.
                    if !self.tunnelled {
                        self.socket_close(now_ns, hooks);
                    }
                } else if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.end(side, incomplete, wire_bytes, now_ns, hooks.text_sink(exchange));
                }
            }
            HttpEvent::Skipped { side, bytes, reason } => hooks.lost(side, bytes, reason),
            HttpEvent::Switched { exchange } => {
                self.switched = !self.is_socket(exchange) && self.http2.is_none();
            }
            HttpEvent::Tunnel { side, data, .. } if self.switched => {
                hooks.lost(side, data.len() as u64, Incomplete::Unsupported);
            }
            HttpEvent::Tunnel { side, data, .. } if self.http2.is_some() => {
                self.http2_data(side, data, now_ns, hooks);
            }
            HttpEvent::TunnelGap { side, missing, .. } if self.http2.is_some() => {
                self.http2_gap(side, missing, now_ns, hooks);
            }
            HttpEvent::Tunnel { side, data, .. } => self.socket_data(side, data, now_ns, hooks),
            HttpEvent::TunnelGap { side, missing, .. } => self.socket_gap(side, missing, now_ns, hooks),
        }
        self.settle(number, now_ns, hooks);
    }

    fn request_head(
        &mut self,
        exchange: u64,
        head: RequestHead,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let began = std::mem::replace(&mut self.message_ns[Side::Request as usize], now_ns);
        let speech = || {
            let name = match head.host.as_str() {
                "" => self.server_name.as_deref().unwrap_or_default(),
                host => host,
            };
            let found = self.catalog.lookup(name, &head.path);
            found.is_some_and(|found| found.class == Class::Audio)
        };
        if socket::is_handshake(&head, speech) && self.handshake.is_none() && self.socket.is_none() {
            self.next = exchange + 1;
            self.handshake = Some((exchange, head));
            return;
        }
        if let Some(name) = hub::repository(&head.path) {
            let host = match head.host.as_str() {
                "" => self.server_name.as_deref().unwrap_or_default(),
                host => host,
            };
            if self.catalog.host_is_hub(host) {
                hooks.repository(name);
            }
        }
        self.make_room(now_ns, hooks);
        let reader = ExchangeReader::new(&self.catalog, Some(head), self.server_name.as_deref(), began);
        self.insert(exchange, reader);
    }

    fn response_head(
        &mut self,
        exchange: u64,
        head: &ResponseHead,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        if self.upgraded(exchange, head) {
            return;
        }
        let began = std::mem::replace(&mut self.message_ns[Side::Response as usize], now_ns);
        if let Some((number, asked)) = &self.handshake
            && *number == exchange
        {
            self.socket = Socket::accepted(exchange, asked, head).map(Box::new);
            if self.socket.is_some() {
                self.tunnelled = head.status == 101;
                self.handshake = None;
            } else {
                self.refuse_handshake(now_ns, hooks);
            }
            return;
        }
        self.unseen_request(exchange, began, now_ns, hooks);
        if let Some(reader) = self.open.get_mut(&exchange) {
            reader.response_head(head, began);
        }
    }

    /// A request for a WebSocket that got none is a request like others.
    fn refuse_handshake(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let Some((exchange, head)) = self.handshake.take() else {
            return;
        };
        let reader = ExchangeReader::new(&self.catalog, Some(head), self.server_name.as_deref(), now_ns);
        self.finish(exchange, Box::new(reader), now_ns, hooks);
    }

    /// A response whose request was not seen opens an exchange of its own, unless the exchange was judged before.
    fn unseen_request(&mut self, exchange: u64, began: u64, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        // Numbers only grow: one that was open before has been judged.
        if exchange >= self.next {
            self.make_room(now_ns, hooks);
            let reader = ExchangeReader::new(&self.catalog, None, self.server_name.as_deref(), began);
            self.insert(exchange, reader);
        }
    }

    fn insert(&mut self, exchange: u64, reader: ExchangeReader) {
        self.next = exchange + 1;
        self.open.insert(exchange, Box::new(reader));
    }

    /// After each event: the verdict counts for the scope, and what is over or not AI leaves.
    pub(super) fn settle(&mut self, exchange: Option<u64>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let Some(exchange) = exchange else { return };
        let Some(reader) = self.open.get(&exchange) else {
            return;
        };
        match reader.verdict() {
            Verdict::Ai(..) => (self.ai, self.confirmed) = (true, true),
            Verdict::Undecided(by_path) => self.ai |= by_path,
            Verdict::NotAi(_) => {}
        }
        let done = reader.is_over() || matches!(reader.verdict(), Verdict::NotAi(_));
        if done && let Some(reader) = self.open.remove(&exchange) {
            self.finish(exchange, reader, now_ns, hooks);
        }
    }

    fn finish(
        &mut self,
        exchange: u64,
        reader: Box<ExchangeReader>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        // On a shared host the next request may be another matter.
        let neutral = reader.is_neutral() || self.catalog.host_is_shared(reader.host());
        let read = reader.decoded();
        match reader.finish(now_ns) {
            Outcome::Ai(facts) => hooks.finished(exchange, *facts),
            Outcome::NotAi(reason) => {
                self.ai = self
                    .open
                    .values()
                    .any(|r| r.verdict() == Verdict::Undecided(true));
                if !neutral {
                    self.others.add(exchange, read);
                }
                hooks.not_ai(exchange, reason);
            }
        }
    }

    pub(super) fn make_room(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        while self.open.len() >= self.room {
            let Some((exchange, mut reader)) = self.open.pop_first() else {
                return;
            };
            reader.end(
                Side::Response,
                Some(Incomplete::OverBudget),
                0,
                now_ns,
                hooks.text_sink(exchange),
            );
            self.finish(exchange, reader, now_ns, hooks);
        }
    }
}
