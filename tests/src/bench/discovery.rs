//! From the start of a program to its probes, and how many first calls are over before that.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Name, Row, Rows, number};
use crate::harness::{ATTACHED, Client, Host, Options, clients, find_program, work_dir};

/// Runs of each program in each state of its file.
const RUNS: usize = 7;
/// How long probes may take; the sweep comes each 15 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the daemon can know of a file when it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing: it was written a moment ago, and no other file is like it.
    New,
    /// The same, but it was written a while ago.
    Installed(Duration),
    /// It is a copy of a file that ran before.
    Copied,
    /// It ran before.
    Known,
}

impl State {
    const ALL: [Self; 4] = [
        Self::New,
        Self::Installed(Duration::from_secs(3)),
        Self::Known,
        Self::Copied,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::New => "file written just now, like no other",
            Self::Installed(_) => "file written 3 s before, like no other",
            Self::Copied => "file written just now, copy of a known one",
            Self::Known => "file that ran before",
        }
    }
}

/// Makes the client that uses this file.
type Start = fn(&Host, &Path) -> Client;

/// A program with a TLS stack in a file of its own.
struct Program {
    name: &'static str,
    /// The file that is copied for each run.
    file: PathBuf,
    start: Start,
}

/// What the runs of a program came to, in one state of its file.
struct Measured {
    name: &'static str,
    state: State,
    mib: f64,
    pids: Vec<u32>,
    /// From just before each start to its end.
    lives: Vec<Duration>,
    /// From just before each start to the probes, ms.
    attached: Vec<f64>,
}

pub(super) fn run() -> Result<Vec<Row>> {
    let mut host = Host::start(Options::default())?;
    let mut all = Vec::new();
    for program in programs() {
        for state in State::ALL {
            all.push(
                measure(&mut host, &program, state)
                    .with_context(|| format!("{}, {}", program.name, state.name()))?,
            );
        }
    }
    let later = (0..RUNS)
        .map(|n| opened_later(&mut host, n))
        .collect::<Result<Vec<f64>>>()?;
    // The last calls are stored when nobody waits for them by number: some were missed.
    std::thread::sleep(Duration::from_secs(2));
    let record = host.end()?;
    let mut rows = Rows::new(Name::Discovery);
    for measured in &all {
        let of = |row: &&Value| measured.pids.iter().any(|pid| row["process_pid"] == *pid);
        let decoded = |row: &&Value| row["visibility"] == "decoded";
        let read = record.interactions.iter().filter(of).filter(decoded).count();
        report(&mut rows, measured, number(read as u64));
    }
    rows.many(
        "library that a running program unpacks and opens: from opening to probes",
        &later,
        "ms",
    );
    Ok(rows.1)
}

fn report(rows: &mut Rows, measured: &Measured, read: f64) {
    let Measured {
        name,
        state,
        mib,
        pids,
        lives,
        attached,
    } = measured;
    let mut lives: Vec<u128> = lives.iter().map(Duration::as_millis).collect();
    lives.sort_unstable();
    let row = rows.one(
        format!("{name}, {}: first calls read", state.name()),
        read,
        "calls",
    );
    row.note(format!(
        "of {}; it lives {} ms",
        pids.len(),
        lives[lives.len() / 2]
    ));
    if matches!(state, State::New | State::Copied) {
        rows.many(
            format!("{name}, {}: from its start to probes", state.name()),
            attached,
            "ms",
        )
        .note(format!("{mib:.1} MiB"));
    }
}

fn measure(host: &mut Host, program: &Program, state: State) -> Result<Measured> {
    let mut measured = Measured {
        name: program.name,
        state,
        mib: size(&program.file)?,
        pids: Vec::new(),
        lives: Vec::new(),
        attached: Vec::new(),
    };
    let folder = |host: &Host, n: usize| {
        let name = format!("{}-{}-{n}", program.name, state.name());
        host.dir().join(name.replace([' ', ','], "-"))
    };
    if state == State::Known {
        let file = make(&folder(host, 0), program, state, 0)?;
        (program.start)(host, &file).run()?;
        attached_at(host, &file)?;
        for _ in 0..RUNS {
            start_one(host, program, &file, &mut measured)?;
        }
        fs::remove_dir_all(folder(host, 0))?;
        return Ok(measured);
    }
    for n in 0..RUNS {
        let file = make(&folder(host, n), program, state, n)?;
        if let State::Installed(before) = state {
            std::thread::sleep(before);
        }
        let wall = start_one(host, program, &file, &mut measured)?;
        let attached = attached_at(host, &file)?.saturating_sub(wall);
        measured.attached.push(number(attached) / 1e6);
        fs::remove_dir_all(folder(host, n))?;
    }
    Ok(measured)
}

