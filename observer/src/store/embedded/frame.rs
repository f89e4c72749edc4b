//! Native compressed frames of ClickHouse (`compress=1`, `decompress=1`): 16 bytes CityHash128 1.0.2 of the rest,
//! 1 byte method, u32 compressed size with these 9 bytes, u32 raw size (both little endian), data. Pure.

use std::io::{self, Read};

/// Bytes before the data.
const HEADER: usize = 25;
/// Bytes that the stated compressed size counts besides the data.
const COUNTED: usize = 9;
/// Largest raw or compressed size accepted. Clients send about 1 MiB; the server's own limit is 1 GiB.
const MAX_FRAME: usize = 64 << 20;
/// Raw bytes put into one frame.
const FRAME_RAW: usize = 1 << 20;

const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

fn checksum(rest: &[u8]) -> [u8; 16] {
    cityhash_rs::cityhash_102_128(rest).rotate_right(64).to_le_bytes()
}

/// `data` as LZ4 frames. Nothing for no data.
pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 2 + HEADER);
    for raw in data.chunks(FRAME_RAW) {
        // The size fits: raw is at most 1 MiB.
        out.extend(framed(
            METHOD_LZ4,
            &lz4_flex::block::compress(raw),
            raw.len() as u32,
        ));
    }
    out
}

/// One frame with this method and data, said to hold `raw` bytes.
pub(super) fn framed(method: u8, data: &[u8], raw: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + HEADER);
    out.extend_from_slice(&[0; 16]);
    out.push(method);
    // The size fits: frames of this side hold at most 1 MiB, and LZ4 adds less than 1 %.
    out.extend_from_slice(&((data.len() + COUNTED) as u32).to_le_bytes());
    out.extend_from_slice(&raw.to_le_bytes());
    out.extend_from_slice(data);
    let hash = checksum(&out[16..]);
    out[..16].copy_from_slice(&hash);
    out
}

/// Reads frames from `inner` and gives their raw bytes. Ends where `inner` ends between two frames.
pub(super) struct Frames<R> {
    inner: R,
    raw: Vec<u8>,
    at: usize,
}

impl<R: Read> Frames<R> {
    /// Nothing is read yet.
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            raw: Vec::new(),
            at: 0,
        }
    }

    /// Reads the next frame; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut header = [0; HEADER];
        let got = read_up_to(&mut self.inner, &mut header)?;
        if got == 0 {
            return Ok(false);
        }
        if got < HEADER {
            return Err(invalid("compressed data ends inside a frame"));
        }
        let size = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
        };
        let (packed, raw) = (size(17), size(21));
        if !(COUNTED..=MAX_FRAME).contains(&packed) || raw > MAX_FRAME {
            return Err(invalid("compressed frame states an impossible size"));
        }
        // Grows with what really arrives, not with what the header states.
        let mut rest = header[16..].to_vec();
        self.inner
            .by_ref()
            .take((packed - COUNTED) as u64)
            .read_to_end(&mut rest)?;
        if rest.len() < packed {
            return Err(invalid("compressed data ends inside a frame"));
        }
        if checksum(&rest) != header[..16] {
            return Err(invalid("checksum of a compressed frame does not match"));
        }
        self.raw = unpack(rest[0], &rest[COUNTED..], raw)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.raw.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let length = out.len().min(self.raw.len() - self.at);
        out[..length].copy_from_slice(&self.raw[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

fn unpack(method: u8, data: &[u8], raw: usize) -> io::Result<Vec<u8>> {
    let out = match method {
        METHOD_NONE => data.to_vec(),
        METHOD_LZ4 => lz4_flex::block::decompress(data, raw).map_err(|_| invalid("LZ4 frame is damaged"))?,
        METHOD_ZSTD => zstd::bulk::decompress(data, raw).map_err(|_| invalid("ZSTD frame is damaged"))?,
        _ => return Err(invalid("unknown compression method in a frame")),
    };
    if out.len() != raw {
        return Err(invalid("compressed frame has another size than it states"));
    }
    Ok(out)
}

/// Fills `out` as far as the input goes.
fn read_up_to(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match input.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of `step`.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(out.len());
            out[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn read_all(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(Pieces(bytes, step))
            .read_to_end(&mut out)
            .map(|_| out)
    }

    #[test]
    fn all_methods_in_pieces_of_any_size() {
        let data = b"abc\n\n\0def".repeat(9);
        let frames = [
            compress(&data),
            framed(METHOD_NONE, &data, data.len() as u32),
            framed(
                METHOD_ZSTD,
                &zstd::bulk::compress(&data, 1).expect("zstd"),
                data.len() as u32,
            ),
        ]
        .concat();
        for step in 1..=frames.len() {
            assert_eq!(
                read_all(&frames, step).expect("frames"),
                data.repeat(3),
                "pieces of {step}"
            );
        }
    }

    #[test]
    fn large_data_takes_several_frames() {
        let data: Vec<u8> = (0..(FRAME_RAW * 2 + 5)).map(|i| (i * 31 % 251) as u8).collect();
        assert_eq!(read_all(&compress(&data), 4096).expect("frames"), data);
        assert!(compress(b"").is_empty());
    }

    #[test]
    fn a_known_frame() {
        // Checksum as ClickHouse 26.7 computes it for `SELECT 1 FORMAT TSV` with compress=1 (checked live in
        // tests/store.rs, where the official client reads such frames).
        let bytes = compress(b"1\n");
        assert_eq!(&bytes[16..], [0x82, 12, 0, 0, 0, 2, 0, 0, 0, 0x20, b'1', b'\n']);
    }

    #[test]
    fn cut_damaged_and_oversized_frames_are_errors() {
        let good = compress(b"hello hello hello");
        for cut in 1..good.len() {
            assert!(read_all(&good[..cut], 7).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            assert!(read_all(&bad, 1000).is_err(), "byte {at}");
        }
        for (packed, raw) in [(8, 1), (MAX_FRAME + 1, 1), (9, MAX_FRAME + 1)] {
            let mut bad = good.clone();
            bad[17..21].copy_from_slice(&(packed as u32).to_le_bytes());
            bad[21..25].copy_from_slice(&(raw as u32).to_le_bytes());
            assert!(
                read_all(&bad, 1000)
                    .expect_err("size")
                    .to_string()
                    .contains("impossible size")
            );
        }
        assert!(read_all(&framed(0x77, b"x", 1), 10).is_err());
        assert!(read_all(&framed(METHOD_NONE, b"x", 2), 10).is_err());
    }
}
