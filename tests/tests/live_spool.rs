//! Live kernel: rows on their way to the store survive kills, full and read-only disks, and stores that answer late, twice or never.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{ChainReport, Fault, Host, Options, Running, clients, executable, live, until};
use observer_tests::random::Random;
use rustix::process::Signal;
use serde_json::Value;

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn segments(spool: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(spool)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "seg") {
            found.push(path);
        }
    }
    Ok(found)
}

fn notes(seals: &[Value]) -> String {
    let all = seals.iter().map(|seal| seal["notes"].to_string());
    all.collect::<Vec<_>>().concat()
}

#[test]
fn kills_at_any_point_lose_no_sealed_row_and_double_none() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let (rounds, seed) = (number("OBSERVER_KILL_ROUNDS", 3), number("OBSERVER_SEED", 0x5eed));
    let mut chance = Random::new(seed);
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    // Calls one after the other, from three processes, through all of it.
    let load = |host: &Host| -> Result<Vec<_>> {
        let start = |_| host.python("openai_chat.py").args(["--count", "100000"]).start();
        (0..3).map(start).collect()
    };
    let clients = load(&host)?;
    let mut kills = [0; 3];
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(200 + chance.below(2_500) as u64));
        let who = chance.below(3);
        kills[who] += 1;
        if who != 1 {
            host.kill_daemon()?;
        }
        if who != 0 {
            // Both at once, or the store under a daemon that goes on.
            host.kill_store()?;
            std::thread::sleep(Duration::from_millis(chance.below(1_500) as u64));
            host.resume_store()?;
        }
        if who != 1 {
            host.start_daemon()
                .with_context(|| format!("round {round}, seed {seed}"))?;
        }
    }
    std::thread::sleep(Duration::from_secs(2));
    drop(clients);
    host.stop_daemon()?;
    let report = host
        .check_chain()
        .with_context(|| format!("after {rounds} rounds with seed {seed}"))?;
    println!("{rounds} rounds (daemon, store, both: {kills:?}), seed {seed}: {report:?}");
    assert_eq!(report.epochs, 1 + kills[0] + kills[2], "{report:?}");
    assert_eq!(report.declared, 0, "{report:?}");
    assert!(report.records > 20 * rounds, "{report:?}");
    Ok(())
}

#[test]
fn a_store_that_is_slow_broken_or_repeats_itself_has_every_row_once() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    // Faults are for inserts: the schema is there before them.
    host.wait_for_seals(1)?;
    let clients = [host
        .python("openai_chat.py")
        .args(["--count", "100000"])
        .start()?];
    let stored = |host: &Host| Ok::<_, anyhow::Error>(host.rows("ai_interactions", "ts")?.len());
    until("calls are stored", || Ok(stored(&host)? > 50))?;
    let before = stored(&host)?;
    let order = [
        Fault::Late,
        Fault::NoAnswer,
        Fault::Twice,
        Fault::Busy,
        Fault::Refuse,
        Fault::NoAnswer,
        Fault::None,
    ];
    for fault in order {
        host.proxy()?.set(fault);
        let met = host.proxy()?.inserts(fault);
        std::thread::sleep(Duration::from_millis(300));
        // Nobody sees an insert that is refused. Each other fault is met before the next one comes, though pauses between attempts grow.
        if ![Fault::Refuse, Fault::None].contains(&fault) {
            until("an insert meets the fault", || {
                Ok(host.proxy()?.inserts(fault) > met)
            })?;
        }
    }
    drop(clients);
    // A machine that is quick with calls and slow with rows has more of them waiting than the end of the daemon has time for.
    until("what waited is stored", || Ok(segments(&host.spool())?.len() < 3))?;
    host.stop_daemon()?;
    for fault in [Fault::Late, Fault::NoAnswer, Fault::Twice, Fault::Busy] {
        assert!(host.proxy()?.inserts(fault) > 0, "no insert met {fault:?}");
    }
    let report = host.check_chain()?;
    println!("{report:?}");
    assert_eq!((report.epochs, report.unsealed, report.declared), (1, 0, 0));
    assert!(report.records > before as u64, "{report:?}");
    Ok(())
}

