//! Reads one connection: ordered plaintext of both directions in, exchanges out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::Verdict;
use super::{ExchangeReader, NotAi, Outcome, TextSink};
use crate::catalog::Catalog;
use crate::exchange::Exchange;
use crate::protocol::http1::Http1Connection;
use crate::protocol::sniff::{Sniff, sniff};
use crate::protocol::{HttpEvent, Incomplete, Side};

/// Bytes of a direction that are kept until its protocol is known.
pub const MAX_SNIFF: usize = 64 * 1024;
/// Most exchanges of one connection that are read at a time. The decoder below holds at most this many requests
/// open; the rest is room for what it has given up.
pub const MAX_OPEN: usize = 64;

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
    /// `bytes` of this direction belong to no exchange and were not read.
    fn lost(&mut self, side: Side, bytes: u64, reason: Incomplete);
}

/// Protocol of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// Not a byte of a direction is decided.
    Unknown,
    Http1,
    /// Known, but not read.
    Unread(&'static str),
    /// Not a protocol that carries AI calls.
    Foreign,
}

/// Reader of one connection.
pub struct ConnectionReader {
    inner: Inner,
    http: Http1Connection,
    protocol: Protocol,
    /// First bytes of each direction while the protocol is unknown, and the time of the first of them.
    first: [Vec<u8>; 2],
    first_ns: [u64; 2],
}

