//! Reads one exchange: heads and bodies in, facts and text out.

mod judge;

use std::hash::Hasher;
use std::sync::Arc;

use twox_hash::XxHash64;

use super::body::Body;
use super::envelope;
use super::heads::HeadFacts;
use super::native;
use super::paths;
use super::request::{RequestBody, RequestDoc};
use super::response::{ResponseBody, ResponseDoc};
use super::rpc;
use super::rules::Mark;
use super::{TextSink, facts};
use crate::catalog::{Catalog, Match};
use crate::exchange::{Dialect, DialectEvidence, Exchange};
use crate::protocol::{Fields, Incomplete, RequestHead, ResponseHead, Side};

/// Decoded bytes of a body after which its shape is known or will not be.
pub const SHAPE_BUDGET: u64 = 64 * 1024;
/// The same where the path names a dialect: some clients write a long system prompt before the messages. Less than the kernel delivers
/// of a connection that is not decided (`capture.undecided_prefix_bytes`), its heads included.
pub const NAMED_BUDGET: u64 = 192 * 1024;

/// Path endings of requests that clients of AI servers make besides AI calls.
const NEUTRAL: &[&str] = &[
    "/models",
    "/api/tags",
    "/api/version",
    "/api/ps",
    "/props",
    "/health",
    "/v1/me",
];
/// The same with a body: what Ollama's client asks about a model before it calls it.
const NEUTRAL_POST: &[&str] = &["/api/show"];

/// Why an exchange is not an AI interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotAi {
    /// Nothing about it is AI.
    Other,
    /// The catalogue knows the host, but this is other traffic of it (login, telemetry, files).
    CatalogHostOther,
    /// An AI call in a dialect that is not read yet.
    UnknownDialect,
}

impl NotAi {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::CatalogHostOther => "catalog_host_other",
            Self::UnknownDialect => "unknown_dialect",
        }
    }
}

/// What became of an exchange.
#[derive(Debug)]
pub enum Outcome {
    /// An AI exchange.
    Ai(Box<Exchange>),
    /// Not one.
    NotAi(NotAi),
}

/// What an exchange is, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More bytes may tell. `true`: its path says AI, and only a body that disagrees can change that.
    Undecided(bool),
    /// An AI exchange in this dialect.
    Ai(Dialect, DialectEvidence),
    /// Not one; stays so.
    NotAi(NotAi),
}

/// One side of the exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ended {
    pub(super) over: bool,
    pub(super) incomplete: Option<Incomplete>,
    pub(super) wire_bytes: u64,
}

/// Reader of one exchange.
pub struct ExchangeReader {
    pub(super) head: Option<RequestHead>,
    pub(super) host: String,
    pub(super) catalog: Option<Match>,
    /// Whose host it is, whether or not the catalogue knows this path.
    pub(super) owner: Option<String>,
    /// The catalogue knows the host, for whatever path.
    catalog_host: bool,
    pub(super) status: Option<u16>,
    pub(super) started_ns: u64,
    pub(super) first_response_ns: Option<u64>,
    request_body: Option<Body>,
    response_body: Option<Body>,
    /// The request may ask for a stream of events from an MCP server.
    listens: bool,
    /// The request is one that cannot carry a body in JSON.
    request_foreign: bool,
    /// Its head says that its body is not JSON, where an AI call is to be expected: the first byte has to tell.
    media_foreign: bool,
    /// The request is a message on a WebSocket.
    socket: bool,
    /// It is all of a session at a service of speech.
    pub(super) speech: bool,
    /// The response head says that its body is neither JSON nor an event stream.
    response_foreign: bool,
    /// What the head of the response says beside its body.
    pub(super) head_facts: HeadFacts,
    pub(super) request: RequestBody,
    pub(super) response: ResponseBody,
    pub(super) request_end: Ended,
    pub(super) response_end: Ended,
    ended_ns: Option<u64>,
    /// Over the body of the request as sent.
    digest: XxHash64,
    verdict: Verdict,
}

