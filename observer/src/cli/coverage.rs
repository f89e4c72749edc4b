//! `observer coverage`: how much of a period was observed.

use std::process::ExitCode;

use super::{Failure, Format, log, out, period::PeriodArgs, setup, target};
use crate::{
    coverage::account::{Answer, HostCoverage},
    kernel::clock::wall_ns,
    report::{
        json::timestamp,
        table::{Tone, Value, left, render, right, toned},
        text::{duration, percent},
    },
    review::{Coverage, QUERIES, Scope, coverage},
    store::Client,
};

const AFTER_HELP: &str = "\
C_time   time with a seal, all probes and a self-test that came through, by time expected (inventory, else the period)
C_event  events that were not lost, by all
C_flow   connections to AI that were decoded, by all; one decoded in part is not
C_byte   clear bytes that were read, by bytes of the sockets, where those are known (below 1 by the overhead of TLS)
C        C_time x C_event x C_flow: an estimate, no bound; flows to nobody known that could not be read are in no ratio

A ratio without a denominator is \"not measured\". OBSERVED_NONE is said only where nothing is in doubt; the doubts are
listed. Without --from it is the last day. The chain itself is checked by `observer verify`.

Examples:
  observer coverage --from 24h
  observer coverage --from 2026-11-01 --to 2026-12-01 --host web-1
  observer coverage --from 7d --workload billing --format json
  observer coverage --sql              the queries that give the same numbers";

/// Say how much of a period was observed, with every factor, gap and doubt.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    period: PeriodArgs,
    /// Only this host id.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Only this Kubernetes workload, or processes with this command name.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Print the queries instead.
    #[arg(long)]
    sql: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its store is read.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    if args.sql {
        for (name, text) in QUERIES {
            out::print(&format!("-- {name}\n{text}"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let config = setup::load(args.config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .config;
    let now = wall_ns();
    let (from, to) = args.period.bounded(now)?;
    let scope = Scope {
        from,
        to,
        host: args.host.clone(),
        workload: args.workload.clone(),
    };
    let client = Client::new(&target::of(&config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let coverage = runtime.block_on(coverage(&client, &scope, now))?;
    match args.format {
        Format::Json => out::print_json(&coverage.to_json())?,
        Format::Table => out::print(&as_text(&coverage))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(coverage: &Coverage) -> String {
    let flows = coverage.flows();
    let (good, expected) = coverage.time();
    let ns = |ns: u64| duration(i64::try_from(ns).unwrap_or(i64::MAX));
    let seen = coverage.sum(|h| h.events_seen);
    let lost = coverage.sum(|h| h.events_lost);
    let factor =
        |name: &str, ratio, detail: String| vec![name.into(), Value::from(percent(ratio)), detail.into()];
    let factors = [
        factor(
            "C_time",
            coverage.c_time(),
            format!(
                "{} of {} of {} hosts",
                ns(good),
                ns(expected),
                coverage.hosts.len()
            ),
        ),
        factor(
            "C_event",
            coverage.c_event(),
            format!("{lost} lost of {} events", seen.saturating_add(lost)),
        ),
        factor(
            "C_flow",
            flows.c_flow(),
            format!(
                "{} decoded, {} in part, {} opaque of {} connections to AI",
                flows.decoded, flows.partial, flows.opaque, flows.all
            ),
        ),
        factor(
            "C_byte",
            flows.c_byte(),
            format!(
                "{} of {} bytes; {} connections whose bytes are not known",
                flows.plain_bytes, flows.socket_bytes, flows.bytes_unknown
            ),
        ),
        factor(
            "C",
            coverage.estimate(),
            format!(
                "and {} flows to nobody known that could not be read",
                coverage.unknown_opaque()
            ),
        ),
    ];
    let mut text = format!(
        "{} to {} UTC: {}\n\n{}\n",
        &timestamp(coverage.scope.from)[..19],
        &timestamp(coverage.scope.to)[..19],
        coverage.answer().word(),
        render(&[left("factor"), left("value"), left("of")], &factors)
    );
    text.push_str(&hosts(&coverage.hosts));
    text.push_str(&gaps(&coverage.hosts));
    if coverage.hosts.iter().any(|host| !host.in_inventory) {
        text.push_str("\nHosts that are not in `host_inventory` are known only since they sealed: others may have been there.\n");
    }
    text
}

fn hosts(hosts: &[HostCoverage]) -> String {
    let columns = [
        left("host"),
        left("answer"),
        right("C_time"),
        right("C_event"),
        right("C_flow"),
        right("unknown opaque"),
        left("in doubt"),
    ];
    let rows: Vec<Vec<Value>> = hosts
        .iter()
        .map(|host| {
            let doubts: Vec<&str> = host.doubts().iter().map(|d| d.word()).collect();
            let tone = match host.answer() {
                Answer::Unknown => Tone::Warn,
                Answer::None => Tone::Good,
                Answer::Some => Tone::Plain,
            };
            vec![
                host.host.clone().into(),
                toned(host.answer().word(), tone),
                percent(host.c_time()).into(),
                percent(host.c_event()).into(),
                percent(host.flows.c_flow()).into(),
                host.unknown_opaque
                    .max(host.flows.unknown_opaque)
                    .to_string()
                    .into(),
                doubts.join(", ").into(),
            ]
        })
        .collect();
    render(&columns, &rows)
}

fn gaps(hosts: &[HostCoverage]) -> String {
    let rows: Vec<Vec<Value>> = hosts
        .iter()
        .flat_map(|host| {
            host.gaps.iter().map(|gap| {
                vec![
                    host.host.clone().into(),
                    timestamp(gap.from)[..19].to_owned().into(),
                    timestamp(gap.to)[..19].to_owned().into(),
                    duration(gap.to - gap.from).into(),
                    gap.cause.into(),
                ]
            })
        })
        .collect();
    if rows.is_empty() {
        return "\nNo gaps.\n".into();
    }
    let columns = [
        left("gap on host"),
        left("from (UTC)"),
        left("to (UTC)"),
        right("length"),
        left("cause"),
    ];
    format!("\n{}", render(&columns, &rows))
}
