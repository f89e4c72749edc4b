//! Forms without files (`application/x-www-form-urlencoded`, WHATWG URL standard section 5.1): bytes in pieces of any
//! size in, fields out, percent-encoding undone.

use super::multipart::{Part, PartEvents};

/// Longest name of a field that is kept; what goes beyond is cut.
const MAX_NAME: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Name,
    Value,
}

/// Decoder of one form.
#[derive(Debug)]
pub struct UrlencodedDecoder {
    state: State,
    name: Vec<u8>,
    /// Behind a percent sign: what came of its two digits.
    escape: Option<Option<u8>>,
}

impl Default for UrlencodedDecoder {
    fn default() -> Self {
        Self {
            state: State::Name,
            name: Vec::new(),
            escape: None,
        }
    }
}

impl UrlencodedDecoder {
    /// Takes the next bytes.
    pub fn push(&mut self, data: &[u8], events: &mut dyn PartEvents) {
        let mut rest = data;
        while let Some(first) = rest.first() {
            let special = |b: &u8| matches!(b, b'%' | b'+' | b'&' | b'=');
            let plain = match self.escape {
                Some(_) => 0,
                None => rest.iter().position(special).unwrap_or(rest.len()),
            };
            if plain > 0 {
                self.out(&rest[..plain], events);
                rest = &rest[plain..];
                continue;
            }
            self.byte(*first, events);
            rest = &rest[1..];
        }
    }

    /// The form is over.
    pub fn close(&mut self, events: &mut dyn PartEvents) {
        self.escape_ends(events);
        self.field_ends(events);
    }

    fn byte(&mut self, byte: u8, events: &mut dyn PartEvents) {
        match (self.escape, hex(byte)) {
            (Some(None), Some(_)) => self.escape = Some(Some(byte)),
            (Some(Some(high)), Some(low)) => {
                self.escape = None;
                let value = hex(high).unwrap_or(0) << 4 | low;
                self.out(&[value], events);
            }
            (Some(_), None) => {
                // Not an escape after all: it stands for itself.
                self.escape_ends(events);
                self.byte(byte, events);
            }
            (None, _) => match byte {
                b'%' => self.escape = Some(None),
                b'+' => self.out(b" ", events),
                b'&' => self.field_ends(events),
                b'=' if self.state == State::Name => {
                    self.begin(events);
                }
                _ => self.out(&[byte], events),
            },
        }
    }

    /// An escape that broke off is handed on as it was written.
    fn escape_ends(&mut self, events: &mut dyn PartEvents) {
        match self.escape.take() {
            Some(Some(digit)) => self.out(&[b'%', digit], events),
            Some(None) => self.out(b"%", events),
            None => {}
        }
    }

    fn begin(&mut self, events: &mut dyn PartEvents) {
        let name = String::from_utf8_lossy(&self.name).into_owned();
        events.begin(Part { name, file: false });
        self.name.clear();
        self.state = State::Value;
    }

    fn field_ends(&mut self, events: &mut dyn PartEvents) {
        if self.state == State::Name && !self.name.is_empty() {
            self.begin(events);
        }
        if self.state == State::Value {
            events.end();
        }
        self.state = State::Name;
    }

    fn out(&mut self, bytes: &[u8], events: &mut dyn PartEvents) {
        match self.state {
            State::Value => events.content(bytes),
            State::Name => {
                let room = MAX_NAME - self.name.len();
                self.name.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fields(Vec<(String, Vec<u8>, bool)>);

    impl PartEvents for Fields {
        fn begin(&mut self, part: Part) {
            assert!(self.0.last().is_none_or(|(.., over)| *over));
            self.0.push((part.name, Vec::new(), false));
        }
        fn content(&mut self, piece: &[u8]) {
            self.0.last_mut().unwrap().1.extend_from_slice(piece);
        }
        fn end(&mut self) {
            self.0.last_mut().unwrap().2 = true;
        }
    }

    fn read(form: &[u8], cuts: &[usize]) -> Vec<(String, String)> {
        let (mut decoder, mut fields) = (UrlencodedDecoder::default(), Fields::default());
        let mut from = 0;
        for cut in cuts.iter().chain([&form.len()]) {
            decoder.push(&form[from..*cut], &mut fields);
            from = *cut;
        }
        decoder.close(&mut fields);
        let all = fields.0.into_iter();
        all.map(|(name, value, over)| {
            assert!(over);
            (name, String::from_utf8_lossy(&value).into_owned())
        })
        .collect()
    }

    #[test]
    fn fields_the_same_at_every_cut() {
        let form = b"f.req=%5B%22a+b%22%5D&at=x%3D1=2&empty=&alone&&bad=100%&odd=%zz%4&last=%e2%82%ac";
        let want = [
            ("f.req", "[\"a b\"]"),
            ("at", "x=1=2"),
            ("empty", ""),
            ("alone", ""),
            ("bad", "100%"),
            ("odd", "%zz%4"),
            ("last", "\u{20ac}"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        for first in 0..form.len() {
            for second in first..form.len() {
                assert_eq!(read(form, &[first, second]), want, "{first} {second}");
            }
        }
    }

    #[test]
    fn names_are_bounded() {
        let form = [vec![b'n'; 100_000], b"=v".to_vec()].concat();
        let fields = read(&form, &[]);
        assert_eq!((fields[0].0.len(), fields[0].1.as_str()), (MAX_NAME, "v"));
    }
}
