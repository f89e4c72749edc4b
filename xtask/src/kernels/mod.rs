//! `cargo xtask test --kernels`: the daemon on other kernels than this machine's. Debian's kernels are booted under QEMU with the
//! daemon, a client and a server in memory; the rows go to a store of this machine, and are compared with what the client got.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::bench::machine;
use crate::demo::Format;
use crate::run::{in_path, say, step, work_dir};
use crate::stage::{Stage, free_addresses};
use crate::{build, http, setup};

mod boot;
mod guest;
mod judge;
mod packages;

use guest::Setup;
use judge::{Outcome, Rows};
use packages::{Kernel, NEWEST, Packages};

const AREA: &str = "kernels";
const DATABASE: &str = "ai_evidence";

/// What is tried without a word: the long-term kernels that Debian has or had, and the newest.
const ALL: [&str; 6] = ["5.10", "5.15", "6.1", "6.12", "6.18", NEWEST];

const AUTO: &str = "auto";
const PERF_EVENTS: &str = "perf_events";

/// Tries kernels by their series, all without one; shows how it went.
pub(crate) fn run(series: &[String], format: Format) -> Result<ExitCode> {
    check_programs()?;
    setup::all()?;
    build::all()?;
    let mut packages = Packages::new(dir());
    let wanted: Vec<&str> = if series.is_empty() {
        ALL.to_vec()
    } else {
        series.iter().map(String::as_str).collect()
    };
    let mut tries = Vec::new();
    for name in wanted {
        match step(AREA, &format!("kernel {name}"), || packages.kernel(name))? {
            Some(kernel) => tries.extend([AUTO, PERF_EVENTS].map(|probes| (kernel.clone(), probes))),
            None if series.is_empty() => {
                say(AREA, &format!("Debian does not have {name} any more: left out"));
            }
            None => bail!("no source has a kernel {name}"),
        }
    }
    let outcomes = try_all(&tries)?;
    show(&outcomes, format)?;
    Ok(if outcomes.iter().all(|outcome| outcome.faults.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Not part of `setup`: nothing else needs them.
fn check_programs() -> Result<()> {
    let needed = ["qemu-system-x86_64", "busybox", "cpio", "apt-get", "strip", "xz"];
    match needed.into_iter().find(|name| !in_path(name)) {
        None => Ok(()),
        Some(missing) => bail!(
            "{missing} is missing: apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio binutils xz-utils"
        ),
    }
}

fn dir() -> std::path::PathBuf {
    work_dir().join("kernels")
}

/// Boots each kernel with a daemon set up so, one after the other.
fn try_all(tries: &[(Kernel, &'static str)]) -> Result<Vec<Outcome>> {
    let mut stage = Stage::new()?;
    let common = step(AREA, "archive for the guests", || guest::common(stage.dir()))?;
    let store = start_store(&mut stage)?;
    let mut outcomes = Vec::new();
    for (kernel, probes) in tries {
        let setup = Setup {
            host: format!("{}-{probes}", kernel.series),
            store_port: store.port(),
            function_probes: probes,
        };
        let what = format!("{} with function_probes {probes}", kernel.release);
        let outcome = step(AREA, &what, || one(stage.dir(), &common, kernel, &setup, store))?;
        for fault in &outcome.faults {
            say(AREA, &format!("{what}: {fault}"));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn one(dir: &Path, common: &Path, kernel: &Kernel, setup: &Setup, store: SocketAddr) -> Result<Outcome> {
    let archive = guest::archive(dir, common, kernel, setup)?;
    let said = boot::run(kernel, &archive)?;
    keep_log(setup, &said.lines)?;
    let rows = rows(store, &setup.host)?;
    Ok(judge::judge(kernel, setup, &said, &rows))
}

/// What the guest said stays for whoever wants to know more.
fn keep_log(setup: &Setup, lines: &[String]) -> Result<()> {
    let file = dir().join(format!("{}.log", setup.host));
    std::fs::write(&file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))
}

fn start_store(stage: &mut Stage) -> Result<SocketAddr> {
    let [address] = free_addresses()?;
    let mut command = Command::new(build::daemon());
    command
        .arg("store")
        .arg("--data-dir")
        .arg(stage.dir().join("store"))
        .args(["--listen", &address.to_string(), "--library"])
        .arg(setup::chdb_library());
    stage.start("store", &mut command)?;
    stage.wait_for("store", Duration::from_secs(60), || {
        http::query(address, "SELECT 1 AS one").ok()
    })?;
    Ok(address)
}

/// Rows of one guest. A guest that stored nothing has none.
fn rows(store: SocketAddr, host: &str) -> Result<Rows> {
    let tables = http::query(
        store,
        &format!("SELECT name FROM system.tables WHERE database = '{DATABASE}'"),
    )?;
    if tables.is_empty() {
        return Ok(Rows::default());
    }
    let of = |columns: &str, table: &str, order: &str| {
        http::query(
            store,
            &format!("SELECT {columns} FROM {DATABASE}.{table} WHERE host_id = '{host}' ORDER BY {order}"),
        )
    };
    Ok(Rows {
        interactions: of(
            "server_address, server_port, tls_stack, tie, gen_ai_provider_name, gen_ai_request_model, gen_ai_response_id, \
             gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, visibility, visibility_reason",
            "ai_interactions",
            "ts",
        )?,
        connections: of(
            "server_address, server_port, tls_stack, tie, bytes_sent, bytes_received, visibility, opaque_reason",
            "ai_connections",
            "ts",
        )?,
        seals: of(
            "seal_kind, selftest, events_lost_ring, books_stage, books_seen, books_delivered, books_lost, books_held",
            "evidence_seals",
            "seal_seq",
        )?,
    })
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
