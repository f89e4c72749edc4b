//! `cargo xtask test --kernels`: the daemon on other kernels than this machine's. Debian's kernels are booted under QEMU with the
//! daemon, a client and a server in memory; the rows go to a store of this machine, and are compared with what the client got.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::bench::machine;
use crate::demo::Format;
use crate::run::{in_path, say, step, work_dir};
use crate::stage::Stage;
use crate::{build, setup};

mod boot;
mod guest;
mod judge;
mod packages;
mod store;

use boot::Said;
use guest::Setup;
use judge::Outcome;
use packages::{Kernel, LASTING, NEWEST, Packages, SOURCES};
use store::Store;

const AREA: &str = "kernels";

/// What is tried without a word: the long-term kernels that Debian has or had, and the newest.
const ALL: [&str; 6] = ["5.10", "5.15", "6.1", "6.12", "6.18", NEWEST];

/// Word for the short form: [`QUICK_ONES`], without a report of the doctor.
const QUICK: &str = "quick";

/// One kernel with perf events and ends of functions, and one with uprobe multi links and tracepoints of sockets. Long-term kernels: what
/// fails there fails for what was changed here, and not for what a new kernel brought.
const QUICK_ONES: [&str; 2] = ["6.1", "6.12"];

/// Guests that run at one time. Each is one processor in software, and so one of this machine's.
const AT_ONCE: usize = 2;

const AUTO: &str = "auto";
const PERF_EVENTS: &str = "perf_events";

