//! gRPC and Connect: provider, operation, model, how it ended, and texts as they stand in the messages.

use super::*;
use crate::exchange::Dialect;
use crate::protocol::http2::testing as frames;

fn message(flags: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    out.extend_from_slice(content);
    out
}

/// Both directions of an HTTP/2 connection with one call.
fn call(path: &str, host: &str, asked: &[u8], answers: &[u8], trailers: &[(&str, &str)]) -> [Vec<u8>; 2] {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", host),
        (":path", path),
        ("content-type", "application/grpc+proto"),
        ("grpc-encoding", "gzip"),
        ("x-goog-request-params", "model=models%2Fgemini-2.5-flash"),
        ("user-agent", "grpc-python/1.85"),
    ];
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frames::frame(4, 0, 0, &[]),
        frames::frame(1, 4, 1, &frames::block(&fields, true)),
        frames::data(1, asked, true),
    ]
    .concat();
    let head = [("content-type", "application/grpc"), ("grpc-encoding", "gzip")];
    let response = [
        frames::frame(4, 0, 0, &[]),
        frames::response(1, "200", &head, false),
        frames::data(1, answers, false),
        frames::frame(1, 5, 1, &frames::block(trailers, true)),
    ]
    .concat();
    [request, response]
}

#[test]
fn a_call_of_gemini_is_read_at_every_split() {
    let path = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
    let asked = message(0, b"\x0a\x05hello\x12\x03AKI");
    let answers = [message(1, &gzip(b"\x0a\x05world")), message(0, b"\x0a\x03bye")].concat();
    let [request, response] = call(
        path,
        "generativelanguage.googleapis.com",
        &asked,
        &answers,
        &[("grpc-status", "0")],
    );
    for piece in [1, 7, 100_000] {
        let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
        let hooks = run(&catalog(), None, &sides, piece);
        let (number, facts) = &hooks.finished[0];
        assert_eq!(
            (facts.dialect, facts.provider.as_str()),
            (Dialect::GrpcGenerate, "gcp.gemini")
        );
        assert_eq!(facts.path_template, path);
        assert_eq!(facts.request_model.as_deref(), Some("gemini-2.5-flash"));
        assert!(facts.stream && facts.first_chunk_ns.is_some() && facts.error_type.is_empty());
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        let texts = hooks.texts[number].all();
        let all: String = texts.iter().map(|(.., text)| text.as_str()).collect();
        for word in ["hello", "AKI", "world", "bye"] {
            assert!(all.contains(word), "{word} of {all:?}");
        }
        assert!(hooks.texts[number].all_ended());
    }
}

#[test]
fn how_a_call_failed_stands_behind_it() {
    let path = "/xai_api.Chat/GetCompletion";
    let [request, response] = call(path, "api.x.ai", &message(0, b"x"), b"", &[("grpc-status", "8")]);
    let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
    let hooks = run(&catalog(), None, &sides, 9);
    let (_, facts) = &hooks.finished[0];
    assert_eq!(facts.error_type, "RESOURCE_EXHAUSTED");
    assert_eq!((facts.dialect.operation(), facts.stream), ("chat", false));
}

#[test]
fn other_services_are_not_ai() {
    let [request, response] = call(
        "/helloworld.Greeter/SayHello",
        "grpc.example",
        &message(0, b"x"),
        &message(0, b"y"),
        &[("grpc-status", "0")],
    );
    let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
    let hooks = run(&catalog(), None, &sides, 50);
    assert!(hooks.finished.is_empty() && !hooks.not_ai.is_empty());
}

/// Connect over HTTP/1.1, as clients of Cursor's service speak it.
fn connect(end: &str, cut: usize) -> Exchange {
    let path = "/aiserver.v1.ChatService/StreamUnifiedChatWithTools";
    let asked = message(0, b"\x0a\x05hello");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: api2.cursor.sh\r\ncontent-type: application/connect+proto\r\ncontent-length: {}\r\n\r\n",
        asked.len()
    );
    let request = [head.into_bytes(), asked].concat();
    let mut body = [message(0, b"\x0a\x02hi"), message(2, end.as_bytes())].concat();
    body.truncate(body.len() - cut);
    let response = [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
        chunked(&body, 5),
    ]
    .concat();
    let sides = [(Side::Request, &request[..]), (Side::Response, &response[..])];
    let mut hooks = run(&catalog(), None, &sides, 3);
    hooks.finished.remove(0).1
}

#[test]
fn connect_says_in_its_last_message_how_it_ended() {
    let good = connect("{}", 0);
    assert_eq!((good.dialect, good.error_type.as_str()), (Dialect::GrpcChat, ""));
    assert!(good.stream && good.response_incomplete.is_none());
    let bad = connect(r#"{"error":{"code":"resource_exhausted","message":"secret"}}"#, 0);
    assert_eq!(bad.error_type, "resource_exhausted");
    assert_eq!(connect("{}", 1).response_incomplete, Some(Incomplete::Malformed));
}
