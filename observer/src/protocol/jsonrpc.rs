//! Messages of JSON-RPC 2.0, one after another in one direction of a stream, as MCP puts them on standard input and output: an
//! object to a line. Several in an array (a batch, MCP 2025-03-26) come one by one. What begins like none is skipped up to the end of
//! its line: servers print there, too.
//!
//! ```text
//!              '{'                       last '}'
//!   Between ---------> Message ------------------------> Between
//!      | other byte       | end of line: cut short          ^
//!      v                  v                                 |
//!     Line -------------------------------------------------+  end of line
//! ```

mod envelope;
#[cfg(test)]
mod tests;

pub use envelope::{Envelope, Id, Kind};

use super::Incomplete;

/// What a direction holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message begins.
    Begin,
    /// The next bytes of it.
    Data(&'a [u8]),
    /// It is over.
    End {
        /// Its bytes, as far as they came.
        bytes: u64,
        /// Why it did not end with its last brace.
        incomplete: Option<Incomplete>,
    },
    /// Bytes of no message.
    Skipped {
        /// How many.
        bytes: u64,
        /// They follow a hole: it may have been one.
        behind_hole: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Message,
    Line { behind_hole: bool },
}

/// Splits one direction into messages.
#[derive(Debug)]
pub struct Messages {
    state: State,
    /// Inside the array of a batch.
    batch: bool,
    /// Objects and arrays that are open in the message.
    depth: u32,
    /// Inside a string of it, and behind a backslash there.
    text: bool,
    escaped: bool,
    /// Bytes of it so far.
    bytes: u64,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            state: State::Between,
            batch: false,
            depth: 0,
            text: false,
            escaped: false,
            bytes: 0,
        }
    }
}

impl Messages {
    /// Takes the next bytes.
    pub fn push(&mut self, data: &[u8], out: &mut dyn FnMut(Event<'_>)) {
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.state {
                State::Between => self.between(rest[0], out),
                State::Message => self.message(rest, out),
                State::Line { behind_hole } => self.line(rest, behind_hole, out),
            };
            rest = &rest[used..];
        }
    }

    /// Bytes are missing here: the message under way is over, and the line that follows is not known to begin with one.
    pub fn gap(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        self.end(Some(Incomplete::Gap), out);
        self.batch = false;
        self.state = State::Line { behind_hole: true };
    }

    /// The stream is over.
    pub fn close(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        self.end(Some(Incomplete::Closed), out);
    }

    /// Says how many bytes of the front it took: none of what begins a message.
    fn between(&mut self, first: u8, out: &mut dyn FnMut(Event<'_>)) -> usize {
        match first {
            b'{' => {
                self.state = State::Message;
                (self.depth, self.text, self.escaped, self.bytes) = (0, false, false, 0);
                out(Event::Begin);
                return 0;
            }
            b'[' if !self.batch => self.batch = true,
            b']' | b'\n' => self.batch = false,
            b' ' | b'\t' | b'\r' => {}
            b',' if self.batch => {}
            _ => {
                self.state = State::Line { behind_hole: false };
                return 0;
            }
        }
        1
    }

    fn line(&mut self, rest: &[u8], behind_hole: bool, out: &mut dyn FnMut(Event<'_>)) -> usize {
        let end = memchr::memchr(b'\n', rest);
        let bytes = end.unwrap_or(rest.len());
        if bytes > 0 {
            out(Event::Skipped {
                bytes: bytes as u64,
                behind_hole,
            });
        }
        if end.is_some() {
            self.state = State::Between;
        }
        bytes
    }

    fn message(&mut self, rest: &[u8], out: &mut dyn FnMut(Event<'_>)) -> usize {
        let (used, over) = self.scan(rest);
        self.bytes += used as u64;
        if used > 0 {
            out(Event::Data(&rest[..used]));
        }
        match over {
            Some(true) => self.end(None, out),
            Some(false) => self.end(Some(Incomplete::Malformed), out),
            None => {}
        }
        used
    }

    /// How many bytes belong to the message, and whether it is over: `true` with its last brace, `false` with its line.
    fn scan(&mut self, rest: &[u8]) -> (usize, Option<bool>) {
        let mut at = 0;
        while at < rest.len() {
            if std::mem::take(&mut self.escaped) && rest[at] != b'\n' {
                at += 1;
                continue;
            }
            if self.text {
                let Some(next) = memchr::memchr3(b'"', b'\\', b'\n', &rest[at..]) else {
                    return (rest.len(), None);
                };
                at += next;
            }
            match rest[at] {
                // A message is one line, so it ends here even inside a string.
                b'\n' => return (at, Some(false)),
                b'"' => self.text = !self.text,
                b'\\' if self.text => self.escaped = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            if self.depth == 0 {
                return (at, Some(true));
            }
        }
        (at, None)
    }

    fn end(&mut self, incomplete: Option<Incomplete>, out: &mut dyn FnMut(Event<'_>)) {
        if self.state == State::Message {
            self.state = State::Between;
            out(Event::End {
                bytes: self.bytes,
                incomplete,
            });
        }
    }
}