/// The program's file in a folder of its own; like no other with some bytes behind its end.
fn make(folder: &Path, program: &Program, state: State, n: usize) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let file = folder.join(name_of(&program.file));
    fs::copy(&program.file, &file).with_context(|| program.file.display().to_string())?;
    let own = match state {
        State::New => 1 + n,
        State::Installed(_) => 1000 + n,
        State::Copied | State::Known => 0,
    };
    let mut end = fs::File::options().append(true).open(&file)?;
    end.write_all(&vec![b'x'; own])?;
    Ok(file)
}

/// Runs the program to its end; gives when it was started.
fn start_one(host: &Host, program: &Program, file: &Path, measured: &mut Measured) -> Result<u64> {
    let client = (program.start)(host, file);
    let (wall, start) = (now_ns(), Instant::now());
    let finished = client.run()?;
    measured.lives.push(start.elapsed());
    measured.pids.push(finished.pid);
    Ok(wall)
}

fn name_of(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn size(file: &Path) -> Result<f64> {
    Ok(number(fs::metadata(file)?.len()) / f64::from(1 << 20))
}

/// Programs of this machine; those from the client matrix where it has been installed.
fn programs() -> Vec<Program> {
    let library = |name: &str| {
        let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let file = Path::new(&folder).join(name);
        fs::canonicalize(file).ok()
    };
    let installed = |path: &str| fs::canonicalize(work_dir().join("clients").join(path)).ok();
    let all: [(&'static str, Option<PathBuf>, Start); 5] = [
        ("curl, libssl", library("libssl.so.3"), |host, file| {
            with_library(host.curl_chat("api.openai.com", "gpt-4o-mini", "hi"), file)
        }),
        ("Python, libssl", library("libssl.so.3"), |host, file| {
            with_library(host.python("raw_chat.py"), file)
        }),
        (
            "node",
            find_program("node").and_then(|node| fs::canonicalize(node).ok()),
            |host, file| host.program(file).arg(clients().join("fetch_chat.js")),
        ),
        ("bun", installed("node/node_modules/bun/bin/bun.exe"), fetch),
        ("deno", installed("node/node_modules/.bin/deno"), |host, file| {
            let ca = host.dir().join("ca.pem");
            fetch_with(host, file, &["run", "--allow-all"]).env("DENO_CERT", ca)
        }),
    ];
    all.into_iter()
        .filter_map(|(name, file, start)| {
            Some(Program {
                name,
                file: file?,
                start,
            })
        })
        .collect()
}

fn fetch(host: &Host, file: &Path) -> Client {
    fetch_with(host, file, &["run"])
}

fn fetch_with(host: &Host, file: &Path, arguments: &[&str]) -> Client {
    host.program(file)
        .args(arguments)
        .arg(clients().join("steady.mjs"))
        .args(["-", "once"])
}

fn with_library(client: Client, file: &Path) -> Client {
    let folder = file.parent().unwrap_or(Path::new("/"));
    // The name that programs ask for.
    let link = folder.join("libssl.so.3");
    if !link.exists() {
        let _ = std::os::unix::fs::symlink(file, link);
    }
    client.env("LD_LIBRARY_PATH", folder)
}

/// A library that is not there yet when the program starts.
fn opened_later(host: &mut Host, n: usize) -> Result<f64> {
    let library = programs().into_iter().next().context("no libssl")?.file;
    let target = host.dir().join(format!("later-{n}.so"));
    let mut client = host.python("opens_later.py").args([&library, &target]).start()?;
    let line: Value = serde_json::from_str(&client.next_line()?)?;
    let opened = line["opened_ns"].as_u64().context("when")?;
    let attached = attached_at(host, &target)?.saturating_sub(opened);
    client.finish()?;
    fs::remove_file(&target)?;
    Ok(number(attached) / 1e6)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When the daemon's log says that the last probe of a file was in place.
fn attached_at(host: &mut Host, file: &Path) -> Result<u64> {
    let start = Instant::now();
    loop {
        let output = host.daemon()?.output();
        let path = file.to_string_lossy();
        let line = output
            .lines()
            .find(|line| line.contains(ATTACHED) && line.contains(&*path));
        if let Some(line) = line {
            return stamp(line).with_context(|| format!("no time in {line}"));
        }
        ensure!(start.elapsed() < PATIENCE, "{path}: no probes. {output}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The time at the beginning of a line of the log, nanoseconds since 1970: `2026-11-30T19:00:00.123456Z`, today or tomorrow.
fn stamp(line: &str) -> Option<u64> {
    let time = line.get(line.find('T')? + 1..line.find('Z')?)?;
    let mut parts = time.split(':');
    let (hours, minutes): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (seconds, fraction) = parts.next()?.split_once('.')?;
    let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
    let of_day = ((hours * 60 + minutes) * 60 + seconds.parse::<u64>().ok()?) * 1_000_000_000 + nanoseconds;
    let day = 86_400_000_000_000;
    Some(now_ns() / day * day + of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_line_is_read() {
        let day = 86_400_000_000_000;
        let at = stamp("2026-11-30T01:02:03.000004Z  INFO x: y").expect("a time");
        assert_eq!(at % day, 3_723_000_004_000);
        assert_eq!(stamp("no time"), None);
    }
}
