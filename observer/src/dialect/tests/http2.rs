//! Calls over HTTP/2: the same as over HTTP/1.1.

use super::*;
use crate::exchange::{Attempt, DialectEvidence};
use crate::protocol::http2::testing::{block, data, frame};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const EVENTS: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ab\"}}]}\n\ndata: {\"choices\":[],\"model\":\"m1\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\n";

fn prompt(text: &str) -> String {
    format!(r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

fn ask_head(stream: u32, indexed: bool) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "api.openai.com"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("user-agent", "test/1"),
        ("authorization", "Bearer k"),
    ];
    frame(1, 4, stream, &block(&fields, indexed))
}

fn answer_head(stream: u32) -> Vec<u8> {
    let fields = [
        (":status", "200"),
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ];
    frame(1, 4, stream, &block(&fields, true))
}

/// The facts without what depends on the framing and on the prompt.
fn facts(hooks: &Hooks) -> Vec<Exchange> {
    let plain = |(_, facts): &(u64, Exchange)| Exchange {
        request_bytes: 0,
        response_bytes: 0,
        attempt: Attempt::default(),
        ..facts.clone()
    };
    hooks.finished.iter().map(plain).collect()
}

/// Two calls at the same time, bodies in pieces between each other.
fn interleaved() -> (Vec<u8>, Vec<u8>) {
    let (first, second) = (prompt("first"), prompt("other"));
    let request = [
        PREFACE.to_vec(),
        ask_head(1, true),
        data(1, &first.as_bytes()[..20], false),
        ask_head(3, false),
        data(3, &second.as_bytes()[..30], false),
        data(1, &first.as_bytes()[20..], true),
        data(3, &second.as_bytes()[30..], true),
    ];
    let packed = gzip(EVENTS);
    let response = [
        SETTINGS.to_vec(),
        answer_head(3),
        answer_head(1),
        data(3, &packed[..25], false),
        data(1, &packed[..40], false),
        data(1, &packed[40..], true),
        data(3, &packed[25..], false),
        // Trailers end it.
        frame(1, 4 | 1, 3, &block(&[("x-done", "1")], false)),
    ];
    (request.concat(), response.concat())
}

#[test]
fn interleaved_calls_are_read_as_over_http1() {
    let one = |text: &str| {
        let request = request(
            "POST /v1/chat/completions",
            "host: api.openai.com\r\nuser-agent: test/1\r\nauthorization: Bearer k\r\n",
            &prompt(text),
        );
        let response = stream("content-encoding: gzip\r\n", &gzip(EVENTS), 50);
        run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &response)],
            100_000,
        )
    };
    let (request, response) = interleaved();
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &request), (Side::Response, &response)],
        100_000,
    );
    assert_eq!(facts(&hooks).len(), 2);
    for facts in facts(&hooks) {
        assert_eq!(facts, self::facts(&one("thing"))[0]);
    }
    assert_eq!(hooks.texts[&0].all(), one("first").texts[&0].all());
    assert_eq!(hooks.texts[&1].all(), one("other").texts[&0].all());
    assert!(hooks.lost.is_empty());
}

#[test]
fn every_split_gives_the_same_facts_and_texts() {
    let (request, response) = interleaved();
    let seen = |side: Side, cut: usize| {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), None);
        for (of, bytes) in [(Side::Request, &request), (Side::Response, &response)] {
            let cut = if of == side { cut } else { 0 };
            reader.push(of, &bytes[..cut], 1, &mut hooks);
            reader.push(of, &bytes[cut..], 1, &mut hooks);
        }
        reader.close(2, &mut hooks);
        let texts: Vec<_> = hooks.texts.values().map(Texts::all).collect();
        (hooks.finished, texts)
    };
    let whole = seen(Side::Request, 0);
    assert_eq!(whole.0.len(), 2);
    for (side, bytes) in [(Side::Request, &request), (Side::Response, &response)] {
        for cut in 0..=bytes.len() {
            assert!(seen(side, cut) == whole, "{side:?} cut at {cut}");
        }
    }
}

