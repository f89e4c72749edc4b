//! `observer verify`: are the stored rows the ones that were sealed, and all of them?

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clickhouse::Row;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Failure, Format, log, out, period::PeriodArgs, progress::Bar, setup, target};
use crate::{
    bundle::BundleSource,
    config::Retention,
    kernel::clock::wall_ns,
    notary,
    report::{
        json::timestamp,
        table::{Tone, Value, left, render, right, toned},
    },
    store::Client,
    verify::{Findings, Kind, Level, NOT_FOUND, Options, Pins, Report, StoreSource, Verdict, run as verify},
};

const AFTER_HELP: &str = "\
Everything is computed anew: the hash of every record, digest, hash and signature of every seal, numbers without holes, the
link from each seal to the one before, certificates, anchors, and whether hosts that should be there are there. Anchors
are read from the store and, with --anchors, from the directory where the notary puts them: those count, since the database
has no say there. With --from and --to, all records of that time are checked, whatever they are sealed in, and the seals
next to it show that none is missing. docs/evidence.md explains the words.

Exit codes: 0 verified, 1 something is wrong or missing, 2 it could not be verified (or wrong usage).

Examples:
  observer verify --config observer.yaml
  observer verify --from 2026-11-01 --to 2026-12-01 --anchors /mnt/worm
  observer verify --host web-1 --format json
  observer verify --bundle november --anchors anchors-of-november
  observer verify --trust hosts.keys --anchors /mnt/worm
  observer verify --record                the run is noted in `verification_runs`";

/// Verify the stored evidence: hashes, signatures, numbers, links, keys and anchors.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    period: PeriodArgs,
    /// A bundle that `observer export` wrote, instead of a store.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "to", "host", "record", "config"])]
    bundle: Option<PathBuf>,
    /// Only this host id.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Directory with anchors of a notary.
    #[arg(long, value_name = "DIR")]
    anchors: Option<PathBuf>,
    /// File with keys that were taken down on the hosts: a chain that another key signed is a finding. Lines `host HOST_ID KEY`,
    /// as `observer keys show` prints them.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A chain without a closing seal may end so many minutes before the end of what is looked at.
    #[arg(long, value_name = "MINUTES", default_value_t = 5)]
    stale_after: u32,
    /// Days that records are kept in this store: of older seals they may be gone. Else what `store.retention` says, else 400.
    #[arg(long, value_name = "DAYS")]
    keep_records: Option<u32>,
    /// Days that seals are kept in this store. Else what `store.retention` says, else 1130.
    #[arg(long, value_name = "DAYS")]
    keep_seals: Option<u32>,
    /// Note the run in `verification_runs` of the store.
    #[arg(long)]
    record: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its store is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let mut options = Options::new(wall_ns());
    options.period = args.period.period(options.now)?;
    options.host.clone_from(&args.host);
    options.stale_after = i64::from(args.stale_after) * 60_000_000_000;
    keep(&mut options, args, &Retention::default());
    options.trust = args.trust.as_deref().map(pins).transpose()?;
    let report = match &args.bundle {
        Some(directory) => of_bundle(directory, args, options),
        None => {
            let config = setup::load(args.config.as_deref())
                .map_err(|problems| Failure::problems(&problems))?
                .config;
            keep(&mut options, args, &config.store.retention);
            of_store(args, &config, options)
        }
    };
    match report {
        Ok(report) => {
            print(&report, args.format)?;
            Ok(exit_code(report.verdict()))
        }
        // "Could not verify" is an answer of its own: nobody may take it for "something is wrong".
        Err(error) => {
            out::complain(&format!("observer: could not verify: {error:#}"));
            Ok(ExitCode::from(2))
        }
    }
}

/// How long rows are kept: as asked, else as configured. Never as the tables say: whoever shortens that must not excuse what
/// is missing.
fn keep(options: &mut Options, args: &Args, configured: &Retention) {
    options.keep_records_days = args.keep_records.unwrap_or(configured.records_days());
    options.keep_seals_days = args.keep_seals.unwrap_or(configured.seals_days());
}

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Verified => ExitCode::SUCCESS,
        Verdict::Findings => ExitCode::FAILURE,
        Verdict::Unverifiable => ExitCode::from(2),
    }
}

/// Two threads: one reads what the store sends while the other computes hashes.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// The keys that the auditor pinned.
fn pins(file: &Path) -> anyhow::Result<Pins> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    Pins::parse(&text).map_err(|why| anyhow::anyhow!("{shown}: {why}"))
}

fn of_store(args: &Args, config: &crate::config::Config, mut options: Options) -> anyhow::Result<Report> {
    options.outside = anchors_in(args.anchors.as_deref())?;
    let client = Client::new(&target::of(config)?)?;
    runtime()?.block_on(async {
        let mut source = StoreSource::new(client.clone(), options.period, options.host.clone());
        let mut bar = Bar::new();
        let report = verify(&mut source, &options, &mut bar).await;
        bar.finish();
        let report = report?;
        if args.record {
            note(&client, &report).await?;
        }
        Ok(report)
    })
}

fn of_bundle(directory: &Path, args: &Args, mut options: Options) -> anyhow::Result<Report> {
    options.outside = anchors_in(args.anchors.as_deref())?;
    let mut source = BundleSource::open(directory)?;
    let options = source.options(options);
    let mut bar = Bar::new();
    let report = runtime()?.block_on(verify(&mut source, &options, &mut bar));
    bar.finish();
    report
}

