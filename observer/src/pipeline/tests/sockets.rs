//! What the socket layer says: names by the ClientHello, reasons, plaintext without TLS, servers, datagrams, ends.

use std::sync::Arc;

use observer_common::wire::{
    CLASS_AI, CLASS_OTHER, CONNECT_ACCEPTED, CONNECT_EXISTING, STACK_SOCKET, TIE_SOCKET, TRANSPORT_UDP,
    TRANSPORT_UNIX,
};

use super::*;
use crate::{
    coverage::OpaqueReason,
    protocol::tls::tests::{hello, hello_for},
};

/// Reads like any client that does not read its own: since before the test began.
pub(super) const READABLE: Readability = Readability::Readable { since_ns: 1 };
/// Longer than a datagram connection without a byte is kept, ns.
const DATAGRAM_IDLE_NS: u64 = 60_000_001_000;

/// The bytes of a socket itself, on the connection with the same number.
pub(super) fn socket(id: u64, process: &Arc<Identity>) -> TestFlow {
    TestFlow {
        handle: 0,
        tie: TIE_SOCKET,
        stack: STACK_SOCKET,
        ..flow(id, process)
    }
}

/// What the kernel reports of a new connection to 192.0.2.9:443.
pub(super) fn to(flow: &TestFlow) -> Connect {
    let mut peer_address = [0; 16];
    peer_address[..4].copy_from_slice(&[192, 0, 2, 9]);
    Connect {
        peer_address,
        local_address: [0; 16],
        family: 2,
        peer_port: 443,
        local_port: 0,
        flags: 0,
        fd: 5,
        transport: TRANSPORT_TCP,
        pad: [0; 3],
        socket: flow.id << 8,
    }
}

/// The same over UDP.
fn datagrams(flow: &TestFlow) -> Connect {
    Connect {
        transport: TRANSPORT_UDP,
        ..to(flow)
    }
}

/// A unix socket.
pub(super) fn unix(flow: &TestFlow) -> Connect {
    Connect {
        peer_address: [0; 16],
        family: 1,
        peer_port: 0,
        transport: TRANSPORT_UNIX,
        ..to(flow)
    }
}

pub(super) fn open(bed: &mut Bed, flow: &TestFlow, connect: Connect) {
    bed.record(flow, &Body::Connect(connect));
}

/// Ends a connection and lets its row come.
pub(super) fn end(bed: &mut Bed, flow: &TestFlow, found: Readability) {
    // What passed in clear, else as for a handshake.
    let [sent, received] = if flow.offset[1] > 0 {
        flow.offset
    } else {
        [600, 4_000]
    };
    bed.close(flow, sent, received);
    bed.pipeline.readability(flow.connection_id, found);
    bed.tick_after(GRACE_NS);
}

/// Visibility and reason of the only row.
fn seen(bed: &Bed) -> (&str, &str) {
    let rows = bed.connections();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    (row.visibility.as_str(), row.opaque_reason.as_str())
}

/// Connections of which the kernel can drop what it was told.
fn forgotten_classes(bed: &Bed) -> Vec<u64> {
    let gone = |output: &Output| match output {
        Output::ForgetClass { connection_id } => Some(*connection_id),
        _ => None,
    };
    bed.outputs.iter().filter_map(gone).collect()
}

/// Sockets whose state the kernel can drop.
fn forgotten_sockets(bed: &Bed) -> Vec<u64> {
    let gone = |output: &Output| match output {
        Output::ForgetSocket { socket, .. } => Some(*socket),
        _ => None,
    };
    bed.outputs.iter().filter_map(gone).collect()
}

