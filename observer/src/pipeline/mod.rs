//! The pipeline from record to evidence row, in one place so that the order of the stages can be read. Pure: records,
//! identities and time in; rows, scope decisions and losses out.

mod agents;
mod attempts;
mod blind;
mod connections;
mod conversations;
mod dark;
mod enforcement;
mod flows;
mod found;
mod halves;
mod mcp;
mod names;
mod opening;
mod output;
mod results;
mod role;
mod room;
mod rows;
mod selftest;
mod served;
mod sockets;

use std::{collections::HashMap, sync::Arc};

use observer_common::wire::{
    Body, CLASS_AI, CLASS_OTHER, CONNECT_ACCEPTED, Header, STACK_SOCKET, STACK_UNKNOWN, TlsData, TlsFree,
    is_of_key,
};

use crate::{
    catalog::Catalog,
    config::Glob,
    coverage::{Ledger, Stage},
    dialect::Scope,
    evidence::Book,
    flow::Direction,
    identity::{Identity, ProcessKey},
    kubernetes::{Change as PodChange, Cluster},
    policy::Judge,
    protocol::tls::host_name,
    sensitive::{Engine, HmacKey},
};
use agents::Agents;
use blind::BlindSpots;
pub use blind::OpaqueProcess;
use connections::Connections;
pub use enforcement::EnforcementTotals;
use flows::Flow;
use found::FoundBy;
pub use output::{Output, Totals};
pub use selftest::{HelperProcess, KnownCall};
use sockets::Sockets;

/// Most flows at the same time; further ones are counted and not read.
pub const MAX_FLOWS: usize = 16_384;

/// Most flows of one process, so that no process takes the room of all others.
pub const MAX_FLOWS_OF_PROCESS: usize = MAX_FLOWS / 4 * 3;

/// A flow without a byte for so long is given up.
pub const MAX_IDLE_NS: u64 = 3_600_000_000_000;

/// What the pipeline judges by.
pub struct Rulebook {
    /// Known hosts and paths.
    pub catalog: Arc<Catalog>,
    /// Who may use what.
    pub judge: Arc<Judge>,
    /// Sensitive-data rules, compiled.
    pub engine: Engine,
    /// Version of those rules.
    pub rules_version: String,
    /// SHA-256 of those rules.
    pub rules_digest: [u8; 32],
    /// Key of the hashes of credentials and secrets.
    pub key: HmacKey,
    /// Executables that are not looked at.
    pub exclude_executables: Vec<Glob>,
    /// Whether calls that processes answer are read.
    pub served_calls: bool,
    /// `host.name`.
    pub host_name: String,
}

impl Rulebook {
    /// Whether programs of this executable are not looked at.
    fn excludes(&self, executable: &str) -> bool {
        self.exclude_executables
            .iter()
            .any(|glob| glob.matches(executable))
    }
}

/// Plaintext bytes of records on their way through the flow stage.
#[derive(Debug, Clone, Copy, Default)]
struct Plaintext {
    seen: u64,
    /// A flow took them, or the look at the first bytes of a socket.
    delivered: u64,
    lost: u64,
}

/// See the module.
pub struct Pipeline {
    book: Rulebook,
    cluster: Cluster,
    flows: HashMap<u64, Flow>,
    by_process: HashMap<ProcessKey, Vec<u64>>,
    /// When nobody was found who had flows to give up.
    no_room_ns: u64,
    connections: Connections,
    sockets: Sockets,
    served: served::Served,
    found: FoundBy,
    blind: BlindSpots,
    agents: Agents,
    dark: dark::Dark,
    attempts: attempts::Attempts,
    conversations: conversations::Conversations,
    mcp_servers: mcp::McpServers,
    selftest: selftest::SelfTest,
    enforcement: enforcement::Enforcement,
    ledger: Ledger,
    plaintext: Plaintext,
    totals: Totals,
    /// Wall clock minus CLOCK_BOOTTIME, ns.
    wall_offset_ns: i64,
    /// CLOCK_BOOTTIME of the last tick.
    now_ns: u64,
    outputs: Vec<Output>,
}

