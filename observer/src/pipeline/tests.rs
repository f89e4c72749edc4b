//! The pipeline as a whole: records in, rows and decisions out.

#[path = "testbed.rs"]
mod testbed;

/// What the test bed is made of.
mod imports {
    pub(super) use observer_common::{
        maps::FlowKey,
        wire::{
            Body, CLASS_UNDECIDED, Close, Connect, DIRECTION_RECEIVED, DIRECTION_SENT, Header, STACK_OPENSSL,
            TIE_IN_CALL, TRANSPORT_TCP, TlsData, TlsFree, TlsName,
        },
    };

    pub(super) use crate::{
        catalog::Catalog,
        config::Glob,
        coverage::Stage,
        evidence::{ConnectionRow, FindingRow, InteractionRow},
        identity::{Ancestor, Identity, ProcessKey},
        pipeline::{Output, Pipeline, Rulebook},
        policy::{Judge, Policy},
        sensitive::{Engine, HmacKey, Rules},
    };
}

mod accounts;
mod attempts;
mod bounds;
mod contradiction;
mod conversations;
mod early;
mod enforcement;
mod halves;
mod names;
mod pods;
mod selftest;
mod served;
mod sockets;
mod stdio;

use std::net::Ipv4Addr;

use observer_common::wire::{CLASS_AI, CLASS_OTHER, TIE_AFTER_CALL};

use super::*;
use crate::coverage::{OpaqueReason, Readability};
use imports::*;
use testbed::*;

/// A request that is not AI.
const PAGE: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n";
/// So many such requests that their connection is none of AI.
const PAGES: usize = 4;

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each column")]
fn an_exchange_gives_one_row_with_its_facts() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat("hello"), answer("hi"));
    bed.call(&mut flow, &request, &response);
    let rows = bed.interactions();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    // The first record is the connect, the second the request, the third the response.
    assert_eq!(row.ts, WALL_OFFSET_NS + i64::try_from(START_NS).unwrap() + 2_000);
    assert_eq!((row.duration_ns, row.time_to_first_chunk_ns), (1_000, None));
    assert_eq!((row.host_name.as_str(), row.os_type.as_str()), ("lab-1", "linux"));
    assert_eq!(
        (row.process_pid, row.process_parent_pid, row.process_start_ns),
        (42, 11, 42_000_000)
    );
    assert_eq!(
        (row.process_comm.as_str(), row.process_executable_path.as_str()),
        ("client", "/usr/bin/client")
    );
    assert_eq!(row.process_ancestry, ["bash", "sshd"]);
    assert_eq!(
        (row.user_id, row.login_uid, row.user_name.as_str()),
        (1000, 1001, "alice")
    );
    assert_eq!(row.container_id, "c0ffee");
    assert_eq!(
        (row.server_address.as_str(), row.name_source.as_str()),
        ("api.openai.com", "http_host")
    );
    assert_eq!(
        (row.server_port, row.network_peer_address),
        (443, Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped())
    );
    assert_eq!(
        (row.flow_id, row.connection_id, row.tie.as_str()),
        (1, 1, "in_call")
    );
    assert_eq!(
        (row.tls_stack.as_str(), row.http_request_method.as_str()),
        ("openssl", "POST")
    );
    assert_eq!(
        (row.url_path_template.as_str(), row.http_response_status_code),
        ("/v1/chat/completions", Some(200))
    );
    assert_eq!((row.user_agent.as_str(), row.error_type.as_str()), ("lab/1", ""));
    assert_eq!(
        (row.dialect.as_str(), row.dialect_evidence.as_str()),
        ("openai-chat", "host")
    );
    assert_eq!(
        (
            row.gen_ai_provider_name.as_str(),
            row.gen_ai_operation_name.as_str()
        ),
        ("openai", "chat")
    );
    assert_eq!(
        (
            row.gen_ai_request_model.as_str(),
            row.gen_ai_response_model.as_str()
        ),
        ("gpt-4o", "gpt-4o-2024")
    );
    assert_eq!(
        (row.gen_ai_response_id.as_str(), row.gen_ai_request_stream),
        ("chatcmpl-1", false)
    );
    assert_eq!(
        (row.gen_ai_usage_input_tokens, row.gen_ai_usage_output_tokens),
        (Some(12), Some(34))
    );
    assert_eq!(
        row.gen_ai_usage_reasoning_output_tokens, None,
        "what the answer does not say is not 0"
    );
    assert_eq!(row.gen_ai_response_finish_reasons, ["stop"]);
    assert_eq!(
        (row.request_bytes, row.response_bytes),
        (request.len() as u64, response.len() as u64)
    );
    assert_eq!(
        (row.visibility.as_str(), row.visibility_reason.as_str()),
        ("decoded", "")
    );
    assert!(row.scan_bytes_seen >= 7 && row.scan_bytes_scanned == row.scan_bytes_seen);
    assert_eq!(row.catalog_version, Catalog::builtin().version());
    assert_eq!(row.rule_pack_sha256, book().rules_digest);
    assert_eq!((row.finding_count, bed.findings().len()), (0, 0));
    assert_eq!(
        row.credential_hmac,
        book().key.tagged("credential", bearer().as_bytes())
    );
    let totals = bed.pipeline.totals();
    assert_eq!(
        (
            totals.records,
            totals.flows,
            totals.exchanges,
            totals.exchanges_partial
        ),
        (5, 1, 1, 0)
    );
    assert_eq!(bed.pipeline.ledger().iter().count(), 0, "nothing was lost");
}

