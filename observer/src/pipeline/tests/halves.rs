//! Flows of one direction: joined by their socket, whenever that becomes known.

use std::sync::Arc;

use observer_common::wire::{CLASS_AI, CLASS_OTHER, STACK_AWS_LC, STACK_RING, TIE_AFTER_CALL, Tie};

use super::{
    sockets::{READABLE, end, open, socket, to},
    *,
};
use crate::protocol::tls::tests::hello_for;

/// What one key seals or opens.
pub(super) fn key(id: u64, connection_id: u64, process: &Arc<Identity>) -> TestFlow {
    TestFlow {
        connection_id,
        stack: STACK_AWS_LC,
        tie: if connection_id == 0 { 0 } else { TIE_AFTER_CALL },
        ..flow(id, process)
    }
}

pub(super) fn tie(bed: &mut Bed, half: &mut TestFlow, connection_id: u64) {
    (half.connection_id, half.tie) = (connection_id, TIE_AFTER_CALL);
    let body = Tie {
        handle: half.handle,
        tie: half.tie.into(),
        stack: u32::from(half.stack),
    };
    bed.record(half, &Body::Tie(body));
}

/// A connection whose handshake was seen.
pub(super) fn connection(bed: &mut Bed, id: u64, process: &Arc<Identity>) -> TestFlow {
    let mut of = socket(id, process);
    let connect = to(&of);
    open(bed, &of, connect);
    bed.sent(&mut of, &hello_for("api.openai.com"));
    of
}

#[test]
fn what_two_keys_see_is_one_exchange_whenever_the_socket_is_known() {
    let client = process(42);
    for late in [false, true] {
        let mut bed = Bed::new();
        let mut of = connection(&mut bed, 1, &client);
        let tied = if late { 0 } else { 1 };
        let (mut seals, mut opens) = (key(10, tied, &client), key(11, 1, &client));
        for piece in chat("hello").chunks(100) {
            bed.sent(&mut seals, piece);
        }
        if late {
            assert!(bed.decisions().iter().all(|(id, _)| *id == 1));
            tie(&mut bed, &mut seals, 1);
        }
        // The sealed bytes of the socket, under way before the kernel knew what it carries, are nobody's plaintext.
        bed.sent(&mut of, b"\x17\x03\x03\x01\x00sealed");
        bed.received(&mut of, b"\x17\x03\x03\x01\x00sealed");
        bed.received(&mut opens, &answer("hi"));
        let row = bed.interactions()[0];
        assert_eq!(
            (row.connection_id, row.tie.as_str(), row.tls_stack.as_str()),
            (1, "after_call", "rustls_aws_lc")
        );
        assert_eq!(
            (row.visibility.as_str(), row.gen_ai_usage_output_tokens),
            ("decoded", Some(34))
        );
        end(&mut bed, &of, READABLE);
        let row = bed.connections()[0];
        assert_eq!(
            (
                row.visibility.as_str(),
                row.exchanges_decoded,
                row.tls_stack.as_str()
            ),
            ("decoded", 1, "rustls_aws_lc")
        );
        assert_eq!(
            [row.plaintext_sent, row.plaintext_received],
            [seals.offset[0], opens.offset[1]]
        );
        // The socket itself stays sealed; both keys are AI.
        let mut told = bed.decisions();
        told.sort_unstable();
        assert_eq!(told, [(1, CLASS_OTHER), (10, CLASS_AI), (11, CLASS_AI)]);
        let mut gone: Vec<u64> = bed.forgotten().iter().map(|(id, _)| *id).collect();
        gone.sort_unstable();
        assert_eq!(gone, [1, 10, 11]);
        assert_eq!(bed.pipeline.ledger().iter().count(), 0, "nothing was lost");
    }
}

/// ring's keys are as those of aws-lc, and their rows say whose they are.
#[test]
fn keys_of_ring_are_joined_likewise() {
    let (client, mut bed) = (process(42), Bed::new());
    let of = connection(&mut bed, 1, &client);
    let of_ring = |id, connection_id| TestFlow {
        stack: STACK_RING,
        ..key(id, connection_id, &client)
    };
    let (mut seals, mut opens) = (of_ring(10, 0), of_ring(11, 1));
    bed.sent(&mut seals, &chat("hello"));
    tie(&mut bed, &mut seals, 1);
    bed.received(&mut opens, &answer("hi"));
    end(&mut bed, &of, READABLE);
    let (row, connection) = (bed.interactions()[0], bed.connections()[0]);
    assert_eq!((row.connection_id, row.tls_stack.as_str()), (1, "rustls_ring"));
    assert_eq!(
        (row.visibility.as_str(), row.tie.as_str()),
        ("decoded", "after_call")
    );
    assert_eq!(
        (connection.exchanges_decoded, connection.tls_stack.as_str()),
        (1, "rustls_ring")
    );
    let mut told = bed.decisions();
    told.sort_unstable();
    assert_eq!(told, [(1, CLASS_OTHER), (10, CLASS_AI), (11, CLASS_AI)]);
}

