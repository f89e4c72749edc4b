//! Bodies and headers of answers: JSON, event streams, lines, compression.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::answer::Answer;

/// Body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer and what the log says of it.
pub(super) struct Reply {
    pub(super) status: u16,
    /// Model that was asked for; empty where there is none.
    pub(super) model: String,
    pub(super) response: Response<Body>,
}

/// How the pieces of a stream follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// Server-sent events.
    Events,
    /// A JSON value on each line.
    Lines,
}

/// A JSON answer that names no model.
pub(super) fn plain(status: u16, value: &Value, headers: &HeaderMap) -> Reply {
    Reply {
        status,
        model: String::new(),
        response: json_reply(status, value, headers, false, false),
    }
}

/// A JSON body, compressed where wished and allowed.
pub(super) fn json_reply(
    status: u16,
    value: &Value,
    headers: &HeaderMap,
    gzip: bool,
    chunked: bool,
) -> Response<Body> {
    let gzip = gzip && accepts_gzip(headers);
    let text = value.to_string().into_bytes();
    let bytes = Bytes::from(if gzip { compress(&text) } else { text });
    let body = if chunked {
        // Two halves without a length: hyper frames them as chunks.
        let halves = [bytes.slice(..bytes.len() / 2), bytes.slice(bytes.len() / 2..)];
        StreamBody::new(stream::iter(halves.map(|half| Ok(Frame::data(half))))).boxed_unsync()
    } else {
        Full::new(bytes).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if gzip {
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A body in the pieces of a model's stream, each sent when it is due.
pub(super) fn streamed(
    events: Vec<String>,
    framing: Framing,
    answer: &Answer,
    headers: &HeaderMap,
) -> Response<Body> {
    let gzip = answer.wishes.gzip && accepts_gzip(headers);
    let delay = answer.wishes.delay;
    let frames: Vec<Bytes> = if gzip {
        compress_events(&events)
    } else {
        events.into_iter().map(Bytes::from).collect()
    };
    let frames = stream::iter(frames).then(move |bytes| async move {
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        Ok(Frame::data(bytes))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let fields = response.headers_mut();
    let kind = match framing {
        Framing::Events => "text/event-stream; charset=utf-8",
        Framing::Lines => "application/x-ndjson",
    };
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert("cache-control", HeaderValue::from_static("no-cache"));
    if gzip {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("gzip")))
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// One gzip stream, flushed after each event so that each can be decoded when it arrives.
fn compress_events(events: &[String]) -> Vec<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut frames = Vec::with_capacity(events.len() + 1);
    for event in events {
        let _ = encoder.write_all(event.as_bytes());
        let _ = encoder.flush();
        frames.push(Bytes::from(std::mem::take(encoder.get_mut())));
    }
    frames.push(Bytes::from(encoder.finish().unwrap_or_default()));
    frames
}

/// A valid start of an answer, then 1 GiB of spaces, compressed.
pub(super) fn bomb() -> Response<Body> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let _ = encoder.write_all(br#"{"id":"chatcmpl-bomb","object":"chat.completion","choices":["#);
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        let _ = encoder.write_all(&spaces);
    }
    let bytes = encoder.finish().unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(bytes)).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// A page whose script makes one call, for browsers.
pub(super) fn page() -> Response<Body> {
    const PAGE: &str = r#"<!doctype html><title>page</title><p id="out">waiting</p><script>
fetch("/v1/chat/completions", {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({
  model: "gpt-4o-mini", messages: [{role: "user", content: "What is the answer?"}]})})
.then(answer => answer.json()).then(value => { document.getElementById("out").textContent = value.choices[0].message.content; })
.catch(error => { document.getElementById("out").textContent = "failed: " + error; });
</script>"#;
    let mut response = Response::new(Full::new(Bytes::from_static(PAGE.as_bytes())).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
