//! Event streams (WHATWG HTML, "Server-sent events"): lines in, events out.

use crate::budget::Held;

/// Most data bytes of one event; what is beyond is counted, not kept.
pub const MAX_EVENT: usize = 1024 * 1024;
/// Longest field name or `event` value that is kept.
const MAX_NAME: usize = 128;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Where in a line the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In front of a line.
    LineStart,
    /// In the field name.
    Name,
    /// Behind the colon; one space is skipped.
    Colon,
    Value(Field),
    /// In a comment, a field without use, or a line cut by a hole.
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Event,
    Data,
}

/// Decoder of one event stream.
pub struct SseDecoder {
    state: State,
    name: Vec<u8>,
    event: Vec<u8>,
    data: Held,
    /// A `data` field came since the last event.
    has_data: bool,
    /// The last byte was a carriage return: a line feed belongs to it.
    after_cr: bool,
    /// Bytes of the byte order mark seen at the start; `None` when it is past.
    bom: Option<usize>,
    /// A hole is in the current event: it is dropped.
    damaged: bool,
    /// Data bytes of the current event that did not fit.
    excess: u64,
    lost: u64,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl SseDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self {
            state: State::LineStart,
            name: Vec::new(),
            event: Vec::new(),
            data: Held::default(),
            has_data: false,
            after_cr: false,
            bom: Some(0),
            damaged: false,
            excess: 0,
            lost: 0,
        }
    }

    /// Data bytes lost so far: beyond `MAX_EVENT` in an event or the memory of all, or in an event with a hole.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes bytes; `out` gets the name (empty where none is given) and the data of each event. An event over budget
    /// is handed on cut.
    pub fn push(&mut self, data: &[u8], out: &mut dyn FnMut(&[u8], &[u8])) {
        let mut rest = data;
        while let Some(first) = rest.first() {
            if let Some(seen) = self.bom {
                if seen < BOM.len() && *first == BOM[seen] {
                    self.bom = Some(seen + 1);
                    rest = &rest[1..];
                    continue;
                }
                self.bom = None;
                if seen < BOM.len() && seen > 0 {
                    // Part of a mark is a broken line.
                    self.state = State::Ignore;
                }
            }
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let used = self.step(rest, out);
            rest = &rest[used..];
        }
        if !self.data.settle() {
            // The rest of the event has to come, and there is no room to wait for it.
            self.excess += self.data.len() as u64;
            self.data.clear();
        }
    }

    /// Bytes are missing here: the event they are in is dropped, and reading goes on behind the next empty line.
    pub fn gap(&mut self) {
        self.lost += self.data.len() as u64 + self.excess;
        self.data.clear();
        self.excess = 0;
        self.has_data = false;
        self.damaged = true;
        self.after_cr = false;
        self.bom = None;
        self.state = State::Ignore;
    }

    /// The stream is over. The standard drops an event without its empty line; an observer reads it, since some
    /// servers end without one.
    pub fn close(&mut self, out: &mut dyn FnMut(&[u8], &[u8])) {
        if !matches!(self.state, State::LineStart) {
            self.line_end(out);
        }
        self.dispatch(out);
    }

    /// Handles the front of `rest` (not empty); says how much of it.
    fn step(&mut self, rest: &[u8], out: &mut dyn FnMut(&[u8], &[u8])) -> usize {
        let byte = rest[0];
        if matches!(byte, b'\r' | b'\n') {
            self.after_cr = byte == b'\r';
            self.line_end(out);
            return 1;
        }
        match self.state {
            State::LineStart => {
                self.name.clear();
                self.state = State::Name;
                0
            }
            State::Name if byte == b':' => {
                self.state = State::Colon;
                1
            }
            State::Name => {
                // A name longer than any known one cannot become one.
                if self.name.len() < MAX_NAME {
                    self.name.push(byte);
                }
                1
            }
            State::Colon => {
                self.begin_value();
                usize::from(byte == b' ')
            }
            State::Value(field) => self.value(field, rest),
            State::Ignore => line_len(rest),
        }
    }

    fn begin_value(&mut self) {
        self.state = match self.name.as_slice() {
            b"event" => {
                self.event.clear();
                State::Value(Field::Event)
            }
            b"data" => {
                self.begin_data();
                State::Value(Field::Data)
            }
            _ => State::Ignore,
        };
    }

    fn begin_data(&mut self) {
        if std::mem::replace(&mut self.has_data, true) {
            self.keep(b"\n");
        }
    }

    fn value(&mut self, field: Field, rest: &[u8]) -> usize {
        let len = line_len(rest);
        match field {
            Field::Data => self.keep(&rest[..len]),
            Field::Event => {
                let room = MAX_NAME - self.event.len();
                self.event.extend_from_slice(&rest[..len.min(room)]);
            }
        }
        len
    }

    fn keep(&mut self, bytes: &[u8]) {
        // What follows a hole is not what it seems.
        let room = if self.excess > 0 {
            0
        } else {
            MAX_EVENT - self.data.len()
        };
        let fits = bytes.len().min(room);
        self.data.append(&bytes[..fits]);
        self.excess += (bytes.len() - fits) as u64;
    }

    fn line_end(&mut self, out: &mut dyn FnMut(&[u8], &[u8])) {
        match std::mem::replace(&mut self.state, State::LineStart) {
            State::LineStart => self.dispatch(out),
            // A field without a colon has an empty value.
            State::Name if self.name == b"data" => self.begin_data(),
            State::Name if self.name == b"event" => self.event.clear(),
            State::Colon => {
                self.begin_value();
                self.state = State::LineStart;
            }
            State::Name | State::Value(_) | State::Ignore => {}
        }
    }

    fn dispatch(&mut self, out: &mut dyn FnMut(&[u8], &[u8])) {
        self.lost += std::mem::take(&mut self.excess);
        if std::mem::take(&mut self.damaged) {
            self.lost += self.data.len() as u64;
        } else if self.has_data {
            out(&self.event, &self.data);
        }
        self.has_data = false;
        self.data.clear();
        self.event.clear();
    }
}

/// Bytes in front of the next line end.
fn line_len(rest: &[u8]) -> usize {
    memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
