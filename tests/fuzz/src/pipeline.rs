//! The whole pipeline: a script of records of a few flows, connections and processes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock},
};

use observer::{
    catalog::Catalog,
    config::Glob,
    evidence::InteractionRow,
    identity::{Identity, ProcessKey},
    pipeline::{Output, Pipeline, Rulebook},
    policy::Judge,
    protocol::Side,
    sensitive::HmacKey,
};
use observer_common::wire::{
    Body, CLASS_AI, CLASS_OTHER, Close, Connect, Header, TlsData, TlsFree, TlsName, decode, is_of_key,
};

use crate::{input::Input, scan, templates};

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));

const FLOWS: usize = 6;
const NAMES: [&[u8]; 4] = [
    b"api.openai.com",
    b"api.anthropic.com",
    b"example.org",
    b"\xff\x00",
];

fn book() -> Rulebook {
    Rulebook {
        catalog: Arc::clone(&CATALOG),
        judge: Arc::new(Judge::none()),
        engine: scan::engine(),
        rules_version: "1".to_owned(),
        rules_digest: [1; 32],
        key: HmacKey::from_bytes([3; 32]),
        exclude_executables: Glob::new("/opt/excluded", false).into_iter().collect(),
        served_calls: true,
        host_name: "host".to_owned(),
    }
}

fn identity(pid: u32) -> Arc<Identity> {
    Arc::new(Identity {
        key: ProcessKey {
            pid,
            start_ns: u64::from(pid) * 1000,
        },
        parent_pid: 1,
        comm: "fuzz".to_owned(),
        executable: if pid == 3 { "/opt/excluded" } else { "/bin/fuzz" }.to_owned(),
        uid: 0,
        login_uid: u32::MAX,
        user: "root".to_owned(),
        ..Identity::default()
    })
}

/// A flow as the kernel would number it.
#[derive(Default)]
struct Flow {
    generation: u64,
    /// Bytes to be written, by direction.
    waiting: [Vec<u8>; 2],
    offset: [u64; 2],
    last: Option<(u8, u64, Vec<u8>)>,
}

struct Script<'a> {
    input: Input<'a>,
    pipeline: Pipeline,
    flows: [Flow; FLOWS],
    processes: [Arc<Identity>; 4],
    now_ns: u64,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    interactions: u64,
    connections: u64,
    findings: u64,
    told: HashMap<u64, Vec<u32>>,
    forgotten: BTreeMap<u64, u32>,
    made: BTreeSet<u64>,
    /// Numbers under which an AEAD's key came, which is given back and is no flow.
    keys: BTreeSet<u64>,
}

/// Runs the script.
pub fn run(data: &[u8]) {
    let mut script = Script {
        input: Input::new(data),
        pipeline: Pipeline::new(book()),
        flows: Default::default(),
        processes: [1, 2, 3, 4].map(identity),
        now_ns: 1_000_000,
        seen: Seen::default(),
    };
    while !script.input.is_empty() {
        script.step();
        script.outputs();
    }
    script.end();
}