#[test]
fn joined_in_the_middle_a_call_is_known_by_its_bodies() {
    for name in [Some("api.openai.com"), None] {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), name);
        // Everything but the method is in a table that was not seen; so is the coding of the answer.
        let body = prompt("joined");
        let request = [
            frame(1, 4, 7, &[0x83, 0x87, 0xbe, 0xbf, 0xc0]),
            data(7, body.as_bytes(), true),
        ];
        let answer = [frame(1, 4, 7, &[0x88, 0xbe, 0xbf]), data(7, &gzip(EVENTS), true)];
        reader.push(Side::Request, &request.concat(), 1, &mut hooks);
        reader.push(Side::Response, &answer.concat(), 2, &mut hooks);
        assert_eq!(hooks.finished.len(), 1, "{name:?}");
        let facts = &hooks.finished[0].1;
        assert_eq!((facts.usage.output_tokens, facts.status), (Some(5), Some(200)));
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        let provider = if name.is_some() { "openai" } else { "unknown" };
        assert_eq!(facts.provider, provider);
        let by = if name.is_some() {
            DialectEvidence::Host
        } else {
            DialectEvidence::RequestShape
        };
        assert_eq!(facts.evidence, by);
        assert_eq!(hooks.texts[&0].with(TextRole::Prompt), ["joined"]);
        assert_eq!(hooks.texts[&0].with(TextRole::Answer), ["ab"]);
    }
}

#[test]
fn a_coding_that_is_not_known_is_not_read_as_text() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    let body = prompt("x");
    reader.push(
        Side::Request,
        &[PREFACE, &ask_head(1, false), &data(1, body.as_bytes(), true)].concat(),
        1,
        &mut hooks,
    );
    // Joined too late for the answer's fields: brotli does not name itself.
    reader.gap(Side::Response, Some(40), 2, &mut hooks);
    let answer = [
        frame(1, 4, 1, &[0x88, 0xbe]),
        data(1, &[0x8b, 0, 1, 2, 3], true),
        frame(6, 0, 0, &[0; 8]),
    ];
    reader.push(Side::Response, &answer.concat(), 3, &mut hooks);
    let facts = &hooks.finished[0].1;
    assert_eq!(facts.response_incomplete, Some(Incomplete::Gap));
    assert!(hooks.texts[&0].with(TextRole::Answer).is_empty());
    assert!(hooks.texts[&0].with(TextRole::Other).is_empty());
}

#[test]
fn holes_end_the_calls_they_touch_and_the_next_is_read() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    let (request, response) = interleaved();
    reader.push(Side::Request, &request, 1, &mut hooks);
    reader.push(Side::Response, &response[..150], 2, &mut hooks);
    reader.gap(Side::Response, Some(70), 3, &mut hooks);
    reader.push(Side::Response, &response[220..], 4, &mut hooks);
    let body = prompt("next");
    let next = [ask_head(5, false), data(5, body.as_bytes(), true)].concat();
    reader.push(Side::Request, &next, 5, &mut hooks);
    let answer = [answer_head(5), data(5, &gzip(EVENTS), true)].concat();
    reader.push(Side::Response, &answer, 6, &mut hooks);
    let last = hooks
        .finished
        .iter()
        .find(|(number, _)| *number == 2)
        .expect("the next call");
    assert_eq!(
        (last.1.response_incomplete, last.1.usage.output_tokens),
        (None, Some(5))
    );
    reader.close(7, &mut hooks);
    for (_, facts) in hooks.finished.iter().filter(|(number, _)| *number < 2) {
        assert_eq!(facts.response_incomplete, Some(Incomplete::Gap));
    }
}

