//! One stream of a connection: how far its two sides are.

use super::{Sink, early::Early};
use crate::protocol::{HttpEvent, Incomplete, Side};

/// ```text
/// Head -> Body -> Over
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Head,
    Body,
    Over,
}

/// One side of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Half {
    pub(super) phase: Phase,
    pub(super) wire: u64,
    /// Why it will not end cleanly.
    pub(super) flaw: Option<Incomplete>,
}

impl Half {
    pub(super) fn new(phase: Phase, wire: u64) -> Self {
        let flaw = None;
        Self { phase, wire, flaw }
    }
}

pub(super) struct Stream {
    pub(super) exchange: u64,
    pub(super) request: Half,
    pub(super) response: Half,
    /// What waits for the request, while that is not here. The stream has no exchange yet.
    pub(super) early: Option<Box<Early>>,
}

impl Stream {
    pub(super) fn new(exchange: u64, request: Half, response: Half) -> Self {
        Self {
            exchange,
            request,
            response,
            early: None,
        }
    }

    pub(super) fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Ends one side, once.
    pub(super) fn end(&mut self, side: Side, why: Option<Incomplete>, sink: Sink<'_>) {
        let (exchange, waits) = (self.exchange, self.early.is_some());
        let half = self.half(side);
        if half.phase == Phase::Over || (waits && side == Side::Request) {
            return;
        }
        half.phase = Phase::Over;
        let (incomplete, wire_bytes) = (half.flaw.or(why), half.wire);
        match &mut self.early {
            Some(early) => early.end(incomplete, wire_bytes),
            None => sink(HttpEvent::End {
                exchange,
                side,
                incomplete,
                wire_bytes,
            }),
        }
    }

    /// Tells what came of the response, or keeps it until the request is here.
    pub(super) fn tell(&mut self, event: HttpEvent<'_>, waiting: &mut usize, sink: Sink<'_>) {
        let Some(early) = &mut self.early else {
            return sink(event);
        };
        if !early.keep(event, waiting) {
            self.response.flaw.get_or_insert(Incomplete::OverBudget);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.request.phase == Phase::Over && self.response.phase == Phase::Over
    }
}
