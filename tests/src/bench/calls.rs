//! 160 keep-alive calls of 2 KB prompts over 8 connections at full speed, by several clients: rows and their pids.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::memory::{Resident, Watch};
use super::{Name, Row, Rows, number, script};
use crate::harness::{Client, Finished, Host, Options, Record};

const CONNECTIONS: usize = 8;
const CALLS: usize = 20;
const PROMPT: usize = 2000;
const WANTED: usize = CONNECTIONS * CALLS;

/// What one kind of client did.
struct Done {
    what: &'static str,
    /// Process by response id.
    pid_of: HashMap<String, u64>,
    took: Duration,
}

pub(super) fn run() -> Result<Vec<Row>> {
    let mut host = Host::start(Options::default())?;
    let daemon = host.daemon()?.pid();
    std::thread::sleep(Duration::from_secs(1));
    let idle = Resident::of(daemon)?;
    let watch = Watch::start(daemon);
    let done = [
        curl_processes(&host)?,
        curl_parallel(&host)?,
        python(&host, "Python, 8 threads", "threads.py")?,
        python(&host, "Python, 8 forked workers", "prefork.py")?,
    ];
    let ids = done
        .iter()
        .flat_map(|done| done.pid_of.keys().map(String::as_str));
    wait_for(&host, ids.collect())?;
    let during = watch.finish()?;
    let record = host.end()?;
    let mut rows = Rows::new(Name::Calls);
    for client in &done {
        report(&mut rows, client, &record);
    }
    rows.one("resident memory of the daemon, idle", idle.mib(), "MiB")
        .at_most(80.0)
        .note(idle.parts());
    rows.one("resident memory of the daemon, greatest", during.mib(), "MiB")
        .at_most(80.0)
        .note(during.parts());
    Ok(rows.1)
}

fn report(rows: &mut Rows, client: &Done, record: &Record) {
    let mut stored: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in &record.interactions {
        if let Some(id) = row["gen_ai_response_id"].as_str() {
            stored.entry(id).or_default().push(row);
        }
    }
    let of = |id: &String| stored.get(id.as_str()).map_or(&[][..], Vec::as_slice);
    let once = client.pid_of.keys().filter(|id| of(id).len() == 1).count();
    let own: Vec<(&Value, u64)> = client
        .pid_of
        .iter()
        .flat_map(|(id, pid)| of(id).iter().map(|row| (*row, *pid)))
        .collect();
    let wrong = own
        .iter()
        .filter(|(row, pid)| row["process_pid"].as_u64() != Some(*pid))
        .count();
    let partial = own
        .iter()
        .filter(|(row, _)| row["visibility"] != "decoded")
        .count();
    let rate = number(WANTED as u64) / client.took.as_secs_f64();
    rows.one(
        format!("{}: rows stored", client.what),
        number(once as u64),
        "of 160",
    )
    .exactly(number(WANTED as u64))
    .note(format!("{rate:.0} calls/s"));
    rows.one(
        format!("{}: rows of another process", client.what),
        number(wrong as u64),
        "rows",
    )
    .exactly(0.0);
    rows.one(
        format!("{}: rows not read whole", client.what),
        number(partial as u64),
        "rows",
    )
    .exactly(0.0);
}

/// Waits until a row is there for each id, or no more come.
fn wait_for(host: &Host, ids: Vec<&str>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let rows = host.rows("ai_interactions", "ts")?;
        let there: Vec<&str> = rows
            .iter()
            .filter_map(|row| row["gen_ai_response_id"].as_str())
            .collect();
        if ids.iter().all(|id| there.contains(id)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn curl(host: &Host, name: &str, calls: usize) -> Result<Client> {
    let body = json!({"model": name, "messages": [{"role": "user", "content": "x".repeat(PROMPT)}]});
    let file = host.dir().join(format!("{name}.json"));
    std::fs::write(&file, body.to_string())?;
    let urls = vec!["https://api.openai.com/v1/chat/completions"; calls];
    Ok(host
        .curl()
        .args([
            "--header",
            "Content-Type: application/json",
            "--write-out",
            "\n",
            "--data",
        ])
        .arg(format!("@{}", file.display()))
        .args(urls))
}

fn curl_processes(host: &Host) -> Result<Done> {
    let start = Instant::now();
    let running = (0..CONNECTIONS)
        .map(|number| curl(host, &format!("curl-{number}"), CALLS)?.start())
        .collect::<Result<Vec<_>>>()?;
    let finished = running
        .into_iter()
        .map(|client| client.finish())
        .collect::<Result<Vec<_>>>()?;
    done("curl, 8 processes", start, &finished)
}

/// One thread, eight connections.
fn curl_parallel(host: &Host) -> Result<Done> {
    let start = Instant::now();
    let most = CONNECTIONS.to_string();
    let client = curl(host, "curl-parallel", WANTED)?.args(["--parallel", "--parallel-max", &most]);
    let finished = client.run()?;
    done("curl --parallel, 8 connections", start, &[finished])
}

fn python(host: &Host, what: &'static str, name: &str) -> Result<Done> {
    let start = Instant::now();
    let own = script::path(name);
    let workers = if own.exists() { "--threads" } else { "--workers" };
    let client = if own.exists() {
        host.python(&own.to_string_lossy())
    } else {
        host.python(name)
    };
    let finished = client
        .args([workers, &CONNECTIONS.to_string(), "--calls", &CALLS.to_string()])
        .args(["--prompt-bytes", &PROMPT.to_string()])
        .run()?;
    done(what, start, &[finished])
}

fn done(what: &'static str, start: Instant, finished: &[Finished]) -> Result<Done> {
    let took = start.elapsed();
    let mut pid_of = HashMap::new();
    for client in finished {
        ensure!(
            client.status.success(),
            "{what} ended with {}: {}",
            client.status,
            client.errors
        );
        // Answers of parallel transfers come without a line end between them.
        let text = client.lines.join("\n");
        for report in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let report = report.context("an answer that is not JSON")?;
            let id = report["id"].as_str().context("an answer without an id")?;
            let pid = report["pid"].as_u64().unwrap_or_else(|| u64::from(client.pid));
            pid_of.insert(id.to_owned(), pid);
        }
    }
    ensure!(
        pid_of.len() == WANTED,
        "{what} got {} of {WANTED} answers",
        pid_of.len()
    );
    Ok(Done { what, pid_of, took })
}
