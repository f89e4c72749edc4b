//! The HTTP side: who may ask, what is alive, and the way of an answer from the engine's thread to the client.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use uuid::Uuid;

use super::body::{BodyReader, decoded};
use super::engine::Engine;
use super::error::Exception;
use super::frame;
use super::request::{Request, content_type, form_boundary};
use super::run::{Head, Output, Run};
use super::statement::MAX_STATEMENT;

/// Queries that run at once; their memory limits together stay under the engine's.
const MAX_QUERIES: usize = 3;
/// Inserts that run at once, beside the queries: dashboards must not keep the daemon from writing.
const MAX_INSERTS: usize = 2;
/// Requests that are being read, run or answered at once.
const MAX_REQUESTS: usize = 64;
/// How long a request waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Pieces of an answer that wait for the client.
const PIECES: usize = 4;

/// What all requests share.
pub(super) struct Front {
    engine: Arc<Engine>,
    database: String,
    password: Option<String>,
    loopback: bool,
    queries: Arc<Semaphore>,
    inserts: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    running: AtomicUsize,
    stop: watch::Sender<bool>,
}

impl Front {
    /// A front for `engine`; `loopback` says that it listens on loopback only.
    pub(super) fn new(
        engine: Arc<Engine>,
        database: String,
        password: Option<String>,
        loopback: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            database,
            password,
            loopback,
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            inserts: Arc::new(Semaphore::new(MAX_INSERTS)),
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            running: AtomicUsize::new(0),
            stop: watch::Sender::new(false),
        })
    }

    /// The service.
    pub(super) fn router(self: &Arc<Self>) -> Router {
        let front = Arc::clone(self);
        Router::new().fallback(move |request: axum::extract::Request| {
            let front = Arc::clone(&front);
            async move { front.answer(request).await }
        })
    }

    /// Refuses new requests and lets running inserts fail; running queries are to be killed.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Requests that are in the engine.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    async fn answer(self: Arc<Self>, request: axum::extract::Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let health =
            path == "/ping" || path == "/replicas_status" || (path == "/" && parts.uri.query().is_none());
        if health && (parts.method == Method::GET || parts.method == Method::HEAD) {
            return plain(StatusCode::OK, "Ok.\n");
        }
        if path != "/" {
            let text = format!("There is no handle {path}\n\nUse / or /ping for health checks.\n");
            return plain(StatusCode::NOT_FOUND, text);
        }
        if let Err(exception) = self.may_ask(&parts) {
            return failure(&exception, false);
        }
        let compress = parts
            .uri
            .query()
            .is_some_and(|q| q.split('&').any(|p| p == "compress=1"));
        match self.start(&parts, body).await {
            Ok(response) => response,
            Err(exception) => failure(&exception, compress),
        }
    }

    /// Web pages must not reach the store: not by a request across sites (they carry `Origin`), not by a name of
    /// their own that resolves to loopback (`Host` is then no address of this machine).
    fn may_ask(&self, parts: &Parts) -> Result<(), Exception> {
        let denied = |why: &str| Err(Exception::new(516, "AUTHENTICATION_FAILED", why));
        if parts.headers.contains_key("origin") {
            return denied("requests of web pages are not answered");
        }
        if self.loopback && !header(&parts.headers, "host").is_none_or(|host| is_loopback_host(&host)) {
            return denied("the Host header does not name this machine's loopback");
        }
        let Some(expected) = &self.password else {
            return Ok(());
        };
        let given = password_of(parts);
        if given.is_some_and(|given| same(given.as_bytes(), expected.as_bytes())) {
            return Ok(());
        }
        denied("default: Authentication failed: password is incorrect")
    }

    async fn start(self: &Arc<Self>, parts: &Parts, body: Body) -> Result<Response, Exception> {
        let mut request = Request::from_url(parts.uri.query().unwrap_or_default())?;
        request.headers(|name| header(&parts.headers, name));
        let read_only = match parts.method {
            Method::GET | Method::HEAD => true,
            Method::POST | Method::PUT => false,
            _ => {
                return Err(Exception::new(
                    48,
                    "NOT_IMPLEMENTED",
                    "only GET, HEAD and POST are answered",
                ));
            }
        };
        let waiting = Arc::clone(&self.requests).acquire_owned();
        let place = tokio::time::timeout(MAX_WAIT, waiting)
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(too_many)?;
        let stopping = || Exception::new(236, "ABORTED", "the store is stopping");
        if *self.stop.borrow() {
            return Err(stopping());
        }
        let (head_out, head_in) = oneshot::channel();
        let (data_out, data_in) = mpsc::channel(PIECES);
        let compress = request.compress;
        let query_id = request
            .query_id
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let job = Job {
            front: Arc::clone(self),
            request,
            tag: Uuid::new_v4().simple().to_string(),
            exception_tag: Uuid::new_v4().simple().to_string()[..16].to_owned(),
            read_only,
            encoding: header(&parts.headers, "content-encoding").unwrap_or_default(),
            boundary: header(&parts.headers, "content-type").and_then(|t| form_boundary(&t)),
        };
        let guard = KillOnDrop {
            engine: Arc::clone(&self.engine),
            tag: job.tag.clone(),
            done: Arc::default(),
        };
        let exception_tag = job.exception_tag.clone();
        let channel = Channel {
            front: Arc::clone(self),
            compress,
            head: Some(head_out),
            data: data_out,
            done: Arc::clone(&guard.done),
            permits: vec![place],
        };
        let reader = BodyReader::new(body, Handle::current(), self.stop.subscribe());
        #[expect(
            clippy::disallowed_methods,
            reason = "the shell tells a client how long its statement took"
        )]
        let started = Instant::now();
        self.running.fetch_add(1, Ordering::SeqCst);
        tokio::task::spawn_blocking(move || job.run(reader, channel));
        let head = head_in.await.map_err(|_| stopping())??;
        let response = self.head_of(&head, &query_id, &exception_tag, started.elapsed());
        let body = Body::from_stream(futures_util::stream::unfold(
            (data_in, guard),
            |(mut data, guard)| async move {
                let piece: Bytes = data.recv().await?;
                Some((Ok::<_, std::convert::Infallible>(piece), (data, guard)))
            },
        ));
        response
            .body(body)
            .map_err(|_| Exception::data("a header of the answer is not valid"))
    }

    fn head_of(
        &self,
        head: &Head,
        query_id: &str,
        tag: &str,
        elapsed: Duration,
    ) -> axum::http::response::Builder {
        let ((read_rows, read_bytes), (rows, bytes)) = (head.read, head.written);
        let summary = format!(
            "{{\"read_rows\":\"{read_rows}\",\"read_bytes\":\"{read_bytes}\",\"written_rows\":\"{rows}\",\
             \"written_bytes\":\"{bytes}\",\"elapsed_ns\":\"{}\"}}",
            elapsed.as_nanos()
        );
        Response::builder()
            .header("Content-Type", content_type(&head.format))
            .header("X-ClickHouse-Server-Display-Name", "observer")
            .header("X-ClickHouse-Query-Id", query_id)
            .header("X-ClickHouse-Format", &head.format)
            .header("X-ClickHouse-Timezone", &self.engine.timezone)
            .header("X-ClickHouse-Exception-Tag", tag)
            .header("X-ClickHouse-Summary", summary)
    }
}

