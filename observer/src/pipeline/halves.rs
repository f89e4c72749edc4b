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
/// Most flows of one direction of a process, so that no process takes the room of all others.
const MAX_HALVES_OF_PROCESS: usize = MAX_HALVES / 4 * 3;
/// Most memory of all that wait together, and of those of one process: a program may seal under ever new keys and send none of it.
pub(super) const MAX_MEMORY: usize = 32 * 1024 * 1024;
pub(super) const MAX_MEMORY_OF_PROCESS: usize = 8 * 1024 * 1024;
/// What a piece takes beside its bytes: itself, and what the allocator adds.
const PIECE_MEMORY: usize = size_of::<Piece>() + 16;
/// A flow without a known connection that is silent for so long is given up: a key is used, and its bytes sent, at once.
pub(super) const MAX_IDLE_NS: u64 = 60_000_000_000;

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
    last_ns: u64,
    /// Bytes that found no room, by direction: a hole before the next piece.
    dropped: [u64; 2],
    /// The kernel was told the class.
    decided: bool,
}

impl Half {
    fn process(&self) -> ProcessKey {
        ProcessKey {
            pid: self.key.pid,
            start_ns: self.key.process_start_ns,
        }
    }

    /// Memory of what waits.
    fn memory(&self) -> usize {
        self.waiting_bytes + self.waiting.len() * PIECE_MEMORY
    }
}

/// What the flows of a process, or of all, take.
#[derive(Default)]
struct Taken {
    halves: usize,
    memory: usize,
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
    by_process: HashMap<ProcessKey, Taken>,
    /// Memory of all that waits.
    memory: usize,
    /// Bytes that came twice.
    repeated: u64,
}

impl Halves {
    /// Takes a record.
    pub(super) fn data(&mut self, header: &Header, data: &TlsData, bytes: &[u8]) -> Joined {
        let (flow_id, connection_id) = (header.flow_id, header.connection_id);
        if !self.has_place(header, data) {
            return Joined::Lost(bytes.len() as u64);
        }
        let Some(half) = self.by_flow.get_mut(&flow_id) else {
            return Joined::Lost(bytes.len() as u64);
        };
        half.last_ns = header.time_ns;
        let direction = Direction::of(data);
        let step = half.reassembly.accept(direction, data.offset, bytes);
        self.repeated += step.repeated;
        let of_process = self.by_process.entry(half.process()).or_default();
        let (len, memory) = (step.data.len(), step.data.len() + PIECE_MEMORY);
        let dropped = &mut half.dropped[direction as usize];
        let has_room = half.waiting_bytes + len <= MAX_WAITING
            && of_process.memory + memory <= MAX_MEMORY_OF_PROCESS
            && self.memory + memory <= MAX_MEMORY;
        if half.connection_id == 0 && connection_id == 0 && !has_room {
            *dropped = dropped.saturating_add(step.gap).saturating_add(len as u64);
            return Joined::Lost(len as u64);
        }
        half.waiting_bytes += len;
        of_process.memory += memory;
        self.memory += memory;
        half.waiting.push(Piece {
            direction,
            stack: data.stack,
            at_ns: header.time_ns,
            gap: step.gap.saturating_add(std::mem::take(dropped)),
            bytes: step.data.to_vec(),
        });
        self.tied(flow_id, connection_id)
    }

    /// Makes a flow that is new; `false` where there is no room for it.
    fn has_place(&mut self, header: &Header, data: &TlsData) -> bool {
        if self.by_flow.contains_key(&header.flow_id) {
            return true;
        }
        let half = Half {
            key: FlowKey::new(header.process_start_ns, header.pid, data.handle),
            reassembly: Reassembly::default(),
            connection_id: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            last_ns: header.time_ns,
            dropped: [0; 2],
            decided: false,
        };
        let of_process = self
            .by_process
            .get(&half.process())
            .map_or(0, |taken| taken.halves);
        if self.by_flow.len() >= MAX_HALVES || of_process >= MAX_HALVES_OF_PROCESS {
            return false;
        }
        self.by_process.entry(half.process()).or_default().halves += 1;
        self.by_flow.insert(header.flow_id, half);
        true
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
        let (process, memory) = (half.process(), half.memory());
        half.waiting_bytes = 0;
        let pieces = std::mem::take(&mut half.waiting);
        self.give_back(process, memory, 0);
        Joined::Pieces(pieces)
    }