#[test]
fn the_verdict_is_that_of_the_policy() {
    let mut bed = Bed::new();
    let bob = Identity {
        user: "bob".to_owned(),
        uid: 1002,
        ..(*process(2)).clone()
    };
    for (id, process) in [(1, process(1)), (2, Arc::new(bob))] {
        bed.call(&mut flow(id, &process), &chat("x"), &answer("y"));
    }
    let judged: Vec<_> = bed
        .interactions()
        .iter()
        .map(|row| {
            (
                row.process_pid,
                row.policy_verdict.clone(),
                row.policy_rule_id.clone(),
            )
        })
        .collect();
    assert_eq!(judged[0], (1, "sanctioned".to_owned(), "alice-openai".to_owned()));
    assert_eq!(judged[1], (2, "unsanctioned".to_owned(), String::new()));
    let row = bed.interactions()[0];
    assert_eq!(
        (row.policy_id.as_str(), row.policy_version.as_str()),
        ("lab", "7")
    );
    assert_eq!(row.policy_sha256, book().judge.policy.digest());
}

#[test]
fn findings_come_with_their_interaction_and_nothing_in_clear_comes_out() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (prompt, reply) = (
        format!("key {} card 4111 1111 1111 1111", secret()),
        format!("again {}", secret()),
    );
    bed.call(&mut flow, &chat(&prompt), &answer(&reply));
    let found = bed.findings();
    let kinds: Vec<_> = found
        .iter()
        .map(|(_, f)| (f.rule_id.as_str(), f.direction.as_str(), f.json_path.as_str()))
        .collect();
    assert!(
        kinds.contains(&("aws_access_key_id", "prompt", "$.messages[*].content")),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&("aws_access_key_id", "response", "$.choices[*].message.content")),
        "{kinds:?}"
    );
    for (row, finding) in &found {
        assert_eq!(usize::from(row.finding_count), found.len());
        assert_eq!(
            (finding.ts, finding.server_address.as_str()),
            (row.ts, "api.openai.com")
        );
        assert_eq!(finding.gen_ai_provider_name, "openai");
        assert_eq!(
            (finding.rule_version.as_str(), finding.rule_pack_sha256),
            (book().rules_version.as_str(), row.rule_pack_sha256)
        );
        assert_eq!(finding.hmac_key_id.is_empty(), finding.value_hmac.is_empty());
    }
    let (_, key) = found
        .iter()
        .find(|(_, f)| f.rule_id == "aws_access_key_id")
        .unwrap();
    assert_eq!((key.match_count, key.finding_type.as_str()), (1, "credential"));
    assert_eq!(
        key.value_hmac,
        [book().key.tagged("credential", secret().as_bytes())]
    );
    assert_eq!(bed.pipeline.totals().findings, found.len() as u64);
    let shown = format!("{:?}", bed.outputs);
    for clear in [secret(), bearer(), "4111".to_owned(), "again".to_owned()] {
        assert!(!shown.contains(&clear), "{clear} comes out");
    }
}

