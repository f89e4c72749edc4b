//! Finds base64 in a text and gives it out decoded, where what it holds is text.

use super::{Event, Sink};

/// Shortest run of base64 letters that is looked at: long words are no base64.
const SHORTEST: usize = 24;

/// Decoder of both alphabets of RFC 4648, with line ends inside as MIME and PEM have them.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    /// Offset of the next byte.
    at: u64,
    mode: Mode,
    /// Letters of a run that is too short so far.
    held: Vec<u8>,
    /// Up to three letters that wait for the fourth, six bits each.
    bits: u32,
    letters: u32,
    decoded: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Look,
    /// A run that holds text.
    Text,
    /// The same, after a line end.
    LineEnd,
    /// A run that holds no text.
    Binary,
}

impl Base64 {
    pub(super) fn feed(&mut self, piece: &[u8], sink: &mut Sink<'_>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = match self.mode {
                Mode::Look => self.look(rest, sink),
                Mode::Binary => {
                    let end = rest.iter().position(|b| value(*b).is_none());
                    if end.is_some() {
                        self.mode = Mode::Look;
                    }
                    end.unwrap_or(rest.len())
                }
                Mode::LineEnd => self.line_end(rest[0], sink),
                Mode::Text => self.text(rest, sink),
            };
            self.at += u64::try_from(used).unwrap_or(u64::MAX);
            rest = &rest[used..];
        }
    }

    pub(super) fn end(&mut self, sink: &mut Sink<'_>) {
        if matches!(self.mode, Mode::Text | Mode::LineEnd) {
            self.close(sink);
        }
    }

    /// Looks for a run that is long enough. Only one byte in so many has to be looked at where there is none.
    fn look(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> usize {
        let mut start = 0;
        loop {
            // What is held stands before the first byte.
            let held = if start == 0 { self.held.len() } else { 0 };
            let end = start + SHORTEST - held;
            let window = &bytes[start..end.min(bytes.len())];
            if let Some(at) = window.iter().rposition(|b| value(*b).is_none()) {
                self.held.clear();
                start += at + 1;
            } else if end <= bytes.len() {
                self.held.extend_from_slice(window);
                self.begin(u64::try_from(end).unwrap_or(u64::MAX), sink);
                return end;
            } else {
                self.held.extend_from_slice(window);
                return bytes.len();
            }
        }
    }

    /// A run is long enough: is it text?
    fn begin(&mut self, used: u64, sink: &mut Sink<'_>) {
        let held = std::mem::take(&mut self.held);
        (self.bits, self.letters) = (0, 0);
        self.decoded.clear();
        for letter in &held {
            self.letter(value(*letter).unwrap_or_default());
        }
        self.mode = if is_text(&self.decoded) {
            Mode::Text
        } else {
            Mode::Binary
        };
        if self.mode == Mode::Text {
            let start = self.at + used - u64::try_from(held.len()).unwrap_or(u64::MAX);
            sink(Event::Begin(start), &[]);
            self.flush(sink);
        }
    }

    fn text(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> usize {
        let mut used = 0;
        for byte in bytes {
            let Some(value) = value(*byte) else {
                break;
            };
            self.letter(value);
            used += 1;
        }
        self.flush(sink);
        match bytes.get(used) {
            None => used,
            Some(b'\n' | b'\r') => {
                self.mode = Mode::LineEnd;
                used + 1
            }
            Some(_) => {
                self.at += u64::try_from(used).unwrap_or(u64::MAX);
                self.close(sink);
                self.at -= u64::try_from(used).unwrap_or(u64::MAX);
                used
            }
        }
    }

    fn line_end(&mut self, byte: u8, sink: &mut Sink<'_>) -> usize {
        if value(byte).is_some() {
            self.mode = Mode::Text;
            return 0;
        }
        // The second half of CR LF.
        if byte == b'\n' {
            return 1;
        }
        self.close(sink);
        0
    }

    fn letter(&mut self, value: u8) {
        self.bits = self.bits << 6 | u32::from(value);
        self.letters += 1;
        if self.letters == 4 {
            let [_, a, b, c] = self.bits.to_be_bytes();
            self.decoded.extend([a, b, c]);
            (self.bits, self.letters) = (0, 0);
        }
    }

    fn flush(&mut self, sink: &mut Sink<'_>) {
        sink(Event::Decoded(true), &self.decoded);
        self.decoded.clear();
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        let rest = (self.bits << (24 - 6 * self.letters)).to_be_bytes();
        let bytes = usize::try_from(self.letters * 6 / 8).unwrap_or(0);
        self.decoded.extend_from_slice(&rest[1..=bytes]);
        (self.bits, self.letters) = (0, 0);
        self.flush(sink);
        sink(Event::End(self.at), b"\n");
        self.mode = Mode::Look;
    }
}

/// The six bits of a letter of either alphabet.
fn value(letter: u8) -> Option<u8> {
    const TABLE: [u8; 256] = {
        let mut table = [u8::MAX; 256];
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut i = 0;
        while i < 64 {
            table[alphabet[i] as usize] = i as u8;
            i += 1;
        }
        table[b'-' as usize] = 62;
        table[b'_' as usize] = 63;
        table
    };
    Some(TABLE[usize::from(letter)]).filter(|value| *value < 64)
}

/// Text has no control characters and is UTF-8. The last character may be cut.
fn is_text(bytes: &[u8]) -> bool {
    let control = |b: &u8| b.is_ascii_control() && !matches!(b, b'\n' | b'\r' | b'\t');
    let utf8 = std::str::from_utf8(bytes)
        .err()
        .is_none_or(|error| error.error_len().is_none());
    utf8 && !bytes.iter().any(control)
}
