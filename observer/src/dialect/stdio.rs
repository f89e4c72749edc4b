//! MCP over standard input and output: messages of JSON-RPC in both directions between a client and the server that it started.
//! Each request and its answer are one exchange, whoever asks; so is a notification of the client, as over HTTP. Notifications of the
//! server are progress and logs: they belong to no call and are passed over.

mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::ConnectionHooks;
use super::reader::Verdict;
use super::{ExchangeReader, Outcome, Scope};
use crate::budget::Held;
use crate::catalog::Catalog;
use crate::exchange::{Attempt, Client, Dialect, Product};
use crate::protocol::jsonrpc::{Envelope, Event, Id, Kind, Messages};
use crate::protocol::{Fields, Incomplete, RequestHead, Side};
use open::{Early, Open};

/// Bytes of a message that are kept while its keys do not say what it is. Some servers put the identifier behind the result.
const MAX_HELD: usize = 1024 * 1024;
/// Bytes without a message of MCP after which there will be none.
const MAX_UNDECIDED: u64 = 64 * 1024;
/// Most requests that wait for their answer. The oldest is given up for a new one.
const MAX_OPEN: usize = 64;

/// Reader of one server's input and output.
pub struct StdioReader {
    halves: [Half; 2],
    talk: Talk,
}

/// One direction.
#[derive(Default)]
struct Half {
    messages: Messages,
    message: Option<Message>,
}

/// A message under way.
#[derive(Default)]
struct Message {
    envelope: Envelope,
    began_ns: u64,
    /// Its bytes, while it is not known where they go.
    held: Held,
    /// There was more than could be kept.
    cut: bool,
    /// Exchange that it belongs to.
    exchange: Option<u64>,
}

/// What is said in both directions.
struct Talk {
    catalog: Arc<Catalog>,
    open: BTreeMap<u64, Open>,
    early: Early,
    next: u64,
    /// A message of MCP has come.
    is_mcp: bool,
    /// Bytes before it, and whether they say that none will come.
    undecided: u64,
    is_other: bool,
    /// What client and server agreed on, and who they say they are.
    version: Option<String>,
    client: Client,
    server: Product,
}

impl StdioReader {
    /// A reader at the start of the talk, or somewhere in it.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            halves: Default::default(),
            talk: Talk {
                catalog,
                open: BTreeMap::new(),
                early: Early::default(),
                next: 0,
                is_mcp: false,
                undecided: 0,
                is_other: false,
                version: None,
                client: Client::default(),
                server: Product::default(),
            },
        }
    }

    /// The next bytes: `Side::Request` from the client, `Side::Response` from the server.
    pub fn push(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if !self.talk.is_mcp {
            self.talk.undecided += data.len() as u64;
        }
        let (talk, Half { messages, message }) = (&mut self.talk, &mut self.halves[side as usize]);
        messages.push(data, &mut |event| {
            talk.event(message, side, event, now_ns, hooks);
        });
    }

    /// Bytes of one direction are missing here.
    pub fn gap(&mut self, side: Side, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let (talk, Half { messages, message }) = (&mut self.talk, &mut self.halves[side as usize]);
        messages.gap(&mut |event| talk.event(message, side, event, now_ns, hooks));
    }

    /// The server has ended: what is open gets no answer any more.
    pub fn close(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        for side in [Side::Request, Side::Response] {
            let (talk, Half { messages, message }) = (&mut self.talk, &mut self.halves[side as usize]);
            messages.close(&mut |event| talk.event(message, side, event, now_ns, hooks));
        }
        for (asker, bytes) in self.talk.early.drain() {
            hooks.lost(asker.other(), bytes, Incomplete::Gap);
        }
        while let Some((number, open)) = self.talk.open.pop_first() {
            self.talk.finish(number, open, now_ns, hooks);
        }
    }

    /// What it is, as far as known.
    pub fn scope(&self) -> Scope {
        if self.talk.is_mcp {
            Scope::Ai
        } else if self.talk.is_other || self.talk.undecided > MAX_UNDECIDED {
            Scope::Other
        } else {
            Scope::Undecided
        }
    }
}

