//! Finds words with escapes in a text (`p%40ss`, `\"key\":\"...\"`) and gives them out decoded.
//!
//! A word ends at a space, a quote or an angle bracket. One without escapes is not given out: it was scanned as it stands.
//! Behind an escape it goes on over the spaces of a number in groups (`\n4539 1488 0343 6467`), which could be seen nowhere
//! else: to the outer text the letter of the escape is a part of it.

use super::{Event, Sink};

/// Most bytes of a word before its first escape that are given out, too.
const LEAD: usize = 128;

/// Most groups of a number that are looked for, and most characters of one.
const GROUPS: u8 = 9;
const GROUP: u8 = 6;
/// Characters of the first group: four digits of a card, country and check digits of an account.
const FIRST_GROUP: u8 = 4;

/// Decoder of percent encoding (RFC 3986, forms) and of the escapes of JSON strings.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    /// Offset of the next byte.
    at: u64,
    /// The last bytes that came, where they may be the begin of a word with escapes.
    tail: Vec<u8>,
    /// Bytes of an escape that is not complete.
    partial: Vec<u8>,
    /// A word with escapes is open.
    open: bool,
    /// What it has behind its last escape.
    number: Number,
}

/// What may be a number in groups.
#[derive(Debug, Default)]
struct Number {
    /// Groups that are over.
    groups: u8,
    /// Characters of the last one.
    length: u8,
    /// The first one began with a letter.
    letter: bool,
    /// It is none.
    over: bool,
}

impl Number {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.over {
                return;
            }
            let first = self.groups == 0;
            self.letter |= first && self.length == 0 && byte.is_ascii_alphabetic();
            self.over = self.length >= GROUP
                || !match (first, self.length) {
                    (true, 0) => byte.is_ascii_alphabetic() || matches!(byte, b'1'..=b'9'),
                    (true, 1) if self.letter => byte.is_ascii_alphabetic(),
                    (true, _) => byte.is_ascii_digit(),
                    (false, _) => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
                };
            self.length += 1;
        }
    }

    /// A space: whether the number may go on behind it.
    fn space(&mut self) -> bool {
        let whole = match self.groups {
            0 => self.length == FIRST_GROUP,
            _ => self.length > 0,
        };
        let goes_on = !self.over && whole && self.groups < GROUPS;
        (self.groups, self.length) = (self.groups.saturating_add(1), 0);
        goes_on
    }
}

/// What an escape is, or may become.
enum Escape {
    Unfinished,
    Is(char),
    IsByte(u8),
    None,
}

