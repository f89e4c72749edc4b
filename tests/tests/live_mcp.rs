//! Live kernel: MCP between agents and the servers that they start, over standard input and output and over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Finished, Host, Options, Record, live, python, until};
use rustix::process::Signal;
use serde_json::{Value, json};

fn text<'r>(row: &'r Value, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

/// Methods of the rows of this agent, in order.
fn methods<'r>(record: &'r Record, agent: &Value) -> Vec<&'r str> {
    rows(record, agent)
        .map(|row| text(row, "mcp_method_name"))
        .collect()
}

fn rows<'r>(record: &'r Record, agent: &Value) -> impl Iterator<Item = &'r Value> {
    record
        .interactions
        .iter()
        .filter(move |row| row["process_pid"] == *agent)
}

/// The row of a call of this tool.
fn call<'r>(record: &'r Record, agent: &Value, tool: &str) -> Result<&'r Value> {
    let mut found = rows(record, agent).filter(|row| row["tool_call_names"] == json!([tool]));
    let row = found.next().with_context(|| format!("no call of {tool}"))?;
    ensure!(found.next().is_none(), "two calls of {tool}");
    Ok(row)
}

/// The only report of a client.
fn report(finished: &Finished) -> Result<&Value> {
    finished
        .reports
        .first()
        .with_context(|| format!("the client said nothing: {}", finished.errors))
}

/// A key as it may stand in arguments, put together here.
fn secret() -> String {
    format!("{}{}", "AKIA", "Q3EGRZ7HTVXBN5KD")
}

/// What holds for every row of a session over pipes.
fn is_over_stdio(row: &Value, server: &str) -> Result<()> {
    let columns = [
        "network_transport",
        "dialect",
        "tls_stack",
        "tie",
        "visibility",
        "mcp_server_name",
        "server_address",
        "http_request_method",
    ];
    assert_eq!(
        columns.map(|column| text(row, column)),
        ["pipe", "mcp", "none", "none", "decoded", server, "", ""],
        "{row}"
    );
    assert_eq!(row["policy_verdict"], "unknown", "{row}");
    assert_eq!(row["http_response_status_code"], Value::Null);
    ensure!(
        row["response_bytes"].as_u64().is_some() && row["request_bytes"] != 0,
        "{row}"
    );
    Ok(())
}

#[test]
fn a_real_client_and_its_server_over_pipes() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let secret = secret();
    let run = |options: &[&str]| host.python("mcp_client.py").args(options).arg(&secret).run();
    let handshake = run(&["--handshake"])?;
    let newer = run(&[])?;
    let through_shell = run(&["--handshake", "--shell"])?;
    let record = host.finish(6 + 5 + 6)?;
    let begins = ["initialize", "notifications/initialized"];
    let then = ["tools/list", "tools/call", "tools/call", "tools/call"];
    for (client, wanted) in [
        (&handshake, [&begins[..], &then].concat()),
        (&newer, [&["server/discover"][..], &then].concat()),
        (&through_shell, [&begins[..], &then].concat()),
    ] {
        let told = report(client)?;
        let all: Vec<_> = record
            .interactions
            .iter()
            .map(|row| {
                (
                    &row["process_pid"],
                    &row["process_comm"],
                    &row["mcp_method_name"],
                    &row["visibility_reason"],
                )
            })
            .collect();
        let losses = record.losses();
        assert_eq!(
            methods(&record, &told["pid"]),
            wanted,
            "{told}: {losses}, {all:?}"
        );
        for row in rows(&record, &told["pid"]) {
            is_over_stdio(row, "weather")?;
            assert_eq!(text(row, "mcp_server_version"), "1.4");
            assert_eq!(text(row, "client_name"), "mcp");
            ensure!(text(row, "mcp_server_executable").contains("python"), "{row}");
            ensure!(text(row, "process_executable_path").contains("python"), "{row}");
            assert_eq!(text(row, "process_comm"), "python");
        }
        let forecast = call(&record, &told["pid"], "forecast")?;
        assert_eq!(text(forecast, "gen_ai_operation_name"), "execute_tool");
        let arguments = json!({ "city": secret }).to_string().len();
        assert_eq!(forecast["tool_call_bytes"], json!([arguments]));
        assert_eq!(forecast["tool_result_count"], 1);
        assert_eq!(
            text(call(&record, &told["pid"], "fails")?, "error_type"),
            "tool_error"
        );
        let findings: BTreeSet<_> = record
            .findings
            .iter()
            .filter(|row| row["interaction_hash"] == forecast["record_hash"])
            .map(|row| text(row, "direction"))
            .collect();
        assert_eq!(findings, BTreeSet::from(["tool_args", "tool_result"]));
    }
    let stored = format!("{record:?}");
    ensure!(!stored.contains(&secret), "an argument is stored in clear");
    assert_eq!(record.lost(), 0, "{}", record.losses());
    Ok(())
}

