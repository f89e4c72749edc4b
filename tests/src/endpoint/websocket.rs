//! The `/responses` API over a WebSocket: each message of the client is a request, each event of the answer a message.
//!
//! Hand-written after RFC 6455 (frames) and RFC 7692 (permessage-deflate with context takeover), since the usual crates
//! do not compress.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::log::{ConnectionLog, LoggedRequest};
use super::reply::{Body, plain};
use super::service::message_logged;
use super::{WebSockets, openai};

/// Largest message, also after decompression.
const MAX_MESSAGE: usize = 32 << 20;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Whether a request asks for a WebSocket.
pub(super) fn is_wanted(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Takes the connection over, or says with 426 that this endpoint has no WebSockets, as some proxies do.
pub(super) fn respond(
    mut request: Request<Incoming>,
    web_sockets: WebSockets,
    mut head: LoggedRequest,
    connection: ConnectionLog,
) -> Response<Body> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let (Some(key), true) = (key, web_sockets != WebSockets::Refuse) else {
        head.status = 426;
        connection.note(head);
        return plain(426, &openai::error(426), request.headers()).response;
    };
    let compressed = web_sockets == WebSockets::Deflate && offers_deflate(&request);
    head.status = 101;
    let protocol = if compressed {
        "websocket+deflate"
    } else {
        "websocket"
    };
    protocol.clone_into(&mut head.protocol);
    connection.note(head.clone());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            let mut socket = Socket::new(TokioIo::new(stream), compressed);
            // A client that breaks off ends this socket and nothing else.
            let _ = serve(&mut socket, &head, &connection).await;
        }
    });
    switching(&key, compressed)
}

fn offers_deflate(request: &Request<Incoming>) -> bool {
    let offers = request.headers().get_all(SEC_WEBSOCKET_EXTENSIONS);
    // A smaller window for our side is a wish that flate2 cannot fulfil; then the offer is declined.
    offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|offer| {
            offer.contains("permessage-deflate")
                && !offer.contains("server_max_window_bits")
                && !offer.contains("server_no_context_takeover")
        })
}

fn switching(key: &HeaderValue, compressed: bool) -> Response<Body> {
    let mut response = Response::new(Empty::<Bytes>::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept_key(key.as_bytes())) {
        fields.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if compressed {
        let extension = HeaderValue::from_static("permessage-deflate");
        fields.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

/// RFC 6455, 4.2.2: base64 of SHA-1 of key and a fixed text.
fn accept_key(key: &[u8]) -> String {
    use base64::Engine as _;
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

async fn serve<S>(socket: &mut Socket<S>, head: &LoggedRequest, connection: &ConnectionLog) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.message().await? {
        let Ok(body) = serde_json::from_slice::<Value>(&message) else {
            socket.text(&openai::error(400).to_string()).await?;
            continue;
        };
        let answer = openai::responses_answer(&body);
        connection.note(message_logged(head, &body, message.len()));
        if let Some(status) = answer.wishes.error {
            let error = json!({"type": "error", "status": status, "error": openai::error(status)["error"]});
            socket.text(&error.to_string()).await?;
            continue;
        }
        for event in openai::response_events(&answer, &body) {
            if let Some(delay) = answer.wishes.delay {
                tokio::time::sleep(delay).await;
            }
            socket.text(&event.to_string()).await?;
        }
    }
    Ok(())
}

struct Socket<S> {
    stream: S,
    inflate: Option<Decompress>,
    deflate: Option<Compress>,
}

struct Frame {
    last: bool,
    compressed: bool,
    kind: u8,
    payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    fn new(stream: S, compressed: bool) -> Self {
        Self {
            stream,
            inflate: compressed.then(|| Decompress::new(false)),
            deflate: compressed.then(|| Compress::new(Compression::fast(), false)),
        }
    }

    /// The next data message, decompressed. `None` at the end.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut compressed = false;
        loop {
            let frame = self.frame().await?;
            match frame.kind {
                CLOSE => {
                    self.send(CLOSE, false, &frame.payload).await?;
                    return Ok(None);
                }
                PING => self.send(PONG, false, &frame.payload).await?,
                PONG => {}
                _ => {
                    // Only the first frame of a message says whether it is compressed.
                    compressed |= frame.compressed;
                    message.extend_from_slice(&frame.payload);
                    if message.len() > MAX_MESSAGE {
                        return Err(io::Error::other("message too long"));
                    }
                    if frame.last {
                        break;
                    }
                }
            }
        }
        if !compressed {
            return Ok(Some(message));
        }
        let state = self.inflate.as_mut();
        let state = state.ok_or_else(|| io::Error::other("compressed without agreement"))?;
        inflate(state, message).map(Some)
    }

    async fn frame(&mut self) -> io::Result<Frame> {
        let [first, second] = self.array().await?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.array().await?)),
            127 => u64::from_be_bytes(self.array().await?),
            short => u64::from(short),
        };
        if length > MAX_MESSAGE as u64 {
            return Err(io::Error::other("frame too long"));
        }
        let mask: [u8; 4] = if second & 0x80 == 0 {
            return Err(io::Error::other("a client's frame without a mask"));
        } else {
            self.array().await?
        };
        let mut payload = Vec::new();
        let mut limited = (&mut self.stream).take(length);
        limited.read_to_end(&mut payload).await?;
        if payload.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Ok(Frame {
            last: first & 0x80 != 0,
            compressed: first & 0x40 != 0,
            kind: first & 0x0f,
            payload,
        })
    }

    async fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn text(&mut self, text: &str) -> io::Result<()> {
        match self.deflate.as_mut() {
            Some(state) => {
                let payload = deflate(state, text.as_bytes())?;
                self.send(TEXT, true, &payload).await
            }
            None => self.send(TEXT, false, text.as_bytes()).await,
        }
    }

    async fn send(&mut self, kind: u8, compressed: bool, payload: &[u8]) -> io::Result<()> {
        let first = 0x80 | kind | if compressed { 0x40 } else { 0 };
        let mut frame = vec![first];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length), _) if length < 126 => frame.push(length),
            (_, Ok(length)) => {
                frame.push(126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await
    }
}

