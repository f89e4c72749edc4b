//! Live kernel: what the socket layer sees, with and without TLS.

use anyhow::{Context, Result};
use observer_tests::harness::{Finished, Host, Options, Record, clients, executable, live, python};
use rustix::process::Signal;
use serde_json::Value;

/// Columns of a row that say what it is, for comparing and for messages.
fn facts<'a>(row: &'a Value, columns: &[&str]) -> Vec<&'a str> {
    columns
        .iter()
        .map(|c| row[*c].as_str().unwrap_or("not a text"))
        .collect()
}

fn connection<'a>(record: &'a Record, report: &Value) -> Result<&'a Value> {
    record
        .connection_from(&report["pid"], &report["local_port"])
        .with_context(|| format!("{report} has no row among {:#?}", record.all_connections))
}

/// Every call of a client has a row that was decoded, from the socket, and its connection counts it.
fn check_calls(record: &Record, finished: &Finished, calls: u64) -> Result<()> {
    for report in &finished.reports {
        let row = record.by_response(report["id"].as_str().context("no id")?)?;
        let found = facts(
            row,
            &["visibility", "tls_stack", "tie", "server_address", "dialect"],
        );
        assert_eq!(
            found,
            ["decoded", "none", "socket", "llm.example.com", "openai-chat"]
        );
        assert_eq!(row["process_pid"], finished.pid);
        assert_eq!(row["gen_ai_usage_input_tokens"], report["input_tokens"]);
        let connection = record.connection_of(row)?;
        assert_eq!(connection["exchanges_decoded"], calls);
        assert_eq!(connection["network_local_port"], report["local_port"]);
        let found = facts(connection, &["visibility", "tls_stack", "network_transport"]);
        assert_eq!(found, ["decoded", "none", "tcp"]);
        for direction in ["sent", "received"] {
            let (socket, plain) = (format!("bytes_{direction}"), format!("plaintext_{direction}"));
            assert_eq!(connection[socket], connection[plain], "all of it is plaintext");
        }
    }
    Ok(())
}

/// More than the prefix of an undecided connection, in one call, before anything can be decided: partial, and it says so.
fn check_first(record: &Record, finished: &Finished) -> Result<()> {
    let row = record.by_response(finished.reports[0]["id"].as_str().context("no id")?)?;
    let connection = record.connection_of(row)?;
    assert_eq!(
        facts(row, &["visibility", "visibility_reason"]),
        ["partial", "lost_events"]
    );
    assert_eq!(
        facts(connection, &["visibility", "opaque_reason"]),
        ["partial", "lost_events"]
    );
    assert_eq!(connection["plaintext_sent"], 256 << 10, "the prefix");
    assert!(connection["bytes_sent"].as_u64() > Some(300_000));
    assert_eq!(row["gen_ai_response_model"], "my-own-model-2026-01-01");
    Ok(())
}

