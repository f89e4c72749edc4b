//! The sensitive-data stage on one core, against vectorscan alone with the same rules on the same text, and a copy.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use observer::dialect::{Place, TextRole, TextSink};
use observer::protocol::Side;
use observer::sensitive::rules::BUILTIN;
use observer::sensitive::{Cost, Engine, Rules};
use vectorscan_rs::{Error as HsError, Flag, Pattern, Scan as Flow, StreamingDatabase};

use super::cpu;
use super::{Name, Row, Rows, number};

const REPEATS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;
/// Bytes of one kind of text.
const SIZE: usize = 8 << 20;
/// Bytes of one body, and of the pieces in which it comes.
const BODY: usize = 64 * 1024;
const PIECE: usize = 4 * 1024;
/// Bytes of a message and of a piece of a streamed answer.
const MESSAGE: usize = 256;
const DELTA: usize = 8;
/// What comparable scanners reach, times three, and the share of vectorscan alone (issue 5).
const AIM: f64 = 531.0;
const SHARE: f64 = 0.7;
/// Rules named in the list of the costly ones.
const COSTLY: usize = 12;

pub(super) fn run() -> Result<Vec<Row>> {
    let start = cpu();
    let rules = Rules::builtin().map_err(|problems| anyhow::anyhow!("built-in rules: {problems:?}"))?;
    let engine = Engine::new(&rules)?;
    let ready = cpu() - start;
    let mut rows = Rows::new(Name::Scan);
    let count = rules.list().len();
    rows.one("rules read and compiled, nothing cached", ready * 1e3, "ms")
        .at_most(1000.0)
        .note(format!("{count} rules"));
    let start = cpu();
    let (raw, refused) = raw(&rules)?;
    rows.one(
        "the same rules compiled by vectorscan as whole patterns",
        (cpu() - start) * 1e3,
        "ms",
    )
    .note(format!("{refused} refused"));
    for (what, text) in texts()? {
        throughput(&mut rows, &engine, &raw, what, &text)?;
    }
    secrets_only(&mut rows, &rules)?;
    let english = texts()?.swap_remove(0).1;
    for (what, body, piece) in [
        ("messages of 256 bytes", MESSAGE, MESSAGE),
        ("streamed, 8 bytes at a time", BODY, DELTA),
    ] {
        let seconds: Vec<f64> = (0..REPEATS)
            .map(|_| staged(&engine, &english, body, piece))
            .collect::<Result<_>>()?;
        rows.many(
            format!("English, {what}: stage"),
            &rates(&english, &seconds),
            "MiB/s",
        );
    }
    Ok(rows.1)
}

fn throughput(
    rows: &mut Rows,
    engine: &Engine,
    raw: &StreamingDatabase,
    what: &str,
    text: &[u8],
) -> Result<()> {
    let before = engine.costs();
    let (mut stage, mut alone, mut copy) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        copy.push(copied(text));
        alone.push(scanned(raw, text)?);
        stage.push(staged(engine, text, BODY, PIECE)?);
    }
    let costs = costly(engine, &before);
    rows.many(format!("{what}: stage"), &rates(text, &stage), "MiB/s")
        .at_least(AIM)
        .note(costs);
    rows.many(format!("{what}: vectorscan alone"), &rates(text, &alone), "MiB/s");
    let shares: Vec<f64> = stage
        .iter()
        .zip(&alone)
        .map(|(stage, alone)| alone / stage)
        .collect();
    rows.many(
        format!("{what}: stage against vectorscan alone"),
        &shares,
        "times",
    )
    .at_least(SHARE);
    rows.many(format!("{what}: copy"), &rates(text, &copy), "MiB/s");
    Ok(())
}

/// The same texts with rules of secrets alone, as scanners of secrets have: those of personal data are what other programs look
/// for.
fn secrets_only(rows: &mut Rows, all: &Rules) -> Result<()> {
    let others = all.list().iter().filter(|rule| !rule.class.hashes_values());
    let others: Vec<String> = others.map(|rule| rule.id.clone()).collect();
    let (rules, problems) = Rules::load(BUILTIN, &others);
    ensure!(problems.is_empty(), "built-in rules: {problems:?}");
    let engine = Engine::new(&rules)?;
    for (what, text) in texts()? {
        let seconds: Vec<f64> = (0..REPEATS)
            .map(|_| staged(&engine, &text, BODY, PIECE))
            .collect::<Result<_>>()?;
        rows.many(
            format!("{what}: stage, rules of secrets only"),
            &rates(&text, &seconds),
            "MiB/s",
        )
        .at_least(AIM)
        .note(format!("{} rules", rules.list().len()));
    }
    Ok(())
}

fn rates(text: &[u8], seconds: &[f64]) -> Vec<f64> {
    let size = number(text.len() as u64) / MIB;
    seconds.iter().map(|s| size / s).collect()
}

/// The rules that were tried most in this text, with bytes looked at for each KiB of text.
fn costly(engine: &Engine, before: &[Cost]) -> String {
    let now = engine.costs();
    let mut all: Vec<(u64, u64, &str)> = now
        .iter()
        .zip(before)
        .zip(engine.rules())
        .map(|((now, before), rule)| {
            (
                now.bytes - before.bytes,
                now.tries - before.tries,
                rule.id.as_str(),
            )
        })
        .filter(|(_, tries, _)| *tries > 0)
        .collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let kib = (SIZE * REPEATS / 1024) as u64;
    let mut text = String::from("tries and bytes tried per MiB:");
    for (bytes, tries, id) in all.iter().take(COSTLY) {
        // Writing to a String cannot fail.
        let _ = write!(text, " {id} {} {},", tries * 1024 / kib, bytes * 1024 / kib);
    }
    text.trim_end_matches(',').to_owned()
}