impl Script<'_> {
    fn step(&mut self) {
        self.now_ns = self.now_ns.saturating_add(1000);
        let op = self.input.byte();
        let at = usize::from(op >> 4) % FLOWS;
        let direction = op >> 3 & 1;
        match op & 7 {
            0 => {
                let side = if direction == 0 {
                    Side::Request
                } else {
                    Side::Response
                };
                let template = templates::get(side, self.input.byte());
                self.flows[at].waiting[usize::from(direction)].extend_from_slice(template);
            }
            1 => {
                let length = usize::from(self.input.byte());
                let bytes = self.input.bytes(length);
                self.flows[at].waiting[usize::from(direction)].extend_from_slice(bytes);
            }
            2 | 3 => self.send(at, direction, op & 1 == 1),
            4 => self.skip(at, direction),
            5 => self.repeat(at),
            6 => self.event(at, direction),
            _ => self.raw(),
        }
    }

    fn header(&self, at: usize) -> Header {
        let process = &self.processes[at % 4];
        Header {
            kind: 0,
            flags: 0,
            cpu: 0,
            time_ns: self.now_ns,
            process_start_ns: process.key.start_ns,
            flow_id: at as u64 + 1 + self.flows[at].generation * 100,
            connection_id: if at == 5 { 0 } else { at as u64 + 1 },
            cgroup_id: 0,
            pid: process.key.pid,
            tid: process.key.pid,
            uid: 0,
            parent_pid: 0,
            comm: [0; 16],
        }
    }

    fn take(&mut self, at: usize, body: &Body<'_>) {
        let header = self.header(at);
        self.seen.made.insert(header.flow_id);
        let process = Arc::clone(&self.processes[at % 4]);
        self.pipeline.record(&header, body, &process);
    }

    fn send(&mut self, at: usize, direction: u8, all: bool) {
        let size = if all { usize::MAX } else { self.input.short() };
        let flow = &mut self.flows[at];
        let side = usize::from(direction);
        let size = size.min(flow.waiting[side].len());
        let bytes: Vec<u8> = flow.waiting[side].drain(..size).collect();
        let offset = flow.offset[side];
        flow.offset[side] = offset.saturating_add(bytes.len() as u64);
        flow.last = Some((direction, offset, bytes.clone()));
        self.data(at, direction, offset, &bytes);
    }

    fn data(&mut self, at: usize, direction: u8, offset: u64, bytes: &[u8]) {
        let data = TlsData {
            handle: at as u64,
            offset,
            call_len: bytes.len() as u64,
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            class: if at == 4 { CLASS_AI } else { 0 },
            direction,
            tie: 1,
            stack: (at % 8) as u8,
            pad: 0,
            took_us: 0,
        };
        if is_of_key(data.stack) {
            self.seen.keys.insert(self.header(at).flow_id);
        }
        self.take(at, &Body::TlsData(data, bytes));
    }

    fn skip(&mut self, at: usize, direction: u8) {
        let size = match self.input.byte() {
            255 => self.input.long(),
            size => u64::from(size),
        };
        let flow = &mut self.flows[at];
        let side = usize::from(direction);
        let there = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .min(flow.waiting[side].len());
        flow.waiting[side].drain(..there);
        flow.offset[side] = flow.offset[side].saturating_add(size);
    }

    fn repeat(&mut self, at: usize) {
        if let Some((direction, offset, bytes)) = self.flows[at].last.clone() {
            self.data(at, direction, offset, &bytes);
        }
    }

    fn event(&mut self, at: usize, direction: u8) {
        let handle = at as u64;
        match self.input.byte() % 8 {
            0 => {
                let name = NAMES[usize::from(self.input.byte()) % NAMES.len()];
                let body = TlsName {
                    handle,
                    len: u32::try_from(name.len()).unwrap_or(0),
                    class: 0,
                };
                self.take(at, &Body::TlsName(body, name));
            }
            1 => {
                let more = u64::from(direction) * self.input.long();
                let [sent, received] = self.flows[at].offset;
                let free = TlsFree {
                    handle,
                    sent: sent.saturating_add(more),
                    received,
                    class: 0,
                    tie: 1,
                };
                self.take(at, &Body::TlsFree(free));
                self.renew(at);
            }
            2 => {
                // One end of it may be the other end of another one: a caller and who answers it.
                let ends = self.input.byte();
                let connect = Connect {
                    peer_address: [at as u8; 16],
                    local_address: [ends >> 4; 16],
                    family: u16::from(self.input.byte()),
                    peer_port: 443,
                    local_port: 443 * u16::from(ends & 1),
                    flags: u16::from(ends >> 1 & 3),
                    fd: 3,
                    transport: 6,
                    pad: [0; 3],
                    socket: at as u64,
                };
                self.take(at, &Body::Connect(connect));
            }
            3 => {
                let sent = self.input.long();
                let close = Close {
                    sent,
                    received: sent,
                    flags: 1,
                    local_port: u32::MAX,
                };
                self.take(at, &Body::Close(close));
            }
            4 => self.ended(at, &Body::Exec),
            5 => self.ended(at, &Body::Exit),
            6 => {
                let step = (self.input.short() as u64) << 26;
                self.now_ns = self.now_ns.saturating_add(step);
                self.pipeline.tick(self.now_ns);
            }
            _ => self.pipeline.bad_record(usize::from(self.input.byte())),
        }
    }

    fn ended(&mut self, at: usize, body: &Body<'_>) {
        self.take(at, body);
        for other in (0..FLOWS).filter(|other| other % 4 == at % 4) {
            self.renew(other);
        }
    }

    fn renew(&mut self, at: usize) {
        let generation = self.flows[at].generation + 1;
        self.flows[at] = Flow {
            generation,
            ..Flow::default()
        };
    }

    /// A record as the bytes say, however absurd. Its flow number is kept apart from those of the script.
    fn raw(&mut self) {
        let length = self.input.short();
        let bytes = self.input.bytes(length);
        let Ok((mut header, body)) = decode(bytes) else {
            return;
        };
        header.flow_id |= 1 << 40;
        self.seen.made.insert(header.flow_id);
        // What two keys of an AEAD see becomes a flow with the number of their connection.
        self.seen.made.insert(header.connection_id);
        if let Body::TlsData(data, _) = &body
            && is_of_key(data.stack)
        {
            self.seen.keys.insert(header.flow_id);
        }
        let process = Arc::clone(&self.processes[0]);
        self.pipeline.record(&header, &body, &process);
    }

    fn outputs(&mut self) {
        let outputs: Vec<Output> = self.pipeline.outputs().collect();
        for output in outputs {
            self.seen.output(output);
        }
    }

    fn end(&mut self) {
        self.pipeline.finish(self.now_ns);
        self.outputs();
        assert_eq!(self.pipeline.open_flows(), 0);
        let totals = self.pipeline.totals();
        assert_eq!(totals.exchanges, self.seen.interactions);
        assert_eq!(totals.findings, self.seen.findings);
        // And each sealed one whose peer has no name.
        assert_eq!(
            totals.ai_connections + totals.unknown_connections_opaque,
            self.seen.connections
        );
        let kinds = [
            totals.ai_connections_decoded,
            totals.ai_connections_partial,
            totals.ai_connections_opaque,
        ];
        assert_eq!(totals.ai_connections, kinds.iter().sum::<u64>());
        // Every flow that was made is given back to the kernel once for each time it was made, and so is each key of an AEAD, which is none.
        let given = self.seen.forgotten.iter().map(|(id, n)| (id, u64::from(*n)));
        let (all, keys) = given.fold((0, 0), |(all, keys), (id, n)| {
            (all + n, keys + if self.seen.keys.contains(id) { n } else { 0 })
        });
        assert!(
            (all - keys..=all).contains(&totals.flows),
            "{} flows, {all} given back, {keys} of them maybe keys",
            totals.flows
        );
        let _ = self.pipeline.ledger().iter().count();
    }
}