#[test]
fn a_daemon_that_is_told_to_stop_while_the_store_is_away_keeps_all_for_the_next_start() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    host.proxy()?.set(Fault::Refuse);
    let finished = host.python("openai_chat.py").args(["--count", "20"]).run()?;
    assert_eq!(finished.reports.len(), 20);
    host.stop_daemon()?;
    assert!(host.rows("ai_interactions", "ts")?.is_empty());
    assert!(!segments(&host.spool())?.is_empty());
    host.proxy()?.set(Fault::None);
    host.start_daemon()?;
    host.wait_for_interactions(20)?;
    host.stop_daemon()?;
    let report = host.check_chain()?;
    assert_eq!((report.epochs, report.unsealed, report.declared), (2, 0, 0));
    let reasons: Vec<Value> = host
        .rows("v_seals", "chain_epoch, seal_seq")?
        .into_iter()
        .filter(|seal| seal["seal_kind"] == "open")
        .map(|seal| seal["open_reason"].clone())
        .collect();
    assert_eq!(reasons, ["first_start", "restart"]);
    assert!(segments(&host.spool())?.is_empty());
    Ok(())
}

#[test]
fn what_waits_on_disk_is_private_and_holds_no_clear_text() -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    host.proxy()?.set(Fault::Refuse);
    // Put together here, so that no file holds what a scanner could take for real.
    let key = ["AK", "IA", "Q3EGRIVN", "ZJ2XKTW5"].concat();
    let marker = "unmistakable-words-of-the-prompt";
    let prompt = format!("{marker}\n{key}");
    host.python("openai_chat.py")
        .args(["--model", "the-model-of-this-test", "--prompt", &prompt])
        .run()?;
    host.stop_daemon()?;
    let (mut all, spool) = (Vec::new(), host.spool());
    assert_eq!(std::fs::metadata(&spool)?.mode() & 0o777, 0o700);
    for path in segments(&spool)? {
        assert_eq!(
            std::fs::metadata(&path)?.mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
        all.extend(std::fs::read(&path)?);
    }
    let has = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("the-model-of-this-test"), "the row is not in the spool");
    assert!(has("aws"), "the finding is not in the spool");
    assert!(!has(marker) && !has(&key), "clear text is on disk");
    Ok(())
}

/// A small file system in memory; unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let size = format!("size={bytes},mode=0700");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], path)?;
        Ok(Self(path.to_owned()))
    }

    fn remount(&self, how: &str) -> Result<()> {
        mount(&["-o", &format!("remount,{how}")], &self.0)
    }
}

