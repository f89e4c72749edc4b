//! Live kernel: what probes do to the programs they are in, while they come, go and are left behind.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use observer_tests::endpoint::answer::ANSWER;
use observer_tests::harness::{Finished, Host, Options, live};
use rustix::process::Signal;

/// How long the kernel may take to remove the probes of a process that was killed.
const CLEARED: Duration = Duration::from_secs(60);
/// Rounds in each run of the tests. `OBSERVER_ROUNDS` asks for more.
const ROUNDS: u32 = 3;

/// A mapping of code: where it is in the process, where in the file, and the file.
struct Code {
    start: u64,
    offset: u64,
    length: u64,
    path: String,
}

/// Mapped code of files whose names contain `name` (proc(5), `/proc/PID/maps`).
fn mapped_code(pid: u32, name: &str) -> Result<Vec<Code>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(name)) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [range, perms, offset, _, _, path] = columns.as_slice() else {
            continue;
        };
        if !perms.contains('x') {
            continue;
        }
        let (start, end) = range.split_once('-').context("a range")?;
        let start = u64::from_str_radix(start, 16)?;
        found.push(Code {
            start,
            offset: u64::from_str_radix(offset, 16)?,
            length: u64::from_str_radix(end, 16)? - start,
            path: (*path).to_owned(),
        });
    }
    Ok(found)
}

/// Bytes of the code of libssl in a process that are not those of its file: the breakpoints of uprobes.
fn changed_bytes(pid: u32) -> Result<usize> {
    let code = mapped_code(pid, "libssl.so")?;
    assert!(!code.is_empty(), "process {pid} has no libssl");
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut changed = 0;
    for part in code {
        let mut inside = vec![0; usize::try_from(part.length)?];
        memory.read_exact_at(&mut inside, part.start)?;
        let file = File::open(&part.path)?;
        let mut stored = vec![0; inside.len()];
        let n = file.read_at(&mut stored, part.offset)?;
        changed += inside[..n]
            .iter()
            .zip(&stored[..n])
            .filter(|(a, b)| a != b)
            .count();
    }
    Ok(changed)
}

/// Waits until no probe is left in a process.
fn wait_until_clear(pid: u32) -> Result<()> {
    let start = Instant::now();
    loop {
        let left = changed_bytes(pid)?;
        if left == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            start.elapsed() < CLEARED,
            "{left} probes are left in process {pid}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_killed_daemon_leaves_no_probe_behind() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let mut client = host.python("openai_chat.py").arg("--wait").start()?;
    client.wait_for_line("ready")?;
    assert_eq!(changed_bytes(client.pid())?, 0, "before the daemon");
    host.start_daemon()?;
    let with = changed_bytes(client.pid())?;
    assert!(with >= 4, "{with} probes in a client that is to be observed");
    host.daemon()?.signal(Signal::KILL)?;
    wait_until_clear(client.pid())?;
    client.go()?;
    let finished = client.finish()?;
    assert!(finished.status.success(), "{}", finished.errors);
    assert_eq!(finished.reports.len(), 1);
    Ok(())
}

fn rounds() -> u32 {
    let wanted = std::env::var("OBSERVER_ROUNDS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

/// No answer was wrong, and each way of calling went on to the end.
fn check_steady(finished: &Finished, at_least: u32) -> Result<()> {
    assert!(
        finished.status.success(),
        "{}: {}",
        finished.status,
        finished.errors
    );
    let report = finished.reports.last().context("no report")?;
    assert_eq!(report["wrong"], serde_json::json!([]));
    for (way, calls) in report["calls"].as_object().context("calls")? {
        let calls = calls.as_u64().context("a number")?;
        assert!(
            calls >= u64::from(at_least),
            "{way}: {calls} calls in {at_least} rounds"
        );
    }
    Ok(())
}

/// The daemon comes and goes, in order and killed by turns, while clients call: none fails, hangs or gets another answer.
#[test]
fn clients_do_not_notice_probes_that_come_and_go() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let mut clients = [
        host.python("steady.py").arg(ANSWER).start()?,
        host.node("fetch_chat.js").args(["--steady", ANSWER]).start()?,
    ];
    for client in &mut clients {
        client.wait_for_line("ready")?;
    }
    for round in 0..rounds() {
        host.start_daemon()?;
        let daemon = host.daemon()?;
        if round % 2 == 0 {
            daemon.stop()?;
        } else {
            daemon.signal(Signal::KILL)?;
            daemon.wait(CLEARED)?;
        }
    }
    for client in clients {
        let pid = client.pid();
        let finished = client.finish().with_context(|| format!("client {pid}"))?;
        check_steady(&finished, rounds())?;
    }
    Ok(())
}
