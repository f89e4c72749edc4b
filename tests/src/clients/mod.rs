//! The client matrix: real AI clients, each run twice against the local endpoint while the daemon watches, and what was
//! stored of it. `cargo xtask test --clients` runs it and writes `docs/clients.md`.
//!
//! A client runs alone, cut off from the network in namespaces of its own (`sandbox`), after it was installed
//! (`install`). What the table says of it (`judge`) comes from the endpoint's trace and from stored rows only.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::harness::{self, Host, Options};

mod install;
mod judge;
mod list;
mod sandbox;
mod table;

use install::Installed;
pub use judge::Seen;
pub use list::CLIENTS;
use sandbox::Run;
pub use table::Client;

/// How long to wait for rows after a client. Later ones are found at the end, by their times.
const ROWS_TIME: Duration = Duration::from_millis(1200);

/// How long the daemon may take to end.
const STOP_TIME: Duration = Duration::from_secs(120);

/// Payload of a connection that is not known to be AI, as the daemon has it by default.
const PREFIX: u64 = 256 << 10;

/// What one client came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Client's name.
    pub client: String,
    /// Its version.
    pub version: String,
    /// TLS stack it is built with.
    pub built_with: String,
    /// Why it did not run, or not well; empty when it did.
    pub trouble: String,
    /// It left no row although it reached an AI host.
    pub silent: bool,
    /// What was seen of each of its runs.
    pub runs: Vec<Seen>,
}

/// Runs the clients whose names contain one of these words (all, when there are none). Calls `report` with what is known
/// after each client, and answers with the final word, read after the daemon has delivered everything.
pub fn run(words: &[String], mut report: impl FnMut(&Outcome)) -> Result<Vec<Outcome>> {
    let chosen: Vec<&Client> = CLIENTS.iter().filter(|client| is_chosen(client, words)).collect();
    if chosen.is_empty() {
        bail!("no client's name contains {}", words.join(" or "));
    }
    let Some(_live) = harness::live() else {
        bail!("this machine cannot be observed: see the reason above");
    };
    let work = harness::work_dir().join("clients");
    let endpoint = harness::endpoint();
    let scripts = harness::clients().join("matrix");
    let installed = install::install(&chosen, &work, &scripts, &endpoint)?;
    let options = Options {
        undecided_prefix: PREFIX,
        ..Options::default()
    };
    let mut host = Host::start(options)?;
    let mut all: Vec<(&Client, String, Runs)> = Vec::new();
    for client in chosen {
        let version = installed.version(client);
        let runs = twice(client, &installed, &host);
        report(&outcome(client, &version, &runs, &Tables::read(&host)?));
        all.push((client, version, runs));
    }
    stop(&mut host)?;
    let tables = Tables::read(&host)?;
    Ok(all
        .iter()
        .map(|(client, version, runs)| outcome(client, version, runs, &tables))
        .collect())
}

/// Ends the daemon, so that it delivers all it has. With hundreds of files to detach from, that may be slow, but rows are
/// delivered before; the result of minutes is not thrown away for it.
fn stop(host: &mut Host) -> Result<()> {
    let start = Instant::now();
    let daemon = host.daemon()?;
    daemon.signal(rustix::process::Signal::TERM)?;
    match daemon.wait(STOP_TIME) {
        Ok(status) => eprintln!(
            "[clients] the daemon ended in {:.1} s: {status}",
            start.elapsed().as_secs_f64()
        ),
        Err(_) => eprintln!("[clients] the daemon did not end in {} s", STOP_TIME.as_secs()),
    }
    Ok(())
}

/// Both runs of a client, or why there are none.
type Runs = Result<Vec<Run>, String>;

fn is_chosen(client: &Client, words: &[String]) -> bool {
    let name = client.name.to_lowercase();
    words.is_empty() || words.iter().any(|word| name.contains(&word.to_lowercase()))
}

/// Runs a client twice, the second time with everything that the first left in its home.
fn twice(client: &Client, installed: &Installed, host: &Host) -> Runs {
    if let Some(reason) = installed.obstacle(client) {
        return Err(reason.to_owned());
    }
    let name: String = client
        .name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let dir = host.dir().join("clients").join(name);
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = sandbox::run(client, &installed.places, &dir).map_err(|error| format!("{error:#}"))?;
        runs.push(run);
    }
    wait_for_rows(host, &runs);
    // Large unpacked files would fill the disk; the daemon has seen them.
    let _ = std::fs::remove_dir_all(dir);
    Ok(runs)
}

/// Waits until as many rows are there as connections were made, or the time is over.
fn wait_for_rows(host: &Host, runs: &[Run]) {
    let start = Instant::now();
    while start.elapsed() < ROWS_TIME {
        std::thread::sleep(Duration::from_millis(200));
        let Ok(tables) = Tables::read(host) else { continue };
        let complete =
            |seen: Seen| seen.connection_rows >= seen.connections && seen.interactions >= seen.calls;
        if runs.iter().all(|run| complete(tables.judge(run))) {
            return;
        }
    }
}

struct Tables {
    interactions: Vec<Value>,
    connections: Vec<Value>,
}

impl Tables {
    fn read(host: &Host) -> Result<Self> {
        Ok(Self {
            interactions: host.rows("ai_interactions", "ts")?,
            connections: host.rows("ai_connections", "ts")?,
        })
    }

    fn judge(&self, run: &Run) -> Seen {
        let endpoint = harness::endpoint();
        judge::judge(
            run,
            &self.interactions,
            &self.connections,
            &endpoint.to_string_lossy(),
        )
    }
}

fn outcome(client: &Client, version: &str, runs: &Runs, tables: &Tables) -> Outcome {
    let (seen, trouble) = match runs {
        Err(reason) => (Vec::new(), format!("not run: {reason}")),
        Ok(runs) => {
            let seen: Vec<Seen> = runs.iter().map(|run| tables.judge(run)).collect();
            let trouble = runs
                .iter()
                .zip(&seen)
                .find_map(|(run, seen)| trouble(client, run, seen));
            (seen, trouble.unwrap_or_default())
        }
    };
    Outcome {
        client: client.name.to_owned(),
        version: version.to_owned(),
        built_with: client.stack.to_owned(),
        silent: seen.iter().any(Seen::is_silent),
        trouble,
        runs: seen,
    }
}

/// What went wrong on the client's side, by its exit code and the endpoint's trace.
fn trouble(client: &Client, run: &Run, seen: &Seen) -> Option<String> {
    let last = run
        .output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let last: String = last.trim().chars().take(160).collect();
    if run.code == Some(124) {
        return Some(format!("did not end in time: {last}"));
    }
    if run.code != Some(0) && !client.may_fail {
        return Some(format!("ended with {:?}: {last}", run.code));
    }
    if seen.calls < client.calls || seen.connections == 0 {
        return Some(format!(
            "the endpoint saw {} connections and {} of {} calls",
            seen.connections, seen.calls, client.calls
        ));
    }
    None
}
