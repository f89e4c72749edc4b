//! `observer run`: the daemon.

use std::{path::PathBuf, process::ExitCode};

use super::{Failure, log, out, setup};

const AFTER_HELP: &str = "\
Needs root, or the capabilities that `observer doctor` names. Without a configuration the embedded store is started,
the built-in catalogue and rules are used and nothing is judged: every verdict is `unknown`.

Examples:
  observer run
  observer run --config /etc/observer/observer.yaml
  RUST_LOG=debug observer run --config observer.yaml

docs/configuration.md describes the file; all its mistakes are reported at once, and then nothing is started.";

/// Observe this host until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration and all files that it names, and end.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = setup::load(args.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    log::start(loaded.config.log);
    for warning in loaded.judge.warnings() {
        out::complain(&warning);
    }
    if args.check {
        setup::complain_of_rules(&loaded.rules);
        out::print("the configuration is valid")?;
    } else {
        for problem in loaded.rules.left_out() {
            tracing::error!(%problem, "a rule for sensitive data is not in use");
        }
        crate::app::run(loaded)?;
    }
    Ok(ExitCode::SUCCESS)
}
