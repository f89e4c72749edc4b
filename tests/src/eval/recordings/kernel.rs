//! Plays the kernel's part: fragments become records byte by byte as the kernel programs write them, several connections
//! run at a time, and what the pipeline decides about a flow is followed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result};
use observer::catalog::Catalog;
use observer::evidence::InteractionRow;
use observer::identity::{Identity, ProcessKey};
use observer::pipeline::{Output, Pipeline, Rulebook};
use observer::policy::Judge;
use observer::sensitive::{Engine, HmacKey, Rules};
use observer_common::wire::{
    AF_INET, CLASS_AI, CLASS_OTHER, CLASS_UNDECIDED, CLOSE_WAS_ESTABLISHED, COMM_LEN, Close, Connect,
    DIRECTION_RECEIVED, DIRECTION_SENT, Header, KIND_CLOSE, KIND_CONNECT, KIND_TLS_DATA, KIND_TLS_FREE,
    KIND_TLS_NAME, MAX_CHUNK, STACK_OPENSSL, TIE_IN_CALL, TRANSPORT_TCP, TlsData, TlsFree, TlsName, decode,
};

use super::connection::{Connection, Direction, Transport, connections};
use super::recording::Recording;
use crate::random::Random;

/// Connections that run at the same time.
const AT_A_TIME: usize = 8;
/// Time between two records, ns.
const STEP_NS: u64 = 1_000;
/// Longer than a connection waits for its last plaintext, ns.
const GRACE_NS: u64 = 500_000_000;

/// What came out.
#[derive(Default)]
pub(super) struct Replayed {
    /// Rows by number of the call.
    pub(super) by_call: BTreeMap<usize, Vec<InteractionRow>>,
    /// Rows that began when no call did.
    pub(super) strays: Vec<InteractionRow>,
    pub(super) connections: usize,
    pub(super) fragments: usize,
    pub(super) records: usize,
    pub(super) rows: usize,
    /// What the pipeline did not read, and why.
    pub(super) losses: Vec<String>,
}

/// Replays all recordings in this framing.
///
/// # Errors
/// The built-in rules cannot be compiled, or a record is not one.
pub(super) fn replay(
    recordings: &[Recording],
    transport: Transport,
    random: &mut Random,
) -> Result<Replayed> {
    let mut waiting = connections(recordings, transport, random)?;
    let mut kernel = Kernel::new()?;
    kernel.out.connections = waiting.len();
    let mut running: Vec<(Flow, VecDeque<_>)> = Vec::new();
    while !(running.is_empty() && waiting.is_empty()) {
        if running.len() < AT_A_TIME
            && let Some(connection) = waiting.pop_front()
        {
            running.push(kernel.open(connection)?);
            continue;
        }
        let at = random.below(running.len());
        let (flow, fragments) = &mut running[at];
        match fragments.pop_front() {
            Some(fragment) => kernel.fragment(flow, &fragment)?,
            None => {
                let (flow, _) = running.swap_remove(at);
                kernel.end(&flow)?;
            }
        }
    }
    kernel.finish()
}

struct Flow {
    id: u64,
    class: u32,
    offset: [u64; 2],
}

struct Kernel {
    pipeline: Pipeline,
    catalog: Arc<Catalog>,
    process: Arc<Identity>,
    now_ns: u64,
    last_id: u64,
    /// Which call began when.
    calls: BTreeMap<i64, usize>,
    out: Replayed,
}

impl Kernel {
    fn new() -> Result<Self> {
        let catalog = Arc::new(Catalog::builtin());
        let pipeline = Pipeline::new(rulebook(Arc::clone(&catalog))?);
        Ok(Self {
            pipeline,
            catalog,
            process: Arc::new(process()),
            now_ns: 1_000_000_000,
            last_id: 0,
            calls: BTreeMap::new(),
            out: Replayed::default(),
        })
    }

    fn open(&mut self, connection: Connection) -> Result<(Flow, VecDeque<super::connection::Turn>)> {
        self.last_id += 1;
        let name = connection.server_name.unwrap_or_default();
        let known = !name.is_empty() && self.catalog.host_is_ai(&name);
        let mut flow = Flow {
            id: self.last_id,
            class: if known { CLASS_AI } else { CLASS_UNDECIDED },
            offset: [0; 2],
        };
        self.record(&mut flow, KIND_CONNECT, |body| connect().write(body), &[])?;
        if !name.is_empty() {
            let head = TlsName {
                handle: flow.id,
                len: length(name.as_bytes()),
                class: flow.class,
            };
            self.record(&mut flow, KIND_TLS_NAME, |body| head.write(body), name.as_bytes())?;
        }
        Ok((flow, connection.fragments))
    }

