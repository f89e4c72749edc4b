//! Calls that a process answers.

use observer_common::wire::{CONNECT_ACCEPTED, CONNECT_EXISTING, Established};

use super::{
    sockets::{READABLE, end, open, socket, to},
    *,
};

/// The caller's end of the connections below.
const CALLER: ([u8; 4], u16) = ([192, 0, 2, 9], 50_123);

/// What the kernel reports of a connection that a process accepted on port 11434.
fn accepted(flow: &TestFlow) -> Connect {
    Connect {
        flags: CONNECT_ACCEPTED,
        peer_port: CALLER.1,
        local_port: 11_434,
        ..to(flow)
    }
}

/// A process of this host connects, from the end that the process above sees.
fn calls_from_here(bed: &mut Bed, caller: &TestFlow, is_old: bool) {
    let mut local_address = [0; 16];
    local_address[..4].copy_from_slice(&CALLER.0);
    let connect = to(caller);
    if is_old {
        let connect = Connect {
            local_address,
            local_port: CALLER.1,
            flags: CONNECT_EXISTING,
            ..connect
        };
        open(bed, caller, connect);
        return;
    }
    open(bed, caller, connect);
    let body = Established {
        local_address,
        family: 2,
        local_port: CALLER.1,
        pad: [0; 4],
    };
    bed.record(caller, &Body::Established(body));
}

/// A request to a model server, by address.
fn request() -> Vec<u8> {
    let body = r#"{"model":"llama3","messages":[{"role":"user","content":"hello"}],"stream":false}"#;
    post("/v1/chat/completions", "10.0.0.5:11434", body)
}

/// Role, server, port and peer of a call.
type Call<'a> = (&'a str, &'a str, u16, String);

/// All calls; and all connections: class, port and calls that were decoded.
fn seen(bed: &Bed) -> (Vec<Call<'_>>, Vec<(&str, u16, u32)>) {
    let calls = bed.interactions().into_iter().map(|r| {
        let peer = r.network_peer_address.to_canonical().to_string();
        (r.role.as_str(), r.server_address.as_str(), r.server_port, peer)
    });
    let connections = bed.connections().into_iter();
    let connections = connections.map(|c| (c.endpoint_class.as_str(), c.server_port, c.exchanges_decoded));
    (calls.collect(), connections.collect())
}

fn served_row() -> Call<'static> {
    ("server", "10.0.0.5", 11_434, "192.0.2.9".to_owned())
}

#[test]
fn a_call_from_elsewhere_is_a_row_of_the_server_and_nothing_that_coverage_counts() {
    for tls in [false, true] {
        let (mut bed, server) = (Bed::new(), process(42));
        let mut flow = if tls { flow(1, &server) } else { socket(1, &server) };
        let connect = accepted(&flow);
        open(&mut bed, &flow, connect);
        bed.received(&mut flow, &request());
        bed.sent(&mut flow, &answer("hi"));
        assert!(bed.interactions().is_empty(), "it waits for the caller's side");
        bed.tick_after(300_000_000);
        assert_eq!(seen(&bed).0, [served_row()]);
        if tls {
            bed.free(&flow);
        }
        end(&mut bed, &flow, READABLE);
        assert_eq!(seen(&bed).1, [("served", 11_434, 1)]);
        assert_eq!(bed.decisions(), [(1, CLASS_AI)]);
        let (row, connection) = (bed.interactions()[0], bed.connections()[0]);
        assert_eq!(
            (row.gen_ai_request_model.as_str(), row.visibility.as_str()),
            ("llama3", "decoded")
        );
        assert_eq!(
            (row.agent_name.as_str(), row.request_seq, row.attempt_number),
            ("", 0, None)
        );
        assert_eq!(connection.visibility, "decoded");
        let totals = bed.pipeline.totals();
        assert_eq!((totals.exchanges, totals.ai_connections), (1, 0));
        assert_eq!(bed.pipeline.totals().unknown_connections_opaque, 0);
    }
}

#[test]
fn a_call_whose_caller_is_read_on_this_host_is_one_row() {
    for is_old in [false, true] {
        let (mut bed, client, server) = (Bed::new(), process(42), process(43));
        let (mut asks, mut serves) = (socket(1, &client), socket(2, &server));
        calls_from_here(&mut bed, &asks, is_old);
        let connect = accepted(&serves);
        open(&mut bed, &serves, connect);
        // The server is told before the call that wrote it has returned.
        bed.received(&mut serves, &request());
        bed.sent(&mut serves, &answer("hi"));
        bed.sent(&mut asks, &request());
        bed.received(&mut asks, &answer("hi"));
        bed.tick_after(300_000_000);
        end(&mut bed, &asks, READABLE);
        end(&mut bed, &serves, READABLE);
        let (calls, connections) = seen(&bed);
        assert_eq!((calls.len(), calls[0].0), (1, "client"));
        assert_eq!(connections, [("ai_suspected", 443, 1)]);
        let row = bed.connections()[0];
        assert_eq!(row.network_local_port, CALLER.1);
        assert_eq!(bed.pipeline.totals().exchanges_other, 1);
    }
}

