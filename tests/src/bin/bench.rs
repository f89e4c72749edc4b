//! The benchmarks as a program; `cargo xtask bench` runs it. Prints one line of JSON for each result.

use std::io::Write;

use anyhow::{Context, Result};
use clap::Parser;
use observer_tests::bench::{Name, run};

/// Measure what Observer costs (root, Linux with BTF, nothing else that observes this host)
#[derive(Parser)]
struct Cli {
    /// Which benchmarks; all of them when none is named
    names: Vec<Name>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let names = if cli.names.is_empty() {
        Name::ALL.to_vec()
    } else {
        cli.names
    };
    let mut out = std::io::stdout();
    for name in names {
        let rows = run(name).with_context(|| format!("benchmark {name:?}"))?;
        for row in rows {
            writeln!(out, "{}", serde_json::to_string(&row)?)?;
        }
        out.flush()?;
    }
    Ok(())
}
