//! Frames of HTTP/2 (RFC 9113) for a recorded call: literal fields that are not indexed, bodies cut at random. Pure.

/// Client connection preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// Largest payload that needs no agreement.
const MAX_FRAME: usize = 16 * 1024;
/// Stream of the only call of a connection.
const STREAM: u32 = 1;

/// Writes both directions of a connection. Where it cuts follows from the seed.
pub(super) struct Framer(u64);

impl Framer {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The client's side: preface, settings, and the request with these fields, pseudo-header fields first.
    pub(super) fn request(&mut self, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut out = PREFACE.to_vec();
        self.message(&mut out, fields, body);
        out
    }

    /// The server's side: settings, and the response.
    pub(super) fn response(&mut self, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.message(&mut out, fields, body);
        out
    }

    fn message(&mut self, out: &mut Vec<u8>, fields: &[(&str, &str)], body: &[u8]) {
        frame(out, SETTINGS, 0, 0, &[]);
        let block = block(fields);
        let mut parts = block.chunks(MAX_FRAME).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
            let end = if kind == HEADERS && body.is_empty() {
                END_STREAM
            } else {
                0
            };
            frame(out, kind, last | end, STREAM, part);
            kind = CONTINUATION;
        }
        let mut rest = body;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(self.below(4 * 1024).min(rest.len()));
            rest = after;
            let end = if rest.is_empty() { END_STREAM } else { 0 };
            if self.below(4) == 1 {
                frame(
                    out,
                    DATA,
                    PADDED | end,
                    STREAM,
                    &[&[2][..], part, &[0, 0]].concat(),
                );
            } else {
                frame(out, DATA, end, STREAM, part);
            }
        }
    }

    /// A number from 1 to `limit` (xorshift).
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(1 + self.0 % limit).unwrap_or(1)
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend(length);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Literal fields without indexing, names new each time (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, &name.to_ascii_lowercase());
        string(&mut out, value);
    }
    out
}

/// A string without Huffman code: its length as an integer of seven bits first (RFC 7541 sections 5.1 and 5.2).
fn string(out: &mut Vec<u8>, text: &str) {
    const MOST: usize = 127;
    let octet = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    if text.len() < MOST {
        out.push(octet(text.len()));
    } else {
        out.push(octet(MOST));
        let mut rest = text.len() - MOST;
        while rest >= 128 {
            out.push(octet(rest % 128) | 0x80);
            rest /= 128;
        }
        out.push(octet(rest));
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{HttpEvent, Side, http2::Http2Connection};

    #[test]
    fn what_is_written_is_read() {
        let value = "v".repeat(20_000);
        let body = vec![b'b'; 50_000];
        let fields = [
            (":method", "POST"),
            (":path", "/p?q=1"),
            (":authority", "a.example"),
            ("X-Long", &value),
        ];
        let mut framer = Framer::new(7);
        let bytes = framer.request(&fields, &body);
        let (mut read, mut over, mut frames) = (Vec::new(), false, 0);
        let mut http = Http2Connection::new([false, false]);
        http.push(Side::Request, &bytes, &mut |event| match event {
            HttpEvent::RequestHead { head, .. } => {
                assert_eq!(
                    (&*head.method, &*head.path, &*head.query, &*head.host),
                    ("POST", "/p", "q=1", "a.example")
                );
                assert_eq!(head.fields.get("x-long"), Some(value.clone()));
            }
            HttpEvent::Body { data, .. } => {
                read.extend_from_slice(data);
                frames += 1;
            }
            HttpEvent::End { incomplete, .. } => over = incomplete.is_none(),
            _ => panic!("nothing else"),
        });
        assert!(over && read == body && frames > 10);
        assert_ne!(bytes, framer.request(&fields, &body), "cut elsewhere each time");
    }
}
