//! Live kernel: probes that come and go hundreds of times under programs of every TLS stack that this machine has. The daemon's own code
//! attaches and detaches, in a process without pipeline and store, so that a round takes a second.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer::kernel::discover::Discovery;
use observer::kernel::known::KnownFiles;
use observer::kernel::load::{LoadOptions, Programs, load};
use observer::kernel::probes::{HOST_PROBES, SERVED_CALLS, SOCKET_TRACEPOINTS, function_programs};
use observer::kernel::records::Records;
use observer_common::wire::{Body, decode};
use observer_tests::endpoint::answer::ANSWER;
use observer_tests::harness::{Client, Host, Options, Running, build_go, clients, live, until, work_dir};
use rustix::process::Signal;

/// Rounds for each way of attaching. `OBSERVER_ROUNDS` asks for more.
const ROUNDS: u32 = 3;
/// How long the probes stay in each round.
const STAY: Duration = Duration::from_millis(100);
/// Names this program to itself as the process that attaches, and the way.
const ATTACHER: &str = "OBSERVER_TEST_ATTACHER";
/// Folder in which the attacher remembers what it found in large files.
const KNOWN: &str = "OBSERVER_TEST_KNOWN";

/// Discovery in place, and a thread that takes the records of the programs.
struct Attached {
    discovery: Discovery,
    thread: JoinHandle<Programs>,
    reader: JoinHandle<Records>,
    over: Arc<AtomicBool>,
    records: Arc<AtomicU64>,
}

/// Loads the daemon's programs, once for this process.
fn load_programs(perf_events: bool) -> Result<(Programs, Records)> {
    let loaded = load(&LoadOptions {
        ring_buffer_bytes: 1 << 20,
        undecided_prefix_bytes: 4096,
        perf_events,
        hosts: vec![("api.openai.com".to_owned(), false)],
        enforcement: false,
        stdio: true,
        served_calls: true,
    })?;
    ensure!(loaded.programs.on_perf_events() == perf_events, "the other way");
    Ok((loaded.programs, Records::new(loaded.records)))
}

impl Attached {
    fn new(programs: Programs, mut ring: Records) -> Result<Self> {
        let known = PathBuf::from(std::env::var_os(KNOWN).context(KNOWN)?);
        let known = KnownFiles::open(&known.join("known.json"));
        let (discovery, thread) = Discovery::start(programs, known, None)?;
        let (over, records) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = std::thread::spawn({
            let (over, records, discovery) = (Arc::clone(&over), Arc::clone(&records), discovery.clone());
            move || {
                while !over.load(Ordering::Relaxed) && ring.wait(Duration::from_millis(10)).is_ok() {
                    let taken = ring.drain(1000, |bytes| tell(&discovery, bytes));
                    records.fetch_add(taken as u64, Ordering::Relaxed);
                }
                ring
            }
        });
        Ok(Self {
            discovery,
            thread,
            reader,
            over,
            records,
        })
    }

    /// Probes in place in files with TLS, and records that came.
    fn counts(&self) -> (usize, u64) {
        let probes = self
            .discovery
            .with_inventory(|inventory| inventory.tls_files().map(|file| file.probes().count()).sum());
        (probes, self.records.load(Ordering::Relaxed))
    }

    fn detach(self) -> Result<(Programs, Records)> {
        self.over.store(true, Ordering::Relaxed);
        let ring = self.reader.join().ok().context("the reader")?;
        drop(self.discovery);
        Ok((self.thread.join().ok().context("discovery")?, ring))
    }
}

/// New programs and libraries are looked at, as the daemon does.
fn tell(discovery: &Discovery, bytes: &[u8]) {
    match decode(bytes) {
        Ok((header, Body::Exec)) => discovery.look_at_new(header.pid),
        Ok((header, Body::MapExec)) => discovery.look_at(header.pid),
        _ => true,
    };
}

/// What this program is when the test starts it again: it attaches and detaches as standard input says.
#[expect(clippy::print_stdout, reason = "the test reads it")]
fn attacher(way: &str) -> Result<()> {
    let mut programs = Some(load_programs(way == "perf_events")?);
    let mut attached = None;
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "attach" => {
                let (programs, ring) = programs.take().context("attached twice")?;
                attached = Some(Attached::new(programs, ring)?);
                println!("attached");
            }
            "detach" => {
                let now = attached.take().context("nothing is attached")?;
                let (probes, records) = now.counts();
                programs = Some(now.detach()?);
                println!("detached");
                println!("{probes} {records}");
            }
            other => anyhow::bail!("{other}"),
        }
    }
    Ok(())
}

/// Starts this program as an attacher.
fn start_attacher(host: &Host, way: &str) -> Result<Running> {
    host.program(std::env::current_exe()?)
        .args(["--exact", "clients_of_every_stack_do_not_notice", "--nocapture"])
        .env(ATTACHER, way)
        .env(KNOWN, host.dir())
        // Only what runs is attached to, not all large programs of the machine.
        .env("PATH", "/nonexistent")
        .start()
}

/// Ids of the programs of Observer that the kernel has.
fn programs() -> BTreeSet<u32> {
    let host = HOST_PROBES.iter().chain(SOCKET_TRACEPOINTS).chain(SERVED_CALLS);
    let mut names: BTreeSet<&str> = host.map(|probe| probe.program).collect();
    names.extend(function_programs());
    // The kernel keeps 15 bytes of a name.
    let names: BTreeSet<&str> = names.iter().map(|name| name.get(..15).unwrap_or(name)).collect();
    let loaded = aya::programs::loaded_programs().flatten();
    let ours = loaded.filter(|program| program.name_as_str().is_some_and(|name| names.contains(name)));
    ours.map(|program| program.id()).collect()
}

