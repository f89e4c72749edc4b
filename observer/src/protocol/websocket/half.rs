//! One direction of a connection.

use super::inflate::Inflate;
use super::{MAX_MESSAGE, Side, Sink, WebSocketEvent as Event};
use crate::protocol::Incomplete;

/// Longest frame header: two octets, a length of eight, a mask of four.
const MAX_HEAD: usize = 14;
/// Octets unmasked at a time.
const PIECE: usize = 4 * 1024;
/// Largest payload of a control frame.
const MAX_CONTROL: u64 = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV_OTHER: u8 = 0x30;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// ```text
/// Head -> Payload -> Head ...
///   any -> Over (closing frame, nonsense, hole across a boundary)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Payload,
    Over(Incomplete),
}

struct Message {
    compressed: bool,
    wire: u64,
    /// Why it is not whole.
    flaw: Option<Incomplete>,
}

pub(super) struct Half {
    side: Side,
    state: State,
    head: [u8; MAX_HEAD],
    have: usize,
    opcode: u8,
    fin: bool,
    left: u64,
    mask: Option<[u8; 4]>,
    /// Place in the mask.
    turn: usize,
    message: Option<Message>,
    deflate: bool,
    inflate: Inflate,
}

impl Half {
    pub(super) fn new(side: Side, deflate: bool, alone: bool) -> Self {
        Self {
            side,
            state: State::Head,
            head: [0; MAX_HEAD],
            have: 0,
            opcode: 0,
            fin: false,
            left: 0,
            mask: None,
            turn: 0,
            message: None,
            deflate,
            inflate: Inflate::new(alone),
        }
    }

