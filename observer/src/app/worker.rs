//! The pipeline thread: ring buffer in, rows out. The ring buffer is the only queue before it, so there is one place
//! where a burst can be lost, and the kernel counts it there.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use observer_common::wire::{Body, Header, decode};
use tokio::sync::mpsc;

use super::{
    Shared,
    blind::OpaqueProcesses,
    chain::Chain,
    enforcement::{self, Enforcement},
    outgoing::Outgoing,
    reload::Change,
    rest,
    seals::{Observed, Seals, add_ends},
    selftest::SelfTests,
    who::who,
};
use crate::{
    alerts::Alerts,
    cli::setup::Loaded,
    coverage::Stage,
    evidence::{Dropped, SealKind, Sequencer},
    identity::{Host, ProcessKey, Processes},
    kernel::{
        clock::{boot_ns, wall_ns},
        discover::Discovery,
        enforce::Enforcer,
        inventory::Inventory,
        probes::{HostProbe, ProbeState},
        records::Records,
        tables::{Counters, Scopes},
    },
    kubernetes::{self, Cluster},
    metrics::Snapshot,
    pipeline::{Output, Pipeline, Rulebook},
    sensitive::{Engine, HmacKey},
    spool::Spool,
    stacks::How,
};

/// Longest wait for records.
const WAIT: Duration = Duration::from_millis(50);
/// Most records between two looks at the clock.
pub(super) const BATCH: usize = 4096;
/// How often the pipeline hears the time.
const TICK_NS: u64 = 100_000_000;
/// How often the kernel's state of processes that are gone is looked for.
const SWEEP_NS: u64 = 20_000_000_000;
/// How often counters are published.
const PUBLISH_NS: u64 = 500_000_000;

/// Most changes of pods between two looks at the records.
const MAX_POD_CHANGES: usize = 1024;

/// What the thread is started with.
pub(super) struct Worker {
    pub host: Host,
    pub chain: Chain,
    pub sequencer: Sequencer,
    pub selftest: SelfTests,
    pub records: RingBuf<MapData>,
    pub scopes: Scopes,
    pub enforcer: Option<Enforcer>,
    pub counters: Counters,
    pub host_probes: Vec<(HostProbe, ProbeState)>,
    pub discovery: Discovery,
    pub spool: Arc<Spool>,
    pub shared: Arc<Shared>,
    pub key: HmacKey,
    pub loaded: Loaded,
    pub changes: mpsc::Receiver<Change>,
    pub cluster: Cluster,
    pub pods: mpsc::Receiver<kubernetes::Change>,
    pub alerts: Alerts,
}

impl Worker {
    /// Runs until the daemon stops.
    ///
    /// # Errors
    /// When the rules cannot be compiled or the ring buffer cannot be read any more.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self {
            host,
            chain,
            sequencer,
            selftest,
            records,
            scopes,
            enforcer,
            counters,
            host_probes,
            discovery,
            spool,
            shared,
            key,
            loaded,
            changes,
            cluster,
            pods,
            alerts,
        } = self;
        let engine = Engine::new(&loaded.rules).context("sensitive-data rules")?;
        let book = Rulebook {
            catalog: Arc::new(loaded.catalog),
            judge: loaded.judge,
            rules_version: loaded.rules.version().to_owned(),
            rules_digest: loaded.rules.digest(),
            exclude_executables: loaded.config.capture.exclude_executables.clone(),
            served_calls: loaded.config.capture.served_calls,
            host_name: host.name,
            engine,
            key,
        };
        let settings = enforcement::settings(&loaded.config);
        let enforcement = Enforcement::start(enforcer).context("enforcement")?;
        let now_ns = boot_ns();
        let seals = Seals::new(&loaded.config, &book, now_ns);
        let mut pipeline = Pipeline::new(book);
        pipeline.set_cluster(cluster);
        if let Some(settings) = settings {
            pipeline.enforce(settings);
        }
        let state = State {
            pipeline,
            enforcement,
            processes: Processes::default(),
            opaque: OpaqueProcesses::default(),
            outgoing: Outgoing::new(sequencer, spool, alerts),
            chain,
            selftest,
            seals,
            scopes,
            counters,
            host_probes,
            discovery,
            shared,
            entries: 0,
            for_discovery: 0,
            changes,
            pods,
        };
        state.run(Records::new(records), now_ns)
    }
}

