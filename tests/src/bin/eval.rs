//! Compares what Observer finds in labelled material with the labels; `cargo xtask eval` runs it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use observer_tests::eval::recordings::live;
use observer_tests::eval::{self, Kind, Outcome};
use observer_tests::harness;

/// Compare what Observer finds in labelled material with the labels
#[derive(Parser)]
struct Cli {
    /// What kind of material
    kind: Kind,
    /// The file, plain or gzip
    path: PathBuf,
    /// How the result is shown
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Recordings: real clients send some of them to a local server while the daemon watches (root)
    #[arg(long)]
    live: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = if cli.live {
        watched(&cli)
    } else {
        eval::run(cli.kind, &cli.path)
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("eval: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let text = match cli.format {
        Format::Table => outcome.text,
        Format::Json => format!("{:#}\n", outcome.json),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Recordings sent over each version of HTTP in a live evaluation.
const LIVE_CALLS: usize = 64;

fn watched(cli: &Cli) -> Result<Outcome> {
    if cli.kind != Kind::Recordings {
        bail!("--live is for recordings");
    }
    let _live = harness::live().context("nothing can be observed here (the reason is above)")?;
    let report = live::run(&cli.path, LIVE_CALLS)?;
    let (first, second) = report.by_version;
    eprintln!(
        "{first} calls over HTTP/1.1 and {second} over HTTP/2, {} rows, {} records lost ({})",
        report.rows, report.lost.0, report.lost.1
    );
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    Ok(report.outcome)
}