/// A request on its way to a thread of the engine.
struct Job {
    front: Arc<Front>,
    request: Request,
    tag: String,
    exception_tag: String,
    read_only: bool,
    encoding: String,
    boundary: Option<String>,
}

impl Job {
    fn run(mut self, body: BodyReader, mut channel: Channel) {
        if let Err(exception) = self.run_with(body, &mut channel) {
            channel.fail(exception);
        }
        channel.done.store(true, Ordering::SeqCst);
        let front = Arc::clone(&self.front);
        // Before the count goes down: this job no longer holds anything of the engine.
        drop((self, channel));
        front.running.fetch_sub(1, Ordering::SeqCst);
    }

    fn run_with(&mut self, body: BodyReader, channel: &mut Channel) -> Result<(), Exception> {
        use std::io::Read;
        let mut body = decoded(body, &self.encoding, self.request.decompress)?;
        if let Some(boundary) = self.boundary.take() {
            let mut form = Vec::new();
            let most = MAX_STATEMENT as u64 + 1;
            (&mut body)
                .take(most)
                .read_to_end(&mut form)
                .map_err(Exception::data)?;
            if form.len() as u64 == most {
                return Err(Exception::data(format_args!(
                    "form is longer than {MAX_STATEMENT} bytes"
                )));
            }
            self.request.form(&form, &boundary)?;
        }
        let run = Run {
            engine: &self.front.engine,
            request: &self.request,
            default_database: &self.front.database,
            tag: &self.tag,
            exception_tag: &self.exception_tag,
            read_only: self.read_only,
        };
        run.run(body, channel)
    }
}

