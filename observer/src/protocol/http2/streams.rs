//! The streams of a connection: which exchange each of them is, and what of it is over.

use std::collections::{BTreeMap, VecDeque};

use super::{MAX_STREAMS, Sink, heads::Fields};
use crate::protocol::{HttpEvent, Incomplete, Side};

/// Streams whose reset is remembered: frames of theirs may still be on their way.
const MAX_RESETS: usize = 64;

/// ```text
/// Head -> Body -> Over
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Over,
}

/// One side of a stream.
#[derive(Debug, Clone, Copy)]
struct Half {
    phase: Phase,
    wire: u64,
    /// Why it will not end cleanly.
    flaw: Option<Incomplete>,
}

impl Half {
    fn new(phase: Phase, wire: u64) -> Self {
        let flaw = None;
        Self { phase, wire, flaw }
    }
}

struct Stream {
    exchange: u64,
    request: Half,
    response: Half,
}

impl Stream {
    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Ends one side, once.
    fn end(&mut self, side: Side, why: Option<Incomplete>, sink: Sink<'_>) {
        let exchange = self.exchange;
        let half = self.half(side);
        if half.phase == Phase::Over {
            return;
        }
        half.phase = Phase::Over;
        sink(HttpEvent::End {
            exchange,
            side,
            incomplete: half.flaw.or(why),
            wire_bytes: half.wire,
        });
    }

    fn is_over(&self) -> bool {
        self.request.phase == Phase::Over && self.response.phase == Phase::Over
    }
}

/// A header block that was decoded, or not.
pub(super) struct Decoded {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) wire: u64,
    pub(super) fields: Fields,
    /// Why not all fields are there.
    pub(super) flaw: Option<Incomplete>,
}

#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<u32, Stream>,
    /// Highest stream that was opened.
    last: u32,
    next_exchange: u64,
    resets: VecDeque<u32>,
    /// Streams were refused since there were too many.
    refused: bool,
}

