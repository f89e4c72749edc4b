//! `observer replay`: the pipeline without a kernel. The form of a recording is described in `docs/operations.md`.

mod feed;
mod fields;
mod http;
mod http2;
mod recording;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use serde_json::json;

use super::{Failure, Format, log, out, setup};
use crate::{
    pipeline::{Pipeline, Rulebook},
    report::{
        json,
        rows::{self, Line},
        table::{left, render, right},
        text,
    },
    sensitive::{Engine, HmacKey},
};
use feed::{Feed, Outcome};
use recording::Step;

/// Largest recording, bytes after decompression: it is checked as a whole before anything runs, so it is in memory.
const MAX_RECORDING: u64 = 512 << 20;

const AFTER_HELP: &str = "\
Two forms of lines are taken, plain or gzip: steps of connections as docs/operations.md describes them, and whole
HTTP calls with `method`, `host`, `path`, `req_headers`, `req_body`, `status`, `resp_headers` and `resp_body`.

Examples:
  observer replay tests/recordings/openai-chat.jsonl
  observer replay --format json calls.jsonl.gz | jq '.interactions[].gen_ai_request_model'
  observer replay --config observer.yaml -  < recording.jsonl

A recording with a wrong line is not replayed: all wrong lines are named, exit code 2.";

/// How a whole call is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Framing {
    /// HTTP/1.1, with a length.
    #[default]
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2, bodies in frames of random sizes.
    #[value(name = "2")]
    Http2,
}

/// Run a recording through the pipeline: what would be stored, without a kernel and without a store.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The recording, JSON Lines, plain or gzip; `-` is standard input.
    recording: PathBuf,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Protocol in which whole calls are framed again.
    #[arg(long, value_enum, default_value_t)]
    http: Framing,
    /// Configuration file: policy, rules and extra hosts are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let loaded = setup::load(args.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    let name = args.recording.display().to_string();
    let text = read(&args.recording).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let steps = recording::parse(&text, args.http).map_err(|problems| {
        Failure::Usage(
            problems
                .into_iter()
                .map(|(line, message)| format!("{name}:{line}: {message}"))
                .collect(),
        )
    })?;
    drop(text);
    let outcome = replay(loaded, &steps)?;
    match args.format {
        Format::Table => out::print(&tables(&outcome))?,
        Format::Json => out::print_json(&as_json(&outcome))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut raw: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path)?),
    };
    let mut first = [0; 2];
    let got = read_some(&mut raw, &mut first)?;
    let whole = BufReader::new(first[..got].chain(raw));
    let mut text = Vec::new();
    if first[..got] == [0x1f, 0x8b] {
        MultiGzDecoder::new(whole)
            .take(MAX_RECORDING + 1)
            .read_to_end(&mut text)?;
    } else {
        whole.take(MAX_RECORDING + 1).read_to_end(&mut text)?;
    }
    if text.len() as u64 > MAX_RECORDING {
        return Err(io::Error::other(format!(
            "larger than {}",
            text::bytes(MAX_RECORDING)
        )));
    }
    Ok(text)
}

/// Fills `buffer` unless the input ends before.
fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

fn replay(loaded: setup::Loaded, steps: &[Step]) -> anyhow::Result<Outcome> {
    let catalog = Arc::new(loaded.catalog);
    let book = Rulebook {
        catalog: Arc::clone(&catalog),
        judge: loaded.judge,
        engine: Engine::new(&loaded.rules)?,
        rules_version: loaded.rules.version().to_owned(),
        rules_digest: loaded.rules.digest(),
        // Hashes of one replay can be compared with each other and with nothing else.
        key: HmacKey::generate().map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?,
        exclude_executables: loaded.config.capture.exclude_executables,
        served_calls: loaded.config.capture.served_calls,
        host_name: "replay".to_owned(),
    };
    let mut feed = Feed::new(Pipeline::new(book), catalog);
    steps.iter().for_each(|step| feed.step(step));
    Ok(feed.finish())
}

fn as_json(outcome: &Outcome) -> serde_json::Value {
    let losses: Vec<serde_json::Value> = outcome
        .losses
        .iter()
        .map(|(stage, reason, loss)| {
            json!({"stage": stage.name(), "reason": reason, "events": loss.events, "bytes": loss.bytes})
        })
        .collect();
    json!({
        "interactions": json::rows(&outcome.interactions),
        "findings": json::rows(&outcome.findings),
        "connections": json::rows(&outcome.connections),
        "losses": losses,
        "totals": {
            "records": outcome.totals.records,
            "flows": outcome.totals.flows,
            "exchanges": outcome.totals.exchanges,
            "exchanges_partial": outcome.totals.exchanges_partial,
            "exchanges_not_ai": outcome.totals.exchanges_other,
            "bytes_not_delivered": outcome.not_delivered,
        },
    })
}

fn tables(outcome: &Outcome) -> String {
    let lines: Vec<Line> = outcome.interactions.iter().map(Line::from).collect();
    let mut parts = vec![format!("{}\n", text::plural(lines.len(), "AI interaction"))];
    if !lines.is_empty() {
        parts.push(rows::interactions(&lines));
    }
    if !outcome.findings.is_empty() {
        parts.push(format!(
            "\n{}\n{}",
            text::plural(outcome.findings.len(), "finding"),
            rows::findings(&outcome.findings)
        ));
    }
    if !outcome.connections.is_empty() {
        let count = text::plural(outcome.connections.len(), "AI connection");
        parts.push(format!("\n{count}\n{}", rows::connections(&outcome.connections)));
    }
    if !outcome.losses.is_empty() {
        let row = |(stage, reason, loss): &feed::Booked| {
            vec![
                stage.name().into(),
                (*reason).into(),
                loss.events.to_string().into(),
                text::bytes(loss.bytes).into(),
            ]
        };
        let columns = [left("stage"), left("reason"), right("events"), right("size")];
        let table = render(&columns, &outcome.losses.iter().map(row).collect::<Vec<_>>());
        parts.push(format!("\nnot read\n{table}"));
    }
    let totals = outcome.totals;
    parts.push(format!(
        "\n{} in {}, {} not AI, {} not delivered\n",
        text::plural(usize::try_from(totals.records).unwrap_or(usize::MAX), "record"),
        text::plural(usize::try_from(totals.flows).unwrap_or(usize::MAX), "flow"),
        text::plural(
            usize::try_from(totals.exchanges_other).unwrap_or(usize::MAX),
            "exchange"
        ),
        text::bytes(outcome.not_delivered),
    ));
    parts.concat()
}
