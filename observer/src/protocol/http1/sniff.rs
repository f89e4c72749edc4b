//! What a connection speaks, judged from its first bytes.

use super::head::{self, StartLine};
use super::{MAX_HEAD, Side};

/// Client connection preface of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of an HTTP/2 frame header.
const FRAME_HEAD: usize = 9;
/// Frame type SETTINGS, the first frame a server sends.
const SETTINGS: u8 = 4;

/// What the first bytes of one direction look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sniff {
    /// An HTTP/1.x request line.
    Http1Request,
    /// An HTTP/1.x status line.
    Http1Response,
    /// HTTP/2: the client's preface, or the server's first SETTINGS frame.
    Http2Preface,
    /// None of these.
    Other,
    /// Too few bytes to say.
    NeedMore,
}

/// Judges the first bytes of a direction.
pub fn sniff(first_bytes: &[u8], side: Side) -> Sniff {
    if let Some(http2) = http2(first_bytes, side) {
        return http2;
    }
    let blank = super::blank_lines(first_bytes);
    match (head::start_line(side, &first_bytes[blank..]), side) {
        (StartLine::Yes, Side::Request) => Sniff::Http1Request,
        (StartLine::Yes, Side::Response) => Sniff::Http1Response,
        (StartLine::More, _) if first_bytes.len() < MAX_HEAD => Sniff::NeedMore,
        (StartLine::More | StartLine::No, _) => Sniff::Other,
    }
}

/// HTTP/2, or undecided between it and something else; `None` when it is not HTTP/2.
fn http2(bytes: &[u8], side: Side) -> Option<Sniff> {
    match side {
        Side::Request if bytes.starts_with(PREFACE) => Some(Sniff::Http2Preface),
        Side::Request => PREFACE.starts_with(bytes).then_some(Sniff::NeedMore),
        Side::Response => settings_frame(bytes),
    }
}

fn settings_frame(bytes: &[u8]) -> Option<Sniff> {
    // Two high bytes of the length, then the type (at 3), no flags, stream 0. A settings frame is short.
    let expected = [
        Some(0),
        Some(0),
        None,
        Some(SETTINGS),
        Some(0),
        Some(0),
        Some(0),
        Some(0),
        Some(0),
    ];
    let fits = bytes
        .iter()
        .zip(expected)
        .all(|(byte, want)| want.is_none_or(|want| want == *byte));
    let whole_settings = bytes.get(2).is_none_or(|length| length % 6 == 0);
    match (fits && whole_settings, bytes.len() >= FRAME_HEAD) {
        (false, _) => None,
        (true, true) => Some(Sniff::Http2Preface),
        (true, false) => Some(Sniff::NeedMore),
    }
}