#[test]
fn the_connection_row_follows_its_end_with_plaintext_and_socket_bytes() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    bed.sent(&mut flow, &chat("a"));
    bed.received(&mut flow, &answer("b"));
    bed.sent(&mut flow, &chat("c"));
    bed.received(&mut flow, &answer("d"));
    bed.close(&flow, 9_001, 9_002);
    bed.tick_after(GRACE_NS);
    assert!(bed.connections().is_empty(), "the flow may still be read");
    bed.free(&flow);
    bed.tick_after(1);
    let rows = bed.connections();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    assert_eq!(row.ts, WALL_OFFSET_NS + i64::try_from(START_NS).unwrap() + 1_000);
    assert_eq!(
        (row.closed_ts - row.ts, row.close_reason.as_str()),
        (6_000, "closed")
    );
    assert_eq!(
        (row.connection_id, row.process_pid, row.user_name.as_str()),
        (1, 42, "alice")
    );
    assert_eq!(
        (row.socket_fd, row.network_local_port, row.server_port),
        (5, 40_001, 443)
    );
    assert_eq!(
        (row.network_family.as_str(), row.network_transport.as_str()),
        ("ipv4", "tcp")
    );
    assert_eq!(
        row.network_peer_address,
        Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped()
    );
    assert_eq!(
        (row.server_address.as_str(), row.name_source.as_str()),
        ("api.openai.com", "sni")
    );
    assert_eq!(
        (row.endpoint_class.as_str(), row.tls_stack.as_str()),
        ("ai_known", "openssl")
    );
    assert_eq!((row.bytes_sent, row.bytes_received), (Some(9_001), Some(9_002)));
    assert_eq!([row.plaintext_sent, row.plaintext_received], flow.offset);
    assert_eq!(
        (
            row.exchanges_decoded,
            row.visibility.as_str(),
            row.opaque_reason.as_str()
        ),
        (2, "decoded", "")
    );
    assert_eq!(bed.pipeline.totals().ai_connections_decoded, 1);
    bed.tick_after(GRACE_NS);
    bed.finish();
    assert_eq!(bed.connections().len(), 1, "it is written once");
}

#[test]
fn a_closed_connection_waits_for_its_last_plaintext() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.sent(&mut flow, &chat("a"));
    bed.free(&flow);
    bed.close(&flow, 1, 1);
    bed.tick_after(399_000_000);
    assert!(bed.connections().is_empty());
    bed.tick_after(2_000_000);
    assert_eq!(bed.connections().len(), 1);
    // A flow that never ends does not hold its connection for ever.
    let mut second = testbed::flow(2, &process(42));
    bed.connect(&second);
    bed.sent(&mut second, &chat("a"));
    bed.close(&second, 1, 1);
    bed.tick_after(3_900_000_000);
    assert_eq!(bed.connections().len(), 1);
    bed.tick_after(200_000_000);
    assert_eq!(bed.connections().len(), 2);
}

#[test]
fn connections_that_are_not_ai_give_no_row() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.call(&mut flow, PAGE, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
    let totals = bed.pipeline.totals();
    assert_eq!(
        (totals.exchanges, totals.exchanges_other, totals.ai_connections),
        (0, 1, 0)
    );
}

#[test]
fn the_kernel_is_told_once_what_a_flow_is() {
    let mut bed = Bed::new();
    let process = process(42);
    let (mut ai, mut other) = (flow(1, &process), flow(2, &process));
    for round in 1..PAGES + 3 {
        bed.sent(&mut ai, &chat("a"));
        bed.received(&mut ai, &answer("b"));
        bed.sent(&mut other, PAGE);
        bed.received(&mut other, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(bed.decisions().len(), if round < PAGES { 1 } else { 2 });
    }
    assert_eq!(bed.decisions(), [(1, CLASS_AI), (2, CLASS_OTHER)]);
    assert_eq!(bed.interactions().len(), PAGES + 2);
}

#[test]
fn what_the_kernel_knows_by_itself_it_is_not_told() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    flow.class = CLASS_AI;
    bed.name(&flow, "api.openai.com");
    bed.sent(&mut flow, &chat("a"));
    bed.received(&mut flow, &answer("b"));
    assert_eq!((bed.decisions(), bed.interactions().len()), (vec![], 1));
}

#[test]
fn nothing_is_read_after_the_decision_that_a_flow_is_not_ai() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.sent(&mut flow, &PAGE.repeat(PAGES));
    bed.sent(&mut flow, &chat("a"));
    bed.received(&mut flow, &answer("b"));
    bed.free(&flow);
    assert_eq!(
        (bed.decisions(), bed.interactions().len()),
        (vec![(1, CLASS_OTHER)], 0)
    );
}

