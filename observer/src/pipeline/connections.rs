//! Connections as the socket layer sees them: the denominator of coverage.

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use observer_common::wire::{Close, Connect, Header};

use super::flows::Flow;
use crate::{
    exchange::Exchange,
    flow::Direction,
    identity::{Identity, ProcessKey},
};

/// Most connections at the same time.
pub(super) const MAX_CONNECTIONS: usize = 65_536;

/// After its end a connection waits so long for the last plaintext, which a client may read later.
const GRACE_NS: u64 = 400_000_000;

const AF_INET: u16 = 2;

/// Where the name of a connection comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameSource {
    Host,
    Sni,
    None,
}

impl NameSource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Host => "http_host",
            Self::Sni => "sni",
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
    pub is_ai: bool,
    pub plaintext: [u64; 2],
    pub decoded: u32,
    pub partial: u32,
    pub has_tls: bool,
    pub lost: bool,
    pub unsupported: Option<&'static str>,
    open_flows: u32,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub at_ns: u64,
    /// `None` when the end of the socket was not seen.
    pub totals: Option<Close>,
    pub reason: &'static str,
}

impl Connection {
    /// Address of the peer, IPv4 as mapped.
    pub(super) fn peer(&self) -> Ipv6Addr {
        address(self.connect.family, &self.connect.peer_address)
    }
}

fn address(family: u16, bytes: &[u8; 16]) -> Ipv6Addr {
    if family == AF_INET {
        std::net::Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_ipv6_mapped()
    } else {
        Ipv6Addr::from(*bytes)
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
        let connection = Connection {
            id: header.connection_id,
            connect: *connect,
            process: Arc::clone(process),
            opened_ns: header.time_ns,
            end: None,
            server_name: String::new(),
            name_source: NameSource::None,
            is_ai: false,
            plaintext: [0; 2],
            decoded: 0,
            partial: 0,
            has_tls: false,
            lost: false,
            unsupported: None,
            open_flows: 0,
        };
        self.0.insert(header.connection_id, connection);
        true
    }

    pub(super) fn close(&mut self, header: &Header, close: &Close) {
        if let Some(connection) = self.0.get_mut(&header.connection_id) {
            if connection.connect.local_port == 0 {
                connection.connect.local_port = u16::try_from(close.local_port).unwrap_or(0);
            }
            connection.end = Some(End {
                at_ns: header.time_ns,
                totals: Some(*close),
                reason: "closed",
            });
        }
    }

    /// The process is gone; the end of its sockets usually comes by itself.
    pub(super) fn process_ended(&mut self, key: ProcessKey, now_ns: u64) {
        for connection in self
            .0
            .values_mut()
            .filter(|c| c.process.key == key && c.end.is_none())
        {
            connection.end = Some(End {
                at_ns: now_ns,
                totals: None,
                reason: "process_exit",
            });
        }
    }

    /// Takes over what a flow saw until it was tied, the record that tied it included.
    pub(super) fn link(&mut self, flow: &Flow) {
        if let Some(connection) = self.0.get_mut(&flow.connection_id) {
            connection.has_tls = true;
            connection.open_flows += 1;
            for direction in [Direction::Sent, Direction::Received] {
                let seen = flow.reassembly.position(direction) - flow.reassembly.missing(direction);
                let sum = &mut connection.plaintext[direction as usize];
                *sum = sum.saturating_add(seen);
            }
        }
    }

    pub(super) fn unlink(&mut self, flow: &Flow) {
        if let Some(connection) = self.0.get_mut(&flow.connection_id) {
            connection.open_flows = connection.open_flows.saturating_sub(1);
        }
    }

    /// Takes over name and standing of a flow.
    pub(super) fn name(&mut self, flow: &Flow) {
        let Some(connection) = self.0.get_mut(&flow.connection_id) else {
            return;
        };
        connection.is_ai |= flow.is_ai();
        connection.unsupported = connection.unsupported.or(flow.unsupported);
        connection.lost |= [Direction::Sent, Direction::Received]
            .iter()
            .any(|d| flow.reassembly.missing(*d) > 0);
        if let Some(name) = &flow.server_name
            && connection.name_source >= NameSource::Sni
        {
            connection.server_name.clone_from(name);
            connection.name_source = NameSource::Sni;
        }
    }

    /// Counts bytes that a flow of this connection saw for the first time.
    pub(super) fn plaintext(&mut self, id: u64, direction: Direction, bytes: u64) {
        if let Some(connection) = self.0.get_mut(&id) {
            let sum = &mut connection.plaintext[direction as usize];
            *sum = sum.saturating_add(bytes);
        }
    }

    pub(super) fn exchange(&mut self, flow: &Flow, exchange: &Exchange, partial: bool) {
        let Some(connection) = self.0.get_mut(&flow.connection_id) else {
            return;
        };
        connection.is_ai = true;
        connection.decoded += 1;
        connection.partial += u32::from(partial);
        if connection.name_source == NameSource::None && !exchange.host.is_empty() {
            connection.server_name.clone_from(&exchange.host);
            connection.name_source = NameSource::Host;
        }
    }

    /// The connection, when it is known.
    pub(super) fn peer(&self, id: u64) -> Option<&Connection> {
        self.0.get(&id)
    }

    /// Connections whose row is due: ended, and no plaintext is expected any more.
    pub(super) fn due(&mut self, now_ns: u64) -> Vec<Connection> {
        let is_due = |c: &Connection| {
            c.end.is_some_and(|end| {
                let waited = now_ns.saturating_sub(end.at_ns);
                waited > GRACE_NS && (c.open_flows == 0 || waited > 10 * GRACE_NS)
            })
        };
        let ids: Vec<u64> = self.0.values().filter(|c| is_due(c)).map(|c| c.id).collect();
        ids.into_iter().filter_map(|id| self.0.remove(&id)).collect()
    }

    /// All connections, at the end of the daemon.
    pub(super) fn drain(&mut self, now_ns: u64) -> Vec<Connection> {
        let mut all: Vec<Connection> = self.0.drain().map(|(_, c)| c).collect();
        for connection in &mut all {
            connection.end.get_or_insert(End {
                at_ns: now_ns,
                totals: None,
                reason: "agent_stop",
            });
        }
        all
    }
}
