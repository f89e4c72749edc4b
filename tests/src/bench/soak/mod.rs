//! A long steady load, and what grows under it: memory, descriptors, threads, probes, entries of kernel tables. `OBSERVER_SOAK_MINUTES`
//! says how long; `cargo xtask bench soak --minutes N` sets it.

mod count;
mod load;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer::coverage::REASONS;
use serde_json::Value;

use super::{Name, Row, Rows, number};
use crate::harness::{Fault, Host, Options, Record, Store, usage};
use count::{Counts, TABLES};
use load::{Done, LIBRARY_MODEL, Load};

const MINUTES: u64 = 30;

/// Time between two looks at the daemon.
const SAMPLE: Duration = Duration::from_secs(5);

/// After the load: two sweeps of the daemon (15 s), the time for which a file stays attached without a process (20 s), and detaching.
const SETTLE: Duration = Duration::from_secs(75);

/// Most that memory may grow between the middle third and the last one, MiB.
const GROWTH_MIB: f64 = 1.0;

pub(super) fn run() -> Result<Vec<Row>> {
    let minutes = std::env::var("OBSERVER_SOAK_MINUTES").ok();
    let minutes = minutes.and_then(|text| text.parse().ok()).unwrap_or(MINUTES);
    let length = Duration::from_secs(60 * minutes);
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    let daemon = host.daemon()?.pid();
    // Whatever each kind of client needs once is there before anything is compared.
    let first = load::one_of_each(&host)?;
    std::thread::sleep(SETTLE);
    let before = Counts::of(daemon)?;
    let cpu = usage::cpu_seconds(daemon)?;
    let (during, mut done) = under_load(&host, daemon, length)?;
    let cpu = usage::cpu_seconds(daemon)? - cpu;
    std::thread::sleep(SETTLE);
    let after = Counts::of(daemon)?;
    done.calls += first.calls;
    host.wait_for_seals(1)?;
    host.stop_daemon()?;
    let mut rows = Rows::new(Name::Soak);
    of_load(&mut rows, &done, length, cpu);
    of_rows(&mut rows, &host, &done)?;
    of_store(&mut rows, &host)?;
    of_memory(&mut rows, &during);
    of_counts(&mut rows, &before, &after);
    Ok(rows.1)
}

