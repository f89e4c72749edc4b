//! Calls that a process answers. The caller may be a process of this host, too, and then its side of the same call is read: the call is
//! one row, the caller's. So an answered call waits a moment for what the caller's side says.

use std::{
    collections::{HashMap, VecDeque},
    net::Ipv6Addr,
};

use super::{Pipeline, connections::Connection, results::Finished};

/// How long a call waits: what the caller wrote is known when its call returns.
const WAIT_NS: u64 = 200_000_000;
/// Most calls that wait.
const MAX_WAITING: usize = 4_096;
/// How long it is remembered whether an ended connection was read at its caller's side. Both ends of a connection do not end at once.
const MEMORY_NS: u64 = 10_000_000_000;

/// One end of a connection: address and port.
pub(super) type Place = (Ipv6Addr, u16);

/// A call that waits.
struct Answered {
    due_ns: u64,
    caller: Place,
    finished: Finished,
}

/// Connections that processes of this host made, by their own end.
#[derive(Default)]
struct Callers {
    open: HashMap<Place, u64>,
    /// Those that have ended: whether they were read.
    ended: HashMap<Place, bool>,
    /// When they are forgotten, in this order.
    until: VecDeque<(u64, Place)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Served {
    waiting: VecDeque<Answered>,
    callers: Callers,
}

impl Served {
    /// A connection is known no more.
    pub(super) fn connection_ended(&mut self, connection: &Connection, now_ns: u64) {
        let (Some(place), callers) = (connection.local, &mut self.callers) else {
            return;
        };
        if callers.open.get(&place) == Some(&connection.id) {
            callers.open.remove(&place);
            callers.ended.insert(place, connection.is_read());
            callers.until.push_back((now_ns + MEMORY_NS, place));
        }
    }

    fn tick(&mut self, now_ns: u64) {
        while let Some((until_ns, place)) = self.callers.until.front()
            && *until_ns <= now_ns
        {
            self.callers.ended.remove(place);
            self.callers.until.pop_front();
        }
    }
}

impl Pipeline {
    /// A connection that a process of this host made has this end.
    pub(super) fn established(&mut self, connection_id: u64, place: Place) {
        if self.connections.established(connection_id, place) {
            self.served.callers.open.insert(place, connection_id);
        }
    }

    /// Takes a call that a process answered.
    pub(super) fn answered(&mut self, finished: Finished, ended_ns: u64) {
        let id = finished.row.connection_id;
        let Some(connection) = self.connections.peer(id) else {
            self.conclude(finished);
            return;
        };
        let answered = Answered {
            due_ns: ended_ns + WAIT_NS,
            caller: (connection.peer(), connection.connect.peer_port),
            finished,
        };
        if connection.end.is_some() {
            // Its row is due: there is no time to wait, and nothing to wait for.
            self.decide_answered(answered);
            return;
        }
        self.served.waiting.push_back(answered);
        if self.served.waiting.len() > MAX_WAITING
            && let Some(oldest) = self.served.waiting.pop_front()
        {
            self.decide_answered(oldest);
        }
    }

    /// Decides about the calls that waited long enough.
    pub(super) fn answered_due(&mut self, now_ns: u64) {
        while self
            .served
            .waiting
            .front()
            .is_some_and(|answered| answered.due_ns <= now_ns)
            && let Some(answered) = self.served.waiting.pop_front()
        {
            self.decide_answered(answered);
        }
        self.served.tick(now_ns);
    }

    fn decide_answered(&mut self, answered: Answered) {
        if self.is_read_at(answered.caller) {
            self.totals.exchanges_other += 1;
        } else {
            self.conclude(answered.finished);
        }
    }

    /// Whether what passes the connection with this end is read there.
    fn is_read_at(&self, place: Place) -> bool {
        let callers = &self.served.callers;
        let open = callers.open.get(&place).and_then(|id| self.connections.peer(*id));
        open.map_or_else(|| callers.ended.get(&place) == Some(&true), Connection::is_read)
    }

    fn conclude(&mut self, finished: Finished) {
        let (row, partial) = (&finished.row, finished.incomplete.is_some());
        self.connections
            .exchange(row.connection_id, &row.server_address, partial);
        self.put_out(finished);
    }
}
