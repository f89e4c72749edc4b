//! OpenAI responses over a WebSocket: the same as over HTTP.

use super::*;
use crate::protocol::http2::testing as http2;
use crate::protocol::websocket::testing::{Deflater, frame};

const KEY: Option<[u8; 4]> = Some([9, 200, 3, 77]);
const HANDSHAKE: &[u8] = b"GET /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer k\r\nUser-Agent: codex\r\n\r\n";
const ASK: &str = r#"{"type":"response.create","model":"gpt-5","instructions":"be brief","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"QUESTION"}]}],"stream":true,"store":false}"#;
const EVENTS: [&str; 5] = [
    r#"{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-5-1"}}"#,
    r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Par"}"#,
    "{\"type\":\"response.output_text.delta\",\n \"output_index\":0,\"content_index\":0,\"delta\":\"is\"}",
    r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Paris"}]}}"#,
    r#"{"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","model":"gpt-5-1","output":[],"usage":{"input_tokens":11,"input_tokens_details":{"cached_tokens":4},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":13}}}"#,
];

fn accepted(extensions: &str) -> Vec<u8> {
    format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{extensions}\r\n").into_bytes()
}

fn ask(text: &str) -> String {
    ASK.replace("QUESTION", text)
}

/// Two calls one after the other, without compression, with frames in parts and control frames between them.
fn plain() -> (Vec<u8>, Vec<u8>) {
    let second = ask("second");
    let (front, back) = second.as_bytes().split_at(50);
    let request = [
        HANDSHAKE.to_vec(),
        frame(0x81, KEY, ask("first").as_bytes()),
        frame(0x81, KEY, br#"{"type":"response.cancel"}"#),
        frame(0x01, KEY, front),
        frame(0x89, KEY, b"ping"),
        frame(0x80, KEY, back),
        frame(0x88, KEY, b""),
    ];
    let mut response = vec![accepted("")];
    for _ in 0..2 {
        response.extend(EVENTS.iter().map(|event| frame(0x81, None, event.as_bytes())));
        response.push(frame(0x8a, None, b"ping"));
    }
    (request.concat(), response.concat())
}

fn compressed(alone: bool) -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut server) = (Deflater::new(), Deflater::new());
    let mut request = HANDSHAKE.to_vec();
    let terms = if alone {
        "; client_no_context_takeover; server_no_context_takeover"
    } else {
        ""
    };
    let mut response = accepted(&format!(
        "Sec-WebSocket-Extensions: permessage-deflate{terms}\r\n"
    ));
    for text in ["first", "second"] {
        request.extend(frame(0xc1, KEY, &client.message(ask(text).as_bytes(), alone)));
        for event in EVENTS {
            response.extend(frame(0xc1, None, &server.message(event.as_bytes(), alone)));
        }
    }
    (request, response)
}

/// Handshake, then the calls.
fn play(request: &[u8], response: &[u8], piece: usize) -> Hooks {
    let accepted = response.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let sides = [
        (Side::Request, HANDSHAKE),
        (Side::Response, &response[..accepted]),
        (Side::Request, &request[HANDSHAKE.len()..]),
        (Side::Response, &response[accepted..]),
    ];
    run(&catalog(), None, &sides, piece)
}

fn check(hooks: &Hooks) {
    assert_eq!(hooks.finished.len(), 2, "{:?} {:?}", hooks.not_ai, hooks.lost);
    for ((number, facts), text) in hooks.finished.iter().zip(["first", "second"]) {
        assert_eq!(facts.dialect.name(), "openai-responses");
        assert_eq!(
            (facts.provider.as_str(), facts.host.as_str()),
            ("openai", "api.openai.com")
        );
        assert_eq!((facts.method.as_str(), facts.status), ("GET", Some(101)));
        assert_eq!(facts.path_template, "/v1/responses");
        assert_eq!(facts.request_model.as_deref(), Some("gpt-5"));
        assert_eq!(facts.response_model.as_deref(), Some("gpt-5-1"));
        assert_eq!(facts.response_id.as_deref(), Some("resp_1"));
        let usage = facts.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(11), Some(2)));
        assert_eq!(
            (usage.cache_read_input_tokens, usage.reasoning_output_tokens),
            (Some(4), Some(1))
        );
        assert_eq!(facts.finish_reasons.iter().collect::<Vec<_>>(), ["completed"]);
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        assert!(facts.stream && facts.first_chunk_ns.is_some() && facts.credential.is_some());
        assert!(facts.request_bytes > 20 && facts.response_bytes > 20);
        assert_eq!(
            (facts.error_type.as_str(), facts.user_agent.as_str()),
            ("", "codex")
        );
        let texts = &hooks.texts[number];
        assert_eq!(texts.with(TextRole::Prompt), [text]);
        assert_eq!(texts.with(TextRole::System), ["be brief"]);
        assert_eq!(texts.with(TextRole::Answer), ["Paris"]);
        assert!(texts.all_ended());
    }
}

