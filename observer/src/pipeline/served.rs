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
    server: Place,
    finished: Finished,
}

/// A connection that a process of this host made.
struct Caller {
    id: u64,
    /// Where it was made to.
    server: Place,
    /// It has ended: whether it was read.
    was_read: Option<bool>,
}

/// Connections that processes of this host made, by their own end.
#[derive(Default)]
struct Callers {
    /// Oldest first: each network namespace has its own loopback, and a port is used again.
    by_end: HashMap<Place, Vec<Caller>>,
    /// Those that have ended, and when they are forgotten, in this order.
    until: VecDeque<(u64, Place, u64)>,
}

impl Callers {
    fn opened(&mut self, id: u64, place: Place, server: Place) {
        let here = self.by_end.entry(place).or_default();
        if !here.iter().any(|caller| caller.id == id) {
            here.push(Caller {
                id,
                server,
                was_read: None,
            });
        }
    }

    fn ended(&mut self, id: u64, place: Place, was_read: bool, now_ns: u64) {
        let here = self.by_end.get_mut(&place);
        if let Some(caller) = here.and_then(|here| here.iter_mut().find(|caller| caller.id == id)) {
            caller.was_read = Some(was_read);
            self.until.push_back((now_ns + MEMORY_NS, place, id));
        }
    }

    fn tick(&mut self, now_ns: u64) {
        while let Some((until_ns, place, id)) = self.until.front().copied()
            && until_ns <= now_ns
        {
            self.until.pop_front();
            if let Some(here) = self.by_end.get_mut(&place) {
                here.retain(|caller| caller.id != id);
                if here.is_empty() {
                    self.by_end.remove(&place);
                }
            }
        }
    }

    /// The other side of a connection that `server` serves and whose caller is at `place`: made to just there, or to an address that is
    /// translated on the way, as that of a service of Kubernetes is. A loopback address is one of many, and nothing translates it.
    fn of(&self, place: Place, server: Place) -> Option<&Caller> {
        let here = self.by_end.get(&place)?;
        let same = here.iter().rev().find(|caller| caller.server == server);
        same.or_else(|| here.last().filter(|_| !is_loopback(place.0)))
    }
}

fn is_loopback(address: Ipv6Addr) -> bool {
    address.to_canonical().is_loopback()
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
        if let Some(place) = connection.local {
            self.callers
                .ended(connection.id, place, connection.is_read(), now_ns);
        }
    }
}

impl Pipeline {
    /// A connection that a process of this host made has this end.
    pub(super) fn established(&mut self, connection_id: u64, place: Place) {
        if self.connections.established(connection_id, place)
            && let Some(connection) = self.connections.peer(connection_id)
        {
            let server = (connection.peer(), connection.connect.peer_port);
            self.served.callers.opened(connection_id, place, server);
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
            server: (connection.connect.local(), connection.connect.local_port),
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
        self.served.callers.tick(now_ns);
    }

    fn decide_answered(&mut self, answered: Answered) {
        if self.is_read_at(answered.caller, answered.server) {
            self.totals.exchanges_other += 1;
        } else {
            self.conclude(answered.finished);
        }
    }

    /// Whether what passes the connection between these ends is read at its caller's.
    fn is_read_at(&self, caller: Place, server: Place) -> bool {
        let Some(caller) = self.served.callers.of(caller, server) else {
            return false;
        };
        caller
            .was_read
            .unwrap_or_else(|| self.connections.peer(caller.id).is_some_and(Connection::is_read))
    }

    fn conclude(&mut self, finished: Finished) {
        let (row, partial) = (&finished.row, finished.incomplete.is_some());
        self.connections
            .exchange(row.connection_id, &row.server_address, partial);
        self.put_out(finished);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn place(address: [u8; 4], port: u16) -> Place {
        (Ipv4Addr::from(address).to_ipv6_mapped(), port)
    }

    #[test]
    fn the_timer_of_an_older_connection_leaves_a_newer_one_of_the_same_port() {
        let (mut callers, here, server) = (
            Callers::default(),
            place([10, 1, 0, 3], 50_123),
            place([10, 1, 0, 7], 80),
        );
        callers.opened(1, here, server);
        callers.ended(1, here, false, 0);
        callers.opened(2, here, server);
        callers.opened(2, here, server);
        callers.ended(2, here, true, MEMORY_NS - 1);
        callers.tick(MEMORY_NS);
        let found = |callers: &Callers| {
            callers
                .of(here, server)
                .map(|caller| (caller.id, caller.was_read))
        };
        assert_eq!(found(&callers), Some((2, Some(true))));
        callers.tick(2 * MEMORY_NS);
        assert!(callers.by_end.is_empty() && callers.until.is_empty());
    }

    #[test]
    fn ends_of_loopback_are_those_of_their_namespace() {
        let mut callers = Callers::default();
        let (local, server) = (place([127, 0, 0, 1], 50_123), place([127, 0, 0, 1], 11_434));
        callers.opened(1, local, place([127, 0, 0, 1], 9_999));
        assert!(callers.of(local, server).is_none(), "it speaks to somebody else");
        callers.opened(2, local, server);
        callers.opened(3, local, place([127, 0, 0, 1], 9_998));
        assert_eq!(callers.of(local, server).map(|caller| caller.id), Some(2));
        // A service's address is not its server's.
        let pod = place([10, 1, 0, 3], 50_123);
        callers.opened(4, pod, place([10, 96, 0, 1], 80));
        let found = callers.of(pod, place([10, 1, 0, 7], 11_434));
        assert_eq!(found.map(|caller| caller.id), Some(4));
    }
}
