//! Content codings put on again.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// `body` in this coding, and the coding's name; unchanged and without one where it is not known. A body that has the
/// coding already stays as it is.
///
/// # Errors
/// None that memory does not cause.
pub(super) fn coded(body: &[u8], coding: Option<&str>) -> Result<(Vec<u8>, Option<String>)> {
    let Some(coding) = coding else {
        return Ok((body.to_vec(), None));
    };
    let out = match coding {
        _ if has(body, coding) => body.to_vec(),
        "gzip" | "x-gzip" => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(body)?;
            gzip.finish()?
        }
        "deflate" => {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
            zlib.write_all(body)?;
            zlib.finish()?
        }
        "br" => brotli(body),
        "zstd" => zstd::encode_all(body, 0)?,
        _ => return Ok((body.to_vec(), None)),
    };
    Ok((out, Some(coding.to_owned())))
}

fn has(body: &[u8], coding: &str) -> bool {
    let magic: &[u8] = match coding {
        "gzip" | "x-gzip" => &[0x1f, 0x8b],
        "zstd" => &[0x28, 0xb5, 0x2f, 0xfd],
        _ => return false,
    };
    body.starts_with(magic)
}

/// A brotli stream of uncompressed blocks (RFC 7932 section 9.2): a window of 16 bits, then blocks of up to 64 KiB.
fn brotli(body: &[u8]) -> Vec<u8> {
    let (mut out, mut bits) = (Vec::new(), Bits::default());
    // WBITS 16.
    bits.put(&mut out, 0, 1);
    for block in body.chunks(1 << 16) {
        // Not the last, four nibbles of length - 1, uncompressed; then whole bytes.
        bits.put(&mut out, 0, 1);
        bits.put(&mut out, 0, 2);
        bits.put(&mut out, u64::try_from(block.len() - 1).unwrap_or(0), 16);
        bits.put(&mut out, 1, 1);
        bits.flush(&mut out);
        out.extend_from_slice(block);
    }
    // The last, and empty.
    bits.put(&mut out, 3, 2);
    bits.flush(&mut out);
    out
}

/// Bits, lowest first.
#[derive(Default)]
struct Bits(u64, u32);

impl Bits {
    fn put(&mut self, out: &mut Vec<u8>, value: u64, count: u32) {
        self.0 |= value << self.1;
        self.1 += count;
        while self.1 >= 8 {
            out.push((self.0 & 0xff) as u8);
            self.0 >>= 8;
            self.1 -= 8;
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.1 > 0 {
            self.put(out, 0, 8 - self.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use observer::protocol::encoding::ContentDecoder;

    use super::*;

    #[test]
    fn what_is_coded_is_read() {
        let body: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let (packed, name) = coded(&body, Some(coding)).unwrap();
            let mut read = Vec::new();
            let mut decoder = ContentDecoder::new(name.as_deref());
            for piece in packed.chunks(999) {
                decoder
                    .push(piece, &mut |data| read.extend_from_slice(data))
                    .unwrap();
            }
            assert!(read == body && decoder.is_complete(), "{coding}: {}", read.len());
        }
        assert_eq!(coded(b"x", Some("rot13")).unwrap(), (b"x".to_vec(), None));
    }
}
