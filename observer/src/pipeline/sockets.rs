//! The socket layer's part of the pipeline: names of connections, plaintext without TLS, and which flow belongs to which
//! connection.

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use observer_common::wire::{
    CLASS_OTHER, CLASS_UNDECIDED, Dns, Header, STACK_SOCKET, TIE_AFTER_CALL, TIE_SOCKET, TRANSPORT_UNIX, Tie,
    TlsData, TlsFree, is_of_key,
};

use super::{
    Output, Pipeline,
    connections::{Connection, NameSource},
    halves::{Halves, Joined, Piece},
    names::{Names, is_of_host},
    opening::{Opened, Opening},
};
use crate::{
    coverage::{Readability, Stage},
    flow::Direction,
    identity::{Identity, ProcessKey},
    protocol::dns,
};

/// `tie` of a flow that was joined with its connection by process and server name.
pub(super) const TIE_BY_NAME: u8 = 100;

/// Most sockets whose first bytes are looked at, at the same time.
pub(super) const MAX_OPENINGS: usize = 16_384;

/// What is kept beside flows and connections.
#[derive(Default)]
pub(super) struct Sockets {
    openings: HashMap<u64, Opening>,
    pub halves: Halves,
    names: Names,
}

impl Sockets {
    /// All names that name servers gave for an address, with their end (ns since boot).
    pub(super) fn names_of(&self, address: Ipv6Addr, now_ns: u64) -> impl Iterator<Item = (&str, u64)> {
        self.names.all_of(address, now_ns)
    }

    /// The name of an address as far as it is sure, see [`Names::of`].
    pub(super) fn name_of(&self, address: Ipv6Addr, process: &Identity, now_ns: u64) -> Option<&str> {
        self.names.of(address, process, now_ns)
    }
}

impl Pipeline {
    /// What discovery found about the process whose connection has ended.
    pub fn readability(&mut self, connection_id: u64, found: Readability) {
        self.connections.set_readability(connection_id, found);
    }

    /// What discovery found about a process that has ended.
    pub fn readability_of(&mut self, process: ProcessKey, found: Readability) {
        self.connections.set_readability_of(process, found);
    }