impl Streams {
    /// Whether frames of this side may still come on a stream.
    pub(super) fn is_open(&self, side: Side, stream: u32) -> bool {
        self.open.get(&stream).is_some_and(|of| match side {
            Side::Request => of.request.phase != Phase::Over,
            Side::Response => of.response.phase != Phase::Over,
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// A header block is over. `missed`: requests may have come that were not seen.
    pub(super) fn headers(&mut self, side: Side, block: Decoded, missed: bool, sink: Sink<'_>) {
        let Some(stream) = self.open.get_mut(&block.stream) else {
            return match side {
                Side::Request => self.open_request(block, sink),
                Side::Response => self.open_response(block, missed, sink),
            };
        };
        let (exchange, half) = (stream.exchange, stream.half(side));
        if half.phase == Phase::Over {
            return skipped(side, block.wire, Incomplete::Malformed, sink);
        }
        half.wire = half.wire.saturating_add(block.wire);
        if half.phase == Phase::Head && side == Side::Response {
            let interim = block.fields.status().is_some_and(|s| (100..200).contains(&s));
            if interim && !block.end_stream {
                return;
            }
            half.phase = Phase::Body;
            half.flaw = half.flaw.or(block.flaw);
            let head = block.fields.response();
            sink(HttpEvent::ResponseHead { exchange, head });
        } else if side == Side::Response {
            let fields = block.fields.response().fields;
            sink(HttpEvent::Trailers { exchange, fields });
        }
        if block.end_stream {
            self.end(side, block.stream, sink);
        }
    }

    /// A header block could not be decoded.
    pub(super) fn broken_headers(
        &mut self,
        side: Side,
        number: u32,
        end: bool,
        wire: u64,
        why: Incomplete,
        sink: Sink<'_>,
    ) {
        let Some(stream) = self.open.get_mut(&number) else {
            return skipped(side, wire, why, sink);
        };
        let half = stream.half(side);
        if half.phase == Phase::Over {
            return skipped(side, wire, why, sink);
        }
        half.wire = half.wire.saturating_add(wire);
        if half.phase == Phase::Body {
            // Trailers: the body came whole.
            if end {
                self.end(side, number, sink);
            }
            return;
        }
        half.flaw.get_or_insert(why);
        self.end(side, number, sink);
    }

    /// Content of a DATA frame.
    pub(super) fn data(&mut self, side: Side, number: u32, data: &[u8], sink: Sink<'_>) {
        if let Some(exchange) = self.body_of(side, number, data.len(), Incomplete::Gap, sink) {
            sink(HttpEvent::Body { exchange, side, data });
        }
    }

    /// Frame headers, padding and what else belongs to a DATA frame.
    pub(super) fn framing(&mut self, side: Side, number: u32, octets: usize, sink: Sink<'_>) {
        self.body_of(side, number, octets, Incomplete::Gap, sink);
    }

    /// A hole inside a DATA frame: `octets` in all, `content` of them body.
    pub(super) fn hole(&mut self, side: Side, number: u32, octets: u64, content: usize, sink: Sink<'_>) {
        let Some(stream) = self.open.get_mut(&number) else {
            return;
        };
        let exchange = stream.exchange;
        let half = stream.half(side);
        half.wire = half.wire.saturating_add(octets);
        if half.phase != Phase::Body || content == 0 {
            return;
        }
        half.flaw.get_or_insert(Incomplete::Gap);
        let missing = Some(content as u64);
        sink(HttpEvent::BodyGap {
            exchange,
            side,
            missing,
        });
    }

    /// Counts octets for a stream; its exchange where they are of its body.
    fn body_of(
        &mut self,
        side: Side,
        number: u32,
        octets: usize,
        why: Incomplete,
        sink: Sink<'_>,
    ) -> Option<u64> {
        let Some(stream) = self.open.get_mut(&number) else {
            let reason = match (self.resets.contains(&number), self.refused) {
                (true, _) => Incomplete::Closed,
                (false, true) => Incomplete::OverBudget,
                (false, false) => why,
            };
            skipped(side, octets as u64, reason, sink);
            return None;
        };
        let exchange = stream.exchange;
        let half = stream.half(side);
        match half.phase {
            Phase::Over => {
                skipped(side, octets as u64, Incomplete::Closed, sink);
                None
            }
            Phase::Head => {
                // The head was lost.
                half.wire = half.wire.saturating_add(octets as u64);
                half.flaw.get_or_insert(why);
                None
            }
            Phase::Body => {
                half.wire = half.wire.saturating_add(octets as u64);
                Some(exchange)
            }
        }
    }

    /// One side of a stream ends as its framing says.
    pub(super) fn end(&mut self, side: Side, number: u32, sink: Sink<'_>) {
        let Some(stream) = self.open.get_mut(&number) else {
            return;
        };
        stream.end(side, None, sink);
        if side == Side::Response && stream.request.flaw == Some(Incomplete::Gap) {
            // Its end was in the hole, or will not matter any more.
            stream.end(Side::Request, None, sink);
        }
        if stream.is_over() {
            self.open.remove(&number);
        }
    }

    /// The stream ends at once.
    pub(super) fn reset(&mut self, number: u32, sink: Sink<'_>) {
        let Some(mut stream) = self.open.remove(&number) else {
            return;
        };
        give_up(&mut stream, Incomplete::Closed, sink);
        if self.resets.len() == MAX_RESETS {
            self.resets.pop_front();
        }
        self.resets.push_back(number);
    }

    /// The server will not answer streams above `last`.
    pub(super) fn go_away(&mut self, last: u32, sink: Sink<'_>) {
        while let Some(number) = self.open.range(last.saturating_add(1)..).next().map(|(n, _)| *n) {
            self.reset(number, sink);
        }
    }

    /// Frames of this side may be missing: every open body has a hole, every awaited head may have been in it.
    pub(super) fn missed(&mut self, side: Side, sink: Sink<'_>) {
        for stream in self.open.values_mut() {
            let exchange = stream.exchange;
            let half = stream.half(side);
            if half.phase == Phase::Over {
                continue;
            }
            let fresh = half.flaw.replace(Incomplete::Gap) != Some(Incomplete::Gap);
            if half.phase == Phase::Body && fresh {
                sink(HttpEvent::BodyGap {
                    exchange,
                    side,
                    missing: None,
                });
            }
        }
    }

    /// The connection is over.
    pub(super) fn close(&mut self, sink: Sink<'_>) {
        while let Some((_, mut stream)) = self.open.pop_first() {
            give_up(&mut stream, Incomplete::Closed, sink);
        }
    }

    fn open_request(&mut self, block: Decoded, sink: Sink<'_>) {
        let closed = self.resets.contains(&block.stream);
        if block.stream <= self.last || block.stream.is_multiple_of(2) || !block.fields.is_request() {
            let why = if closed {
                Incomplete::Closed
            } else {
                Incomplete::Gap
            };
            return skipped(Side::Request, block.wire, why, sink);
        }
        self.last = block.stream;
        if !self.make_room(sink) {
            self.refused = true;
            return skipped(Side::Request, block.wire, Incomplete::OverBudget, sink);
        }
        let exchange = self.fresh_exchange();
        let mut request = Half::new(Phase::Body, block.wire);
        request.flaw = block.flaw;
        let response = Half::new(Phase::Head, 0);
        let (number, end_stream) = (block.stream, block.end_stream);
        self.open.insert(
            number,
            Stream {
                exchange,
                request,
                response,
            },
        );
        let head = block.fields.request();
        sink(HttpEvent::RequestHead { exchange, head });
        if end_stream {
            self.end(Side::Request, number, sink);
        }
    }

    /// A response whose request was not seen has an exchange of its own.
    fn open_response(&mut self, block: Decoded, missed: bool, sink: Sink<'_>) {
        let number = block.stream;
        let closed = self.resets.contains(&number);
        let fresh = !closed && missed && !number.is_multiple_of(2) && block.fields.is_response();
        let interim = block.fields.status().is_some_and(|s| (100..200).contains(&s));
        if !fresh || interim || !self.make_room(sink) {
            let why = if fresh {
                Incomplete::Gap
            } else {
                Incomplete::Closed
            };
            return skipped(Side::Response, block.wire, why, sink);
        }
        self.last = self.last.max(number);
        let exchange = self.fresh_exchange();
        let request = Half::new(Phase::Over, 0);
        let mut response = Half::new(Phase::Body, block.wire);
        response.flaw = block.flaw;
        self.open.insert(
            number,
            Stream {
                exchange,
                request,
                response,
            },
        );
        let head = block.fields.response();
        sink(HttpEvent::ResponseHead { exchange, head });
        if block.end_stream {
            self.end(Side::Response, number, sink);
        }
    }

    /// Room for one more stream: those with a hole, whose end may have been in it, are given up for it.
    fn make_room(&mut self, sink: Sink<'_>) -> bool {
        if self.open.len() < MAX_STREAMS {
            return true;
        }
        let gap = Some(Incomplete::Gap);
        let holed = |stream: &Stream| stream.request.flaw == gap || stream.response.flaw == gap;
        let oldest = self
            .open
            .iter()
            .find(|(_, stream)| holed(stream))
            .map(|(n, _)| *n);
        let Some(mut stream) = oldest.and_then(|number| self.open.remove(&number)) else {
            return false;
        };
        give_up(&mut stream, Incomplete::OverBudget, sink);
        true
    }

    fn fresh_exchange(&mut self) -> u64 {
        self.next_exchange += 1;
        self.next_exchange - 1
    }
}

fn give_up(stream: &mut Stream, why: Incomplete, sink: Sink<'_>) {
    stream.end(Side::Request, Some(why), sink);
    stream.end(Side::Response, Some(why), sink);
}

pub(super) fn skipped(side: Side, bytes: u64, reason: Incomplete, sink: Sink<'_>) {
    if bytes > 0 {
        sink(HttpEvent::Skipped { side, bytes, reason });
    }
}
