//! Accepting connections, reading requests, sending answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::counted::Counted;
use super::log::{ConnectionLog, Log, LoggedRequest};
use super::reply::{Body, json_reply, plain};
use super::{Answers, WebSockets, openai, routes, websocket};

/// Largest request body that is read; a larger one is answered with 413.
const MAX_BODY: usize = 64 << 20;

/// What one listener does with its connections.
#[derive(Clone)]
pub(super) struct Service {
    /// `None`: plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) web_sockets: WebSockets,
    pub(super) answers: Answers,
    pub(super) log: Arc<Log>,
}

/// Serves each connection in a task of its own, until the runtime ends.
pub(super) async fn accept_loop(listener: TcpListener, service: Service) {
    loop {
        // A failed accept is the client's doing (reset before accept) or lack of descriptors; both pass.
        let Ok((tcp, client)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let connection = service.log.connection(client);
        tokio::spawn(serve(tcp, service.clone(), connection));
    }
}

async fn serve(tcp: TcpStream, service: Service, connection: ConnectionLog) {
    // Small chunks go out at once, as a model's tokens do.
    let _ = tcp.set_nodelay(true);
    let Some(config) = &service.tls else {
        connection.accepted("", "http/1.1", None);
        return serve_http(tcp, service, connection).await;
    };
    match TlsAcceptor::from(Arc::clone(config)).accept(tcp).await {
        Ok(tls) => {
            let (_, session) = tls.get_ref();
            let name = session.server_name().unwrap_or_default().to_owned();
            let protocol = session.alpn_protocol().unwrap_or(b"none");
            connection.accepted(&name, &String::from_utf8_lossy(protocol), None);
            serve_http(tls, service, connection).await;
        }
        // A client may break off or speak nonsense: that is what some tests do. It ends this connection and nothing else.
        Err(error) => connection.accepted("", "", Some(&error.to_string())),
    }
}

async fn serve_http<S>(stream: S, how: Service, connection: ConnectionLog)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&connection.counters)));
    let service = service_fn(move |request| respond(request, how.clone(), connection.clone()));
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(io, service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    how: Service,
    connection: ConnectionLog,
) -> Result<Response<Body>, Infallible> {
    if websocket::is_wanted(&request) {
        let noted = logged(&request);
        return Ok(websocket::respond(request, how.web_sockets, noted, connection));
    }
    let mut noted = logged(&request);
    let (Parts { method, headers, .. }, body) = request.into_parts();
    if noted.path == "/__log" {
        let log = json!({"connections": connection.log.connections(), "requests": connection.log.requests()});
        return Ok(json_reply(200, &log, &headers, false, false));
    }
    let body = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map(|collected| collected.to_bytes());
    noted.body_bytes = body.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let reply = match body {
        Ok(bytes) => how
            .answers
            .reply(&headers)
            .unwrap_or_else(|| routes::answer(&method, &noted.path, &headers, &bytes)),
        Err(_) => plain(413, &openai::error(413), &headers),
    };
    noted.model = reply.model;
    noted.status = reply.status;
    connection.note(noted);
    Ok(reply.response)
}

/// What the head of a request says of it.
fn logged(request: &Request<Incoming>) -> LoggedRequest {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let host = host
        .or_else(|| request.uri().authority().map(ToString::to_string))
        .unwrap_or_default();
    let protocol = match request.version() {
        Version::HTTP_2 => "h2",
        _ => "http/1.1",
    };
    LoggedRequest {
        connection: 0,
        client_port: 0,
        protocol: protocol.to_owned(),
        host,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        model: String::new(),
        status: 0,
        body_bytes: 0,
        request_bytes: 0,
        response_bytes: 0,
    }
}

/// The body of a call that came as a message, which has its model inside.
pub(super) fn message_logged(head: &LoggedRequest, body: &Value, bytes: usize) -> LoggedRequest {
    LoggedRequest {
        method: "MESSAGE".to_owned(),
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        status: 200,
        body_bytes: bytes as u64,
        ..head.clone()
    }
}
