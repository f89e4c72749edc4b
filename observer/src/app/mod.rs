//! `observer run` (shell): wires kernel, pipeline and store, and ends them in order.

mod alerts;
mod allocator;
mod anchors;
mod blind;
mod bring;
mod chain;
mod embedded;
mod enforcement;
mod enrol;
mod files;
mod governance;
mod http;
mod kubernetes;
mod outgoing;
mod prepare;
mod reload;
mod rest;
mod seals;
mod selftest;
mod who;
mod worker;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::Instant,
};

use crate::{
    alerts::Alerts,
    cli::{setup::Loaded, target},
    config::{Config, Retention},
    kernel::{clock::wall_ns, discover::Discovery, known::KnownFiles, load::Programs, written::Written},
    metrics::Snapshot,
    privilege::{self, Fence},
    state::KNOWN_FILES,
    store::{Client, Writer, WriterOptions, migrate, retention},
};
pub(crate) use files::read_secret;
use prepare::Prepared;
pub(crate) use seals::Observed;
use worker::Worker;

/// How long the daemon waits at its end for a store that takes nothing; what is left is on disk.
const DRAIN_IDLE: Duration = Duration::from_secs(5);
/// How long for one that takes rows: less than what systemd and Kubernetes give it to end (`deploy/`).
const DRAIN: Duration = Duration::from_secs(20);

/// State that the parts of the daemon share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ready: AtomicBool,
    snapshot: Mutex<Snapshot>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, with what to do; and the end of the pipeline by an error.
pub fn run(loaded: Loaded) -> anyhow::Result<()> {
    allocator::keep_little();
    let prepared = Prepared::new(&loaded)?;
    // There is one thread yet: what it gives up, none of the others will have.
    let fence = privilege::give_up(&prepared.plan(&loaded.config))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        // These threads talk to the store and to whoever asks for metrics. None of them looks at other processes.
        .on_thread_start(move || {
            if let Some(Err(error)) = fence.as_ref().map(Fence::enter) {
                tracing::error!(error = format!("{error:#}"), "a thread is not under Landlock");
            }
        })
        .build()?;
    runtime.block_on(daemon(loaded, prepared))
}

/// With what earlier runs found in large files.
fn start_discovery(
    config: &Config,
    programs: Programs,
    written: Option<Written>,
) -> std::io::Result<(Discovery, JoinHandle<Programs>)> {
    let known = KnownFiles::open(&config.state_dir.join(KNOWN_FILES));
    Discovery::start(programs, known, written)
}

async fn daemon(loaded: Loaded, prepared: Prepared) -> anyhow::Result<()> {
    let config = loaded.config.clone();
    let Prepared {
        lock: _lock,
        key,
        host,
        spool,
        newest,
        kernel,
        written,
    } = prepared;
    let stop_signals = stop_signals()?;
    let (discovery, discovery_thread) = start_discovery(&config, kernel.programs, written)?;
    allocator::give_back();

    let shared = Arc::new(Shared::default());
    let store = embedded::Store::start(&config).await?;
    let client = Client::new(&target::of(&config)?)?;
    let writer = Arc::new(Writer::start(
        client.clone(),
        Arc::clone(&spool),
        WriterOptions::default(),
    ));
    let rules = (loaded.rules.list().len(), loaded.rules.left_out().len());
    let (cluster, pods, pod_names) = kubernetes::start(&config.kubernetes)?;
    let (alerts, sender) = Alerts::new(&config.alerts, &host.name);
    let counted = (pod_names, alerts.counts());
    let metrics = http::serve(&config, &shared, &writer, counted, rules).await?;
    // Last of all: an epoch that was opened has a seal.
    let (chain, sequencer, head) = chain::Chain::open(&config, &host, newest.as_ref(), wall_ns())?;
    spool.start(Some(head))?;
    let certificates = chain.certificates();
    let (anchor, host_id) = (anchors::Plan::of(&config), host.id.clone());
    let (judges, changes) = reload::start(&config, Arc::clone(&loaded.judge))?;
    let (schema_done, schema) = oneshot::channel();
    let registers = tokio::spawn({
        let (shared, keep) = (Arc::clone(&shared), config.store.retention);
        let (client, certificates) = (client.clone(), certificates.clone());
        let (judges, host_id) = (judges.clone(), host_id.clone());
        async move {
            migrate_until_done(&client, &keep, &shared).await;
            // Nobody waits for it before the end.
            let _ = schema_done.send(());
            tokio::join!(
                enrol::run(client.clone(), certificates),
                governance::run(client.clone(), judges, host_id.clone()),
                anchors::run(client, anchor, host_id),
            );
        }
    });

    let worker = Worker {
        host,
        chain,
        sequencer,
        selftest: selftest::SelfTests::start(&config),
        records: kernel.records,
        scopes: kernel.scopes,
        enforcer: kernel.enforcer,
        counters: kernel.counters,
        host_probes: kernel.host_probes,
        discovery,
        spool: Arc::clone(&spool),
        shared: Arc::clone(&shared),
        key,
        loaded,
        changes,
        cluster,
        pods,
        alerts,
    };
    let alerts = alerts::Task::start(sender);
    let mut pipeline = pipeline_thread(worker)?;
    // A store that is slow to start does not keep the daemon from observing: rows wait in the spool.
    let result = tokio::select! {
        result = &mut pipeline => result,
        () = stop_signals => {
            tracing::info!("stopping");
            shared.stop.store(true, Ordering::Relaxed);
            pipeline.await
        }
    };
    shared.stop.store(true, Ordering::Relaxed);
    alerts.stop().await;
    let end = whole_schema(schema).await;
    registers.abort();
    metrics.abort();
    if drain(&writer, end).await {
        let last = async {
            enrol::at_the_end(&client, &certificates).await;
            governance::at_the_end(&client, &judges, &host_id).await;
        };
        // A store that took everything and now hangs: the next start brings them.
        let _ = tokio::time::timeout(DRAIN_IDLE, last).await;
    }
    writer.stop();
    let (lost, left) = tokio::task::spawn_blocking(move || spool.stop())
        .await
        .unwrap_or_default();
    if lost + left > 0 {
        tracing::warn!(left, lost, "rows wait on disk for the next start");
    }
    store.stop().await;
    // The probes go with the programs, which the discovery thread owns.
    let _ = tokio::task::spawn_blocking(move || discovery_thread.join()).await;
    result.context("the pipeline ended by a panic")?
}