/// Probes that were made by name; those of Observer are not.
fn named_probes() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path).join("uprobe_events"));
    read("/sys/kernel/tracing")
        .or_else(|_| read("/sys/kernel/debug/tracing"))
        .unwrap_or_default()
}

/// Clients that call without a pause, by name.
fn start_clients(host: &Host) -> Result<Vec<(String, Running)>> {
    let mut all: Vec<(String, Client)> = vec![
        (
            "python, curl, wget".to_owned(),
            host.python("steady.py").arg(ANSWER),
        ),
        (
            "node".to_owned(),
            host.node("fetch_chat.js").args(["--steady", ANSWER]),
        ),
    ];
    if let Some(go) = build_go(&clients().join("steady.go"), &host.dir().join("steady-go"))? {
        all.push(("go".to_owned(), host.program(go).arg(ANSWER)));
    }
    // What `cargo xtask test --clients` installed, where it did.
    let installed = work_dir().join("clients");
    let script = clients().join("steady.mjs");
    for (name, arguments) in [("bun", &["run"][..]), ("deno", &["run", "--allow-all"])] {
        let program = installed.join("node/node_modules/.bin").join(name);
        if program.exists() {
            let ca = host.dir().join("ca.pem");
            let client = host.program(program).env("DENO_CERT", ca).args(arguments);
            all.push((name.to_owned(), client.arg(&script).arg(ANSWER)));
        }
    }
    for name in ["reqwest-aws-lc", "reqwest-ring", "reqwest-native"] {
        let program = installed.join("bin").join(name);
        if program.exists() {
            all.push((name.to_owned(), host.program(program).args(["steady", ANSWER])));
        }
    }
    let mut running = Vec::new();
    for (name, client) in all {
        let mut client = client.start()?;
        client.wait_for_line("ready").context(name.clone())?;
        running.push((name, client));
    }
    Ok(running)
}

fn rounds() -> u32 {
    let wanted = std::env::var("OBSERVER_ROUNDS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

/// Attaches and detaches, in order and in each tenth round by a kill. Gives how many probes and records there were at most.
fn come_and_go(
    host: &Host,
    way: &str,
    before: &BTreeSet<u32>,
    clients: &[(String, Running)],
) -> Result<(usize, u64)> {
    let mut most = (0, 0);
    let mut attacher = start_attacher(host, way)?;
    for round in 0..rounds() {
        attacher.say("attach")?;
        attacher
            .wait_for_line("attached")
            .with_context(|| format!("round {round}"))?;
        std::thread::sleep(STAY);
        if round % 10 != 5 {
            attacher.say("detach")?;
            attacher.wait_for_line("detached")?;
            let counts = attacher.next_line()?;
            let (probes, records) = counts.split_once(' ').context("counts")?;
            most = (most.0.max(probes.parse()?), most.1.max(records.parse()?));
        } else {
            attacher.signal(Signal::KILL)?;
            attacher.finish()?;
            until("no program is left in the kernel", || Ok(programs() == *before))?;
            attacher = start_attacher(host, way)?;
        }
        for (name, client) in clients {
            ensure!(client.is_running(), "{name} ended in round {round}");
        }
    }
    attacher.finish()?;
    until("no program is left in the kernel", || Ok(programs() == *before))?;
    Ok(most)
}

/// Attached by links and by perf events, gone in order and by a kill: no client fails, hangs or gets another answer, and the kernel has nothing
/// of Observer left.
#[test]
fn clients_of_every_stack_do_not_notice() -> Result<()> {
    if let Some(way) = std::env::var_os(ATTACHER) {
        return attacher(&way.to_string_lossy());
    }
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options {
        daemon: false,
        http2: true,
        ..Options::default()
    })?;
    let (before, named) = (programs(), named_probes());
    let clients = start_clients(&host)?;
    let names: Vec<String> = clients.iter().map(|(name, _)| name.clone()).collect();
    for way in ["links", "perf_events"] {
        let start = Instant::now();
        let (probes, records) = come_and_go(&host, way, &before, &clients)?;
        ensure!(probes > 10 && records > 0, "{probes} probes, {records} records");
        println!(
            "{way}: {} rounds in {:.0} s, up to {probes} probes and {records} records in a round",
            rounds(),
            start.elapsed().as_secs_f64()
        );
    }
    assert_eq!(named_probes(), named, "probes made by name");
    for (name, client) in clients {
        let finished = client.finish().with_context(|| name.clone())?;
        assert!(
            finished.status.success(),
            "{name}: {}: {}",
            finished.status,
            finished.errors
        );
        let report = finished
            .reports
            .last()
            .with_context(|| format!("{name}: no report"))?;
        assert_eq!(report["wrong"], serde_json::json!([]), "{name}");
        for (way, calls) in report["calls"].as_object().context("calls")? {
            assert!(
                calls.as_u64() >= Some(rounds().into()),
                "{name}, {way}: {calls} calls"
            );
            println!("{name}, {way}: {calls} calls");
        }
    }
    println!("clients: {}", names.join("; "));
    Ok(())
}
