//! Chain and spool: what numbering, hashing and writing a row cost, against SHA-256 of the same bytes and against a plain write with fsync.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer::evidence::{
    Coverage, InteractionRow, Interval, Row as Evidence, SealKind, Sequencer, Signer, Table,
};
use observer::spool::{Spool, SpoolOptions};
use sha2::{Digest, Sha256};

use super::{Name, Row, Rows, number};

const REPEATS: usize = 5;
const ROWS: u64 = 50_000;
const SEALS: u64 = 2_000;
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run() -> Result<Vec<Row>> {
    let mut rows = Rows::new(Name::Spool);
    chain(&mut rows);
    let dir = tempfile::Builder::new()
        .prefix("observer-bench-")
        .tempdir_in(".")
        .context("no folder for the spool")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut spooled, mut synced, mut plain, mut pushed) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    for _ in 0..REPEATS {
        let once = runtime.block_on(through(dir.path()))?;
        bytes = once.bytes;
        pushed.push(once.push_ns);
        spooled.push(number(bytes) / MIB / once.seconds);
        synced.push(number(bytes) / MIB / once.writing_seconds);
        plain.push(number(bytes) / MIB / written(dir.path(), bytes)?);
    }
    rows.one(
        "bytes of an interaction on disk",
        number(bytes) / number(ROWS),
        "bytes",
    );
    rows.many("push of an interaction", &pushed, "ns")
        .note("what the pipeline thread pays");
    rows.many("spool, from push to disk", &spooled, "MiB/s")
        .note("segments of 4 MiB, each synced with its directory");
    rows.many("spool, its writes alone", &synced, "MiB/s");
    rows.many("files of 4 MiB, written and synced", &plain, "MiB/s");
    let share: Vec<f64> = plain
        .iter()
        .zip(&synced)
        .map(|(plain, spool)| plain / spool)
        .collect();
    rows.many("time of its writes against plain files", &share, "times");
    Ok(rows.1)
}

/// A row with the texts of a real call.
fn interaction(n: u64) -> InteractionRow {
    let text = |value: &str| value.to_owned();
    InteractionRow {
        ts: 1_790_000_000_000_000_000 + i64::try_from(n).unwrap_or(0) * 1_000_003,
        duration_ns: 812_345_678 + n,
        time_to_first_chunk_ns: Some(212_345_678),
        host_name: text("worker-17.eu-west-1.compute.internal"),
        os_type: text("linux"),
        process_pid: 4711,
        process_parent_pid: 1,
        process_start_ns: 123_456_789_012,
        process_comm: text("python3"),
        process_executable_path: text("/usr/bin/python3.11"),
        process_ancestry: vec![text("bash"), text("sshd"), text("systemd")],
        user_id: 1000,
        user_name: text("analyst"),
        server_address: text("api.openai.com"),
        server_port: 443,
        name_source: text("sni"),
        flow_id: n,
        connection_id: n,
        tie: text("in_call"),
        tls_stack: text("openssl"),
        tls_found_by: text("symbols"),
        http_request_method: text("POST"),
        url_path_template: text("/v1/chat/completions"),
        http_response_status_code: Some(200),
        user_agent: text("OpenAI/Python 1.99.9"),
        dialect: text("openai-chat"),
        dialect_evidence: text("host"),
        gen_ai_provider_name: text("openai"),
        gen_ai_operation_name: text("chat"),
        gen_ai_request_model: text("gpt-4o-mini"),
        gen_ai_response_model: text("gpt-4o-mini-2024-07-18"),
        gen_ai_response_id: format!("chatcmpl-{n:032x}"),
        gen_ai_response_finish_reasons: vec![text("stop")],
        gen_ai_usage_input_tokens: Some(1234),
        gen_ai_usage_output_tokens: Some(567),
        visibility: text("decoded"),
        policy_id: text("acme"),
        policy_version: text("2026-11-24"),
        policy_rule_id: text("openai-for-everyone"),
        policy_verdict: text("sanctioned"),
        catalog_version: text("2026-11-24"),
        ..InteractionRow::unknown()
    }
}

