//! The body of a request as a blocking reader, with its encodings taken off.
//!
//! Everything is pulled: a decoder asks for compressed bytes when its output is wanted, so a body that expands a
//! thousandfold needs no more memory than its buffers.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::error::Exception;
use super::frame::Frames;

/// A client that sends nothing for so long has gone.
const IDLE: Duration = Duration::from_secs(60);

/// Reads an HTTP body from a blocking thread.
pub(super) struct BodyReader {
    body: Body,
    rest: Bytes,
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

impl BodyReader {
    /// Reads fail once `stop` is true.
    pub(super) fn new(body: Body, runtime: Handle, stop: watch::Receiver<bool>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            runtime,
            stop,
        }
    }

    /// The next piece; `None` at the end.
    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let Self {
            body, runtime, stop, ..
        } = self;
        runtime.block_on(async {
            loop {
                let frame = tokio::select! {
                    frame = tokio::time::timeout(IDLE, body.frame()) => frame,
                    _ = stop.wait_for(|stopped| *stopped) => {
                        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the store is stopping"));
                    }
                };
                match frame {
                    Err(_) => {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            "the client sends nothing",
                        ));
                    }
                    Ok(None) => return Ok(None),
                    Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                    Ok(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            }
        })
    }
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.piece()? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

/// `raw` without its `Content-Encoding` (`encoding`) and without native frames (`framed`).
pub(super) fn decoded(
    raw: impl Read + Send + 'static,
    encoding: &str,
    framed: bool,
) -> Result<Box<dyn Read + Send>, Exception> {
    let plain: Box<dyn Read + Send> = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Box::new(raw),
        "gzip" | "x-gzip" => Box::new(Corrupt(flate2::read::MultiGzDecoder::new(raw))),
        "deflate" => Box::new(Corrupt(flate2::read::ZlibDecoder::new(raw))),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::new(raw).map_err(Exception::data)?;
            Box::new(Corrupt(decoder))
        }
        "lz4" => Box::new(Corrupt(lz4_flex::frame::FrameDecoder::new(raw))),
        other => {
            let message = format_args!("Unknown compression method '{other}'");
            return Err(Exception::new(89, "UNKNOWN_COMPRESSION_METHOD", message));
        }
    };
    Ok(if framed {
        Box::new(Frames::new(plain))
    } else {
        plain
    })
}

/// Errors of a decoder mean damaged data, unless they come from the body itself.
struct Corrupt<R>(R);

impl<R: Read> Read for Corrupt<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, TimedOut};
        self.0.read(out).map_err(|error| match error.kind() {
            ConnectionAborted | Interrupted | TimedOut => error,
            _ => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("compressed body is damaged: {error}"),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn read(bytes: Vec<u8>, encoding: &str, framed: bool) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut reader =
            decoded(Cursor::new(bytes), encoding, framed).map_err(|e| io::Error::other(e.to_string()))?;
        reader.read_to_end(&mut out).map(|_| out)
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn encodings_come_off() {
        let data = b"SELECT 1\n\n".repeat(1000);
        let lz4 = {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(&data).expect("memory");
            encoder.finish().expect("memory")
        };
        assert_eq!(read(data.clone(), "", false).expect("plain"), data);
        assert_eq!(read(gzip(&data), "gzip", false).expect("gzip"), data);
        assert_eq!(
            read(zstd::encode_all(&data[..], 1).expect("zstd"), "zstd", false).expect("zstd"),
            data
        );
        assert_eq!(read(lz4, "lz4", false).expect("lz4"), data);
        assert_eq!(
            read(gzip(&super::super::frame::compress(&data)), "GZIP", true).expect("both"),
            data
        );
    }

    #[test]
    fn damage_is_an_error_and_unknown_encodings_are_refused() {
        let mut bytes = gzip(b"some data that is long enough to be cut");
        bytes.truncate(bytes.len() - 9);
        assert!(read(bytes, "gzip", false).is_err());
        assert_eq!(
            read(b"not zstd at all".to_vec(), "zstd", false)
                .expect_err("damaged")
                .kind(),
            io::ErrorKind::InvalidData
        );
        let error = read(vec![], "br2", false).expect_err("unknown");
        assert!(error.to_string().contains("Code: 89"), "{error}");
    }
}