/// What `ollama run` says: is there a server, what is the model, and then the prompt.
#[test]
fn a_call_behind_other_requests_of_its_connection_is_seen() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let host = "127.0.0.1:11434";
    bed.connect(&flow);
    let head = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ollama/0.9\r\n\r\n");
    bed.sent(&mut flow, head.as_bytes());
    bed.received(&mut flow, b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n");
    bed.sent(&mut flow, &post("/api/show", host, r#"{"model":"qwen3"}"#));
    let shown = format!(r#"{{"license":"{}"}}"#, "x".repeat(100_000));
    let length = shown.len();
    bed.received(
        &mut flow,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{shown}"
        )
        .as_bytes(),
    );
    assert!(bed.decisions().is_empty());
    let body = r#"{"model":"qwen3","messages":[{"role":"user","content":"hello"}],"stream":false}"#;
    bed.sent(&mut flow, &post("/api/chat", host, body));
    let told = r#"{"model":"qwen3","created_at":"t","message":{"role":"assistant","content":"hi"},"done":true,"prompt_eval_count":3,"eval_count":4}"#;
    let length = told.len();
    bed.received(
        &mut flow,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{told}"
        )
        .as_bytes(),
    );
    bed.free(&flow);
    bed.close(&flow, flow.offset[0], flow.offset[1]);
    bed.tick_after(GRACE_NS);
    let row = bed.interactions()[0];
    assert_eq!(
        (row.dialect.as_str(), row.visibility.as_str()),
        ("ollama-chat", "decoded")
    );
    assert_eq!(
        (row.gen_ai_usage_output_tokens, bed.interactions().len()),
        (Some(4), 1)
    );
    assert_eq!(bed.connections()[0].exchanges_decoded, 1);
    assert_eq!(bed.decisions(), [(1, CLASS_AI)]);
}

/// Of what begins as no request with a body the kernel delivers 4 KiB, until one with a body comes.
#[test]
fn what_the_kernel_held_back_of_other_requests_is_not_lost() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n";
    let whole = [&page[..], &[b'x'; 9_000]].concat();
    for delivered in [4_096, 4_000] {
        let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
        bed.sent(&mut flow, PAGE);
        bed.received(&mut flow, &whole[..delivered]);
        let missing = (whole.len() - delivered) as u64;
        flow.offset[1] += missing;
        bed.sent(&mut flow, &post("/upload", "example.org", "{}"));
        bed.received(&mut flow, b"HTTP/1.1 204 No Content\r\n\r\n");
        let lost = if delivered == 4_096 { (0, 0) } else { (1, missing) };
        assert_eq!(bed.lost(Stage::Flow, "gap"), lost, "{delivered} bytes");
    }
    // The request behind the hole is a call: what was held back before it was not AI.
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.sent(&mut flow, PAGE);
    bed.received(&mut flow, &whole[..4_096]);
    flow.offset[1] += (whole.len() - 4_096) as u64;
    bed.sent(
        &mut flow,
        &post(
            "/v1/chat/completions",
            "example.org",
            r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#,
        ),
    );
    bed.received(&mut flow, &answer("a"));
    assert_eq!(bed.interactions().len(), 1);
    assert_eq!(bed.lost(Stage::Flow, "gap"), (0, 0));
}

#[test]
fn the_end_of_a_process_ends_its_flows_as_closed_early() {
    let mut bed = Bed::new();
    let (gone, stays) = (process(42), process(43));
    let (mut one, mut two, mut third) = (flow(1, &gone), flow(2, &gone), flow(3, &stays));
    for flow in [&mut one, &mut two, &mut third] {
        bed.connect(flow);
        bed.sent(flow, &chat("a"));
    }
    bed.received(&mut two, &answer("whole"));
    bed.record(&one, &Body::Exit);
    let rows: Vec<_> = bed
        .interactions()
        .iter()
        .map(|r| (r.flow_id, r.visibility_reason.clone()))
        .collect();
    assert_eq!(rows, [(2, String::new()), (1, "closed_early".to_owned())]);
    let row = bed.interactions()[1];
    assert_eq!(
        (row.visibility.as_str(), row.http_response_status_code),
        ("partial", None)
    );
    assert_eq!(row.gen_ai_usage_output_tokens, None);
    assert_eq!(bed.pipeline.open_flows(), 1, "the other process lives");
    // The end of one socket is seen after all; that of the other is not.
    bed.close(&one, 800, 900);
    bed.tick_after(GRACE_NS);
    let mut rows = bed.connections();
    rows.sort_by_key(|row| row.connection_id);
    let ends: Vec<_> = rows
        .iter()
        .map(|r| (r.connection_id, r.close_reason.as_str(), r.bytes_sent))
        .collect();
    assert_eq!(ends, [(1, "closed", Some(800)), (2, "process_exit", None)]);
    assert_eq!(
        (rows[0].visibility.as_str(), rows[0].opaque_reason.as_str()),
        ("partial", "truncated")
    );
    assert_eq!(bed.pipeline.totals().exchanges_partial, 1);
}

#[test]
fn another_image_ends_the_flows_and_leaves_the_connections() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.sent(&mut flow, &chat("a"));
    bed.record(&flow, &Body::Exec);
    assert_eq!((bed.interactions().len(), bed.pipeline.open_flows()), (1, 0));
    bed.tick_after(GRACE_NS);
    assert!(bed.connections().is_empty(), "its sockets may be open still");
}