#[test]
fn a_hello_alone_names_the_connection_and_the_reason_is_what_discovery_knows() {
    let late = Readability::Readable {
        since_ns: START_NS + 500_000,
    };
    let looked = |after_ns| Readability::NoStack {
        looked_ns: process(42).key.start_ns + after_ns,
    };
    for (found, flags, reason) in [
        (Readability::NoStack { looked_ns: u64::MAX }, 0, "no_probe"),
        // While it was starting, and before it began the connection: the library may have come afterwards.
        (looked(8_000_000), 0, "attached_late"),
        (looked(400_000_000), 0, "no_probe"),
        (Readability::Unknown, 0, "attached_late"),
        (Readability::Opaque(OpaqueReason::Jsse), 0, "jsse"),
        (Readability::Opaque(OpaqueReason::Ring), 0, "rustls_ring"),
        (late, 0, "attached_late"),
        (READABLE, CONNECT_EXISTING, "started_before_agent"),
        (READABLE, 0, "no_plaintext"),
    ] {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
        let connect = Connect { flags, ..to(&flow) };
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, &hello_for("api.openai.com"));
        end(&mut bed, &flow, found);
        assert_eq!(seen(&bed), ("opaque", reason));
        let row = bed.connections()[0];
        assert_eq!(
            (row.server_address.as_str(), row.name_source.as_str()),
            ("api.openai.com", "sni")
        );
        assert_eq!(
            (row.endpoint_class.as_str(), row.tls_stack.as_str()),
            ("ai_known", "")
        );
        assert_eq!((row.bytes_sent, row.bytes_received), (Some(600), Some(4_000)));
        assert_eq!([row.plaintext_sent, row.plaintext_received], [0; 2]);
        assert_eq!(bed.decisions(), [(1, CLASS_OTHER)], "the rest of it is sealed");
        assert_eq!(forgotten_classes(&bed), [1], "the kernel's table is bounded");
        assert_eq!(bed.pipeline.totals().ai_connections_opaque, 1);
        assert!(bed.interactions().is_empty());
    }
}

#[test]
fn an_excluded_executable_has_its_connections_and_that_reason() {
    let hidden = Identity {
        executable: "/opt/secret/bin".to_owned(),
        ..(*process(42)).clone()
    };
    let (mut bed, mut flow) = (Bed::new(), socket(1, &Arc::new(hidden)));
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello_for("api.openai.com"));
    end(&mut bed, &flow, READABLE);
    assert_eq!(seen(&bed), ("opaque", "excluded_by_policy"));
}

#[test]
fn nothing_of_what_follows_a_hello_is_read_and_the_kernel_is_told_once() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello_for("api.openai.com"));
    // Under way before the kernel was told: even if it looked like a request.
    bed.sent(&mut flow, b"\x14\x03\x03\0\x01\x01");
    bed.received(&mut flow, b"\x16\x03\x03\0\x7a\x02\0\0\x76");
    bed.sent(&mut flow, &chat("x"));
    bed.received(&mut flow, &answer("y"));
    end(&mut bed, &flow, READABLE);
    assert_eq!(bed.decisions(), [(1, CLASS_OTHER)]);
    assert!(bed.interactions().is_empty());
    assert_eq!(seen(&bed), ("opaque", "no_plaintext"));
    assert_eq!(bed.pipeline.totals().flows, 0);
}

#[test]
fn the_hello_is_read_however_it_is_cut_into_calls() {
    let bytes = hello_for("api.openai.com");
    for cut in 1..bytes.len() {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, &bytes[..cut]);
        bed.sent(&mut flow, &bytes[cut..]);
        end(&mut bed, &flow, READABLE);
        let rows = bed.connections();
        assert_eq!(rows.len(), 1, "cut at {cut}");
        assert_eq!(rows[0].server_address, "api.openai.com", "cut at {cut}");
    }
}

#[test]
fn tls_to_somebody_unnamed_gives_an_unknown_row() {
    let whole = hello(&[], 16_384);
    let mut absurd = hello_for(&"a".repeat(16_300));
    absurd.extend([0; 100]);
    let control = hello_for("evil\x1b[31m.com");
    // A hello without a name, one too long to be read, one cut by the kernel's budget, a name that is none.
    for first in [&whole[..], &absurd, &absurd[..8_192], &control] {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, first);
        end(&mut bed, &flow, Readability::Opaque(OpaqueReason::NoProbe));
        assert_eq!(seen(&bed), ("opaque", "no_probe"));
        let row = bed.connections()[0];
        assert_eq!(
            (row.server_address.as_str(), row.name_source.as_str()),
            ("", "none")
        );
        assert_eq!(row.endpoint_class, "unknown");
        let totals = bed.pipeline.totals();
        assert_eq!((totals.unknown_connections_opaque, totals.ai_connections), (1, 0));
    }
}

