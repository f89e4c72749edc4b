//! One content coding: coded bytes in, decoded bytes into a buffer of fixed size.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::gzip::Gzip;
use super::{EncodingLoss, ZSTD_WINDOW_LOG};

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) enum Stage {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    /// RFC 7932 without the large-window extension: at most 16 MiB of window.
    Brotli {
        state: Box<Brotli>,
        over: bool,
    },
    Zstd {
        decoder: Box<Decoder<'static>>,
        over: bool,
    },
}

/// "deflate" is zlib (RFC 1950) by the standard and raw deflate (RFC 1951) by widespread habit.
pub(super) enum Deflate {
    Unknown(Option<u8>),
    Known { inflate: Box<Decompress>, over: bool },
}

impl Stage {
    /// A decoder for the coding `name` (lower case).
    pub(super) fn by_name(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(Gzip::new()))),
            "deflate" => Some(Self::Deflate(Deflate::Unknown(None))),
            "br" => {
                let alloc = StandardAlloc::default;
                let state = Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()));
                Some(Self::Brotli { state, over: false })
            }
            "zstd" => {
                let mut decoder = Decoder::new().ok()?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .ok()?;
                Some(Self::Zstd {
                    decoder: Box::new(decoder),
                    over: false,
                })
            }
            _ => None,
        }
    }

    /// Decodes from the front of `data` into `out`: bytes used and bytes made. Nothing used and nothing made means
    /// that more input is needed.
    pub(super) fn run(&mut self, data: &[u8], out: &mut [u8]) -> Result<(usize, usize), EncodingLoss> {
        match self {
            Self::Gzip(gzip) => gzip.run(data, out),
            Self::Deflate(deflate) => deflate.run(data, out),
            Self::Brotli { over: true, .. } => ended(data),
            Self::Brotli { state, over } => brotli(state, over, data, out),
            Self::Zstd { decoder, over } => zstd(decoder, over, data, out),
        }
    }

    /// Most bytes of its output that the decoder keeps; 0 where it is next to nothing (deflate: 32 KiB).
    pub(super) fn window(&self) -> u64 {
        match self {
            Self::Gzip(_) | Self::Deflate(_) => 0,
            Self::Brotli { .. } => 16 << 20,
            Self::Zstd { .. } => 1 << ZSTD_WINDOW_LOG,
        }
    }

    /// Whether the coded stream is over.
    pub(super) fn at_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.at_end(),
            Self::Deflate(Deflate::Unknown(_)) => false,
            Self::Deflate(Deflate::Known { over, .. })
            | Self::Brotli { over, .. }
            | Self::Zstd { over, .. } => *over,
        }
    }
}

impl Deflate {
    fn run(&mut self, data: &[u8], out: &mut [u8]) -> Result<(usize, usize), EncodingLoss> {
        match self {
            Self::Unknown(None) => {
                let Some(first) = data.first() else {
                    return Ok((0, 0));
                };
                *self = Self::Unknown(Some(*first));
                Ok((1, 0))
            }
            Self::Unknown(Some(first)) => {
                let Some(second) = data.first() else {
                    return Ok((0, 0));
                };
                let first = *first;
                let zlib = first & 0x0f == 8
                    && first >> 4 <= 7
                    && u16::from_be_bytes([first, *second]).is_multiple_of(31);
                let mut inflate_state = Box::new(Decompress::new(zlib));
                // The first byte was kept back; it makes no output on its own.
                let (_, made, over) = inflate(&mut inflate_state, &[first], out)?;
                *self = Self::Known {
                    inflate: inflate_state,
                    over,
                };
                if made > 0 {
                    Ok((0, made))
                } else {
                    self.run(data, out)
                }
            }
            Self::Known { over: true, .. } => ended(data),
            Self::Known { inflate: state, over } => {
                let (used, made, now_over) = inflate(state, data, out)?;
                *over = now_over;
                Ok((used, made))
            }
        }
    }
}

fn ended(data: &[u8]) -> Result<(usize, usize), EncodingLoss> {
    if data.is_empty() {
        Ok((0, 0))
    } else {
        Err(EncodingLoss::Ended)
    }
}

/// Runs deflate: bytes used, bytes made, stream over.
pub(super) fn inflate(
    state: &mut Decompress,
    data: &[u8],
    out: &mut [u8],
) -> Result<(usize, usize, bool), EncodingLoss> {
    let before = (state.total_in(), state.total_out());
    let status = state
        .decompress(data, out, FlushDecompress::None)
        .map_err(|_| EncodingLoss::Corrupt)?;
    let used = usize::try_from(state.total_in() - before.0).unwrap_or(data.len());
    let made = usize::try_from(state.total_out() - before.1).unwrap_or(out.len());
    Ok((used, made, status == Status::StreamEnd))
}

fn brotli(
    state: &mut Brotli,
    over: &mut bool,
    data: &[u8],
    out: &mut [u8],
) -> Result<(usize, usize), EncodingLoss> {
    let (mut available_in, mut used) = (data.len(), 0);
    let (mut available_out, mut made, mut total) = (out.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut available_in,
        &mut used,
        data,
        &mut available_out,
        &mut made,
        out,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => return Err(EncodingLoss::Corrupt),
        BrotliResult::ResultSuccess => *over = true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
    }
    Ok((used, made))
}

fn zstd(
    decoder: &mut Decoder<'static>,
    over: &mut bool,
    data: &[u8],
    out: &mut [u8],
) -> Result<(usize, usize), EncodingLoss> {
    // Between frames an empty call would begin the next one.
    if data.is_empty() && *over {
        return Ok((0, 0));
    }
    let mut input = InBuffer::around(data);
    let mut output = OutBuffer::around(out);
    let hint = decoder.run(&mut input, &mut output).map_err(|e| zstd_loss(&e))?;
    *over = hint == 0;
    Ok((input.pos(), output.pos()))
}

/// zstd names a window beyond the limit in its message only.
fn zstd_loss(error: &std::io::Error) -> EncodingLoss {
    match error.to_string().contains("memory") {
        true => EncodingLoss::OverBudget,
        false => EncodingLoss::Corrupt,
    }
}