#[test]
fn the_kernel_may_forget_a_flow_once_by_its_key() {
    let (mut bed, mut flow) = (Bed::new(), flow(7, &process(42)));
    bed.sent(&mut flow, &chat("a"));
    bed.free(&flow);
    bed.record(&flow, &Body::Exit);
    bed.finish();
    let key = FlowKey {
        process_start_ns: 42_000_000,
        handle: flow.handle,
        pid: 42,
        pad: 0,
    };
    assert_eq!(bed.forgotten(), [(7, key)]);
}

#[test]
fn a_gap_makes_the_exchange_partial_and_is_booked() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat(&"x".repeat(3_000)), answer("b"));
    bed.connect(&flow);
    bed.sent(&mut flow, &request[..1_000]);
    flow.offset[0] += 700;
    bed.sent(&mut flow, &request[1_700..]);
    bed.received(&mut flow, &response);
    bed.close(&flow, 1, 1);
    bed.free(&flow);
    bed.tick_after(GRACE_NS);
    let row = bed.interactions()[0];
    assert_eq!(
        (row.visibility.as_str(), row.visibility_reason.as_str()),
        ("partial", "lost_events")
    );
    assert_eq!(
        (row.request_bytes, row.gen_ai_usage_output_tokens),
        (request.len() as u64, Some(34))
    );
    let connection = bed.connections()[0];
    assert_eq!(
        (connection.visibility.as_str(), connection.opaque_reason.as_str()),
        ("partial", "lost_events")
    );
    assert_eq!(
        [connection.plaintext_sent, connection.plaintext_received],
        [flow.offset[0] - 700, flow.offset[1]]
    );
    assert_eq!(bed.lost(Stage::Flow, "gap"), (1, 700));
}

#[test]
fn a_loss_at_the_very_end_shows_in_the_totals_of_the_handle() {
    let mut bed = Bed::new();
    let process = process(42);
    let (mut ai, mut other) = (flow(1, &process), flow(2, &process));
    bed.sent(&mut ai, &chat("a"));
    let response = answer("b");
    bed.received(&mut ai, &response[..40]);
    ai.offset[1] += 500;
    bed.free(&ai);
    let row = bed.interactions()[0];
    assert_eq!(
        (row.visibility.as_str(), row.visibility_reason.as_str()),
        ("partial", "lost_events")
    );
    assert_eq!(bed.lost(Stage::Flow, "gap_at_end"), (1, 500));
    // What the kernel did not deliver because it was not asked to is not lost.
    bed.sent(&mut other, PAGE);
    other.offset[1] += 100_000;
    bed.free(&other);
    assert_eq!(bed.lost(Stage::Flow, "gap_at_end"), (1, 500));
}

#[test]
fn a_late_tie_counts_what_came_before_it() {
    for (tied_from, tie, name) in [(1, TIE_AFTER_CALL, "after_call"), (2, TIE_IN_CALL, "in_call")] {
        let (mut bed, mut flow) = (Bed::new(), flow(9, &process(42)));
        bed.connect(&flow);
        let request = chat("hello");
        flow.connection_id = 0;
        for (number, piece) in request.chunks(100).enumerate() {
            if number == tied_from {
                (flow.connection_id, flow.tie) = (9, tie);
            }
            bed.sent(&mut flow, piece);
        }
        bed.received(&mut flow, &answer("b"));
        bed.free(&flow);
        bed.close(&flow, 1, 1);
        bed.tick_after(GRACE_NS);
        let connection = bed.connections()[0];
        assert_eq!(
            [connection.plaintext_sent, connection.plaintext_received],
            flow.offset
        );
        let row = bed.interactions()[0];
        assert_eq!(
            (row.connection_id, row.tie.as_str(), row.server_port),
            (9, name, 443)
        );
    }
}

#[test]
fn a_flow_without_a_connection_says_so() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    flow.connection_id = 0;
    flow.tie = 0;
    bed.sent(&mut flow, &chat("a"));
    bed.received(&mut flow, &answer("b"));
    let row = bed.interactions()[0];
    assert_eq!(
        (row.connection_id, row.tie.as_str(), row.server_port),
        (0, "none", 0)
    );
    assert!(row.network_peer_address.is_unspecified());
}

