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
    let blanks = format!(r#"{{"a":"{}"}}"#, " ".repeat(1 << 20)).repeat(64);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut bomb, blanks.as_bytes()).unwrap();
    let bomb = bomb.finish().unwrap();
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

/// Whether the call of `SAMPLES[0]` was read.
fn read_next(hooks: &Hooks) -> bool {
    let next =
        |facts: &Exchange| facts.response_id.as_deref() == Some("c1") && facts.usage.input_tokens == Some(3);
    hooks.finished.iter().any(|(_, facts)| next(facts))
}

/// This call over HTTP/1.1, then a good one: each is reported once, and the second is read.
fn spoils_itself_only(request: &[u8], response: &[u8], what: &str) -> Hooks {
    let (next_request, next_response) = bytes(&SAMPLES[0]);
    let sides = [
        (Side::Request, request),
        (Side::Response, response),
        (Side::Request, &next_request[..]),
        (Side::Response, &next_response[..]),
    ];
    let hooks = run(&catalog(), Some("api.openai.com"), &sides, 16 * 1024);
    reported_once(&hooks, 3, what);
    assert!(read_next(&hooks), "{what}: {:?} {:?}", hooks.not_ai, hooks.lost);
    hooks
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn behind_each_of_them_the_next_call_is_read() {
    let (request, response) = bytes(&SAMPLES[0]);
    let long = "a".repeat(1024 * 1024);
    let many = "x: y\r\n".repeat(100_000);
    for (what, fields) in [
        ("a long field", format!("x-long: {long}\r\n")),
        ("many fields", many),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        spoils_itself_only(&request, head.as_bytes(), what);
        let host = format!("Host: api.openai.com\r\n{fields}");
        let asked = super::request("POST /v1/chat/completions", &host, "{}");
        spoils_itself_only(&asked, &response, what);
    }
    let deep = format!(r#"{{"model":"m","messages":{}"#, "[".repeat(100_000));
    let asked = super::request("POST /v1/chat/completions", "Host: api.openai.com\r\n", &deep);
    let hooks = spoils_itself_only(&asked, &response, "a deep request");
    assert_eq!(
        hooks.finished[0].1.request_incomplete,
        Some(Incomplete::OverBudget)
    );
    let deep = super::response("200 OK", &"[".repeat(100_000));
    spoils_itself_only(&request, &deep, "a deep answer");
    // 8 MiB of one letter in brotli (made with the reference encoder), 64 MiB of blanks in zstd.
    let brotli = hex::decode("9bffff7ff825c2e2b14020f7fe0f").unwrap();
    let zstd = zstd::encode_all(&vec![b' '; 64 << 20][..], 1).unwrap();
    for (coding, bomb) in [("br", brotli), ("zstd", zstd)] {
        let hooks = spoils_itself_only(&request, &coded(coding, &bomb), coding);
        assert!(hooks.finished[0].1.response_incomplete.is_some(), "{coding}");
    }
}

#[test]
fn an_answer_before_the_request_ends_ends_neither_the_connection_nor_the_next_call() {
    let (request, _) = bytes(&SAMPLES[0]);
    let (next_request, next_response) = bytes(&SAMPLES[0]);
    let refused = response(
        "413 Payload Too Large",
        r#"{"error":{"type":"request_too_large","message":"no"}}"#,
    );
    for cut in [request.len() - 60, request.len() - 1] {
        let sides = [
            (Side::Request, &request[..cut]),
            (Side::Response, &refused[..]),
            (Side::Request, &request[cut..]),
            (Side::Request, &next_request[..]),
            (Side::Response, &next_response[..]),
        ];
        let hooks = run(&catalog(), Some("api.openai.com"), &sides, 700);
        reported_once(&hooks, 2, "an early answer");
        assert_eq!(hooks.finished[0].1.status, Some(413));
        assert_eq!(hooks.finished[0].1.error_type, "request_too_large");
        assert!(read_next(&hooks), "{:?} {:?}", hooks.not_ai, hooks.lost);
    }
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
