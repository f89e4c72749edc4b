//! `observer canary`: the helper of the daemon's self-test. Hidden: nobody calls it by hand.

use std::{path::PathBuf, process::ExitCode};

use super::Failure;
use crate::selftest::client;

const AFTER_HELP: &str = "\
Started by `observer run`; docs/evidence.md describes the self-test.

Example:
  observer canary --library /usr/lib/x86_64-linux-gnu/libssl.so.3";

/// Make the self-test's calls, as told on standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// libssl to use; without it the usual places are looked through.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    // It was started as /proc/self/exe, which is no name.
    let _ = rustix::thread::set_name(c"observer-canary");
    client::run(
        args.library.as_deref(),
        std::io::stdin().lock(),
        std::io::stdout().lock(),
    )?;
    Ok(ExitCode::SUCCESS)
}