    pub(super) fn push(&mut self, data: &[u8], sink: Sink<'_>) {
        let mut rest = data;
        while !rest.is_empty() {
            let used = match self.state {
                State::Head => self.frame_head(rest, sink),
                State::Payload => self.payload(rest, sink),
                State::Over(reason) => {
                    let (side, bytes) = (self.side, rest.len() as u64);
                    sink(Event::Skipped { side, bytes, reason });
                    rest.len()
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    pub(super) fn gap(&mut self, missing: Option<u64>, sink: Sink<'_>) {
        let inside = missing.filter(|missing| self.state == State::Payload && *missing <= self.left);
        let Some(missing) = inside else {
            if missing != Some(0) {
                self.stop(Incomplete::Gap, sink);
            }
            return;
        };
        self.left -= missing;
        self.turn = self.turn.wrapping_add(usize::try_from(missing % 4).unwrap_or(0)) % 4;
        if missing > 0 && self.opcode <= BINARY && self.message.is_some() {
            self.count(missing);
            self.flaw(Incomplete::Gap);
            sink(Event::Gap { side: self.side });
        }
        self.frame_end(sink);
    }

    /// Nothing more is read of this direction.
    pub(super) fn stop(&mut self, reason: Incomplete, sink: Sink<'_>) {
        if matches!(self.state, State::Over(_)) {
            return;
        }
        self.state = State::Over(reason);
        let side = self.side;
        if let Some(message) = self.message.take() {
            sink(Event::End {
                side,
                incomplete: message.flaw.or(Some(reason)),
                wire_bytes: message.wire,
            });
        }
        sink(Event::Closed { side, reason });
    }

    fn frame_head(&mut self, data: &[u8], sink: Sink<'_>) -> usize {
        for (at, octet) in data.iter().enumerate() {
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *octet;
            }
            self.have += 1;
            if self.have >= 2 && self.have == self.head_size() {
                self.have = 0;
                self.begin(sink);
                return at + 1;
            }
        }
        data.len()
    }

    /// Size of the header, as its second octet says.
    fn head_size(&self) -> usize {
        let length = match self.head[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.head[1] & MASKED == 0 { 0 } else { 4 }
    }

    /// A frame header is whole.
    fn begin(&mut self, sink: Sink<'_>) {
        let [first, second, rest @ ..] = self.head;
        let (length, extended) = match second & !MASKED {
            126 => (
                rest.first_chunk()
                    .map_or(0, |l| u64::from(u16::from_be_bytes(*l))),
                2,
            ),
            127 => (rest.first_chunk().map_or(0, |l| u64::from_be_bytes(*l)), 8),
            length => (u64::from(length), 0),
        };
        self.mask = rest
            .get(extended..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .filter(|_| second & MASKED != 0);
        (self.left, self.turn) = (length, 0);
        (self.opcode, self.fin) = (first & 0x0f, first & FIN != 0);
        let size = self.head_size();
        let compressed = first & RSV1 != 0;
        let control = (CLOSE..=PONG).contains(&self.opcode);
        let good = match self.opcode {
            TEXT | BINARY => self.message.is_none() && (self.deflate || !compressed),
            CONTINUATION => self.message.is_some() && !compressed,
            _ => control && self.fin && length <= MAX_CONTROL && !compressed,
        };
        if !good || first & RSV_OTHER != 0 || length >> 63 != 0 {
            return self.stop(Incomplete::Malformed, sink);
        }
        if matches!(self.opcode, TEXT | BINARY) {
            self.message = Some(Message {
                compressed,
                wire: 0,
                flaw: None,
            });
            let text = self.opcode == TEXT;
            sink(Event::Begin {
                side: self.side,
                text,
            });
        }
        if !control {
            self.count(size as u64);
        }
        self.state = State::Payload;
        self.frame_end(sink);
    }

    fn payload(&mut self, data: &[u8], sink: Sink<'_>) -> usize {
        let take = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(data.len())
            .min(PIECE);
        let octets = data.get(..take).unwrap_or_default();
        self.left -= take as u64;
        if self.opcode <= BINARY {
            self.count(take as u64);
            match self.mask {
                None => self.content(octets, sink),
                Some(mask) => {
                    let mut piece = [0; PIECE];
                    let keys = mask.iter().cycle().skip(self.turn);
                    for ((place, octet), key) in piece.iter_mut().zip(octets).zip(keys) {
                        *place = octet ^ key;
                    }
                    self.content(piece.get(..take).unwrap_or_default(), sink);
                }
            }
        }
        self.turn = (self.turn + take) % 4;
        self.frame_end(sink);
        take
    }

    fn content(&mut self, data: &[u8], sink: Sink<'_>) {
        let side = self.side;
        let Some(message) = &mut self.message else { return };
        if message.wire > MAX_MESSAGE {
            message.flaw.get_or_insert(Incomplete::OverBudget);
        }
        // Behind a hole, plain content can be read on, compressed content cannot.
        let readable = match message.flaw {
            None => true,
            Some(Incomplete::Gap) => !message.compressed,
            Some(_) => false,
        };
        if !readable || data.is_empty() {
            return;
        }
        if !message.compressed {
            sink(Event::Data { side, data });
            return;
        }
        let result = self
            .inflate
            .push(data, &mut |data| sink(Event::Data { side, data }));
        if let Err(why) = result {
            message.flaw.get_or_insert(why);
        }
    }

    fn frame_end(&mut self, sink: Sink<'_>) {
        if self.left > 0 || self.state != State::Payload {
            return;
        }
        self.state = State::Head;
        if self.opcode == CLOSE {
            return self.stop(Incomplete::Closed, sink);
        }
        if self.opcode > BINARY || !self.fin {
            return;
        }
        let side = self.side;
        let Some(mut message) = self.message.take() else {
            return;
        };
        if message.compressed {
            let whole = message.flaw.is_none();
            let result = self
                .inflate
                .end(whole, &mut |data| sink(Event::Data { side, data }));
            if let Err(why) = result {
                message.flaw.get_or_insert(why);
            }
        }
        sink(Event::End {
            side,
            incomplete: message.flaw,
            wire_bytes: message.wire,
        });
    }

    fn count(&mut self, octets: u64) {
        if let Some(message) = &mut self.message {
            message.wire = message.wire.saturating_add(octets);
        }
    }

    fn flaw(&mut self, why: Incomplete) {
        if let Some(message) = &mut self.message {
            message.flaw.get_or_insert(why);
        }
    }
}