#[test]
fn bodies_of_other_protocols_do_not_disturb_the_connection() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    let fields = [
        (":method", "POST"),
        (":path", "/aiserver.v1.ChatService/Stream"),
        (":authority", "api2.cursor.sh"),
        ("content-type", "application/connect+proto"),
    ];
    let (request, response) = interleaved();
    let rpc = [
        frame(1, 4, 9, &block(&fields, true)),
        data(9, b"\0\0\0\0\x05hello", true),
    ]
    .concat();
    reader.push(Side::Request, &[request, rpc].concat(), 1, &mut hooks);
    let rpc = [
        frame(
            1,
            4,
            9,
            &block(&[(":status", "200"), ("content-type", "application/grpc")], true),
        ),
        data(9, b"\0\0\0\0\x02hi", false),
        frame(1, 5, 9, &block(&[("grpc-status", "0")], true)),
    ];
    reader.push(Side::Response, &[response, rpc.concat()].concat(), 2, &mut hooks);
    assert_eq!(hooks.finished.len(), 2);
    assert_eq!(hooks.not_ai.len(), 1);
}

#[test]
fn a_connection_is_other_once_none_of_its_calls_can_be_ai() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    let head = |stream: u32, method: &str| {
        let fields = [
            (":method", method),
            (":path", "/ask"),
            (":authority", "app.example"),
        ];
        frame(1, 4 | u8::from(method == "GET"), stream, &block(&fields, false))
    };
    reader.push(
        Side::Request,
        &[PREFACE, &head(1, "POST")].concat(),
        1,
        &mut hooks,
    );
    reader.push(Side::Request, &head(3, "GET"), 2, &mut hooks);
    assert_eq!((hooks.not_ai.len(), reader.scope()), (1, Scope::Undecided));
    reader.push(Side::Request, &data(1, b"{}", true), 3, &mut hooks);
    reader.push(Side::Response, SETTINGS, 4, &mut hooks);
    for stream in (5..17).step_by(2) {
        reader.push(Side::Request, &head(stream, "GET"), 5, &mut hooks);
    }
    assert_eq!((hooks.not_ai.len(), reader.scope()), (7, Scope::Undecided));
    let answer = frame(1, 5, 1, &block(&[(":status", "200")], false));
    reader.push(Side::Response, &answer, 6, &mut hooks);
    assert_eq!((hooks.not_ai.len(), reader.scope()), (8, Scope::Other));
    // With a call that is AI beside the others, everything is read.
    let mut reader = ConnectionReader::new(catalog(), None);
    let body = prompt("x");
    let both = [
        PREFACE,
        &head(1, "GET"),
        &head(3, "POST"),
        &data(3, body.as_bytes(), true),
    ]
    .concat();
    reader.push(Side::Request, &both, 1, &mut hooks);
    assert_eq!(reader.scope(), Scope::Ai);
}

/// A whole call, and what the server says to it.
fn call(stream: u32) -> (Vec<u8>, Vec<u8>) {
    static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(EVENTS));
    let asked = [
        ask_head(stream, false),
        data(stream, prompt("q").as_bytes(), true),
    ];
    let told = [answer_head(stream), data(stream, &PACKED, true)];
    (asked.concat(), told.concat())
}

/// Calls that were read whole, with their usage.
fn read(hooks: &Hooks) -> usize {
    let whole =
        |facts: &Exchange| facts.usage.output_tokens == Some(5) && facts.response_incomplete.is_none();
    hooks.finished.iter().filter(|(_, facts)| whole(facts)).count()
}

#[test]
fn ten_thousand_streams_one_after_the_other_and_at_a_time() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    reader.push(Side::Request, PREFACE, 1, &mut hooks);
    reader.push(Side::Response, SETTINGS, 1, &mut hooks);
    for number in 0..10_000 {
        let (asked, told) = call(2 * number + 1);
        reader.push(Side::Request, &asked, 2, &mut hooks);
        reader.push(Side::Response, &told, 2, &mut hooks);
    }
    assert_eq!((hooks.finished.len(), read(&hooks)), (10_000, 10_000));
    // Now all at a time: what is too many is counted, and once some are over, the next call is read.
    let streams = 20_001..40_001;
    for stream in streams.clone().step_by(2) {
        reader.push(Side::Request, &call(stream).0, 3, &mut hooks);
    }
    assert!(
        hooks
            .lost
            .iter()
            .any(|(_, _, why)| *why == Incomplete::OverBudget)
    );
    for stream in streams.step_by(2) {
        let reset = frame(3, 0, stream, &[0, 0, 0, 8]);
        reader.push(Side::Response, &reset, 4, &mut hooks);
    }
    let before = read(&hooks);
    let (asked, told) = call(40_001);
    reader.push(Side::Request, &asked, 5, &mut hooks);
    reader.push(Side::Response, &told, 5, &mut hooks);
    assert_eq!(read(&hooks), before + 1, "{:?}", hooks.lost.last());
}