struct Inner {
    catalog: Arc<Catalog>,
    server_name: Option<String>,
    /// The server name is in the catalogue.
    known_host: bool,
    open: BTreeMap<u64, Box<ExchangeReader>>,
    /// Above the highest exchange number opened so far.
    next: u64,
    /// Time of the first byte of the message being read, by direction.
    message_ns: [u64; 2],
    /// An exchange was recognised as AI, or may be by its path.
    ai: bool,
    /// An exchange was recognised for good.
    confirmed: bool,
    /// An exchange was clearly something else.
    other: bool,
    switched: bool,
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
            next: 0,
            message_ns: [0; 2],
            ai: false,
            confirmed: false,
            other: false,
            switched: false,
        };
        let first = [Vec::new(), Vec::new()];
        Self {
            inner,
            http: Http1Connection::new(),
            protocol: Protocol::Unknown,
            first,
            first_ns: [0; 2],
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
            Protocol::Http1 => self.http(side, data, now_ns, hooks),
            Protocol::Unread(_) => hooks.lost(side, data.len() as u64, Incomplete::Unsupported),
            Protocol::Foreign => hooks.lost(side, data.len() as u64, Incomplete::Malformed),
        }
    }

    /// Bytes of one direction are missing here: `missing` of them, or an unknown number.
    pub fn gap(&mut self, side: Side, missing: Option<u64>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if self.protocol == Protocol::Unknown {
            // Whatever came before the hole, the rest is looked through for the next message.
            self.decide(Protocol::Http1, hooks);
        }
        let inner = &mut self.inner;
        self.http
            .gap(side, missing, &mut |event| inner.event(event, now_ns, hooks));
    }

    /// The connection, handle or process is over: everything open is finished now.
    pub fn close(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if self.protocol == Protocol::Unknown {
            self.decide(Protocol::Http1, hooks);
        }
        let inner = &mut self.inner;
        self.http.close(&mut |event| inner.event(event, now_ns, hooks));
        while let Some((exchange, reader)) = inner.open.pop_first() {
            inner.finish(exchange, reader, now_ns, hooks);
        }
    }

    /// What the connection is, as far as known.
    pub fn scope(&self) -> Scope {
        let inner = &self.inner;
        if inner.ai || inner.confirmed || inner.known_host {
            return Scope::Ai;
        }
        match self.protocol {
            Protocol::Foreign | Protocol::Unread(_) => Scope::Other,
            Protocol::Http1 if inner.other => Scope::Other,
            Protocol::Http1 | Protocol::Unknown => Scope::Undecided,
        }
    }

    /// Protocol that is spoken here and not read: `http2`, `websocket` (or what else HTTP/1 was switched to).
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.protocol {
            Protocol::Unread(name) => Some(name),
            _ if self.inner.switched => Some("websocket"),
            _ => None,
        }
    }

    fn sniff(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let first = &mut self.first[side as usize];
        if first.is_empty() {
            self.first_ns[side as usize] = now_ns;
        }
        first.extend_from_slice(data);
        let protocol = match sniff(first, side) {
            Sniff::Http1Request | Sniff::Http1Response => Protocol::Http1,
            Sniff::Http2Preface => Protocol::Unread("http2"),
            // Joined in the middle of a connection to an AI host, or of one whose other direction may tell.
            Sniff::Other if self.inner.known_host || side == Side::Response => Protocol::Http1,
            Sniff::Other => Protocol::Foreign,
            Sniff::NeedMore if first.len() < MAX_SNIFF => return,
            Sniff::NeedMore => Protocol::Foreign,
        };
        self.decide(protocol, hooks);
    }

    /// The protocol is known: bytes kept so far go where they belong.
    fn decide(&mut self, protocol: Protocol, hooks: &mut dyn ConnectionHooks) {
        self.protocol = protocol;
        for side in [Side::Request, Side::Response] {
            let kept = std::mem::take(&mut self.first[side as usize]);
            self.push(side, &kept, self.first_ns[side as usize], hooks);
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
    fn event(&mut self, event: HttpEvent<'_>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let number = exchange_of(&event);
        match event {
            HttpEvent::RequestHead { exchange, head } => {
                let began = std::mem::replace(&mut self.message_ns[Side::Request as usize], now_ns);
                self.make_room(now_ns, hooks);
                let reader =
                    ExchangeReader::new(&self.catalog, Some(head), self.server_name.as_deref(), began);
                self.insert(exchange, reader);
            }
            HttpEvent::ResponseHead { exchange, head } => {
                let began = std::mem::replace(&mut self.message_ns[Side::Response as usize], now_ns);
                self.unseen_request(exchange, began, now_ns, hooks);
                if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.response_head(&head, began);
                }
            }
            HttpEvent::Body { exchange, side, data } => {
                if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.body(side, data, now_ns, hooks.text_sink(exchange));
                }
            }
            HttpEvent::BodyGap { exchange, side, .. } => {
                if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.gap(side, hooks.text_sink(exchange));
                }
            }
            HttpEvent::End {
                exchange,
                side,
                incomplete,
                wire_bytes,
            } => {
                if let Some(reader) = self.open.get_mut(&exchange) {
                    reader.end(side, incomplete, wire_bytes, now_ns, hooks.text_sink(exchange));
                }
            }
            HttpEvent::Skipped { side, bytes, reason } => hooks.lost(side, bytes, reason),
            HttpEvent::Switched { .. } => self.switched = true,
        }
        self.settle(number, now_ns, hooks);
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
    fn settle(&mut self, exchange: Option<u64>, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
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
        match reader.finish(now_ns) {
            Outcome::Ai(facts) => hooks.finished(exchange, *facts),
            Outcome::NotAi(reason) => {
                self.ai = self
                    .open
                    .values()
                    .any(|r| r.verdict() == Verdict::Undecided(true));
                self.other |= !neutral;
                hooks.not_ai(exchange, reason);
            }
        }
    }

    fn make_room(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        while self.open.len() >= MAX_OPEN {
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

fn exchange_of(event: &HttpEvent<'_>) -> Option<u64> {
    match event {
        HttpEvent::RequestHead { exchange, .. }
        | HttpEvent::ResponseHead { exchange, .. }
        | HttpEvent::Body { exchange, .. }
        | HttpEvent::BodyGap { exchange, .. }
        | HttpEvent::End { exchange, .. }
        | HttpEvent::Switched { exchange } => Some(*exchange),
        HttpEvent::Skipped { .. } => None,
    }
}
