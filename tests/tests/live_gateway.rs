//! Live kernel: calls through a gateway, whose caller is named, and downloads from hubs of models.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for a real daemon, within limits"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{DATABASE, Host, Options, live};
use serde_json::{Value, json};

fn text<'r>(row: &'r Value, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Lets curl ask a relay that is started with these arguments, and gives the relay's pid.
fn ask(host: &Host, relay: &[&str], scheme: &str, prompt: &str) -> Result<u32> {
    let mut relay = host.python("relay.py").args(relay).start()?;
    let port = relay.next_line()?;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}).to_string();
    host.program("curl")
        .args(["--silent", "--show-error", "--fail", "--insecure"])
        .args(["--max-time", "60"])
        .args([
            "--header",
            "content-type: application/json",
            "--header",
            "x-request-id: call-7",
        ])
        .args([
            "--header",
            &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01"),
        ])
        .args(["--data", &body])
        .arg(format!("{scheme}://127.0.0.1:{port}/v1/chat/completions"))
        .run()?;
    let pid = relay.pid();
    relay.finish()?;
    Ok(pid)
}

/// Waits until so many calls are stored, whatever they are of.
fn wait_for_rows(host: &Host, count: usize) -> Result<()> {
    let begun = Instant::now();
    while host.rows("ai_interactions", "ts").map_or(0, |rows| rows.len()) < count {
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "not all rows are stored"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Calls of the last hour that are part of another one.
fn joined(host: &Host) -> Result<Vec<Value>> {
    let store = host.store.as_ref().context("no store")?;
    store.query(&format!(
        "SELECT gateway_pid, caller_executable_path, caller_user_name, joined_by, callers, server_address, toString(caller_address) AS caller_address \
         FROM {DATABASE}.pv_gateway_calls(from=toString(now64(9, 'UTC') - INTERVAL 1 HOUR), to=toString(now64(9, 'UTC') + INTERVAL 1 MINUTE)) ORDER BY ts"
    ))
}

#[test]
fn the_caller_of_a_gateway_is_named_by_what_both_calls_have_in_common() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let cases = [
        ("as-is", "what is 2+2?", Some(vec!["prompt", "response_id"])),
        ("renamed", "what is 3+3?", Some(vec!["request_id", "trace_id"])),
        ("prompt", "what is 4+4?", Some(vec!["prompt"])),
        ("another", "what is 5+5?", None),
    ];
    let mut relays = Vec::new();
    for (mode, prompt, _) in &cases {
        relays.push(ask(&host, &[mode], "http", prompt)?);
    }
    wait_for_rows(&host, 8)?;
    host.wait_for_schema()?;
    let found = joined(&host)?;
    for (pid, (mode, _, wanted)) in relays.iter().zip(&cases) {
        let mut of_relay = found.iter().filter(|row| row["gateway_pid"] == *pid);
        let Some(wanted) = wanted else {
            ensure!(of_relay.next().is_none(), "{mode}: {found:#?}");
            continue;
        };
        let row = of_relay.next().with_context(|| format!("{mode}: {found:#?}"))?;
        assert_eq!(row["joined_by"], json!(wanted), "{mode}");
        ensure!(text(row, "caller_executable_path").ends_with("/curl"), "{row}");
        assert_eq!(
            [text(row, "caller_user_name"), text(row, "server_address")],
            ["root", "api.openai.com"]
        );
        assert_eq!(row["callers"], 1, "{row}");
        ensure!(of_relay.next().is_none(), "{mode}: {found:#?}");
    }
    let record = host.finish(4)?;
    for row in &record.interactions {
        assert_eq!(text(row, "network_transport"), "tcp", "{row}");
    }
    let stored = format!("{record:?}");
    ensure!(!stored.contains("2+2"), "a prompt is stored in clear");
    Ok(())
}

#[test]
fn a_call_whose_caller_is_not_read_here_is_a_row_of_who_answers_it() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options {
        more: "  served_calls: on\n  exclude_executables: [\"*/curl\"]\n".to_owned(),
        ..Options::default()
    })?;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = host.dir().join("relay.pem");
    let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    std::fs::write(&certificate, pem)?;
    let certificate = certificate.to_str().context("a path of text")?;
    let relays = [
        ask(&host, &["as-is"], "http", "what is 6+6?")?,
        ask(&host, &["as-is", certificate], "https", "what is 6+6?")?,
    ];
    wait_for_rows(&host, 4)?;
    host.wait_for_schema()?;
    let callers = joined(&host)?;
    let record = host.finish(2)?;
    for (pid, stack) in relays.iter().zip(["none", "openssl"]) {
        let of_relay = |row: &&Value| row["process_pid"] == *pid;
        let mut roles: Vec<&str> = record
            .all_interactions
            .iter()
            .filter(of_relay)
            .map(|row| text(row, "role"))
            .collect();
        roles.sort_unstable();
        assert_eq!(roles, ["client", "server"], "{:#?}", record.all_interactions);
        let mut rows = record.all_interactions.iter().filter(of_relay);
        let served = rows.find(|row| row["role"] == "server");
        let served = served.context("no row of the server")?;
        assert_eq!(
            [
                text(served, "tls_stack"),
                text(served, "visibility"),
                text(served, "gen_ai_request_model")
            ],
            [stack, "decoded", "gpt-4o"]
        );
        assert_eq!(text(served, "network_peer_address"), "::ffff:127.0.0.1");
        let id = &served["connection_id"];
        let connection = record
            .all_connections
            .iter()
            .find(|row| row["connection_id"] == *id);
        let connection = connection.context("no connection")?;
        assert_eq!(
            [text(connection, "endpoint_class"), text(connection, "visibility")],
            ["served", "decoded"]
        );
        let caller = callers.iter().find(|row| row["gateway_pid"] == *pid);
        let caller = caller.with_context(|| format!("no caller of {pid}: {callers:#?}"))?;
        assert_eq!(text(caller, "caller_address"), "::ffff:127.0.0.1");
        assert_eq!(caller["joined_by"], json!(["prompt", "response_id"]));
    }
    assert_eq!(callers.len(), 2, "{callers:#?}");
    Ok(())
}

