//! 200,000 writes of 4,000 bytes on one AI connection over loopback: what is lost, and what it costs both sides.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::empty::{EmptyProbes, Function};
use super::memory::Watch;
use super::script::Script;
use super::{Name, Row, Rows, number, quiet, sink};
use crate::harness::{Host, Metrics, Options, usage};

const WRITES: u64 = 200_000;
const HOST: &str = "api.openai.com";

/// What the client says.
struct Sent {
    bytes: u64,
    wall: f64,
    cpu: f64,
    pid: u64,
}

pub(super) fn run() -> Result<Vec<Row>> {
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let ca_file = host.dir().join("sink.pem");
    let port = sink::start(HOST, &ca_file)?;
    let mut script = Script::start("flood.py", |command| {
        command
            .env("SSL_CERT_FILE", &ca_file)
            .env("OBSERVER_TEST_PORT", port.to_string());
    })?;
    let function = Function::chosen(script.pid())?;
    let until = Instant::now() + quiet::PATIENCE;
    let none = quiet::alone(None, until, || flood(&mut script))?;
    let probes = EmptyProbes::attach(&function)?;
    let empty = quiet::alone(None, until, || flood(&mut script))?;
    drop(probes);
    host.start_daemon()?;
    let daemon = host.daemon()?.pid();
    let (watch, cpu) = (Watch::start(daemon), usage::cpu_seconds(daemon)?);
    // Once only: the ledger is about this one.
    let observed = quiet::alone(Some(daemon), Instant::now(), || flood(&mut script))?;
    // What waits in the ring is read, and the metrics are published, within a second.
    std::thread::sleep(Duration::from_millis(1500));
    let cpu = usage::cpu_seconds(daemon)? - cpu;
    let alone = none.alone && empty.alone && observed.alone;
    let (none, empty, observed) = (none.value, empty.value, observed.value);
    let resident = watch.finish()?;
    let metrics = host.metrics()?;
    // In order, so that all rows are in the store.
    let status = host.daemon()?.stop()?;
    ensure!(status.success(), "the daemon ended with {status}");
    let mut rows = Rows::new(Name::Flood);
    ledger(&mut rows, &host, &metrics, &observed)?;
    let rate = |sent: &Sent| number(WRITES) / sent.wall;
    rows.one("writes/s without a probe", rate(&none), "1/s");
    rows.one("writes/s with empty probes", rate(&empty), "1/s");
    rows.one("writes/s with Observer", rate(&observed), "1/s")
        .note(if alone {
            ""
        } else {
            "beside another observer on this host"
        });
    let per_write = |sent: &Sent| sent.cpu * 1e9 / number(WRITES);
    rows.one(
        "CPU of the client per write, without a probe",
        per_write(&none),
        "ns",
    );
    rows.one(
        "CPU of the client per write, with empty probes",
        per_write(&empty),
        "ns",
    );
    rows.one(
        "CPU of the client per write, with Observer",
        per_write(&observed),
        "ns",
    );
    rows.one(
        "client, Observer against empty probes",
        observed.cpu / empty.cpu,
        "times",
    );
    rows.one("CPU of the daemon per write", cpu * 1e9 / number(WRITES), "ns")
        .note(format!(
            "{:.2} s in all, {:.0} % of one core",
            cpu,
            100.0 * cpu / observed.wall
        ));
    rows.one("resident memory of the daemon, greatest", resident.mib(), "MiB")
        .at_most(80.0)
        .note(resident.parts());
    Ok(rows.1)
}

fn flood(script: &mut Script) -> Result<Sent> {
    let answer = script.ask(&WRITES.to_string())?;
    ensure!(answer["status"] == 200, "the sink did not answer: {answer}");
    let seconds = |name: &str| answer[name].as_f64().map(|ns| ns / 1e9);
    Ok(Sent {
        bytes: answer["sent"].as_u64().context("no bytes")?,
        wall: seconds("wall_ns").context("no time")?,
        cpu: seconds("cpu_ns").context("no time")?,
        pid: answer["pid"].as_u64().context("no pid")?,
    })
}

/// Sent, delivered and lost, which must add up.
fn ledger(rows: &mut Rows, host: &Host, metrics: &Metrics, sent: &Sent) -> Result<()> {
    let last = |table: &str| -> Result<Value> {
        let all = host.rows(table, "ts")?;
        let own = all
            .into_iter()
            .rfind(|row| row["process_pid"].as_u64() == Some(sent.pid));
        own.with_context(|| format!("no row of the client in {table}"))
    };
    let connection = last("ai_connections")?;
    let delivered = connection["plaintext_sent"]
        .as_u64()
        .context("no plaintext_sent")?;
    let lost = |name: &str| metrics.sum(name, &["stage=\"kernel\""]).unwrap_or(0.0);
    let (events, bytes) = (lost("observer_lost_total"), lost("observer_lost_bytes_total"));
    rows.one("records lost", events, "records").exactly(0.0);
    rows.one("bytes sent", number(sent.bytes), "bytes");
    rows.one(
        "bytes delivered and counted as lost",
        number(delivered) + bytes,
        "bytes",
    )
    .exactly(number(sent.bytes))
    .note(format!("delivered {delivered}, lost {bytes}"));
    let row = last("ai_interactions")?;
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.one(
        "bytes of text scanned",
        row["scan_bytes_scanned"].as_f64().unwrap_or(0.0),
        "bytes",
    )
    .note(format!(
        "row: {} {}",
        text("visibility"),
        text("visibility_reason")
    ));
    Ok(())
}
