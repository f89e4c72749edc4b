//! Connections as the socket layer sees them: the denominator of coverage.

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use observer_common::wire::{
    CONNECT_ACCEPTED, CONNECT_EXISTING, Close, Connect, Header, STACK_SOCKET, STACK_UNKNOWN, TRANSPORT_TCP,
    TRANSPORT_UDP,
};

use super::{enforcement::Decided, flows::Flow, role::Role, served::Place};
use crate::{
    coverage::Readability,
    flow::Direction,
    identity::{Identity, ProcessKey},
    protocol::tls::ClientHello,
};

/// Most connections at the same time.
pub(super) const MAX_CONNECTIONS: usize = 65_536;

/// After its end a connection waits so long for the last plaintext, which a client may read later.
const GRACE_NS: u64 = 400_000_000;

const HTTPS: u16 = 443;

/// A datagram "connection" without a byte for so long is over: nothing tells its end.
const MAX_DATAGRAM_IDLE_NS: u64 = 60_000_000_000;

/// Where the name of a connection comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameSource {
    Sni,
    Connect,
    Host,
    Dns,
    None,
}

impl NameSource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Connect => "connect",
            Self::Host => "http_host",
            Self::Dns => "dns",
            Self::None => "none",
        }
    }
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub id: u64,
    pub connect: Connect,
    pub process: Arc<Identity>,
    pub opened_ns: u64,
    pub end: Option<End>,
    pub server_name: String,
    pub name_source: NameSource,
    /// The catalogue knows the name.
    pub name_is_ai: bool,
    /// What was said is AI.
    pub speaks_ai: bool,
    pub plaintext: [u64; 2],
    pub decoded: u32,
    pub partial: u32,
    /// TLS, by its handshake or by plaintext of a TLS stack.
    pub is_tls: bool,
    pub encrypted_hello: bool,
    /// The process answers on it, as its flow says.
    answers: bool,
    /// This end of it, where the process made it.
    pub local: Option<Place>,
    /// What the socket itself carries is known and not to be read: the kernel was told so.
    pub settled: bool,
    /// `wire::STACK_*` that gave plaintext; 0 for none.
    pub stack: u8,
    pub lost: bool,
    /// The kernel had no socket of it when it was asked last.
    is_missed: bool,
    pub unsupported: Option<&'static str>,
    /// Repository of a hub of models that was asked for last.
    pub repository: Option<String>,
    /// Bytes by direction when last asked, and when they had changed.
    pub totals: Option<[u64; 2]>,
    changed_ns: u64,
    pub readability: Readability,
    /// What enforcement decided about it.
    pub decided: Option<Decided>,
    /// The name that enforcement judged last.
    judged_name: String,
    flows: Vec<u64>,
    /// Flows whose end will be told.
    awaited: u32,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub at_ns: u64,
    pub reason: &'static str,
}

impl Connection {
    fn new(header: &Header, connect: &Connect, process: &Arc<Identity>) -> Self {
        Self {
            id: header.connection_id,
            connect: *connect,
            process: Arc::clone(process),
            opened_ns: header.time_ns,
            end: None,
            server_name: String::new(),
            name_source: NameSource::None,
            name_is_ai: false,
            speaks_ai: false,
            plaintext: [0; 2],
            decoded: 0,
            partial: 0,
            is_tls: false,
            encrypted_hello: false,
            answers: false,
            local: None,
            settled: false,
            stack: STACK_UNKNOWN,
            lost: false,
            is_missed: false,
            unsupported: None,
            repository: None,
            totals: None,
            changed_ns: header.time_ns,
            readability: Readability::Unknown,
            decided: None,
            judged_name: String::new(),
            flows: Vec::new(),
            awaited: 0,
        }
    }

    /// Address of the peer, IPv4 as mapped.
    pub(super) fn peer(&self) -> Ipv6Addr {
        self.connect.peer()
    }

    /// Whether the process serves on it.
    pub(super) fn serves(&self) -> bool {
        self.answers || self.connect.flags & CONNECT_ACCEPTED != 0
    }