    /// Open connections: id, and address of the kernel's socket, whose totals can be given to [`Self::progress`].
    pub fn open_sockets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.connections.open_sockets()
    }

    /// Bytes that passed a socket so far (sent, received).
    pub fn progress(&mut self, connection_id: u64, totals: [u64; 2], now_ns: u64) {
        self.connections.progress(connection_id, totals, now_ns);
    }

    /// The kernel does not know the socket of an open connection any more. When that is so twice in a row its end was told and the record lost:
    /// else it is still on its way.
    pub fn socket_missed(&mut self, connection_id: u64) {
        if self.connections.missed(connection_id) {
            self.ledger.lose(Stage::Flow, "close_lost", 0);
        }
    }

    /// Bytes that crossed a socket: the flow has the number of its connection.
    pub(super) fn socket_data(
        &mut self,
        header: &Header,
        data: &TlsData,
        bytes: &[u8],
        process: &Arc<Identity>,
    ) {
        let id = header.flow_id;
        let Some(connection) = self.connections.peer(id) else {
            // The table of connections was full: nobody will tell when it ends.
            self.lose_plaintext("no_connection", bytes.len() as u64);
            return;
        };
        if connection.settled {
            self.plaintext.delivered += bytes.len() as u64;
            // On its way before the kernel knew. A flow of this number is one of plaintext above TLS.
            return;
        }
        if self.flows.contains_key(&id) {
            self.tls_data(header, data, bytes, process);
            return;
        }
        if Direction::of(data) == Direction::Received {
            // The peer spoke first, as to a server, or answers to what is being looked at.
            if !self.sockets.openings.contains_key(&id) && data.offset == 0 {
                self.tls_data(header, data, bytes, process);
            } else {
                self.plaintext.delivered += bytes.len() as u64;
            }
            return;
        }
        if !self.sockets.openings.contains_key(&id) && self.sockets.openings.len() >= MAX_OPENINGS {
            self.lose_plaintext("opening_table_full", bytes.len() as u64);
            return;
        }
        let opening = self.sockets.openings.entry(id).or_default();
        let opened = opening.sent(data.offset, bytes);
        let looks_like_tls = opening.looks_like_tls();
        if opened != Opened::Plain {
            self.plaintext.delivered += bytes.len() as u64;
        }
        match opened {
            Opened::More => {
                if looks_like_tls {
                    self.connections.begins_as_tls(id);
                }
                return;
            }
            Opened::Proxy(host) => {
                let is_ai = self.book.catalog.host_is_ai(&host);
                self.connections.rename(id, NameSource::Connect, &host, is_ai);
                return;
            }
            Opened::Plain => {
                self.sockets.openings.remove(&id);
                self.tls_data(header, data, bytes, process);
                return;
            }
            Opened::Tls(hello) => {
                let is_ai = hello
                    .server_name
                    .as_deref()
                    .is_some_and(|name| self.book.catalog.host_is_ai(name));
                self.connections.hello(id, &hello, is_ai);
            }
            Opened::Other => {}
        }
        self.sockets.openings.remove(&id);
        if self.connections.settle(id, looks_like_tls) {
            self.outputs.push(Output::Decide {
                flow_id: id,
                class: CLASS_OTHER,
            });
        }
    }

    /// The kernel found the socket of a flow whose bytes it had delivered before.
    pub(super) fn tie(&mut self, header: &Header, tie: &Tie, process: &Arc<Identity>) {
        if u8::try_from(tie.stack).is_ok_and(is_of_key) {
            let joined = self.sockets.halves.tied(header.flow_id, header.connection_id);
            self.join(header, joined, process);
        } else {
            self.link(header, u8::try_from(tie.tie).unwrap_or(0));
            self.decide(header.flow_id);
        }
    }

    /// Takes over what flows of one direction gave for their connection.
    pub(super) fn join(&mut self, header: &Header, joined: Joined, process: &Arc<Identity>) {
        match joined {
            Joined::Waits => {}
            Joined::Lost(bytes) => self.lose_plaintext("never_tied", bytes),
            Joined::Pieces(pieces) => {
                for piece in pieces {
                    self.joined_piece(header, &piece, process);
                }
            }
        }
    }

    fn joined_piece(&mut self, header: &Header, piece: &Piece, process: &Arc<Identity>) {
        let id = self.sockets.halves.connection_of(header.flow_id);
        let header = Header {
            flow_id: id,
            connection_id: id,
            ..*header
        };
        let position = self
            .flows
            .get(&id)
            .map_or(0, |flow| flow.reassembly.position(piece.direction));
        let data = TlsData {
            handle: 0,
            offset: position.saturating_add(piece.gap),
            call_len: piece.bytes.len() as u64,
            len: u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX),
            class: CLASS_UNDECIDED,
            direction: piece.direction as u8,
            tie: TIE_AFTER_CALL,
            stack: piece.stack,
            pad: 0,
            // On another thread the answer may have been opened before the write of the request returned, and told its socket.
            took_us: u32::try_from(header.time_ns.saturating_sub(piece.at_ns) / 1000).unwrap_or(u32::MAX),
        };
        self.tls_data(&header, &data, &piece.bytes, process);
        // A key that came later is of a flow that may be decided already.
        self.decide_halves(id);
    }

    pub(super) fn decide_halves(&mut self, id: u64) {
        let Some(class) = self.flows.get(&id).and_then(super::flows::Flow::class) else {
            return;
        };
        let halves = self.sockets.halves.undecided(id);
        self.outputs.extend(
            halves
                .into_iter()
                .map(|flow_id| Output::Decide { flow_id, class }),
        );
    }

    /// A flow of one direction is over.
    pub(super) fn forget_half(&mut self, flow_id: u64) {
        let of_server = self.sockets.halves.is_of_server(flow_id);
        let Some((key, waiting)) = self.sockets.halves.forget(flow_id) else {
            return;
        };
        if of_server {
            self.plaintext.delivered += waiting;
        } else if waiting > 0 {
            self.lose_plaintext("never_tied", waiting);
        }
        self.outputs.push(Output::Forget { flow_id, key });
    }

    /// Ends the flows of one direction whose connection will not be known any more.
    pub(super) fn give_up_halves(&mut self, now_ns: u64) {
        let connections = &self.connections;
        let halves = &self.sockets.halves;
        for half in halves.given_up(now_ns, |id| connections.peer(id).is_some()) {
            self.forget_half(half);
        }
    }

    /// Last resort for a flow that no system call tied: the only connection of the same process to the same server.
    pub(super) fn tie_by_name(&mut self, flow_id: u64) {
        let Some(flow) = self.flows.get_mut(&flow_id) else {
            return;
        };
        let Some(name) = flow.server_name.as_deref().filter(|_| flow.connection_id == 0) else {
            return;
        };
        if let Some(id) = self.connections.only_untied(flow.process.key, name) {
            flow.connection_id = id;
            flow.tie = TIE_BY_NAME;
            self.connections.link(flow);
            self.connections.name(flow);
        }
    }

    /// An answer of a name server.
    pub(super) fn dns(&mut self, header: &Header, message: &Dns, bytes: &[u8], process: &Arc<Identity>) {
        if bytes.len() < message.message_len as usize {
            self.ledger.lose(Stage::Protocol, "dns_message_cut", 0);
        }
        let Some((name, resolved)) = dns::answer(bytes) else {
            return;
        };
        if !self
            .sockets
            .names
            .learn(&name, &resolved, process, header.time_ns)
        {
            self.ledger.lose(Stage::Protocol, "name_table_full", 0);
        }
        self.guard_named(&name, &resolved, is_of_host(process), header.time_ns);
    }

    /// Names a new connection by what name servers said about its address, until something better is known.
    pub(super) fn name_by_address(&mut self, id: u64, now_ns: u64) {
        let may_be_named = |c: &&Connection| !c.serves() && c.connect.transport != TRANSPORT_UNIX;
        let Some(connection) = self.connections.peer(id).filter(may_be_named) else {
            return;
        };
        let found = self
            .sockets
            .names
            .of(connection.peer(), &connection.process, now_ns);
        if let Some(name) = found.map(str::to_owned) {
            let is_ai = self.book.catalog.host_is_ai(&name);
            self.connections.rename(id, NameSource::Dns, &name, is_ai);
        }
    }

    /// A hole at the very end of what a socket carried in clear shows in the totals of the socket.
    fn compare_totals(&mut self, id: u64) {
        let totals = self.connections.peer(id).and_then(|c| c.totals);
        if let Some([sent, received]) = totals
            && let Some(flow) = self.flows.get_mut(&id).filter(|f| f.stack == STACK_SOCKET)
        {
            flow.totals(&TlsFree {
                handle: 0,
                sent,
                received,
                class: CLASS_UNDECIDED,
                tie: TIE_SOCKET.into(),
            });
        }
    }

    /// Whether a flow is what a socket carries in clear: the end of the socket is told, and how much passed with it.
    pub(super) fn ends_with_socket(&self, flow_id: u64) -> bool {
        self.flows.get(&flow_id).is_some_and(|flow| {
            flow.stack == STACK_SOCKET && self.connections.peer(flow.connection_id).is_some()
        })
    }

    /// Ends a connection with the flows that are tied to it, and writes its row.
    pub(super) fn end_connection(&mut self, id: u64, now_ns: u64) {
        self.compare_totals(id);
        for flow_id in self.connections.flows(id) {
            self.end_flow(flow_id, now_ns);
        }
        for half in self.sockets.halves.of_connection(id).to_vec() {
            self.forget_half(half);
        }
        self.sockets.openings.remove(&id);
        if let Some(connection) = self.connections.take(id) {
            if connection.settled {
                self.outputs.push(Output::ForgetClass { connection_id: id });
            }
            self.served.connection_ended(&connection, now_ns);
            self.connection_row(&connection);
        }
    }
}
