//! The client matrix as a program; `cargo xtask test --clients` runs it. Prints one line of JSON for each client at the
//! end, and on standard error how it goes.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use observer_tests::clients::{CLIENTS, Outcome, run};

/// Run real AI clients against a local endpoint and see what the daemon stores of it (root)
#[derive(Parser)]
struct Cli {
    /// Only clients whose names contain one of these words
    words: Vec<String>,
    /// Print the names of all clients
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut out = std::io::stdout();
    if cli.list {
        for client in CLIENTS {
            writeln!(out, "{}", client.name)?;
        }
        return Ok(());
    }
    for outcome in run(&cli.words, progress)? {
        writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

fn progress(outcome: &Outcome) {
    let counts: Vec<String> = outcome
        .runs
        .iter()
        .map(|seen| {
            format!(
                "{}/{} calls, {}/{} connections",
                seen.decoded, seen.calls, seen.connection_rows, seen.connections
            )
        })
        .collect();
    let silent = if outcome.silent { " SILENT" } else { "" };
    eprintln!(
        "[clients] {:40} {}{silent} {}",
        outcome.client,
        counts.join("; "),
        outcome.trouble
    );
}
