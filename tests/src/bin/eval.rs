//! Compares what Observer finds in labelled material with the labels; `cargo xtask eval` runs it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use observer_tests::eval::{self, Kind};

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
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match eval::run(cli.kind, &cli.path) {
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
