//! Live kernel: a host that works against the daemon. Thousands of short-lived processes, a process that floods one flow, one that forges
//! calls to fill the spool, and thousands of open connections, in a short form; `OBSERVER_HOSTILE_SECONDS` and
//! `OBSERVER_HOSTILE_CONNECTIONS` make them longer.

#![expect(clippy::disallowed_methods, reason = "loads have a pace, waits have limits")]

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Fault, Host, Options, Process, Record, live, until, usage};
use serde_json::Value;

/// Most memory that the daemon may ever have held, KiB: twice what a quiet one takes, ring included.
const MAX_KIB: u64 = 300 << 10;

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn seconds() -> u64 {
    number("OBSERVER_HOSTILE_SECONDS", 6)
}

/// What it cost stays bounded; says how much it was.
fn bounded(host: &mut Host) -> Result<String> {
    let pid = host.daemon()?.pid();
    let (peak, seconds) = (usage::status(pid, "VmHWM")?, usage::cpu_seconds(pid)?);
    ensure!(peak < MAX_KIB, "the daemon held {peak} KiB");
    let mib = peak >> 10;
    Ok(format!(
        "the daemon held {mib} MiB at most and took {seconds:.0} s of a core"
    ))
}

/// All calls with this model are there and whole.
fn decoded<'r>(record: &'r Record, model: &str, count: usize) -> Result<Vec<&'r Value>> {
    let of_model = |row: &&Value| {
        row["gen_ai_request_model"]
            .as_str()
            .is_some_and(|name| name.starts_with(model))
    };
    let rows: Vec<&Value> = record.interactions.iter().filter(of_model).collect();
    ensure!(
        rows.len() == count,
        "{} of {count} calls of {model} have a row",
        rows.len()
    );
    for row in &rows {
        ensure!(row["visibility"] == "decoded", "{row:#}");
    }
    Ok(rows)
}

#[test]
fn five_thousand_processes_a_minute_hide_no_call() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    /// Time between two starts: 5,000 a minute.
    const PACE: Duration = Duration::from_millis(12);
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let (start, length) = (Instant::now(), Duration::from_secs(seconds()));
    let (mut started, mut calls) = (0, Vec::new());
    while start.elapsed() < length {
        if started % 10 == 0 {
            calls.push(
                host.curl_chat("api.openai.com", &format!("gpt-4o-{started}"), "hi")
                    .start()?,
            );
        } else {
            Command::new("true").status()?;
        }
        started += 1;
        std::thread::sleep((PACE * started).saturating_sub(start.elapsed()));
    }
    let took = start.elapsed();
    let wanted = calls.len();
    for call in calls {
        let finished = call.finish()?;
        ensure!(finished.status.success(), "{}", finished.errors);
    }
    println!(
        "{started} processes in {:.1} s, {wanted} of them called",
        took.as_secs_f64()
    );
    host.wait_for_interactions(wanted)?;
    println!("{}", bounded(&mut host)?);
    let record = host.finish(wanted)?;
    decoded(&record, "gpt-4o-", wanted)?;
    assert_eq!(
        record.sealed_loss("kernel", "ring_full"),
        (0, 0),
        "{}",
        record.losses()
    );
    record.balanced_books()?;
    Ok(())
}

#[test]
fn a_flood_costs_the_calls_of_others_nothing_and_is_named() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let calls = 10 * usize::try_from(seconds())?;
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let count = calls.to_string();
    let mut others = host
        .python("openai_chat.py")
        .args(["--model", "gpt-4o-other", "--count", &count, "--wait"])
        .start()?;
    others.wait_for_line("ready")?;
    let mut flood = host.python("flood.py").start()?;
    flood.wait_for_line("ready")?;
    let pid = flood.pid();
    others.go()?;
    let finished = others.finish()?;
    ensure!(finished.status.success(), "{}", finished.errors);
    let flooded = flood.finish()?;
    ensure!(flooded.status.success(), "{}", flooded.errors);
    let sent = flooded.reports[0]["sent"].as_u64().context("nothing sent")?;
    // The rest of the ring is read first.
    host.wait_for_interactions(calls)?;
    println!("{}", bounded(&mut host)?);
    let record = host.finish(calls)?;
    decoded(&record, "gpt-4o-other", calls)?;
    let (events, bytes) = record.sealed_loss("kernel", "over_share");
    println!(
        "{} MiB flooded, {} MiB of it refused in {events} calls",
        sent >> 20,
        bytes >> 20
    );
    assert!(bytes > sent / 2, "{}", record.losses());
    record.balanced_books()?;
    // The row of the flood says whose it is, and that it is not whole.
    let row = record
        .interactions
        .iter()
        .find(|row| row["process_pid"] == pid)
        .context("the flood has no row")?;
    assert_eq!(
        (&row["visibility"], &row["visibility_reason"]),
        (&"partial".into(), &"lost_events".into()),
        "{row:#}"
    );
    Ok(())
}

/// Calls of others while a process forges calls and the store is away.
const OTHERS: usize = 20;