#[test]
fn connections_to_others_and_what_is_no_tls_give_no_row() {
    for first in [
        &hello_for("www.example.org")[..],
        b"\x16\x03\x01\0\x04\x02\0\0\0",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"",
    ] {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, first);
        end(&mut bed, &flow, READABLE);
        assert_eq!(bed.connections().len(), 0, "{first:?}");
        assert_eq!(bed.pipeline.totals().unknown_connections_opaque, 0);
        assert_eq!(bed.pipeline.open_flows(), 0);
    }
}

#[test]
fn plain_http_over_a_socket_gives_an_interaction() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let (request, response) = (chat("hello"), answer("hi"));
    let connect = Connect {
        peer_port: 11_434,
        ..to(&flow)
    };
    open(&mut bed, &flow, connect);
    // Three calls on a connection that is kept, in pieces.
    for _ in 0..3 {
        let (head, body) = request.split_at(90);
        bed.sent(&mut flow, head);
        bed.sent(&mut flow, body);
        bed.received(&mut flow, &response[..50]);
        bed.received(&mut flow, &response[50..]);
    }
    end(&mut bed, &flow, Readability::Unknown);
    let rows = bed.interactions();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((row.tls_stack.as_str(), row.tie.as_str()), ("none", "socket"));
        assert_eq!((row.flow_id, row.connection_id, row.server_port), (1, 1, 11_434));
        assert_eq!(
            (row.visibility.as_str(), row.gen_ai_usage_output_tokens),
            ("decoded", Some(34))
        );
        assert_eq!(
            (row.request_bytes, row.response_bytes),
            (request.len() as u64, response.len() as u64)
        );
    }
    let row = bed.connections()[0];
    assert_eq!(
        (
            row.tls_stack.as_str(),
            row.exchanges_decoded,
            row.visibility.as_str()
        ),
        ("none", 3, "decoded")
    );
    assert_eq!([row.plaintext_sent, row.plaintext_received], flow.offset);
    assert_eq!(row.name_source, "http_host");
    assert_eq!(bed.decisions(), [(1, CLASS_AI)]);
    assert_eq!(bed.forgotten().len(), 1, "the flow ended with its connection");
}

#[test]
fn a_request_that_was_cut_is_partial_by_the_totals_of_the_socket() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    let request = chat(&"x".repeat(3_000));
    bed.sent(&mut flow, &request[..1_000]);
    bed.received(&mut flow, &answer("y"));
    // The kernel reports the end of a process before that of its sockets.
    bed.record(&flow, &Body::Exit);
    bed.close(&flow, request.len() as u64, flow.offset[1]);
    bed.tick_after(GRACE_NS);
    let row = bed.interactions()[0];
    assert_eq!(
        (row.visibility.as_str(), row.visibility_reason.as_str()),
        ("partial", "lost_events")
    );
    assert_eq!(seen(&bed), ("partial", "lost_events"));
    let lost = request.len() as u64 - 1_000;
    assert_eq!(bed.lost(Stage::Flow, "gap_at_end"), (1, lost));
}

#[test]
fn a_unix_socket_has_no_address() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = unix(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &chat("hello"));
    bed.received(&mut flow, &answer("hi"));
    bed.tick_after(DATAGRAM_IDLE_NS);
    bed.tick_after(GRACE_NS);
    let row = bed.connections()[0];
    assert_eq!(
        (
            row.network_transport.as_str(),
            row.network_family.as_str(),
            row.server_port
        ),
        ("unix", "unix", 0)
    );
    assert!(row.network_peer_address.is_unspecified());
    assert_eq!((row.close_reason.as_str(), row.exchanges_decoded), ("idle", 1));
    assert_eq!(bed.interactions()[0].server_address, "api.openai.com");
    assert_eq!(forgotten_sockets(&bed), [1 << 8]);
}

