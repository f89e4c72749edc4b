//! Attempts of the same request.

use super::super::attempts::{Attempts, Key, MAX_WAITING, Place, WINDOW_NS, Waiting};
use super::testbed::*;
use crate::evidence::InteractionRow;

fn failed(status: &str, fields: &str) -> Vec<u8> {
    let body = r#"{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}"#;
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn with(request: &[u8], field: &str) -> Vec<u8> {
    let text = String::from_utf8(request.to_vec()).unwrap();
    text.replacen("Content-Type", &format!("{field}\r\nContent-Type"), 1)
        .into_bytes()
}

/// Calls on one connection, each answered before the next: (request, answer).
fn calls(calls: &[(Vec<u8>, Vec<u8>)]) -> Vec<InteractionRow> {
    let mut bed = Bed::new();
    let mut flow = flow(1, &process(70));
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    for (request, answer) in calls {
        bed.sent(&mut flow, request);
        bed.received(&mut flow, answer);
    }
    bed.finish();
    bed.interactions().into_iter().cloned().collect()
}

fn places(rows: &[InteractionRow]) -> Vec<(u64, Option<u16>)> {
    rows.iter()
        .map(|row| (row.request_seq, row.attempt_number))
        .collect()
}

#[test]
fn the_same_bytes_after_an_error_are_the_same_request() {
    let rows = calls(&[
        (chat("one"), failed("429 x", "retry-after: 1\r\n")),
        (chat("one"), failed("500 x", "")),
        (chat("one"), answer("at last")),
        (chat("one"), answer("once more")),
        (chat("two"), answer("hello")),
    ]);
    assert_eq!(
        places(&rows),
        [
            (1, Some(1)),
            (1, Some(2)),
            (1, Some(3)),
            (2, Some(1)),
            (3, Some(1))
        ]
    );
    assert_eq!(rows[0].error_class, "rate_limited");
    assert_eq!(rows[0].retry_after_ms, Some(1_000));
    assert_eq!(rows[2].retry_after_ms, None);
}

#[test]
fn what_was_refused_for_good_is_not_retried() {
    let rows = calls(&[
        (chat("one"), failed("400 x", "")),
        (chat("one"), failed("400 x", "")),
    ]);
    // The body says "rate limit", so this 400 is one that clients wait for.
    assert_eq!(places(&rows), [(1, Some(1)), (1, Some(2))]);
    let body = r#"{"error":{"message":"No such model.","type":"invalid_request_error","code":"bad"}}"#;
    let refused = format!(
        "HTTP/1.1 400 x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let rows = calls(&[
        (chat("one"), refused.clone().into_bytes()),
        (chat("one"), refused.into_bytes()),
    ]);
    assert_eq!(places(&rows), [(1, Some(1)), (2, Some(1))]);
}

#[test]
fn clients_that_count_are_believed() {
    let count = |n: u16| with(&chat("one"), &format!("x-stainless-retry-count: {n}"));
    let rows = calls(&[
        // Two attempts before were not seen.
        (count(2), failed("503 x", "")),
        (count(3), answer("yes")),
        // The same question anew.
        (count(0), failed("503 x", "")),
        (count(0), answer("yes")),
    ]);
    assert_eq!(
        places(&rows),
        [(1, Some(3)), (1, Some(4)), (2, Some(1)), (3, Some(1))]
    );
    let aws = |n: u16| {
        with(
            &chat("one"),
            &format!("amz-sdk-invocation-id: 7-a\r\namz-sdk-request: attempt={n}; max=3"),
        )
    };
    let rows = calls(&[(aws(1), failed("429 x", "")), (aws(2), answer("yes"))]);
    assert_eq!(places(&rows), [(1, Some(1)), (1, Some(2))]);
}

#[test]
fn another_process_asks_another_request_and_time_passes() {
    let mut bed = Bed::new();
    for (id, pid) in [(1, 70), (2, 71)] {
        let mut flow = flow(id, &process(pid));
        bed.call(&mut flow, &chat("one"), &failed("429 x", ""));
    }
    bed.tick_after(WINDOW_NS * 2);
    let mut late = flow(3, &process(70));
    bed.call(&mut late, &chat("one"), &answer("late"));
    let rows: Vec<InteractionRow> = bed.interactions().into_iter().cloned().collect();
    assert_eq!(places(&rows), [(1, Some(1)), (2, Some(1)), (3, Some(1))]);
}

#[test]
fn what_waits_is_bounded() {
    let mut attempts = Attempts::default();
    let mut bed = Bed::new();
    let mut flow = flow(1, &process(70));
    bed.call(&mut flow, &chat("one"), &failed("429 x", ""));
    assert_eq!(bed.interactions().len(), 1);
    let key = process(70).key;
    for n in 0..MAX_WAITING as u64 + 3 {
        let waiting = Waiting {
            place: Place {
                request: n,
                attempt: Some(1),
            },
            ended_ns: n,
            until_ns: n,
            failed: true,
        };
        if attempts.waiting.len() >= MAX_WAITING {
            attempts.forget_oldest();
        }
        attempts.waiting.insert(Key::Fingerprint(key, n), waiting);
    }
    assert_eq!(attempts.waiting.len(), MAX_WAITING);
    assert!(!attempts.waiting.contains_key(&Key::Fingerprint(key, 0)));
    attempts.tick(u64::MAX);
    assert!(attempts.waiting.is_empty());
}