    fn give_back(&mut self, process: ProcessKey, memory: usize, halves: usize) {
        self.memory = self.memory.saturating_sub(memory);
        if let Some(taken) = self.by_process.get_mut(&process) {
            taken.memory = taken.memory.saturating_sub(memory);
            taken.halves = taken.halves.saturating_sub(halves);
            if taken.halves == 0 {
                self.by_process.remove(&process);
            }
        }
    }

    /// Flows that are silent, and whose connection is not known (as `is_known` says) and will not be.
    pub(super) fn given_up(&self, now_ns: u64, is_known: impl Fn(u64) -> bool) -> Vec<u64> {
        let is_over =
            |half: &Half| now_ns.saturating_sub(half.last_ns) > MAX_IDLE_NS && !is_known(half.connection_id);
        let silent = self.by_flow.iter().filter(|(_, half)| is_over(half));
        silent.map(|(id, _)| *id).collect()
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
        let flows = self.by_flow.iter().filter(|(_, half)| half.process() == process);
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
        self.give_back(half.process(), half.memory(), 1);
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
        assert!(halves.by_process.is_empty() && halves.memory == 0);
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

    /// What finds no room under ever new keys, of so many processes that seal 16 KiB each.
    fn lost_of(halves: &mut Halves, processes: u32, keys: u64) -> u64 {
        let chunk = vec![0; 16_384];
        let mut lost = 0;
        for pid in 0..processes {
            for n in 0..keys {
                let mut header = header(u64::from(pid) * keys + n + 1, 0);
                header.pid = pid;
                if let Joined::Lost(bytes) = halves.data(&header, &data(DIRECTION_SENT, 0), &chunk) {
                    lost += bytes;
                }
            }
        }
        lost
    }

    #[test]
    fn all_that_waits_is_bounded_for_a_process_and_for_all() {
        let mut halves = Halves::default();
        let fit = (MAX_MEMORY_OF_PROCESS / (16_384 + PIECE_MEMORY)) as u64;
        assert_eq!(lost_of(&mut halves, 1, 600), (600 - fit) * 16_384);
        // Another one has its own share, and what is given up makes room.
        let mut other = header(9_000, 0);
        other.pid = 99;
        assert!(matches!(
            halves.data(&other, &data(DIRECTION_SENT, 0), b"x"),
            Joined::Waits
        ));
        halves.forget(1);
        let again = halves.data(&header(9_001, 0), &data(DIRECTION_SENT, 0), &[0; 16_384]);
        assert!(matches!(again, Joined::Waits));
        let mut halves = Halves::default();
        let lost = lost_of(&mut halves, 10, 600);
        let fit = (MAX_MEMORY / (16_384 + PIECE_MEMORY)) as u64;
        assert_eq!(lost, (6_000 - fit) * 16_384);
        assert!(halves.memory <= MAX_MEMORY);
        // A tie gives back what it lets go on.
        let before = halves.memory;
        assert_eq!(texts(halves.tied(1, 9)).len(), 1);
        assert_eq!(halves.memory, before - 16_384 - PIECE_MEMORY);
    }

    #[test]
    fn many_small_pieces_take_more_than_their_bytes() {
        let mut halves = Halves::default();
        let mut lost = 0;
        for n in 0..MAX_WAITING as u64 {
            let joined = halves.data(&header(1, 0), &data(DIRECTION_SENT, n), b"x");
            lost += u64::from(matches!(joined, Joined::Lost(_)));
        }
        assert_eq!(
            lost,
            (MAX_WAITING - MAX_MEMORY_OF_PROCESS / (1 + PIECE_MEMORY)) as u64
        );
    }

    #[test]
    fn a_process_has_three_quarters_of_the_table_at_most() {
        let mut halves = Halves::default();
        for n in 0..MAX_HALVES as u64 {
            halves.data(&header(n + 1, 0), &data(DIRECTION_SENT, 0), b"");
        }
        assert_eq!(halves.by_flow.len(), MAX_HALVES_OF_PROCESS);
    }

    #[test]
    fn silent_flows_without_a_connection_are_given_up() {
        let mut halves = Halves::default();
        for (flow_id, connection_id) in [(1, 0), (2, 9), (3, 8)] {
            halves.data(&header(flow_id, connection_id), &data(DIRECTION_SENT, 0), b"x");
        }
        let given_up = |now_ns| {
            let mut ids = halves.given_up(now_ns, |id| id == 9);
            ids.sort_unstable();
            ids
        };
        assert_eq!(given_up(MAX_IDLE_NS), [0; 0]);
        assert_eq!(given_up(MAX_IDLE_NS + 1), [1, 3]);
    }
}
