//! Live kernel: many processes, and many different files with TLS. What the daemon takes for them is bounded and printed; `OBSERVER_SCALE=full` has
//! 5,000 processes and 500 files, else it is a twentieth of that.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{ATTACHED, Host, Options, live, until_within, usage};

/// Most anonymous and file memory of the daemon together.
const MEMORY_KIB: u64 = 160 << 10;
/// Most CPU time of the daemon while nothing new starts, of one core.
const IDLE_CPU: f64 = 0.2;
/// How long it is looked at then: two sweeps.
const IDLE: Duration = Duration::from_secs(31);
/// How long the last file may wait for its probes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Sweeps come each 15 s, and probes go at the third one that finds nobody.
const LET_GO: Duration = Duration::from_secs(75);

/// Files with TLS, and processes.
fn scale() -> (usize, usize) {
    if std::env::var_os("OBSERVER_SCALE").is_some_and(|scale| scale == "full") {
        (500, 5000)
    } else {
        (25, 250)
    }
}

/// Processes that do nothing, with a library each. They end with it.
struct Crowd(Vec<Child>);

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

impl Crowd {
    fn start(libraries: &[PathBuf], count: usize) -> Result<Self> {
        let mut crowd = Self(Vec::new());
        for library in libraries.iter().cycle().take(count) {
            let child = Command::new("sleep")
                .arg("600")
                .env("LD_PRELOAD", library)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .with_context(|| format!("process {}", crowd.0.len()))?;
            crowd.0.push(child);
        }
        Ok(crowd)
    }
}

/// Copies of libssl that differ.
fn libraries(dir: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let folder = format!("/usr/lib/{}-linux-gnu/libssl.so.3", std::env::consts::ARCH);
    let original = fs::read(&folder).with_context(|| folder.clone())?;
    fs::create_dir_all(dir)?;
    (0..count)
        .map(|n| {
            let path = dir.join(format!("libssl-{n:04}.so"));
            fs::write(&path, [&original[..], &n.to_le_bytes()].concat())?;
            Ok(path)
        })
        .collect()
}

/// Waits until the log tells of probes in so many of the copies.
fn wait_until_attached(host: &mut Host, count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let output = host.daemon()?.output();
        ensure!(!output.contains("cannot attach"), "{output}");
        let lines = output.lines().filter(|line| line.contains(ATTACHED));
        let attached = lines.filter(|line| line.contains("/libssl-")).count();
        if attached >= count {
            return Ok(());
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "probes in {attached} of {count} files"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn many_processes_and_files_cost_what_they_may_and_go_again() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let (files, processes) = scale();
    let mut host = Host::start(Options::default())?;
    let pid = host.daemon()?.pid();
    let dir = host.dir().join("crowd");
    let (before, memory_before, descriptors_before) = (
        usage::cpu_seconds(pid)?,
        usage::status(pid, "VmHWM")?,
        usage::descriptors(pid)?.all,
    );
    let start = Instant::now();
    let libraries = libraries(&dir, files)?;
    let crowd = Crowd::start(&libraries, processes)?;
    let started = start.elapsed().as_secs_f64();
    wait_until_attached(&mut host, files)?;
    let attached = start.elapsed().as_secs_f64();
    let busy = usage::cpu_seconds(pid)? - before;
    let (now, rest) = (usage::cpu_seconds(pid)?, Instant::now());
    std::thread::sleep(IDLE);
    let idle = (usage::cpu_seconds(pid)? - now) / rest.elapsed().as_secs_f64();
    let (memory, descriptors_most) = (usage::status(pid, "VmHWM")?, usage::descriptors(pid)?.all);
    println!(
        "{processes} processes, {files} files: started in {started:.1} s, all attached after {attached:.1} s with {busy:.1} s of CPU; then {:.1} % of a core; \
         memory {} MiB, before {} MiB; {descriptors_most} descriptors, before {descriptors_before}",
        idle * 100.0,
        memory >> 10,
        memory_before >> 10
    );
    assert!(memory < MEMORY_KIB, "{memory} KiB");
    assert!(idle < IDLE_CPU, "{idle} of a core");
    // Nothing is late because of them.
    host.curl_chat("api.openai.com", "gpt-4o-among-many", "hi")
        .run()?;
    host.wait_for_interactions(1)?;
    drop(crowd);
    fs::remove_dir_all(&dir)?;
    // Else the probes would keep the blocks of files that nobody can open any more.
    let start = Instant::now();
    until_within(LET_GO, "probes of removed files are gone", || {
        Ok(usage::descriptors(pid)?.all < descriptors_before + files / 2)
    })?;
    println!(
        "probes of removed files gone after {:.0} s",
        start.elapsed().as_secs_f64()
    );
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    record.balanced_books()?;
    Ok(())
}
