//! Good messages, made here, which scripts refer to by number.

use std::{io::Write, sync::LazyLock};

use observer::protocol::Side;

static REQUESTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(requests);
static RESPONSES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(responses);

/// Number of templates of a side.
pub fn count(side: Side) -> u8 {
    u8::try_from(of(side).len()).unwrap_or(u8::MAX)
}

/// Template `number` of a side; numbers beyond the last begin again.
pub fn get(side: Side, number: u8) -> &'static [u8] {
    &of(side)[usize::from(number) % of(side).len()]
}

fn of(side: Side) -> &'static Vec<Vec<u8>> {
    match side {
        Side::Request => &REQUESTS,
        Side::Response => &RESPONSES,
    }
}

/// Template `number` of a side for HTTP/2: the preface with settings, heads with what they put into the table or
/// refer to in it, bodies.
pub fn http2(side: Side, number: u8) -> &'static [u8] {
    let all: &[&[u8]] = match side {
        Side::Request => &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"\0\0\x2f\x01\x04\0\0\0\x01\x83\x87\x41\x0eapi.openai.com\x44\x14/v1/chat/completions\x5f\x04json",
            b"\0\0\x05\x01\x04\0\0\0\x03\x83\x87\xc0\xbf\xbe",
            b"\0\0\x3a\0\x01\0\0\0\x01{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
            b"\0\0\x02\0\x01\0\0\0\x03{}",
            b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08",
        ],
        Side::Response => &[
            b"\0\0\0\x04\0\0\0\0\0",
            b"\0\0\x01\x01\x04\0\0\0\x01\x88",
            b"\0\0\x1e\x01\x04\0\0\0\x03\x88\x40\x0ccontent-type\x0etext/event-str",
            b"\0\0\x2d\0\0\0\0\0\x01data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}",
            b"\0\0\x02\0\x01\0\0\0\x01\n\n",
            b"\0\0\x02\x01\x05\0\0\0\x03\xbe\x88",
            b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x03\0\0\0\0",
        ],
    };
    all[usize::from(number) % all.len()]
}

/// A made-up AWS access key id, put together here so that no scanner takes this file for a leak.
pub fn secret() -> String {
    ["AKIA", "QX7M", "2NPV", "4KDT", "WZ3H"].concat()
}

fn requests() -> Vec<Vec<u8>> {
    let prompt = format!("my key is {} and my card 4111 1111 1111 1111", secret());
    let chat =
        format!(r#"{{"model":"gpt-4o","stream":true,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    let messages = r#"{"model":"claude-3","max_tokens":9,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"\u00e9 \ud83d\ude00"}]}],"tools":[{"name":"t","input_schema":{}}]}"#;
    let responses =
        r#"{"model":"gpt-4o","input":[{"role":"user","content":"x"}],"previous_response_id":"r1"}"#;
    let embeddings = r#"{"model":"e","input":["a","b"],"dimensions":3}"#;
    let post = |path: &str, host: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}", secret())
            .into_bytes()
    };
    let mut coded = b"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\nanthropic-version: 2023-06-01\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    coded.extend(chunked(&gzip(messages.as_bytes()), 50));
    vec![
        post("/v1/chat/completions", "api.openai.com", &chat),
        post("/v1/messages", "api.anthropic.com", messages),
        post("/v1/responses", "api.openai.com", responses),
        post("/v1/embeddings", "api.openai.com", embeddings),
        post("/ask", "app.example", &chat),
        coded,
        b"GET /v1/models HTTP/1.1\r\nhost: api.openai.com\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: example.org\r\n\r\n".to_vec(),
        b"GET /v1/realtime HTTP/1.1\r\nhost: api.openai.com\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"HEAD /x HTTP/1.0\r\n\r\n".to_vec(),
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
    ]
}

fn responses() -> Vec<Vec<u8>> {
    let plain = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let stream = |fields: &str, body: &[u8]| {
        let mut out = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{fields}transfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        out.extend(chunked(body, 40));
        out
    };
    let chat = br#"data: {"object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"hi"}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}

data: [DONE]

"#;
    let messages = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"usage\":{\"input_tokens\":3}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ab\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n";
    vec![
        plain(
            "200 OK",
            r#"{"object":"chat.completion","model":"gpt-4o","choices":[{"message":{"content":"hi","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
        ),
        stream("", chat),
        stream("content-encoding: gzip\r\n", &gzip(messages)),
        plain(
            "200 OK",
            r#"{"object":"response","status":"completed","model":"gpt-4o","output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
        ),
        plain(
            "200 OK",
            r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1,2]}],"model":"e","usage":{"prompt_tokens":2}}"#,
        ),
        plain(
            "429 Too Many Requests",
            r#"{"error":{"type":"rate_limit","code":"x","message":"slow"}}"#,
        ),
        b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x01a".to_vec(),
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec(),
        vec![0, 0, 0, 4, 0, 0, 0, 0, 0],
        plain("200 OK", "<html>"),
    ]
}

/// `data` as gzip.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
