//! `cargo xtask bench`: runs the benchmarks, shows their results and writes them into `docs/costs.md`.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::demo::Format;
use crate::run::{cargo, is_root, root, say, step};
use crate::{build, setup};

pub(crate) mod document;
pub(crate) mod machine;

const AREA: &str = "bench";

/// Rows that `bench evidence` verifies.
const EVIDENCE_ROWS: &str = "1000000";
const DOCUMENT: &str = "docs/costs.md";

/// The benchmarks, in the order in which they run and stand in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// Transports and dialects alone: bytes of a connection to facts, without the scan
    Dialects,
    /// The sensitive-data stage, against vectorscan alone
    Scan,
    /// The stages from record to row, without a kernel
    Pipeline,
    /// A verdict by a thousand rules, against one by ten
    Policy,
    /// Hashing, sealing and writing rows to disk, without a kernel
    Spool,
    /// A write that is not AI, against empty probes and no probes
    Gate,
    /// The same by GnuTLS, NSPR, Node, Bun and Go
    Hits,
    /// 160 keep-alive calls over 8 connections, by several clients
    Calls,
    /// 200,000 writes on one AI connection
    Flood,
    /// From the start of a program to its probes, and first calls missed
    Discovery,
    /// Verification of a million records, and their bytes on disk
    Evidence,
    /// Every query of the dashboards on ten million exchanges
    Dashboards,
    /// Half an hour of steady load, and what grows under it; runs only when it is named
    Soak,
}

impl Name {
    fn word(self) -> &'static str {
        match self {
            Self::Dialects => "dialects",
            Self::Scan => "scan",
            Self::Pipeline => "pipeline",
            Self::Policy => "policy",
            Self::Spool => "spool",
            Self::Gate => "gate",
            Self::Hits => "hits",
            Self::Calls => "calls",
            Self::Flood => "flood",
            Self::Discovery => "discovery",
            Self::Evidence => "evidence",
            Self::Dashboards => "dashboards",
            Self::Soak => "soak",
        }
    }
}

/// Runs one benchmark or all. Results are written down as they come; an error at the end when one did not run.
pub(crate) fn run(name: Option<Name>, minutes: u64, format: Format) -> Result<()> {
    if !is_root() {
        bail!(
            "benchmarks attach kernel probes and must run as root: sudo env PATH=\"$PATH\" cargo xtask bench"
        );
    }
    setup::all()?;
    build::optimised()?;
    let names = match name {
        Some(name) => vec![name],
        None => vec![
            Name::Scan,
            Name::Dialects,
            Name::Pipeline,
            Name::Policy,
            Name::Spool,
            Name::Gate,
            Name::Hits,
            Name::Calls,
            Name::Flood,
            Name::Discovery,
            Name::Evidence,
            Name::Dashboards,
        ],
    };
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        match step(AREA, name.word(), || measure(name, minutes)) {
            Ok(rows) => {
                write_down(name, &rows)?;
                crate::scaling::run(false)?;
                all.extend(rows);
            }
            Err(error) => {
                say(AREA, &format!("{}: {error:#}", name.word()));
                failed.push(name.word());
            }
        }
    }
    show(&all, format)?;
    if !failed.is_empty() {
        bail!("no result of: {}", failed.join(", "));
    }
    Ok(())
}

/// Needs the engine and no kernel: it is a test of the store, which prints its results behind a word.
fn measure_evidence() -> Result<Vec<Value>> {
    let output = cargo()
        .args(build::AS_RELEASE)
        .args([
            "test",
            "--test",
            "store",
            "--",
            "--exact",
            "bench::evidence",
            "--nocapture",
        ])
        .env("OBSERVER_EBPF_OBJECT", build::object_file())
        .env("OBSERVER_CHDB", setup::chdb_library())
        .env("OBSERVER_BENCH_ROWS", EVIDENCE_ROWS)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("it ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.strip_prefix("BENCH "))
        .map(|line| serde_json::from_str(line).context("a result is not JSON"))
        .collect()
}

fn measure(name: Name, minutes: u64) -> Result<Vec<Value>> {
    if name == Name::Evidence {
        return measure_evidence();
    }
    let output = Command::new(build::bench())
        .arg(name.word())
        .current_dir(root())
        .env("OBSERVER_BIN", build::daemon())
        .env("OBSERVER_EBPF_OBJECT", build::object_file())
        .env("OBSERVER_CHDB", setup::chdb_library())
        .env("OBSERVER_PYTHON", setup::client_python())
        .env("OBSERVER_SOAK_MINUTES", minutes.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the benchmarks")?;
    if !output.status.success() {
        bail!("it ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).context("a result is not JSON"))
        .collect()
}

fn write_down(name: Name, rows: &[Value]) -> Result<()> {
    let path = root().join(DOCUMENT);
    let old = std::fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let section = format!("{}\n\n{}", machine::line(), document::table(rows));
    let new = document::replace(&old, name.word(), &section)?;
    std::fs::write(&path, new).with_context(|| format!("cannot write {DOCUMENT}"))?;
    say(AREA, &format!("{DOCUMENT}: {}", name.word()));
    Ok(())
}

fn show(rows: &[Value], format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let whole = json!({"machine": machine::line(), "results": rows});
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
        }
        Format::Table => write!(out, "{}", document::table(rows))?,
    }
    Ok(())
}