fn mount(arguments: &[&str], path: &Path) -> Result<()> {
    let status = Command::new("mount").args(arguments).arg(path).status()?;
    ensure!(status.success(), "mount {arguments:?} {}", path.display());
    Ok(())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn on_a_small_disk(bytes: u64) -> Result<(tempfile::TempDir, SmallDisk, Host)> {
    let dir = tempfile::tempdir()?;
    let spool = dir.path().join("spool");
    let disk = SmallDisk::mount(&spool, bytes)?;
    let mut host = Host::start(Options {
        proxy: true,
        more: format!("spool:\n  dir: {}\n", spool.display()),
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    Ok((dir, disk, host))
}

fn whole(host: &mut Host) -> Result<ChainReport> {
    host.stop_daemon()?;
    let report = host.check_chain()?;
    assert_eq!(
        (report.epochs, report.unsealed, report.declared),
        (1, 0, 0),
        "{report:?}"
    );
    Ok(report)
}

#[test]
fn a_full_disk_loses_nothing_while_memory_lasts() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let (_dir, _disk, mut host) = on_a_small_disk(128 << 10)?;
    host.proxy()?.set(Fault::Refuse);
    let finished = host.python("openai_chat.py").args(["--count", "200"]).run()?;
    assert_eq!(finished.reports.len(), 200);
    until("the disk is full", || {
        let failures = host.metrics()?.sum("observer_spool_write_failures_total", &[]);
        Ok(failures.is_some_and(|count| count > 0.0))
    })?;
    std::thread::sleep(Duration::from_secs(2));
    host.proxy()?.set(Fault::None);
    host.wait_for_interactions(200)?;
    let report = whole(&mut host)?;
    assert!(report.records >= 200, "{report:?}");
    let seals = host.rows("v_seals", "chain_epoch, seal_seq")?;
    assert!(notes(&seals).contains("spool_not_on_disk"), "{}", notes(&seals));
    Ok(())
}

#[test]
fn a_disk_that_becomes_read_only_loses_nothing() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let (_dir, disk, mut host) = on_a_small_disk(8 << 20)?;
    disk.remount("ro")?;
    let finished = host.python("openai_chat.py").args(["--count", "20"]).run()?;
    assert_eq!(finished.reports.len(), 20);
    // The store is there: rows reach it from memory.
    host.wait_for_interactions(20)?;
    host.proxy()?.set(Fault::Refuse);
    host.python("openai_chat.py").args(["--count", "20"]).run()?;
    std::thread::sleep(Duration::from_secs(2));
    disk.remount("rw")?;
    let spool = host.spool();
    until("rows are written to the disk that came back", || {
        Ok(!segments(&spool)?.is_empty())
    })?;
    host.proxy()?.set(Fault::None);
    host.wait_for_interactions(40)?;
    whole(&mut host)?;
    Ok(())
}

/// Calls from so many programs that they fill the spool, though each gets its share only: Python under other names.
fn many_programs(host: &Host, folder: &Path) -> Result<Vec<Running>> {
    let (python, home) = (executable("python")?, python_home()?);
    let start = |n: usize| {
        let file = folder.join(format!("python-{n}"));
        if std::fs::hard_link(&python, &file).is_err() {
            std::fs::copy(&python, &file).context("cannot copy Python")?;
        }
        let client = host.program(file).env("PYTHONHOME", &home);
        client.arg(clients().join("raw_chat.py")).arg("100000").start()
    };
    (0..20).map(start).collect()
}

/// Where Python's own modules are.
fn python_home() -> Result<String> {
    let output = Command::new(executable("python")?)
        .args(["-c", "import sys; print(sys.base_prefix)"])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn a_budget_that_is_full_loses_the_oldest_and_the_seals_say_which() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        more: "spool:\n  max_bytes: 1MiB\n".to_owned(),
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    host.proxy()?.set(Fault::Refuse);
    let programs = tempfile::tempdir()?;
    let clients = many_programs(&host, programs.path())?;
    until("the budget is full", || {
        let dropped = host.metrics()?.sum("observer_spool_dropped_segments_total", &[]);
        Ok(dropped.is_some_and(|count| count >= 3.0))
    })?;
    drop(clients);
    // A kill does not make it forget.
    host.kill_daemon()?;
    host.proxy()?.set(Fault::None);
    host.start_daemon()?;
    until("everything is delivered", || {
        Ok(segments(&host.spool())?.len() < 2)
    })?;
    std::thread::sleep(Duration::from_secs(2));
    host.stop_daemon()?;
    let report = host.check_chain()?;
    println!("{report:?}");
    let seals = host.rows("v_seals", "chain_epoch, seal_seq")?;
    let open = seals.iter().rfind(|seal| seal["seal_kind"] == "open");
    let open = open.context("no open seal")?;
    assert_eq!(open["dropped_reason"][0], "over_budget", "{open:#}");
    // Whole intervals go with their seals, so the count is that of the declaration.
    let declared = open["dropped_records"].as_array().into_iter().flatten();
    let declared: u64 = declared.filter_map(Value::as_u64).sum();
    assert!(declared > 50, "{declared} records declared as dropped: {open:#}");
    let last = seals.last().context("no seal")?;
    assert_eq!(
        last["dropped_reason"],
        serde_json::json!([]),
        "said once it is stored: {last:#}"
    );
    Ok(())
}

#[test]
fn a_spool_of_a_newer_version_stops_the_start() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    host.proxy()?.set(Fault::Refuse);
    std::thread::sleep(Duration::from_secs(2));
    host.daemon()?.signal(Signal::KILL)?;
    host.daemon()?.wait(Duration::from_secs(20))?;
    let segment = segments(&host.spool())?.into_iter().max().context("no segment")?;
    let mut bytes = std::fs::read(&segment)?;
    bytes[8] = 9;
    bytes[60] ^= 1;
    std::fs::write(&segment, &bytes)?;
    let error = format!("{:#}", host.start_daemon().expect_err("it started"));
    assert!(error.contains("written by a newer observer (form 9"), "{error}");
    assert_eq!(std::fs::read(&segment)?, bytes, "left as it is");
    Ok(())
}