#[test]
fn keys_of_two_connections_do_not_mix() {
    let (client, mut bed) = (process(42), Bed::new());
    let (a, b) = (connection(&mut bed, 1, &client), connection(&mut bed, 2, &client));
    let mut keys = [
        key(10, 1, &client),
        key(11, 1, &client),
        key(20, 2, &client),
        key(21, 2, &client),
    ];
    let (request, response) = (chat("x"), answer("y"));
    for (left, right) in request.chunks(64).zip(request.chunks(64)) {
        bed.sent(&mut keys[0], left);
        bed.sent(&mut keys[2], right);
    }
    for (left, right) in response.chunks(64).zip(response.chunks(64)) {
        bed.received(&mut keys[3], right);
        bed.received(&mut keys[1], left);
    }
    let rows: Vec<_> = bed
        .interactions()
        .iter()
        .map(|r| (r.connection_id, r.visibility.as_str()))
        .collect();
    assert_eq!(rows, [(2, "decoded"), (1, "decoded")]);
    for of in [&a, &b] {
        end(&mut bed, of, READABLE);
    }
    assert_eq!(bed.connections().len(), 2);
}

#[test]
fn a_key_that_is_renewed_goes_on_where_the_old_one_ended() {
    let (client, mut bed) = (process(42), Bed::new());
    connection(&mut bed, 1, &client);
    let request = chat("x");
    let (mut old, mut new) = (key(10, 1, &client), key(12, 1, &client));
    bed.sent(&mut old, &request[..100]);
    bed.free(&old);
    bed.sent(&mut new, &request[100..]);
    bed.received(&mut key(11, 1, &client), &answer("y"));
    assert_eq!(bed.interactions()[0].visibility, "decoded");
}

#[test]
fn what_never_finds_its_socket_is_counted_however_it_ends() {
    let ends: [fn(&mut Bed, &TestFlow); 5] = [
        |bed, half| bed.record(half, &Body::Exit),
        |bed, half| bed.record(half, &Body::Exec),
        |bed, half| bed.free(half),
        |bed, _| bed.finish(),
        |bed, _| bed.tick_after(61_000_000_000),
    ];
    for (number, end) in ends.iter().enumerate() {
        let mut bed = Bed::new();
        let mut half = key(10, 0, &process(42));
        bed.sent(&mut half, &chat("x"));
        end(&mut bed, &half);
        assert_eq!(bed.forgotten().len(), 1, "end {number}");
        bed.finish();
        assert_eq!(
            bed.lost(Stage::Flow, "never_tied"),
            (1, half.offset[0]),
            "end {number}"
        );
        assert_eq!(bed.forgotten().len(), 1, "end {number}");
        assert!(bed.interactions().is_empty());
        assert_eq!(bed.pipeline.totals().flows, 0);
    }
}

#[test]
fn what_found_no_room_is_a_hole_and_not_a_splice() {
    let (client, mut bed) = (process(42), Bed::new());
    let of = connection(&mut bed, 1, &client);
    let request = chat(&"x".repeat(400_000));
    let mut half = key(10, 0, &client);
    for piece in request[..300_000].chunks(16_384) {
        bed.sent(&mut half, piece);
    }
    let (_, lost) = bed.lost(Stage::Flow, "never_tied");
    assert!(lost > 0);
    tie(&mut bed, &mut half, 1);
    for piece in request[300_000..].chunks(16_384) {
        bed.sent(&mut half, piece);
    }
    bed.received(&mut key(11, 1, &client), &answer("y"));
    let row = bed.interactions()[0];
    assert_eq!(
        (row.visibility.as_str(), row.visibility_reason.as_str()),
        ("partial", "lost_events")
    );
    assert_eq!(row.request_bytes, request.len() as u64);
    end(&mut bed, &of, READABLE);
    assert_eq!(bed.connections()[0].plaintext_sent, request.len() as u64 - lost);
}
