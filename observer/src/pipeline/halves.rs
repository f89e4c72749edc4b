//! Flows of one direction. An AEAD sees keys, not connections: what one key sealed and what another opened are joined by
//! the socket that they share. Until that is known, the bytes wait.

use std::collections::HashMap;

use observer_common::{
    maps::FlowKey,
    wire::{Header, TlsData},
};

use crate::{
    flow::{Direction, Reassembly},
    identity::ProcessKey,
    protocol::{
        Side,
        sniff::{Sniff, sniff},
    },
};

/// Most flows of one direction at the same time.
const MAX_HALVES: usize = 16_384;
/// Most bytes of one that wait for their connection: rustls seals at most 64 KiB before it writes to the socket.
const MAX_WAITING: usize = 256 * 1024;

/// Bytes of a connection, in order, with what is missing before them.
pub(super) struct Piece {
    pub direction: Direction,
    /// `wire::STACK_*`.
    pub stack: u8,
    /// When they were sealed or opened, CLOCK_BOOTTIME, ns.
    pub at_ns: u64,
    pub gap: u64,
    pub bytes: Vec<u8>,
}

struct Half {
    key: FlowKey,
    reassembly: Reassembly,
    connection_id: u64,
    waiting: Vec<Piece>,
    waiting_bytes: usize,
    /// Bytes that found no room, by direction: a hole before the next piece.
    dropped: [u64; 2],
    /// The kernel was told the class.
    decided: bool,
}

/// What became of a record.
pub(super) enum Joined {
    /// It waits for its connection.
    Waits,
    /// These are bytes of its connection now.
    Pieces(Vec<Piece>),
    /// There was no room; so many bytes are lost.
    Lost(u64),
}

/// See the module.
#[derive(Default)]
pub(super) struct Halves {
    by_flow: HashMap<u64, Half>,
    by_connection: HashMap<u64, Vec<u64>>,
    /// Bytes that came twice.
    repeated: u64,
}

impl Halves {
    /// Takes a record.
    pub(super) fn data(&mut self, header: &Header, data: &TlsData, bytes: &[u8]) -> Joined {
        let (flow_id, connection_id) = (header.flow_id, header.connection_id);
        if !self.by_flow.contains_key(&flow_id) && self.by_flow.len() >= MAX_HALVES {
            return Joined::Lost(bytes.len() as u64);
        }
        let half = self.by_flow.entry(flow_id).or_insert_with(|| Half {
            key: FlowKey::new(header.process_start_ns, header.pid, data.handle),
            reassembly: Reassembly::default(),
            connection_id: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            dropped: [0; 2],
            decided: false,
        });
        let direction = Direction::of(data);
        let step = half.reassembly.accept(direction, data.offset, bytes);
        self.repeated += step.repeated;
        let dropped = &mut half.dropped[direction as usize];
        if half.connection_id == 0 && connection_id == 0 && half.waiting_bytes + step.data.len() > MAX_WAITING
        {
            let lost = step.data.len() as u64;
            *dropped = dropped.saturating_add(step.gap).saturating_add(lost);
            return Joined::Lost(lost);
        }
        half.waiting_bytes += step.data.len();
        half.waiting.push(Piece {
            direction,
            stack: data.stack,
            at_ns: header.time_ns,
            gap: step.gap.saturating_add(std::mem::take(dropped)),
            bytes: step.data.to_vec(),
        });
        self.tied(flow_id, connection_id)
    }

    /// The connection of a flow is known (or still not, with 0): what waited goes on.
    pub(super) fn tied(&mut self, flow_id: u64, connection_id: u64) -> Joined {
        let Some(half) = self.by_flow.get_mut(&flow_id) else {
            return Joined::Waits;
        };
        if half.connection_id == 0 && connection_id != 0 {
            half.connection_id = connection_id;
            self.by_connection.entry(connection_id).or_default().push(flow_id);
        }
        if half.connection_id == 0 {
            return Joined::Waits;
        }
        half.waiting_bytes = 0;
        Joined::Pieces(std::mem::take(&mut half.waiting))
    }

    /// Bytes that had come before, since the start.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Bytes that wait for their connection.
    pub(super) fn waiting(&self) -> u64 {
        self.by_flow.values().map(|half| half.waiting_bytes as u64).sum()
    }

    /// Whether this is a flow of one direction.
    pub(super) fn contains(&self, flow_id: u64) -> bool {
        self.by_flow.contains_key(&flow_id)
    }

    /// All flows.
    pub(super) fn all(&self) -> Vec<u64> {
        self.by_flow.keys().copied().collect()
    }

    /// Connection of a flow; 0 while it is not known.
    pub(super) fn connection_of(&self, flow_id: u64) -> u64 {
        self.by_flow.get(&flow_id).map_or(0, |half| half.connection_id)
    }