impl Talk {
    fn event(
        &mut self,
        slot: &mut Option<Message>,
        side: Side,
        event: Event<'_>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        if self.is_other {
            return;
        }
        match event {
            Event::Begin => {
                *slot = Some(Message {
                    began_ns: now_ns,
                    ..Message::default()
                });
            }
            Event::Data(data) => {
                if let Some(message) = slot {
                    self.data(message, side, data, now_ns, hooks);
                }
            }
            Event::End { bytes, incomplete } => {
                if let Some(message) = slot.take() {
                    self.end(message, side, bytes, incomplete, now_ns, hooks);
                }
            }
            Event::Skipped { bytes, behind_hole } => {
                // A line that is no message is nothing that was to be read.
                if behind_hole && self.is_mcp {
                    hooks.lost(side, bytes, Incomplete::Gap);
                }
            }
        }
    }

    fn data(
        &mut self,
        message: &mut Message,
        side: Side,
        data: &[u8],
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        message.envelope.push(data);
        if message.exchange.is_none() {
            message.exchange = self.exchange_of(message, side, now_ns, hooks);
            if message.exchange.is_some() {
                let held = std::mem::take(&mut message.held);
                self.body(message, side, &held, now_ns, hooks);
                self.skipped(message, side, hooks);
            }
        }
        if message.exchange.is_some() {
            self.body(message, side, data, now_ns, hooks);
            return;
        }
        // What follows a hole is not kept.
        let room = if message.cut {
            0
        } else {
            MAX_HELD - message.held.len()
        };
        let fits = data.len().min(room);
        let kept = if message.held.extend(&data[..fits]) {
            fits
        } else {
            0
        };
        message.cut |= data.len() > kept;
    }

    /// The exchange that a message belongs to, once its keys say which.
    fn exchange_of(
        &mut self,
        message: &Message,
        side: Side,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) -> Option<u64> {
        match message.envelope.kind() {
            Kind::Unknown => None,
            Kind::Request => Some(self.ask(side, message.began_ns, now_ns, hooks)),
            Kind::Answer => {
                let id = message.envelope.id()?;
                let number = self.asked(side.other(), id)?;
                if let Some(open) = self.open.get_mut(&number) {
                    open.answer(message.began_ns);
                }
                Some(number)
            }
        }
    }

    /// The request of `asker` with this identifier that waits for its answer.
    fn asked(&self, asker: Side, id: &Id) -> Option<u64> {
        let waits = |open: &&Open| open.asker == asker && !open.answered && open.id.as_ref() == Some(id);
        self.open
            .iter()
            .find(|(_, open)| waits(open))
            .map(|(number, _)| *number)
    }

    /// The head that a request would have over HTTP: it says that MCP is spoken, and in which version.
    fn head(&self) -> RequestHead {
        let version = self.version.clone().unwrap_or_default();
        let field = self
            .is_mcp
            .then(|| ("mcp-protocol-version".to_owned(), version.into_bytes()));
        RequestHead {
            fields: Fields(field.into_iter().collect()),
            ..RequestHead::default()
        }
    }

    /// Opens an exchange for a request of this side.
    fn ask(&mut self, side: Side, began_ns: u64, now_ns: u64, hooks: &mut dyn ConnectionHooks) -> u64 {
        while self.open.len() >= MAX_OPEN {
            let Some((number, mut open)) = self.open.pop_first() else {
                break;
            };
            open.give_up(now_ns, hooks.text_sink(number));
            self.finish(number, open, now_ns, hooks);
        }
        let head = self.head();
        let reader = ExchangeReader::over_socket(&self.catalog, head, None, began_ns);
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Open::new(side, reader));
        number
    }

    fn body(
        &mut self,
        message: &Message,
        side: Side,
        data: &[u8],
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(number) = message.exchange else { return };
        if let Some(open) = self.open.get_mut(&number) {
            let of = open.side(side);
            open.reader.body(of, data, now_ns, hooks.text_sink(number));
        }
    }

    /// What did not fit is missing between what was kept and what comes.
    fn skipped(&mut self, message: &Message, side: Side, hooks: &mut dyn ConnectionHooks) {
        let open = message.exchange.and_then(|n| Some((n, self.open.get_mut(&n)?)));
        if let Some((number, open)) = open.filter(|_| message.cut) {
            let of = open.side(side);
            open.reader.gap(of, hooks.text_sink(number));
        }
    }

    fn end(
        &mut self,
        message: Message,
        side: Side,
        bytes: u64,
        incomplete: Option<Incomplete>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        // Others read objects from their input, too.
        if !self.is_mcp && side == Side::Request && incomplete.is_none() && !message.envelope.is_rpc() {
            self.is_other = true;
        }
        let Some(number) = message.exchange else {
            self.belongs_to_none(message, side, bytes, incomplete, now_ns, hooks);
            return;
        };
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let of = open.side(side);
        let incomplete = incomplete.or(message.cut.then_some(Incomplete::OverBudget));
        open.reader
            .end(of, incomplete, bytes, now_ns, hooks.text_sink(number));
        if of == Side::Response {
            self.close_exchange(number, now_ns, hooks);
            return;
        }
        open.asked = true;
        open.id = message.envelope.id().cloned();
        let is_rpc = message.envelope.is_rpc() || incomplete.is_some();
        self.asked_for(number, is_rpc, now_ns, hooks);
    }

    /// A request is whole: is it MCP, and does an answer follow, or was it there first?
    fn asked_for(&mut self, number: u64, is_rpc: bool, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let is_mcp = matches!(open.reader.verdict(), Verdict::Ai(Dialect::Mcp, _));
        if !is_rpc || !is_mcp || (open.id.is_none() && open.asker == Side::Response) {
            self.is_mcp |= is_rpc && is_mcp;
            self.open.remove(&number);
            hooks.not_ai(number, super::NotAi::Other);
            return;
        }
        self.is_mcp = true;
        let Some(id) = open.id.clone() else {
            self.close_exchange(number, now_ns, hooks);
            return;
        };
        if let Some(early) = self.early.take(open.asker, &id) {
            open.answer(early.began_ns);
            let sink = hooks.text_sink(number);
            open.reader.body(Side::Response, &early.text, now_ns, sink);
            let bytes = early.text.len() as u64;
            open.reader.end(Side::Response, None, bytes, now_ns, sink);
            self.close_exchange(number, now_ns, hooks);
        }
    }

    /// An answer to nothing that is open. Input and output are two threads of a server: the answer to its own question can be
    /// reported before the question.
    fn belongs_to_none(
        &mut self,
        message: Message,
        side: Side,
        bytes: u64,
        incomplete: Option<Incomplete>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        if !self.is_mcp || message.envelope.kind() != Kind::Answer {
            return;
        }
        let whole = incomplete.is_none() && !message.cut;
        let id = message.envelope.id().filter(|_| whole && side == Side::Request);
        let kept = id.cloned().is_some_and(|id| {
            let asker = side.other();
            self.early.keep(asker, id, message.held, message.began_ns, now_ns)
        });
        if !kept {
            hooks.lost(side, bytes, incomplete.unwrap_or(Incomplete::Gap));
        }
    }

    fn close_exchange(&mut self, number: u64, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if let Some(open) = self.open.remove(&number) {
            self.finish(number, open, now_ns, hooks);
        }
    }

    /// What client and server said of themselves once holds for all that follows.
    fn finish(&mut self, number: u64, open: Open, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        let reader = open.ended(now_ns, hooks.text_sink(number));
        let mut facts = match reader.finish(now_ns) {
            Outcome::Ai(facts) => facts,
            Outcome::NotAi(reason) => {
                hooks.not_ai(number, reason);
                return;
            }
        };
        if facts.rpc.server.name.is_empty() {
            facts.rpc.server.clone_from(&self.server);
        } else {
            self.server.clone_from(&facts.rpc.server);
            self.version.clone_from(&facts.rpc.version);
        }
        if facts.client.name.is_empty() {
            facts.client.clone_from(&self.client);
        } else {
            self.client.clone_from(&facts.client);
        }
        // Each request has a number of its own: nothing is tried again.
        facts.attempt = Attempt::default();
        hooks.finished(number, *facts);
    }
}

#[cfg(test)]
mod tests;
