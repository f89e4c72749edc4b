//! The stages from record to row on one core, without a kernel: against a copy of the same bytes, and against
//! vectorscan alone on the same text.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use observer::catalog::Catalog;
use observer::identity::{Ancestor, Identity, ProcessKey};
use observer::pipeline::{Output, Pipeline, Rulebook};
use observer::policy::Judge;
use observer::sensitive::{Engine, HmacKey, Rules};
use observer_common::wire::decode;
use vectorscan_rs::StreamingDatabase;

use super::recording::Recording;
use super::{Name, Row, Rows, cpu, number};

const REPEATS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run() -> Result<Vec<Row>> {
    let rules = Rules::builtin().map_err(|problems| anyhow::anyhow!("built-in rules: {problems:?}"))?;
    let engine = Engine::new(&rules)?;
    let mut rows = Rows::new(Name::Pipeline);
    let (raw, _) = super::scan::raw(&rules)?;
    let bench = Bench {
        rules: &rules,
        engine: &engine,
        raw: &raw,
    };
    bench.throughput(&mut rows, "prompts of 1 MiB", &Recording::large_prompts(48))?;
    let streamed = Recording::streamed(40, 1000);
    let streaming = bench.throughput(&mut rows, "answers of 1,000 events", &streamed)?;
    rows.many("one event of a stream", &per(&streaming, streamed.len()), "ns");
    let small = Recording::small_exchanges(5000);
    let calls = bench.throughput(&mut rows, "calls of 2 KiB", &small)?;
    rows.many("one call of 2 KiB", &per(&calls, small.exchanges), "ns");
    Ok(rows.1)
}

fn per(seconds: &[f64], count: u64) -> Vec<f64> {
    seconds.iter().map(|s| s * 1e9 / number(count)).collect()
}

struct Bench<'a> {
    rules: &'a Rules,
    engine: &'a Engine,
    raw: &'a StreamingDatabase,
}

impl Bench<'_> {
    /// Rows for one kind of traffic; gives the seconds of the pipeline.
    fn throughput(&self, rows: &mut Rows, what: &str, recording: &Recording) -> Result<Vec<f64>> {
        let (mut pipeline, mut copy, mut scan) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            copy.push(copied(recording));
            scan.push(self.scanned(&recording.text)?);
            pipeline.push(self.piped(recording)?);
        }
        let plaintext = number(recording.plaintext) / MIB;
        let text = number(recording.text.len() as u64) / MIB;
        let rate = |amount: f64, seconds: &[f64]| seconds.iter().map(|s| amount / s).collect::<Vec<f64>>();
        let note = format!(
            "{} records, {plaintext:.1} MiB, {text:.1} MiB of text",
            recording.len()
        );
        rows.many(
            format!("{what}: pipeline, plaintext"),
            &rate(plaintext, &pipeline),
            "MiB/s",
        )
        .note(note);
        rows.many(
            format!("{what}: copy of the same records"),
            &rate(plaintext, &copy),
            "MiB/s",
        );
        rows.many(
            format!("{what}: vectorscan alone, text"),
            &rate(text, &scan),
            "MiB/s",
        )
        .note(format!("{} rules", self.rules.list().len()));
        if recording.text.len() as u64 * 2 > recording.plaintext {
            let share: Vec<f64> = pipeline.iter().zip(&scan).map(|(all, scan)| all / scan).collect();
            rows.many(
                format!("{what}: time of the pipeline against vectorscan alone"),
                &share,
                "times",
            );
        }
        Ok(pipeline)
    }

    fn piped(&self, recording: &Recording) -> Result<f64> {
        let mut pipeline = Pipeline::new(self.rulebook()?);
        let process = Arc::new(process());
        let mut interactions = 0;
        let start = cpu();
        for record in recording.iter() {
            let (header, body) = decode(record).map_err(|e| anyhow::anyhow!("{e:?}"))?;
            pipeline.record(&header, &body, &process);
            for output in pipeline.outputs() {
                interactions += u64::from(matches!(output, Output::Interaction(..)));
                black_box(output);
            }
        }
        let seconds = cpu() - start;
        let totals = pipeline.totals();
        ensure!(
            interactions == recording.exchanges && totals.exchanges_partial == 0,
            "{interactions} of {} calls came out, {} not whole",
            recording.exchanges,
            totals.exchanges_partial
        );
        Ok(seconds)
    }

    /// Seconds of vectorscan alone, with all rules as whole patterns.
    fn scanned(&self, text: &[u8]) -> Result<f64> {
        super::scan::scanned(self.raw, text)
    }

    fn rulebook(&self) -> Result<Rulebook> {
        Ok(Rulebook {
            catalog: Arc::new(Catalog::builtin()),
            judge: Arc::new(Judge::none()),
            engine: self.engine.clone(),
            rules_version: self.rules.version().to_owned(),
            rules_digest: self.rules.digest(),
            key: HmacKey::generate().context("no random bytes")?,
            exclude_executables: Vec::new(),
            served_calls: true,
            host_name: "bench".to_owned(),
        })
    }
}

fn copied(recording: &Recording) -> f64 {
    let mut buffer = vec![0; 64 * 1024];
    let start = cpu();
    for record in recording.iter() {
        buffer[..record.len()].copy_from_slice(record);
        black_box(&mut buffer);
    }
    cpu() - start
}

fn process() -> Identity {
    Identity {
        key: ProcessKey {
            pid: 1234,
            start_ns: 5_000_000_000,
        },
        parent_pid: 1,
        comm: "python".to_owned(),
        executable: "/usr/bin/python3.11".to_owned(),
        uid: 1000,
        login_uid: 1000,
        user: "user".to_owned(),
        ancestry: ["bash", "systemd"]
            .map(|comm| Ancestor {
                pid: 1,
                start_ticks: 1,
                comm: comm.to_owned(),
            })
            .to_vec(),
        ..Identity::default()
    }
}