#[test]
fn a_caller_in_another_namespace_with_the_same_loopback_port_is_another_one() {
    let mut loopback = [0; 16];
    loopback[..4].copy_from_slice(&[127, 0, 0, 1]);
    for (to_port, roles) in [(9_999, vec!["client", "server"]), (11_434, vec!["client"])] {
        let (mut bed, client, server) = (Bed::new(), process(42), process(43));
        let (mut asks, mut serves) = (socket(1, &client), socket(2, &server));
        let connect = Connect {
            peer_address: loopback,
            peer_port: to_port,
            ..to(&asks)
        };
        open(&mut bed, &asks, connect);
        let body = Established {
            local_address: loopback,
            family: 2,
            local_port: CALLER.1,
            pad: [0; 4],
        };
        bed.record(&asks, &Body::Established(body));
        let connect = Connect {
            peer_address: loopback,
            local_address: loopback,
            ..accepted(&serves)
        };
        open(&mut bed, &serves, connect);
        bed.sent(&mut asks, &request());
        bed.received(&mut asks, &answer("hi"));
        bed.received(&mut serves, &request());
        bed.sent(&mut serves, &answer("hi"));
        bed.tick_after(300_000_000);
        let found: Vec<&str> = seen(&bed).0.iter().map(|row| row.0).collect();
        assert_eq!(found, roles, "made to port {to_port}");
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_decided_at_once() {
    for read in [false, true] {
        let (mut bed, client, server) = (Bed::new(), process(42), process(43));
        let (mut asks, mut serves) = (socket(1, &client), socket(2, &server));
        calls_from_here(&mut bed, &asks, false);
        let connect = accepted(&serves);
        open(&mut bed, &serves, connect);
        let body = r#"{"id":"c","object":"chat.completion","model":"m","choices":[]}"#;
        let whole = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
        if read {
            bed.sent(&mut asks, &request());
            bed.received(&mut asks, whole.as_bytes());
        }
        bed.received(&mut serves, &request());
        bed.sent(&mut serves, whole.as_bytes());
        // The caller's end is the first to be over, and its row to come.
        end(&mut bed, &asks, READABLE);
        end(&mut bed, &serves, READABLE);
        let roles: Vec<&str> = seen(&bed).0.iter().map(|row| row.0).collect();
        assert_eq!(roles, [if read { "client" } else { "server" }]);
        let classes: Vec<&str> = seen(&bed).1.iter().map(|row| row.0).collect();
        assert_eq!(classes, [if read { "ai_suspected" } else { "served" }]);
    }
}

#[test]
fn a_request_cut_anywhere_and_a_connection_older_than_the_agent_are_served_too() {
    let whole = request();
    for cut in 1..whole.len() {
        let (mut bed, server) = (Bed::new(), process(42));
        let mut flow = socket(1, &server);
        let connect = Connect {
            flags: CONNECT_EXISTING,
            ..accepted(&flow)
        };
        open(&mut bed, &flow, connect);
        bed.received(&mut flow, &whole[..cut]);
        bed.received(&mut flow, &whole[cut..]);
        bed.sent(&mut flow, &answer("hi"));
        end(&mut bed, &flow, READABLE);
        let expected = (vec![served_row()], vec![("served", 11_434, 1)]);
        assert_eq!(seen(&bed), expected, "cut at {cut}");
    }
}

#[test]
fn what_is_no_ai_is_left_alone_and_so_is_everything_where_it_is_switched_off() {
    for (mut bed, request) in [
        (Bed::new(), PAGE.repeat(PAGES)),
        (Bed::of_clients_only(), request()),
    ] {
        let mut flow = socket(1, &process(42));
        let connect = accepted(&flow);
        open(&mut bed, &flow, connect);
        bed.received(&mut flow, &request);
        bed.sent(&mut flow, &answer("hi"));
        end(&mut bed, &flow, READABLE);
        assert_eq!(seen(&bed), (vec![], vec![]));
        assert_eq!(bed.decisions(), [(1, CLASS_OTHER)]);
    }
}

#[test]
fn the_end_of_the_daemon_decides_what_waits() {
    let (mut bed, server) = (Bed::new(), process(42));
    let mut flow = socket(1, &server);
    let connect = accepted(&flow);
    open(&mut bed, &flow, connect);
    bed.received(&mut flow, &request());
    bed.sent(&mut flow, &answer("hi"));
    bed.finish();
    assert_eq!(seen(&bed), (vec![served_row()], vec![("served", 11_434, 1)]));
}