    /// Port of the end that serves.
    pub(super) fn server_port(&self) -> u16 {
        if self.serves() {
            self.connect.local_port
        } else {
            self.connect.peer_port
        }
    }

    /// Whether it is AI that is read here.
    pub(super) fn is_read(&self) -> bool {
        self.is_ai() && self.plaintext != [0, 0]
    }

    /// Whether anything says that this is AI.
    pub(super) fn is_ai(&self) -> bool {
        self.name_is_ai || self.speaks_ai
    }

    /// Whether it goes to somebody unknown and cannot be read, so that nothing rules out that it is AI.
    pub(super) fn is_unknown(&self) -> bool {
        let sealed = self.is_tls || self.connect.transport == TRANSPORT_UDP || self.is_old_to_https();
        sealed && self.name_source == NameSource::None && self.plaintext == [0, 0] && !self.serves()
    }

    /// Whether it began before the agent did, to where TLS is spoken as a rule: its handshake is over.
    fn is_old_to_https(&self) -> bool {
        self.connect.flags & CONNECT_EXISTING != 0 && self.connect.peer_port == HTTPS
    }

    fn rename(&mut self, source: NameSource, name: &str, is_ai: bool) {
        if source <= self.name_source {
            name.clone_into(&mut self.server_name);
            self.name_source = source;
            self.name_is_ai = is_ai;
        }
    }

    /// A row is due: ended, and no plaintext is expected any more.
    fn is_due(&self, now_ns: u64) -> bool {
        self.end.is_some_and(|end| {
            let waited = now_ns.saturating_sub(end.at_ns);
            waited > GRACE_NS && (self.awaited == 0 || waited > 10 * GRACE_NS)
        })
    }
}

/// Connections that are open or wait for their row.
#[derive(Default)]
pub(super) struct Connections(HashMap<u64, Connection>);

impl Connections {
    /// Enters a connection, once; `false` when the table is full.
    pub(super) fn open(&mut self, header: &Header, connect: &Connect, process: &Arc<Identity>) -> bool {
        if self.0.contains_key(&header.connection_id) {
            return true;
        }
        if self.0.len() >= MAX_CONNECTIONS {
            return false;
        }
        self.0
            .insert(header.connection_id, Connection::new(header, connect, process));
        true
    }

    pub(super) fn close(&mut self, header: &Header, close: &Close) {
        if let Some(connection) = self.0.get_mut(&header.connection_id) {
            if connection.connect.local_port == 0 {
                connection.connect.local_port = u16::try_from(close.local_port).unwrap_or(0);
            }
            connection.totals = Some([close.sent, close.received]);
            connection.end = Some(End {
                at_ns: header.time_ns,
                reason: "closed",
            });
        }
    }

    /// The process is gone; the end of its TCP sockets usually comes by itself. Gives ids and sockets of the other
    /// ones, which the kernel keeps otherwise.
    pub(super) fn process_ended(&mut self, key: ProcessKey, now_ns: u64) -> Vec<(u64, u64)> {
        let mut sockets = Vec::new();
        for connection in self.of_process(key).filter(|c| c.end.is_none()) {
            connection.end = Some(End {
                at_ns: now_ns,
                reason: "process_exit",
            });
            if connection.connect.transport != TRANSPORT_TCP {
                sockets.push((connection.id, connection.connect.socket));
            }
        }
        sockets
    }

    fn of_process(&mut self, key: ProcessKey) -> impl Iterator<Item = &mut Connection> {
        self.0.values_mut().filter(move |c| c.process.key == key)
    }