struct State {
    pipeline: Pipeline,
    enforcement: Option<Enforcement>,
    processes: Processes,
    opaque: OpaqueProcesses,
    outgoing: Outgoing,
    chain: Chain,
    selftest: SelfTests,
    seals: Seals,
    scopes: Scopes,
    counters: Counters,
    host_probes: Vec<(HostProbe, ProbeState)>,
    discovery: Discovery,
    shared: Arc<Shared>,
    /// Entries taken out of the ring buffer.
    entries: u64,
    /// Records of these that are for discovery only.
    for_discovery: u64,
    changes: mpsc::Receiver<Change>,
    pods: mpsc::Receiver<kubernetes::Change>,
}

impl State {
    fn run(mut self, mut records: Records, started_ns: u64) -> anyhow::Result<()> {
        self.pipeline.set_wall_offset(wall_offset_ns());
        self.seal(SealKind::Open, started_ns);
        self.publish();
        self.shared.ready.store(true, Ordering::Relaxed);
        tracing::info!("observer: ready");
        let (mut next_tick, mut next_publish, mut next_sweep) =
            (started_ns, started_ns, started_ns + SWEEP_NS);
        while !self.shared.stopping() {
            records.wait(WAIT).context("ring buffer")?;
            records.drain(BATCH, |bytes| self.entry(bytes));
            let now_ns = boot_ns();
            self.pod_changes(now_ns);
            if now_ns >= next_tick {
                self.pipeline.set_wall_offset(wall_offset_ns());
                self.pipeline.tick(now_ns);
                self.outputs();
                if let Some(enforcement) = &mut self.enforcement {
                    enforcement.tick(now_ns, &mut self.pipeline);
                }
                self.selftest.tick(now_ns, &mut self.pipeline);
                next_tick = now_ns + TICK_NS;
            }
            self.policy_changes(now_ns);
            if now_ns >= next_publish {
                self.publish();
                next_publish = now_ns + PUBLISH_NS;
            }
            if now_ns >= next_sweep {
                self.socket_progress(now_ns);
                self.scopes.sweep();
                self.blind_spots(now_ns);
                next_sweep = now_ns + SWEEP_NS;
            }
            if self.seals.is_due(now_ns) {
                self.seal(SealKind::Interval, now_ns);
            }
        }
        self.finish(&mut records);
        Ok(())
    }

    fn finish(&mut self, records: &mut Records) {
        if let Some(enforcement) = &mut self.enforcement {
            // What comes from here on is nobody's decision.
            enforcement.release();
        }
        // What the kernel had written when the daemon was told to stop still counts; what comes after it does not.
        rest::drain(|| records.drain(BATCH, |bytes| self.entry(bytes)), boot_ns);
        let now_ns = boot_ns();
        self.socket_progress(now_ns);
        self.pipeline.finish(now_ns);
        self.outputs();
        self.blind_spots(now_ns);
        self.seal(SealKind::Close, now_ns);
        self.publish();
    }

