//! One TLS flow on its way through reassembly, protocol, dialect and scan.

use std::{collections::HashMap, sync::Arc};

use observer_common::{
    maps::{FlowKey, SMALL_PREFIX},
    wire::{
        CLASS_AI, CLASS_OTHER, Header, STACK_BORINGSSL, STACK_GNUTLS, STACK_GO, STACK_NSS, STACK_OPENSSL,
        STACK_SOCKET, STACK_STDIO, STACK_UNKNOWN, TIE_NONE, TlsData, TlsFree, is_of_key,
    },
};

use super::{
    Rulebook,
    role::{Opened, Opening, Role},
    selftest::Tap,
};
use crate::{
    coverage::Stage,
    dialect::{ConnectionHooks, ConnectionReader, NotAi, Place, PromptDigest, Scope, StdioReader, TextSink},
    exchange::Exchange,
    flow::{Direction, Early, Reassembly, Step},
    identity::Identity,
    protocol::{Incomplete, Side},
    sensitive::{Engine, HmacKey, Scan, ScanReport},
};

/// An exchange that is over.
pub(super) enum Done {
    /// It was AI; with what the scan found.
    Ai(Box<Exchange>, ScanReport),
    /// It was not.
    Other,
}

/// What reads a flow.
enum Reader {
    Connection(Box<ConnectionReader>),
    Stdio(Box<StdioReader>),
}

impl Reader {
    fn new(stack: u8, book: &Rulebook) -> Self {
        let catalog = Arc::clone(&book.catalog);
        match stack {
            STACK_STDIO => Self::Stdio(Box::new(StdioReader::new(catalog))),
            _ => Self::Connection(Box::new(ConnectionReader::new(catalog, None))),
        }
    }

    fn push(&mut self, side: Side, data: &[u8], now_ns: u64, hooks: &mut Hooks<'_>) {
        match self {
            Self::Connection(reader) => reader.push(side, data, now_ns, hooks),
            Self::Stdio(reader) => reader.push(side, data, now_ns, hooks),
        }
    }

    fn gap(&mut self, side: Side, missing: Option<u64>, now_ns: u64, hooks: &mut Hooks<'_>) {
        match self {
            Self::Connection(reader) => reader.gap(side, missing, now_ns, hooks),
            Self::Stdio(reader) => reader.gap(side, now_ns, hooks),
        }
    }

    /// Takes the next bytes of a side, with the hole before them.
    fn piece(&mut self, side: Side, gap: u64, data: &[u8], now_ns: u64, hooks: &mut Hooks<'_>) {
        if gap > 0 {
            self.gap(side, Some(gap), now_ns, hooks);
        }
        if !data.is_empty() {
            self.push(side, data, now_ns, hooks);
        }
    }

    /// Takes what waited.
    fn release(&mut self, early: &mut Early, hooks: &mut Hooks<'_>) {
        for waiting in early.take() {
            let side = Side::Response;
            self.piece(side, waiting.gap, &waiting.bytes, waiting.at_ns, hooks);
        }
    }

    fn expects_request(&self) -> bool {
        match self {
            Self::Connection(reader) => reader.expects_request(),
            Self::Stdio(_) => false,
        }
    }

    fn close(&mut self, now_ns: u64, hooks: &mut Hooks<'_>) {
        match self {
            Self::Connection(reader) => reader.close(now_ns, hooks),
            Self::Stdio(reader) => reader.close(now_ns, hooks),
        }
    }

    fn scope(&self) -> Scope {
        match self {
            Self::Connection(reader) => reader.scope(),
            Self::Stdio(reader) => reader.scope(),
        }
    }

    fn unsupported(&self) -> Option<&'static str> {
        match self {
            Self::Connection(reader) => reader.unsupported(),
            Self::Stdio(_) => None,
        }
    }
}