/// Tries kernels by their series, all without one; shows how it went.
pub(crate) fn run(series: &[String], format: Format) -> Result<ExitCode> {
    if let Some(missing) = missing_program() {
        bail!(
            "{missing} is missing: apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio binutils xz-utils"
        );
    }
    setup::all()?;
    build::all()?;
    let quick = series == [QUICK];
    let tries = if quick { quick_tries()? } else { tries(series)? };
    let outcomes = try_all(&tries, !quick)?;
    show(&outcomes, format)?;
    Ok(if outcomes.iter().all(|outcome| outcome.faults.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The short form as a part of `cargo xtask test`, for which everything is built already.
pub(crate) fn quick() -> Result<()> {
    let outcomes = try_all(&quick_tries()?, false)?;
    let faults = outcomes.iter().flat_map(|outcome| {
        outcome
            .faults
            .iter()
            .map(move |fault| format!("{}: {fault}", outcome.release))
    });
    let faults: Vec<String> = faults.collect();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

/// Settings to try on a kernel. Before uprobe multi links there is one way; perf events where there are two are the same code on each
/// kernel, and tried on the newest.
fn ways(kernel: &Kernel) -> impl Iterator<Item = &'static str> + use<> {
    let both = kernel.series == NEWEST && judge::has_links(&kernel.release);
    [AUTO, PERF_EVENTS].into_iter().take(if both { 2 } else { 1 })
}

fn quick_tries() -> Result<Vec<(Kernel, &'static str)>> {
    let mut packages = Packages::new(dir(), &LASTING);
    let mut tries = Vec::new();
    for name in QUICK_ONES {
        let kernel = step(AREA, &format!("kernel {name}"), || packages.kernel(name))?;
        tries.push((
            kernel.with_context(|| format!("no source has a kernel {name}"))?,
            AUTO,
        ));
    }
    Ok(tries)
}

fn tries(series: &[String]) -> Result<Vec<(Kernel, &'static str)>> {
    let mut packages = Packages::new(dir(), &SOURCES);
    let wanted: Vec<&str> = if series.is_empty() {
        ALL.to_vec()
    } else {
        series.iter().map(String::as_str).collect()
    };
    let mut tries = Vec::new();
    for name in wanted {
        match step(AREA, &format!("kernel {name}"), || packages.kernel(name))? {
            Some(kernel) => tries.extend(ways(&kernel).map(|probes| (kernel.clone(), probes))),
            None if series.is_empty() => {
                say(AREA, &format!("Debian does not have {name} any more: left out"));
            }
            None => bail!("no source has a kernel {name}"),
        }
    }
    Ok(tries)
}

/// What is not here of the programs that this needs. `setup` installs them on CI machines only: nothing else needs them.
pub(crate) fn missing_program() -> Option<&'static str> {
    let needed = ["qemu-system-x86_64", "busybox", "cpio", "apt-get", "strip", "xz"];
    needed.into_iter().find(|name| !in_path(name))
}

fn dir() -> std::path::PathBuf {
    work_dir().join("kernels")
}

/// Boots each kernel with a daemon set up so, [`AT_ONCE`] at a time.
fn try_all(tries: &[(Kernel, &'static str)], doctor: bool) -> Result<Vec<Outcome>> {
    let mut stage = Stage::new()?;
    let common = step(AREA, "archive for the guests", || guest::common(stage.dir()))?;
    let store = Store::start(&mut stage)?;
    let (dir, common, store) = (stage.dir(), common.as_path(), &store);
    let mut outcomes = Vec::new();
    for together in tries.chunks(AT_ONCE) {
        // A guest ends with the thread that started it.
        let results: Vec<Result<Outcome>> = std::thread::scope(|scope| {
            let threads: Vec<_> = together
                .iter()
                .map(|(kernel, probes)| {
                    scope.spawn(move || {
                        one(
                            dir,
                            common,
                            kernel,
                            setup_of(kernel, probes, store, doctor),
                            store,
                        )
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| bail!("the thread of a guest panicked"))
                })
                .collect()
        });
        for outcome in results {
            outcomes.push(outcome?);
        }
    }
    Ok(outcomes)
}

fn setup_of(kernel: &Kernel, probes: &'static str, store: &Store, doctor: bool) -> Setup {
    Setup {
        host: format!("{}-{probes}", kernel.series),
        store_port: store.address.port(),
        password: store.password.clone(),
        function_probes: probes,
        doctor,
    }
}

fn one(dir: &Path, common: &Path, kernel: &Kernel, setup: Setup, store: &Store) -> Result<Outcome> {
    let what = format!(
        "{} with function_probes {}",
        kernel.release, setup.function_probes
    );
    let outcome = step(AREA, &what, || {
        let own = dir.join(&setup.host);
        let archive = guest::archive(&own, common, kernel, &setup)?;
        let said = boot::run(kernel, &archive)?;
        std::fs::remove_dir_all(&own).context("cannot remove the folder of a guest")?;
        keep_log(&setup, &said)?;
        let rows = store.rows(&setup.host)?;
        Ok(judge::judge(kernel, &setup, &said, &rows))
    })?;
    for fault in &outcome.faults {
        say(AREA, &format!("{what}: {fault}"));
    }
    Ok(outcome)
}

/// What the guest said, and when, stays for whoever wants to know more.
fn keep_log(setup: &Setup, said: &Said) -> Result<()> {
    let lines: Vec<String> = said
        .times
        .iter()
        .zip(&said.lines)
        .map(|(time, line)| format!("{:6.1} {line}", time.as_secs_f64()))
        .collect();
    let file = dir().join(format!("{}.log", setup.host));
    std::fs::write(&file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))
}

fn show(outcomes: &[Outcome], format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        let whole = json!({"machine": machine::line(), "kernels": outcomes});
        return writeln!(out, "{}", serde_json::to_string_pretty(&whole)?).context("standard output");
    }
    writeln!(out, "{}\n\n{}", machine::line(), table(outcomes)).context("standard output")
}

/// Table in Markdown.
fn table(outcomes: &[Outcome]) -> String {
    let heads = [
        "kernel",
        "`function_probes`",
        "probed by",
        "read",
        "not read",
        "boot, s",
        "in all, s",
    ];
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for outcome in outcomes {
        let read = if outcome.faults.is_empty() {
            outcome.read.join(", ")
        } else {
            format!("FAULTS: {}", outcome.faults.join("; ").replace('\n', " "))
        };
        let not_read = match outcome.not_read.as_slice() {
            [] => "-".to_owned(),
            list => list.join("; "),
        };
        let boot = outcome
            .boot_seconds
            .map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
        text.push_str(&format!(
            "| {} | {} | {} | {read} | {not_read} | {boot} | {:.1} |\n",
            outcome.release, outcome.asked, outcome.means, outcome.seconds
        ));
    }
    text
}