#[test]
fn a_record_that_comes_twice_counts_once() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat("a"), answer("b"));
    bed.connect(&flow);
    for piece in request.chunks(64) {
        bed.piece(&flow, DIRECTION_SENT, flow.offset[0], piece);
        bed.sent(&mut flow, piece);
    }
    bed.connect(&flow);
    bed.received(&mut flow, &response);
    bed.piece(&flow, DIRECTION_RECEIVED, 0, &response);
    bed.free(&flow);
    bed.close(&flow, 1, 1);
    bed.tick_after(GRACE_NS);
    assert_eq!(
        (
            bed.interactions().len(),
            bed.interactions()[0].visibility.as_str()
        ),
        (1, "decoded")
    );
    let connection = bed.connections()[0];
    assert_eq!(
        [connection.plaintext_sent, connection.plaintext_received],
        flow.offset
    );
    assert_eq!(
        (connection.exchanges_decoded, connection.tls_stack.as_str()),
        (1, "openssl")
    );
}

#[test]
fn excluded_executables_are_never_read() {
    let mut bed = Bed::new();
    let hidden = Identity {
        executable: "/opt/secret/bin".to_owned(),
        ..(*process(42)).clone()
    };
    let mut flow = flow(1, &Arc::new(hidden));
    bed.call(&mut flow, &chat(&secret()), &answer("b"));
    assert_eq!(bed.decisions(), [(1, CLASS_OTHER)]);
    assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
    assert_eq!(bed.forgotten().len(), 1);
}

#[test]
fn flows_of_servers_are_other_where_they_are_not_wanted() {
    let request = chat("served");
    for first in [request.len(), 1, 30] {
        let (mut bed, mut flow) = (Bed::of_clients_only(), flow(1, &process(42)));
        bed.received(&mut flow, &request[..first]);
        bed.received(&mut flow, &request[first..]);
        bed.sent(&mut flow, &answer("b"));
        bed.free(&flow);
        assert_eq!(
            bed.decisions(),
            [(1, CLASS_OTHER)],
            "first record of {first} bytes"
        );
        assert!(bed.interactions().is_empty());
    }
    // A client's answers never look like that, and HTTP/2 servers are known by the preface.
    let (mut bed, mut flow) = (Bed::of_clients_only(), flow(2, &process(42)));
    bed.received(&mut flow, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(bed.decisions(), [(2, CLASS_OTHER)]);
}

#[test]
fn an_idle_flow_is_given_up() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.sent(&mut flow, &chat("a"));
    bed.tick_after(MAX_IDLE_NS);
    assert_eq!((bed.interactions().len(), bed.pipeline.open_flows()), (0, 1));
    bed.tick_after(1);
    assert_eq!((bed.interactions().len(), bed.pipeline.open_flows()), (1, 0));
    assert_eq!(bed.interactions()[0].visibility_reason, "closed_early");
    assert_eq!(bed.forgotten().len(), 1);
    // Every byte counts as a sign of life.
    let mut busy = testbed::flow(2, &process(42));
    bed.sent(&mut busy, &chat("a"));
    bed.tick_after(MAX_IDLE_NS - 10_000);
    bed.sent(&mut busy, b"P");
    bed.tick_after(MAX_IDLE_NS - 10_000);
    assert_eq!(bed.pipeline.open_flows(), 1);
}

#[test]
fn the_end_of_the_agent_writes_what_is_open() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.sent(&mut flow, &chat("a"));
    bed.finish();
    let row = bed.interactions()[0];
    assert_eq!(
        (row.visibility_reason.as_str(), row.connection_id),
        ("closed_early", 1)
    );
    let connection = bed.connections()[0];
    assert_eq!(
        (connection.close_reason.as_str(), connection.exchanges_decoded),
        ("agent_stop", 1)
    );
    assert_eq!(
        connection.closed_ts,
        WALL_OFFSET_NS + i64::try_from(bed.now_ns).unwrap()
    );
    assert_eq!(connection.plaintext_sent, flow.offset[0]);
    assert_eq!(bed.pipeline.open_flows(), 0);
    bed.finish();
    assert_eq!(
        bed.outputs.len(),
        4,
        "decision, interaction, forgotten flow, connection: each once"
    );
}

#[test]
fn a_protocol_that_is_not_read_makes_the_connection_opaque() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.name(&flow, "API.OpenAI.com");
    bed.sent(
        &mut flow,
        b"GET /v1/socket HTTP/1.1\r\nHost: api.openai.com\r\nUpgrade: websocket\r\n\r\n",
    );
    bed.received(
        &mut flow,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    );
    bed.sent(&mut flow, b"\x81\x85\x00\x00\x00\x00hello");
    bed.free(&flow);
    bed.close(&flow, 1, 1);
    bed.tick_after(GRACE_NS);
    assert!(bed.interactions().is_empty());
    let row = bed.connections()[0];
    assert_eq!(
        (row.visibility.as_str(), row.opaque_reason.as_str()),
        ("opaque", "parse_failed")
    );
    assert_eq!(
        (row.server_address.as_str(), row.endpoint_class.as_str()),
        ("api.openai.com", "ai_known")
    );
    assert_eq!(bed.pipeline.totals().ai_connections_opaque, 1);
    let (events, bytes) = bed.lost(Stage::Protocol, "protocol_unsupported");
    assert_eq!((events, bytes), (0, 11), "no exchange was lost");
}

