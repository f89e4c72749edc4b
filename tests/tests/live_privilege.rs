//! Live kernel: what the daemon gives up once its programs are loaded, and that it sees as much as before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use observer::privilege::{landlock_version, status::Rights};
use observer_tests::harness::{Expected, Host, Options, check, live};

const SYS_ADMIN: u64 = 1 << 21;
/// CHOWN, DAC_OVERRIDE, SETUID, NET_ADMIN, SYS_MODULE: what root has and an observer never needs.
const NEVER: u64 = 1 | 1 << 1 | 1 << 7 | 1 << 12 | 1 << 16;
/// SYS_PTRACE, PERFMON, BPF.
const NEEDED: u64 = 1 << 19 | 1 << 38 | 1 << 39;

/// Rights of every thread of a process.
fn threads(pid: u32) -> Result<Vec<(String, Rights)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(entry?.path().join("status")) else {
            continue;
        };
        let name = status.lines().next().unwrap_or_default().to_owned();
        all.push((name, Rights::parse(&status).context("status")?));
    }
    Ok(all)
}

/// Processes whose parent is this one.
fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(entry?.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

/// A client that starts after the daemon gave up its rights: its first call is there.
fn first_call_is_observed(host: Host) -> Result<()> {
    let port = host.endpoint.port();
    let client = host.python("openai_chat.py").run()?;
    let report = client.reports.first().context("no report")?.clone();
    let logged = host.logged("gpt-4o-mini")?;
    let record = host.finish(1)?;
    let row = record.by_response(report["id"].as_str().context("id")?)?;
    let expected = Expected::openai(client.pid, &observer_tests::harness::executable("python")?);
    check(port, &record, row, &expected.with_usage_of(&report), &logged)?;
    assert_eq!(record.lost(), 0, "{}", record.losses());
    Ok(())
}

/// All threads have little and cannot get more; so have the programs that the daemon starts.
fn has_little(pid: u32, perf_events: bool) -> Result<()> {
    let threads = threads(pid)?;
    assert!(threads.len() > 4, "{threads:?}");
    for (name, rights) in &threads {
        assert_eq!(rights.effective & NEVER, 0, "{name}: {}", rights.says());
        assert_eq!(rights.effective & NEEDED, NEEDED, "{name}: {}", rights.says());
        assert_eq!(
            rights.effective & SYS_ADMIN != 0,
            perf_events,
            "{name}: {}",
            rights.says()
        );
        assert!(
            rights.no_new_privs && rights.filtered,
            "{name}: {}",
            rights.says()
        );
    }
    for child in children(pid)? {
        let status = fs::read_to_string(format!("/proc/{child}/status"))?;
        let rights = Rights::parse(&status).context("status")?;
        assert_eq!(rights.effective, 0, "child {child}: {}", rights.says());
        assert!(
            rights.no_new_privs && rights.filtered,
            "child {child}: {}",
            rights.says()
        );
    }
    Ok(())
}

/// Keys, chain and spool are the daemon's alone. Gives how many files there are.
fn is_private(folder: &Path) -> Result<usize> {
    let mode = fs::metadata(folder)?.mode() & 0o777;
    anyhow::ensure!(mode == 0o700, "{}: {mode:o}", folder.display());
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A segment of the spool may be gone by now.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            files += is_private(&entry.path())?;
        } else {
            let mode = metadata.mode() & 0o777;
            anyhow::ensure!(mode == 0o600, "{}: {mode:o}", entry.path().display());
            files += 1;
        }
    }
    Ok(files)
}

#[test]
fn a_daemon_with_little_left_sees_programs_that_start_later() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        selftest: true,
        more: "privilege: {capabilities: required, seccomp: required}\n".into(),
        ..Options::default()
    })?;
    let pid = host.daemon()?.pid();
    // From Linux 6.6 on function probes need no CAP_SYS_ADMIN.
    let has_links = !host
        .daemon()?
        .output()
        .contains("function probes go on perf events");
    has_little(pid, !has_links)?;
    let files = is_private(&host.dir().join("state"))?;
    assert!(files > 3, "{files} files");
    first_call_is_observed(host)
}

/// The embedded store is a program of the daemon: it starts and stores with no capability, and as another user.
#[test]
fn the_embedded_store_is_an_ordinary_user() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    // Not in the test's own folder, which only root may enter.
    let data = tempfile::tempdir()?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(data.path(), open)?;
    let mut host = Host::start(Options {
        embedded_store: true,
        store_user: Some(("nobody", data.path().join("store"))),
        ..Options::default()
    })?;
    let store = *children(host.daemon()?.pid())?.first().context("no child")?;
    let status = fs::read_to_string(format!("/proc/{store}/status"))?;
    let rights = Rights::parse(&status).context("status")?;
    assert_eq!(rights.effective, 0, "{}", rights.says());
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .context("Uid")?;
    assert!(
        uid.split_whitespace()
            .all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "{uid}"
    );
    first_call_is_observed(host)
}

/// What older kernels have, on any kernel.
#[test]
fn perf_events_keep_the_great_capability() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        more: "  function_probes: perf_events\n".into(),
        ..Options::default()
    })?;
    let printed = host.daemon()?.output();
    has_little(host.daemon()?.pid(), true)?;
    if landlock_version().is_some() {
        assert!(!printed.contains("privilege:"), "{printed}");
    }
    first_call_is_observed(host)
}