/// Seconds of the whole stage.
fn staged(engine: &Engine, text: &[u8], body: usize, piece: usize) -> Result<f64> {
    let place = Place {
        side: Side::Request,
        path: "$.messages[*].content".to_owned(),
        role: TextRole::Prompt,
    };
    let start = cpu();
    for (number, body) in (0..).zip(text.chunks(body)) {
        let mut scan = engine.open(None);
        for piece in body.chunks(piece) {
            scan.text(&place, number, piece);
        }
        scan.end(number);
        let report = scan.finish();
        ensure!(
            report.bytes_scanned == body.len() as u64,
            "not all bytes were scanned"
        );
        black_box(report);
    }
    Ok(cpu() - start)
}

/// Seconds of vectorscan alone.
pub(super) fn scanned(database: &StreamingDatabase, text: &[u8]) -> Result<f64> {
    let scanner = database.create_scanner()?;
    let mut hits = 0u64;
    let mut count = |_, _, _, _| {
        hits += 1;
        Flow::Continue
    };
    let start = cpu();
    for body in text.chunks(BODY) {
        let mut stream = scanner.open_stream()?;
        for piece in body.chunks(PIECE) {
            stream.scan(piece, &mut count)?;
        }
        stream.close(&mut count)?;
    }
    let seconds = cpu() - start;
    black_box(hits);
    Ok(seconds)
}

fn copied(text: &[u8]) -> f64 {
    let mut buffer = vec![0; PIECE];
    let start = cpu();
    for piece in text.chunks(PIECE) {
        buffer[..piece.len()].copy_from_slice(piece);
        black_box(&mut buffer);
    }
    cpu() - start
}

/// All rules as whole patterns in one streaming database, and how many vectorscan refuses.
pub(super) fn raw(rules: &Rules) -> Result<(StreamingDatabase, usize)> {
    let mut expressions: Vec<String> = rules.list().iter().map(|rule| rule.expression()).collect();
    let all = expressions.len();
    loop {
        let patterns = expressions.iter().zip(0..);
        let patterns =
            patterns.map(|(text, id)| Pattern::new(text.clone().into_bytes(), Flag::default(), Some(id)));
        match StreamingDatabase::new(patterns.collect()) {
            Ok(database) => return Ok((database, all - expressions.len())),
            Err(HsError::HyperscanCompile(reason, index)) => {
                let index = usize::try_from(index).ok().filter(|i| *i < expressions.len());
                let index = index.with_context(|| format!("vectorscan: {reason}"))?;
                expressions.swap_remove(index);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kinds of text, the same on every run.
fn texts() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut random = Random(42);
    Ok(vec![
        ("English", english()?),
        ("source code", sources()?),
        ("JSON", filled(|text| json(&mut random, text))),
        (
            "base64",
            filled(|text| base64(&mut Random(text.len() as u64 + 1), text)),
        ),
        (
            "CSV of numbers",
            filled(|text| csv(&mut Random(text.len() as u64 + 2), text)),
        ),
    ])
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn english() -> Result<Vec<u8>> {
    let mut prose = String::new();
    gather(&root().join("docs"), "md", &mut prose)?;
    // Prose, not tables.
    let lines = prose.lines().filter(|line| !line.starts_with('|'));
    Ok(repeated(&lines.collect::<Vec<_>>().join("\n")))
}

fn sources() -> Result<Vec<u8>> {
    let mut code = String::new();
    gather(&root().join("observer/src"), "rs", &mut code)?;
    Ok(repeated(&code))
}

fn gather(folder: &Path, ending: &str, out: &mut String) -> Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, ending, out)?;
        } else if path.extension().is_some_and(|e| e == ending) {
            out.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn repeated(text: &str) -> Vec<u8> {
    text.bytes().cycle().take(SIZE).collect()
}

fn filled(mut add: impl FnMut(&mut String)) -> Vec<u8> {
    let mut text = String::with_capacity(SIZE + 1024);
    while text.len() < SIZE {
        add(&mut text);
    }
    text.truncate(SIZE);
    text.into_bytes()
}

fn json(random: &mut Random, text: &mut String) {
    let (id, count) = (random.below(1 << 40), random.below(5000));
    let _ = writeln!(
        text,
        "{{\"id\": \"chatcmpl-{id:x}\", \"model\": \"gpt-4o\", \"created\": {}, \"choices\": [{{\"index\": 0, \"delta\": \
         {{\"role\": \"assistant\", \"content\": \"The answer depends on the region and on the plan.\"}}, \
         \"finish_reason\": null}}], \"usage\": {{\"total_tokens\": {count}}}}}",
        1_760_000_000 + id % 10_000_000
    );
}

fn base64(random: &mut Random, text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for _ in 0..1024 {
        text.push(char::from(
            LETTERS[usize::try_from(random.below(64)).unwrap_or(0)],
        ));
    }
}

fn csv(random: &mut Random, text: &mut String) {
    let mut number = |below| random.below(below);
    let _ = writeln!(
        text,
        "{},20{:02}-{:02}-{:02},{}.{:02},{},{}.{}.{}.{},{:03}-{:04}",
        100_000 + number(900_000),
        number(30),
        1 + number(12),
        1 + number(28),
        number(10_000),
        number(100),
        number(1_000_000_000),
        number(256),
        number(256),
        number(256),
        number(256),
        number(1000),
        number(10_000),
    );
}

/// Numbers that are the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 24) % below
    }
}