/// State of one flow.
pub(super) struct Flow {
    pub key: FlowKey,
    pub id: u64,
    pub process: Arc<Identity>,
    pub connection_id: u64,
    pub tie: u8,
    /// `wire::STACK_*`.
    pub stack: u8,
    /// Its connection waits for its end.
    pub awaited: bool,
    pub server_name: Option<String>,
    pub name_is_ai: bool,
    pub last_ns: u64,
    pub reassembly: Reassembly,
    /// Losses not booked yet.
    pub losses: Vec<(Stage, &'static str, u64)>,
    /// Repository of a hub of models that was asked for last.
    pub repository: Option<String>,
    /// What is spoken here and not read.
    pub unsupported: Option<&'static str>,
    /// Whether the process asks or is asked.
    pub role: Role,
    /// Looks at the first bytes for that; `None` once it is known.
    opening: Option<Opening>,
    /// `None` once the flow turned out not to be AI.
    reader: Option<Reader>,
    /// What was received before its request was reported.
    early: Early,
    scans: HashMap<u64, Texts>,
    /// The kernel was told that it is AI by the name of its connection.
    expected: bool,
    /// What the kernel was told, or knew by itself.
    decided: Option<Scope>,
    /// What it shall be told.
    news: Option<Scope>,
    /// A flow of the self-test's helper.
    pub tap: Option<Tap>,
}

impl Flow {
    pub(super) fn new(
        header: &Header,
        handle: u64,
        stack: u8,
        process: &Arc<Identity>,
        book: &Rulebook,
    ) -> Self {
        let key = FlowKey::new(header.process_start_ns, header.pid, handle);
        let client = process.stdio_client.as_ref().filter(|_| stack == STACK_STDIO);
        let excluded = [Some(process), client]
            .into_iter()
            .flatten()
            .any(|process| book.excludes(&process.executable));
        Self {
            key,
            id: header.flow_id,
            process: Arc::clone(process),
            connection_id: 0,
            tie: TIE_NONE,
            stack,
            awaited: false,
            server_name: None,
            name_is_ai: false,
            last_ns: header.time_ns,
            reassembly: Reassembly::default(),
            losses: Vec::new(),
            repository: None,
            unsupported: None,
            role: Role::Client,
            // There the kernel turns the directions around.
            opening: (stack != STACK_STDIO).then(Opening::default),
            reader: (!excluded).then(|| Reader::new(stack, book)),
            early: Early::default(),
            scans: HashMap::new(),
            expected: false,
            decided: excluded.then_some(Scope::Other),
            news: excluded.then_some(Scope::Other),
            tap: None,
        }
    }

    /// Who speaks to the service: the process itself, or of a server on standard input and output the one that started it.
    pub(super) fn client(&self) -> &Arc<Identity> {
        self.process.stdio_client.as_ref().unwrap_or(&self.process)
    }

    pub(super) fn set_server_name(&mut self, name: &str, book: &Rulebook) {
        self.name_is_ai = book.catalog.host_is_ai(name);
        self.server_name = Some(name.to_owned());
        if let Some(Reader::Connection(reader)) = &mut self.reader {
            reader.set_server_name(name);
        }
    }

    /// Whether the program tells the end of its handle.
    pub(super) fn ends_by_itself(&self) -> bool {
        !is_of_key(self.stack) && !matches!(self.stack, STACK_BORINGSSL | STACK_GO | STACK_SOCKET)
    }

    /// Whether anything says that this flow is AI.
    pub(super) fn is_ai(&self) -> bool {
        self.name_is_ai || self.decided == Some(Scope::Ai)
    }

