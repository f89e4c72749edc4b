//! What was said on a connection that is not AI: how much of it shows that the rest is none either.
//!
//! One call of another kind shows nothing: who asks a model server asks it first whether it is there (`HEAD /`), who logs in to a gateway asks
//! it for a token. But what is not decided costs more than what is, so ordinary traffic has to be let go soon.

use super::reader::SHAPE_BUDGET;

/// Exchanges of other kinds after which a connection is none of AI. Their heads have to fit into the 4 KiB that the kernel delivers of a
/// connection without a request that has a body.
pub(super) const MAX_OTHERS: usize = 4;
/// Bytes of their bodies after which it is none.
pub(super) const MAX_OTHER_BYTES: u64 = SHAPE_BUDGET;

/// Exchanges of a connection that were clearly something else.
#[derive(Default)]
pub(super) struct Others {
    exchanges: Vec<u64>,
    bytes: u64,
}

impl Others {
    /// An exchange is one; so much of it was read until that was clear.
    pub(super) fn add(&mut self, exchange: u64, read: u64) {
        if self.exchanges.len() < MAX_OTHERS {
            self.exchanges.push(exchange);
        }
        self.bytes = self.bytes.saturating_add(read);
    }

    /// More came of an exchange that is over; it counts if it is one of these.
    pub(super) fn body(&mut self, exchange: u64, bytes: usize) {
        if self.exchanges.contains(&exchange) {
            self.bytes = self.bytes.saturating_add(bytes as u64);
        }
    }

    /// Whether they are enough.
    pub(super) fn decide(&self) -> bool {
        self.exchanges.len() >= MAX_OTHERS || self.bytes >= MAX_OTHER_BYTES
    }
}