fn sequencer() -> Sequencer {
    let mut sequencer = Sequencer::new("6c0a5b1f1f2e4d0c9c7a", uuid(), 1_790_000_000_000_000_000);
    sequencer.sign_with(Signer::from_seed(&[7; 32]));
    sequencer
}

fn uuid() -> observer::evidence::Uuid {
    observer::evidence::Uuid::from_u128(1)
}

/// Numbering, hashing, sealing.
fn chain(rows: &mut Rows) {
    let (mut hashing, mut digest, mut sealing) = (Vec::new(), Vec::new(), Vec::new());
    let made: Vec<InteractionRow> = (0..ROWS).map(interaction).collect();
    for _ in 0..REPEATS {
        let (mut sequencer, made) = (sequencer(), made.clone());
        let start = super::cpu();
        let mut hashed = Vec::with_capacity(made.len());
        for row in made {
            hashed.push(sequencer.interaction(row));
        }
        hashing.push((super::cpu() - start) * 1e9 / number(ROWS));
        let mut bytes = Vec::new();
        hashed[0].canonical(&mut bytes);
        let start = super::cpu();
        for _ in 0..ROWS {
            black_box(Sha256::digest(black_box(&bytes)));
        }
        digest.push((super::cpu() - start) * 1e9 / number(ROWS));
        let interval = Interval {
            start: 1,
            end: 2,
            mono_start_ns: 1,
            mono_end_ns: 2,
        };
        let start = super::cpu();
        for _ in 0..SEALS {
            black_box(sequencer.seal(SealKind::Interval, interval, Coverage::default()));
        }
        sealing.push((super::cpu() - start) * 1e9 / number(SEALS));
    }
    rows.many("numbering and hashing an interaction", &hashing, "ns");
    rows.many("SHA-256 of its canonical bytes alone", &digest, "ns");
    let share: Vec<f64> = hashing
        .iter()
        .zip(&digest)
        .map(|(all, hash)| all / hash)
        .collect();
    rows.many("hashing against SHA-256 alone", &share, "times");
    rows.many("making and signing a seal", &sealing, "ns");
}

struct Through {
    bytes: u64,
    seconds: f64,
    writing_seconds: f64,
    push_ns: f64,
}

/// All rows through a spool, until they are on disk; then they are taken out of it.
async fn through(dir: &Path) -> Result<Through> {
    let options = SpoolOptions {
        directory: Some(dir.join("spool")),
        memory_bytes: 512 << 20,
        segment_rows: 1_000_000,
        segment_age: Duration::from_secs(60),
        ..SpoolOptions::default()
    };
    let (spool, _) = Spool::open(options)?;
    spool.start(None)?;
    let mut sequencer = sequencer();
    let made: Vec<InteractionRow> = (0..ROWS).map(|n| sequencer.interaction(interaction(n))).collect();
    let start = Instant::now();
    let before = super::cpu();
    for row in made {
        spool.push(Evidence::from(row));
    }
    let push_ns = (super::cpu() - before) * 1e9 / number(ROWS);
    // Closes the last segment, and gives up at once since nobody takes anything.
    spool.flush(tokio::time::Instant::now()).await;
    let stats = spool.stats();
    while spool.is_writing() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, writing_ns) = stats.disk_written();
    while spool.book().pending > 0 {
        let mut batch = spool.next().await;
        for table in Table::ALL {
            spool.stored(&mut batch, table);
        }
        spool.over(batch);
    }
    ensure!(spool.book().lost == 0, "rows were lost: {stats:?}");
    Ok(Through {
        bytes,
        seconds,
        writing_seconds: number(writing_ns) / 1e9,
        push_ns,
    })
}

/// Seconds for the same bytes in plain files.
fn written(dir: &Path, bytes: u64) -> Result<f64> {
    let block = vec![0x5a; 4 << 20];
    let mut names = Vec::new();
    let start = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let size = left.min(block.len() as u64);
        let name = dir.join(format!("plain-{left}"));
        let mut file = File::create(&name)?;
        file.write_all(&block[..usize::try_from(size)?])?;
        file.sync_all()?;
        left -= size;
        names.push(name);
    }
    let seconds = start.elapsed().as_secs_f64();
    names.iter().try_for_each(fs::remove_file)?;
    Ok(seconds)
}
