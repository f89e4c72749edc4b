//! The streams of a connection: which exchange each of them is, and what of it is over.

use std::collections::{BTreeMap, VecDeque};

use super::early::Early;
use super::heads::Fields;
use super::stream::{Half, Phase, Stream};
use super::{MAX_STREAMS, Sink};
use crate::protocol::{HttpEvent, Incomplete, Side};

/// Streams whose reset is remembered: frames of theirs may still be on their way.
const MAX_RESETS: usize = 64;

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
    /// Memory of what waits for requests.
    waiting: usize,
}

impl Streams {
    /// As they are behind a request of HTTP/1.1 that is stream 1 and `exchange`; further ones are numbered from `next` on.
    pub(super) fn upgraded(exchange: u64, next: u64) -> Self {
        let stream = Stream::new(exchange, Half::new(Phase::Over, 0), Half::new(Phase::Head, 0));
        Self {
            open: BTreeMap::from([(1, stream)]),
            last: 1,
            next_exchange: next,
            ..Self::default()
        }
    }

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
        let answers = side == Side::Response;
        let known = self.open.get_mut(&block.stream);
        let Some(stream) = known.filter(|stream| answers || stream.early.is_none()) else {
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
            stream.tell(HttpEvent::Trailers { exchange, fields }, &mut self.waiting, sink);
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
        if side == Side::Request {
            // What waits for it will not get more of it.
            self.unseen(number, sink);
        }
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
            let event = HttpEvent::Body { exchange, side, data };
            let early = self.waiting > 0;
            match self.open.get_mut(&number).filter(|_| early) {
                Some(stream) => stream.tell(event, &mut self.waiting, sink),
                None => sink(event),
            }
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
        let event = HttpEvent::BodyGap {
            exchange,
            side,
            missing,
        };
        stream.tell(event, &mut self.waiting, sink);
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
        self.unseen(number, sink);
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
        if side == Side::Request {
            self.unseen_below(u32::MAX, sink);
        }
        for stream in self.open.values_mut() {
            let exchange = stream.exchange;
            let half = stream.half(side);
            if half.phase == Phase::Over {
                continue;
            }
            let fresh = half.flaw.replace(Incomplete::Gap) != Some(Incomplete::Gap);
            if half.phase == Phase::Body && fresh {
                let event = HttpEvent::BodyGap {
                    exchange,
                    side,
                    missing: None,
                };
                stream.tell(event, &mut self.waiting, sink);
            }
        }
    }

    /// The connection is over.
    pub(super) fn close(&mut self, sink: Sink<'_>) {
        self.unseen_below(u32::MAX, sink);
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
        // Numbers only grow: requests before this one will not come any more.
        self.unseen_below(block.stream, sink);
        self.last = block.stream;
        let answer = self.open.remove(&block.stream);
        if !self.make_room(sink) {
            self.refused = true;
            return skipped(Side::Request, block.wire, Incomplete::OverBudget, sink);
        }
        let exchange = self.fresh_exchange();
        let mut request = Half::new(Phase::Body, block.wire);
        request.flaw = block.flaw;
        let (response, early) = match answer {
            Some(answer) => (answer.response, answer.early),
            None => (Half::new(Phase::Head, 0), None),
        };
        let (number, end_stream) = (block.stream, block.end_stream);
        self.open.insert(number, Stream::new(exchange, request, response));
        let head = block.fields.request();
        sink(HttpEvent::RequestHead { exchange, head });
        if let Some(early) = early {
            early.release(exchange, &mut self.waiting, sink);
        }
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
        let waits = !missed && !closed && number > self.last && !number.is_multiple_of(2);
        if waits && block.fields.is_response() && !interim {
            return self.wait(block, sink);
        }
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
        self.open.insert(number, Stream::new(exchange, request, response));
        let head = block.fields.response();
        sink(HttpEvent::ResponseHead { exchange, head });
        if block.end_stream {
            self.end(Side::Response, number, sink);
        }
    }

    /// A response came before its request.
    fn wait(&mut self, block: Decoded, sink: Sink<'_>) {
        let (number, wire, end_stream) = (block.stream, block.wire, block.end_stream);
        let room = self.make_room(sink);
        let mut response = Half::new(Phase::Body, wire);
        response.flaw = block.flaw;
        let early = match room {
            true => Early::new(block.fields.response(), &mut self.waiting),
            false => None,
        };
        if early.is_none() {
            return skipped(Side::Response, wire, Incomplete::OverBudget, sink);
        }
        let mut stream = Stream::new(0, Half::new(Phase::Head, 0), response);
        stream.early = early.map(Box::new);
        self.open.insert(number, stream);
        if end_stream {
            self.end(Side::Response, number, sink);
        }
    }

    /// The request to a response that waits was missed: the response has an exchange of its own.
    fn unseen(&mut self, number: u32, sink: Sink<'_>) {
        let exchange = self.next_exchange;
        let Some(stream) = self.open.get_mut(&number) else {
            return;
        };
        let Some(early) = stream.early.take() else { return };
        self.next_exchange += 1;
        self.last = self.last.max(number);
        stream.exchange = exchange;
        stream.request.phase = Phase::Over;
        let is_over = stream.is_over();
        early.release(exchange, &mut self.waiting, sink);
        if is_over {
            self.open.remove(&number);
        }
    }

    /// So were those to all such responses below this stream.
    fn unseen_below(&mut self, number: u32, sink: Sink<'_>) {
        while self.waiting > 0 {
            let mut below = self.open.range(..number);
            let Some((first, _)) = below.find(|(_, stream)| stream.early.is_some()) else {
                return;
            };
            let first = *first;
            self.unseen(first, sink);
        }
    }

    /// Room for one more stream: those with a hole, whose end may have been in it, are given up for it.
    fn make_room(&mut self, sink: Sink<'_>) -> bool {
        if self.open.len() < MAX_STREAMS {
            return true;
        }
        let gap = Some(Incomplete::Gap);
        let holed = |stream: &Stream| {
            stream.early.is_none() && (stream.request.flaw == gap || stream.response.flaw == gap)
        };
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