#[test]
fn a_handshake_without_a_byte_is_opaque() {
    let (mut bed, flow) = (Bed::new(), flow(1, &process(42)));
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    bed.free(&flow);
    bed.close(&flow, 517, 0);
    let readable = Readability::Readable { since_ns: START_NS };
    bed.pipeline.readability(1, readable);
    bed.tick_after(GRACE_NS);
    let row = bed.connections()[0];
    assert_eq!(
        (row.visibility.as_str(), row.opaque_reason.as_str()),
        ("opaque", "no_plaintext")
    );
    assert_eq!(
        (row.bytes_sent, row.plaintext_sent, row.exchanges_decoded),
        (Some(517), 0, 0)
    );
}

#[test]
fn a_handle_address_that_is_used_again_is_another_flow() {
    let mut bed = Bed::new();
    let (mut parent, mut child) = (flow(1, &process(42)), flow(2, &process(43)));
    child.handle = parent.handle;
    let (request, response) = (chat("a"), answer("b"));
    bed.sent(&mut parent, &request[..50]);
    bed.sent(&mut child, &request[..80]);
    bed.sent(&mut parent, &request[50..]);
    bed.sent(&mut child, &request[80..]);
    bed.received(&mut child, &response);
    bed.received(&mut parent, &response);
    let rows: Vec<_> = bed
        .interactions()
        .iter()
        .map(|r| (r.process_pid, r.visibility.as_str()))
        .collect();
    assert_eq!(rows, [(43, "decoded"), (42, "decoded")]);
}

#[test]
fn the_table_of_flows_is_bounded_and_the_rest_is_counted() {
    let mut bed = Bed::new();
    let (process, other) = (process(42), process(43));
    for id in 1..=MAX_FLOWS as u64 + 5 {
        bed.sent(
            &mut flow(id, if id % 2 == 0 { &other } else { &process }),
            b"POST ",
        );
    }
    assert_eq!(bed.pipeline.open_flows(), MAX_FLOWS);
    assert_eq!(
        bed.lost(Stage::Flow, "flow_table_full"),
        (5, 25),
        "5 records of 5 bytes"
    );
    bed.free(&flow(1, &process));
    let mut late = flow(99_999, &process);
    bed.sent(&mut late, &chat("a"));
    bed.received(&mut late, &answer("b"));
    assert_eq!(bed.interactions().len(), 1, "there is room again");
}

/// Some processes together fill the table, none of them more than it may have.
#[test]
fn who_has_most_connections_gives_up_the_oldest_for_others() {
    let mut bed = Bed::new();
    let greedy = [process(42), process(43)];
    for id in 1..=MAX_FLOWS as u64 {
        // The first of them has two thirds of all, and a call that was not answered on its first connection.
        let mut flow = flow(id, &greedy[usize::from(id % 3 == 0)]);
        let first = if id == 1 { chat("a") } else { b"POST ".to_vec() };
        bed.sent(&mut flow, &first);
    }
    let mut late = flow(99_999, &process(44));
    bed.call(&mut late, &chat("b"), &answer("b"));
    let rows = bed.interactions();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.process_pid, row.visibility.as_str()))
        .collect();
    assert_eq!(seen, [(42, "partial"), (44, "decoded")]);
    assert_eq!(bed.lost(Stage::Flow, "flow_table_full"), (1, 0));
    // The kernel forgets them, too; so what comes next on them begins anew.
    let forgotten = bed.forgotten();
    let mut given_up = forgotten.iter().map(|(id, _)| *id).filter(|id| *id != 99_999);
    assert!(forgotten.len() > 100 && given_up.all(|id| id % 3 != 0 && id < 400));
}