/// What a sync flush ends with; a sender leaves it out (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn inflate(state: &mut Decompress, mut input: Vec<u8>) -> io::Result<Vec<u8>> {
    input.extend_from_slice(&TAIL);
    let mut output = Vec::new();
    let mut taken = 0;
    loop {
        output.reserve(16 << 10);
        let before = (state.total_in(), output.len());
        let rest = input.get(taken..).unwrap_or_default();
        state
            .decompress_vec(rest, &mut output, FlushDecompress::Sync)
            .map_err(io::Error::other)?;
        let step = state.total_in() - before.0;
        taken += usize::try_from(step).unwrap_or(usize::MAX);
        if output.len() > MAX_MESSAGE {
            return Err(io::Error::other("message too long"));
        }
        if taken >= input.len() && output.len() < output.capacity() || (step, output.len()) == (0, before.1) {
            return Ok(output);
        }
    }
}

fn deflate(state: &mut Compress, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(input.len() + 64);
    let mut taken = 0;
    loop {
        let before = state.total_in();
        let rest = input.get(taken..).unwrap_or_default();
        state
            .compress_vec(rest, &mut output, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        taken += usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
        if taken >= input.len() && output.len() < output.capacity() {
            break;
        }
        output.reserve(1 << 10);
    }
    if output.ends_with(&TAIL) {
        output.truncate(output.len() - TAIL.len());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    #[test]
    fn accept_key_is_the_standard_s() {
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn compressed_messages_of_any_size_come_back_with_context() {
        let mut send = Compress::new(Compression::fast(), false);
        let mut receive = Decompress::new(false);
        for size in [0_u64, 1, 5, 100, 16 << 10, 300_000] {
            let text: Vec<u8> = (0..size).map(|n| (n * n % 251) as u8).collect();
            for _ in 0..2 {
                let packed = deflate(&mut send, &text).expect("deflate");
                assert_eq!(
                    inflate(&mut receive, packed).expect("inflate"),
                    text,
                    "size {size}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_masked_message_in_two_frames_with_a_ping_between() {
        let (client, server) = tokio::io::duplex(1024);
        let mut socket = Socket::new(server, false);
        let (mut reading, mut writing) = tokio::io::split(client);
        // Frames masked with 1, 2, 3, 4: "Hel", ping, "lo".
        let frames = [
            &[0x01, 0x83, 1, 2, 3, 4, b'H' ^ 1, b'e' ^ 2, b'l' ^ 3][..],
            &[0x89, 0x81, 1, 2, 3, 4, b'p' ^ 1],
            &[0x80, 0x82, 1, 2, 3, 4, b'l' ^ 1, b'o' ^ 2],
        ];
        for byte in frames.concat() {
            writing.write_all(&[byte]).await.expect("write");
        }
        assert_eq!(
            socket.message().await.expect("message").as_deref(),
            Some(&b"Hello"[..])
        );
        let mut pong = [0; 3];
        reading.read_exact(&mut pong).await.expect("pong");
        assert_eq!(pong, [0x8a, 1, b'p']);
    }
}