impl Pipeline {
    /// A pipeline with nothing in it.
    pub fn new(book: Rulebook) -> Self {
        Self {
            book,
            cluster: Cluster::default(),
            flows: HashMap::new(),
            by_process: HashMap::new(),
            no_room_ns: 0,
            connections: Connections::default(),
            sockets: Sockets::default(),
            served: served::Served::default(),
            found: FoundBy::default(),
            blind: BlindSpots::default(),
            agents: Agents::default(),
            dark: dark::Dark::default(),
            attempts: attempts::Attempts::default(),
            conversations: conversations::Conversations::default(),
            mcp_servers: mcp::McpServers::default(),
            selftest: selftest::SelfTest::default(),
            enforcement: enforcement::Enforcement::default(),
            ledger: Ledger::default(),
            plaintext: Plaintext::default(),
            totals: Totals::default(),
            wall_offset_ns: 0,
            now_ns: 0,
            outputs: Vec::new(),
        }
    }

    /// Sets the wall clock: what to add to CLOCK_BOOTTIME, ns.
    pub fn set_wall_offset(&mut self, offset_ns: i64) {
        self.wall_offset_ns = offset_ns;
    }

    /// From now on exchanges and connections are judged by this.
    pub fn set_judge(&mut self, judge: Arc<Judge>) {
        self.book.judge = judge;
        self.guard_anew();
    }

    /// The cluster that this host is a node of, before anything else is told.
    pub fn set_cluster(&mut self, cluster: Cluster) {
        self.cluster = cluster;
    }

    /// Takes what is new about the pods of this node: rows that are made from now on are named by it, and calls stopped.
    pub fn pod_change(&mut self, change: PodChange, now_ns: u64) {
        self.cluster.take(change, now_ns);
        self.guard_pods(now_ns);
    }

    /// The cluster, with the pods that are known.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Takes one record; `process` is who wrote it.
    pub fn record(&mut self, header: &Header, body: &Body<'_>, process: &Arc<Identity>) {
        self.totals.records += 1;
        if !is_of_socket(body) {
            self.guard_sees(header, process);
        }
        match body {
            Body::TlsData(data, bytes) => {
                self.plaintext.seen += bytes.len() as u64;
                match data.stack {
                    STACK_SOCKET => self.socket_data(header, data, bytes, process),
                    stack if is_of_key(stack) => {
                        let joined = self.sockets.halves.data(header, data, bytes);
                        self.join(header, joined, process);
                    }
                    _ => self.tls_data(header, data, bytes, process),
                }
            }
            Body::TlsName(name, bytes) => {
                let text = host_name(bytes);
                let made = self.with_flow(header, name.handle, STACK_UNKNOWN, process, |flow, book| {
                    if let Some(text) = &text {
                        flow.set_server_name(text, book);
                    }
                });
                if made {
                    self.link(header, 0);
                }
            }
            Body::TlsFree(free) => self.tls_free(header, free, process),
            Body::Tie(tie) => self.tie(header, tie, process),
            Body::Connect(connect) => {
                if !self.connections.open(header, connect, process) {
                    self.ledger.lose(Stage::Flow, "connection_table_full", 0);
                }
                if connect.flags & CONNECT_ACCEPTED == 0 && connect.local_port != 0 {
                    // It is older than the agent.
                    self.established(header.connection_id, (connect.local(), connect.local_port));
                }
                self.name_by_address(header.connection_id, header.time_ns);
            }
            Body::Close(close) => self.connections.close(header, close),
            Body::Dns(dns, bytes) => self.dns(header, dns, bytes, process),
            Body::Exec => self.end_process(process.key, header.time_ns, false),
            Body::Exit => {
                self.end_process(process.key, header.time_ns, true);
                self.guard_process_ended(process);
            }
            Body::Enforced(enforced) => self.enforced(header, enforced, process),
            Body::Established(end) => {
                self.established(header.connection_id, (end.local(), end.local_port));
            }
            Body::MapExec => {}
        }
        self.guard_connection(header.connection_id, header.time_ns);
    }

    /// Books a ring-buffer entry that is not a record.
    pub fn bad_record(&mut self, bytes: usize) {
        self.ledger.lose(Stage::Record, "not_a_record", bytes as u64);
    }

