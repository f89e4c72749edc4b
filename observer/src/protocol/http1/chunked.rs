//! Chunked transfer coding (RFC 9112 section 7.1).

use super::{MAX_CHUNK_LINE, MAX_TRAILERS};
use crate::protocol::Incomplete;

/// ```text
/// Size -> Extension -> Data -> DataEnd -> Size ... -> Trailer -> (over)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Reading hexadecimal digits; `digits` of them so far.
    Size { digits: u8 },
    /// Skipping to the end of the size line.
    Extension,
    /// Inside chunk data.
    Data,
    /// Expecting the line end after chunk data.
    DataEnd,
    /// In the trailer section; `blank` while the current line is empty.
    Trailer { blank: bool },
}

/// Decoder of one chunked body.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    state: State,
    /// Data bytes left in the current chunk (in `Size`: the size so far).
    left: u64,
    /// Bytes of the current line, or of the trailer section.
    line: usize,
}

/// What `Chunked::push` found in front of its input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// That many bytes are framing.
    Framing(usize),
    /// That many bytes are body data.
    Data(usize),
    /// That many bytes are framing, and the body is over after them.
    Over(usize),
    /// Not chunked coding.
    Broken(Incomplete),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            line: 0,
        }
    }

    /// Takes a hole of `missing` bytes if it lies inside chunk data; says whether it did.
    pub(super) fn skip(&mut self, missing: u64) -> bool {
        if self.state != State::Data || missing > self.left {
            return false;
        }
        self.left -= missing;
        if self.left == 0 {
            self.state = State::DataEnd;
        }
        true
    }

    /// Looks at the front of `data` (not empty) and consumes one piece of it.
    pub(super) fn push(&mut self, data: &[u8]) -> Piece {
        if self.state == State::Data {
            let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
            self.left -= take as u64;
            if self.left == 0 {
                self.state = State::DataEnd;
            }
            return Piece::Data(take);
        }
        for (at, byte) in data.iter().enumerate() {
            match self.framing(*byte) {
                Ok(false) if self.state == State::Data => return Piece::Framing(at + 1),
                Ok(false) => {}
                Ok(true) => return Piece::Over(at + 1),
                Err(why) => return Piece::Broken(why),
            }
        }
        Piece::Framing(data.len())
    }

    /// One byte of framing; `true` when the body is over.
    fn framing(&mut self, byte: u8) -> Result<bool, Incomplete> {
        self.line += 1;
        let budget = if matches!(self.state, State::Trailer { .. }) {
            MAX_TRAILERS
        } else {
            MAX_CHUNK_LINE
        };
        if self.line > budget {
            return Err(Incomplete::OverBudget);
        }
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => self.digit(digits, byte)?,
            (State::Size { digits: 0 }, _) => return Err(Incomplete::Malformed),
            (State::Size { .. } | State::Extension, b'\n') => self.size_line_end(),
            (State::Size { .. }, b';' | b' ' | b'\t' | b'\r') => self.state = State::Extension,
            (State::Size { .. }, _) => return Err(Incomplete::Malformed),
            (State::DataEnd, b'\n') => (self.state, self.line) = (State::Size { digits: 0 }, 0),
            // Only one carriage return may stand there, but the line feed after it decides.
            (State::DataEnd, b'\r') if self.line == 1 => {}
            (State::DataEnd, _) => return Err(Incomplete::Malformed),
            (State::Trailer { blank }, b'\n') => {
                self.state = State::Trailer { blank: true };
                return Ok(blank);
            }
            (State::Trailer { .. }, b'\r') => {}
            (State::Trailer { .. }, _) => self.state = State::Trailer { blank: false },
            (State::Extension | State::Data, _) => {}
        }
        Ok(false)
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<(), Incomplete> {
        let value = char::from(byte).to_digit(16).map_or(0, u64::from);
        self.left = self.left.checked_mul(16).ok_or(Incomplete::Malformed)? | value;
        self.state = State::Size {
            digits: digits.saturating_add(1),
        };
        Ok(())
    }

    fn size_line_end(&mut self) {
        self.line = 0;
        self.state = if self.left == 0 {
            State::Trailer { blank: true }
        } else {
            State::Data
        };
    }
}

/// Whether `data` begins like a chunk: a size line, and where the chunk ends in `data`, a line end behind it.
pub(super) fn begins_chunk(data: &[u8]) -> bool {
    const LINE: usize = 64;
    let digits = data.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let Some(end) = memchr::memchr(b'\n', &data[..data.len().min(LINE)]) else {
        return false;
    };
    if !(1..=8).contains(&digits) || !matches!(&data[digits..end], b"\r" | [b';', .., b'\r']) {
        return false;
    }
    let size = std::str::from_utf8(&data[..digits])
        .ok()
        .and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let behind = size
        .and_then(|size| data.get(end + 1 + size..))
        .unwrap_or_default();
    behind.is_empty() || behind.starts_with(b"\r\n") || behind == b"\r"
}