#[test]
fn forged_calls_that_fill_the_spool_leave_room_for_others() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        more: "spool:\n  max_bytes: 2MiB\n".to_owned(),
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    host.proxy()?.set(Fault::Refuse);
    let mut forger = host.python("forge.py").arg("gpt-4o-forged").start()?;
    forger.wait_for_line("ready")?;
    let refused = |host: &Host| -> Result<f64> {
        let labels = ["stage=\"store\"", "reason=\"over_share\""];
        Ok(host.metrics()?.sum("observer_lost_total", &labels).unwrap_or(0.0))
    };
    until("the forger has had its share", || Ok(refused(&host)? > 0.0))?;
    for n in 0..OTHERS {
        let call = host.curl_chat("api.openai.com", &format!("gpt-4o-other-{n}"), "hi");
        call.run()?;
    }
    let forged = forger.finish()?;
    ensure!(forged.status.success(), "{}", forged.errors);
    let forged = forged.reports[0]["calls"].as_u64().context("no calls")?;
    println!("{}", bounded(&mut host)?);
    host.proxy()?.set(Fault::None);
    host.wait_for_interactions(OTHERS)?;
    until("the spool is empty", || {
        let waiting = host.metrics()?.sum("observer_spool", &["what=\"segments\""]);
        Ok(waiting.is_some_and(|segments| segments < 3.0))
    })?;
    let output = host.daemon()?.output();
    let record = host.finish(OTHERS)?;
    decoded(&record, "gpt-4o-other-", OTHERS)?;
    let stored = |model: &str| {
        let rows = record.interactions.iter();
        rows.filter(|row| row["gen_ai_request_model"] == model).count() as u64
    };
    let (kept, lost) = (
        stored("gpt-4o-forged"),
        record.sealed_loss("store", "over_share").0,
    );
    println!("{forged} calls forged, {kept} of them kept, {lost} rows refused");
    // The row of its connection may be among them.
    assert!(
        [forged, forged + 1].contains(&(kept + lost)),
        "{}",
        record.losses()
    );
    assert_eq!(
        record.sealed_loss("store", "over_budget").0,
        0,
        "{}",
        record.losses()
    );
    assert!(output.contains("this program has had its share"), "{output}");
    record.balanced_books()?;
    Ok(())
}

/// Most connections of one client, and of one endpoint: each needs a descriptor.
const EACH: u64 = 7_000;

#[test]
fn thousands_of_open_connections_are_read_or_counted() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let wanted = number("OBSERVER_HOSTILE_CONNECTIONS", 500);
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let mut clients = Vec::new();
    let mut endpoints = Vec::new();
    for n in 0..wanted.div_ceil(EACH) {
        let count = EACH.min(wanted - n * EACH);
        let (endpoint, port, ca_file) = endpoint(&host, n)?;
        endpoints.push(endpoint);
        let client = host.python("connections.py");
        let client = client.args([&count.to_string(), "gpt-4o-many"]);
        let client = client.env("OBSERVER_TEST_PORT", port.to_string());
        clients.push(client.env("SSL_CERT_FILE", ca_file).start()?);
    }
    for client in &mut clients {
        client.wait_for_line("ready")?;
    }
    // While all of them are open.
    host.curl_chat("api.openai.com", "gpt-4o-other", "hi").run()?;
    host.wait_for_interactions(1)?;
    println!("{}", bounded(&mut host)?);
    for client in clients {
        let finished = client.finish()?;
        ensure!(finished.status.success(), "{}", finished.errors);
    }
    let start = Instant::now();
    let port_is_ours = |row: &&Value| row["gen_ai_request_model"] == "gpt-4o-many";
    let rows = |host: &Host| -> Result<u64> {
        let rows = host.rows("ai_interactions", "ts")?;
        Ok(rows.iter().filter(port_is_ours).count() as u64)
    };
    let full = |host: &Host| -> Result<f64> {
        let labels = ["stage=\"flow\"", "reason=\"flow_table_full\""];
        Ok(host.metrics()?.sum("observer_lost_total", &labels).unwrap_or(0.0))
    };
    // Rows come in batches; what found no room has none.
    while rows(&host)? < wanted && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(500));
    }
    let (stored, lost) = (rows(&host)?, full(&host)?);
    println!("{wanted} connections, {stored} calls with a row, {lost} records without room");
    assert!(
        stored == wanted || lost > 0.0,
        "{stored} of {wanted} calls have a row and nothing is lost"
    );
    let record = host.finish(1)?;
    record.balanced_books()?;
    Ok(())
}

/// An endpoint of its own, which may have as many descriptors as the system allows.
fn endpoint(host: &Host, n: u64) -> Result<(Process, u16, std::path::PathBuf)> {
    let (name, ca_file) = (
        format!("endpoint-{n}"),
        host.dir().join(format!("endpoint-{n}.pem")),
    );
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" --ca-file \"$1\"",
        ])
        .arg(observer_tests::harness::endpoint())
        .arg(&ca_file);
    let mut process = Process::start(&name, host.dir(), &mut command)?;
    let log = host.dir().join(format!("{name}.log"));
    let port = process.wait_for("it listens", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("listening ")?.parse().ok())
    })?;
    Ok((process, port, ca_file))
}
