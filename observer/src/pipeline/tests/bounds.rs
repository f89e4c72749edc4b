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

#[test]
fn what_all_streams_keep_together_is_bounded_and_what_is_cut_says_so() {
    let (mut bed, process) = (Bed::new(), process(42));
    // Room for two.
    let others = crate::budget::testing::all_but(2 * 1024 * 1024);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ";
    let piece = vec![b'x'; 16 * 1024];
    let mut flows: Vec<TestFlow> = (1..=4).map(|id| flow(id, &process)).collect();
    for flow in &mut flows {
        bed.sent(flow, &chat("hello"));
        bed.received(flow, head);
        for _ in 0..60 {
            bed.received(flow, &piece);
        }
    }
    assert!(crate::budget::testing::held() <= crate::budget::MAX_BUFFERS);
    bed.finish();
    drop(others);
    assert_eq!(crate::budget::testing::held(), 0);
    let over = bed.interactions().into_iter();
    let over = over.filter(|row| row.visibility_reason == "over_budget").count();
    assert_eq!((over, bed.lost(Stage::Protocol, "over_budget").0), (2, 2));
}
