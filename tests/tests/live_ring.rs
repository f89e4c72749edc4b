//! Live kernel: rustls over ring. Each call's row says what client and endpoint know of it, whatever the lengths of its records.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{ATTACHED, Expected, Finished, Host, Options, Record, check, live, until};
use serde_json::Value;

/// Calls of each run: the records of so many lengths take every remainder of the cipher's block.
const LENGTHS: usize = 20;

/// A key has no name, so what is undecided is delivered up to the product's default: the client is done before the daemon decides.
fn options() -> Options {
    Options {
        undecided_prefix: 256 * 1024,
        ..Options::default()
    }
}

fn client() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ring-client"))
}

/// Runs the client once the daemon has found its functions.
fn run(host: &mut Host, program: &Path, arguments: &[&str]) -> Result<Finished> {
    let mut running = host.program(program).arg("--wait").args(arguments).start()?;
    running.wait_for_line("ready")?;
    let name = program.to_string_lossy().into_owned();
    let daemon = host.daemon()?;
    until("attached to the client", || {
        let output = daemon.output();
        let found = output
            .lines()
            .any(|line| line.contains(ATTACHED) && line.contains(&name));
        Ok(found)
    })?;
    running.go()?;
    // A process that is gone at once can be too fast to be looked at on a busy host.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let finished = running.finish()?;
    ensure!(
        finished.status.success(),
        "the client failed: {}",
        finished.errors
    );
    Ok(finished)
}

/// The rows of a run: one for each of its answers, equal to what the client was told.
fn rows<'r>(record: &'r Record, finished: &Finished, wanted: usize) -> Result<Vec<(&'r Value, Value)>> {
    ensure!(
        finished.reports.len() == wanted,
        "{} answers of {wanted}",
        finished.reports.len()
    );
    let row_of = |report: &Value| {
        let id = report["id"].as_str().context("an answer without id")?;
        let row = record.by_response(id)?;
        ensure!(
            row["tls_found_by"] != "",
            "how its functions were found is not said: {row}"
        );
        Ok((row, report.clone()))
    };
    finished.reports.iter().map(row_of).collect()
}

/// Compares the rows of runs over HTTP/1.1, one connection at a time, with what client and endpoint know, byte for byte.
fn check_in_order(host: Host, program: &Path, runs: &[(Finished, bool)], calls: usize) -> Result<Record> {
    let port = host.endpoint.port();
    let logged = host.endpoint.log().requests();
    let all = calls * runs.len();
    ensure!(logged.len() == all, "the endpoint got {} requests", logged.len());
    let record = host.finish(all)?;
    ensure!(
        record.interactions.len() == all,
        "{} rows",
        record.interactions.len()
    );
    let partial: Vec<&Value> = record
        .interactions
        .iter()
        .filter(|row| row["visibility"] != "decoded")
        .collect();
    ensure!(
        partial.is_empty(),
        "{} rows are not decoded, {}: {:#}",
        partial.len(),
        record.losses(),
        partial[0]
    );
    for (number, (finished, stream)) in runs.iter().enumerate() {
        for (call, (row, report)) in rows(&record, finished, calls)?.into_iter().enumerate() {
            let mut expected =
                Expected::openai(finished.pid, &program.to_string_lossy()).with_usage_of(&report);
            expected.tls_stack = "rustls_ring";
            expected.stream = *stream;
            check(port, &record, row, &expected, &logged[number * calls + call])
                .with_context(|| format!("run {number}, call {call}"))?;
        }
    }
    assert_eq!(record.lost(), 0, "{}", record.losses());
    Ok(record)
}

/// HTTP/1.1 over each cipher suite of both versions, with records of every remainder of a block.
#[test]
fn every_suite_and_length() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(options())?;
    let calls = LENGTHS.to_string();
    let mut runs = Vec::new();
    for suite in ["aes128", "aes256", "chacha20"] {
        for version in [None, Some("--tls12")] {
            let arguments = ["--calls", &calls, "--suite", suite].into_iter().chain(version);
            let arguments: Vec<&str> = arguments.collect();
            runs.push((run(&mut host, client(), &arguments)?, false));
        }
    }
    let record = check_in_order(host, client(), &runs, LENGTHS)?;
    // The endpoint's side of the same connections is rustls with ring, too: a server's, which has no rows.
    ensure!(
        record.connections.len() == runs.len(),
        "{:#?}",
        record.connections
    );
    Ok(())
}

/// Answers that come in many small records, and prompts of many whole ones.
#[test]
fn streams_and_long_prompts() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(options())?;
    let mut runs = Vec::new();
    for suite in ["aes256", "chacha20"] {
        let arguments = ["--calls", "2", "--suite", suite, "--stream"];
        runs.push((run(&mut host, client(), &arguments)?, true));
        let arguments = ["--calls", "2", "--suite", suite, "--letters", "100000"];
        runs.push((run(&mut host, client(), &arguments)?, false));
    }
    check_in_order(host, client(), &runs, 2)?;
    Ok(())
}

/// HTTP/2, whose smallest frames are shorter than a block: one that is lost would break all that follow.
#[test]
fn http2_and_connections_that_mix_on_one_thread() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        http2: true,
        ..options()
    })?;
    let arguments = [
        "--http2",
        "--connections",
        "5",
        "--calls",
        "8",
        "--letters",
        "3000",
    ];
    let mixed = run(&mut host, client(), &arguments)?;
    let arguments = [
        "--http2",
        "--tls12",
        "--stream",
        "--connections",
        "3",
        "--calls",
        "8",
    ];
    let streams = run(&mut host, client(), &arguments)?;
    let record = host.finish(64)?;
    ensure!(
        record.interactions.len() == 64,
        "{} rows",
        record.interactions.len()
    );
    for (finished, connections, stream) in [(&mixed, 5, false), (&streams, 3, true)] {
        let mut used = std::collections::BTreeMap::new();
        for (row, report) in rows(&record, finished, connections * 8)? {
            for (field, expected) in [
                ("gen_ai_usage_input_tokens", &report["input_tokens"]),
                ("gen_ai_usage_output_tokens", &report["output_tokens"]),
                ("http_response_status_code", &report["status"]),
                ("process_pid", &finished.pid.into()),
                ("gen_ai_request_stream", &stream.into()),
                ("tls_stack", &"rustls_ring".into()),
                ("tie", &"after_call".into()),
                ("visibility", &"decoded".into()),
            ] {
                ensure!(row[field] == *expected, "{field}: {row:#}");
            }
            *used.entry(row["connection_id"].to_string()).or_insert(0) += 1;
        }
        ensure!(
            used.len() == connections && used.values().all(|calls| *calls == 8),
            "{used:?}"
        );
    }
    assert_eq!(record.lost(), 0, "{}", record.losses());
    Ok(())
}

/// Without names, the tables of algorithms are all that there is to go by.
#[test]
fn a_stripped_program() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(options())?;
    let program: PathBuf = host.dir().join("ring-client-stripped");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&program)
        .arg(client())
        .status();
    ensure!(status.context("strip")?.success(), "strip failed");
    let runs = [(run(&mut host, &program, &["--calls", "3"])?, false)];
    check_in_order(host, &program, &runs, 3)?;
    Ok(())
}