impl ExchangeReader {
    /// A reader for the request with this head, or for a response whose request was not seen. `server_name` is the
    /// name asked for in the TLS handshake; it stands in where the request names no host.
    pub fn new(
        catalog: &Arc<Catalog>,
        head: Option<RequestHead>,
        server_name: Option<&str>,
        started_ns: u64,
    ) -> Self {
        Self::build(catalog, head, server_name, started_ns, false)
    }

    /// A reader for a request that is a message on a WebSocket, which was asked for with this head.
    pub(super) fn over_socket(
        catalog: &Arc<Catalog>,
        head: RequestHead,
        server_name: Option<&str>,
        started_ns: u64,
    ) -> Self {
        Self::build(catalog, Some(head), server_name, started_ns, true)
    }

    fn build(
        catalog: &Arc<Catalog>,
        head: Option<RequestHead>,
        server_name: Option<&str>,
        started_ns: u64,
        socket: bool,
    ) -> Self {
        let named = head
            .as_ref()
            .map(|h| h.host.clone())
            .filter(|host| !host.is_empty());
        let host = named
            .or_else(|| server_name.map(str::to_ascii_lowercase))
            .unwrap_or_default();
        let path = head.as_ref().map_or("", |h| h.path.as_str());
        let found = catalog.lookup(&host, path);
        let catalog_host = catalog.host_is_ai(&host);
        let media_foreign = !socket && head.as_ref().is_some_and(|h| is_foreign(h, found.as_ref()));
        let expected = catalog_host || found.is_some() || paths::dialects(path).next().is_some();
        let mut reader = Self {
            catalog_host,
            catalog: found,
            owner: catalog.owner(&host, path).map(str::to_owned),
            host,
            request_body: head
                .as_ref()
                .map(|h| Body::new(Side::Request, &h.fields, h.unknown_fields > 0)),
            request_foreign: (media_foreign && !expected)
                || (!socket && head.as_ref().is_some_and(|h| !may_post(h) && !rpc::may_listen(h))),
            media_foreign,
            socket,
            speech: false,
            listens: !socket && head.as_ref().is_some_and(rpc::may_listen),
            head,
            status: None,
            started_ns,
            first_response_ns: None,
            response_body: None,
            response_foreign: false,
            head_facts: HeadFacts::default(),
            request: RequestBody::new(),
            response: ResponseBody::new(),
            request_end: Ended::default(),
            response_end: Ended::default(),
            ended_ns: None,
            digest: XxHash64::with_seed(0),
            verdict: Verdict::Undecided(false),
        };
        if reader.head.is_none() {
            reader.request_end = Ended {
                over: true,
                incomplete: Some(Incomplete::Gap),
                wire_bytes: 0,
            };
        }
        reader.judge();
        reader
    }

    /// What the exchange is, as far as known.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Host of the request, else the server name; empty when neither is known.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Takes the response head, whose first byte came at `first_ns`.
    pub fn response_head(&mut self, head: &ResponseHead, first_ns: u64) {
        self.status = Some(head.status).filter(|status| *status > 0);
        self.first_response_ns = Some(first_ns);
        self.response_body = Some(Body::new(Side::Response, &head.fields, head.unknown_fields > 0));
        self.response_foreign = !may_be_json(&head.fields, true);
        self.head_facts = HeadFacts::of(&head.fields);
        self.judge();
    }

    /// Takes the fields behind the body of the response.
    pub fn trailers(&mut self, fields: &Fields) {
        self.head_facts.trailers(fields);
    }

    /// Takes body bytes with transfer coding removed, content coding still on, at `now_ns`.
    pub fn body(&mut self, side: Side, data: &[u8], now_ns: u64, sink: &mut dyn TextSink) {
        if matches!(self.verdict, Verdict::NotAi(_)) {
            return;
        }
        if side == Side::Request {
            self.digest.write(data);
        }
        self.with_body(side, now_ns, sink, |body, document| match document {
            Doc::Request(mut doc) => body.push(data, &mut doc),
            Doc::Response(mut doc) => body.push(data, &mut doc),
        });
        self.judge();
    }