    /// Lets time pass: `now_ns` is CLOCK_BOOTTIME.
    pub fn tick(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let idle = |flow: &Flow| now_ns.saturating_sub(flow.last_ns) > MAX_IDLE_NS;
        let given_up: Vec<u64> = self
            .flows
            .iter()
            .filter(|(_, f)| idle(f))
            .map(|(id, _)| *id)
            .collect();
        for id in given_up {
            self.end_flow(id, now_ns);
        }
        self.give_up_halves(now_ns);
        for (connection_id, socket) in self.connections.end_idle(now_ns) {
            self.outputs.push(Output::ForgetSocket {
                connection_id,
                socket,
            });
        }
        self.answered_due(now_ns);
        for id in self.connections.due(now_ns) {
            self.end_connection(id, now_ns);
        }
        self.found.tick(now_ns);
        self.attempts.tick(now_ns);
        self.decisions_due(now_ns);
    }

    /// Ends everything that is open, at the end of the daemon.
    pub fn finish(&mut self, now_ns: u64) {
        let open: Vec<u64> = self.flows.keys().copied().collect();
        for id in open {
            self.end_flow(id, now_ns);
        }
        for half in self.sockets.halves.all() {
            self.forget_half(half);
        }
        self.answered_due(u64::MAX);
        for connection in self.connections.drain(now_ns) {
            self.connection_row(&connection);
        }
        self.decisions_end();
    }

