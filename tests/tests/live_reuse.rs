//! Live kernel: what outlives its name, and names that are given again. Addresses of handles and sockets, ids of threads, calls inside calls
//! of the same function.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use observer_tests::harness::{Host, Options, live, until};
use rustix::process::Signal;

/// A handle of OpenSSL that is cleared, not freed, has a flow for each connection, tied to that connection.
#[test]
fn a_handle_that_is_used_again_is_another_flow() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("reused_handle.py").run()?;
    assert_eq!(finished.reports.len(), 3, "{}", finished.errors);
    let record = host.finish(2)?;
    assert_eq!(record.interactions.len(), 2, "{}", record.losses());
    for report in &finished.reports[..2] {
        let row = record.by_response(report["id"].as_str().context("no id")?)?;
        assert_eq!(row["server_address"], report["host"]);
        assert_eq!(row["visibility"], "decoded");
        let connection = record.connection_of(row)?;
        assert_eq!(connection["network_local_port"], report["local_port"]);
        assert_eq!(connection["visibility"], "decoded");
    }
    Ok(())
}

/// The first thread's end is not the process's.
#[test]
fn a_process_outlives_its_first_thread() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("leader_ends.py").run()?;
    assert_eq!(finished.reports.len(), 2, "{}", finished.errors);
    let record = host.finish(2)?;
    assert_eq!(record.interactions.len(), 2, "{}", record.losses());
    for report in &finished.reports {
        let row = record.by_response(report["id"].as_str().context("no id")?)?;
        assert_eq!(row["process_pid"], finished.pid);
        assert_eq!(row["visibility"], "decoded");
        assert_ne!(row["process_executable_path"], "", "{row:#}");
        record.connection_of(row)?;
    }
    Ok(())
}

/// Sockets of datagrams have no end that the kernel tells: the next one at the same address has a row of its own.
#[test]
fn each_socket_of_datagrams_has_its_row() -> Result<()> {
    const SOCKETS: usize = 40;
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("datagrams.py").arg(SOCKETS.to_string()).run()?;
    // Rows of connections come a moment after their end.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let record = host.end()?;
    let rows = record.all_connections.iter();
    let peers: BTreeSet<&str> = rows
        .filter(|row| row["process_pid"] == finished.pid)
        .filter_map(|row| row["network_peer_address"].as_str())
        .collect();
    assert_eq!(peers.len(), SOCKETS, "{peers:?}");
    Ok(())
}

/// A proxy that is spoken to over TLS: the call's TLS runs inside the proxy's, by the same function on the same thread.
#[test]
fn tls_inside_tls_is_read() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let certificate = host.dir().join("proxy.pem");
    let made = rcgen::generate_simple_self_signed(["proxy.internal".to_owned()])?;
    std::fs::write(&certificate, made.cert.pem() + &made.signing_key.serialize_pem())?;
    let mut proxy = host.python("proxy.py").arg(&certificate).start()?;
    let port = proxy.next_line()?;
    let curl = host
        .program("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(host.dir().join("ca.pem"))
        .args([
            "--proxy-insecure",
            "--proxy",
            &format!("https://127.0.0.1:{port}"),
        ])
        .args(["--header", "Content-Type: application/json", "--data"])
        .arg(r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}"#)
        .arg("https://api.openai.com/v1/chat/completions")
        .run()?;
    assert!(curl.status.success(), "{}", curl.errors);
    proxy.signal(Signal::KILL)?;
    // Its peer is the proxy, so it is none of the rows that belong to the endpoint.
    let mut rows = Vec::new();
    until("the call inside is stored", || {
        let all = host.rows("ai_interactions", "ts").unwrap_or_default();
        rows = all
            .into_iter()
            .filter(|row| row["process_pid"] == curl.pid)
            .collect();
        Ok(!rows.is_empty())
    })?;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["visibility"], "decoded", "{:#}", rows[0]);
    assert_eq!(rows[0]["server_address"], "api.openai.com");
    assert_eq!(rows[0]["server_port"].to_string(), port);
    Ok(())
}
