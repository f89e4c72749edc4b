//! HTTP/2 decoder for one connection, both directions (RFC 9113), with HPACK (RFC 7541).
//!
//! Bytes in, `HttpEvent`s out; each stream is an exchange of its own. A hole inside a DATA frame leaves everything else
//! as it is. Behind any other hole, nonsense, or a join in the middle, the decoder looks for a place where frames follow
//! each other. Header tables are not known then: fields that refer to them are counted as unknown, never guessed. Settings
//! of the table size are not followed, since an encoder states each size it uses in the header blocks themselves (RFC 7541
//! section 4.2).

mod early;
mod frame;
mod half;
mod heads;
pub mod hpack;
pub mod sniff;
mod stream;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use super::{HttpEvent, Incomplete, Side};
use frame::{END_HEADERS, END_STREAM, HEAD, Kind};
use half::{Block, Half, Part, State};
use streams::{Decoded, Streams, skipped};

/// Client connection preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most streams that are followed at a time. Frames of further ones are counted as skipped.
pub const MAX_STREAMS: usize = 1024;
/// Longest header block, coded, over all its frames.
pub const MAX_BLOCK: usize = 256 * 1024;
/// Most octets of names and values kept of a head.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most fields kept of a head.
pub const MAX_FIELDS: usize = 200;
/// Bytes looked through at a time for a frame boundary.
const SEEK_PIECE: usize = 16 * 1024;

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// Decoder of one connection. Memory: at most `MAX_BLOCK` and `hpack::MAX_TABLE` for each direction, a few dozen octets
/// for each stream, and 64 KiB of answers that came before their requests.
pub struct Http2Connection {
    request: Half,
    response: Half,
    streams: Streams,
}

impl Http2Connection {
    /// A decoder before the first byte. `joined` says, by direction (request, response), that bytes before that are
    /// not there.
    pub fn new(joined: [bool; 2]) -> Self {
        let start = |state: State, joined: bool| {
            let mut half = Half::new(if joined { State::Head } else { state });
            if joined {
                half.table.lose();
                half.missed = true;
            }
            half
        };
        Self {
            request: start(State::Preface(0), joined[0]),
            response: start(State::Head, joined[1]),
            streams: Streams::default(),
        }
    }

    /// A decoder behind the answer to a request of HTTP/1.1 that asked for HTTP/2 (RFC 7540 section 3.2): that request is stream 1 and
    /// `exchange`. Further exchanges are numbered from `next` on.
    pub fn upgraded(exchange: u64, next: u64) -> Self {
        let mut http = Self::new([false; 2]);
        http.streams = Streams::upgraded(exchange, next);
        http
    }

    /// Whether no octet of a header block or frame header of this side is pending.
    pub fn is_idle(&self, side: Side) -> bool {
        match side {
            Side::Request => self.request.is_idle(),
            Side::Response => self.response.is_idle(),
        }
    }

