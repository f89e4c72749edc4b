//! `observer export`: evidence as files.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Failure, Format, log, out, period::PeriodArgs, progress::Bar, setup, target};
use crate::{
    bundle::{Exported, export},
    kernel::clock::wall_ns,
    report::table::{left, render, right},
    siem::{self, Shape, Written},
    store::Client,
};

const AFTER_HELP: &str = "\
A bundle is a directory: records, seals, certificates and anchors as JSON lines (zstd; `zstdcat` shows them), and a manifest
with the SHA-256 of each file. Whoever has it can verify it without the store. It holds what the tables hold, so names of
users and hosts, too: give it to nobody who may not read those.

For a SIEM, `--as ocsf` and `--as otlp` write calls, findings and connections as events instead, one per line, plain. They
cannot be verified; each names the hash of the row that it was made from.

Examples:
  observer export --from 2026-11-01 --to 2026-12-01 --output november
  observer export --host web-1 -o web-1
  observer verify --bundle november
  observer export --as ocsf --from 1h --output /var/spool/siem/$(date +%FT%H)";

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum As {
    /// Files that can be verified offline.
    #[default]
    Bundle,
    /// Events of the Open Cybersecurity Schema Framework 1.9.
    Ocsf,
    /// Log records of OpenTelemetry (OTLP/JSON).
    Otlp,
}

impl As {
    /// Form of the events; `None` for a bundle.
    fn shape(self) -> Option<Shape> {
        match self {
            Self::Bundle => None,
            Self::Ocsf => Some(Shape::Ocsf),
            Self::Otlp => Some(Shape::Otlp),
        }
    }
}

/// Export the evidence of a period: as a bundle of files that can be verified offline, or as events for a SIEM.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    period: PeriodArgs,
    /// What to write.
    #[arg(long = "as", value_enum, default_value_t)]
    kind: As,
    /// New or empty directory for it.
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
    let host = args.host.as_deref();
    let mut bar = Bar::new();
    match args.kind.shape() {
        None => {
            let exported = runtime.block_on(export(&client, period, host, &args.output, now, &mut bar));
            bar.finish();
            print(&exported?, args)?;
        }
        Some(shape) => {
            let written = runtime.block_on(siem::write(&client, period, host, &args.output, shape, &mut bar));
            bar.finish();
            print_events(&written?, args)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_events(files: &[Written], args: &Args) -> std::io::Result<()> {
    let directory = args.output.display().to_string();
    if args.format == Format::Json {
        let files: Vec<_> = files
            .iter()
            .map(|f| json!({"name": f.name, "rows": f.rows, "events": f.events}))
            .collect();
        return out::print_json(&json!({"directory": directory, "files": files}));
    }
    let rows: Vec<_> = files
        .iter()
        .map(|f| {
            vec![
                f.name.clone().into(),
                f.rows.to_string().into(),
                f.events.to_string().into(),
            ]
        })
        .collect();
    let columns = [left("file"), right("rows"), right("events")];
    out::print(&format!("{}\n{directory}", render(&columns, &rows)))
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
