//! HTTP/1.x decoder for one connection, both directions (RFC 9112).
//!
//! Bytes in, `HttpEvent`s out. A hole or nonsense ends at most the message it is in: the decoder then waits for the
//! next push that begins like a start line. The same happens on a connection joined in the middle.

mod chunked;
mod half;
mod head;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::{HttpEvent, Incomplete, Side};
use crate::budget::Held;
use chunked::{Chunked, Piece};
use half::{Awaiting, Half, Method, State};
use head::Framing;
pub(super) use head::{StartLine, bare_host, port};

/// Longest head, start line included.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most header fields in a head.
pub const MAX_FIELDS: usize = 200;
/// Longest chunk size line with its extensions.
pub const MAX_CHUNK_LINE: usize = 4 * 1024;
/// Longest trailer section.
pub const MAX_TRAILERS: usize = 64 * 1024;
/// Most requests of one connection that wait for a response. The oldest is given up for a new one.
pub const MAX_PIPELINE: usize = 64;

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// Decoder of one connection.
pub struct Http1Connection {
    request: Half,
    response: Half,
    awaiting: VecDeque<Awaiting>,
    next_exchange: u64,
    /// A response may be missing in front of the next one.
    response_lost: bool,
}

impl Default for Http1Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Http1Connection {
    /// A decoder before the first byte (or in the middle of a connection: it finds the next message).
    pub fn new() -> Self {
        Self {
            request: Half::new(),
            response: Half::new(),
            awaiting: VecDeque::new(),
            next_exchange: 0,
            response_lost: false,
        }
    }

    /// Whether no byte of a message of this side is pending.
    pub fn is_idle(&self, side: Side) -> bool {
        let half = self.half(side);
        matches!(
            half.state,
            State::Seeking | State::Rejoin | State::Tunnel | State::Over
        ) || half.is_between_messages()
    }

    /// Whether nothing was asked that is not answered, and no answer is being read: the next one would be to a request that is not here.
    pub fn expects_request(&self) -> bool {
        self.awaiting.is_empty() && self.response.is_between_messages()
    }

    /// Takes the next bytes of one direction.
    pub fn push(&mut self, side: Side, data: &[u8], sink: &mut dyn FnMut(HttpEvent<'_>)) {
        match self.half(side).state {
            State::Seeking if !data.is_empty() => self.half_mut(side).state = State::Start,
            State::Rejoin if !data.is_empty() => self.rejoin(side, data, sink),
            _ => {}
        }
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.half(side).state {
                State::Start => self.head(side, rest, sink),
                State::Length { left } => self.length(side, left, rest, sink),
                State::Chunked(_) => self.chunked(side, rest, sink),
                State::UntilClose => self.body(side, rest, sink),
                State::Tunnel => self.tunnel(side, rest, sink),
                State::Seeking | State::Rejoin | State::Over => self.skip(side, rest.len(), sink),
            };
            rest = &rest[used..];
        }
    }

    /// Bytes of one direction are missing here; `missing` says how many, where known.
    pub fn gap(&mut self, side: Side, missing: Option<u64>, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        if missing == Some(0) {
            return;
        }
        let half = self.half_mut(side);
        let inside = match (&mut half.state, missing) {
            (State::Over | State::Seeking | State::Rejoin, _) => return,
            (State::Tunnel, _) => {
                let exchange = half.exchange;
                sink(HttpEvent::TunnelGap {
                    exchange,
                    side,
                    missing,
                });
                return;
            }
            (State::UntilClose, _) => true,
            (State::Length { left }, Some(missing)) if missing <= *left => {
                *left -= missing;
                true
            }
            (State::Chunked(chunked), missing) => {
                // Beyond the chunk, the body may still be picked up at a later one.
                if !missing.is_some_and(|missing| chunked.skip(missing)) {
                    half.state = State::Rejoin;
                    half.skip_reason = Incomplete::Gap;
                }
                true
            }
            _ => false,
        };
        if inside {
            self.body_gap(side, missing, sink);
        } else {
            self.give_up(side, Incomplete::Gap, sink);
        }
    }