/// Keeps the load up, and looks at the daemon from time to time.
fn under_load(host: &Host, daemon: u32, length: Duration) -> Result<(Vec<Counts>, Done)> {
    let mut load = Load::start(host)?;
    let (start, mut next) = (Instant::now(), SAMPLE);
    let mut seen = Vec::new();
    while start.elapsed() < length {
        load.tick(start.elapsed())?;
        if start.elapsed() >= next {
            seen.push(Counts::of(daemon)?);
            next += SAMPLE;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(seen.len() >= 6, "a soak takes at least a minute");
    Ok((seen, load.finish()?))
}

fn of_load(rows: &mut Rows, done: &Done, length: Duration, cpu: f64) {
    let seconds = length.as_secs_f64();
    rows.one("length of the load", seconds / 60.0, "minutes");
    rows.one("calls", number(done.calls), "calls").note(format!(
        "{:.0} a second: keep-alive and new connections (Python, Node), curl, streams",
        number(done.calls) / seconds
    ));
    rows.one("processes started", number(done.processes), "processes")
        .note(format!("{:.0} a minute", number(done.processes) / seconds * 60.0));
    rows.one(
        "distinct TLS libraries, each mapped once and deleted",
        number(done.libraries),
        "files",
    );
    rows.one("CPU of the daemon", 100.0 * cpu / seconds, "% of a core")
        .note(format!("{:.2} ms for a call", 1000.0 * cpu / number(done.calls)));
}

/// Calls against rows, and what the seals say.
fn of_rows(rows: &mut Rows, host: &Host, done: &Done) -> Result<()> {
    let port = host.endpoint.port();
    let store = host.store.as_ref().context("no store")?;
    let count = |condition: &str| -> Result<f64> {
        let sql = format!(
            "SELECT count() AS n FROM ai_evidence.v_interactions WHERE server_port = {port} \
             AND gen_ai_request_model != '{LIBRARY_MODEL}'{condition}"
        );
        let found = store.query(&sql)?;
        Ok(number(found[0]["n"].as_u64().context("no count")?))
    };
    rows.one(
        "calls without exactly one row",
        count("")? - number(done.calls),
        "rows",
    )
    .exactly(0.0);
    rows.one(
        "rows not read whole",
        count(" AND visibility != 'decoded'")?,
        "rows",
    )
    .exactly(0.0)
    .note(not_whole(store, port)?);
    let seals = host.rows("evidence_seals", "seal_seq")?;
    let (mut unbalanced, mut lost) = (0, Vec::new());
    for seal in &seals {
        let books = Record::books(seal)?;
        let balances = books
            .values()
            .all(|book| book.seen == book.delivered + book.lost + book.held);
        unbalanced += u64::from(!balances);
        let reasons = seal["loss_reason"].as_array().into_iter().flatten();
        lost.extend(reasons.filter_map(Value::as_str).map(str::to_owned));
    }
    rows.one("seals whose books do not balance", number(unbalanced), "seals")
        .exactly(0.0)
        .note(format!("of {}", seals.len()));
    let named: Vec<&str> = REASONS
        .iter()
        .map(|(_, reason)| *reason)
        .filter(|reason| lost.iter().any(|l| l == reason))
        .collect();
    rows.one("losses that seals name", number(lost.len() as u64), "entries")
        .exactly(0.0)
        .note(named.join(", "));
    Ok(())
}

/// Whose rows are not whole, and why; the most frequent ones.
fn not_whole(store: &Store, port: u16) -> Result<String> {
    let groups = store.query(&format!(
        "SELECT process_executable_path AS program, visibility_reason AS reason, gen_ai_request_model AS model, count() AS n \
         FROM ai_evidence.v_interactions WHERE server_port = {port} AND visibility != 'decoded' \
         GROUP BY program, reason, model ORDER BY n DESC LIMIT 5"
    ))?;
    let lines = groups.iter().map(|group| {
        let text = |name: &str| group[name].as_str().unwrap_or_default().to_owned();
        format!(
            "{} {} {}: {}",
            text("program"),
            text("model"),
            text("reason"),
            group["n"]
        )
    });
    Ok(lines.collect::<Vec<_>>().join("; "))
}

/// What rows take on their way and in the store.
fn of_store(rows: &mut Rows, host: &Host) -> Result<()> {
    let store = host.store.as_ref().context("no store")?;
    let tables = store.query(
        "SELECT table, sum(rows) AS n, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = 'ai_evidence' \
         AND table IN ('ai_interactions', 'ai_connections', 'evidence_seals') GROUP BY table ORDER BY table",
    )?;
    let mut all = 0.0;
    for table in &tables {
        let column = |name: &str| table[name].as_u64().map(number).context("no count");
        let (name, count) = (table["table"].as_str().unwrap_or_default(), column("n")?);
        all += count;
        rows.one(format!("on disk: {name}"), column("bytes")? / count, "bytes/row")
            .note(format!("{count} rows, parts as they were merged by then"));
    }
    let proxy = host.proxy()?;
    let inserts = number(proxy.inserts(Fault::None));
    rows.one(
        "sent to the store, a row",
        number(proxy.insert_bytes()) / all,
        "bytes",
    )
    .note(format!(
        "{:.0} rows in an insert, compressed (LZ4)",
        all / inserts
    ));
    Ok(())
}

fn of_memory(rows: &mut Rows, during: &[Counts]) {
    let third = during.len() / 3;
    for (what, of) in [
        (
            "resident memory",
            (|counts| counts.resident.mib()) as fn(&Counts) -> f64,
        ),
        ("anonymous memory", |counts| number(counts.resident.anon) / 1024.0),
    ] {
        let values: Vec<f64> = during.iter().map(of).collect();
        let (middle, last) = (mean(&values[third..2 * third]), mean(&values[2 * third..]));
        let course: Vec<String> = values
            .chunks(values.len().div_ceil(10))
            .map(|part| format!("{:.1}", mean(part)))
            .collect();
        rows.many(format!("{what} of the daemon"), &values, "MiB")
            .note(format!("by tenths of the time: {}", course.join(" ")));
        rows.one(
            format!("{what}, last third against the middle one"),
            last - middle,
            "MiB",
        )
        .at_most(GROWTH_MIB);
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / number(values.len().max(1) as u64)
}

/// What was there before the load and after it.
fn of_counts(rows: &mut Rows, before: &Counts, after: &Counts) {
    for (what, unit, count) in [
        (
            "descriptors of the daemon",
            "descriptors",
            (|counts| counts.descriptors.all as u64) as fn(&Counts) -> u64,
        ),
        ("of these: probes", "links", |counts| {
            counts.descriptors.probes as u64
        }),
        ("threads of the daemon", "threads", |counts| counts.threads),
    ] {
        let (was, is) = (count(before), count(after));
        rows.one(
            format!("{what}: more than before"),
            number(is) - number(was),
            unit,
        )
        .at_most(0.0)
        .note(format!("{was} before, {is} after"));
    }
    for (n, table) in TABLES.iter().enumerate() {
        let (was, is) = (before.entries[n], after.entries[n]);
        // What other programs of the machine do stands in there, too.
        rows.one(
            format!("entries of {table} after the load"),
            number(is),
            "entries",
        )
        .note(format!("{was} before"));
    }
}
