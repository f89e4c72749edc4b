//! Live kernel: a daemon that reaches the limit of its control group's memory. The kernel then kills it, in the middle of
//! what it does; what was sealed before must be there, and the next start says that the one before had no end.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Host, Options, live, skip, until};

/// How long the kernel may take to kill it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Least limit, in bytes.
const LEAST: u64 = 64 << 10;

/// A control group with a limit of memory, of version 1 or 2. It goes when it is dropped.
struct Group {
    path: PathBuf,
    /// Files of what is used and of the limit.
    files: [&'static str; 2],
}

impl Group {
    /// `None` where no hierarchy of the host has memory.
    fn new() -> Result<Option<Self>> {
        let name = format!("observer-test-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory");
        let second = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(second.join("cgroup.subtree_control")).unwrap_or_default();
        let (parent, files) = if first.join("memory.limit_in_bytes").exists() {
            (first, ["memory.usage_in_bytes", "memory.limit_in_bytes"])
        } else if controllers.split_whitespace().any(|word| word == "memory") {
            (second, ["memory.current", "memory.max"])
        } else {
            return Ok(None);
        };
        let path = parent.join(name);
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Some(Self { path, files }))
    }

    fn add(&self, pid: u32) -> Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).context("join the control group")
    }

    /// Sets the limit to half of what is used: of what the process took since it joined, in version 1. The kernel frees
    /// what it can, or refuses, or kills.
    fn squeeze(&self) -> Result<()> {
        let [used, limit] = self.files.map(|file| self.path.join(file));
        let bytes: u64 = fs::read_to_string(used)?.trim().parse()?;
        let _ = fs::write(limit, (bytes / 2).max(LEAST).to_string());
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

#[test]
fn a_daemon_that_is_killed_for_its_memory_loses_no_sealed_row() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let Some(group) = Group::new()? else {
        skip("no control group of this host limits memory");
        return Ok(());
    };
    let mut host = Host::start(Options::default())?;
    let clients: Vec<_> = (0..2)
        .map(|_| host.python("openai_chat.py").args(["--count", "100000"]).start())
        .collect::<Result<_>>()?;
    let stored = |host: &Host, count: usize| {
        until("calls are stored", || {
            Ok(host.rows("v_interactions", "ts")?.len() >= count)
        })
    };
    stored(&host, 20)?;
    group.add(host.daemon()?.pid())?;
    let start = Instant::now();
    while host.daemon()?.is_running() {
        ensure!(
            start.elapsed() < PATIENCE,
            "the kernel did not kill it: it needs less than {LEAST} bytes"
        );
        group.squeeze()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = host.daemon()?.wait(PATIENCE)?;
    assert_eq!(status.signal(), Some(9), "{status}");
    let before = host.rows("v_interactions", "ts")?.len();
    host.start_daemon()?;
    stored(&host, before + 20)?;
    drop(clients);
    host.stop_daemon()?;
    let report = host.check_chain()?;
    println!("{before} calls before, {report:?}");
    assert_eq!((report.epochs, report.declared), (2, 0), "{report:?}");
    Ok(())
}