    /// One call of the TLS library, cut as the kernel programs cut it. Nothing is delivered of what is not AI.
    fn fragment(&mut self, flow: &mut Flow, turn: &super::connection::Turn) -> Result<()> {
        self.out.fragments += 1;
        let direction = match turn.direction {
            Direction::Sent => DIRECTION_SENT,
            Direction::Received => DIRECTION_RECEIVED,
        };
        let mut left = turn.bytes.len();
        let mut begins = turn.begins;
        for piece in turn.bytes.chunks(MAX_CHUNK) {
            let offset = &mut flow.offset[usize::from(direction)];
            let head = TlsData {
                handle: flow.id,
                offset: *offset,
                call_len: left as u64,
                len: length(piece),
                class: flow.class,
                direction,
                tie: TIE_IN_CALL,
                stack: STACK_OPENSSL,
                pad: 0,
                took_us: 0,
            };
            *offset += piece.len() as u64;
            left -= piece.len();
            if let Some(call) = begins.take() {
                let at = i64::try_from(self.now_ns + STEP_NS).context("time")?;
                self.calls.insert(at, call);
            }
            if flow.class == CLASS_OTHER {
                self.now_ns += STEP_NS;
            } else {
                self.record(flow, KIND_TLS_DATA, |body| head.write(body), piece)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, flow: &Flow) -> Result<()> {
        let mut flow = Flow { ..*flow };
        let [sent, received] = flow.offset;
        let free = TlsFree {
            handle: flow.id,
            sent,
            received,
            class: flow.class,
            tie: u32::from(TIE_IN_CALL),
        };
        self.record(&mut flow, KIND_TLS_FREE, |body| free.write(body), &[])?;
        let close = Close {
            sent,
            received,
            flags: CLOSE_WAS_ESTABLISHED,
            local_port: 0,
        };
        self.record(&mut flow, KIND_CLOSE, |body| close.write(body), &[])
    }

    fn finish(mut self) -> Result<Replayed> {
        self.pipeline.tick(self.now_ns + GRACE_NS);
        self.pipeline.finish(self.now_ns + GRACE_NS);
        self.take(None);
        for (stage, reason, loss) in self.pipeline.ledger().iter() {
            let lost = format!(
                "{} bytes lost in {} ({} times {reason})",
                loss.bytes,
                stage.name(),
                loss.events
            );
            self.out.losses.push(lost);
        }
        Ok(self.out)
    }

    /// A record as bytes, read and taken as the daemon does it.
    fn record(
        &mut self,
        flow: &mut Flow,
        kind: u16,
        body: impl FnOnce(&mut Vec<u8>),
        payload: &[u8],
    ) -> Result<()> {
        self.now_ns += STEP_NS;
        let mut bytes = Vec::new();
        self.header(flow, kind).write(&mut bytes);
        body(&mut bytes);
        bytes.extend_from_slice(payload);
        let (header, body) = decode(&bytes).map_err(|error| anyhow::anyhow!("record: {error:?}"))?;
        self.pipeline.record(&header, &body, &self.process);
        self.out.records += 1;
        self.take(Some(flow));
        Ok(())
    }

    fn header(&self, flow: &Flow, kind: u16) -> Header {
        let mut comm = [0; COMM_LEN];
        comm[..4].copy_from_slice(b"eval");
        let key = self.process.key;
        Header {
            kind,
            flags: 0,
            cpu: 0,
            time_ns: self.now_ns,
            process_start_ns: key.start_ns,
            flow_id: flow.id,
            connection_id: flow.id,
            cgroup_id: 1,
            pid: key.pid,
            tid: key.pid,
            uid: self.process.uid,
            parent_pid: 0,
            comm,
        }
    }

    fn take(&mut self, flow: Option<&mut Flow>) {
        let mut class = None;
        for output in self.pipeline.outputs() {
            match output {
                Output::Interaction(row, _) => {
                    self.out.rows += 1;
                    match self.calls.get(&row.ts) {
                        Some(call) => self.out.by_call.entry(*call).or_default().push(*row),
                        None => self.out.strays.push(*row),
                    }
                }
                Output::Decide { flow_id, class: to } if flow.as_ref().is_some_and(|f| f.id == flow_id) => {
                    class = Some(to);
                }
                _ => {}
            }
        }
        if let (Some(flow), Some(class)) = (flow, class) {
            flow.class = class;
        }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// A connection to an address for documentation (RFC 5737).
fn connect() -> Connect {
    let mut peer_address = [0; 16];
    peer_address[..4].copy_from_slice(&[192, 0, 2, 9]);
    Connect {
        peer_address,
        local_address: [0; 16],
        family: AF_INET,
        peer_port: 443,
        local_port: 0,
        flags: 0,
        fd: 5,
        transport: TRANSPORT_TCP,
        pad: [0; 3],
        socket: 0,
    }
}

fn rulebook(catalog: Arc<Catalog>) -> Result<Rulebook> {
    let rules = Rules::builtin().map_err(|problems| anyhow::anyhow!("built-in rules: {problems:?}"))?;
    Ok(Rulebook {
        catalog,
        judge: Arc::new(Judge::none()),
        engine: Engine::new(&rules)?,
        rules_version: rules.version().to_owned(),
        rules_digest: rules.digest(),
        key: HmacKey::from_bytes([7; 32]),
        exclude_executables: Vec::new(),
        served_calls: true,
        host_name: "eval".to_owned(),
    })
}

fn process() -> Identity {
    Identity {
        key: ProcessKey {
            pid: 1234,
            start_ns: 5_000_000_000,
        },
        parent_pid: 1,
        comm: "eval".to_owned(),
        executable: "/usr/bin/eval".to_owned(),
        uid: 1000,
        login_uid: 1000,
        user: "user".to_owned(),
        ..Identity::default()
    }
}
