//! Accepting connections, reading requests, sending answers.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::counted::Counted;
use super::log::{ConnectionLog, Log, LoggedRequest};
use super::{anthropic, openai};

/// Largest request body that is read; a larger one is answered with 413.
const MAX_BODY: usize = 64 << 20;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves each connection in a task of its own, until the runtime ends.
pub(super) async fn accept_loop(listener: TcpListener, tls: Arc<ServerConfig>, log: Arc<Log>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        // A failed accept is the client's doing (reset before accept) or lack of descriptors; both pass.
        let Ok((tcp, client)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let connection = log.connection(client);
        tokio::spawn(serve(tcp, acceptor.clone(), connection));
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, connection: ConnectionLog) {
    // Small chunks go out at once, as a model's tokens do.
    let _ = tcp.set_nodelay(true);
    // A client may break off or speak nonsense: that is what some tests do. It ends this connection and nothing else.
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let io = TokioIo::new(Counted::new(tls, Arc::clone(&connection.counters)));
    let service = service_fn(move |request| respond(request, connection.clone()));
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection(io, service)
        .await;
}

struct Reply {
    status: u16,
    model: String,
    response: Response<Body>,
}

async fn respond(
    request: Request<Incoming>,
    connection: ConnectionLog,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let host = head
        .headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let host = host
        .or_else(|| head.uri.authority().map(ToString::to_string))
        .unwrap_or_default();
    let path = head.uri.path().to_owned();
    if path == "/__log" {
        let log = json!({"connections": connection.log.connections(), "requests": connection.log.requests()});
        return Ok(json_reply(200, &log, &head.headers, false, false));
    }
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map(|collected| collected.to_bytes());
    let body_bytes = body.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let reply = match body {
        Ok(bytes) => answer(&head.method, &path, &head.headers, &bytes),
        Err(_) => plain(413, &openai::error(413), &head.headers),
    };
    connection.note(LoggedRequest {
        connection: 0,
        client_port: 0,
        host,
        method: head.method.to_string(),
        path,
        model: reply.model,
        status: reply.status,
        body_bytes,
        request_bytes: 0,
        response_bytes: 0,
    });
    Ok(reply.response)
}

fn answer(method: &Method, path: &str, headers: &HeaderMap, bytes: &[u8]) -> Reply {
    if path.ends_with("/upload") {
        return plain(200, &json!({"received": bytes.len()}), headers);
    }
    if method != Method::POST {
        return plain(404, &openai::error(404), headers);
    }
    let is_anthropic = path.ends_with("/messages");
    let error = |status| {
        if is_anthropic {
            anthropic::error(status)
        } else {
            openai::error(status)
        }
    };
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
        return plain(400, &error(400), headers);
    };
    let answer = match path {
        _ if path.ends_with("/chat/completions") => openai::chat_answer(&body),
        _ if path.ends_with("/responses") => openai::responses_answer(&body),
        _ if path.ends_with("/embeddings") => openai::embeddings(&body).0,
        _ if is_anthropic => anthropic::answer(&body),
        _ => return plain(404, &error(404), headers),
    };
    if let Some(status) = answer.wishes.error {
        let mut reply = plain(status, &error(status), headers);
        reply.model = answer.model;
        return reply;
    }
    Reply {
        status: 200,
        model: answer.model.clone(),
        response: success(path, headers, &body, &answer),
    }
}

fn success(path: &str, headers: &HeaderMap, body: &Value, answer: &Answer) -> Response<Body> {
    if answer.wishes.bomb {
        return bomb();
    }
    let streamed = body["stream"] == true;
    let events = match path {
        _ if !streamed => None,
        _ if path.ends_with("/chat/completions") => Some(openai::chat_stream(answer, body)),
        _ if path.ends_with("/responses") => Some(openai::response_stream(answer, body)),
        _ if path.ends_with("/messages") => Some(anthropic::stream(answer)),
        _ => None,
    };
    if let Some(events) = events {
        return event_stream(events, answer, headers);
    }
    let value = match path {
        _ if path.ends_with("/chat/completions") => openai::chat(answer),
        _ if path.ends_with("/responses") => openai::response(answer, body),
        _ if path.ends_with("/embeddings") => openai::embeddings(body).1,
        _ => anthropic::message(answer),
    };
    json_reply(
        200,
        &value,
        headers,
        answer.wishes.gzip,
        answer.wishes.chunked || answer.wishes.delay.is_some(),
    )
}

fn plain(status: u16, value: &Value, headers: &HeaderMap) -> Reply {
    Reply {
        status,
        model: String::new(),
        response: json_reply(status, value, headers, false, false),
    }
}

fn json_reply(status: u16, value: &Value, headers: &HeaderMap, gzip: bool, chunked: bool) -> Response<Body> {
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

fn event_stream(events: Vec<String>, answer: &Answer, headers: &HeaderMap) -> Response<Body> {
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
    fields.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
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
fn bomb() -> Response<Body> {
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
