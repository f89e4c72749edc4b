//! Live kernel: a host that works against the daemon. Thousands of short-lived processes, and a process that floods one flow, in a short
//! form; `OBSERVER_HOSTILE_SECONDS` makes them longer.

#![expect(clippy::disallowed_methods, reason = "loads have a pace, waits have limits")]

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Host, Options, Record, live};
use serde_json::Value;

/// Most memory that the daemon may ever have held, KiB: twice what a quiet one takes, ring included.
const MAX_KIB: u64 = 300 << 10;

fn seconds() -> u64 {
    let text = std::env::var("OBSERVER_HOSTILE_SECONDS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// A number of `/proc/PID/status`, or the sum of user and system time of `/proc/PID/stat` in ticks.
fn cost(pid: u32) -> Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .context("no VmHWM")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().context("no stat")?;
    let ticks = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    Ok((peak, ticks))
}

/// What it cost stays bounded; says how much it was.
fn bounded(host: &mut Host) -> Result<String> {
    let (peak, ticks) = cost(host.daemon()?.pid())?;
    ensure!(peak < MAX_KIB, "the daemon held {peak} KiB");
    let (mib, seconds) = (peak >> 10, ticks / 100);
    Ok(format!(
        "the daemon held {mib} MiB at most and took {seconds} s of a core"
    ))
}

/// All calls with this model are there and whole.
fn decoded<'r>(record: &'r Record, model: &str, count: usize) -> Result<Vec<&'r Value>> {
    let of_model = |row: &&Value| {
        row["gen_ai_request_model"]
            .as_str()
            .is_some_and(|name| name.starts_with(model))
    };
    let rows: Vec<&Value> = record.interactions.iter().filter(of_model).collect();
    ensure!(
        rows.len() == count,
        "{} of {count} calls of {model} have a row",
        rows.len()
    );
    for row in &rows {
        ensure!(row["visibility"] == "decoded", "{row:#}");
    }
    Ok(rows)
}

#[test]
fn five_thousand_processes_a_minute_hide_no_call() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    /// Time between two starts: 5,000 a minute.
    const PACE: Duration = Duration::from_millis(12);
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let (start, length) = (Instant::now(), Duration::from_secs(seconds()));
    let (mut started, mut calls) = (0, Vec::new());
    while start.elapsed() < length {
        if started % 10 == 0 {
            calls.push(
                host.curl_chat("api.openai.com", &format!("gpt-4o-{started}"), "hi")
                    .start()?,
            );
        } else {
            Command::new("true").status()?;
        }
        started += 1;
        std::thread::sleep((PACE * started).saturating_sub(start.elapsed()));
    }
    let took = start.elapsed();
    let wanted = calls.len();
    for call in calls {
        let finished = call.finish()?;
        ensure!(finished.status.success(), "{}", finished.errors);
    }
    println!(
        "{started} processes in {:.1} s, {wanted} of them called",
        took.as_secs_f64()
    );
    host.wait_for_interactions(wanted)?;
    println!("{}", bounded(&mut host)?);
    let record = host.finish(wanted)?;
    decoded(&record, "gpt-4o-", wanted)?;
    assert_eq!(
        record.sealed_loss("kernel", "ring_full"),
        (0, 0),
        "{}",
        record.losses()
    );
    record.balanced_books()?;
    Ok(())
}

#[test]
fn a_flood_costs_the_calls_of_others_nothing_and_is_named() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let calls = 10 * usize::try_from(seconds())?;
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let count = calls.to_string();
    let mut others = host
        .python("openai_chat.py")
        .args(["--model", "gpt-4o-other", "--count", &count, "--wait"])
        .start()?;
    others.wait_for_line("ready")?;
    let mut flood = host.python("flood.py").start()?;
    flood.wait_for_line("ready")?;
    let pid = flood.pid();
    others.go()?;
    let finished = others.finish()?;
    ensure!(finished.status.success(), "{}", finished.errors);
    let flooded = flood.finish()?;
    ensure!(flooded.status.success(), "{}", flooded.errors);
    let sent = flooded.reports[0]["sent"].as_u64().context("nothing sent")?;
    // The rest of the ring is read first.
    host.wait_for_interactions(calls)?;
    println!("{}", bounded(&mut host)?);
    let record = host.finish(calls)?;
    decoded(&record, "gpt-4o-other", calls)?;
    let (events, bytes) = record.sealed_loss("kernel", "over_share");
    println!(
        "{} MiB flooded, {} MiB of it refused in {events} calls",
        sent >> 20,
        bytes >> 20
    );
    assert!(bytes > sent / 2, "{}", record.losses());
    record.balanced_books()?;
    // The row of the flood says whose it is, and that it is not whole.
    let row = record
        .interactions
        .iter()
        .find(|row| row["process_pid"] == pid)
        .context("the flood has no row")?;
    assert_eq!(
        (&row["visibility"], &row["visibility_reason"]),
        (&"partial".into(), &"lost_events".into()),
        "{row:#}"
    );
    Ok(())
}