    /// Takes a record; gives how many of its bytes had not come before.
    pub(super) fn data(
        &mut self,
        now_ns: u64,
        data: &TlsData,
        bytes: &[u8],
        book: &Rulebook,
        done: &mut Vec<Done>,
    ) -> u64 {
        if self.stack == STACK_UNKNOWN {
            self.stack = data.stack;
        }
        if data.class == CLASS_AI && self.reader.is_some() {
            self.decided = Some(Scope::Ai);
        }
        let direction = Direction::of(data);
        let step = self.reassembly.accept(direction, data.offset, bytes);
        let fresh = step.data.len() as u64;
        if let Some(tap) = &mut self.tap {
            tap.take(direction, step.data);
        }
        let Some(waited) = self.role_by(direction, &step) else {
            return fresh;
        };
        if self.role == Role::Server && !book.served_calls {
            self.stop(Scope::Other);
        }
        if !waited.is_empty() {
            let before = Step {
                gap: 0,
                data: &waited,
                repeated: 0,
            };
            self.read(Direction::Received, &before, [now_ns; 2], book, done);
        }
        self.read(direction, &step, [data.entered_ns(now_ns), now_ns], book, done);
        fresh
    }

    /// Finds the role out; gives received bytes that waited until it was known, or nothing while it is not.
    fn role_by(&mut self, direction: Direction, step: &Step<'_>) -> Option<Vec<u8>> {
        let Some(opening) = &mut self.opening else {
            return Some(Vec::new());
        };
        let Opened::Is(role, waited) = opening.take(direction, step.gap, step.data) else {
            return None;
        };
        self.opening = None;
        self.role = role;
        Some(waited)
    }

    /// Reads the next bytes of a direction, of a call with these times of its begin and its end.
    fn read(
        &mut self,
        direction: Direction,
        step: &Step<'_>,
        [entered_ns, now_ns]: [u64; 2],
        book: &Rulebook,
        done: &mut Vec<Done>,
    ) {
        let is_lost = step.gap > 0 && !self.is_prefix_used(direction, step);
        let Some(reader) = &mut self.reader else {
            return;
        };
        if is_lost {
            self.losses.push((Stage::Flow, "gap", step.gap));
        }
        let mut hooks = Hooks {
            engine: &book.engine,
            key: &book.key,
            scans: &mut self.scans,
            done,
            losses: &mut self.losses,
            repository: &mut self.repository,
        };
        let (early, mut at_ns) = (&mut self.early, now_ns);
        match (self.role, direction) {
            // It reads what it is asked before it answers.
            (Role::Server, _) => {}
            (Role::Client, Direction::Received) => {
                let waits = tells_entry(self.stack) && (!early.is_empty() || reader.expects_request());
                if waits && early.keep(now_ns, step) {
                    return;
                }
                reader.release(early, &mut hooks);
            }
            (Role::Client, Direction::Sent) if early.is_behind(entered_ns) => at_ns = entered_ns,
            (Role::Client, Direction::Sent) => reader.release(early, &mut hooks),
        }
        reader.piece(self.role.side(direction), step.gap, step.data, at_ns, &mut hooks);
        if !reader.expects_request() {
            reader.release(early, &mut hooks);
        }
        self.unsupported = reader.unsupported();
        match reader.scope() {
            Scope::Undecided => {}
            Scope::Ai => self.learn(Scope::Ai),
            Scope::Other => self.stop(Scope::Other),
        }
    }

    /// Whether a hole is what the kernel held back: of a flow that does not look like AI it delivers a prefix, until it does. What is read
    /// behind the hole may be what showed it.
    fn is_prefix_used(&self, direction: Direction, step: &Step<'_>) -> bool {
        let passed = self.reassembly.position(direction);
        let seen = passed.saturating_sub(self.reassembly.missing(direction));
        !self.name_is_ai && seen.checked_sub(step.data.len() as u64) == Some(SMALL_PREFIX)
    }

    /// The kernel's totals at the end of the handle.
    pub(super) fn totals(&mut self, free: &TlsFree) {
        let tail: u64 = self.reassembly.finish(free).iter().sum();
        if tail > 0 && self.is_ai() {
            self.losses.push((Stage::Flow, "gap_at_end", tail));
        }
    }