    /// Policies and registers that came since the last look. A seal ends the time of the old one, another begins that of the
    /// new one and names it.
    fn policy_changes(&mut self, now_ns: u64) {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Change::Judge(judge, note) => {
                    self.seal(SealKind::Interval, now_ns);
                    self.seals.judged_by(&judge);
                    self.pipeline.set_judge(judge);
                    self.chain.note(note);
                }
                Change::Refused(note) => self.chain.note(note),
                Change::Lost(is_lost) => self.policy_lost(is_lost),
            }
            self.seal(SealKind::Interval, now_ns);
        }
    }

    /// The policy's file is gone, or back: what was judged stays, and nothing is stopped by a policy that nobody can read any more.
    fn policy_lost(&mut self, is_lost: bool) {
        let Some(enforcement) = &mut self.enforcement else {
            return;
        };
        if is_lost {
            enforcement.release();
        }
        if self.pipeline.release_enforcement(is_lost) {
            tracing::warn!(
                released = is_lost,
                "enforcement: the policy file is gone, or back"
            );
            self.chain.note(if is_lost {
                "enforcement_released"
            } else {
                "enforcement_resumed"
            });
        }
    }

    /// What the API server told about the pods of this node since the last look.
    fn pod_changes(&mut self, now_ns: u64) {
        for _ in 0..MAX_POD_CHANGES {
            let Ok(change) = self.pods.try_recv() else { return };
            self.pipeline.pod_change(change, now_ns);
        }
    }

    fn entry(&mut self, bytes: &[u8]) {
        self.entries += 1;
        match decode(bytes) {
            Ok((header, body)) => self.record(&header, &body),
            Err(_) => self.pipeline.bad_record(bytes.len()),
        }
        self.outputs();
    }

    fn record(&mut self, header: &Header, body: &Body<'_>) {
        let key = ProcessKey::of(header);
        match body {
            Body::Exec => {
                self.processes.replaced(key);
                self.discovery.look_at_new(header.pid);
            }
            Body::MapExec => {
                self.discovery.look_at(header.pid);
                self.for_discovery += 1;
                return;
            }
            _ => {}
        }
        let identity = who(&mut self.processes, header, body);
        self.tell_found_by(header, body, key);
        self.tell_readability(header, body, key);
        self.pipeline.record(header, body, &identity);
        if matches!(body, Body::Exit) {
            self.processes.ended(key);
        }
    }

    /// Plaintext of a stack that is new in its process: discovery knows how its functions were found.
    fn tell_found_by(&mut self, header: &Header, body: &Body<'_>, key: ProcessKey) {
        let Body::TlsData(data, _) = body else { return };
        let (stack, at_ns) = (data.stack, header.time_ns);
        if self.pipeline.wants_found_by(key, stack, at_ns) {
            let how = self
                .discovery
                .with_inventory(|inventory| inventory.found_by(header.pid, stack));
            self.pipeline.found_by(key, stack, how.map(How::name), at_ns);
        }
    }

    /// What ends gets its reason now: discovery forgets processes that are gone.
    fn tell_readability(&mut self, header: &Header, body: &Body<'_>, key: ProcessKey) {
        if !matches!(body, Body::Close(_) | Body::Exit) {
            return;
        }
        let found = self
            .discovery
            .with_inventory(|inventory| inventory.readability(header.pid));
        if matches!(body, Body::Exit) {
            self.pipeline.readability_of(key, found);
        } else {
            self.pipeline.readability(header.connection_id, found);
        }
    }

    /// Asks the kernel how much passed the open sockets, since a connection can stay open for days.
    fn socket_progress(&mut self, now_ns: u64) {
        let open: Vec<(u64, u64)> = self.pipeline.open_sockets().collect();
        for (id, socket) in open {
            match self.scopes.totals(socket) {
                Ok(Some((of, totals))) if of == id => self.pipeline.progress(id, totals, now_ns),
                // The socket is gone, or it is another one's by now.
                Ok(_) => self.pipeline.socket_missed(id),
                // Says nothing of the socket.
                Err(_) => {}
            }
        }
    }

    /// Writes the rows of what cannot be read that are due.
    fn blind_spots(&mut self, now_ns: u64) {
        let found = self.discovery.with_inventory(Inventory::opaque_stacks);
        let mut processes = self.opaque.named(&found);
        processes.retain(|process| Some(process.pid) != self.selftest.helper());
        for row in self.pipeline.blind_spots(now_ns, processes) {
            self.outgoing.blind_spot(row);
        }
    }

    fn outputs(&mut self) {
        // Cuts for which there was no room.
        let (mut refused, mut undecided) = (Vec::new(), 0);
        for output in self.pipeline.outputs() {
            match output {
                Output::Interaction(row, findings) => self.outgoing.call(*row, findings),
                Output::Connection(row) => self.outgoing.connection(*row),
                Output::Decide { flow_id, class } => {
                    // A full table leaves the flow undecided: its prefix ends by itself.
                    undecided += u32::from(!self.scopes.decide(flow_id, class));
                }
                Output::WentDark { executable, server } => {
                    tracing::warn!(
                        executable,
                        server,
                        "a program that was read is not read any more, and its connections go on"
                    );
                    self.chain.note("program_went_dark");
                }
                Output::Forget { flow_id, key } => self.scopes.forget(flow_id, &key),
                Output::ForgetSocket {
                    connection_id,
                    socket,
                } => self.scopes.forget_socket(connection_id, socket),
                Output::ForgetClass { connection_id } => self.scopes.forget_class(connection_id),
                Output::Enforce(change) => {
                    if let Some(enforcement) = &mut self.enforcement {
                        enforcement.change(change);
                    }
                }
                Output::Cut {
                    connection_id,
                    rule_id,
                    process,
                    connect,
                } => {
                    let tag = (connection_id, rule_id);
                    let enforcement = self.enforcement.as_ref();
                    refused.extend(enforcement.and_then(|e| e.cut(process.pid, connect, tag).err()));
                }
            }
        }
        for _ in 0..undecided {
            self.pipeline.ledger().lose(Stage::Flow, "class_table_full", 0);
        }
        for (connection_id, rule_id) in refused {
            self.pipeline.was_cut(connection_id, rule_id, false);
        }
    }

    fn observed(&mut self) -> Observed {
        let probes = self.discovery.with_inventory(|inventory| {
            let functions = inventory.tls_files().flat_map(|file| {
                file.probes()
                    .map(|(name, state)| (format!("{name} in {}", file.path), state.clone()))
            });
            let host = self
                .host_probes
                .iter()
                .map(|(probe, state)| (probe.program.to_owned(), state.clone()));
            host.chain(functions).collect()
        });
        let (kernel, book) = (self.counters.read(), self.outgoing.spool.book());
        let mut ledger = self.pipeline.ledger().clone();
        add_ends(&mut ledger, &kernel, &book);
        let totals = self.pipeline.totals();
        Observed {
            kernel,
            entries: self.entries,
            records: totals.records + self.for_discovery,
            totals,
            ledger,
            pipeline: self.pipeline.books(),
            rows: self.outgoing.rows(&book),
            open_flows: self.pipeline.open_flows(),
            enforcement: self.pipeline.enforcement_totals(),
            pods: self.pipeline.cluster().len(),
            pods_refused: self.pipeline.cluster().refused(),
            probes,
        }
    }

    fn publish(&mut self) {
        let observed = self.observed();
        self.shared.publish(Snapshot::from(&observed));
    }

    fn seal(&mut self, kind: SealKind, now_ns: u64) {
        let observed = self.observed();
        let offset_ns = wall_offset_ns();
        let clock = self.seals.clock_note(offset_ns);
        let (interval, mut coverage) = self.seals.next(&observed, now_ns, offset_ns);
        (coverage.procs_net, coverage.procs_readable, coverage.procs_opaque) =
            self.discovery.with_inventory(Inventory::process_counts);
        coverage.notes = self.chain.before_seal(&mut self.outgoing.sequencer, wall_ns());
        coverage.notes.extend(clock);
        coverage.notes.extend(self.outgoing.spool.take_notes());
        coverage.dropped = self
            .outgoing
            .spool
            .undeclared()
            .iter()
            .map(Dropped::from)
            .collect();
        let verdict = self.selftest.of_interval(now_ns, &self.pipeline);
        coverage.selftest = verdict.outcome;
        coverage.notes.extend(verdict.note);
        let row = self.outgoing.sequencer.seal(kind, interval, coverage);
        self.outgoing.seal(row);
    }
}

/// What to add to CLOCK_BOOTTIME to have the wall clock, ns.
fn wall_offset_ns() -> i64 {
    wall_ns() - i64::try_from(boot_ns()).unwrap_or(i64::MAX)
}