impl Seen {
    fn output(&mut self, output: Output) {
        match output {
            Output::Interaction(row, findings) => {
                self.interactions += 1;
                self.findings += findings.len() as u64;
                assert_eq!(usize::from(row.finding_count), findings.len());
                self.interaction(&row);
            }
            Output::Connection(row) => {
                self.connections += 1;
                assert_eq!(row.visibility == "decoded", row.opaque_reason.is_empty());
            }
            Output::Decide { flow_id, class } => {
                assert!(class == CLASS_AI || class == CLASS_OTHER);
                let told = self.told.entry(flow_id).or_default();
                // Once by the name of its connection, and once by what was read of it.
                let before = told.iter().rev().take_while(|told| **told == class).count();
                assert!(before < 2, "the kernel is told again and again");
                told.push(class);
            }
            // Words to the kernel and to the log, of which nothing here depends.
            Output::ForgetSocket { .. }
            | Output::ForgetClass { .. }
            | Output::WentDark { .. }
            | Output::Enforce(_)
            | Output::Cut { .. } => {}
            Output::Forget { flow_id, .. } => {
                self.told.remove(&flow_id);
                assert!(self.made.contains(&flow_id));
                *self.forgotten.entry(flow_id).or_default() += 1;
            }
        }
    }

    fn interaction(&mut self, row: &InteractionRow) {
        assert_eq!(row.visibility == "decoded", row.visibility_reason.is_empty());
        assert!(row.scan_bytes_scanned <= row.scan_bytes_seen);
        assert_ne!(row.digest(), [0; 32]);
        let text = format!(
            "{} {} {}",
            row.gen_ai_request_model, row.server_address, row.user_agent
        );
        assert!(!text.chars().any(char::is_control));
    }
}
