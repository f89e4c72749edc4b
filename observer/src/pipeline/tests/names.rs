//! Where the name of a connection comes from, and which name wins.

use std::sync::Arc;

use observer_common::wire::{CONNECT_ACCEPTED, Dns};

use super::{
    sockets::{READABLE, end, open, socket, to, unix},
    *,
};
use crate::{
    coverage::OpaqueReason,
    protocol::tls::tests::{hello, hello_for},
};

/// Answer of a name server: `name` has these IPv4 addresses for 60 s.
fn message(name: &str, addresses: &[[u8; 4]]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).unwrap();
    let mut bytes = vec![1, 2, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend(b"\0\0\x01\0\x01");
    for address in addresses {
        bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04");
        bytes.extend(address);
    }
    bytes
}

fn resolved(bed: &mut Bed, process: &Arc<Identity>, bytes: &[u8], message_len: usize) {
    let body = Dns {
        len: u32::try_from(bytes.len()).unwrap(),
        message_len: u32::try_from(message_len).unwrap(),
    };
    let asking = TestFlow {
        connection_id: 0,
        ..socket(0, process)
    };
    bed.record(&asking, &Body::Dns(body, bytes));
}

pub(super) fn learn(bed: &mut Bed, process: &Arc<Identity>, name: &str) {
    learn_at(bed, process, name, [192, 0, 2, 9]);
}

pub(super) fn learn_at(bed: &mut Bed, process: &Arc<Identity>, name: &str, address: [u8; 4]) {
    let bytes = message(name, &[address]);
    resolved(bed, process, &bytes, bytes.len());
}

fn named(bed: &Bed) -> Vec<(&str, &str, &str)> {
    let rows = bed.connections();
    rows.into_iter()
        .map(|r| {
            (
                r.server_address.as_str(),
                r.name_source.as_str(),
                r.endpoint_class.as_str(),
            )
        })
        .collect()
}

#[test]
fn the_name_servers_answer_counts_until_the_hello_says_better() {
    let client = process(42);
    let nameless = hello(&[], 16_384);
    for (says, expected) in [
        (&nameless[..], vec![("api.openai.com", "dns", "ai_known")]),
        (
            &hello_for("api.anthropic.com"),
            vec![("api.anthropic.com", "sni", "ai_known")],
        ),
        (&hello_for("www.example.org"), vec![]),
    ] {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &client));
        learn(&mut bed, &client, "api.openai.com");
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, says);
        end(&mut bed, &flow, Readability::Opaque(OpaqueReason::Jsse));
        assert_eq!(named(&bed), expected);
    }
}

#[test]
fn a_name_that_is_not_ai_rules_a_nameless_handshake_out() {
    let (client, mut bed) = (process(42), Bed::new());
    learn(&mut bed, &client, "www.example.org");
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, READABLE);
    assert!(bed.connections().is_empty());
}

#[test]
fn a_peer_with_several_names_is_never_guessed() {
    let (client, other) = (process(42), process(43));
    let mut bed = Bed::new();
    learn(&mut bed, &client, "api.openai.com");
    learn(&mut bed, &client, "www.example.org");
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, READABLE);
    assert_eq!(named(&bed), [("", "none", "unknown")]);
    // What a process asked for itself is not ambiguous, whatever others did.
    learn(&mut bed, &other, "api.anthropic.com");
    let mut flow = socket(2, &other);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, READABLE);
    assert_eq!(named(&bed)[1], ("api.anthropic.com", "dns", "ai_known"));
}

#[test]
fn names_end_with_their_time() {
    let (client, mut bed) = (process(42), Bed::new());
    learn(&mut bed, &client, "api.openai.com");
    bed.now_ns += 61_000_000_000;
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, READABLE);
    assert_eq!(named(&bed), [("", "none", "unknown")]);
}

