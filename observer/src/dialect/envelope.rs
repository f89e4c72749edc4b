//! Messages of gRPC, gRPC-Web and Connect in a body: compression off, JSON read as such, anything else handed on as it
//! stands. Texts in protobuf stand there as they are, so a scan finds what is in them.

use super::body::{Document, encoding_loss, event};
use crate::budget::Held;
use crate::protocol::encoding::ContentDecoder;
use crate::protocol::grpc::{Event, GrpcDecoder, Kind, status_name};
use crate::protocol::sse::MAX_EVENT;
use crate::protocol::{Fields, Incomplete};

/// Whether a media type is one of gRPC or Connect.
pub(super) fn is_media(media: &str) -> bool {
    media.starts_with("application/grpc") || media.starts_with("application/connect+") || is_proto(media)
}

/// A media type without its parameters (RFC 9110 section 8.3.1).
pub(super) fn essence(media: &str) -> &str {
    media.split(';').next().unwrap_or_default().trim()
}

/// Whether a media type is a single message of Connect in protobuf.
pub(super) fn is_proto(media: &str) -> bool {
    matches!(
        essence(media),
        "application/proto" | "application/x-protobuf" | "application/protobuf"
    )
}

/// Reader of one body.
pub(super) struct Envelopes {
    decoder: GrpcDecoder,
    /// Coding of compressed messages, as the head names it.
    coding: String,
    /// Messages are JSON.
    json: bool,
    message: Message,
}

/// The message that is being read.
struct Message {
    kind: Kind,
    /// `None` for one that is not compressed.
    coding: Option<ContentDecoder>,
    /// What is read as a whole: JSON, and how a stream ended.
    kept: Held,
    over_budget: bool,
}

impl Envelopes {
    /// A reader, if the media type has such messages.
    pub(super) fn of(media: &str, fields: &Fields) -> Option<Self> {
        let grpc = media.starts_with("application/grpc") && !media.contains("web-text");
        if !grpc && !media.starts_with("application/connect+") {
            return None;
        }
        let coding = ["grpc-encoding", "connect-content-encoding"]
            .iter()
            .find_map(|name| fields.get(name));
        Some(Self {
            decoder: GrpcDecoder::default(),
            coding: coding.unwrap_or_default(),
            json: essence(media).ends_with("+json"),
            message: Message::new(Kind::Data, None),
        })
    }

    pub(super) fn push(
        &mut self,
        data: &[u8],
        document: &mut impl Document,
        incomplete: &mut Option<Incomplete>,
    ) {
        let Self {
            decoder,
            coding,
            json,
            message,
        } = self;
        decoder.push(data, &mut |seen| match seen {
            Event::Begin { kind, compressed, .. } => {
                let coding = compressed.then(|| ContentDecoder::new(Some(coding)));
                *message = Message::new(kind, coding);
            }
            Event::Content(piece) => message.content(piece, *json, document, incomplete),
            Event::Over => message.over(*json, document, incomplete),
        });
    }

    /// Bytes are missing here; where the next message begins is not known.
    pub(super) fn gap(&mut self, document: &mut impl Document) {
        self.decoder.gap(None, &mut |_| {});
        document.raw_end();
    }

    /// The body is over; why it was not read whole.
    pub(super) fn close(&mut self, document: &mut impl Document) -> Option<Incomplete> {
        document.raw_end();
        (self.decoder.lost() > 0 || self.decoder.is_inside()).then_some(Incomplete::Malformed)
    }
}

impl Message {
    fn new(kind: Kind, coding: Option<ContentDecoder>) -> Self {
        Self {
            kind,
            coding,
            kept: Held::default(),
            over_budget: false,
        }
    }

    fn content(
        &mut self,
        piece: &[u8],
        json: bool,
        document: &mut impl Document,
        incomplete: &mut Option<Incomplete>,
    ) {
        let Self {
            kind,
            coding,
            kept,
            over_budget,
        } = self;
        let keeps = json || *kind == Kind::End;
        let mut take = |piece: &[u8]| match keeps {
            true if kept.len() + piece.len() <= MAX_EVENT && kept.extend(piece) => {}
            true => *over_budget = true,
            false => document.raw(piece),
        };
        match coding {
            None => take(piece),
            Some(decoder) => {
                if let Err(loss) = decoder.push(piece, &mut take) {
                    incomplete.get_or_insert(encoding_loss(loss));
                }
            }
        }
    }

    fn over(&mut self, json: bool, document: &mut impl Document, incomplete: &mut Option<Incomplete>) {
        if self.over_budget {
            incomplete.get_or_insert(Incomplete::OverBudget);
        } else if self.kind == Kind::End && !self.kept.starts_with(b"{") {
            if let Some(name) = trailer_status(&self.kept) {
                document.failed(name.as_bytes());
            }
        } else if json || self.kind == Kind::End {
            event(b"", &self.kept, document, incomplete);
        } else {
            document.raw_end();
        }
        if self.kind == Kind::Data {
            document.output();
        }
        self.kept = Held::default();
    }
}

/// The failure that a trailer section of gRPC-Web states.
fn trailer_status(section: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(section).ok()?;
    let status = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("grpc-status").then_some(value)
    })?;
    status_name(status.trim())
}