    /// Takes the next bytes of one direction.
    pub fn push(&mut self, side: Side, data: &[u8], sink: &mut dyn FnMut(HttpEvent<'_>)) {
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.half(side).state {
                State::Preface(seen) => self.preface(side, seen, rest, sink),
                State::Head => self.frame_head(side, rest, sink),
                State::Payload => self.payload(side, rest, sink),
                State::Seeking => self.seek(side, rest, sink),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        self.half(side).settle_block();
    }

    /// Bytes of one direction are missing here; `missing` says how many, where known.
    pub fn gap(&mut self, side: Side, missing: Option<u64>, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        if missing == Some(0) {
            return;
        }
        let half = self.half(side);
        let inside = missing.and_then(|missing| Some((missing, half.skip(missing)?)));
        let Some((missing, content)) = inside else {
            return self.lose(side, Incomplete::Gap, sink);
        };
        match half.frame.kind {
            Kind::Data => {
                let stream = half.frame.stream;
                self.streams.hole(side, stream, missing, content, sink);
            }
            Kind::Headers | Kind::Continuation | Kind::Push => {
                if let Some(block) = half.block.as_mut() {
                    block.damage.get_or_insert(Incomplete::Gap);
                    block.wire = block.wire.saturating_add(missing);
                }
            }
            _ => half.damaged = true,
        }
        self.frame_end(side, sink);
    }

    /// The connection, handle or process is over.
    pub fn close(&mut self, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        for side in [Side::Request, Side::Response] {
            self.seek_end(side, sink);
            if let Some(block) = self.half(side).block.take() {
                let why = Incomplete::Closed;
                self.streams
                    .broken_headers(side, block.stream, false, block.wire, why, sink);
            }
        }
        self.streams.close(sink);
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    fn preface(&mut self, side: Side, seen: usize, data: &[u8], sink: Sink<'_>) -> usize {
        let (used, good) = self.half(side).preface(seen, data);
        if !good {
            skipped(side, seen as u64, Incomplete::Malformed, sink);
            self.lose(side, Incomplete::Malformed, sink);
        }
        used
    }

    fn frame_head(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let (used, part) = self.half(side).frame_head(data);
        match part {
            Part::Begin => {
                self.begin(side, sink);
                self.frame_end(side, sink);
            }
            Part::Broken => {
                skipped(side, HEAD as u64, Incomplete::Malformed, sink);
                self.lose(side, Incomplete::Malformed, sink);
            }
            Part::Nothing | Part::Content => {}
        }
        used
    }

    /// A frame header is whole.
    fn begin(&mut self, side: Side, sink: Sink<'_>) {
        let half = self.half(side);
        let frame = half.frame;
        let expected = half.block.map(|block| block.stream);
        let goes_on = frame.kind == Kind::Continuation && expected == Some(frame.stream);
        if expected.is_some() && !goes_on {
            // RFC 9113 section 6.10: nothing may come between the frames of a block.
            self.block_end(side, Some(Incomplete::Malformed), sink);
        }
        let half = self.half(side);
        match frame.kind {
            Kind::Headers | Kind::Push => {
                half.block = Some(Block {
                    stream: frame.stream,
                    end_stream: frame.kind == Kind::Headers && frame.has(END_STREAM),
                    push: frame.kind == Kind::Push,
                    damage: half.damaged.then_some(Incomplete::Malformed),
                    wire: HEAD as u64,
                });
            }
            Kind::Continuation if goes_on => half.count_block(HEAD),
            // The beginning of the block was missed.
            Kind::Continuation => half.table.lose(),
            Kind::Data => self.streams.framing(side, frame.stream, HEAD, sink),
            _ => {}
        }
    }

    fn payload(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let half = self.half(side);
        let frame = half.frame;
        let (used, part) = half.payload(data);
        let octets = data.get(..used).unwrap_or_default();
        let content = matches!(part, Part::Content);
        match frame.kind {
            Kind::Data if content => self.streams.data(side, frame.stream, octets, sink),
            Kind::Data => self.streams.framing(side, frame.stream, used, sink),
            Kind::Headers | Kind::Push | Kind::Continuation => {
                half.count_block(used);
                if content {
                    half.keep_fragment(octets);
                }
            }
            Kind::Reset | Kind::GoAway => half.keep_small(octets),
            _ => {}
        }
        self.frame_end(side, sink);
        used
    }

    /// Ends the frame if its payload is over.
    fn frame_end(&mut self, side: Side, sink: Sink<'_>) {
        let half = self.half(side);
        if half.left > 0 || half.state != State::Payload {
            return;
        }
        half.state = State::Head;
        let (frame, whole) = (half.frame, !half.damaged);
        match frame.kind {
            Kind::Data if frame.has(END_STREAM) => self.streams.end(side, frame.stream, sink),
            Kind::Headers | Kind::Push | Kind::Continuation if frame.has(END_HEADERS) => {
                if half.damaged
                    && let Some(block) = half.block.as_mut()
                {
                    block.damage.get_or_insert(Incomplete::Malformed);
                }
                self.block_end(side, None, sink);
            }
            Kind::Reset if whole => self.streams.reset(frame.stream, sink),
            Kind::GoAway if whole && side == Side::Response => {
                let last = half.small.first_chunk().map(|last| u32::from_be_bytes(*last));
                if let Some(last) = last {
                    self.streams.go_away(last & 0x7fff_ffff, sink);
                }
            }
            _ => {}
        }
    }

    /// A header block is over; `why` it can only be given up.
    fn block_end(&mut self, side: Side, why: Option<Incomplete>, sink: Sink<'_>) {
        let missed = self.request.missed;
        let half = self.half(side);
        let fragments = std::mem::take(&mut half.fragments);
        let Some(block) = half.block.take() else { return };
        let mut fields = heads::Fields::default();
        let damage = block.damage.or(why).or_else(|| {
            let sink = &mut |name: Option<&[u8]>, value: Option<&[u8]>| fields.take(name, value);
            half.table
                .decode(&fragments, sink)
                .err()
                .map(|_| Incomplete::Malformed)
        });
        if damage.is_some() {
            half.table.lose();
        }
        if block.push {
            return skipped(side, block.wire, Incomplete::Unsupported, sink);
        }
        if let Some(why) = damage {
            return self
                .streams
                .broken_headers(side, block.stream, block.end_stream, block.wire, why, sink);
        }
        let flaw = fields.is_over_budget().then_some(Incomplete::OverBudget);
        let decoded = Decoded {
            stream: block.stream,
            end_stream: block.end_stream,
            wire: block.wire,
            fields,
            flaw,
        };
        self.streams.headers(side, decoded, missed, sink);
    }

    /// The boundary is lost: whatever is open on this side has a hole.
    fn lose(&mut self, side: Side, why: Incomplete, sink: Sink<'_>) {
        let half = self.half(side);
        let block = half.block.take();
        if half.state == State::Seeking {
            // What is kept has a hole behind it.
            let bytes = std::mem::take(&mut half.kept).len() as u64;
            skipped(side, bytes, half.skip_reason, sink);
        }
        self.half(side).lose(why);
        if let Some(block) = block {
            self.streams
                .broken_headers(side, block.stream, false, block.wire, why, sink);
        }
        self.streams.missed(side, sink);
    }

    /// Keeps bytes until a boundary is in them, and forgets what cannot hold one.
    fn seek(&mut self, side: Side, data: &[u8], sink: Sink<'_>) -> usize {
        let take = data.len().min(SEEK_PIECE);
        let half = self.half(side);
        let before = half.kept.len();
        half.kept.extend_from_slice(data.get(..take).unwrap_or_default());
        match self.boundary(side, false, sink) {
            None => take,
            Some(kept) => {
                // What came in earlier pushes goes first; it holds less than before, so this comes to an end.
                let early = before.saturating_sub(before + take - kept.len());
                if early == 0 {
                    return take - kept.len();
                }
                self.push(side, kept.get(..early).unwrap_or_default(), sink);
                0
            }
        }
    }

    /// At the end, a last frame needs no other one behind it.
    fn seek_end(&mut self, side: Side, sink: Sink<'_>) {
        while self.half(side).state == State::Seeking {
            match self.boundary(side, true, sink) {
                Some(kept) => self.push(side, &kept, sink),
                None => return,
            }
        }
    }

    /// Looks for a boundary in the bytes kept; gives what is behind it.
    fn boundary(&mut self, side: Side, over: bool, sink: Sink<'_>) -> Option<Vec<u8>> {
        let half = match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        };
        let streams = &self.streams;
        let found = Half::seek(&half.kept, over, |stream| streams.is_open(side, stream));
        let at = found.unwrap_or_else(|until| until).min(half.kept.len());
        half.kept.drain(..at);
        skipped(side, at as u64, half.skip_reason, sink);
        found.ok()?;
        half.state = State::Head;
        Some(std::mem::take(&mut half.kept))
    }
}