    /// Bytes of audio as it is.
    pub(super) fn audio(&mut self, side: Side, bytes: u64) {
        match side {
            Side::Request => self.request.texts.binary += bytes,
            Side::Response => self.response.texts.binary += bytes,
        }
    }

    /// Body bytes are missing here, and the body goes on.
    pub fn gap(&mut self, side: Side, sink: &mut dyn TextSink) {
        self.with_body(side, 0, sink, |body, document| match document {
            Doc::Request(mut doc) => body.gap(&mut doc),
            Doc::Response(mut doc) => body.gap(&mut doc),
        });
    }

    /// One side is over at `now_ns`; `wire_bytes` is its size on the connection.
    pub fn end(
        &mut self,
        side: Side,
        incomplete: Option<Incomplete>,
        wire_bytes: u64,
        now_ns: u64,
        sink: &mut dyn TextSink,
    ) {
        self.with_body(side, now_ns, sink, |body, document| match document {
            Doc::Request(mut doc) => body.close(incomplete.is_none(), &mut doc),
            Doc::Response(mut doc) => body.close(incomplete.is_none(), &mut doc),
        });
        let content = match side {
            Side::Request => self.request_body.as_ref().and_then(Body::incomplete),
            Side::Response => {
                self.response.close(sink);
                self.ended_ns = Some(now_ns);
                self.response_body.as_ref().and_then(Body::incomplete)
            }
        };
        // What the connection goes on as is another protocol, in which the answer may be.
        let switched = side == Side::Response && self.status == Some(101) && !self.socket;
        let incomplete = incomplete
            .filter(|why| !self.is_answered(side, *why))
            .or(switched.then_some(Incomplete::Unsupported));
        let ended = Ended {
            over: true,
            incomplete: incomplete.or(content),
            wire_bytes,
        };
        match side {
            Side::Request => self.request_end = ended,
            Side::Response => self.response_end = ended,
        }
        self.judge();
    }

    /// Whether both sides are over.
    pub fn is_over(&self) -> bool {
        self.request_end.over && self.response_end.over
    }

    /// Whether a client of an AI server makes this request besides AI calls, so that it says nothing about the
    /// connection.
    pub fn is_neutral(&self) -> bool {
        let ends = |head: &RequestHead, endings: &[&str]| {
            let path = head.path.trim_end_matches('/');
            endings.iter().any(|ending| path.ends_with(ending))
        };
        self.head.as_ref().is_some_and(|head| match head.method.as_str() {
            "POST" => ends(head, NEUTRAL_POST),
            _ => ends(head, NEUTRAL),
        })
    }

    /// Bytes of its bodies that were read.
    pub(super) fn decoded(&self) -> u64 {
        let bodies = [&self.request_body, &self.response_body];
        bodies.into_iter().flatten().map(Body::decoded).sum()
    }

    /// What it was. `now_ns` is the time of giving up where the response did not end.
    pub fn finish(mut self, now_ns: u64) -> Outcome {
        let is_answered = self.is_answered(Side::Response, Incomplete::Closed);
        for (end, is_whole) in [
            (&mut self.request_end, false),
            (&mut self.response_end, is_answered),
        ] {
            if !std::mem::replace(&mut end.over, true) && !is_whole {
                end.incomplete.get_or_insert(Incomplete::Closed);
            }
        }
        self.judge();
        match self.verdict {
            Verdict::Ai(dialect, evidence) => {
                let streamed = self.response_body.as_ref().is_some_and(Body::is_stream);
                let ended_ns = self.ended_ns.unwrap_or(now_ns);
                Outcome::Ai(Box::new(facts::exchange(
                    self, dialect, evidence, streamed, ended_ns,
                )))
            }
            Verdict::NotAi(why) => Outcome::NotAi(why),
            Verdict::Undecided(_) => Outcome::NotAi(self.not_ai()),
        }
    }

