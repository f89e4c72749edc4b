//! `observer report`: the auditor's pack.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Failure, Format, log, out, period::PeriodArgs, progress::Bar, setup, target};
use crate::{
    kernel::clock::wall_ns,
    notary,
    review::{
        Scope,
        pack::{self, PAGE, Request},
    },
    store::Client,
    verify::Options,
};

const AFTER_HELP: &str = "\
The pack is a directory: report.html, which needs nothing else and prints well, and the data as CSV and JSON. It says what was
observed, what was not and why, and verifies the records of the period. It holds names of hosts, users and workloads: give it to
nobody who may not read those.

Examples:
  observer report --from 2026-11-01 --to 2026-12-01 --scope 'all production nodes' --output november
  observer report --from 7d --host web-1 --seed chosen-by-the-auditor -o web-1
  observer report --from 30d --anchors /mnt/worm -o month";

/// Write the auditor's pack of a period: one page and its data.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    period: PeriodArgs,
    /// New or empty directory for the pack.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// What the report is about, in your words; stands on its first page.
    #[arg(long, value_name = "TEXT", default_value = "All hosts of this store.")]
    scope: String,
    /// Only this host id.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Only this Kubernetes workload, or processes with this command name.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Seed of the random sample: the same one draws the same calls.
    #[arg(long, value_name = "TEXT", default_value = "observer")]
    seed: String,
    /// Calls in the sample.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(0..=1000))]
    sample: u32,
    /// Directory with anchors of a notary.
    #[arg(long, value_name = "DIR")]
    anchors: Option<PathBuf>,
    /// Form of the answer on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its store is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let config = setup::load(args.config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .config;
    let now = wall_ns();
    let (from, to) = args.period.bounded(now)?;
    let mut verify = Options::new(now);
    verify.keep_records_days = config.store.retention.records_days();
    verify.keep_seals_days = config.store.retention.seals_days();
    if let Some(directory) = &args.anchors {
        verify.outside = notary::all(directory)?;
    }
    let request = Request {
        scope: Scope {
            from,
            to,
            host: args.host.clone(),
            workload: args.workload.clone(),
        },
        statement: args.scope.clone(),
        seed: args.seed.clone(),
        sample: args.sample,
        verify,
    };
    let client = Client::new(&target::of(&config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut bar = Bar::new();
    let facts = runtime.block_on(pack::gather(&client, request, &mut bar));
    bar.finish();
    let facts = facts?;
    let files = pack::files(&facts);
    pack::write(&args.output, &files)?;
    let verdict = facts.verification.verdict().word();
    let answer = facts.coverage.answer().word();
    match args.format {
        Format::Json => out::print_json(&json!({
            "directory": args.output.display().to_string(),
            "verdict": verdict,
            "answer": answer,
            "files": files.iter().map(|f| f.name).collect::<Vec<_>>(),
        }))?,
        Format::Table => out::print(&format!(
            "{}: {} files; {answer}, verification: {verdict}",
            args.output.join(PAGE).display(),
            files.len()
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}