    /// What came out since the last call.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        self.outputs.drain(..)
    }

    /// Losses so far; the caller may add those of other stages.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Books a loss of bytes that records carried.
    fn lose_plaintext(&mut self, reason: &'static str, bytes: u64) {
        self.plaintext.lost += bytes;
        self.ledger.lose(Stage::Flow, reason, bytes);
    }

    /// The books of the stages in here, since the start (`docs/evidence.md` has their units).
    pub fn books(&self) -> [Book; 3] {
        let book = |stage: Stage, seen, delivered, lost, held| Book {
            stage: stage.name(),
            seen,
            delivered,
            lost,
            held,
        };
        let (flow, totals, halves) = (self.plaintext, self.totals, &self.sockets.halves);
        let delivered = flow.delivered + halves.repeated();
        let exchanges = totals.exchanges + totals.exchanges_other;
        let whole = exchanges - totals.exchanges_partial;
        let not_scanned = self.ledger.of(Stage::Scan, "over_budget").bytes;
        [
            book(Stage::Flow, flow.seen, delivered, flow.lost, halves.waiting()),
            book(Stage::Protocol, exchanges, whole, totals.exchanges_partial, 0),
            book(Stage::Scan, totals.text_seen, totals.text_scanned, not_scanned, 0),
        ]
    }

    /// Totals so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Flows open at the moment.
    pub fn open_flows(&self) -> usize {
        self.flows.len()
    }

    fn tls_data(&mut self, header: &Header, data: &TlsData, bytes: &[u8], process: &Arc<Identity>) {
        let mut done = Vec::new();
        let (mut tied_before, mut fresh) = (false, 0);
        let known = self.with_flow(header, data.handle, data.stack, process, |flow, book| {
            tied_before = flow.connection_id != 0;
            fresh = flow.data(header.time_ns, data, bytes, book, &mut done);
        });
        if !known {
            self.lose_plaintext("flow_table_full", bytes.len() as u64);
            return;
        }
        self.plaintext.delivered += bytes.len() as u64;
        self.link(header, data.tie);
        if let Some(flow) = self.flows.get_mut(&header.flow_id) {
            self.selftest.compare(flow);
            book_losses(&mut self.ledger, flow);
            if tied_before {
                self.connections
                    .plaintext(flow.connection_id, Direction::of(data), fresh);
            }
        }
        self.decide(header.flow_id);
        self.exchanges(header.flow_id, done);
    }

    fn tls_free(&mut self, header: &Header, free: &TlsFree, process: &Arc<Identity>) {
        if self.sockets.halves.contains(header.flow_id) {
            // A key: its connection itself tells its end.
            self.forget_half(header.flow_id);
            return;
        }
        if !self.with_flow(header, free.handle, STACK_UNKNOWN, process, |flow, _| {
            flow.totals(free);
        }) {
            return;
        }
        self.link(header, u8::try_from(free.tie).unwrap_or(0));
        self.end_flow(header.flow_id, header.time_ns);
    }

    /// Runs `work` on the flow of a record, made when it is new; `false` when there is no room for it.
    fn with_flow(
        &mut self,
        header: &Header,
        handle: u64,
        stack: u8,
        process: &Arc<Identity>,
        work: impl FnOnce(&mut Flow, &Rulebook),
    ) -> bool {
        if !self.flows.contains_key(&header.flow_id) {
            if !self.has_room(process.key, header.time_ns) {
                return false;
            }
            self.totals.flows += 1;
            let mut flow = Flow::new(header, handle, stack, process, &self.book);
            flow.tap = self.selftest.is_helper(process).then(selftest::Tap::default);
            self.flows.insert(header.flow_id, flow);
            self.by_process
                .entry(process.key)
                .or_default()
                .push(header.flow_id);
        }
        if let Some(flow) = self.flows.get_mut(&header.flow_id) {
            flow.last_ns = header.time_ns;
            work(flow, &self.book);
        }
        true
    }

    /// Ties the flow of a record to the connection that the kernel named.
    fn link(&mut self, header: &Header, tie: u8) {
        let Some(flow) = self.flows.get_mut(&header.flow_id) else {
            return;
        };
        if flow.connection_id == 0 && header.connection_id != 0 {
            flow.connection_id = header.connection_id;
            flow.tie = tie;
            self.connections.link(flow);
        }
        if flow.connection_id != 0 {
            self.connections.name(flow);
            if self
                .connections
                .peer(flow.connection_id)
                .is_some_and(|c| c.name_is_ai)
            {
                flow.expect_ai();
            }
        }
    }

    /// Tells the kernel what the flow turned out to be.
    fn decide(&mut self, flow_id: u64) {
        let Some(flow) = self.flows.get_mut(&flow_id) else {
            return;
        };
        let Some(scope) = flow.decision() else { return };
        if is_of_key(flow.stack) {
            // Joined of halves, and decided through them: its number is that of the socket, which carries records of TLS.
            self.decide_halves(flow_id);
            return;
        }
        let class = if scope == Scope::Ai { CLASS_AI } else { CLASS_OTHER };
        self.outputs.push(Output::Decide { flow_id, class });
    }

    fn end_flow(&mut self, flow_id: u64, now_ns: u64) {
        let mut done = Vec::new();
        let Some(flow) = self.flows.get_mut(&flow_id) else {
            return;
        };
        flow.close(now_ns, &self.book, &mut done);
        book_losses(&mut self.ledger, flow);
        self.tie_by_name(flow_id);
        if let Some(flow) = self.flows.get(&flow_id) {
            self.connections.name(flow);
        }
        self.exchanges(flow_id, done);
        let Some(flow) = self.flows.remove(&flow_id) else {
            return;
        };
        self.connections.unlink(&flow);
        if let Some(of_process) = self.by_process.get_mut(&flow.process.key) {
            of_process.retain(|id| *id != flow_id);
            if of_process.is_empty() {
                self.by_process.remove(&flow.process.key);
            }
        }
        self.outputs.push(Output::Forget {
            flow_id,
            key: flow.key,
        });
    }

    fn end_process(&mut self, key: ProcessKey, now_ns: u64, exited: bool) {
        for flow_id in self.by_process.get(&key).cloned().unwrap_or_default() {
            if !self.ends_with_socket(flow_id) {
                self.end_flow(flow_id, now_ns);
            }
        }
        for half in self.sockets.halves.of_process(key) {
            self.forget_half(half);
        }
        if exited {
            for (connection_id, socket) in self.connections.process_ended(key, now_ns) {
                self.outputs.push(Output::ForgetSocket {
                    connection_id,
                    socket,
                });
            }
            self.found.ended(key, now_ns);
        } else {
            self.found.replaced(key);
        }
    }
}

/// Whether the kernel writes a record of this kind where a packet is handled, or what a process leaves behind: it may be gone by then, and
/// the user that the record names is that of whatever was interrupted.
pub fn is_of_socket(body: &Body<'_>) -> bool {
    matches!(body, Body::Close(_) | Body::Established(_))
}

fn book_losses(ledger: &mut Ledger, flow: &mut Flow) {
    for (stage, reason, lost) in flow.losses.drain(..) {
        if stage == Stage::Protocol {
            // An exchange that was not read whole is booked when it is over.
            ledger.lose_bytes(stage, reason, lost);
        } else {
            ledger.lose(stage, reason, lost);
        }
    }
}

#[cfg(test)]
mod tests;