#[test]
fn plain_http_to_every_kind_of_address() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        plain: true,
        daemon: false,
        undecided_prefix: 256 << 10,
        ..Options::default()
    })?;
    let port = host.plain_port().to_string();
    let addresses = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
    let client = |host: &Host, to: &[&str]| {
        host.python("plain_calls.py")
            .args(["--port", &port, "--to"])
            .args(to)
    };
    let mut early = client(&host, &["127.0.0.1"]).arg("--wait").start()?;
    early.wait_for_line("ready")?;
    host.start_daemon()?;
    let kept = client(&host, &addresses).args(["--calls", "3"]).run()?;
    early.go()?;
    let early = early.finish()?;
    let long = client(&host, &["127.0.0.1"])
        .args(["--calls", "3", "--prompt-bytes", "20", "300000"])
        .run()?;
    let first = client(&host, &["127.0.0.1"])
        .args(["--prompt-bytes", "300000", "--one-call"])
        .run()?;
    let path = host.dir().join("model.sock");
    let mut server = host.python("unix_server.py").arg(&path).start()?;
    server.wait_for_line("ready")?;
    let body = r#"{"model": "local", "messages": [{"role": "user", "content": "hi"}]}"#;
    let local = host
        .program("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--unix-socket"])
        .arg(&path)
        .args(["--header", "Content-Type: application/json", "--data", body])
        .arg("http://model.internal/v1/chat/completions")
        .run()?;
    server.signal(Signal::KILL)?;
    let peeks = client(&host, &["127.0.0.1"])
        .args(["--calls", "3", "--peek"])
        .run()?;
    let record = host.finish(18)?;
    assert_eq!(record.interactions.len(), 18, "{}", record.losses());
    // The endpoint serves in this process.
    assert!(
        !record.pids.contains(&u64::from(std::process::id())),
        "a server has no rows"
    );
    check_calls(&record, &kept, 3)?;
    check_calls(&record, &early, 1)?;
    check_calls(&record, &long, 3)?;
    check_calls(&record, &peeks, 3)?;
    check_first(&record, &first)?;
    let families: Vec<&str> = kept
        .reports
        .iter()
        .step_by(3)
        .map(|report| {
            Ok(connection(&record, report)?["network_family"]
                .as_str()
                .unwrap_or(""))
        })
        .collect::<Result<_>>()?;
    assert_eq!(families, ["ipv4", "ipv6", "ipv6"]);
    let row = record.by_response("chatcmpl-unix")?;
    assert_eq!(
        facts(row, &["visibility", "tls_stack", "tie", "server_address"]),
        ["decoded", "none", "socket", "model.internal"]
    );
    assert_eq!(
        (&row["process_pid"], &row["server_port"]),
        (&local.pid.into(), &0.into())
    );
    let found = facts(
        record.connection_of(row)?,
        &["network_transport", "network_family"],
    );
    assert_eq!(found, ["unix", "unix"]);
    Ok(())
}

/// What a row of `hellos.py` must say: name, where it is from, class.
fn hello_row(kind: &str) -> Option<[&'static str; 3]> {
    match kind {
        "whole" | "head first" | "byte by byte" => Some(["api.openai.com", "sni", "ai_known"]),
        "not ai" => None,
        _ => Some(["", "none", "unknown"]),
    }
}

fn check_hellos(record: &Record, finished: &Finished) -> Vec<String> {
    let mut wrong = Vec::new();
    for report in &finished.reports {
        let kind = report["kind"].as_str().unwrap_or("");
        let row = record.connection_from(&report["pid"], &report["local_port"]);
        let found = row.map(|row| facts(row, &["server_address", "name_source", "endpoint_class"]));
        let expected = hello_row(kind).map(|row| row.to_vec());
        if found != expected {
            wrong.push(format!("{kind}: {found:?}, not {expected:?}"));
        }
        if row.is_some_and(|row| row["visibility"] != "opaque" || row["opaque_reason"] == "") {
            wrong.push(format!("{kind}: {row:?}"));
        }
    }
    wrong
}

fn check_datagrams(record: &Record, finished: &Finished) {
    let rows: Vec<&Value> = record
        .all_connections
        .iter()
        .filter(|row| row["process_pid"] == finished.pid)
        .collect();
    let mut peers: Vec<&str> = rows
        .iter()
        .map(|row| row["network_peer_address"].as_str().unwrap_or(""))
        .collect();
    peers.sort_unstable();
    assert_eq!(peers, ["::ffff:127.0.43.1", "::ffff:127.0.43.2"]);
    for row in rows {
        let found = facts(
            row,
            &[
                "network_transport",
                "opaque_reason",
                "endpoint_class",
                "visibility",
            ],
        );
        assert_eq!(found, ["udp", "quic", "unknown", "opaque"]);
        assert_eq!(row["server_port"], 443);
        // Three datagrams; not known when the process ended before the totals were asked for.
        assert!(
            row["bytes_sent"] == 3_600 || row["bytes_sent"].is_null(),
            "{}",
            row["bytes_sent"]
        );
    }
}

