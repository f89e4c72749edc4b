//! Transports and dialects on one core: the bytes of a connection in, facts out, with nobody who takes the text. Against
//! a copy of the same bytes.

mod calls;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use observer::catalog::Catalog;
use observer::dialect::{ConnectionHooks, ConnectionReader, NotAi, Place, TextSink};
use observer::exchange::Exchange;
use observer::protocol::{Incomplete, Side};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::memory::Resident;
use super::{Name, Row, Rows, number};
use crate::eval::input;
use crate::eval::recordings::wire::{Transport, Wire, wires};

const REPEATS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;
const SEED: u64 = 7;
const TRANSPORTS: [Transport; 2] = [Transport::Http1, Transport::Http2];
/// Size of a large body.
const LARGE: usize = 8 << 20;
/// Calls of a small kind that are made one after the other.
const SMALL: usize = 2_000;
/// Connections that are held to see what one takes.
const HELD: usize = 4_000;

pub(super) fn run() -> Result<Vec<Row>> {
    let mut rows = Rows::new(Name::Dialects);
    let catalog = Arc::new(Catalog::builtin());
    // Before anything large: memory that was freed would be taken again, and a connection would seem to cost nothing.
    for transport in TRANSPORTS {
        held(&mut rows, &catalog, transport)?;
    }
    catalogue(&mut rows, &catalog);
    for transport in TRANSPORTS {
        for (what, call) in calls::large(LARGE) {
            large(&mut rows, &catalog, what, &call, transport)?;
        }
        for (what, call) in calls::streams(1_000) {
            streamed(&mut rows, &catalog, what, &call, transport)?;
        }
        for (what, call) in calls::small() {
            small(&mut rows, &catalog, what, &call, transport)?;
        }
        recorded(&mut rows, &catalog, transport)?;
    }
    Ok(rows.1)
}

/// What the catalogue costs: once at the start, and for each call.
fn catalogue(rows: &mut Rows, catalog: &Catalog) {
    let times = |count: u32, work: &dyn Fn()| {
        let start = cpu();
        (0..count).for_each(|_| work());
        (cpu() - start) * 1e9 / f64::from(count)
    };
    let load = || drop(black_box(Catalog::builtin()));
    let loads: Vec<f64> = (0..REPEATS).map(|_| times(1, &load) / 1e6).collect();
    let names = catalog.kernel_patterns().len();
    rows.many("catalogue: read at the start", &loads, "ms")
        .note(format!("{names} patterns for the kernel's table"));
    for (what, host) in [
        ("known", "api.openai.com"),
        ("regional", "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("unknown", "a.b.corp.example"),
    ] {
        let look = || drop(black_box(catalog.lookup(black_box(host), "/v1/chat/completions")));
        let looks: Vec<f64> = (0..REPEATS).map(|_| times(20_000, &look)).collect();
        rows.many(format!("catalogue: look-up of a host, {what}"), &looks, "ns");
    }
}

/// Throughput of one large body.
fn large(rows: &mut Rows, catalog: &Arc<Catalog>, what: &str, call: &Value, by: Transport) -> Result<()> {
    let (wires, calls) = wires(&vec![call.clone(); 4], by, SEED)?;
    let (read, copy) = measure(catalog, &wires, calls)?;
    // Of what is read: a coded body is counted as what it decodes to.
    let bodies: usize = ["req_body", "resp_body"]
        .iter()
        .filter_map(|side| call[*side].as_str())
        .map(str::len)
        .sum();
    let mib = number(bodies as u64 * calls) / MIB;
    let wire = number(wires.iter().map(Wire::len).sum()) / MIB;
    let against: Vec<f64> = read.iter().zip(&copy).map(|(r, c)| r / c).collect();
    let rates: Vec<f64> = read.iter().map(|seconds| mib / seconds).collect();
    rows.many(format!("{}: {what}", by.name()), &rates, "MiB/s")
        .at_least(500.0)
        .note(format!(
            "{:.0} times a copy of the {wire:.1} MiB on the wire",
            super::median(&against)
        ));
    Ok(())
}

/// Cost of an event of a streamed answer.
fn streamed(rows: &mut Rows, catalog: &Arc<Catalog>, what: &str, call: &Value, by: Transport) -> Result<()> {
    let (wires, calls) = wires(&vec![call.clone(); 20], by, SEED)?;
    let (read, _) = measure(catalog, &wires, calls)?;
    let mib = number(wires.iter().map(Wire::len).sum()) / MIB;
    let events = number(calls * 1_000);
    let each: Vec<f64> = read.iter().map(|seconds| seconds * 1e9 / events).collect();
    rows.many(format!("{}: {what}, an event", by.name()), &each, "ns")
        .note(format!("{:.0} MiB/s", mib / super::median(&read)));
    Ok(())
}

/// Cost of a small call.
fn small(rows: &mut Rows, catalog: &Arc<Catalog>, what: &str, call: &Value, by: Transport) -> Result<()> {
    let (wires, calls) = wires(&vec![call.clone(); SMALL], by, SEED)?;
    let (read, _) = measure(catalog, &wires, calls)?;
    let each: Vec<f64> = read.iter().map(|s| s * 1e9 / number(calls)).collect();
    let bytes = wires.iter().map(Wire::len).sum::<u64>() / calls;
    rows.many(format!("{}: {what}, a call", by.name()), &each, "ns")
        .at_most(30_000.0)
        .note(format!("{bytes} bytes"));
    Ok(())
}

/// All recorded calls that there are; nothing where there are none.
fn recorded(rows: &mut Rows, catalog: &Arc<Catalog>, by: Transport) -> Result<()> {
    let Some(path) = recordings() else {
        eprintln!("dialects: no recordings (OBSERVER_SHARED), that part is left out");
        return Ok(());
    };
    let (wires, calls) = wires(&input::rows::<Value>(&path)?, by, SEED)?;
    let (mut read, mut facts) = (Vec::new(), 0);
    for _ in 0..REPEATS {
        let (seconds, found) = through(catalog, &wires);
        read.push(seconds);
        facts = found;
    }
    let mib = number(wires.iter().map(Wire::len).sum()) / MIB;
    let each: Vec<f64> = read.iter().map(|s| s * 1e6 / number(calls)).collect();
    rows.many(format!("{}: recorded calls, a call", by.name()), &each, "us")
        .note(format!(
            "{calls} calls, {facts} of them AI, {:.0} KiB each, {:.0} MiB/s",
            mib * 1024.0 / number(calls),
            mib / super::median(&read)
        ));
    Ok(())
}

fn recordings() -> Option<PathBuf> {
    let shared =
        std::env::var_os("OBSERVER_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    Some(shared.join("data/ai-recordings.jsonl.gz")).filter(|path| path.is_file())
}

/// Memory of a connection that waits for its next call.
fn held(rows: &mut Rows, catalog: &Arc<Catalog>, by: Transport) -> Result<()> {
    let (_, call) = calls::small().swap_remove(0);
    let (wires, _) = wires(&[call], by, SEED)?;
    let mut readers = Vec::with_capacity(HELD);
    let before = Resident::of(std::process::id())?;
    for _ in 0..HELD {
        let mut facts = Facts::default();
        readers.push(reader(catalog, &wires[0], &mut facts));
        ensure!(facts.found == 1, "the call of the connection was not read");
    }
    let after = Resident::of(std::process::id())?;
    black_box(&readers);
    let bytes = number(after.anon.saturating_sub(before.anon)) * 1024.0 / number(HELD as u64);
    rows.one(
        format!("{}: memory of an idle connection", by.name()),
        bytes,
        "bytes",
    )
    .at_most(8192.0)
    .note(format!("{HELD} connections after a call each, anonymous memory"));
    Ok(())
}

/// Seconds to read, and to copy, several times. All calls must come out as AI.
fn measure(catalog: &Arc<Catalog>, wires: &[Wire], calls: u64) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut read, mut copy) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        copy.push(copied(wires));
        let (seconds, found) = through(catalog, wires);
        ensure!(found == calls, "{found} of {calls} calls came out");
        read.push(seconds);
    }
    Ok((read, copy))
}

