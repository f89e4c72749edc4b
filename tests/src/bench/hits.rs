//! A write that is not AI, by the stacks that `gate` does not have: without a probe, with empty probes, with Observer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::empty::{EmptyProbes, Function, mapped};
use super::script::{self, Script};
use super::{Name, Row, Rows, median, quiet, sink};
use crate::harness::{self, ATTACHED, Host, Options, find_program, work_dir};

const ROUNDS: usize = 3;
const WRITES: usize = 5000;
const HOST: &str = "hits.bench.example.net";
/// How long the daemon may take to know the driver's file.
const KNOWN: Duration = Duration::from_secs(30);

/// A program that writes by one stack.
struct Driver {
    name: &'static str,
    command: Command,
    /// Part of the path of the file with the stack; its own program without one.
    library: Option<&'static str>,
    /// The function that others probe; of a stripped program it has no name.
    named: Option<&'static str>,
}

pub(super) fn run() -> Result<Vec<Row>> {
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let port = sink::start(HOST, &host.dir().join("sink.pem"))?;
    let mut rows = Rows::new(Name::Hits);
    let until = Instant::now() + quiet::PATIENCE;
    for mut driver in drivers(host.dir())? {
        driver.command.env("OBSERVER_TEST_PORT", port.to_string());
        measure(&mut host, &mut rows, driver, until)?;
    }
    Ok(rows.1)
}

/// Those that this machine has.
fn drivers(dir: &Path) -> Result<Vec<Driver>> {
    let python = |stack: &str| {
        let mut command = Command::new(harness::python());
        command.arg(script::path("hits.py")).arg(stack);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let javascript = |program: PathBuf| {
        let mut command = Command::new(program);
        command.arg(script::path("hits.mjs"));
        command
    };
    let driver = |name, command, library, named| Driver {
        name,
        command,
        library,
        named,
    };
    let mut all = vec![
        driver(
            "GnuTLS",
            python("gnutls"),
            Some("/libgnutls.so"),
            Some("gnutls_record_send"),
        ),
        driver("NSPR, NSS", python("nspr"), Some("/libnspr4"), Some("PR_Write")),
    ];
    if let Some(node) = find_program("node") {
        all.push(driver(
            "OpenSSL in node",
            javascript(node),
            None,
            Some("SSL_write"),
        ));
    }
    let bun = work_dir().join("clients/node/node_modules/.bin/bun");
    if bun.exists() {
        all.push(driver("BoringSSL in bun", javascript(bun), None, None));
    }
    if let Some(program) = harness::build_go(&script::path("hits.go"), &dir.join("hits-go"))? {
        let name = Some("crypto/tls.(*Conn).Write");
        all.push(driver("Go", Command::new(program), None, name));
    }
    Ok(all)
}

fn measure(host: &mut Host, rows: &mut Rows, driver: Driver, until: Instant) -> Result<()> {
    let Driver {
        name,
        command,
        library,
        named,
    } = driver;
    let mut script = Script::run(name, command)?;
    let file = match library {
        Some(part) => mapped(script.pid(), part)?,
        None => std::fs::read_link(format!("/proc/{}/exe", script.pid()))?,
    };
    let chosen = Function::chosen_in(file.clone())?;
    let named = named
        .map(|named| Function::named_in(file.clone(), named))
        .transpose()?;
    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        found[0].push(quiet::alone(None, until, || ask(&mut script))?.value);
        for (at, place) in [(1, named.as_ref()), (2, Some(&chosen))] {
            if let Some(place) = place {
                let _probes = EmptyProbes::attach(place)?;
                found[at].push(quiet::alone(None, until, || ask(&mut script))?.value);
            }
        }
        host.start_daemon()?;
        // A library of the host has its probes before the daemon is ready.
        if library.is_none() {
            wait_until_known(host, &file)?;
        }
        let own = Some(host.daemon()?.pid());
        found[3].push(quiet::alone(own, until, || ask(&mut script))?.value);
        host.daemon()?.stop()?;
    }
    let whats = [
        "without a probe",
        "with empty probes at the function's name",
        "with empty probes at Observer's place",
        "with Observer",
    ];
    for (values, what) in found.iter().zip(whats).filter(|(values, _)| !values.is_empty()) {
        rows.many(format!("{name}: write {what}, CPU"), values, "ns");
    }
    let beyond_none = |with: &[f64]| -> Vec<f64> {
        with.iter()
            .zip(&found[0])
            .map(|(with, none)| with - none)
            .collect()
    };
    let (added, naive) = (beyond_none(&found[3]), beyond_none(&found[1]));
    let row = rows.many(format!("{name}: a hit costs"), &added, "ns");
    if !naive.is_empty() {
        row.note(format!("empty probes at the name: {:.0} ns", median(&naive)));
    }
    Ok(())
}

/// Examining a large program takes a second; before that its writes cost nothing.
fn wait_until_known(host: &mut Host, file: &Path) -> Result<()> {
    let start = Instant::now();
    let path = file.to_string_lossy().into_owned();
    loop {
        let output = host.daemon()?.output();
        // The log of all starts is in one file.
        let last = output
            .rsplit("observer: ready")
            .take(2)
            .collect::<Vec<_>>()
            .concat();
        if last
            .lines()
            .any(|line| line.contains(ATTACHED) && line.contains(&path))
        {
            return Ok(());
        }
        ensure!(start.elapsed() < KNOWN, "no probes in {path}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Median of the batches, nanoseconds of CPU time for a write.
fn ask(script: &mut Script) -> Result<f64> {
    let answer = script.ask(&WRITES.to_string())?;
    let batches = answer["cpu_ns"].as_array().context("no times")?;
    Ok(median(
        &batches.iter().filter_map(Value::as_f64).collect::<Vec<_>>(),
    ))
}
