//! Answers that were reported before their requests: what a call wrote is known when it returns, and another thread of the program may have
//! read the answer by then. A stream says which request it answers, so what came of the answer waits for that one.

use crate::budget::{Pool, Share};
use crate::protocol::{Fields, HttpEvent, Incomplete, ResponseHead, Side};

/// Most memory that the answers of a connection wait in.
pub(super) const MAX_WAITING: usize = 64 * 1024;

/// An event without the number of its exchange, which the request brings.
enum Kept {
    Head(ResponseHead),
    Body(Vec<u8>),
    Gap(Option<u64>),
    Trailers(Fields),
    End(Option<Incomplete>, u64),
}

impl Kept {
    /// What is kept of an event of a response.
    fn of(event: HttpEvent<'_>) -> Option<Self> {
        Some(match event {
            HttpEvent::ResponseHead { head, .. } => Self::Head(head),
            HttpEvent::Body { data, .. } => Self::Body(data.to_vec()),
            HttpEvent::BodyGap { missing, .. } => Self::Gap(missing),
            HttpEvent::Trailers { fields, .. } => Self::Trailers(fields),
            HttpEvent::End {
                incomplete,
                wire_bytes,
                ..
            } => Self::End(incomplete, wire_bytes),
            HttpEvent::RequestHead { .. }
            | HttpEvent::Skipped { .. }
            | HttpEvent::Switched { .. }
            | HttpEvent::Tunnel { .. }
            | HttpEvent::TunnelGap { .. } => return None,
        })
    }

    fn memory(&self) -> usize {
        let of = |fields: &Fields| -> usize { fields.0.iter().map(|(n, v)| n.len() + v.len()).sum() };
        let octets = match self {
            Self::Head(head) => of(&head.fields),
            Self::Trailers(fields) => of(fields),
            Self::Body(octets) => octets.len(),
            Self::Gap(_) | Self::End(..) => 0,
        };
        octets + size_of::<Self>()
    }

    fn tell(self, exchange: u64, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        let side = Side::Response;
        match self {
            Self::Head(head) => sink(HttpEvent::ResponseHead { exchange, head }),
            Self::Body(octets) => sink(HttpEvent::Body {
                exchange,
                side,
                data: &octets,
            }),
            Self::Gap(missing) => sink(HttpEvent::BodyGap {
                exchange,
                side,
                missing,
            }),
            Self::Trailers(fields) => sink(HttpEvent::Trailers { exchange, fields }),
            Self::End(incomplete, wire_bytes) => sink(HttpEvent::End {
                exchange,
                side,
                incomplete,
                wire_bytes,
            }),
        }
    }
}

/// What waits of one answer.
pub(super) struct Early {
    events: Vec<Kept>,
    memory: usize,
    share: Share,
    /// There was no room for all of it.
    cut: bool,
}

impl Early {
    /// An answer begins; `None` where there is no room. `waiting`: what all answers of the connection take.
    pub(super) fn new(head: ResponseHead, waiting: &mut usize) -> Option<Self> {
        let mut early = Self {
            events: Vec::new(),
            // Its end, and that it was cut, have their room from the beginning.
            memory: 2 * size_of::<Kept>(),
            share: Share::new(Pool::Buffers),
            cut: false,
        };
        *waiting += early.memory;
        if early.add(Kept::Head(head), waiting) {
            return Some(early);
        }
        *waiting -= early.memory;
        None
    }

    /// Keeps an event; `false` where there is no room for all of it, and the answer has a hole. What is kept of a body does not depend on
    /// how it is cut.
    pub(super) fn keep(&mut self, event: HttpEvent<'_>, waiting: &mut usize) -> bool {
        if self.cut {
            return false;
        }
        let fits = match event {
            HttpEvent::Body { data, .. } => self.body(data, waiting),
            event => Kept::of(event).is_none_or(|kept| self.add(kept, waiting)),
        };
        if !fits {
            self.cut = true;
            self.events.push(Kept::Gap(None));
        }
        fits
    }

    fn body(&mut self, data: &[u8], waiting: &mut usize) -> bool {
        let begun = matches!(self.events.last(), Some(Kept::Body(_)));
        if !begun && !self.add(Kept::Body(Vec::new()), waiting) {
            return false;
        }
        let take = data.len().min(MAX_WAITING.saturating_sub(*waiting));
        if !self.grow(take, waiting) {
            return false;
        }
        if let Some(Kept::Body(octets)) = self.events.last_mut() {
            octets.extend(data.iter().take(take));
        }
        take == data.len()
    }

    /// The answer is over.
    pub(super) fn end(&mut self, incomplete: Option<Incomplete>, wire_bytes: u64) {
        self.events.push(Kept::End(incomplete, wire_bytes));
    }

    /// Hands on what waited.
    pub(super) fn release(self, exchange: u64, waiting: &mut usize, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        *waiting = waiting.saturating_sub(self.memory);
        for kept in self.events {
            kept.tell(exchange, sink);
        }
    }

    fn add(&mut self, kept: Kept, waiting: &mut usize) -> bool {
        let has_room = self.grow(kept.memory(), waiting);
        if has_room {
            self.events.push(kept);
        }
        has_room
    }

    /// Takes so much more memory, if there is.
    fn grow(&mut self, more: usize, waiting: &mut usize) -> bool {
        let memory = self.memory + more;
        if *waiting + more > MAX_WAITING || !self.share.set(memory as u64) {
            return false;
        }
        self.memory = memory;
        *waiting += more;
        true
    }
}
