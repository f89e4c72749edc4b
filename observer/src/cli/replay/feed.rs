//! Plays the kernel's part: turns steps into records as the kernel programs would write them, and takes what the
//! pipeline gives.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use observer_common::wire::{
    AF_INET, AF_INET6, Body, CLASS_AI, CLASS_OTHER, CLASS_UNDECIDED, CLOSE_WAS_ESTABLISHED, COMM_LEN, Close,
    Connect, DIRECTION_RECEIVED, DIRECTION_SENT, Header, KIND_CLOSE, KIND_CONNECT, KIND_TLS_DATA,
    KIND_TLS_FREE, KIND_TLS_NAME, MAX_CHUNK, MAX_NAME_LEN, STACK_OPENSSL, TIE_IN_CALL, TRANSPORT_TCP,
    TlsData, TlsFree, TlsName,
};
use uuid::Uuid;

use super::recording::{Event, Open, Step};
use crate::{
    catalog::Catalog,
    coverage::{Loss, Stage},
    evidence::{ConnectionRow, FindingRow, InteractionRow, LOGIN_UID_UNSET, Sequencer},
    flow::Direction,
    identity::{Ancestor, Identity, ProcessKey},
    pipeline::{Output, Pipeline, Totals},
};

const NS_PER_MS: u64 = 1_000_000;

/// A loss with its stage and reason.
pub(super) type Booked = (Stage, &'static str, Loss);

/// What a recording gives.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Interactions in the order in which they ended.
    pub interactions: Vec<InteractionRow>,
    /// Their findings.
    pub findings: Vec<FindingRow>,
    /// AI connections.
    pub connections: Vec<ConnectionRow>,
    /// What was not read.
    pub losses: Vec<Booked>,
    /// Totals of the pipeline.
    pub totals: Totals,
    /// Bytes that the scope gate of the kernel would have kept back.
    pub not_delivered: u64,
}

struct Flow {
    id: u64,
    identity: Arc<Identity>,
    class: u32,
    offsets: [u64; 2],
}

/// See the module.
pub(super) struct Feed {
    pipeline: Pipeline,
    catalog: Arc<Catalog>,
    sequencer: Sequencer,
    flows: HashMap<u64, Flow>,
    last_id: u64,
    now_ns: u64,
    outcome: Outcome,
}

impl Feed {
    pub(super) fn new(pipeline: Pipeline, catalog: Arc<Catalog>) -> Self {
        Self {
            pipeline,
            catalog,
            sequencer: Sequencer::new("replay", Uuid::nil(), 0),
            flows: HashMap::new(),
            last_id: 0,
            now_ns: 0,
            outcome: Outcome::default(),
        }
    }

    /// Takes the next step.
    pub(super) fn step(&mut self, step: &Step) {
        self.now_ns = step.at_ms.saturating_mul(NS_PER_MS);
        self.pipeline.tick(self.now_ns);
        match &step.event {
            Event::Open(open) => self.open(step.flow, open),
            Event::Data(direction, bytes) => self.data(step.flow, *direction, bytes),
            Event::Gap(direction, bytes) => {
                if let Some(flow) = self.flows.get_mut(&step.flow) {
                    flow.offsets[*direction as usize] += bytes;
                }
            }
            Event::End => self.end(step.flow),
        }
        self.take();
    }

    /// Ends what is open.
    pub(super) fn finish(mut self) -> Outcome {
        self.pipeline.finish(self.now_ns);
        self.take();
        self.outcome.losses = self.pipeline.ledger().iter().collect();
        self.outcome.totals = self.pipeline.totals();
        self.outcome
    }

    fn open(&mut self, number: u64, open: &Open) {
        self.last_id += 1;
        let name = open.server_name.as_deref().unwrap_or_default();
        let known = !name.is_empty() && self.catalog.host_is_ai(name);
        let class = if known { CLASS_AI } else { CLASS_UNDECIDED };
        let identity = Arc::new(identity(open));
        let flow = Flow {
            id: self.last_id,
            identity,
            class,
            offsets: [0; 2],
        };
        self.record(KIND_CONNECT, &flow, true, &Body::Connect(connect(open.peer)));
        let name = &name.as_bytes()[..name.len().min(MAX_NAME_LEN)];
        if !name.is_empty() {
            let len = u32::try_from(name.len()).unwrap_or(0);
            let body = TlsName {
                handle: flow.id,
                len,
                class,
            };
            // A client sets the name before its first socket call: the kernel knows of no socket yet.
            self.record(KIND_TLS_NAME, &flow, false, &Body::TlsName(body, name));
        }
        self.flows.insert(number, flow);
    }

    /// Cuts the bytes into records with absolute offsets. Like the kernel, delivers nothing of a flow that is known
    /// to be something else. What a process writes in one call is not known; each step counts as one.
    fn data(&mut self, number: u64, direction: Direction, bytes: &[u8]) {
        let Some(mut flow) = self.flows.remove(&number) else {
            return;
        };
        for (index, piece) in bytes.chunks(MAX_CHUNK).enumerate() {
            let offset = flow.offsets[direction as usize];
            flow.offsets[direction as usize] += piece.len() as u64;
            if flow.class == CLASS_OTHER {
                self.outcome.not_delivered += piece.len() as u64;
                continue;
            }
            let body = TlsData {
                handle: flow.id,
                offset,
                call_len: (bytes.len() - index * MAX_CHUNK) as u64,
                len: u32::try_from(piece.len()).unwrap_or(0),
                class: flow.class,
                direction: if direction == Direction::Sent {
                    DIRECTION_SENT
                } else {
                    DIRECTION_RECEIVED
                },
                tie: TIE_IN_CALL,
                stack: STACK_OPENSSL,
                pad: 0,
                took_us: 0,
            };
            self.record(KIND_TLS_DATA, &flow, true, &Body::TlsData(body, piece));
            if let Some(class) = self.take_class(flow.id) {
                flow.class = class;
            }
        }
        self.flows.insert(number, flow);
    }

