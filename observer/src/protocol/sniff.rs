//! What a connection speaks, judged from the first bytes of one direction.

use super::Side;
use super::http1::{self, StartLine};
use super::http2::sniff::{self as http2, Opening};

/// What the first bytes of one direction look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sniff {
    /// An HTTP/1.x request line.
    Http1Request,
    /// An HTTP/1.x status line.
    Http1Response,
    /// HTTP/2 from its start: the client's preface, or the server's first SETTINGS frame.
    Http2Preface,
    /// None of these.
    Other,
    /// Too few bytes to say.
    NeedMore,
}

/// Judges the first bytes of a direction. A connection joined in its middle is `Other`
/// (for HTTP/2 see [`http2::joined`]), or looks as if it began here.
pub fn sniff(first_bytes: &[u8], side: Side) -> Sniff {
    let http2 = http2::opening(first_bytes, side);
    match (http2, http1::start_line(side, first_bytes), side) {
        (Opening::Yes, ..) => Sniff::Http2Preface,
        (Opening::More, ..) | (Opening::No, StartLine::More, _) => Sniff::NeedMore,
        (Opening::No, StartLine::Yes, Side::Request) => Sniff::Http1Request,
        (Opening::No, StartLine::Yes, Side::Response) => Sniff::Http1Response,
        (Opening::No, StartLine::No, _) => Sniff::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings() {
        use Sniff::*;
        let cases: [(&[u8], Side, Sniff); 16] = [
            (b"", Side::Request, NeedMore),
            (b"P", Side::Request, NeedMore),
            (b"PRI * HTTP/2.0\r\n", Side::Request, NeedMore),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Side::Request, Http2Preface),
            (b"POST / HTTP/1.1\r", Side::Request, Http1Request),
            (b"post / HTTP/1.1\r", Side::Request, Other),
            (b"SSH-2.0-OpenSSH", Side::Request, Other),
            (b"GET / HTTP/3", Side::Request, Other),
            (b"\x16\x03\x01", Side::Request, Other),
            (b"QUIT\r\n", Side::Request, Other),
            (b"HTTP/1.1 2", Side::Response, NeedMore),
            (b"HTTP/1.1 200 ", Side::Response, Http1Response),
            (b"HTTP/1.1 ok ", Side::Response, Other),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00", Side::Response, NeedMore),
            (
                b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
                Side::Response,
                Http2Preface,
            ),
            (b"220 mail", Side::Response, Other),
        ];
        for (bytes, side, want) in cases {
            assert_eq!(sniff(bytes, side), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_connection_joined_at_a_frame() {
        let ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0001234567";
        let data = b"\x00\x00\x03\x00\x00\x00\x00\x00\x05abc";
        let cases: [(&[u8], Opening); 9] = [
            (b"", Opening::More),
            (&ping[..8], Opening::More),
            (&ping[..12], Opening::More),
            (ping, Opening::Yes),
            (&[&ping[..], data].concat(), Opening::Yes),
            (&[&ping[..], &data[..5]].concat(), Opening::More),
            (&[&ping[..], b"no frame!"].concat(), Opening::No),
            (b"\x00\x00\x03\x00\x00\x00\x00\x00\x00abc", Opening::No),
            (b"GET / HTTP/1.1", Opening::No),
        ];
        for (bytes, want) in cases {
            assert_eq!(http2::joined(bytes), want, "{bytes:?}");
        }
    }
}