    pub(super) fn close(&mut self, now_ns: u64, book: &Rulebook, done: &mut Vec<Done>) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        let mut hooks = Hooks {
            engine: &book.engine,
            key: &book.key,
            scans: &mut self.scans,
            done,
            losses: &mut self.losses,
            repository: &mut self.repository,
        };
        reader.release(&mut self.early, &mut hooks);
        for direction in [Direction::Sent, Direction::Received] {
            // A hole at the very end is known only now; it ends an open message as "lost", not as "closed early".
            if self.reassembly.missing_at_end(direction) > 0 {
                reader.gap(self.role.side(direction), None, now_ns, &mut hooks);
            }
        }
        reader.close(now_ns, &mut hooks);
    }

    /// Class that was decided (`wire::CLASS_*`).
    pub(super) fn class(&self) -> Option<u32> {
        match self.decided? {
            Scope::Ai => Some(CLASS_AI),
            Scope::Other => Some(CLASS_OTHER),
            Scope::Undecided => None,
        }
    }

    /// The connection's name is AI: all of it is wanted, before what is said shows it.
    pub(super) fn expect_ai(&mut self) {
        if self.decided.is_none() && !self.expected && self.reader.is_some() {
            self.expected = true;
            self.news = Some(Scope::Ai);
        }
    }

    /// What the kernel has to be told, once.
    pub(super) fn decision(&mut self) -> Option<Scope> {
        // Of the self-test both directions are wanted, whatever it turns out to be.
        self.news.take().filter(|_| self.tap.is_none())
    }

    fn learn(&mut self, scope: Scope) {
        if self.decided != Some(scope) {
            self.decided = Some(scope);
            self.news = Some(scope);
        }
    }

    fn stop(&mut self, scope: Scope) {
        self.learn(scope);
        self.reader = None;
        self.early.take();
        self.scans.clear();
    }
}

/// Whether writes of a stack are known when they return, or when their socket is, with the time at which they were entered.
fn tells_entry(stack: u8) -> bool {
    is_of_key(stack) || matches!(stack, STACK_OPENSSL | STACK_BORINGSSL | STACK_GNUTLS | STACK_NSS)
}

/// What hears the texts of an exchange.
struct Texts {
    scan: Scan,
    prompt: PromptDigest,
}

impl TextSink for Texts {
    fn text(&mut self, place: &Place, text: u64, piece: &[u8]) {
        self.prompt.text(place, text, piece);
        self.scan.text(place, text, piece);
    }

    fn end(&mut self, text: u64) {
        self.prompt.end(text);
        self.scan.end(text);
    }
}

/// What the connection reader calls back.
struct Hooks<'a> {
    engine: &'a Engine,
    key: &'a HmacKey,
    scans: &'a mut HashMap<u64, Texts>,
    done: &'a mut Vec<Done>,
    losses: &'a mut Vec<(Stage, &'static str, u64)>,
    repository: &'a mut Option<String>,
}

impl ConnectionHooks for Hooks<'_> {
    fn text_sink(&mut self, exchange: u64) -> &mut dyn TextSink {
        self.scans.entry(exchange).or_insert_with(|| Texts {
            scan: self.engine.open(Some(self.key)),
            prompt: PromptDigest::default(),
        })
    }

    fn finished(&mut self, exchange: u64, mut facts: Exchange) {
        let mut report = ScanReport::default();
        if let Some(texts) = self.scans.remove(&exchange) {
            report = texts.scan.finish();
            // Of a request that is not whole it would be another prompt's.
            if let Some(prompt) = texts.prompt.finish()
                && facts.request_incomplete.is_none()
            {
                facts.ties.prompt = Some(prompt.whole);
                facts.ties.turns = prompt.turns;
            }
        }
        self.done.push(Done::Ai(Box::new(facts), report));
    }

    fn not_ai(&mut self, exchange: u64, _reason: NotAi) {
        self.scans.remove(&exchange);
        self.done.push(Done::Other);
    }

    fn repository(&mut self, name: String) {
        *self.repository = Some(name);
    }

    fn lost(&mut self, _side: Side, bytes: u64, reason: Incomplete) {
        self.losses.push((Stage::Protocol, reason.code(), bytes));
    }
}
