//! What is too long, too deep, too many or not as long as it says: bounded, reported once, and the next call is read.

use super::corpus::{SAMPLES, bytes, reported_once};
use super::*;
use crate::protocol::eventstream::testing::message;

/// One answer on a connection to OpenAI, and the facts that it gives.
fn answered(response: &[u8]) -> Hooks {
    let (request, _) = bytes(&SAMPLES[0]);
    let sides = [(Side::Request, &request[..]), (Side::Response, response)];
    run(&catalog(), Some("api.openai.com"), &sides, 16 * 1024)
}

#[test]
fn heads_of_a_mebibyte_and_of_a_hundred_thousand_fields() {
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "a".repeat(1024 * 1024));
    reported_once(&answered(long.as_bytes()), 2, "a long head");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    reported_once(&answered(many.as_bytes()), 2, "many fields");
    let fields = format!("Host: api.openai.com\r\n{}", "x: y\r\n".repeat(100_000));
    let request = request("POST /v1/chat/completions", &fields, "{}");
    let hooks = run(
        &catalog(),
        Some("api.openai.com"),
        &[(Side::Request, &request)],
        16 * 1024,
    );
    reported_once(&hooks, 2, "a request of many fields");
}

#[test]
fn json_without_end_and_bombs_are_bounded() {
    let deep = "[".repeat(100_000);
    for body in [
        format!(r#"{{"choices":{deep}"#),
        format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000)),
        deep,
    ] {
        let hooks = answered(&response("200 OK", &body));
        reported_once(&hooks, 1, "deep");
        assert_eq!(
            hooks.finished[0].1.response_incomplete,
            Some(Incomplete::OverBudget)
        );
    }
    // 64 MiB of blanks in a string, in some ten kilobytes.
    let bomb = gzip(
        format!(r#"{{"a":"{}"}}"#, " ".repeat(1 << 20))
            .repeat(64)
            .as_bytes(),
    );
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    answer.extend_from_slice(&bomb);
    let hooks = answered(&answer);
    reported_once(&hooks, 1, "a bomb");
    let events: Vec<u8> = (0..200).flat_map(|_| message("PayloadPart", b"{")).collect();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ncontent-length: {}\r\n\r\n",
        events.len()
    )
    .into_bytes();
    answer.extend_from_slice(&events);
    reported_once(&answered(&answer), 1, "parts of JSON without end");
}

/// A message that says of its body that it is longer or shorter than it is.
fn lying(message: &[u8], by: i64) -> Option<Vec<u8>> {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n")?;
    let (head, body) = message.split_at(end);
    let head = std::str::from_utf8(head).ok()?;
    let (fields, length) = head.rsplit_once("content-length: ")?;
    let (digits, after) = length.split_at(length.find('\r').unwrap_or(length.len()));
    let said = digits.parse::<i64>().ok()? + by;
    let mut out = format!("{fields}content-length: {}{after}", said.max(0)).into_bytes();
    out.extend_from_slice(body);
    Some(out)
}

#[test]
fn lengths_that_lie_spoil_their_call_and_not_what_comes_later() {
    let catalog = catalog();
    let (next_request, next_response) = bytes(&SAMPLES[0]);
    let mut lied = 0;
    for sample in SAMPLES {
        let (request, response) = bytes(sample);
        for by in [-7, -1, 1, 7, 1 << 40] {
            // The server does, then the client.
            let pairs = [
                (Some(request.clone()), lying(&response, by)),
                (lying(&request, by), Some(response.clone())),
            ];
            for (request, response) in pairs {
                let (Some(request), Some(response)) = (request, response) else {
                    continue;
                };
                lied += 1;
                let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
                reported_once(&run(&catalog, None, &sides, 900), 2, sample.1);
                // Each message is a call of the TLS library, as clients and servers send them: what follows on the
                // connection is taken for a part of the lie at worst.
                let next = [
                    (Side::Request, &next_request[..]),
                    (Side::Response, &next_response[..]),
                ];
                let sides = [sides.to_vec(), next.repeat(3)].concat();
                let hooks = run(&catalog, Some("api.openai.com"), &sides, 50_000);
                reported_once(&hooks, 5, sample.1);
                let read = |(_, facts): &&(u64, Exchange)| facts.response_id.as_deref() == Some("c1");
                if by < 100 {
                    assert!(
                        hooks.finished.iter().any(|f| read(&f)),
                        "{} by {by}: {:?}",
                        sample.1,
                        hooks.not_ai
                    );
                }
            }
        }
    }
    assert!(lied > 100, "{lied}");
}