impl Escapes {
    pub(super) fn feed(&mut self, piece: &[u8], sink: &mut Sink<'_>) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = if !self.partial.is_empty() {
                self.escape(rest, sink)
            } else if self.open {
                self.word(rest, sink)
            } else {
                self.look(rest)
            };
        }
    }

    pub(super) fn end(&mut self, sink: &mut Sink<'_>) {
        if self.open {
            let partial = std::mem::take(&mut self.partial);
            sink(Event::Plain, &partial);
            self.close(sink);
        }
    }

    /// No word is open: goes on to the next escape.
    fn look<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let at = memchr::memchr2(b'%', b'\\', bytes);
        let (before, rest) = bytes.split_at(at.unwrap_or(bytes.len()));
        self.keep(before);
        match rest.split_first() {
            Some((first, rest)) => {
                self.partial.push(*first);
                self.at += 1;
                rest
            }
            None => rest,
        }
    }

    /// Keeps what may belong to the next escape's word.
    fn keep(&mut self, bytes: &[u8]) {
        self.at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let new = &bytes[bytes.len().saturating_sub(LEAD)..];
        if let Some(end) = new.iter().rposition(|b| ends_word(*b)) {
            self.tail.clear();
            self.tail.extend_from_slice(&new[end + 1..]);
            return;
        }
        self.tail.extend_from_slice(new);
        let surplus = self.tail.len().saturating_sub(LEAD);
        self.tail.drain(..surplus);
    }

    /// An escape is open: takes one more byte.
    fn escape<'a>(&mut self, bytes: &'a [u8], sink: &mut Sink<'_>) -> &'a [u8] {
        let Some((byte, rest)) = bytes.split_first() else {
            return bytes;
        };
        self.partial.push(*byte);
        let mut buffer = [0; 4];
        let decoded: &[u8] = match meaning(&self.partial) {
            Escape::Unfinished => {
                self.at += 1;
                return rest;
            }
            Escape::Is(char) => char.encode_utf8(&mut buffer).as_bytes(),
            Escape::IsByte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Escape::None => {
                // It was none: its bytes are text, and the last one is looked at anew.
                self.partial.pop();
                let partial = std::mem::take(&mut self.partial);
                if self.open {
                    self.number.take(&partial);
                    sink(Event::Plain, &partial);
                } else {
                    self.at -= u64::try_from(partial.len()).unwrap_or(u64::MAX);
                    self.keep(&partial);
                }
                return bytes;
            }
        };
        self.at += 1;
        if !self.open {
            let length = u64::try_from(self.partial.len() + self.tail.len()).unwrap_or(u64::MAX);
            sink(Event::Begin(self.at - length), &[]);
            sink(Event::Plain, &self.tail);
            self.tail.clear();
            self.open = true;
        }
        self.partial.clear();
        self.number = Number::default();
        sink(Event::Decoded(byte.is_ascii_alphanumeric()), decoded);
        rest
    }

    /// A word is open: goes on to its end or its next escape.
    fn word<'a>(&mut self, bytes: &'a [u8], sink: &mut Sink<'_>) -> &'a [u8] {
        let stop = bytes
            .iter()
            .position(|b| matches!(b, b'%' | b'\\') || ends_word(*b));
        let (plain, rest) = bytes.split_at(stop.unwrap_or(bytes.len()));
        sink(Event::Plain, plain);
        self.number.take(plain);
        self.at += u64::try_from(plain.len()).unwrap_or(u64::MAX);
        match rest.split_first() {
            Some((first @ (b'%' | b'\\'), rest)) => {
                self.partial.push(*first);
                self.at += 1;
                rest
            }
            Some((space @ b' ', rest)) if self.number.space() => {
                sink(Event::Plain, std::slice::from_ref(space));
                self.at += 1;
                rest
            }
            Some((_, rest)) => {
                self.close(sink);
                self.at += 1;
                rest
            }
            None => rest,
        }
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        self.open = false;
        self.tail.clear();
        sink(Event::End(self.at), b"\n");
    }
}

fn ends_word(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>')
}

fn meaning(bytes: &[u8]) -> Escape {
    let hex = |digits: &[u8]| {
        let text = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(text, 16)
            .ok()
            .filter(|_| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match bytes {
        [b'%' | b'\\'] | [b'\\', b'u'] => Escape::Unfinished,
        [b'%', one] if one.is_ascii_hexdigit() => Escape::Unfinished,
        [b'%', digits @ ..] => match hex(digits).and_then(|n| u8::try_from(n).ok()) {
            Some(byte) => Escape::IsByte(byte),
            None => Escape::None,
        },
        [b'\\', b'u', digits @ ..] => match hex(digits) {
            None => Escape::None,
            Some(_) if digits.len() < 4 => Escape::Unfinished,
            // Half of a pair is no character.
            Some(code) => Escape::Is(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        },
        [_, b'n' | b'r' | b'f' | b'v'] => Escape::IsByte(b'\n'),
        [_, b't'] => Escape::IsByte(b'\t'),
        [_, b'b'] => Escape::IsByte(b' '),
        [_, byte @ (b'"' | b'\'' | b'\\' | b'/')] => Escape::IsByte(*byte),
        _ => Escape::None,
    }
}
