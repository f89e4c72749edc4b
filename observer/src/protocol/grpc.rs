//! Messages of gRPC, gRPC-Web and Connect streams: bytes in pieces of any size in, messages out as they pass.
//!
//! All three put a prefix before each message: a byte of flags and the length in four bytes, big endian ("gRPC over
//! HTTP2", "Length-Prefixed-Message"; "gRPC-Web"; Connect Protocol Reference, "Enveloped-Message"). Nothing is kept but
//! the prefix, so a message may have any length.

#[cfg(test)]
mod tests;

/// Flags and length.
const PREFIX: usize = 5;
/// The message is compressed, by the coding that the head names.
const COMPRESSED: u8 = 0x01;
/// Connect: the message ends the stream, and says how.
const END_STREAM: u8 = 0x02;
/// gRPC-Web: the message is the trailer section.
const TRAILERS: u8 = 0x80;
/// Most messages of one stream that are read. What comes behind is counted as lost.
pub const MAX_MESSAGES: u64 = 1_000_000;

/// Name of a status that is no success (`grpc-status`, "Status codes and their use in gRPC"); `None` for success and for
/// what is no status.
pub fn status_name(code: &str) -> Option<&'static str> {
    const NAMES: [&str; 16] = [
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let code: usize = code.parse().ok()?;
    NAMES.get(code.checked_sub(1)?).copied()
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message of the call.
    Data,
    /// How the stream ended: trailers as text (gRPC-Web) or JSON (Connect).
    End,
}

/// What a decoder reports, in this order for each message. No `Debug`: the content is clear text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message begins.
    Begin {
        /// What it is.
        kind: Kind,
        /// It is compressed.
        compressed: bool,
        /// Its length as stated.
        length: u32,
    },
    /// A piece of it.
    Content(&'a [u8]),
    /// It is whole.
    Over,
}

/// ```text
/// Prefix -> Content -> Prefix ...
///    \         \----> Lost (a hole whose length is not known, or that ends elsewhere)
///     \--------------> Lost (flags that no protocol has; too many messages)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Prefix,
    /// So many bytes of the message are still to come.
    Content(u32),
    Lost,
}

/// Decoder of one direction of a stream.
#[derive(Debug)]
pub struct GrpcDecoder {
    state: State,
    prefix: [u8; PREFIX],
    have: usize,
    messages: u64,
    lost: u64,
}

impl Default for GrpcDecoder {
    fn default() -> Self {
        Self {
            state: State::Prefix,
            prefix: [0; PREFIX],
            have: 0,
            messages: 0,
            lost: 0,
        }
    }
}

impl GrpcDecoder {
    /// Messages that began.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes that belong to no message.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a message, or a prefix, is cut off here.
    pub fn is_inside(&self) -> bool {
        self.have > 0 || matches!(self.state, State::Content(_))
    }

    /// Takes bytes.
    pub fn push(&mut self, data: &[u8], out: &mut dyn FnMut(Event<'_>)) {
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.state {
                State::Prefix => self.take_prefix(rest, out),
                State::Content(left) => self.take_content(left, rest, out),
                State::Lost => {
                    self.lost += rest.len() as u64;
                    rest.len()
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Bytes are missing here, `missing` where their number is known. A hole inside a message leaves the next one where it
    /// is; behind any other, nothing says where one begins.
    pub fn gap(&mut self, missing: Option<u64>, out: &mut dyn FnMut(Event<'_>)) {
        let inside = match (self.state, missing.map(u32::try_from)) {
            (State::Content(left), Some(Ok(missing))) => left.checked_sub(missing),
            _ => None,
        };
        match inside {
            Some(left) => self.go_on(left, out),
            None => {
                self.lost += self.have as u64;
                self.have = 0;
                self.state = State::Lost;
            }
        }
    }

    fn take_prefix(&mut self, data: &[u8], out: &mut dyn FnMut(Event<'_>)) -> usize {
        let take = data.len().min(PREFIX - self.have);
        for (place, byte) in self.prefix.iter_mut().skip(self.have).zip(data) {
            *place = *byte;
        }
        self.have += take;
        if self.have < PREFIX {
            return take;
        }
        self.have = 0;
        let [flags, length @ ..] = self.prefix;
        if flags & !(COMPRESSED | END_STREAM | TRAILERS) != 0 || self.messages >= MAX_MESSAGES {
            self.lost += PREFIX as u64;
            self.state = State::Lost;
            return take;
        }
        self.messages += 1;
        let kind = match flags & (END_STREAM | TRAILERS) {
            0 => Kind::Data,
            _ => Kind::End,
        };
        let (length, compressed) = (u32::from_be_bytes(length), flags & COMPRESSED != 0);
        out(Event::Begin {
            kind,
            compressed,
            length,
        });
        self.go_on(length, out);
        take
    }

    fn take_content(&mut self, left: u32, data: &[u8], out: &mut dyn FnMut(Event<'_>)) -> usize {
        let take = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out(Event::Content(data.get(..take).unwrap_or_default()));
        self.go_on(left - u32::try_from(take).unwrap_or(left), out);
        take
    }

    fn go_on(&mut self, left: u32, out: &mut dyn FnMut(Event<'_>)) {
        self.state = match left {
            0 => State::Prefix,
            left => State::Content(left),
        };
        if left == 0 {
            out(Event::Over);
        }
    }
}
