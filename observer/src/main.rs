//! The program: parses its arguments and hands over.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    observer::cli::run(observer::cli::Args::parse())
}