/// Waits for a schema that is on its way: half done it refuses the rows that wait for it. Gives the time at which the daemon gives up.
async fn whole_schema(schema: oneshot::Receiver<()>) -> Instant {
    let end = Instant::now() + DRAIN;
    // Its sender is gone where nobody brings the schema any more.
    let _ = tokio::time::timeout_at(end - DRAIN_IDLE, schema).await;
    end
}

/// Sends what is left until `end`, as long as rows go. Whether all of it went.
async fn drain(writer: &Writer, end: Instant) -> bool {
    let mut stored = writer.spool().book().stored;
    loop {
        let deadline = Instant::now() + DRAIN_IDLE;
        if writer.flush(deadline.min(end)).await {
            return true;
        }
        let before = std::mem::replace(&mut stored, writer.spool().book().stored);
        if stored == before || Instant::now() >= end {
            tracing::warn!("the store did not take all rows in time");
            return false;
        }
    }
}

/// The pipeline in a thread of its own, which is not one of the runtime's: it looks at other processes.
fn pipeline_thread(worker: Worker) -> std::io::Result<oneshot::Receiver<anyhow::Result<()>>> {
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("pipeline".into())
        .spawn(move || {
            // Nobody waits any more when the daemon is at its end.
            let _ = done.send(worker.run());
        })?;
    Ok(ended)
}

/// Brings the schema up to date, as soon as the store can be reached.
async fn migrate_until_done(client: &Client, keep: &Retention, shared: &Shared) {
    let mut pause = Duration::from_millis(100);
    while !shared.stopping() {
        match migrate(client).await {
            Ok(applied) => {
                tracing::info!(?applied, "schema is up to date");
                set_retention(client, keep).await;
                return;
            }
            Err(error) => tracing::warn!(%error, "cannot bring the schema up to date yet"),
        }
        let over = Instant::now() + pause;
        while Instant::now() < over && !shared.stopping() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Tables keep rows as long as the configuration says. Who may not change that says so and goes on: the rows are safe.
async fn set_retention(client: &Client, keep: &Retention) {
    match retention::apply(client, keep).await {
        Ok(set) if !set.distributed.is_empty() => {
            let tables = set.distributed.join(", ");
            tracing::warn!(%tables, "store.retention: set it on the tables behind these (`observer store schema --cluster`)");
        }
        Ok(set) if set.changed.is_empty() => {}
        Ok(set) => tracing::info!(tables = %set.changed.join(", "), "retention was set"),
        Err(error) => {
            tracing::warn!(%error, "cannot set store.retention: rows are kept as the tables say");
        }
    }
}

/// Ends at the first SIGTERM or SIGINT. The handlers are in place when this returns.
fn stop_signals() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