#[test]
fn downloads_from_hubs_have_rows_of_their_own_kind() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let hubs = ["huggingface.co", "registry.ollama.ai", "www.modelscope.cn"];
    let host = Host::start(Options {
        hosts: hubs.map(str::to_owned).to_vec(),
        ..Options::default()
    })?;
    let cases = [
        (
            "huggingface.co",
            "/openai/whisper-tiny/resolve/main/model.safetensors",
            "openai/whisper-tiny",
        ),
        (
            "huggingface.co",
            "/api/datasets/rajpurkar/squad",
            "datasets/rajpurkar/squad",
        ),
        (
            "registry.ollama.ai",
            "/v2/library/llama3.2/manifests/latest",
            "library/llama3.2",
        ),
        (
            "www.modelscope.cn",
            "/api/v1/models/qwen/Qwen2-7B/repo?Revision=master&FilePath=config.json",
            "qwen/Qwen2-7B",
        ),
        ("huggingface.co", "/login", ""),
    ];
    for (hub, path, _) in &cases {
        host.curl().arg(format!("https://{hub}{path}")).run()?;
    }
    host.curl_chat("api.openai.com", "m", "hi").run()?;
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1, "a download is no call");
    let found: Vec<[&str; 6]> = record
        .connections
        .iter()
        .filter(|row| text(row, "endpoint_class") == "model_hub")
        .map(|row| {
            let columns = [
                "server_address",
                "model_repository",
                "visibility",
                "opaque_reason",
                "policy_verdict",
                "user_name",
            ];
            columns.map(|column| text(row, column))
        })
        .collect();
    let wanted: Vec<[&str; 6]> = cases
        .iter()
        .map(|(hub, _, repository)| [*hub, *repository, "none", "", "unknown", "root"])
        .collect();
    assert_eq!(found, wanted, "{}", record.losses());
    assert_eq!(record.connections.len(), cases.len() + 1);
    Ok(())
}
