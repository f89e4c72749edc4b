//! Live kernel: what a policy closes fails with EPERM, everything else does not, and nothing is left behind.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for a real daemon, within limits"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Host, Options, Record, Running, clients, live, python};
use rustix::process::Signal;
use serde_json::{Value, json};

const POLICY: &str = "\
version: e-1
default: unknown
rules:
  - {id: lab, verdict: sanctioned, provider: [anthropic], executable: [\"*/allowed-bash\"]}
  - {id: no-anthropic, verdict: unsanctioned, enforce: true, provider: [anthropic, deepseek]}
  - {id: look-mistral, verdict: unsanctioned, enforce: dry_run, provider: [mistral_ai]}
  - {id: nobody-cohere, verdict: unsanctioned, enforce: true, provider: [cohere], user: [nobody]}
";

/// How long the daemon may take until what it learned is in the kernel, or gone from it.
const SOON: Duration = Duration::from_secs(6);
/// How long rows may take to the store, and the store to have its tables.
const STORED: Duration = Duration::from_secs(20);

/// A client in a network of its own, which does what it is told.
struct Remote(Running);

impl Remote {
    fn start(host: &Host) -> Result<Self> {
        let resolver = host.dir().join("resolv.conf");
        std::fs::write(&resolver, "nameserver 127.0.0.1\n")?;
        let script = r#"ip link set lo up && ip -6 address add fd00::2/128 dev lo && mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;
        let mut client = host
            .program("unshare")
            .args(["--net", "--mount", "sh", "-c", script, "sh"])
            .arg(&resolver)
            .arg(python())
            .arg(clients().join("enforced.py"))
            .start()?;
        client.wait_for_line("ready")?;
        Ok(Self(client))
    }

    fn ask(&mut self, what: &Value) -> Result<Value> {
        self.0.say(&what.to_string())?;
        let line = self.0.next_line()?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }

    fn tcp(&mut self, to: &str) -> Result<Value> {
        self.ask(&json!({"do": "tcp", "to": to}))
    }

    fn resolve(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            let found = self.ask(&json!({"do": "resolve", "name": name}))?;
            ensure!(
                found.as_array().is_some_and(|all| !all.is_empty()),
                "{name}: {found}"
            );
        }
        Ok(())
    }

    /// Connects again and again until this comes of it.
    fn until(&mut self, to: &str, wanted: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let outcome = self.tcp(to)?;
            if outcome == wanted {
                return Ok(());
            }
            ensure!(start.elapsed() < SOON, "{to}: {outcome} and not {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn host(mode: &str) -> Result<Host> {
    let host = Host::start(Options {
        daemon: false,
        more: format!("enforcement:\n  mode: {mode}\n  allow: [127.0.0.4]\n"),
        ..Options::default()
    })?;
    std::fs::write(host.policy_file(), POLICY)?;
    Ok(host)
}

/// Waits until so many rows about decisions are stored; for none, until there is a place for them.
fn wait_for_decisions(host: &Host, wanted: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let rows = host.rows("v_enforcement", "ts");
        if rows.as_ref().is_ok_and(|rows| rows.len() >= wanted) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < STORED,
            "{wanted} decisions are not stored: {rows:#?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until so many addresses are closed to somebody.
fn wait_for_closed(host: &Host, wanted: f64) -> Result<()> {
    let start = Instant::now();
    loop {
        let closed = host
            .metrics()?
            .sum("observer_enforcement", &["what=\"closed_addresses\""]);
        if closed == Some(wanted) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < SOON,
            "{closed:?} addresses are closed, and not {wanted}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What each call gives once the names are known.
fn check_calls(host: &Host, remote: &mut Remote) -> Result<()> {
    let udp = |to: &str, connected: bool, port: u16| json!({"do": "udp", "to": to, "connected": connected, "port": port});
    let bash = host.dir().join("allowed-bash");
    std::fs::copy("/bin/bash", &bash)?;
    let connect = "exec 3<>/dev/tcp/127.0.0.2/443 && echo ok";
    let once = |to: &str| json!({"do": "run", "uid": 65534, "argv": [python(), clients().join("enforced.py"), "--once", to]});
    for (what, wanted) in [
        (json!({"do": "tcp", "to": "127.0.0.2"}), "EPERM"),
        (json!({"do": "tcp", "to": "::ffff:127.0.0.2"}), "EPERM"),
        (json!({"do": "tcp", "to": "fd00::2"}), "EPERM"),
        (udp("127.0.0.2", true, 443), "EPERM"),
        (udp("fd00::2", false, 443), "EPERM"),
        (udp("::ffff:127.0.0.2", false, 443), "EPERM"),
        (udp("127.0.0.2", false, 9), "ok"),
        (json!({"do": "tcp", "to": "127.0.0.3"}), "ok"),
        (json!({"do": "tcp", "to": "127.0.0.4"}), "ok"),
        (json!({"do": "tcp", "to": "127.0.0.5"}), "ok"),
        (json!({"do": "tcp", "to": "127.0.0.6"}), "ok"),
        (json!({"do": "tcp", "to": "127.0.0.7"}), "ok"),
        (once("127.0.0.6"), "EPERM"),
        (once("127.0.0.3"), "ok"),
        (json!({"do": "run", "argv": [bash, "-c", connect]}), "ok"),
        (
            json!({"do": "hello", "to": "127.0.0.3", "name": "api.anthropic.com", "wait": 15}),
            "ECONNABORTED",
        ),
        (
            json!({"do": "hello", "to": "127.0.0.3", "name": "www.example.org", "wait": 1}),
            "ok",
        ),
    ] {
        assert_eq!(remote.ask(&what)?, wanted, "{what}");
    }
    Ok(())
}

/// Rows about what was decided, as texts.
fn decisions(record: &Record) -> Vec<String> {
    let columns = [
        "enforcement",
        "enforcement_rule_id",
        "close_reason",
        "visibility",
        "network_transport",
        "network_peer_address",
        "server_address",
        "user_name",
    ];
    // What waits for an address to be closed may have a connection to it open just then, which is cut, or gone before that.
    let waiting = |row: &&Value| {
        row["network_peer_address"] == "::ffff:127.0.0.2"
            && row["enforcement"]
                .as_str()
                .is_some_and(|what| what.starts_with("cut"))
    };
    let decided = record
        .all_connections
        .iter()
        .filter(|row| row["enforcement"] != "" && !waiting(row));
    let mut rows: Vec<String> = decided
        .map(|row| {
            columns
                .map(|column| row[column].as_str().unwrap_or("?"))
                .join(" ")
        })
        .collect();
    rows.sort();
    rows.dedup();
    rows
}

fn check_rows(record: &Record) {
    let anthropic = |what: &str, address: &str| {
        format!("denied no-anthropic denied none {what} {address} api.anthropic.com root")
    };
    let found = decisions(record);
    assert_eq!(
        found,
        [
            "cut no-anthropic cut opaque tcp ::ffff:127.0.0.3 api.anthropic.com root".to_owned(),
            anthropic("tcp", "::ffff:127.0.0.2"),
            anthropic("tcp", "fd00::2"),
            anthropic("udp", "::ffff:127.0.0.2"),
            anthropic("udp", "fd00::2"),
            "denied nobody-cohere denied none tcp ::ffff:127.0.0.6 api.cohere.com nobody".to_owned(),
            "dry_run look-mistral closed opaque tcp ::ffff:127.0.0.5 api.mistral.ai root".to_owned(),
        ]
    );
    let decided = |action: &str| {
        let rows = record
            .all_connections
            .iter()
            .filter(|row| row["enforcement"] == action);
        rows.filter_map(|row| row["enforcement_attempts"].as_u64())
            .sum::<u64>()
    };
    let metric = |action: &str| {
        record.metrics.sum(
            "observer_enforcement_decisions_total",
            &[&format!("action=\"{action}\"")],
        )
    };
    for action in ["denied", "dry_run", "cut", "cut_failed"] {
        assert_eq!(
            decided(action) as f64,
            metric(action).unwrap_or(-1.0),
            "{action}: every decision is in a row"
        );
    }
    let made = record
        .all_connections
        .iter()
        .filter(|row| row["visibility"] != "none" && row["endpoint_class"] != "unknown");
    assert_eq!(
        record.sealed("ai_flows"),
        made.count() as u64,
        "what was denied is no connection"
    );
}

#[test]
fn what_policy_closes_fails_and_nothing_else_does_and_all_of_it_is_evidence() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = host("on")?;
    let mut remote = Remote::start(&host)?;
    host.start_daemon()?;
    wait_for_decisions(&host, 0)?;
    assert_eq!(remote.tcp("127.0.0.2")?, "ok", "nobody gave a name for it yet");
    remote.resolve(&[
        "api.anthropic.com",
        "api.mistral.ai",
        "api.cohere.com",
        "www.example.org",
        "api.deepseek.com",
    ])?;
    wait_for_closed(&host, 3.0)?;
    // A user whom the daemon has not seen might be anybody: nothing is closed to him alone.
    remote.ask(&json!({"do": "run", "uid": 65534, "argv": ["true"]}))?;
    wait_for_closed(&host, 4.0)?;
    check_calls(&host, &mut remote)?;
    wait_for_decisions(&host, 7)?;
    let record = host.end()?;
    check_rows(&record);
    assert_eq!(remote.tcp("127.0.0.2")?, "ok", "the daemon is gone");
    Ok(())
}

#[test]
fn everything_is_open_when_the_daemon_is_stuck_killed_or_without_its_policy() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = host("on")?;
    let mut remote = Remote::start(&host)?;
    host.start_daemon()?;
    remote.resolve(&["api.anthropic.com"])?;
    remote.until("127.0.0.2", "EPERM")?;
    let aside = host.dir().join("aside.yaml");
    std::fs::rename(host.policy_file(), &aside)?;
    remote.until("127.0.0.2", "ok")?;
    std::fs::rename(&aside, host.policy_file())?;
    remote.until("127.0.0.2", "EPERM")?;
    host.daemon()?.signal(Signal::STOP)?;
    remote.until("127.0.0.2", "ok")?;
    host.daemon()?.signal(Signal::CONT)?;
    remote.until("127.0.0.2", "EPERM")?;
    host.kill_daemon()?;
    remote.until("127.0.0.2", "ok")?;
    Ok(())
}

#[test]
fn a_dry_run_lets_everything_through_and_says_what_it_would_deny() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = host("dry_run")?;
    let mut remote = Remote::start(&host)?;
    host.start_daemon()?;
    wait_for_decisions(&host, 0)?;
    remote.resolve(&["api.anthropic.com"])?;
    wait_for_closed(&host, 2.0)?;
    for to in ["127.0.0.2", "fd00::2"] {
        assert_eq!(remote.tcp(to)?, "ok");
    }
    let hello = json!({"do": "hello", "to": "127.0.0.3", "name": "api.anthropic.com", "wait": 2});
    assert_eq!(remote.ask(&hello)?, "ok", "nothing is cut");
    wait_for_decisions(&host, 3)?;
    let record = host.end()?;
    let row =
        |address: &str| format!("dry_run no-anthropic closed opaque tcp {address} api.anthropic.com root");
    let wanted = ["::ffff:127.0.0.2", "::ffff:127.0.0.3", "fd00::2"].map(row);
    assert_eq!(decisions(&record), wanted, "{:#?}", record.all_connections);
    Ok(())
}