#[test]
fn calls_in_all_forms() {
    for piece in [1, 7, 1000, 1_000_000] {
        let (request, response) = plain();
        let hooks = play(&request, &response, piece);
        check(&hooks);
        assert_eq!(hooks.not_ai.len(), 1, "the message that asks for nothing");
        for alone in [false, true] {
            let (request, response) = compressed(alone);
            let hooks = play(&request, &response, piece);
            check(&hooks);
            assert!(hooks.not_ai.is_empty() && hooks.lost.is_empty());
        }
    }
}

#[test]
fn every_split_gives_the_same_facts_and_texts() {
    let (request, response) = compressed(false);
    let seen = |side: Side, cut: usize| {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), None);
        reader.push(Side::Request, HANDSHAKE, 1, &mut hooks);
        let request = &request[HANDSHAKE.len()..];
        let accepted = response.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        reader.push(Side::Response, &response[..accepted], 1, &mut hooks);
        for (of, bytes) in [(Side::Request, request), (Side::Response, &response[accepted..])] {
            let cut = if of == side { cut.min(bytes.len()) } else { 0 };
            reader.push(of, &bytes[..cut], 1, &mut hooks);
            reader.push(of, &bytes[cut..], 1, &mut hooks);
        }
        reader.close(2, &mut hooks);
        let texts: Vec<_> = hooks.texts.values().map(Texts::all).collect();
        (hooks.finished, texts)
    };
    let whole = seen(Side::Request, 0);
    assert_eq!(whole.0.len(), 2);
    for cut in 0..request.len().max(response.len()) {
        assert!(seen(Side::Request, cut) == whole, "request cut at {cut}");
        assert!(seen(Side::Response, cut) == whole, "response cut at {cut}");
    }
}

#[test]
fn over_http2() {
    let (request, response) = plain();
    let request = &request[HANDSHAKE.len()..];
    let response = &response[accepted("").len()..];
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/v1/responses"),
        (":authority", "api.openai.com"),
        ("authorization", "Bearer k"),
        ("user-agent", "codex"),
    ];
    let open = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        http2::frame(1, 4, 1, &http2::block(&fields, true)),
    ]
    .concat();
    let accepted = [http2::frame(4, 0, 0, &[]), http2::response(1, "200", &[], false)].concat();
    let pieces = |bytes: &[u8]| -> Vec<u8> {
        let pieces = bytes.chunks(100).flat_map(|piece| http2::data(1, piece, false));
        pieces.collect()
    };
    let hooks = run(
        &catalog(),
        None,
        &[
            (Side::Request, &open),
            (Side::Response, &accepted),
            (Side::Request, &pieces(request)),
            (
                Side::Response,
                &[pieces(response), http2::data(1, b"", true)].concat(),
            ),
        ],
        33,
    );
    assert_eq!(hooks.finished.len(), 2, "{:?} {:?}", hooks.not_ai, hooks.lost);
    assert_eq!(hooks.finished[1].1.method, "CONNECT");
    assert_eq!(hooks.finished[1].1.usage.output_tokens, Some(2));
    assert_eq!(
        hooks.texts[&hooks.finished[1].0].with(TextRole::Answer),
        ["Paris"]
    );
}

