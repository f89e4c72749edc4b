//! Recordings made by others, cut off, with bytes flipped and with lengths lied about: bounded, reported once, and the next call
//! is read. `OBSERVER_EVERY_CUT=1` cuts each of them at every byte, which takes half an hour (9.5 million cuts; last run to its end on 2026-12-01).

use serde_json::Value;

use super::connection::Random;
use super::corpus::{SAMPLES, bytes, reported_once};
use super::replay::{self, call1, call2, recordings};
use super::*;
use crate::protocol::http2::testing::frame;

/// Random places at which each side of a recording is cut.
const PLACES: usize = 2;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap_or("")
}

/// Where a message is cut.
fn cuts(length: usize, random: &mut Random) -> Vec<usize> {
    if std::env::var_os("OBSERVER_EVERY_CUT").is_some() {
        (0..length).collect()
    } else {
        (0..PLACES).map(|_| random.below(length)).collect()
    }
}

/// Where the body of a message begins.
fn body(message: &[u8]) -> usize {
    let end = message.windows(4).position(|part| part == b"\r\n\r\n");
    end.map_or(message.len(), |end| end + 4)
}

#[test]
fn recordings_cut_anywhere() {
    let Some(rows) = recordings() else { return };
    let (catalog, mut random) = (catalog(), Random(3_141_592_653_589_793));
    for row in rows {
        let (request, response) = call1(row, &mut random);
        for cut in cuts(request.len(), &mut random) {
            // And the server answers before the request ends.
            let sides = [(Side::Request, &request[..cut]), (Side::Response, &response[..])];
            reported_once(&run(&catalog, None, &sides, 16_000), 2, id(row));
        }
        for cut in cuts(response.len(), &mut random) {
            let sides = [(Side::Request, &request[..]), (Side::Response, &response[..cut])];
            let hooks = run(&catalog, None, &sides, 16_000);
            reported_once(&hooks, 1, id(row));
            for (_, facts) in &hooks.finished {
                assert!(facts.response_incomplete.is_some(), "{} cut at {cut}", id(row));
            }
        }
    }
}

/// An answer whose length is stated.
fn answer(row: &Value) -> Vec<u8> {
    let body = replay::bytes(row, "resp_body", "resp_body_b64");
    let head = format!(
        "HTTP/1.1 200 X\r\n{}content-length: {}\r\n\r\n",
        replay::fields(row, "resp_headers"),
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// A bit of the body, if there is one, is another.
fn flip(message: &mut [u8], random: &mut Random) {
    let from = body(message);
    if from < message.len() {
        let at = from + random.below(message.len() - from);
        message[at] ^= 1 << random.below(8);
    }
}

#[test]
fn recordings_with_flipped_bits_leave_the_next_call() {
    let Some(rows) = recordings() else { return };
    let (catalog, mut random) = (catalog(), Random(2_718_281_828_459_045));
    let (next_request, next_response) = bytes(&SAMPLES[0]);
    for row in rows {
        let (mut request, mut told) = call1(row, &mut random);
        flip(&mut request, &mut random);
        let mut response = answer(row);
        flip(&mut response, &mut random);
        let sides = [
            (Side::Request, &request[..]),
            (Side::Response, &response[..]),
            (Side::Request, &next_request[..]),
            (Side::Response, &next_response[..]),
        ];
        let hooks = run(&catalog, Some("api.openai.com"), &sides, 50_000);
        reported_once(&hooks, 2, id(row));
        let next = hooks
            .finished
            .iter()
            .any(|(_, facts)| facts.response_id.as_deref() == Some("c1"));
        assert!(next, "{}: {:?} {:?}", id(row), hooks.not_ai, hooks.lost);
        // Anywhere, heads and lengths of chunks too.
        let at = random.below(told.len());
        told[at] ^= 1 << random.below(8);
        let at = random.below(request.len());
        request[at] ^= 1 << random.below(8);
        let sides = [(Side::Request, &request[..]), (Side::Response, &told[..])];
        reported_once(&run(&catalog, None, &sides, 9_000), 4, id(row));
    }
}

#[test]
fn recordings_over_http2_with_flipped_bits_leave_the_other_streams() {
    let Some(rows) = recordings() else { return };
    let (catalog, mut random) = (catalog(), Random(1_618_033_988_749_894));
    let [next_request, next_response] = {
        let (request, response) = bytes(&SAMPLES[0]);
        let head =
            |fields: &[(&str, &str)]| frame(1, 4, 3, &crate::protocol::http2::testing::block(fields, false));
        let data = |message: &[u8]| frame(0, 1, 3, &message[body(message)..]);
        let asked = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "api.openai.com"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
        ];
        [
            [head(&asked), data(&request)].concat(),
            [
                head(&[(":status", "200"), ("content-type", "application/json")]),
                data(&response),
            ]
            .concat(),
        ]
    };
    for row in rows {
        let mut sides = call2(row, 1, &mut random);
        for frames in &mut sides {
            // Not in the head of a frame: that is where frames are found.
            let at = random.below(frames.len());
            if frames[at].len() > 9 {
                let place = 9 + random.below(frames[at].len() - 9);
                frames[at][place] ^= 1 << random.below(8);
            }
        }
        let request = [PREFACE, &sides[0].concat(), &next_request].concat();
        let response = [&frame(4, 0, 0, &[])[..], &sides[1].concat(), &next_response].concat();
        let hooks = run(
            &catalog,
            None,
            &[(Side::Request, &request), (Side::Response, &response)],
            8_000,
        );
        reported_once(&hooks, 2, id(row));
        let next = hooks
            .finished
            .iter()
            .any(|(_, facts)| facts.response_id.as_deref() == Some("c1"));
        assert!(next, "{}: {:?} {:?}", id(row), hooks.not_ai, hooks.lost);
    }
}

#[test]
fn recordings_whose_lengths_lie() {
    let Some(rows) = recordings() else { return };
    let (catalog, mut random) = (catalog(), Random(1_414_213_562_373_095));
    for row in rows {
        let (request, response) = call1(row, &mut random);
        for by in [-3_i64, 2, 1 << 33] {
            let end = body(&request);
            let head = String::from_utf8_lossy(&request[..end]).into_owned();
            let said = (request.len() - end) as i64;
            let lie = head.replace(
                &format!("content-length: {said}\r\n"),
                &format!("content-length: {}\r\n", (said + by).max(0)),
            );
            let request = [lie.as_bytes(), &request[end..]].concat();
            let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
            reported_once(&run(&catalog, None, &sides, 9_000), 2, id(row));
        }
    }
}
