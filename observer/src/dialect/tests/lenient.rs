//! What heads say and bodies deny: servers read a call whatever its type is said to be, and answer in text, or in another protocol.

use super::vendors::{talk, typed};
use super::*;
use crate::dialect::reader::{NAMED_BUDGET, SHAPE_BUDGET};
use crate::exchange::{Dialect, DialectEvidence};
use crate::protocol::http2::testing::{data, frame, response as answer_head};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"PROMPT"}]}"#;

fn post(path: &str, host: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn a_type_that_is_not_that_of_the_body_hides_no_call() {
    let answer = response("200 OK", r#"{"model":"m","done":true}"#);
    let spaced = format!(" \r\n {{ {}", &CHAT[1..]);
    for kind in [
        "text/css",
        "image/png",
        "audio/l16",
        "multipart/form-data; boundary=b",
        "application/grpc+proto",
        "application/x-protobuf",
        "application/zip",
    ] {
        for (path, host) in [
            ("/api/chat", "box.example"),
            ("/v1/chat/completions", "box.example"),
            ("/new/way", "api.groq.com"),
        ] {
            for (body, piece) in [(CHAT, 1), (CHAT, 100_000), (&spaced, 1), (&spaced, 100_000)] {
                let request = post(path, host, kind, body);
                let sides = [(Side::Request, &request[..]), (Side::Response, &answer[..])];
                let hooks = run(&catalog(), None, &sides, piece);
                assert_eq!(hooks.finished.len(), 1, "{path} {kind} {piece}");
                let (number, facts) = &hooks.finished[0];
                assert_eq!(
                    (facts.request_model.as_deref(), facts.request_incomplete),
                    (Some("m"), None),
                    "{path} {kind}"
                );
                assert_eq!(hooks.texts[number].with(TextRole::Prompt), ["PROMPT"]);
            }
        }
    }
}

#[test]
fn what_is_no_json_and_does_not_say_so_is_no_call() {
    for (kind, body) in [
        ("text/css", "a { b: c }"),
        ("image/png", "\u{89}PNG"),
        ("image/png", "{\u{1}\u{2}"),
        ("multipart/form-data; boundary=b", "--b\r\n\r\n--b--\r\n"),
        ("application/zip", ""),
        ("image/png", " {"),
    ] {
        for (path, host, why) in [
            ("/v1/chat/completions", "box.example", NotAi::Other),
            ("/new/way", "api.groq.com", NotAi::CatalogHostOther),
        ] {
            let request = post(path, host, kind, body);
            for piece in [1, 100_000] {
                let sides = [(Side::Request, &request[..])];
                let hooks = run(&catalog(), None, &sides, piece);
                assert_eq!(hooks.not_ai, [(0, why)], "{kind} {body:?} {path}");
            }
        }
    }
    // Nobody knows the path: the head is enough.
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    let request = post("/x", "box.example", "text/css", CHAT);
    reader.push(
        Side::Request,
        &request[..request.len() - CHAT.len()],
        1,
        &mut hooks,
    );
    assert_eq!(hooks.not_ai, [(0, NotAi::Other)]);
}

#[test]
fn messages_behind_a_long_system_prompt_are_found() {
    let talk_after = |length: usize, fields: &str| {
        let system = "s".repeat(length);
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"system":"{system}","messages":[{{"role":"user","content":"PROMPT"}}]}}"#
        );
        let request = request(
            "POST /v1/messages",
            &format!("host: gw.corp.example\r\n{fields}"),
            &body,
        );
        let answer = response("200 OK", r#"{"ok":1}"#);
        let sides = [(Side::Request, &request[..]), (Side::Response, &answer[..])];
        run(&catalog(), None, &sides, 4_000)
    };
    let beyond = |budget: u64| usize::try_from(budget).unwrap() + 6_000;
    let version = "anthropic-version: 2023-06-01\r\n";
    for (length, fields, evidence) in [
        (beyond(SHAPE_BUDGET), "", DialectEvidence::PathSuffix),
        (beyond(SHAPE_BUDGET), version, DialectEvidence::PathSuffix),
        (beyond(NAMED_BUDGET), version, DialectEvidence::PathSuffix),
    ] {
        let hooks = talk_after(length, fields);
        assert_eq!(hooks.finished.len(), 1, "{length} {fields}");
        let (number, facts) = &hooks.finished[0];
        assert_eq!(facts.dialect, Dialect::AnthropicMessages);
        assert_eq!(facts.evidence, evidence, "once the body has said it");
        assert_eq!(hooks.texts[number].with(TextRole::Prompt), ["PROMPT"]);
    }
    let hooks = talk_after(beyond(NAMED_BUDGET), "");
    assert_eq!(hooks.not_ai, [(0, NotAi::Other)]);
}