#[test]
fn errors_and_ends_in_the_middle() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    assert_eq!(reader.scope(), Scope::Undecided);
    reader.push(Side::Request, HANDSHAKE, 1, &mut hooks);
    reader.push(Side::Response, &accepted(""), 2, &mut hooks);
    assert_eq!((reader.scope(), reader.unsupported()), (Scope::Ai, None));
    reader.push(
        Side::Request,
        &frame(0x81, KEY, ask("a").as_bytes()),
        3,
        &mut hooks,
    );
    let error = br#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"previous_response_not_found","message":"x"}}"#;
    reader.push(Side::Response, &frame(0x81, None, error), 4, &mut hooks);
    assert_eq!(hooks.finished.len(), 1);
    assert_eq!(hooks.finished[0].1.error_type, "invalid_request_error");
    reader.push(
        Side::Request,
        &frame(0x81, KEY, ask("b").as_bytes()),
        5,
        &mut hooks,
    );
    reader.push(
        Side::Response,
        &frame(0x81, None, EVENTS[0].as_bytes()),
        6,
        &mut hooks,
    );
    // A hole inside a message leaves the frames.
    let event = frame(0x81, None, EVENTS[1].as_bytes());
    reader.push(Side::Response, &event[..10], 7, &mut hooks);
    reader.gap(Side::Response, Some(20), 8, &mut hooks);
    reader.push(Side::Response, &event[30..], 9, &mut hooks);
    reader.push(
        Side::Response,
        &frame(0x81, None, EVENTS[4].as_bytes()),
        10,
        &mut hooks,
    );
    assert_eq!(hooks.finished.len(), 2);
    let facts = &hooks.finished[1].1;
    assert_eq!(facts.response_incomplete, Some(Incomplete::Gap));
    assert_eq!((facts.usage.output_tokens, facts.started_ns), (Some(2), 5));
    // One across a boundary ends everything.
    reader.push(
        Side::Request,
        &frame(0x81, KEY, ask("c").as_bytes()),
        11,
        &mut hooks,
    );
    reader.gap(Side::Response, Some(500), 12, &mut hooks);
    assert_eq!(hooks.finished.len(), 3);
    assert_eq!(hooks.finished[2].1.response_incomplete, Some(Incomplete::Gap));
    reader.push(
        Side::Request,
        &frame(0x81, KEY, ask("d").as_bytes()),
        13,
        &mut hooks,
    );
    reader.close(14, &mut hooks);
    assert_eq!(hooks.finished.len(), 4, "asked, and never answered");
    assert_eq!(hooks.finished[3].1.response_incomplete, Some(Incomplete::Closed));
}

#[test]
fn a_refused_handshake_is_no_call_and_the_fallback_is_one() {
    let fallback = request("POST /v1/responses", "host: api.openai.com\r\n", &ask("q"));
    let hooks = run(
        &catalog(),
        None,
        &[
            (Side::Request, HANDSHAKE),
            (
                Side::Response,
                b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
            ),
            (Side::Request, &fallback),
            (
                Side::Response,
                &response(
                    "200 OK",
                    r#"{"object":"response","model":"m","usage":{"output_tokens":3}}"#,
                ),
            ),
        ],
        50,
    );
    assert_eq!(hooks.not_ai, [(0, NotAi::CatalogHostOther)]);
    assert_eq!(hooks.finished.len(), 1);
    assert_eq!(
        (hooks.finished[0].0, hooks.finished[0].1.usage.output_tokens),
        (1, Some(3))
    );
}

/// Another thread of the client can have read the answer before the write of the request has returned.
#[test]
fn an_answer_that_is_seen_before_its_request_belongs_to_it() {
    let answer: Vec<u8> = EVENTS
        .iter()
        .flat_map(|event| frame(0x81, None, event.as_bytes()))
        .collect();
    let sides = [
        (Side::Request, HANDSHAKE.to_vec()),
        (Side::Response, accepted("")),
        (Side::Response, answer),
        (Side::Request, frame(0x81, KEY, ask("first").as_bytes())),
    ];
    let sides = sides.each_ref().map(|(side, bytes)| (*side, bytes.as_slice()));
    for piece in [1, 7, 10_000] {
        let hooks = run(&catalog(), None, &sides, piece);
        assert_eq!(hooks.finished.len(), 1, "{:?} {:?}", hooks.not_ai, hooks.lost);
        let (_, facts) = &hooks.finished[0];
        assert_eq!(facts.usage.output_tokens, Some(2));
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
    }
}