/// Over HTTP, in both versions of the protocol: with a session each call may come over a connection of its own, and the client ends the
/// stream of an answer as soon as it has it.
#[test]
fn a_real_client_and_its_server_over_http() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let secret = secret();
    let then = ["tools/list", "tools/call", "tools/call", "tools/call"];
    for (options, begins) in [
        (&["--http"][..], &["server/discover"][..]),
        (
            &["--http", "--handshake"],
            &["initialize", "notifications/initialized"],
        ),
    ] {
        let client = host.python("mcp_client.py").args(options).arg(&secret).run()?;
        let (told, wanted) = (report(&client)?, [begins, &then].concat());
        let mut rows = Vec::new();
        // The server has a port of its own, so none of the rows belongs to the endpoint.
        until("all calls are stored", || {
            rows = host.rows("ai_interactions", "ts, rec_seq").unwrap_or_default();
            rows.retain(|row| row["process_pid"] == told["pid"] && !text(row, "mcp_method_name").is_empty());
            Ok(rows.len() >= wanted.len())
        })?;
        let methods: Vec<_> = rows.iter().map(|row| text(row, "mcp_method_name")).collect();
        assert_eq!(methods, wanted);
        let columns = ["network_transport", "dialect", "visibility"];
        let of_server = ["mcp_server_name", "mcp_server_version"];
        for row in &rows {
            let found = columns.map(|column| text(row, column));
            assert_eq!(found, ["tcp", "mcp", "decoded"], "{row:#}");
            // A server of a session names itself at its beginning, in a stream that this client keeps open for as long.
            if text(row, "mcp_session_id").is_empty() {
                let found = of_server.map(|column| text(row, column));
                assert_eq!(found, ["weather", "1.4"], "{row:#}");
            }
        }
        let calls: Vec<&Value> = rows.iter().map(|row| &row["tool_call_names"]).collect();
        let tools = ["who", "forecast", "fails"].map(|tool| json!([tool]));
        assert_eq!(calls[calls.len() - 3..], [&tools[0], &tools[1], &tools[2]]);
        let last = rows.last().context("no row")?;
        assert_eq!(text(last, "error_type"), "tool_error");
        ensure!(
            !format!("{rows:?}").contains(&secret),
            "an argument is stored in clear"
        );
    }
    Ok(())
}

#[test]
fn node_whose_pipes_are_sockets_and_who_asks_twice_at_once() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let client = host.node("mcp_node.mjs").arg("hello").run()?;
    let record = host.finish(5)?;
    let told = report(&client)?;
    let mut wanted = [
        "initialize",
        "notifications/initialized",
        "tools/call",
        "tools/call",
        "roots/list",
    ];
    let mut found = methods(&record, &told["pid"]);
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted, "{}", record.losses());
    for row in rows(&record, &told["pid"]) {
        is_over_stdio(row, "by hand")?;
        assert_eq!(
            [text(row, "client_name"), text(row, "client_version")],
            ["node-agent", "3"]
        );
        assert_eq!(text(row, "mcp_protocol_version"), "2025-06-18");
        ensure!(text(row, "mcp_server_executable").contains("node"), "{row}");
    }
    let late = call(&record, &told["pid"], "late")?;
    assert_eq!(late["tool_result_bytes"], json!(["late hello".len()]));
    ensure!(
        late["duration_ns"].as_u64().is_some_and(|ns| ns > 90_000_000),
        "{late}"
    );
    Ok(())
}

