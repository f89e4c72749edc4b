//! Conversations as they stand on the wire, made for these tests, and recordings made by others where there are any.

mod agents;
mod bedrock;
mod connection;
mod corpus;
mod evidence;
mod facts;
mod golden;
mod grpc;
mod hostile;
mod http2;
mod jobs;
mod lenient;
mod live;
mod media;
mod named;
mod newer;
mod replay;
mod shapes;
mod spoilt;
mod vendors;
mod websocket;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{ConnectionHooks, ConnectionReader, NotAi, Place, Scope, TextRole, TextSink};
use crate::catalog::Catalog;
use crate::exchange::Exchange;
use crate::protocol::{Incomplete, Side};

/// Collects texts: number -> (place, text, ended).
#[derive(Default)]
pub(super) struct Texts(pub(super) BTreeMap<u64, (Option<Place>, Vec<u8>, bool)>);

impl TextSink for Texts {
    fn text(&mut self, place: &Place, text: u64, piece: &[u8]) {
        let entry = self.0.entry(text).or_default();
        assert!(!entry.2, "text {text} goes on after its end");
        assert!(
            entry.0.as_ref().is_none_or(|p| p == place),
            "text {text} changes its place"
        );
        entry.0 = Some(place.clone());
        entry.1.extend_from_slice(piece);
    }

    fn end(&mut self, text: u64) {
        let entry = self.0.entry(text).or_default();
        assert!(!entry.2, "text {text} ends twice");
        entry.2 = true;
    }
}

impl Texts {
    /// (path, role, text) of all texts that are not empty, in order.
    pub(super) fn all(&self) -> Vec<(String, TextRole, String)> {
        let texts = self.0.values().filter(|(place, ..)| place.is_some());
        texts
            .map(|(place, text, _)| {
                let place = place.as_ref().unwrap();
                (
                    place.path.clone(),
                    place.role,
                    String::from_utf8_lossy(text).into_owned(),
                )
            })
            .collect()
    }

    /// Texts with this role.
    pub(super) fn with(&self, role: TextRole) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|(_, r, _)| *r == role)
            .map(|(.., text)| text)
            .collect()
    }

    pub(super) fn all_ended(&self) -> bool {
        self.0.values().all(|(.., ended)| *ended)
    }
}

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) texts: BTreeMap<u64, Texts>,
    pub(super) finished: Vec<(u64, Exchange)>,
    pub(super) not_ai: Vec<(u64, NotAi)>,
    pub(super) lost: Vec<(Side, u64, Incomplete)>,
}

impl ConnectionHooks for Hooks {
    fn text_sink(&mut self, exchange: u64) -> &mut dyn TextSink {
        self.texts.entry(exchange).or_default()
    }
    fn finished(&mut self, exchange: u64, facts: Exchange) {
        self.finished.push((exchange, facts));
    }
    fn not_ai(&mut self, exchange: u64, reason: NotAi) {
        self.not_ai.push((exchange, reason));
    }
    fn lost(&mut self, side: Side, bytes: u64, reason: Incomplete) {
        self.lost.push((side, bytes, reason));
    }
}

pub(super) fn catalog() -> Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));
    Arc::clone(&CATALOG)
}

/// A request with this JSON body; `head` is method, path and further field lines.
pub(super) fn request(line: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\n{fields}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A plain JSON response.
pub(super) fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Bytes in chunked coding, cut into chunks of `size`.
pub(super) fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
    out
}

/// An event stream response in chunked coding; `coding` is a content coding already applied to `body`.
pub(super) fn stream(coding: &str, body: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{coding}transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    out.extend(chunked(body, chunk));
    out
}

/// Runs one conversation, each side pushed in pieces of `piece` bytes, with the time growing by 1 per push.
pub(super) fn run(
    catalog: &Arc<Catalog>,
    name: Option<&str>,
    sides: &[(Side, &[u8])],
    piece: usize,
) -> Hooks {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(Arc::clone(catalog), name);
    let mut now = 1000;
    for (side, bytes) in sides {
        for part in bytes.chunks(piece) {
            reader.push(*side, part, now, &mut hooks);
            now += 1;
        }
    }
    reader.close(now, &mut hooks);
    hooks
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // Flushed piece by piece, as a streaming server does.
    for part in data.chunks(97) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}