    /// Flows of a connection.
    pub(super) fn of_connection(&self, connection_id: u64) -> &[u64] {
        self.by_connection
            .get(&connection_id)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Flows of a connection whose class the kernel was not told yet; from now on it was.
    pub(super) fn undecided(&mut self, connection_id: u64) -> Vec<u64> {
        let flows = self
            .by_connection
            .get(&connection_id)
            .cloned()
            .unwrap_or_default();
        let mut fresh = Vec::new();
        for flow_id in flows {
            if let Some(half) = self.by_flow.get_mut(&flow_id).filter(|half| !half.decided) {
                half.decided = true;
                fresh.push(flow_id);
            }
        }
        fresh
    }

    /// Flows of a process.
    pub(super) fn of_process(&self, process: ProcessKey) -> Vec<u64> {
        let of = |half: &Half| half.key.pid == process.pid && half.key.process_start_ns == process.start_ns;
        let flows = self.by_flow.iter().filter(|(_, half)| of(half));
        flows.map(|(id, _)| *id).collect()
    }

    /// Whether a flow is a server's: it received what only clients say first, or sent what only servers do. What servers read is not observed,
    /// so where no socket tells it, its first bytes do.
    pub(super) fn is_of_server(&self, flow_id: u64) -> bool {
        let first = self.by_flow.get(&flow_id).and_then(|half| half.waiting.first());
        first.is_some_and(|piece| {
            // A server receives requests and sends responses.
            let side = match piece.direction {
                Direction::Received => Side::Request,
                Direction::Sent => Side::Response,
            };
            !matches!(sniff(&piece.bytes, side), Sniff::Other | Sniff::NeedMore)
        })
    }

    /// Forgets a flow; gives its key and the bytes that never found their connection.
    pub(super) fn forget(&mut self, flow_id: u64) -> Option<(FlowKey, u64)> {
        let half = self.by_flow.remove(&flow_id)?;
        if let Some(flows) = self.by_connection.get_mut(&half.connection_id) {
            flows.retain(|id| *id != flow_id);
            if flows.is_empty() {
                self.by_connection.remove(&half.connection_id);
            }
        }
        Some((half.key, half.waiting_bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use observer_common::wire::{COMM_LEN, DIRECTION_RECEIVED, DIRECTION_SENT, STACK_AWS_LC};

    use super::*;

    fn header(flow_id: u64, connection_id: u64) -> Header {
        Header {
            kind: 0,
            flags: 0,
            cpu: 0,
            time_ns: 0,
            process_start_ns: 5,
            flow_id,
            connection_id,
            cgroup_id: 0,
            pid: 7,
            tid: 7,
            uid: 0,
            parent_pid: 0,
            comm: [0; COMM_LEN],
        }
    }

    fn data(direction: u8, offset: u64) -> TlsData {
        TlsData {
            handle: 1,
            offset,
            call_len: 0,
            len: 0,
            class: 0,
            direction,
            tie: 0,
            stack: STACK_AWS_LC,
            pad: 0,
            took_us: 0,
        }
    }

    fn texts(joined: Joined) -> Vec<(Direction, u64, Vec<u8>)> {
        match joined {
            Joined::Pieces(pieces) => pieces
                .into_iter()
                .map(|p| (p.direction, p.gap, p.bytes))
                .collect(),
            Joined::Waits | Joined::Lost(_) => panic!("no pieces"),
        }
    }

    #[test]
    fn bytes_wait_until_the_connection_is_known_and_keep_their_holes() {
        let mut halves = Halves::default();
        let waits = |joined| matches!(joined, Joined::Waits);
        assert!(waits(halves.data(&header(1, 0), &data(DIRECTION_SENT, 0), b"ab")));
        assert!(waits(halves.data(&header(1, 0), &data(DIRECTION_SENT, 5), b"cd")));
        assert_eq!(
            texts(halves.tied(1, 9)),
            [
                (Direction::Sent, 0, b"ab".to_vec()),
                (Direction::Sent, 3, b"cd".to_vec())
            ]
        );
        assert_eq!(
            texts(halves.data(&header(2, 9), &data(DIRECTION_RECEIVED, 0), b"x")),
            [(Direction::Received, 0, b"x".to_vec())]
        );
        assert_eq!(halves.of_connection(9), [1, 2]);
        assert_eq!((halves.undecided(9), halves.undecided(9)), (vec![1, 2], vec![]));
        assert_eq!(halves.of_process(ProcessKey { pid: 7, start_ns: 5 }).len(), 2);
        let forgotten = [halves.forget(1), halves.forget(2)].map(|f| f.map(|(key, lost)| (key.handle, lost)));
        assert_eq!(forgotten, [Some((1, 0)), Some((1, 0))]);
        assert!(halves.by_connection.is_empty() && halves.by_flow.is_empty());
    }

    #[test]
    fn a_server_is_told_by_what_only_servers_hear_and_say() {
        let is_server = |direction: u8, bytes: &[u8]| {
            let mut halves = Halves::default();
            halves.data(&header(1, 0), &data(direction, 0), bytes);
            halves.is_of_server(1)
        };
        assert!(is_server(DIRECTION_RECEIVED, b"POST /v1/x HTTP/1.1\r\n"));
        assert!(is_server(DIRECTION_RECEIVED, b"PATCH /v1/x HTTP/1.1\r\n"));
        assert!(is_server(DIRECTION_RECEIVED, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert!(is_server(DIRECTION_SENT, b"HTTP/1.1 200 OK\r\n"));
        let settings = b"\0\0\x12\x04\0\0\0\0\0";
        assert!(is_server(DIRECTION_SENT, settings));
        for (direction, bytes) in [
            (DIRECTION_SENT, &b"POST /v1/x HTTP/1.1\r\n"[..]),
            (DIRECTION_RECEIVED, b"HTTP/1.1 200 OK\r\n"),
            (DIRECTION_SENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            (DIRECTION_RECEIVED, settings),
            (DIRECTION_RECEIVED, b"{}"),
        ] {
            assert!(!is_server(direction, bytes), "{bytes:?}");
        }
        assert!(!Halves::default().is_of_server(1));
    }

    #[test]
    fn what_never_finds_its_connection_is_bounded_and_counted() {
        let mut halves = Halves::default();
        let chunk = vec![0; 16_384];
        let mut lost = 0;
        for n in 0..20u64 {
            if let Joined::Lost(bytes) = halves.data(&header(1, 0), &data(DIRECTION_SENT, n * 16_384), &chunk)
            {
                lost += bytes;
            }
        }
        let waited = halves.forget(1).map(|(_, waited)| waited);
        assert_eq!((lost, waited), (4 * 16_384, Some(MAX_WAITING as u64)));
    }
}