#[test]
fn answers_in_plain_text_are_whole() {
    let asked = r#"{"model":"whisper-1","input":"x"}"#;
    for (kind, body) in [
        ("text/plain; charset=utf-8", "Hello world"),
        ("text/plain", "iPhone sales rose, call 555-0100 and retry"),
        ("text/plain", "data entry\nevent horizon\nid card"),
        ("text/plain", "retry"),
        ("text/plain", "d"),
        ("text/vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nHello"),
        ("application/x-subrip", "1\n00:00:00,000 --> 00:00:01,000\nHello"),
    ] {
        let answer = typed(kind, body.as_bytes());
        let (facts, texts) = talk("POST /v1/audio/transcriptions", "box.example", asked, &answer);
        assert_eq!(facts.response_incomplete, None, "{body}");
        assert_eq!(texts.all().last().map(|(.., text)| text.as_str()), Some(body));
    }
    // Where something else was to be expected it is a flaw, and read all the same.
    for kind in ["text/html", "application/json"] {
        let answer = typed(kind, b"dead upstream");
        let (facts, texts) = talk("POST /v1/chat/completions", "box.example", CHAT, &answer);
        assert_eq!(facts.response_incomplete, Some(Incomplete::Malformed), "{kind}");
        assert!(texts.all().iter().any(|(.., text)| text == "dead upstream"));
    }
}

#[test]
fn an_event_stream_is_one_whatever_its_type() {
    let events = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"AK\"}}]}";
    for kind in ["text/plain", "application/octet-stream", "text/event-stream"] {
        for begins in [
            "data: ",
            ": hello\n\ndata: ",
            "id: 1\ndata:",
            "retry: 3\nevent: x\ndata: ",
        ] {
            let answer = typed(kind, format!("\r\n{begins}{events}\n\n").as_bytes());
            let (facts, texts) = talk("POST /v1/chat/completions", "box.example", CHAT, &answer);
            assert_eq!(facts.response_incomplete, None, "{kind} {begins}");
            assert_eq!(texts.with(TextRole::Answer), ["AK"]);
        }
    }
}

