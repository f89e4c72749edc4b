//! Live kernel: the daemon's own behaviour on a host: its store, its twin, its seals.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use observer_tests::harness::{Host, Options, Process, daemon, live};

fn call(host: &Host, model: &str) -> Result<()> {
    host.curl_chat("api.openai.com", model, "hi").run().map(|_| ())
}

#[test]
fn a_store_that_goes_down_and_comes_back_loses_nothing() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    call(&host, "before")?;
    host.wait_for_interactions(1)?;
    host.store.as_mut().context("no store")?.stop()?;
    call(&host, "while-down-1")?;
    call(&host, "while-down-2")?;
    // Long enough for several failed attempts.
    std::thread::sleep(Duration::from_secs(4));
    assert!(
        host.daemon()?.is_running(),
        "the daemon ended:\n{}",
        host.daemon()?.output()
    );
    host.store.as_mut().context("no store")?.resume()?;
    call(&host, "after")?;
    let record = host.finish(4)?;
    let mut models: Vec<&str> = record
        .interactions
        .iter()
        .filter_map(|row| row["gen_ai_request_model"].as_str())
        .collect();
    models.sort_unstable();
    assert_eq!(models, ["after", "before", "while-down-1", "while-down-2"]);
    assert_eq!(record.sealed("records_dropped_spool"), 0);
    Ok(())
}

#[test]
fn a_store_that_is_down_at_the_start_is_waited_for() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    host.store.as_mut().context("no store")?.stop()?;
    host.start_daemon()?;
    call(&host, "early")?;
    host.store.as_mut().context("no store")?.resume()?;
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    assert_eq!(record.interactions[0]["gen_ai_request_model"], "early");
    Ok(())
}

#[test]
fn the_daemon_starts_its_own_store() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options {
        embedded_store: true,
        ..Options::default()
    })?;
    call(&host, "gpt-4o-mini")?;
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    assert_eq!(record.interactions[0]["visibility"], "decoded");
    Ok(())
}

#[test]
fn a_second_daemon_is_refused() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    let first = host.daemon()?.pid();
    let mut command = Command::new(daemon());
    command.args(["run", "--config"]).arg(host.config_file());
    let mut second = Process::start("second", host.dir(), &mut command)?;
    let status = second.wait(Duration::from_secs(20))?;
    assert!(!status.success(), "two daemons at once");
    assert!(
        second.output().contains(&first.to_string()),
        "the first one's pid is not named: {}",
        second.output()
    );
    assert!(host.daemon()?.is_running());
    // The first goes on as if nothing had happened.
    call(&host, "gpt-4o-mini")?;
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    Ok(())
}

#[test]
fn seals_state_what_was_seen() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    call(&host, "gpt-4o-mini")?;
    host.wait_for_interactions(1)?;
    // Let an interval end after the call.
    std::thread::sleep(Duration::from_secs(2));
    let record = host.finish(1)?;
    let first = record.seals.first().context("no seal")?;
    let last = record.seals.last().context("no seal")?;
    assert_eq!(first["seal_kind"], "open");
    assert_eq!(last["seal_kind"], "close", "an orderly stop is sealed");
    assert!(record.seals.iter().any(|seal| seal["seal_kind"] == "interval"));
    assert!(record.sealed("events_seen") > 0);
    assert_eq!(record.sealed("ai_flows"), 1);
    assert_eq!(record.sealed("ai_flows_decoded"), 1);
    assert!(last["probes_required"].as_u64() > Some(0));
    assert_eq!(
        last["probes_attached"], last["probes_required"],
        "{}",
        last["probes_failed"]
    );
    let numbers: Vec<u64> = record
        .seals
        .iter()
        .filter_map(|seal| seal["seal_seq"].as_u64())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "seals are not dense: {numbers:?}"
    );
    Ok(())
}