    /// The connection, handle or process is over.
    pub fn close(&mut self, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        for side in [Side::Request, Side::Response] {
            match self.half(side).state {
                State::UntilClose | State::Rejoin => self.end(side, None, sink),
                State::Start | State::Length { .. } | State::Chunked(_) => {
                    self.give_up(side, Incomplete::Closed, sink);
                }
                State::Seeking | State::Tunnel | State::Over => {}
            }
            self.half_mut(side).state = State::Over;
        }
        while let Some(waiting) = self.awaiting.pop_front() {
            no_response(waiting.exchange, Incomplete::Closed, 0, sink);
        }
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Collects a head. Returns how much of `data` belongs to it.
    fn head(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let half = self.half_mut(side);
        let blank = if half.head.is_empty() {
            blank_lines(data)
        } else {
            0
        };
        if blank > 0 {
            half.count(blank);
            return blank;
        }
        let before = half.head.len();
        let take = data.len().min(MAX_HEAD - before);
        half.head.append(&data[..take]);
        if !half.started {
            match head::start_line(side, &half.head) {
                StartLine::Yes => half.started = true,
                StartLine::More => {}
                StartLine::No => {
                    half.head.truncate(before);
                    let why = half.skip_reason;
                    self.give_up(side, why, sink);
                    return 0;
                }
            }
        }
        match head::head_end(&half.head, before.saturating_sub(3)) {
            Some(end) => {
                half.head.truncate(end);
                half.count(end - before);
                self.head_done(side, sink);
                end - before
            }
            None if half.head.len() == MAX_HEAD || !half.head.settle() => {
                self.give_up(side, Incomplete::OverBudget, sink);
                take
            }
            None => {
                half.count(take);
                take
            }
        }
    }

    fn head_done(&mut self, side: Side, sink: Sink<'_>) {
        let half = self.half_mut(side);
        half.skip_reason = Incomplete::Malformed;
        let mut head = std::mem::take(&mut half.head).into_bytes();
        head::unfold(&mut head);
        let result = match side {
            Side::Request => self.request_head(&head, sink),
            Side::Response => self.response_head(&head, sink),
        };
        match result {
            Ok(()) => self.half_mut(side).started = false,
            Err(why) => self.give_up(side, why, sink),
        }
    }

    fn request_head(&mut self, head: &[u8], sink: Sink<'_>) -> Result<(), Incomplete> {
        let (head, framing) = head::parse_request(head)?;
        let exchange = self.fresh_exchange();
        if self.awaiting.len() == MAX_PIPELINE
            && let Some(oldest) = self.awaiting.pop_front()
        {
            no_response(oldest.exchange, Incomplete::OverBudget, 0, sink);
        }
        let method = match head.method.as_str() {
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        };
        self.awaiting.push_back(Awaiting { exchange, method });
        self.request.exchange = exchange;
        sink(HttpEvent::RequestHead { exchange, head });
        self.begin_body(Side::Request, framing, sink);
        Ok(())
    }

    fn response_head(&mut self, head: &[u8], sink: Sink<'_>) -> Result<(), Incomplete> {
        let (head, framing) = head::parse_response(head)?;
        if (100..200).contains(&head.status) && head.status != 101 {
            return Ok(());
        }
        let (exchange, method) = self.pair(sink);
        self.response.exchange = exchange;
        let status = head.status;
        sink(HttpEvent::ResponseHead { exchange, head });
        let switched = status == 101 || (method == Method::Connect && (200..300).contains(&status));
        if switched {
            self.end(Side::Response, None, sink);
            self.switch(exchange, sink);
        } else if method == Method::Head || status == 204 || status == 304 {
            self.begin_body(Side::Response, Framing::Length(0), sink);
        } else {
            self.begin_body(Side::Response, framing, sink);
        }
        Ok(())
    }

    /// Which request a response answers. Clients hardly ever pipeline: after a hole, the newest one.
    fn pair(&mut self, sink: Sink<'_>) -> (u64, Method) {
        if std::mem::take(&mut self.response_lost) {
            while self.awaiting.len() > 1 {
                if let Some(lost) = self.awaiting.pop_front() {
                    no_response(lost.exchange, Incomplete::Gap, 0, sink);
                }
            }
        }
        match self.awaiting.pop_front() {
            Some(waiting) => (waiting.exchange, waiting.method),
            None => (self.fresh_exchange(), Method::Other),
        }
    }

    fn fresh_exchange(&mut self) -> u64 {
        self.next_exchange += 1;
        self.next_exchange - 1
    }

    fn switch(&mut self, exchange: u64, sink: Sink<'_>) {
        sink(HttpEvent::Switched { exchange });
        match self.request.state {
            State::Start | State::Seeking => {
                // The beginning of another request may be here already: it will not become one.
                let bytes = std::mem::take(&mut self.request.wire);
                self.request.head = Held::default();
                self.request.started = false;
                if bytes > 0 {
                    let (side, reason) = (Side::Request, Incomplete::Unsupported);
                    sink(HttpEvent::Skipped { side, bytes, reason });
                }
            }
            _ => self.end(Side::Request, Some(Incomplete::Unsupported), sink),
        }
        for half in [&mut self.request, &mut self.response] {
            half.state = State::Tunnel;
            half.exchange = exchange;
            half.skip_reason = Incomplete::Unsupported;
        }
    }

    fn begin_body(&mut self, side: Side, framing: Framing, sink: Sink<'_>) {
        let half = self.half_mut(side);
        half.state = match framing {
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::Unframed => State::UntilClose,
            Framing::Invalid => return self.broken(side, Incomplete::Malformed, sink),
        };
        if framing == Framing::Length(0) {
            self.end(side, None, sink);
        }
    }

    fn length(&mut self, side: Side, left: u64, data: &[u8], sink: Sink<'_>) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        self.half_mut(side).state = State::Length {
            left: left - take as u64,
        };
        self.body(side, &data[..take], sink);
        if left == take as u64 {
            self.end(side, None, sink);
        }
        take
    }