#[test]
fn a_stream_that_ends_in_words_of_an_error_failed() {
    let asked = r#"{"model":"qwen3","messages":[{"role":"user","content":"Hi"}]}"#;
    let line =
        r#"{"model":"qwen3","created_at":"t","message":{"role":"assistant","content":"AK"},"done":false}"#;
    let told = |last: &str| {
        let answer = typed("application/x-ndjson", format!("{line}\n{last}\n").as_bytes());
        talk("POST /api/chat", "localhost:11434", asked, &answer).0
    };
    let facts = told(r#"{"error":"model runner has unexpectedly stopped"}"#);
    assert_eq!(facts.status, Some(200));
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("_OTHER", "other")
    );
    let facts = told(r#"{"error":"rate limit reached"}"#);
    assert_eq!(
        (facts.error_type.as_str(), facts.error_class),
        ("_OTHER", "rate_limited")
    );
    for fine in [r#"{"error":""}"#, r#"{"error":null}"#] {
        assert_eq!(told(fine).error_type, "", "{fine}");
    }
    let failed = |status: &str, body: &str| {
        let answer = response(status, body);
        talk("POST /api/chat", "localhost:11434", asked, &answer)
            .0
            .error_type
    };
    assert_eq!(failed("500 Oops", r#"{"error":"out of memory"}"#), "500");
    assert_eq!(
        failed("200 OK", r#"{"error":"no","error_type":"validation"}"#),
        "validation"
    );
}

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const H2C: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n";

/// A call that asks for HTTP/2, the rest of the connection, and another call there.
fn upgraded() -> [Vec<u8>; 2] {
    let asked = request(
        "POST /v1/chat/completions",
        "host: box.example\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        CHAT,
    );
    let told = |id: &str, output: u64| {
        format!(
            r#"{{"object":"chat.completion","id":"{id}","model":"m1","choices":[],"usage":{{"prompt_tokens":1,"completion_tokens":{output}}}}}"#
        )
    };
    let next = crate::protocol::http2::testing::request(3, "/v1/chat/completions", &[], false);
    let sent = [
        &asked[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        SETTINGS,
        &next,
        &data(3, CHAT.as_bytes(), true),
    ]
    .concat();
    let answers = [1, 3].map(|stream| {
        let head = answer_head(stream, "200", &[("content-type", "application/json")], false);
        let body = told(&format!("c{stream}"), stream.into());
        [head, data(stream, body.as_bytes(), true)].concat()
    });
    let received = [H2C, SETTINGS, &answers.concat(), &frame(6, 0, 0, &[0; 8])].concat();
    [sent, received]
}

#[test]
fn a_connection_that_goes_on_as_http2_is_read_there() {
    let [sent, received] = upgraded();
    let end = sent.windows(4).position(|at| at == b"PRI ").unwrap();
    for piece in [1, 7, 100_000] {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), None);
        let mut push = |side, bytes: &[u8]| {
            for part in bytes.chunks(piece) {
                reader.push(side, part, 1, &mut hooks);
            }
        };
        push(Side::Request, &sent[..end]);
        push(Side::Response, &received[..H2C.len() + SETTINGS.len()]);
        push(Side::Request, &sent[end..]);
        push(Side::Response, &received[H2C.len() + SETTINGS.len()..]);
        assert_eq!((reader.unsupported(), reader.scope()), (None, Scope::Ai));
        reader.close(2, &mut hooks);
        assert!(hooks.lost.is_empty(), "pieces of {piece}: {:?}", hooks.lost);
        let found: Vec<_> = hooks
            .finished
            .iter()
            .map(|(_, facts)| {
                let whole = (facts.request_incomplete, facts.response_incomplete);
                (facts.status, facts.usage.output_tokens, whole)
            })
            .collect();
        assert_eq!(
            found,
            [
                (Some(200), Some(1), (None, None)),
                (Some(200), Some(3), (None, None))
            ]
        );
        for (number, _) in &hooks.finished {
            assert_eq!(hooks.texts[number].with(TextRole::Prompt), ["PROMPT"]);
        }
    }
}

#[test]
fn a_call_that_is_answered_in_another_protocol_is_not_decoded() {
    let asked = request(
        "POST /v1/chat/completions",
        "host: box.example\r\nupgrade: other/1\r\n",
        CHAT,
    );
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other/1\r\n\r\nwhatever it says";
    let sides = [(Side::Request, &asked[..]), (Side::Response, &answer[..])];
    let hooks = run(&catalog(), None, &sides, 5);
    let (_, facts) = &hooks.finished[0];
    assert_eq!(facts.status, Some(101));
    assert_eq!(facts.response_incomplete, Some(Incomplete::Unsupported));
    let lost: u64 = hooks.lost.iter().map(|(_, bytes, _)| bytes).sum();
    assert_eq!(lost, 16);
}

#[test]
fn calls_of_other_kinds_let_a_connection_go_when_they_are_many_or_large() {
    let page = b"GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let scope_after = |pages: usize, answer: usize| {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), None);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {answer}\r\n\r\n");
        for _ in 0..pages {
            reader.push(Side::Request, page, 1, &mut hooks);
            reader.push(Side::Response, head.as_bytes(), 1, &mut hooks);
            for piece in vec![b'x'; answer].chunks(4_000) {
                reader.push(Side::Response, piece, 1, &mut hooks);
            }
        }
        reader.scope()
    };
    assert_eq!(scope_after(1, 100), Scope::Undecided);
    assert_eq!(scope_after(3, 100), Scope::Undecided);
    assert_eq!(scope_after(4, 100), Scope::Other);
    assert_eq!(scope_after(1, 60_000), Scope::Undecided);
    assert_eq!(scope_after(1, 70_000), Scope::Other);
    // What a client of a model server asks it says nothing, however often.
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    let shown = request("POST /api/show", "host: a.example:11434\r\n", r#"{"model":"m"}"#);
    for ask in [&b"GET /api/ps HTTP/1.1\r\n\r\n"[..], &shown].repeat(20) {
        reader.push(Side::Request, ask, 1, &mut hooks);
        let license = format!(r#"{{"license":"{}"}}"#, "x".repeat(20_000));
        reader.push(Side::Response, &response("200 OK", &license), 1, &mut hooks);
    }
    assert_eq!((hooks.not_ai.len(), reader.scope()), (40, Scope::Undecided));
}