#[test]
fn one_process_cannot_take_the_room_of_all_others() {
    let mut bed = Bed::new();
    let (greedy, other) = (process(42), process(43));
    for id in 1..=MAX_FLOWS as u64 + 5 {
        bed.sent(&mut flow(id, &greedy), b"POST ");
    }
    assert_eq!(bed.pipeline.open_flows(), MAX_FLOWS_OF_PROCESS);
    let refused = (MAX_FLOWS - MAX_FLOWS_OF_PROCESS) as u64 + 5;
    assert_eq!(bed.lost(Stage::Flow, "flow_table_full").0, refused);
    let mut call = flow(99_999, &other);
    bed.call(&mut call, &chat("a"), &answer("b"));
    assert_eq!(bed.interactions().len(), 1);
    assert_eq!(bed.interactions()[0].visibility, "decoded");
}

#[test]
fn the_table_of_connections_is_bounded_and_the_rest_is_counted() {
    let mut bed = Bed::new();
    let process = process(42);
    for id in 1..=connections::MAX_CONNECTIONS as u64 + 3 {
        bed.connect(&flow(id, &process));
    }
    // One that is there already is not refused.
    bed.connect(&flow(1, &process));
    assert_eq!(bed.lost(Stage::Flow, "connection_table_full").0, 3);
}

#[test]
fn absurd_numbers_in_records_do_no_harm() {
    let mut bed = Bed::new();
    let process = process(42);
    for id in 1..4 {
        let mut flow = flow(id, &process);
        bed.connect(&flow);
        bed.sent(&mut flow, &chat("a"));
        bed.piece(&flow, DIRECTION_SENT, u64::MAX - 3, b"abcdef");
        flow.offset = [u64::MAX; 2];
        bed.free(&flow);
        bed.close(&flow, u64::MAX, u64::MAX);
    }
    bed.tick_after(GRACE_NS);
    assert_eq!((bed.interactions().len(), bed.connections().len()), (3, 3));
    assert_eq!(
        bed.lost(Stage::Flow, "gap"),
        (3, u64::MAX),
        "sums end at the limit"
    );
}

#[test]
fn entries_that_are_no_records_are_booked() {
    let mut bed = Bed::new();
    bed.pipeline.bad_record(17);
    bed.pipeline.bad_record(3);
    assert_eq!(bed.lost(Stage::Record, "not_a_record"), (2, 20));
}

#[test]
fn rows_say_how_the_tls_functions_were_found() {
    let mut bed = Bed::new();
    let (client, other) = (process(42), process(43));
    let (mut known, mut unknown) = (flow(1, &client), flow(2, &other));
    assert!(bed.pipeline.wants_found_by(client.key, STACK_OPENSSL, bed.now_ns));
    bed.pipeline
        .found_by(client.key, STACK_OPENSSL, Some("structure"), bed.now_ns);
    assert!(!bed.pipeline.wants_found_by(client.key, STACK_OPENSSL, bed.now_ns));
    bed.connect(&known);
    bed.sent(&mut known, &chat("a"));
    bed.received(&mut known, &answer("b"));
    bed.record(&known, &Body::Exit);
    bed.tick_after(20 * GRACE_NS);
    bed.call(&mut unknown, &chat("a"), &answer("b"));
    let interactions: Vec<&str> = bed
        .interactions()
        .iter()
        .map(|r| r.tls_found_by.as_str())
        .collect();
    let connections: Vec<&str> = bed
        .connections()
        .iter()
        .map(|r| r.tls_found_by.as_str())
        .collect();
    assert_eq!(interactions, ["structure", ""]);
    assert_eq!(
        connections,
        ["structure", ""],
        "a row after the end of its process"
    );
}

#[test]
fn connections_that_cannot_be_read_are_in_the_blind_spot_of_their_program() {
    let mut bed = Bed::new();
    let flow = flow(1, &process(42));
    let opaque = OpaqueProcess {
        pid: 42,
        executable: "/usr/bin/client".to_owned(),
        container_id: "c0ffee".to_owned(),
        in_users_group: false,
        runtime: crate::stacks::Kind::Jsse.name(),
        reason: OpaqueReason::Jsse,
    };
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    bed.pipeline
        .readability(1, Readability::Opaque(OpaqueReason::Jsse));
    bed.close(&flow, 700, 4_000);
    bed.tick_after(20 * GRACE_NS);
    assert_eq!(bed.connections()[0].opaque_reason, "jsse");
    let rows = bed.pipeline.blind_spots(bed.now_ns, [opaque.clone()]);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].reason.as_str(), rows[0].process_count, rows[0].flows_ai),
        ("jsse", 1, 1)
    );
    assert_eq!((rows[0].bytes_sent, rows[0].flows_unknown), (700, 0));
    let now = i64::try_from(bed.now_ns).expect("a time");
    assert_eq!(rows[0].ts, now + WALL_OFFSET_NS);
    assert_eq!(bed.pipeline.blind_spots(bed.now_ns, [opaque]), []);
}