#[test]
fn who_serves_has_no_interaction_and_no_row_where_that_is_not_wanted() {
    for flags in [CONNECT_ACCEPTED, CONNECT_EXISTING] {
        let (mut bed, mut flow) = (Bed::of_clients_only(), socket(1, &process(42)));
        let connect = Connect { flags, ..to(&flow) };
        open(
            &mut bed,
            &flow,
            Connect {
                peer_port: 50_000,
                ..connect
            },
        );
        bed.received(&mut flow, &chat("served"));
        bed.sent(&mut flow, &answer("b"));
        end(&mut bed, &flow, Readability::Unknown);
        assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
        assert_eq!(bed.decisions(), [(1, CLASS_OTHER)]);
        assert_eq!(bed.pipeline.open_flows(), 0);
    }
    // TLS without a name is nobody's secret where the process is the server.
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = Connect {
        flags: CONNECT_ACCEPTED,
        ..to(&flow)
    };
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, Readability::Unknown);
    assert!(bed.connections().is_empty());
}

#[test]
fn what_is_older_than_the_agent_is_told_only_where_tls_is_spoken() {
    for (peer_port, rows) in [(443, 1), (5_432, 0)] {
        let (mut bed, flow) = (Bed::new(), socket(1, &process(42)));
        let connect = Connect {
            flags: CONNECT_EXISTING,
            peer_port,
            ..to(&flow)
        };
        open(&mut bed, &flow, connect);
        end(&mut bed, &flow, READABLE);
        assert_eq!(bed.connections().len(), rows, "port {peer_port}");
        if rows == 1 {
            assert_eq!(seen(&bed), ("opaque", "started_before_agent"));
        }
    }
}

#[test]
fn datagrams_to_443_are_quic_and_end_when_nothing_passes() {
    let (mut bed, flow) = (Bed::new(), socket(1, &process(42)));
    let connect = datagrams(&flow);
    open(&mut bed, &flow, connect);
    bed.tick_after(DATAGRAM_IDLE_NS - 10_000);
    bed.pipeline.progress(1, [1_200, 1_200], bed.now_ns);
    let last_ns = bed.now_ns;
    bed.tick_after(DATAGRAM_IDLE_NS - 10_000);
    // The same totals are no sign of life.
    bed.pipeline.progress(1, [1_200, 1_200], bed.now_ns);
    bed.tick_after(20_000);
    assert_eq!(forgotten_sockets(&bed), [1 << 8]);
    bed.tick_after(GRACE_NS);
    let row = bed.connections()[0];
    assert_eq!(seen(&bed), ("opaque", "quic"));
    assert_eq!(
        (row.network_transport.as_str(), row.endpoint_class.as_str()),
        ("udp", "unknown")
    );
    assert_eq!(row.close_reason, "idle");
    assert_eq!(row.closed_ts, WALL_OFFSET_NS + i64::try_from(last_ns).unwrap());
    assert_eq!((row.bytes_sent, row.bytes_received), (Some(1_200), Some(1_200)));
    // TCP may be silent for days.
    let mut bed = Bed::new();
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.tick_after(DATAGRAM_IDLE_NS);
    bed.tick_after(GRACE_NS);
    assert_eq!(bed.pipeline.open_sockets().count(), 1);
}

#[test]
fn progress_counts_until_the_close_and_not_after_it() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    assert_eq!(bed.pipeline.open_sockets().collect::<Vec<_>>(), [(1, 1 << 8)]);
    bed.sent(&mut flow, &hello_for("api.openai.com"));
    bed.pipeline.progress(1, [500, 100], bed.now_ns);
    bed.pipeline.progress(99, [1, 1], bed.now_ns);
    bed.finish();
    let row = bed.connections()[0];
    assert_eq!((row.bytes_sent, row.bytes_received), (Some(500), Some(100)));
    assert_eq!(row.close_reason, "agent_stop");
    let mut bed = Bed::new();
    let mut flow = socket(1, &process(42));
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello_for("api.openai.com"));
    bed.close(&flow, 600, 200);
    bed.pipeline.progress(1, [1, 1], bed.now_ns);
    assert_eq!(bed.pipeline.open_sockets().count(), 0);
    bed.tick_after(GRACE_NS);
    assert_eq!(bed.connections()[0].bytes_sent, Some(600));
}