#[test]
fn what_cannot_be_read_has_its_row_and_reason() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let hellos = host.python("hellos.py").run()?;
    let datagrams = host.python("datagrams.py").run()?;
    let mut proxy = host.python("proxy.py").start()?;
    let proxy_port = proxy.next_line()?;
    let asks = host
        .python("asks_proxy.py")
        .args([proxy_port.as_str(), "api.mistral.ai"])
        .run()?;
    let through = host
        .program("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(host.dir().join("ca.pem"))
        .args(["--proxy", &format!("http://127.0.0.1:{proxy_port}"), "--data"])
        .arg(r#"{"model": "gpt-4o-proxy", "messages": [{"role": "user", "content": "hi"}]}"#)
        .args(["--header", "Content-Type: application/json"])
        .arg("https://api.openai.com/v1/chat/completions")
        .run()?;
    let java = match executable("java") {
        Ok(_) => Some(
            host.program("java")
                .arg(clients().join("Tls.java"))
                .arg(host.endpoint.port().to_string())
                .run()?,
        ),
        Err(_) => None,
    };
    let proxy_pid = proxy.pid();
    proxy.signal(Signal::KILL)?;
    // Rows of connections come a moment after their end.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let record = host.end()?;
    let wrong = check_hellos(&record, &hellos);
    assert!(wrong.is_empty(), "{wrong:#?}");
    check_datagrams(&record, &datagrams);
    let of = |pid: u32| -> Vec<&Value> {
        let all = record.all_connections.iter();
        all.filter(|row| row["process_pid"] == pid).collect()
    };
    let columns = ["server_address", "name_source", "visibility"];
    let asked: Vec<_> = of(asks.pid).iter().map(|row| facts(row, &columns)).collect();
    assert_eq!(asked, [["api.mistral.ai", "connect", "opaque"]]);
    let tunnel: Vec<_> = of(through.pid).iter().map(|row| facts(row, &columns)).collect();
    assert_eq!(tunnel, [["api.openai.com", "sni", "decoded"]]);
    assert_eq!(of(through.pid)[0]["server_port"].to_string(), proxy_port);
    let passed: Vec<_> = of(proxy_pid).iter().map(|row| facts(row, &columns)).collect();
    assert_eq!(
        passed,
        [["api.openai.com", "sni", "opaque"]],
        "what the proxy passes on"
    );
    if let Some(java) = java {
        let columns = ["server_address", "name_source", "visibility", "opaque_reason"];
        let rows: Vec<_> = of(java.pid).iter().map(|row| facts(row, &columns)).collect();
        assert_eq!(rows, [["api.openai.com", "sni", "opaque", "jsse"]]);
    }
    Ok(())
}

#[test]
fn a_name_server_names_what_follows_and_old_connections_are_told() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let resolver = host.dir().join("resolv.conf");
    std::fs::write(&resolver, "nameserver 127.0.0.1\n")?;
    // Network and mounts of its own: the host's stay as they are.
    let script = r#"ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;
    let mut client = host
        .program("unshare")
        .args(["--net", "--mount", "sh", "-c", script, "sh"])
        .arg(&resolver)
        .arg(python())
        .arg(clients().join("resolves.py"))
        .arg("--wait")
        .start()?;
    client.wait_for_line("ready")?;
    host.start_daemon()?;
    client.go()?;
    let finished = client.finish()?;
    let report = finished
        .reports
        .first()
        .with_context(|| finished.errors.clone())?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let record = host.end()?;
    let columns = [
        "server_address",
        "name_source",
        "endpoint_class",
        "network_transport",
    ];
    let row = |name: &str| {
        record
            .connection_from(&report["pid"], &report[name])
            .map(|row| facts(row, &columns))
    };
    let named = |transport| Some(vec!["api.anthropic.com", "dns", "ai_known", transport]);
    assert_eq!(
        row("api.anthropic.com"),
        named("tcp"),
        "{:#?}",
        record.all_connections
    );
    assert_eq!(row("api.anthropic.com quic"), named("udp"));
    assert_eq!(
        row("by hand"),
        Some(vec!["api.openai.com", "dns", "ai_known", "tcp"]),
        "asked from a socket without a peer"
    );
    assert_eq!(
        (row("www.example.org"), row("www.example.org quic")),
        (None, None)
    );
    let old = record
        .connection_from(&report["pid"], &report["old"])
        .with_context(|| format!("no row among {:#?}", record.all_connections))?;
    assert_eq!(
        facts(old, &["endpoint_class", "opaque_reason", "network_peer_address"]),
        ["unknown", "started_before_agent", "::ffff:127.0.0.9"]
    );
    Ok(())
}
