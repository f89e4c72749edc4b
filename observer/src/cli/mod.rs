//! Command line: one file per subcommand. Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.
//!
//! What a command gives goes to standard output, what it has to say about its work to standard error.

mod anchor;
mod canary;
mod catalog;
mod completions;
mod coverage;
mod doctor;
mod export;
mod inventory;
mod keys;
mod log;
mod man;
mod out;
mod period;
mod policy;
mod progress;
mod replay;
mod report;
mod rules;
mod run;
mod scan;
pub mod setup;
mod stacks;
mod store;
pub(crate) mod target;
mod top;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::yaml::Problem;

const AFTER_HELP: &str = "\
Examples:
  observer doctor           can Observer work on this host, and what is missing?
  observer run              observe, with the embedded store and the built-in rules
  observer top              watch what a running Observer sees
  observer scan notes.txt   look for keys, tokens and the like in a text

Exit codes: 0 done, 1 failed, 2 wrong configuration or usage.";

/// See which processes of this host talk to AI services, judge it against policy and find sensitive data in it.
#[derive(Debug, Parser)]
#[command(name = "observer", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Doctor(doctor::Args),
    Top(top::Args),
    Scan(scan::Args),
    Replay(replay::Args),
    Store(store::Args),
    Rules(rules::Args),
    Catalog(catalog::Args),
    Policy(policy::Args),
    Stacks(stacks::Args),
    Keys(keys::Args),
    Anchor(anchor::Args),
    Inventory(inventory::Args),
    Verify(verify::Args),
    Export(export::Args),
    Coverage(coverage::Args),
    Report(report::Args),
    #[command(hide = true)]
    Canary(canary::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

/// Form of what a command gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON object.
    Json,
}

/// Why a command did not do its work.
#[derive(Debug)]
enum Failure {
    /// Wrong configuration or usage: exit code 2.
    Usage(Vec<String>),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    fn problems(problems: &[Problem]) -> Self {
        Self::Usage(problems.iter().map(ToString::to_string).collect())
    }

    fn usage(message: impl Into<String>) -> Self {
        Self::Usage(vec![message.into()])
    }
}

/// Runs what the arguments ask for.
pub fn run(args: Args) -> ExitCode {
    let outcome = match args.command {
        Command::Run(args) => run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Catalog(args) => catalog::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Stacks(args) => stacks::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Anchor(args) => anchor::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Canary(args) => canary::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure::Usage(lines)) => {
            lines.iter().for_each(|line| out::complain(line));
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) if out::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            out::complain(&format!("observer: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_examples_a_newcomer_can_start_from() {
        Args::command().debug_assert();
        for command in Args::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("observer "),
                "{} has no examples",
                command.get_name()
            );
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
