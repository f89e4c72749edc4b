//! Escapes inside JSON strings (RFC 8259 section 7), decoded as bytes arrive.

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Room of [`Joined`].
const JOINED: usize = 512;

/// Puts the short pieces around escapes together: whatever takes them has a cost per piece.
struct Joined<'a, F: FnMut(&[u8])> {
    bytes: [u8; JOINED],
    len: usize,
    out: &'a mut F,
}

impl<'a, F: FnMut(&[u8])> Joined<'a, F> {
    fn new(out: &'a mut F) -> Self {
        Self {
            bytes: [0; JOINED],
            len: 0,
            out,
        }
    }

    fn add(&mut self, piece: &[u8]) {
        if piece.len() > JOINED - self.len {
            self.flush();
        }
        if piece.len() > JOINED {
            (self.out)(piece);
        } else {
            self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece);
            self.len += piece.len();
        }
    }

    fn flush(&mut self) {
        if self.len > 0 {
            (self.out)(&self.bytes[..self.len]);
            self.len = 0;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Plain,
    /// Behind a backslash.
    Backslash,
    /// In `\uXXXX`: digits seen and their value.
    Hex(u8, u16),
}

/// Decoder state of one string. Lenient: an unknown escape passes as it stands, a broken or lone surrogate becomes
/// U+FFFD, bytes that are not UTF-8 pass through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Escapes {
    state: State,
    /// A high surrogate waiting for its low one.
    high: Option<u16>,
}

impl Escapes {
    /// Decodes up to the closing quote or the end of `data`. Returns the bytes used (quote included) and whether the
    /// quote came.
    pub fn until_quote(&mut self, data: &[u8], out: &mut impl FnMut(&[u8])) -> (usize, bool) {
        if self.state == State::Plain && self.high.is_none() {
            let stop = memchr::memchr2(b'"', b'\\', data).unwrap_or(data.len());
            if data.get(stop) != Some(&b'\\') {
                if stop > 0 {
                    out(&data[..stop]);
                }
                return (stop + usize::from(stop < data.len()), stop < data.len());
            }
        }
        let mut joined = Joined::new(out);
        let result = self.decode(data, &mut |piece| joined.add(piece));
        joined.flush();
        result
    }

    fn decode(&mut self, data: &[u8], out: &mut impl FnMut(&[u8])) -> (usize, bool) {
        let mut at = 0;
        while at < data.len() {
            if self.state != State::Plain {
                at += self.escape(data[at], out);
                continue;
            }
            let rest = &data[at..];
            let stop = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if stop > 0 {
                self.lone(out);
                out(&rest[..stop]);
            }
            at += stop;
            match data.get(at) {
                Some(b'"') => {
                    self.lone(out);
                    return (at + 1, true);
                }
                Some(_) => {
                    self.state = State::Backslash;
                    at += 1;
                }
                None => {}
            }
        }
        (at, false)
    }

    /// Decodes all of `data`; quotes are text. For JSON inside a string, or JSON that cannot be parsed.
    pub fn all(&mut self, data: &[u8], out: &mut impl FnMut(&[u8])) {
        let mut rest = data;
        while !rest.is_empty() {
            let (used, quote) = self.until_quote(rest, out);
            if quote {
                out(b"\"");
            }
            rest = &rest[used..];
        }
    }

    /// The text is over: a surrogate that waits will not get its other half.
    pub fn finish(&mut self, out: &mut impl FnMut(&[u8])) {
        self.lone(out);
        self.state = State::Plain;
    }

    fn lone(&mut self, out: &mut impl FnMut(&[u8])) {
        if self.high.take().is_some() {
            out(REPLACEMENT);
        }
    }

    /// One byte of an escape; how many bytes were used.
    fn escape(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) -> usize {
        match self.state {
            State::Plain => 0,
            State::Backslash => {
                self.after_backslash(byte, out);
                1
            }
            State::Hex(count, value) => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let value = value << 4 | u16::try_from(digit).unwrap_or(0);
                    self.state = State::Hex(count + 1, value);
                    if count == 3 {
                        self.state = State::Plain;
                        self.unit(value, out);
                    }
                    1
                }
                None => {
                    self.state = State::Plain;
                    self.lone(out);
                    out(REPLACEMENT);
                    0
                }
            },
        }
    }

    fn after_backslash(&mut self, byte: u8, out: &mut impl FnMut(&[u8])) {
        if byte == b'u' {
            self.state = State::Hex(0, 0);
            return;
        }
        self.state = State::Plain;
        self.lone(out);
        match byte {
            b'n' => out(b"\n"),
            b't' => out(b"\t"),
            b'r' => out(b"\r"),
            b'b' => out(b"\x08"),
            b'f' => out(b"\x0c"),
            b'"' | b'\\' | b'/' => out(&[byte]),
            other => out(&[b'\\', other]),
        }
    }

    /// One UTF-16 code unit.
    fn unit(&mut self, unit: u16, out: &mut impl FnMut(&[u8])) {
        let mut buf = [0; 4];
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x10000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00);
                let decoded = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out(decoded.encode_utf8(&mut buf).as_bytes());
            }
            (high, _) => {
                if high.is_some() {
                    out(REPLACEMENT);
                }
                match unit {
                    0xd800..=0xdbff => self.high = Some(unit),
                    _ => {
                        let decoded = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
                        out(decoded.encode_utf8(&mut buf).as_bytes());
                    }
                }
            }
        }
    }
}
