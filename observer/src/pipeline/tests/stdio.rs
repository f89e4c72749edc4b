//! MCP over standard input and output, prompts that gateways pass on, and hubs of models.

use observer_common::wire::{CLASS_AI, CLASS_OTHER, STACK_STDIO, TIE_NONE};

use super::*;

const INITIALIZE: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}}\n";
const READY: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{\"name\":\"files\",\"version\":\"2\"}}}\n";

/// A server that an agent of `alice` started, and what is said to it.
fn server(pid: u32) -> TestFlow {
    let server = Identity {
        executable: "/usr/bin/server".to_owned(),
        stdio_client: Some(process(7)),
        ..Identity::clone(&process(pid))
    };
    TestFlow {
        connection_id: 0,
        tie: TIE_NONE,
        stack: STACK_STDIO,
        ..flow(u64::from(pid), &Arc::new(server))
    }
}

fn call(arguments: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"read\",\"arguments\":{{\"path\":\"{arguments}\"}}}}}}\n").into_bytes()
}

#[test]
fn a_call_of_a_tool_is_the_clients_and_names_the_server() {
    let (mut bed, mut talk) = (Bed::new(), server(9));
    bed.sent(&mut talk, INITIALIZE);
    assert_eq!(bed.decisions(), [(9, CLASS_AI)]);
    bed.received(&mut talk, READY);
    bed.sent(&mut talk, &call(&secret()));
    bed.received(
        &mut talk,
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n",
    );
    bed.record(&talk, &Body::Exit);
    let rows = bed.interactions();
    let [begins, row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    assert_eq!(begins.mcp_method_name, "initialize");
    assert_eq!(
        (row.process_pid, row.process_executable_path.as_str()),
        (7, "/usr/bin/client")
    );
    assert_eq!(
        [
            row.network_transport.as_str(),
            &row.mcp_server_executable,
            &row.mcp_server_name,
            &row.mcp_server_version,
            &row.visibility,
            &row.policy_verdict
        ],
        ["pipe", "/usr/bin/server", "files", "2", "decoded", "unsanctioned"]
    );
    assert_eq!((row.connection_id, row.attempt_number), (0, None));
    let found: Vec<_> = bed.findings().iter().map(|(_, f)| f.direction.as_str()).collect();
    assert_eq!(found, ["tool_args"]);
    assert!(!format!("{rows:?}").contains(&secret()), "an argument in clear");
    assert!(bed.connections().is_empty());
    assert_eq!(bed.forgotten().len(), 1);
}

#[test]
fn what_is_no_mcp_and_who_is_excluded_are_let_go() {
    let (mut bed, mut other) = (Bed::new(), server(9));
    bed.sent(&mut other, b"{\"level\":\"info\"}\n");
    assert_eq!(bed.decisions(), [(9, CLASS_OTHER)]);
    let mut excluded = server(10);
    let client = Identity {
        executable: "/opt/secret/agent".to_owned(),
        ..Identity::clone(&process(7))
    };
    let server = Identity {
        stdio_client: Some(Arc::new(client)),
        ..Identity::clone(&excluded.process)
    };
    excluded.process = Arc::new(server);
    bed.sent(&mut excluded, INITIALIZE);
    assert_eq!(bed.decisions()[1..], [(10, CLASS_OTHER)]);
    bed.finish();
    assert!(bed.interactions().is_empty());
}

#[test]
fn a_lost_record_is_a_hole_in_one_call() {
    let (mut bed, mut talk) = (Bed::new(), server(9));
    bed.sent(&mut talk, INITIALIZE);
    bed.received(&mut talk, READY);
    let asked = call("/tmp/a");
    bed.piece(&talk, DIRECTION_SENT, talk.offset[0] + 10, &asked[10..]);
    talk.offset[0] += asked.len() as u64;
    bed.sent(
        &mut talk,
        b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}\n",
    );
    bed.received(&mut talk, b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
    bed.record(&talk, &Body::Exit);
    let methods: Vec<_> = bed
        .interactions()
        .iter()
        .map(|row| row.mcp_method_name.clone())
        .collect();
    assert_eq!(methods, ["initialize", "tools/list"]);
    assert_eq!(bed.lost(Stage::Flow, "gap"), (1, 10));
    let rest = asked.len() as u64 - 1 - 10;
    assert_eq!(bed.lost(Stage::Protocol, "lost_events").1, rest);
}

#[test]
fn the_same_prompt_has_one_hash_whoever_passes_it_on() {
    let hash = |request: &[u8], answer: &[u8]| {
        let mut bed = Bed::new();
        bed.call(&mut flow(1, &process(1)), request, answer);
        bed.interactions()[0].prompt_hmac
    };
    let one = hash(&chat("what is 2+2?"), &answer("4"));
    assert_ne!(one, [0; 32]);
    let parts = r#"{"model":"claude-x","max_tokens":9,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"what is 2+2?"}]}]}"#;
    let without = parts.replace(r#""system":"s","#, "");
    let claude = |body: &str| post("/v1/messages", "api.anthropic.com", body);
    let said = br#"{"type":"message","id":"msg_1","role":"assistant","model":"claude-x","content":[]}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        said.len()
    );
    let said = [head.as_bytes(), said].concat();
    assert_eq!(hash(&claude(&without), &said), one, "in another dialect");
    assert_ne!(hash(&claude(parts), &said), one, "with a system prompt");
    assert_ne!(hash(&chat("what is 2+3?"), &answer("5")), one);
}

#[test]
fn a_hub_of_models_is_of_its_own_kind() {
    let mut bed = Bed::new();
    for (id, host, path) in [
        (
            1,
            "huggingface.co",
            "/openai/whisper-tiny/resolve/main/config.json",
        ),
        (2, "example.org", "/openai/whisper-tiny/resolve/main/config.json"),
    ] {
        let mut flow = flow(id, &process(1));
        bed.connect(&flow);
        bed.name(&flow, host);
        bed.sent(
            &mut flow,
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(),
        );
        bed.received(&mut flow, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        bed.free(&flow);
        bed.close(&flow, 700, 4_000);
        bed.tick_after(GRACE_NS);
    }
    assert!(bed.interactions().is_empty());
    let rows = bed.connections();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    assert_eq!(
        [
            row.endpoint_class.as_str(),
            &row.model_repository,
            &row.visibility,
            &row.opaque_reason
        ],
        ["model_hub", "openai/whisper-tiny", "none", ""]
    );
    assert_eq!(row.bytes_received, Some(4_000));
    let totals = bed.pipeline.totals();
    assert_eq!((totals.ai_connections, totals.unknown_connections_opaque), (0, 0));
}
