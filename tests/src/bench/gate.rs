//! A write on a connection that is not AI: with nothing attached, with empty probes, with Observer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::empty::{EmptyProbes, Function};
use super::script::Script;
use super::{Name, Row, Rows, median, number, quiet};
use crate::harness::{Host, Options};

const ROUNDS: usize = 4;
const WRITES: usize = 10_000;
/// The daemon publishes its metrics every second.
const PUBLISHED: Duration = Duration::from_secs(5);
const HOST: &str = "gate.bench.example.net";

/// Medians of one round, nanoseconds of CPU time per write.
struct Round {
    none: f64,
    /// Empty probes at `SSL_write_ex`, where others put them.
    naive: f64,
    /// Empty probes where Observer puts its own.
    empty: f64,
    observer: f64,
    /// Wall time, for people.
    wall: [f64; 4],
    alone: bool,
}

pub(super) fn run() -> Result<Vec<Row>> {
    let until = Instant::now() + quiet::PATIENCE;
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let certificate = certificate(host.dir())?;
    let mut script = Script::start("gate.py", |command| {
        command.arg(&certificate);
    })?;
    let naive = Function::named(script.pid(), "SSL_write_ex")?;
    let chosen = Function::chosen(script.pid())?;
    let all = (0..ROUNDS)
        .map(|_| round(&mut host, &mut script, [&naive, &chosen], until))
        .collect::<Result<Vec<_>>>()?;
    Ok(report(all))
}

/// Rounds beside another observer count only when there are no others, and then meet no aim.
fn report(all: Vec<Round>) -> Vec<Row> {
    let alone = all.iter().filter(|round| round.alone).count();
    let kept: Vec<Round> = all
        .into_iter()
        .filter(|round| round.alone || alone == 0)
        .collect();
    let of = |value: fn(&Round) -> f64| kept.iter().map(value).collect::<Vec<f64>>();
    let mut rows = Rows::new(Name::Gate);
    let first = rows
        .many(
            "write, Observer against empty probes at the function's name",
            &of(|r| r.observer / r.naive),
            "times",
        )
        .at_most(1.10)
        .note(format!(
            "{alone} of {ROUNDS} rounds without another observer on this host"
        ));
    if alone == 0 {
        first.met = None;
    }
    rows.many(
        "write, Observer against empty probes at the same place",
        &of(|r| r.observer / r.empty),
        "times",
    );
    rows.many(
        "write, Observer against no probe",
        &of(|r| r.observer / r.none),
        "times",
    );
    rows.many("write without a probe, CPU", &of(|r| r.none), "ns");
    rows.many("write with empty probes at the name, CPU", &of(|r| r.naive), "ns");
    rows.many(
        "write with empty probes at Observer's place, CPU",
        &of(|r| r.empty),
        "ns",
    );
    rows.many("write with Observer, CPU", &of(|r| r.observer), "ns");
    rows.many(
        "Observer beyond empty probes, CPU",
        &of(|r| r.observer - r.empty),
        "ns",
    );
    let places = [
        "without a probe",
        "with empty probes at the name",
        "with empty probes at Observer's place",
        "with Observer",
    ];
    for (place, what) in places.iter().enumerate() {
        let wall: Vec<f64> = kept.iter().map(|round| round.wall[place]).collect();
        rows.many(format!("write {what}, wall"), &wall, "ns");
    }
    rows.1
}

fn round(host: &mut Host, script: &mut Script, places: [&Function; 2], until: Instant) -> Result<Round> {
    let none = quiet::alone(None, until, || ask(script))?;
    let mut with_empty = |place: &Function| {
        let _probes = EmptyProbes::attach(place)?;
        quiet::alone(None, until, || ask(script))
    };
    let (naive, empty) = (with_empty(places[0])?, with_empty(places[1])?);
    host.start_daemon()?;
    let own = Some(host.daemon()?.pid());
    let observer = quiet::alone(own, until, || ask(script))?;
    check_skipped(host, observer.value.bytes)?;
    host.daemon()?.stop()?;
    Ok(Round {
        none: none.value.cpu,
        naive: naive.value.cpu,
        empty: empty.value.cpu,
        observer: observer.value.cpu,
        wall: [
            none.value.wall,
            naive.value.wall,
            empty.value.wall,
            observer.value.wall,
        ],
        alone: none.alone && naive.alone && empty.alone && observer.alone,
    })
}

/// The connection was decided, and all its bytes were left in the kernel: else this measures something else.
fn check_skipped(host: &Host, bytes: u64) -> Result<()> {
    let start = Instant::now();
    loop {
        let skipped = host
            .metrics()?
            .sum("observer_plaintext_bytes_total", &["class=\"other_skipped\""])
            .context("observer_plaintext_bytes_total is not there")?;
        if skipped >= number(bytes) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < PUBLISHED,
            "only {skipped} of {bytes} bytes were skipped as other traffic: the connection was not decided"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One answer of the script.
struct Answer {
    cpu: f64,
    wall: f64,
    bytes: u64,
}

fn ask(script: &mut Script) -> Result<Answer> {
    let answer = script.ask(&WRITES.to_string())?;
    let of = |name: &str| {
        let values: Vec<f64> = answer[name]
            .as_array()?
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        Some(median(&values)).filter(|value| *value > 0.0)
    };
    Ok(Answer {
        cpu: of("cpu_ns").context("no times")?,
        wall: of("wall_ns").context("no times")?,
        bytes: answer["bytes"].as_u64().context("no bytes")?,
    })
}

/// A certificate with its key, signed by itself.
fn certificate(dir: &Path) -> Result<PathBuf> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).context("certificate")?;
    let file = dir.join("gate.pem");
    std::fs::write(
        &file,
        format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()),
    )?;
    Ok(file)
}