#[test]
fn heads_over_budget_spoil_their_call_and_the_next_one_is_read() {
    let long = "a".repeat(1024 * 1024);
    let block = block(&[(":status", "200"), ("x-long", &long)], false);
    let frames: Vec<Vec<u8>> = block.chunks(16_000).map(<[u8]>::to_vec).collect();
    let last = frames.len() - 1;
    let mut long = frame(1, 0, 1, &frames[0]);
    for (number, part) in frames.iter().enumerate().skip(1) {
        long.extend(frame(9, if number == last { 4 } else { 0 }, 1, part));
    }
    // A hundred thousand fields in one octet each (`accept-encoding: gzip, deflate` in the table of all).
    let many = [&[0x88][..], &vec![0x90; 100_000]].concat();
    let mut fields = frame(1, 0, 1, &many[..16_000]);
    let rest: Vec<&[u8]> = many[16_000..].chunks(16_000).collect();
    for (number, part) in rest.iter().enumerate() {
        fields.extend(frame(9, if number + 1 == rest.len() { 4 } else { 0 }, 1, part));
    }
    for (what, head) in [("long", long), ("many", fields)] {
        let (first, _) = call(1);
        let (asked, told) = call(3);
        let request = [PREFACE, &first, &asked].concat();
        let response = [SETTINGS, &head, &data(1, b"{}", true), &told].concat();
        let hooks = run(
            &catalog(),
            None,
            &[(Side::Request, &request), (Side::Response, &response)],
            9_000,
        );
        assert_eq!(hooks.finished.len(), 2, "{what}: {:?}", hooks.not_ai);
        let spoilt = hooks.finished.iter().find(|(number, _)| *number == 0).unwrap();
        assert_eq!(
            spoilt.1.response_incomplete,
            Some(Incomplete::OverBudget),
            "{what}"
        );
        assert_eq!(read(&hooks), 1, "{what}: {:?}", hooks.lost);
    }
}

#[test]
fn a_server_that_answers_early_resets_the_stream_and_the_next_is_read() {
    let (asked, told) = call(3);
    let half = [ask_head(1, false), data(1, &prompt("q").as_bytes()[..20], false)].concat();
    let early = [
        answer_head(1),
        data(1, &gzip(EVENTS), true),
        frame(3, 0, 1, &[0; 4]),
    ]
    .concat();
    let sides = [
        (Side::Request, [PREFACE, &half].concat()),
        (Side::Response, [SETTINGS, &early].concat()),
        // What was on its way.
        (Side::Request, data(1, &prompt("q").as_bytes()[20..], true)),
        (Side::Request, asked),
        (Side::Response, told),
    ];
    let sides: Vec<(Side, &[u8])> = sides.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
    let hooks = run(&catalog(), None, &sides, 5_000);
    assert_eq!((hooks.finished.len(), read(&hooks)), (2, 2), "{:?}", hooks.not_ai);
}

#[test]
fn many_calls_at_a_time_are_bounded() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    reader.push(Side::Request, PREFACE, 1, &mut hooks);
    for number in 0..10_000 {
        let stream = 2 * number + 1;
        let bytes = [
            ask_head(stream, false),
            data(stream, prompt("q").as_bytes(), true),
        ]
        .concat();
        reader.push(Side::Request, &bytes, 2, &mut hooks);
    }
    reader.close(3, &mut hooks);
    let read = crate::protocol::http2::MAX_STREAMS;
    assert_eq!(hooks.finished.len(), read, "each is reported once");
    assert!(
        hooks
            .lost
            .iter()
            .any(|(_, _, why)| *why == Incomplete::OverBudget)
    );
}