/// Anchors of a directory.
fn anchors_in(
    directory: Option<&Path>,
) -> anyhow::Result<Vec<(crate::evidence::AnchorRow, Option<crate::evidence::KeyRow>)>> {
    directory.map_or_else(|| Ok(Vec::new()), notary::all)
}

/// A row of `verification_runs`.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Run {
    #[serde(with = "clickhouse::serde::uuid")]
    run_id: Uuid,
    verifier_version: String,
    range_from: i64,
    range_to: i64,
    hosts: u32,
    seals: u64,
    records: u64,
    gaps: u64,
    bad_hashes: u64,
    bad_signatures: u64,
    forks: u64,
    retention_expired: u64,
    verdict: String,
    report_sha256: [u8; 32],
}

async fn note(client: &Client, report: &Report) -> anyhow::Result<()> {
    let run = Run {
        run_id: Uuid::new_v4(),
        verifier_version: env!("CARGO_PKG_VERSION").into(),
        range_from: report.period.from.unwrap_or(0) / 1_000_000,
        range_to: report.period.to.unwrap_or(report.at) / 1_000_000,
        hosts: u32::try_from(report.hosts.len())?,
        seals: report.total(|c| c.seals),
        records: report.total(|c| c.records),
        gaps: report.found(&[
            Kind::RecordMissing,
            Kind::SealMissing,
            Kind::AnchoredSealMissing,
            Kind::HostMissing,
        ]),
        bad_hashes: report.found(&[Kind::RecordChanged, Kind::SealChanged, Kind::DigestMismatch]),
        bad_signatures: report.found(&[Kind::SealSignature, Kind::SealUnsigned, Kind::KeyUnknown]),
        forks: report.found(&[Kind::SealFork, Kind::RecordTwin, Kind::TwoAgents]),
        retention_expired: report.found(&[Kind::RetentionExpired]),
        verdict: report.verdict().word().into(),
        report_sha256: Sha256::digest(report.to_json().to_string()).into(),
    };
    client.insert_rows("verification_runs", &[&run], None).await?;
    Ok(())
}

fn print(report: &Report, format: Format) -> std::io::Result<()> {
    out::unless_gone(match format {
        Format::Json => out::print_json(&report.to_json()),
        Format::Table => out::print(&as_text(report)),
    })
}

/// The report for people.
pub(super) fn as_text(report: &Report) -> String {
    let columns = [
        left("host"),
        left("verdict"),
        right("starts"),
        right("seals"),
        right("records"),
        right("anchored"),
        left("first seal (UTC)"),
        left("last seal (UTC)"),
    ];
    let rows: Vec<Vec<Value>> = report
        .hosts
        .iter()
        .map(|host| {
            let time =
                |ns: Option<i64>| ns.map_or_else(|| "-".to_owned(), |ns| timestamp(ns)[..19].to_owned());
            vec![
                host.host.clone().into(),
                toned(said(host.verdict()), tone(host.verdict())),
                host.counts.epochs.to_string().into(),
                host.counts.seals.to_string().into(),
                host.counts.records.to_string().into(),
                host.counts.anchored.to_string().into(),
                time(host.span.map(|s| s.0)).into(),
                time(host.span.map(|s| s.1)).into(),
            ]
        })
        .collect();
    let mut text = render(&columns, &rows);
    let found: Vec<Vec<Value>> = report
        .hosts
        .iter()
        .flat_map(|host| lines(&host.host, &host.findings))
        .chain(lines("-", &report.general))
        .collect();
    if !found.is_empty() {
        let columns = [
            left("level"),
            left("host"),
            left("what"),
            right("rows"),
            left("where"),
            left("detail"),
        ];
        text.push_str(&format!("\n{}", render(&columns, &found)));
        text.push_str(&meanings(report));
    }
    text.push_str(&format!(
        "\n{}: {} hosts, {} seals, {} records, {} anchors\n\nNo check of stored rows can find:\n",
        said(report.verdict()),
        report.hosts.len(),
        report.total(|c| c.seals),
        report.total(|c| c.records),
        report.anchors
    ));
    for line in NOT_FOUND {
        text.push_str(&format!("- {line}\n"));
    }
    text
}

fn lines(host: &str, findings: &Findings) -> Vec<Vec<Value>> {
    findings
        .kept()
        .iter()
        .map(|finding| {
            let (level, tone) = match finding.kind.level() {
                Level::Finding => ("finding", Tone::Bad),
                Level::Unverifiable => ("unverifiable", Tone::Warn),
                Level::Remark => ("remark", Tone::Plain),
            };
            vec![
                toned(level, tone),
                host.into(),
                finding.kind.word().into(),
                finding.count.to_string().into(),
                finding.place.to_string().into(),
                finding.detail.clone().into(),
            ]
        })
        .collect()
}

/// What the words mean, for those that occur.
fn meanings(report: &Report) -> String {
    let mut text = String::from("\n");
    for kind in Kind::ALL {
        if report.found(&[*kind]) > 0 {
            text.push_str(&format!("{}: {}\n", kind.word(), kind.meaning()));
        }
    }
    text
}

fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => "verified",
        Verdict::Unverifiable => "could not verify",
        Verdict::Findings => "findings",
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Verified => Tone::Good,
        Verdict::Unverifiable => Tone::Warn,
        Verdict::Findings => Tone::Bad,
    }
}