#[test]
fn the_end_of_a_process_ends_its_connections_and_the_kernel_forgets_what_has_no_end() {
    let mut bed = Bed::new();
    let process = process(42);
    let (mut tcp, udp, mut local) = (socket(1, &process), socket(2, &process), socket(3, &process));
    let connects = [to(&tcp), datagrams(&udp), unix(&local)];
    for (flow, connect) in [&tcp, &udp, &local].into_iter().zip(connects) {
        open(&mut bed, flow, connect);
    }
    bed.sent(&mut tcp, &hello_for("api.openai.com"));
    bed.sent(&mut local, &chat("x"));
    bed.pipeline
        .readability_of(process.key, Readability::Opaque(OpaqueReason::Jsse));
    bed.record(&tcp, &Body::Exit);
    let mut gone = forgotten_sockets(&bed);
    gone.sort_unstable();
    assert_eq!(gone, [2 << 8, 3 << 8], "TCP sockets tell their end");
    bed.tick_after(GRACE_NS);
    let mut rows = bed.connections();
    rows.sort_by_key(|row| row.connection_id);
    let all: Vec<_> = rows
        .iter()
        .map(|r| (r.connection_id, r.close_reason.as_str(), r.opaque_reason.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            (1, "process_exit", "jsse"),
            (2, "process_exit", "quic"),
            (3, "process_exit", "truncated")
        ]
    );
    assert_eq!(bed.interactions()[0].visibility_reason, "closed_early");
    assert_eq!(bed.pipeline.open_flows(), 0);
}

#[test]
fn a_plain_request_that_is_not_ai_is_left_alone() {
    let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    let upload = post("/upload", "files.example.org", r#"{"a":1}"#);
    for _ in 0..PAGES {
        bed.sent(&mut flow, &upload);
        bed.received(&mut flow, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    bed.sent(&mut flow, &upload);
    end(&mut bed, &flow, READABLE);
    assert_eq!(bed.decisions(), [(1, CLASS_OTHER)]);
    assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
}

#[test]
fn a_connection_whose_end_was_lost_ends_when_its_socket_is_gone() {
    let (mut bed, client) = (Bed::new(), process(42));
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello_for("api.openai.com"));
    let now_ns = bed.now_ns;
    // Once is none: its end may be on its way; and a socket that is there was not missed.
    bed.pipeline.socket_missed(1);
    bed.pipeline.progress(1, [600, 4_000], now_ns);
    bed.pipeline.socket_missed(1);
    bed.tick_after(GRACE_NS);
    assert!(bed.connections().is_empty());
    bed.pipeline.socket_missed(1);
    bed.tick_after(GRACE_NS);
    assert_eq!(seen(&bed), ("opaque", "lost_events"));
    let row = bed.connections()[0];
    assert_eq!(row.close_reason, "close_lost");
    assert_eq!([row.bytes_sent, row.bytes_received], [Some(600), Some(4_000)]);
    assert_eq!(row.closed_ts, WALL_OFFSET_NS + i64::try_from(now_ns).unwrap());
    assert_eq!(bed.lost(Stage::Flow, "close_lost"), (1, 0));
    assert_eq!(forgotten_classes(&bed), [1]);
    // Nothing tells the end of a datagram socket, so nothing is missing.
    let flow = socket(2, &client);
    let connect = datagrams(&flow);
    open(&mut bed, &flow, connect);
    bed.pipeline.socket_missed(2);
    bed.pipeline.socket_missed(2);
    assert_eq!(bed.lost(Stage::Flow, "close_lost"), (1, 0));
}