    fn chunked(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let half = self.half_mut(side);
        let State::Chunked(chunked) = &mut half.state else {
            return data.len();
        };
        match chunked.push(data) {
            Piece::Framing(used) => {
                half.count(used);
                used
            }
            Piece::Data(used) => self.body(side, &data[..used], sink),
            Piece::Over(used) => {
                half.count(used);
                self.end(side, None, sink);
                used
            }
            Piece::Broken(why) => {
                self.broken(side, why, sink);
                0
            }
        }
    }

    /// Behind a hole in a chunked body: what does this push begin with?
    fn rejoin(&mut self, side: Side, data: &[u8], sink: Sink<'_>) {
        if head::start_line(side, data) != StartLine::No {
            self.end(side, None, sink);
            self.response_lost |= side == Side::Response;
        } else if chunked::begins_chunk(data) {
            self.half_mut(side).state = State::Chunked(Chunked::new());
        }
    }

    fn body(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let half = self.half_mut(side);
        half.count(data.len());
        let exchange = half.exchange;
        sink(HttpEvent::Body { exchange, side, data });
        data.len()
    }

    fn body_gap(&mut self, side: Side, missing: Option<u64>, sink: Sink<'_>) {
        let half = self.half_mut(side);
        half.gapped = true;
        half.wire = half.wire.saturating_add(missing.unwrap_or(0));
        let exchange = half.exchange;
        sink(HttpEvent::BodyGap {
            exchange,
            side,
            missing,
        });
        if matches!(half.state, State::Length { left: 0 }) {
            self.end(side, None, sink);
        }
    }

    /// The current message ends here and the next one is expected.
    fn end(&mut self, side: Side, incomplete: Option<Incomplete>, sink: Sink<'_>) {
        let half = self.half_mut(side);
        let incomplete = if std::mem::take(&mut half.gapped) {
            Some(Incomplete::Gap)
        } else {
            incomplete
        };
        half.state = State::Start;
        let (exchange, wire_bytes) = (half.exchange, std::mem::take(&mut half.wire));
        sink(HttpEvent::End {
            exchange,
            side,
            incomplete,
            wire_bytes,
        });
    }

    /// The current body cannot be followed any further.
    fn broken(&mut self, side: Side, why: Incomplete, sink: Sink<'_>) {
        self.end(side, Some(why), sink);
        let half = self.half_mut(side);
        half.state = State::Seeking;
        half.skip_reason = why;
        self.response_lost |= side == Side::Response;
    }

    /// Whatever is going on cannot be followed any further.
    fn give_up(&mut self, side: Side, why: Incomplete, sink: Sink<'_>) {
        if !matches!(self.half(side).state, State::Start) {
            return self.broken(side, why, sink);
        }
        let half = self.half_mut(side);
        let bytes = std::mem::take(&mut half.wire).max(half.head.len() as u64);
        half.state = State::Seeking;
        half.skip_reason = why;
        let begun = std::mem::take(&mut half.started);
        half.head = Held::default();
        self.response_lost |= side == Side::Response;
        if begun && side == Side::Response && why != Incomplete::Closed {
            // A response had begun: it was the answer to the oldest request.
            let (exchange, _) = self.pair(sink);
            sink(HttpEvent::End {
                exchange,
                side,
                incomplete: Some(why),
                wire_bytes: bytes,
            });
        } else if bytes > 0 {
            sink(HttpEvent::Skipped {
                side,
                bytes,
                reason: why,
            });
        }
    }

    fn tunnel(&self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let exchange = self.half(side).exchange;
        sink(HttpEvent::Tunnel { exchange, side, data });
        data.len()
    }

    fn skip(&mut self, side: Side, bytes: usize, sink: Sink<'_>) -> usize {
        let reason = self.half(side).skip_reason;
        sink(HttpEvent::Skipped {
            side,
            bytes: bytes as u64,
            reason,
        });
        bytes
    }
}

/// Judges the first bytes of a direction, empty lines in front left out. What is too long for a head is none.
pub(super) fn start_line(side: Side, first_bytes: &[u8]) -> StartLine {
    let rest = first_bytes.get(blank_lines(first_bytes)..).unwrap_or_default();
    match head::start_line(side, rest) {
        StartLine::More if first_bytes.len() >= MAX_HEAD => StartLine::No,
        judged => judged,
    }
}

/// Empty lines in front of a start line are ignored (RFC 9112 section 2.2).
fn blank_lines(data: &[u8]) -> usize {
    data.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

fn no_response(exchange: u64, why: Incomplete, wire_bytes: u64, sink: Sink<'_>) {
    sink(HttpEvent::End {
        exchange,
        side: Side::Response,
        incomplete: Some(why),
        wire_bytes,
    });
}