/// The way back from the engine's thread.
struct Channel {
    front: Arc<Front>,
    compress: bool,
    head: Option<oneshot::Sender<Result<Head, Exception>>>,
    data: mpsc::Sender<Bytes>,
    done: Arc<AtomicBool>,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Channel {
    fn fail(&mut self, exception: Exception) {
        if let Some(head) = self.head.take() {
            // Nobody waits any more: the client has gone, and there is nobody to tell.
            let _ = head.send(Err(exception));
        }
    }
}

impl Output for Channel {
    fn head(&mut self, head: Head) -> bool {
        self.head
            .take()
            .is_some_and(|sender| sender.send(Ok(head)).is_ok())
    }

    fn data(&mut self, piece: &[u8]) -> bool {
        let bytes = if self.compress {
            frame::compress(piece)
        } else {
            piece.to_vec()
        };
        bytes.is_empty() || self.data.blocking_send(bytes.into()).is_ok()
    }

    fn admit(&mut self, insert: bool) -> Result<(), Exception> {
        let semaphore = if insert {
            &self.front.inserts
        } else {
            &self.front.queries
        };
        let turn = Arc::clone(semaphore).acquire_owned();
        let permit = Handle::current().block_on(async { tokio::time::timeout(MAX_WAIT, turn).await });
        self.permits
            .push(permit.ok().and_then(Result::ok).ok_or_else(too_many)?);
        Ok(())
    }
}

fn too_many() -> Exception {
    Exception::new(
        202,
        "TOO_MANY_SIMULTANEOUS_QUERIES",
        "Too many simultaneous queries",
    )
}

/// Ends a query whose client has gone. The engine itself would not notice before its first piece of result.
struct KillOnDrop {
    engine: Arc<Engine>,
    tag: String,
    done: Arc<AtomicBool>,
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if self.done.load(Ordering::SeqCst) {
            return;
        }
        let (engine, tag) = (Arc::clone(&self.engine), std::mem::take(&mut self.tag));
        std::thread::spawn(move || {
            if let Err(exception) = engine.kill(Some(&tag)) {
                tracing::debug!(
                    code = exception.code,
                    "query of a client that left was not killed"
                );
            }
        });
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn password_of(parts: &Parts) -> Option<String> {
    if let Some(key) = header(&parts.headers, "x-clickhouse-key") {
        return Some(key);
    }
    if let Some(token) = header(&parts.headers, "authorization") {
        let (scheme, token) = token.split_once(' ')?;
        let bytes = scheme
            .eq_ignore_ascii_case("basic")
            .then(|| base64(token.trim()))??;
        return String::from_utf8(bytes)
            .ok()?
            .split_once(':')
            .map(|(_, password)| password.to_owned());
    }
    Request::from_url(parts.uri.query().unwrap_or_default())
        .ok()?
        .password
}

/// Standard base64 with padding (RFC 4648 section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | u32::from(value(byte)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        "content-type",
        axum::http::HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    response
}

fn failure(exception: &Exception, compress: bool) -> Response {
    let text = format!("{exception}\n").into_bytes();
    let body = if compress { frame::compress(&text) } else { text };
    let status = StatusCode::from_u16(exception.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, body);
    response
        .headers_mut()
        .insert("x-clickhouse-exception-code", exception.code.into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8123",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8123",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:1",
            "10.0.0.1:8123",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn passwords_come_in_three_ways() {
        let password = |uri: &str, name: &str, value: &str| {
            let mut request = axum::http::Request::builder().uri(uri);
            if !name.is_empty() {
                request = request.header(name, value);
            }
            password_of(&request.body(()).expect("request").into_parts().0)
        };
        assert_eq!(password("/", "x-clickhouse-key", "abc").as_deref(), Some("abc"));
        assert_eq!(
            password("/", "authorization", "Basic dTphOmI=").as_deref(),
            Some("a:b")
        );
        assert_eq!(password("/?password=p%20q", "", "").as_deref(), Some("p q"));
        assert_eq!(password("/", "authorization", "Basic ***"), None);
        assert_eq!(password("/", "", ""), None);
    }

    #[test]
    fn comparison() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
