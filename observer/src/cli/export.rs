//! `observer export`: evidence as files.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Failure, Format, log, out, period::PeriodArgs, progress::Bar, setup, target};
use crate::{
    bundle::{Exported, export},
    kernel::clock::wall_ns,
    report::table::{left, render, right},
    store::Client,
};

const AFTER_HELP: &str = "\
A bundle is a directory: records, seals, certificates and anchors as JSON lines (zstd; `zstdcat` shows them), and a manifest
with the SHA-256 of each file. Whoever has it can verify it without the store. It holds what the tables hold, so names of
users and hosts, too: give it to nobody who may not read those.

Examples:
  observer export --from 2026-11-01 --to 2026-12-01 --output november
  observer export --host web-1 -o web-1
  observer verify --bundle november";

/// Export the evidence of a period as a bundle of files that can be verified offline.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    period: PeriodArgs,
    /// New or empty directory for the bundle.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Only this host id.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Form of the answer.
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
    let period = args.period.period(now)?;
    let client = Client::new(&target::of(&config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut bar = Bar::new();
    let exported = runtime.block_on(export(
        &client,
        period,
        args.host.as_deref(),
        &args.output,
        now,
        &mut bar,
    ));
    bar.finish();
    print(&exported?, args)?;
    Ok(ExitCode::SUCCESS)
}

fn print(exported: &Exported, args: &Args) -> std::io::Result<()> {
    let manifest = &exported.manifest;
    let digest = hex::encode(exported.sha256);
    if args.format == Format::Json {
        return out::print_json(&json!({
            "directory": args.output.display().to_string(),
            "manifest_sha256": digest,
            "manifest": manifest,
        }));
    }
    let columns = [left("file"), right("rows"), right("bytes")];
    let rows: Vec<_> = manifest
        .files
        .iter()
        .map(|f| {
            vec![
                f.name.clone().into(),
                f.rows.to_string().into(),
                f.bytes.to_string().into(),
            ]
        })
        .collect();
    out::print(&format!(
        "{}\n{}: {} hosts\nmanifest SHA-256 {digest}",
        render(&columns, &rows),
        args.output.display(),
        manifest.hosts.len()
    ))
}
