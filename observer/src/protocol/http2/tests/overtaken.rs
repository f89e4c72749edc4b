//! Answers that are reported before their requests.

use super::*;
use crate::protocol::http2::early::MAX_WAITING;

/// An answer with all that one may have, and its request.
fn early() -> [Vec<u8>; 2] {
    let answer = [
        response(5, "200", &[("x-a", "1")], false),
        data(5, b"one", false),
        data(5, b"two", false),
        frame(1, 5, 5, &block(&[("grpc-status", "0")], false)),
    ]
    .concat();
    let asked = [request(5, "/late", &[], false), data(5, b"{}", true)].concat();
    [answer, asked]
}

#[test]
fn an_answer_that_overtook_its_request_waits_for_it() {
    let [answer, asked] = early();
    let seen = |answer_first: bool, piece: usize| {
        let mut run = Run::begun();
        // Another call is under way.
        run.push(Side::Request, &request(3, "/a", &[], true));
        run.push(Side::Response, &response(3, "200", &[], false));
        let mut sides = [(Side::Request, &asked), (Side::Response, &answer)];
        if answer_first {
            sides.reverse();
        }
        for (side, bytes) in sides {
            bytes.chunks(piece).for_each(|part| run.push(side, part));
            if answer_first && side == Side::Response {
                assert!(!run.seen.iter().any(|s| matches!(s, Seen::Response(1, _))));
                run.push(Side::Response, &data(3, b"beside", false));
                assert_eq!(run.body(0, Side::Response), b"beside");
            }
        }
        assert!(run.skipped().is_empty());
        assert_eq!(run.http.streams.len(), 1);
        let (body, ends) = (run.body(1, Side::Response), run.ends());
        let paths: Vec<String> = run.paths().into_iter().map(str::to_owned).collect();
        let head = run.seen.iter().find(|s| matches!(s, Seen::Response(1, _)));
        (
            body,
            ends.contains(&(1, Side::Response, None)),
            paths,
            head.cloned(),
        )
    };
    let expected = seen(false, usize::MAX);
    assert_eq!((&expected.0[..], expected.1), (&b"onetwo"[..], true));
    for piece in [1, 7, 10_000] {
        assert_eq!(seen(true, piece), expected, "pieces of {piece}");
    }
}

#[test]
fn an_answer_whose_request_does_not_come_is_an_exchange_of_its_own() {
    let [answer, _] = early();
    // The connection ends, a later request comes, requests are missed, the server takes the answer back.
    type Then = fn(&mut Run);
    let then: [Then; 4] = [
        |_| {},
        |run| run.push(Side::Request, &request(7, "/b", &[], true)),
        |run| run.gap(Side::Request, None),
        |run| run.push(Side::Response, &frame(3, 0, 5, &[0; 4])),
    ];
    for then in then {
        let mut run = Run::begun();
        run.push(Side::Response, &answer);
        assert!(run.seen.is_empty());
        then(&mut run);
        let seen = run.close();
        assert!(matches!(seen.first(), Some(Seen::Response(0, _))), "{seen:?}");
        let ends = seen
            .iter()
            .filter(|s| matches!(s, Seen::End(0, Side::Response, None, _)));
        assert_eq!(ends.count(), 1);
        assert!(!seen.iter().any(|s| matches!(s, Seen::End(0, Side::Request, ..))));
    }
}

#[test]
fn answers_that_wait_are_bounded_and_say_what_is_missing() {
    let mut run = Run::begun();
    run.push(Side::Response, &response(1, "200", &[], false));
    for _ in 0..100 {
        run.push(Side::Response, &data(1, &[b'x'; 1_000], false));
    }
    assert!(run.seen.is_empty());
    run.push(Side::Request, &request(1, "/a", &[], true));
    run.push(Side::Response, &data(1, b"end", true));
    let body = run.body(0, Side::Response).len();
    assert!((50_000..=MAX_WAITING).contains(&body), "{body}");
    assert!(run.seen.contains(&Seen::Gap(0, Side::Response, None)));
    assert_eq!(
        run.ends().last(),
        Some(&(0, Side::Response, Some(Incomplete::OverBudget)))
    );
    // So are their heads, and what there was no room for is counted.
    for stream in (3..20_001).step_by(2) {
        run.push(Side::Response, &response(stream, "200", &[("x", "y")], true));
    }
    assert!(run.http.streams.len() < MAX_STREAMS);
    assert_eq!(run.skipped().last().unwrap().2, Incomplete::OverBudget);
    // They have their room back when their requests are there.
    run.push(Side::Request, &request(20_003, "/b", &[], true));
    assert_eq!(run.http.streams.len(), 1);
    run.push(Side::Response, &response(20_005, "200", &[], true));
    run.push(Side::Request, &request(20_005, "/c", &[], true));
    assert_eq!(
        run.ends().last(),
        Some(&(run.last_exchange(), Side::Request, None))
    );
    // Where all connections together hold too much, nothing waits.
    let others = crate::budget::testing::all_but(10);
    run.push(Side::Response, &response(20_007, "200", &[], true));
    assert_eq!(run.skipped().last().unwrap().2, Incomplete::OverBudget);
    drop((run, others));
    assert_eq!(crate::budget::testing::held(), 0);
}
