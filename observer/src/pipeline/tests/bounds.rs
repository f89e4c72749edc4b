//! Tables of the socket layer have limits, and what finds no room is counted.

use super::{
    sockets::{READABLE, end, open, socket, to},
    *,
};
use crate::protocol::tls::tests::hello_for;

#[test]
fn sockets_that_are_looked_at_are_bounded() {
    let (client, mut bed) = (process(42), Bed::new());
    let first = hello_for("api.openai.com");
    let most = sockets_at_once();
    for id in 1..=most + 3 {
        let mut flow = socket(id, &client);
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        bed.sent(&mut flow, &first[..10]);
    }
    assert_eq!(bed.lost(Stage::Flow, "opening_table_full"), (3, 30));
    // The end of one makes room for another.
    end(&mut bed, &socket(1, &client), READABLE);
    let mut late = socket(most + 100, &client);
    let connect = to(&late);
    open(&mut bed, &late, connect);
    bed.sent(&mut late, &first);
    assert_eq!(bed.lost(Stage::Flow, "opening_table_full"), (3, 30));
    assert_eq!(bed.decisions().len(), 1);
}

fn sockets_at_once() -> u64 {
    super::super::sockets::MAX_OPENINGS as u64
}

#[test]
fn a_socket_without_a_place_in_the_table_is_not_read() {
    let (client, mut bed) = (process(42), Bed::new());
    let most = connections::MAX_CONNECTIONS as u64;
    for id in 1..=most {
        let flow = socket(id, &client);
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
    }
    for (id, received) in [(most + 1, false), (most + 2, true)] {
        let mut flow = socket(id, &client);
        let connect = to(&flow);
        open(&mut bed, &flow, connect);
        if received {
            bed.received(&mut flow, &chat("x"));
        } else {
            bed.sent(&mut flow, &chat("x"));
        }
    }
    assert_eq!(bed.lost(Stage::Flow, "connection_table_full").0, 2);
    assert_eq!(bed.pipeline.open_flows(), 0, "nobody would tell their end");
}

#[test]
fn absurd_totals_and_times_do_no_harm() {
    let (client, mut bed) = (process(42), Bed::new());
    let mut flow = socket(1, &client);
    let connect = to(&flow);
    open(&mut bed, &flow, connect);
    bed.pipeline.progress(1, [u64::MAX; 2], 0);
    bed.piece(&flow, DIRECTION_SENT, u64::MAX, &hello_for("api.openai.com"));
    bed.sent(&mut flow, &chat("x"));
    bed.piece(&flow, DIRECTION_RECEIVED, u64::MAX, b"x");
    bed.pipeline.tick(0);
    bed.pipeline.tick(u64::MAX);
    bed.finish();
    assert_eq!(bed.pipeline.open_flows(), 0);
}