    fn end(&mut self, number: u64) {
        let Some(flow) = self.flows.remove(&number) else {
            return;
        };
        let [sent, received] = flow.offsets;
        let tie = u32::from(TIE_IN_CALL);
        let free = TlsFree {
            handle: flow.id,
            sent,
            received,
            class: flow.class,
            tie,
        };
        self.record(KIND_TLS_FREE, &flow, true, &Body::TlsFree(free));
        // What TLS adds on the wire is not in a recording.
        let close = Close {
            sent,
            received,
            flags: CLOSE_WAS_ESTABLISHED,
            local_port: 0,
        };
        self.record(KIND_CLOSE, &flow, true, &Body::Close(close));
    }

    fn record(&mut self, kind: u16, flow: &Flow, tied: bool, body: &Body<'_>) {
        let who = &flow.identity;
        let mut comm = [0; COMM_LEN];
        let name = &who.comm.as_bytes()[..who.comm.len().min(COMM_LEN - 1)];
        comm[..name.len()].copy_from_slice(name);
        let header = Header {
            kind,
            flags: 0,
            cpu: 0,
            time_ns: self.now_ns,
            process_start_ns: who.key.start_ns,
            flow_id: flow.id,
            connection_id: if tied { flow.id } else { 0 },
            cgroup_id: 0,
            pid: who.key.pid,
            tid: who.key.pid,
            uid: who.uid,
            parent_pid: 0,
            comm,
        };
        self.pipeline.record(&header, body, who);
    }

    /// Takes all outputs; gives what was decided about flow `id`.
    fn take_class(&mut self, id: u64) -> Option<u32> {
        let decided = self.take();
        decided
            .into_iter()
            .rev()
            .find(|(flow, _)| *flow == id)
            .map(|(_, class)| class)
    }

    fn take(&mut self) -> Vec<(u64, u32)> {
        let mut decided = Vec::new();
        let mut outputs: Vec<Output> = self.pipeline.outputs().collect();
        // The pipeline ends what is open in the order of its tables; a replay shall give the same each time.
        outputs.sort_by_key(order);
        for output in outputs {
            match output {
                Output::Interaction(row, findings) => {
                    let row = self.sequencer.interaction(*row);
                    for mut finding in findings {
                        finding.interaction_hash = row.record_hash;
                        self.outcome.findings.push(self.sequencer.finding(finding));
                    }
                    self.outcome.interactions.push(row);
                }
                Output::Connection(row) => self.outcome.connections.push(self.sequencer.connection(*row)),
                Output::Decide { flow_id, class } => decided.push((flow_id, class)),
                // A replay enforces nothing.
                Output::Forget { .. }
                | Output::ForgetSocket { .. }
                | Output::ForgetClass { .. }
                | Output::WentDark { .. }
                | Output::Enforce(_)
                | Output::Cut { .. } => {}
            }
        }
        decided
    }
}

/// By flow and connection, interactions first; what came of one flow keeps its order.
fn order(output: &Output) -> (u8, u64) {
    match output {
        Output::Interaction(row, _) => (0, row.flow_id),
        Output::Connection(row) => (1, row.connection_id),
        Output::Decide { .. }
        | Output::Forget { .. }
        | Output::ForgetSocket { .. }
        | Output::ForgetClass { .. }
        | Output::WentDark { .. }
        | Output::Enforce(_)
        | Output::Cut { .. } => (2, 0),
    }
}

fn named(comm: &str) -> Ancestor {
    Ancestor {
        pid: 0,
        start_ticks: 0,
        comm: comm.to_owned(),
    }
}

fn identity(open: &Open) -> Identity {
    Identity {
        key: ProcessKey {
            pid: open.pid,
            start_ns: open.start_ns,
        },
        parent_pid: open.parent_pid,
        comm: open.comm.clone(),
        executable: open.executable.clone(),
        uid: open.uid,
        login_uid: open.login_uid.unwrap_or(LOGIN_UID_UNSET),
        user: open.user.clone(),
        // A recording has names only.
        ancestry: open.ancestry.iter().map(|comm| named(comm)).collect(),
        container_id: open.container_id.clone(),
        ..Identity::default()
    }
}

/// A peer that the recording does not name stays the address that stands for none.
fn connect(peer: Option<SocketAddr>) -> Connect {
    let peer = peer.unwrap_or(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut address = [0; 16];
    let family = match peer.ip() {
        IpAddr::V4(ip) => {
            address[..4].copy_from_slice(&ip.octets());
            AF_INET
        }
        IpAddr::V6(ip) => {
            address = ip.octets();
            AF_INET6
        }
    };
    Connect {
        peer_address: address,
        local_address: [0; 16],
        family,
        peer_port: peer.port(),
        local_port: 0,
        flags: 0,
        fd: -1,
        transport: TRANSPORT_TCP,
        pad: [0; 3],
        socket: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_not_named_is_not_invented() {
        let none = connect(None);
        assert_eq!((none.peer_address, none.peer_port), ([0; 16], 0));
        let v4 = connect(Some("192.0.2.9:443".parse().unwrap()));
        assert_eq!(
            (v4.family, &v4.peer_address[..4], v4.peer_port),
            (AF_INET, &[192, 0, 2, 9][..], 443)
        );
    }
}
