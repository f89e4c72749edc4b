//! `observer rules`: the rules for sensitive data that are in use.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Format, out, setup};
use crate::{
    report::{
        rows::severity_tone,
        table::{Value, left, render, toned},
        text,
    },
    sensitive::{Rule, Rules},
};

const AFTER_HELP: &str = "\
Examples:
  observer rules list
  observer rules list --config observer.yaml --format json";

/// Show the rules for sensitive data.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all rules in use: the built-in ones, and those of a configuration.
    List {
        /// Form of the list.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Configuration file: its rule packs and disabled rules are used.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Command::List { format, config } = &args.command;
    let rules = setup::load(config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .rules;
    match format {
        Format::Table => out::print(&table(&rules))?,
        Format::Json => out::print_json(&as_json(&rules))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rules: &Rules) -> String {
    let values = |rule: &Rule| -> Vec<Value> {
        let severity = rule.severity.name();
        vec![
            rule.id.as_str().into(),
            rule.class.name().into(),
            toned(severity, severity_tone(severity)),
            rule.name.as_str().into(),
        ]
    };
    let rows: Vec<Vec<Value>> = rules.list().iter().map(|rule| values(rule)).collect();
    let table = render(
        &[
            left("rule"),
            left("kind"),
            left("severity"),
            left("what it finds"),
        ],
        &rows,
    );
    format!(
        "{table}\n{}, version {}\n",
        text::plural(rows.len(), "rule"),
        rules.version()
    )
}

fn as_json(rules: &Rules) -> serde_json::Value {
    let one = |rule: &Rule| {
        json!({
            "rule_id": rule.id,
            "name": rule.name,
            "finding_type": rule.class.name(),
            "severity": rule.severity.name(),
        })
    };
    json!({
        "version": rules.version(),
        "sha256": hex::encode(rules.digest()),
        "rules": rules.list().iter().map(|rule| one(rule)).collect::<Vec<_>>(),
    })
}