    /// What discovery found about the process of a connection.
    pub(super) fn set_readability(&mut self, id: u64, readability: Readability) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.readability = readability;
        }
    }

    /// What discovery found about a process that ends.
    pub(super) fn set_readability_of(&mut self, key: ProcessKey, readability: Readability) {
        for connection in self
            .of_process(key)
            .filter(|c| c.readability == Readability::Unknown)
        {
            connection.readability = readability;
        }
    }

    /// Bytes that passed a socket so far.
    pub(super) fn progress(&mut self, id: u64, totals: [u64; 2], now_ns: u64) {
        if let Some(connection) = self.0.get_mut(&id)
            && connection.end.is_none()
        {
            connection.is_missed = false;
            if connection.totals != Some(totals) {
                connection.totals = Some(totals);
                connection.changed_ns = now_ns;
            }
        }
    }

    /// The kernel has no socket of a connection; `true` when it ends by that. Only the end of TCP is told.
    pub(super) fn missed(&mut self, id: u64) -> bool {
        let is_open = |c: &&mut Connection| c.end.is_none() && c.connect.transport == TRANSPORT_TCP;
        let Some(connection) = self.0.get_mut(&id).filter(is_open) else {
            return false;
        };
        if !std::mem::replace(&mut connection.is_missed, true) {
            return false;
        }
        connection.lost = true;
        connection.end = Some(End {
            at_ns: connection.changed_ns,
            reason: "close_lost",
        });
        true
    }

    /// Connections that are open, with the kernel's socket of each.
    pub(super) fn open_sockets(&self) -> impl Iterator<Item = (u64, u64)> {
        let open = self.0.values().filter(|c| c.end.is_none());
        open.map(|c| (c.id, c.connect.socket))
    }

    /// Ends datagram connections on which nothing happens; gives their ids and sockets, which the kernel keeps otherwise.
    pub(super) fn end_idle(&mut self, now_ns: u64) -> Vec<(u64, u64)> {
        let idle = |c: &&mut Connection| {
            c.end.is_none()
                && c.connect.transport != TRANSPORT_TCP
                && now_ns.saturating_sub(c.changed_ns) > MAX_DATAGRAM_IDLE_NS
        };
        let mut sockets = Vec::new();
        for connection in self.0.values_mut().filter(idle) {
            connection.end = Some(End {
                at_ns: connection.changed_ns,
                reason: "idle",
            });
            sockets.push((connection.id, connection.connect.socket));
        }
        sockets
    }

    /// Takes over what a flow saw until it was tied, the record that tied it included.
    pub(super) fn link(&mut self, flow: &mut Flow) {
        if let Some(connection) = self.0.get_mut(&flow.connection_id) {
            connection.flows.push(flow.id);
            flow.awaited = flow.ends_by_itself();
            connection.awaited += u32::from(flow.awaited);
            for direction in [Direction::Sent, Direction::Received] {
                let seen = flow.reassembly.position(direction) - flow.reassembly.missing(direction);
                let sum = &mut connection.plaintext[direction as usize];
                *sum = sum.saturating_add(seen);
            }
        }
    }

    pub(super) fn unlink(&mut self, flow: &Flow) {
        if let Some(connection) = self.0.get_mut(&flow.connection_id) {
            connection.flows.retain(|id| *id != flow.id);
            connection.awaited = connection.awaited.saturating_sub(u32::from(flow.awaited));
        }
    }

    /// Takes over name and standing of a flow.
    pub(super) fn name(&mut self, flow: &Flow) {
        let Some(connection) = self.0.get_mut(&flow.connection_id) else {
            return;
        };
        connection.is_tls |= flow.stack != STACK_SOCKET;
        connection.answers |= flow.role == Role::Server;
        connection.stack = flow.stack;
        connection.speaks_ai |= flow.is_ai() && !flow.name_is_ai;
        connection.unsupported = connection.unsupported.or(flow.unsupported);
        if flow.repository.is_some() {
            connection.repository.clone_from(&flow.repository);
        }
        connection.lost |= [Direction::Sent, Direction::Received]
            .iter()
            .any(|d| flow.reassembly.missing(*d) > 0);
        if let Some(name) = &flow.server_name {
            connection.rename(NameSource::Sni, name, flow.name_is_ai);
        }
    }

    /// The handshake that the socket showed.
    pub(super) fn hello(&mut self, id: u64, hello: &ClientHello, is_ai: bool) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.is_tls = true;
            connection.encrypted_hello = hello.encrypted_hello;
            if let Some(name) = &hello.server_name {
                connection.rename(NameSource::Sni, name, is_ai);
            }
        }
    }

    /// The socket is not looked at any more; `true` for the first time.
    pub(super) fn settle(&mut self, id: u64, looks_like_tls: bool) -> bool {
        self.0.get_mut(&id).is_some_and(|connection| {
            connection.is_tls |= looks_like_tls;
            !std::mem::replace(&mut connection.settled, true)
        })
    }

    /// The first bytes are those of a TLS client, whatever the rest says.
    pub(super) fn begins_as_tls(&mut self, id: u64) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.is_tls = true;
        }
    }

    /// Whether the connection has a name that enforcement did not judge yet.
    pub(super) fn name_is_new(&self, id: u64) -> bool {
        self.0.get(&id).is_some_and(|c| c.judged_name != c.server_name)
    }

    pub(super) fn name_was_judged(&mut self, id: u64) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.judged_name.clone_from(&connection.server_name);
        }
    }

    /// Notes what enforcement decided; `false` when the connection is not known any more.
    pub(super) fn decide(&mut self, id: u64, decided: Decided) -> bool {
        let Some(connection) = self.0.get_mut(&id) else {
            return false;
        };
        connection.decided = Some(decided);
        true
    }

    /// A name from elsewhere.
    pub(super) fn rename(&mut self, id: u64, source: NameSource, name: &str, is_ai: bool) {
        if let Some(connection) = self.0.get_mut(&id) {
            connection.rename(source, name, is_ai);
        }
    }

    /// Counts bytes that a flow of this connection saw for the first time.
    pub(super) fn plaintext(&mut self, id: u64, direction: Direction, bytes: u64) {
        if let Some(connection) = self.0.get_mut(&id) {
            let sum = &mut connection.plaintext[direction as usize];
            *sum = sum.saturating_add(bytes);
        }
    }

    /// A call on this connection is a row: what it was asked of, and whether it was not read whole.
    pub(super) fn exchange(&mut self, id: u64, host: &str, partial: bool) {
        let Some(connection) = self.0.get_mut(&id) else {
            return;
        };
        connection.speaks_ai = true;
        connection.decoded += 1;
        connection.partial += u32::from(partial);
        if !host.is_empty() {
            let known = connection.name_is_ai;
            connection.rename(NameSource::Host, host, known);
        }
    }

    /// The process made this connection, and its end is known now. `false` when the connection is not.
    pub(super) fn established(&mut self, id: u64, place: Place) -> bool {
        let Some(connection) = self.0.get_mut(&id) else {
            return false;
        };
        connection.connect.local_port = place.1;
        connection.local = Some(place);
        true
    }

    /// The connection, when it is known.
    pub(super) fn peer(&self, id: u64) -> Option<&Connection> {
        self.0.get(&id)
    }

    /// The only connection of a process to this server that no flow is tied to; `None` when there are several, since
    /// then nothing says which.
    pub(super) fn only_untied(&self, key: ProcessKey, server_name: &str) -> Option<u64> {
        let candidate = |c: &&Connection| {
            c.process.key == key && c.stack == STACK_UNKNOWN && c.is_tls && c.server_name == server_name
        };
        let mut found = self.0.values().filter(candidate);
        let first = found.next()?;
        found.next().is_none().then_some(first.id)
    }

    /// Connections whose row is due.
    pub(super) fn due(&self, now_ns: u64) -> Vec<u64> {
        let due = self.0.values().filter(|c| c.is_due(now_ns));
        due.map(|c| c.id).collect()
    }

    /// Flows that are tied to a connection.
    pub(super) fn flows(&self, id: u64) -> Vec<u64> {
        self.0.get(&id).map(|c| c.flows.clone()).unwrap_or_default()
    }

    /// Takes a connection out.
    pub(super) fn take(&mut self, id: u64) -> Option<Connection> {
        self.0.remove(&id)
    }

    /// All connections, at the end of the daemon.
    pub(super) fn drain(&mut self, now_ns: u64) -> Vec<Connection> {
        let mut all: Vec<Connection> = self.0.drain().map(|(_, c)| c).collect();
        for connection in &mut all {
            connection.end.get_or_insert(End {
                at_ns: now_ns,
                reason: "agent_stop",
            });
        }
        all
    }
}