/// Reads everything; seconds, and how many AI calls came out.
fn through(catalog: &Arc<Catalog>, wires: &[Wire]) -> (f64, u64) {
    let mut facts = Facts::default();
    let start = cpu();
    for wire in wires {
        let mut reader = reader(catalog, wire, &mut facts);
        reader.close(2, &mut facts);
    }
    (cpu() - start, facts.found)
}

fn reader(catalog: &Arc<Catalog>, wire: &Wire, facts: &mut Facts) -> ConnectionReader {
    let mut reader = ConnectionReader::new(Arc::clone(catalog), wire.server_name.as_deref());
    for (side, bytes) in &wire.pieces {
        reader.push(*side, bytes, 1, facts);
    }
    reader
}

fn copied(wires: &[Wire]) -> f64 {
    let mut buffer = vec![0; 64 * 1024];
    let start = cpu();
    for (_, bytes) in wires.iter().flat_map(|wire| &wire.pieces) {
        for piece in bytes.chunks(buffer.len()) {
            buffer[..piece.len()].copy_from_slice(piece);
            black_box(&mut buffer);
        }
    }
    cpu() - start
}

/// Counts what comes out.
#[derive(Default)]
struct Facts {
    found: u64,
    text: Text,
}

#[derive(Default)]
struct Text(u64);

impl TextSink for Text {
    fn text(&mut self, _: &Place, _: u64, piece: &[u8]) {
        self.0 += piece.len() as u64;
    }

    fn end(&mut self, _: u64) {}
}

impl ConnectionHooks for Facts {
    fn text_sink(&mut self, _: u64) -> &mut dyn TextSink {
        &mut self.text
    }

    fn finished(&mut self, _: u64, facts: Exchange) {
        self.found += 1;
        black_box(facts);
    }

    fn not_ai(&mut self, _: u64, _: NotAi) {}

    fn lost(&mut self, _: Side, _: u64, _: Incomplete) {}
}

/// CPU time of this thread, seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of one run")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}