#[test]
fn servers_and_unix_sockets_are_not_named_by_address() {
    let (client, mut bed) = (process(42), Bed::new());
    // `::`, which is also what a unix socket has for an address: a name server's way to block a name.
    let mut blocked = message("api.openai.com", &[]);
    blocked[7] = 1;
    blocked.extend(b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10");
    blocked.extend([0; 16]);
    resolved(&mut bed, &client, &blocked, blocked.len());
    learn(&mut bed, &client, "api.openai.com");
    let (local, served) = (socket(1, &client), socket(2, &client));
    let accepted = Connect {
        flags: CONNECT_ACCEPTED,
        ..to(&served)
    };
    let connect = unix(&local);
    open(&mut bed, &local, connect);
    open(&mut bed, &served, accepted);
    end(&mut bed, &local, READABLE);
    end(&mut bed, &served, READABLE);
    assert!(bed.connections().is_empty(), "{:?}", named(&bed));
}

#[test]
fn an_answer_that_was_cut_or_is_none_names_nothing() {
    let (client, mut bed) = (process(42), Bed::new());
    let bytes = message("api.openai.com", &[[192, 0, 2, 9]]);
    resolved(&mut bed, &client, &bytes[..bytes.len() - 3], bytes.len());
    assert_eq!(bed.lost(Stage::Protocol, "dns_message_cut"), (1, 0));
    let mut question = bytes.clone();
    question[2] = 1;
    resolved(&mut bed, &client, &question, question.len());
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.sent(&mut flow, &hello(&[], 16_384));
    end(&mut bed, &flow, READABLE);
    assert_eq!(named(&bed), [("", "none", "unknown")]);
}

#[test]
fn a_proxy_is_told_the_name_and_the_tunnels_hello_says_it_again() {
    let request = b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n";
    let first = hello_for("api.anthropic.com");
    for (follows, expected) in [
        (&b""[..], ("api.openai.com", "connect", "ai_known")),
        (&first, ("api.anthropic.com", "sni", "ai_known")),
        // The proxy wants a password, and the client asks again.
        (&request[..], ("api.openai.com", "connect", "ai_known")),
    ] {
        let (mut bed, mut flow) = (Bed::new(), socket(1, &process(42)));
        let connect = Connect {
            peer_port: 3_128,
            ..to(&flow)
        };
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, &request[..20]);
        bed.sent(&mut flow, &request[20..]);
        bed.received(&mut flow, b"HTTP/1.1 200 Connection established\r\n\r\n");
        bed.sent(&mut flow, follows);
        end(&mut bed, &flow, READABLE);
        assert_eq!(named(&bed), [expected]);
        assert_eq!(bed.pipeline.totals().flows, 0, "nothing of it is plaintext");
        assert_eq!(bed.connections()[0].server_port, 3_128, "the peer is the proxy");
    }
}

#[test]
fn plain_http_without_a_host_has_the_name_of_its_connection() {
    let (client, mut bed) = (process(42), Bed::new());
    learn(&mut bed, &client, "api.openai.com");
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    let request = String::from_utf8(chat("x"))
        .unwrap()
        .replace("Host: api.openai.com\r\n", "");
    bed.sent(&mut flow, request.as_bytes());
    bed.received(&mut flow, &answer("y"));
    let row = bed.interactions()[0];
    assert_eq!(
        (row.server_address.as_str(), row.name_source.as_str()),
        ("api.openai.com", "dns")
    );
}

#[test]
fn the_name_of_a_handle_is_read_as_that_of_a_hello_is() {
    let (client, mut bed) = (process(42), Bed::new());
    let mut of = flow(100, &client);
    bed.name(&of, "API.openai.com.");
    let request = String::from_utf8(chat("x"))
        .unwrap()
        .replace("Host: api.openai.com\r\n", "");
    bed.sent(&mut of, request.as_bytes());
    bed.received(&mut of, &answer("y"));
    assert_eq!(bed.interactions()[0].server_address, "api.openai.com");
}

#[test]
fn a_flow_that_no_call_tied_goes_to_the_only_connection_to_its_server() {
    for connections in [1, 2] {
        let (client, mut bed) = (process(42), Bed::new());
        for id in 1..=connections {
            let mut of = socket(id, &client);
            let connect = to(&of);
            open(&mut bed, &of, connect);
            bed.sent(&mut of, &hello_for("api.openai.com"));
        }
        // Others do not count: another server, another process.
        for (id, of, name) in [
            (8, &client, "api.anthropic.com"),
            (9, &process(43), "api.openai.com"),
        ] {
            let mut of = socket(id, of);
            let connect = to(&of);
            open(&mut bed, &of, connect);
            bed.sent(&mut of, &hello_for(name));
        }
        let mut untied = TestFlow {
            connection_id: 0,
            tie: 0,
            ..flow(100, &client)
        };
        bed.name(&untied, "api.openai.com");
        bed.sent(&mut untied, &chat("x"));
        bed.received(&mut untied, &answer("y"));
        let row = bed.interactions()[0];
        if connections == 2 {
            assert_eq!(
                (row.connection_id, row.tie.as_str()),
                (0, "none"),
                "nobody guesses"
            );
            continue;
        }
        assert_eq!(
            (row.connection_id, row.tie.as_str(), row.server_port),
            (1, "server_name", 443)
        );
        bed.free(&untied);
        end(&mut bed, &socket(1, &client), READABLE);
        let row = bed.connections()[0];
        assert_eq!((row.visibility.as_str(), row.exchanges_decoded), ("decoded", 1));
        assert_eq!([row.plaintext_sent, row.plaintext_received], untied.offset);
        assert_eq!(row.tls_stack, "openssl");
    }
}
