//! Running one client once, cut off from the network, with the endpoint beside it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::table::{Client, HOSTS};

/// How long a client may take.
const SECONDS: u64 = 60;

/// How often the processes of the sandbox are looked up.
const LOOK: Duration = Duration::from_millis(15);

/// Bytes of a client's output that are kept.
const OUTPUT: usize = 4096;

/// Folders that commands name.
pub(super) struct Places {
    /// Virtual environment with the Python packages.
    pub(super) venv: PathBuf,
    /// Folder with `node_modules`.
    pub(super) node: PathBuf,
    /// Folder with the `node_modules` of other versions.
    pub(super) older: PathBuf,
    /// Built programs.
    pub(super) bin: PathBuf,
    /// `tests/clients/matrix`.
    pub(super) scripts: PathBuf,
    /// The `ai-endpoint` program.
    pub(super) endpoint: PathBuf,
}

/// What one run of a client left, apart from what Observer stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// When it began and ended, ns since 1970.
    pub(super) time: (i64, i64),
    /// Exit code; `None` when a signal ended it. 124: it was late.
    pub(super) code: Option<i32>,
    /// Every process that was seen in its network, with its executable.
    pub(super) processes: BTreeMap<u64, String>,
    /// What the endpoint saw, one event each.
    pub(super) trace: Vec<Value>,
    /// End of its standard error, or of its output where that is empty.
    pub(super) output: String,
}

impl Places {
    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, path) in [
            ("{venv}", &self.venv),
            ("{node}", &self.node),
            ("{older}", &self.older),
            ("{bin}", &self.bin),
            ("{scripts}", &self.scripts),
        ] {
            text = text.replace(name, &path.to_string_lossy());
        }
        text
    }
}

/// Runs a client; its folder keeps the home of the run before.
pub(super) fn run(client: &Client, places: &Places, dir: &Path) -> Result<Run> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let start = now();
    let mut child = command(client, places, dir)
        .spawn()
        .context("cannot start unshare (util-linux)")?;
    let pid = child.id();
    let over = AtomicBool::new(false);
    let (status, processes) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(pid, &over));
        let status = wait(&mut child);
        over.store(true, Ordering::Relaxed);
        (status, watch.join().unwrap_or_default())
    });
    let end = now();
    let code = status?.code();
    let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
    let mut output = tail(&read("err"));
    if output.trim().is_empty() {
        output = tail(&read("out"));
    }
    if code == Some(125) {
        bail!("sandbox: {}", tail(&read("sandbox.err")));
    }
    let trace = String::from_utf8_lossy(&read("trace.jsonl"))
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    Ok(Run {
        time: (start, end),
        code,
        processes,
        trace,
        output,
    })
}

fn command(client: &Client, places: &Places, dir: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "--",
            "sh",
        ])
        .arg(places.scripts.join("sandbox.sh"))
        .arg(dir)
        .arg(&places.endpoint)
        .arg(HOSTS.join(" "))
        .arg(SECONDS.to_string())
        .arg(if client.web_sockets { "deflate" } else { "refuse" })
        .arg("env");
    // env takes what goes away before what is set.
    let (set, away): (Vec<&str>, Vec<&str>) = client.environment.iter().partition(|text| text.contains('='));
    command.args(away.iter().flat_map(|name| ["-u", name])).args(set);
    command.args(client.command.iter().map(|part| places.fill(part)));
    // Nothing of the environment of whoever runs this reaches a client: no proxy, no key.
    command
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LANG", "C.UTF-8")
        .env("TERM", "dumb")
        .env("OBSERVER_NODE_MODULES", &places.node)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("sandbox.err")).map_or_else(|_| Stdio::null(), Stdio::from))
        .process_group(0);
    command
}

/// Waits for the end; ends the group when the sandbox itself hangs. Its process namespace takes along whoever left the group.
fn wait(child: &mut std::process::Child) -> Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a client")? {
            return Ok(status);
        }
        if start.elapsed() > Duration::from_secs(SECONDS + 30) {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return child.wait().context("cannot wait for a client");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Collects the processes that share the network of `pid`, until told to stop.
fn watch(pid: u32, over: &AtomicBool) -> BTreeMap<u64, String> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let mut processes = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let network = fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        if network.is_some() && network != own {
            for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                if fs::read_link(entry.path().join("ns/net")).ok() == network {
                    let file = fs::read_link(entry.path().join("exe")).unwrap_or_default();
                    processes.insert(pid, file.to_string_lossy().into_owned());
                }
            }
        }
        std::thread::sleep(LOOK);
    }
    processes
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(OUTPUT);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