    /// Whether a response that was closed is whole all the same: a client of MCP ends the event stream of a request when it has its answer.
    fn is_answered(&self, side: Side, why: Incomplete) -> bool {
        side == Side::Response
            && why == Incomplete::Closed
            && matches!(self.verdict, Verdict::Ai(Dialect::Mcp, _))
            && self.response.marks & Mark::RpcAnswer as u64 != 0
            && self
                .response_body
                .as_ref()
                .is_some_and(|body| body.is_stream() && body.incomplete().is_none())
    }

    /// Hash of method, path and body, equal in all attempts of a request; `None` for a request without a body.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        let head = self.head.as_ref()?;
        let empty = XxHash64::with_seed(0).finish();
        if self.digest.finish() == empty {
            return None;
        }
        let mut digest = self.digest.clone();
        for part in [&head.method, &head.path, &self.host] {
            digest.write(&[0]);
            digest.write(part.as_bytes());
        }
        Some(digest.finish())
    }

    fn with_body(
        &mut self,
        side: Side,
        now_ns: u64,
        sink: &mut dyn TextSink,
        f: impl FnOnce(&mut Body, Doc<'_>),
    ) {
        match side {
            Side::Request => {
                if let Some(body) = &mut self.request_body {
                    f(
                        body,
                        Doc::Request(RequestDoc {
                            body: &mut self.request,
                            sink,
                        }),
                    );
                }
            }
            Side::Response => {
                if let Some(body) = &mut self.response_body {
                    f(
                        body,
                        Doc::Response(ResponseDoc {
                            body: &mut self.response,
                            sink,
                            now_ns,
                        }),
                    );
                }
            }
        }
    }
}

/// Whether a request is a POST, as far as known.
fn may_post(head: &RequestHead) -> bool {
    head.method == "POST" || (head.method.is_empty() && head.unknown_fields > 0)
}

/// Whether a request says that its body is not JSON, and nothing else that an AI call has there.
fn is_foreign(head: &RequestHead, found: Option<&Match>) -> bool {
    let forms = found.is_some_and(|found| native::takes_forms(found.class));
    !may_be_json(&head.fields, false) && !takes_files(head, forms)
}

/// Whether a request is a form, or a file, at a path that takes such: audio to transcribe, images to edit. `forms`: the
/// service takes them anywhere.
fn takes_files(head: &RequestHead, forms: bool) -> bool {
    let media = head.fields.get("content-type").unwrap_or_default();
    let media = media.to_ascii_lowercase();
    if forms && media.starts_with("multipart/form-data") {
        return true;
    }
    let takes = |dialect| match dialect {
        Dialect::OpenAiTranscriptions
        | Dialect::OpenAiImages
        | Dialect::OpenAiVideos
        | Dialect::OpenAiFiles => media.starts_with("multipart/form-data"),
        Dialect::DeepgramListen => media.starts_with("audio/") || media.starts_with("video/"),
        Dialect::BedrockBidirectional => media.starts_with("application/vnd.amazon.eventstream"),
        _ if paths::is_grpc(&head.path) => envelope::is_media(&media),
        _ => false,
    };
    paths::dialects(&head.path).any(|(dialect, _)| takes(dialect))
}

enum Doc<'a> {
    Request(RequestDoc<'a>),
    Response(ResponseDoc<'a>),
}

/// Whether a body with these fields may be JSON (`stream`: or an event stream). A missing type may be anything.
fn may_be_json(fields: &Fields, stream: bool) -> bool {
    let media = fields
        .get("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let media = envelope::essence(&media);
    media.is_empty()
        || media.contains("json")
        || media == "text/plain"
        || media == "application/octet-stream"
        // What curl says of a body when it is told nothing; many servers read it as JSON all the same.
        || media == "application/x-www-form-urlencoded"
        || (stream
            && matches!(
                media,
                "text/event-stream" | "application/vnd.amazon.eventstream"
            ))
}
