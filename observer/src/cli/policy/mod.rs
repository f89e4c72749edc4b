//! `observer policy`: checks a policy, explains a verdict, and judges stored history anew.

mod explain;
mod replay;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Format, out, setup};
use crate::{
    config::yaml::Problem,
    kernel::clock::wall_ns,
    policy::{Judge, Policy},
    report::text,
};

const AFTER_HELP: &str = "\
Examples:
  observer policy check policy.yaml --register ai-register.yaml
  observer policy explain --config observer.yaml --host api.openai.com --user alice
  observer policy replay --config observer.yaml --from 2026-11-01 new-policy.yaml

docs/policy.md describes policies and registers.";

const CHECK_HELP: &str = "\
Names every mistake with file, line and column; rules that can never decide, because others stand before them; entries of
the register that say different things about the same calls, whose approval is over or whose review is due.

Examples:
  observer policy check policy.yaml
  observer policy check --register ai-register.yaml
  observer policy check policy.yaml --register ai-register.yaml --format json

Exit code 2 where there is a mistake, 0 with warnings only.";

/// Check a policy, explain a verdict, or judge stored history by a new policy.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a policy, a register of AI systems, or both.
    #[command(after_help = CHECK_HELP)]
    Check {
        /// Policy file.
        #[arg(value_name = "FILE", required_unless_present = "register")]
        policy: Option<PathBuf>,
        /// Register of AI systems.
        #[arg(long, value_name = "FILE")]
        register: Option<PathBuf>,
        /// Form of the report.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    Explain(Box<explain::Args>),
    Replay(replay::Args),
}

/// Where policy and register are.
#[derive(Debug, clap::Args)]
struct Source {
    /// Configuration file: its policy, register and extra hosts are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Register of AI systems instead of the configuration's.
    #[arg(long, value_name = "FILE")]
    register: Option<PathBuf>,
}

impl Source {
    /// Everything of the configuration, with another policy or register where one is given.
    fn load(&self, policy: Option<&PathBuf>) -> Result<setup::Loaded, Failure> {
        let mut loaded =
            setup::load(self.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
        if policy.is_some() || self.register.is_some() {
            loaded.judge = Arc::new(other(&loaded.judge, policy, self.register.as_ref())?);
        }
        Ok(loaded)
    }
}

fn other(judge: &Judge, policy: Option<&PathBuf>, register: Option<&PathBuf>) -> Result<Judge, Failure> {
    let (policy, register) = read(policy, register).map_err(|problems| Failure::problems(&problems))?;
    Ok(Judge {
        policy: policy.unwrap_or_else(|| judge.policy.clone()),
        register: register.or_else(|| judge.register.clone()),
    })
}

type Files = (Option<Policy>, Option<crate::policy::Register>);

/// Reads what is given, with the problems of both.
fn read(policy: Option<&PathBuf>, register: Option<&PathBuf>) -> Result<Files, Vec<Problem>> {
    let policy = policy.map(|path| setup::load_policy(path)).transpose();
    let register = register.map(|path| setup::load_register(path)).transpose();
    match (policy, register) {
        (Ok(policy), Ok(register)) => Ok((policy, register)),
        (policy, register) => Err(policy.err().into_iter().chain(register.err()).flatten().collect()),
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::Check {
            policy,
            register,
            format,
        } => check(policy.as_ref(), register.as_ref(), *format),
        Command::Explain(args) => explain::run(args),
        Command::Replay(args) => replay::run(args),
    }
}

fn check(policy: Option<&PathBuf>, register: Option<&PathBuf>, format: Format) -> Result<ExitCode, Failure> {
    let (files, problems) = match read(policy, register) {
        Ok(files) => (Some(files), Vec::new()),
        Err(problems) => (None, problems),
    };
    let judge = files.map(|(policy, register)| Judge {
        policy: policy.unwrap_or_else(Policy::none),
        register,
    });
    let warnings = judge.as_ref().map(warnings_of).unwrap_or_default();
    match format {
        Format::Json => out::print_json(&json!({
            "valid": judge.is_some(),
            "problems": problems.iter().map(as_json).collect::<Vec<_>>(),
            "warnings": warnings,
            "rules": judge.as_ref().map(|judge| judge.policy.rule_count()),
            "entries": judge.as_ref().and_then(|judge| judge.register.as_ref()).map(|register| register.entries().len()),
            "policy_sha256": judge.as_ref().filter(|j| !j.policy.is_none()).map(|judge| hex::encode(judge.policy.digest())),
            "register_sha256": judge.as_ref().filter(|j| j.register.is_some()).map(|judge| hex::encode(judge.register_digest())),
        }))?,
        Format::Table => match &judge {
            None => return Err(Failure::problems(&problems)),
            Some(judge) => {
                warnings.iter().for_each(|warning| out::complain(warning));
                out::print(&summary(judge, warnings.len()))?;
            }
        },
    }
    Ok(if judge.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn warnings_of(judge: &Judge) -> Vec<String> {
    let overdue = judge
        .register
        .iter()
        .flat_map(|register| register.overdue(wall_ns()));
    judge
        .warnings()
        .into_iter()
        .chain(overdue.map(|text| format!("warning: {text}")))
        .collect()
}

fn summary(judge: &Judge, warnings: usize) -> String {
    let mut parts = Vec::new();
    if !judge.policy.is_none() {
        let rules = text::plural(judge.policy.rule_count(), "rule");
        parts.push(format!(
            "policy `{}`, version {}: {rules}",
            judge.policy.id(),
            judge.policy.version()
        ));
    }
    if let Some(register) = &judge.register {
        let count = register.entries().len();
        let entries = if count == 1 {
            "1 entry".to_owned()
        } else {
            format!("{count} entries")
        };
        parts.push(format!("register, version {}: {entries}", register.version()));
    }
    parts.push(format!("valid, {}", text::plural(warnings, "warning")));
    parts.join("\n")
}

fn as_json(problem: &Problem) -> serde_json::Value {
    json!({"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message})
}