#[test]
fn the_sdk_for_node_on_both_sides() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let secret = secret();
    let client = host.node("mcp_sdk.cjs").arg(&secret).run()?;
    let record = host.finish(6)?;
    let told = report(&client)?;
    // The server reads the notification and what follows it at once, so their rows have one time and no order.
    let found: BTreeSet<_> = methods(&record, &told["pid"]).into_iter().collect();
    let wanted = [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/call",
    ];
    assert_eq!(found, BTreeSet::from(wanted), "{}", record.losses());
    let calls = rows(&record, &told["pid"]).filter(|row| text(row, "mcp_method_name") == "tools/call");
    assert_eq!(calls.count(), 3);
    for row in rows(&record, &told["pid"]) {
        is_over_stdio(row, "weather")?;
        assert_eq!(
            [text(row, "client_name"), text(row, "client_version")],
            ["node-sdk-agent", "7"]
        );
        ensure!(text(row, "mcp_server_executable").contains("node"), "{row}");
    }
    let forecast = call(&record, &told["pid"], "forecast")?;
    assert_eq!(
        forecast["tool_result_bytes"],
        json!([format!("12 degrees in {secret}").len()])
    );
    assert_eq!(
        text(call(&record, &told["pid"], "fails")?, "error_type"),
        "tool_error"
    );
    ensure!(
        !format!("{record:?}").contains(&secret),
        "an argument is stored in clear"
    );
    Ok(())
}

#[test]
fn servers_that_are_older_than_the_daemon_are_seen_and_others_are_left_alone() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    const SERVER: &str = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin:\n    \
        print('{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}}', flush=True)";
    const ASK: &str =
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
    let mut server = host.program(python()).args(["-c", SERVER]).start()?;
    server.wait_for_line("ready")?;
    host.start_daemon()?;
    server.say(ASK)?;
    server.next_line()?;
    // Objects that are no messages, lines that are none, and a language server's framing.
    for input in ["{\"level\":\"info\"}", "hello", "Content-Length: 44"] {
        let mut other = host.program("cat").start()?;
        other.say(input)?;
        other.say(ASK)?;
        other.next_line()?;
        other.next_line()?;
    }
    let record = host.finish(1)?;
    let [row] = record.interactions.as_slice() else {
        anyhow::bail!("{:#?}", record.interactions)
    };
    // The test started the server, so the test is its client.
    assert_eq!(row["process_pid"], std::process::id());
    assert_eq!(
        [text(row, "mcp_method_name"), text(row, "mcp_server_name")],
        ["tools/call", ""]
    );
    Ok(())
}

#[test]
fn switched_off_nothing_is_read_and_a_server_that_is_killed_leaves_its_open_call() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let off = Host::start(Options {
        more: "  mcp_stdio: off\n".to_owned(),
        ..Options::default()
    })?;
    off.python("mcp_client.py").arg("hello").run()?;
    off.curl_chat("api.openai.com", "m", "hi").run()?;
    let record = off.finish(1)?;
    assert_eq!(record.interactions.len(), 1, "{:?}", record.interactions);

    let mut host = Host::start(Options::default())?;
    let mut silent = host
        .program("sh")
        .args(["-c", "read line; read line; true"])
        .start()?;
    silent.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)?;
    std::thread::sleep(Duration::from_millis(500));
    silent.signal(Signal::KILL)?;
    host.wait_for_interactions(1)?;
    let record = host.finish(1)?;
    let row = &record.interactions[0];
    assert_eq!(
        [text(row, "visibility"), text(row, "visibility_reason")],
        ["partial", "closed_early"]
    );
    assert_eq!(
        text(row, "mcp_server_executable"),
        std::fs::canonicalize("/bin/sh")?.to_str().context("path")?
    );
    Ok(())
}

#[test]
fn a_server_in_a_container_is_called_by_what_passes_its_messages_on() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let mut containers = host.containers()?;
    let root = containers.root("mcp")?;
    let (_, mut server, _) = containers.container(&root, &["--serve"])?.start()?;
    server
        .say(r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"inside","arguments":{}}}"#)?;
    ensure!(server.next_line()?.contains("contained"));
    let relay = server.pid();
    server.finish()?;
    drop(containers);
    let record = host.finish(2)?;
    // runc copies between the pipes of whoever started it and those of the container: two halves, each a row.
    for (client, program) in [(std::process::id(), "/runc"), (relay, "/python3")] {
        let client = json!(client);
        let found: Vec<_> = rows(&record, &client).collect();
        let [row] = found.as_slice() else {
            anyhow::bail!("{client}: {:#?}", record.interactions)
        };
        ensure!(text(row, "mcp_server_executable").contains(program), "{row}");
        assert_eq!(row["tool_call_names"], json!(["inside"]));
        assert_eq!(
            [text(row, "network_transport"), text(row, "visibility")],
            ["pipe", "decoded"]
        );
    }
    Ok(())
}
