//! `observer rules`: the rules for sensitive data that are in use.

mod explain;
mod list;
mod test;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::{Failure, Format, log, setup};
use crate::sensitive::Rules;

const AFTER_HELP: &str = "\
Examples:
  observer rules list --class credential --severity critical
  observer rules list --config observer.yaml --format json
  git diff | observer rules test -
  observer rules explain aws_secret_access_key";

const TEST_HELP: &str = "\
The values that were found are never shown, only where they are and how long. 64 MiB at most; `observer scan` takes files
of any size.

Examples:
  observer rules test prompt.txt
  echo 'is this a key?' | observer rules test --rule stripe_key -

Exit codes: 0 done, 1 failed, 2 wrong usage.";

const EXPLAIN_HELP: &str = "\
Shows what the rule looks for, which literal texts that takes, what else must hold, and what becomes of the rule's own
examples. Exit code 1 when an example does not do what it should.";

/// Show the rules for sensitive data and try them.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What all of these commands take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its rule packs and disabled rules are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all rules in use: the built-in ones, and those of a configuration.
    List(list::Args),
    /// Say which rules find something in a text, where, and how sure they are.
    #[command(after_help = TEST_HELP)]
    Test(test::Args),
    /// Explain one rule: pattern, literals, checks, and what becomes of its examples.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(explain::Args),
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
    }
}

/// The rules of the built-in packs and of a configuration; what is left out is said on standard error.
fn load(common: &Common) -> Result<Rules, Failure> {
    let loaded = setup::load(common.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    setup::complain_of_rules(&loaded.rules);
    Ok(loaded.rules)
}

/// A rule that is not there, with the nearest names that are.
fn no_such_rule(rules: &Rules, id: &str) -> anyhow::Error {
    let words: Vec<&str> = id.split('_').filter(|w| w.len() > 2).collect();
    let near: Vec<&str> = rules
        .list()
        .iter()
        .map(|rule| rule.id.as_str())
        .filter(|known| words.iter().any(|word| known.contains(word)))
        .take(5)
        .collect();
    let left_out = rules
        .left_out()
        .iter()
        .find(|problem| problem.message.starts_with(&format!("rule `{id}` left out")));
    match (left_out, near.as_slice()) {
        (Some(problem), _) => anyhow::anyhow!("{problem}"),
        (None, []) => anyhow::anyhow!("no rule `{id}`; `observer rules list` shows all"),
        (None, near) => anyhow::anyhow!("no rule `{id}`; near to it: {}", near.join(", ")),
    }
}
