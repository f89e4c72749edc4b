//! Reads one connection: ordered plaintext of both directions in, exchanges out.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dialect::{NotAi, TextSink};
use crate::exchange::Exchange;
use crate::protocol::{Incomplete, Side};

/// What a connection is, as far as the bytes so far say. Drives the scope gate in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Not decided yet: keep delivering.
    Undecided,
    /// Carries AI exchanges: deliver everything.
    Ai,
    /// Carries something else: stop delivering.
    Other,
}

/// What the owner of a connection provides and hears. Exchanges of one connection are numbered from 0.
pub trait ConnectionHooks {
    /// Where the text of this exchange goes. May be called many times.
    fn text_sink(&mut self, exchange: u64) -> &mut dyn TextSink;
    /// The exchange is over and was AI. All its text has been handed on.
    fn finished(&mut self, exchange: u64, facts: Exchange);
    /// The exchange is over, or given up, and was not AI: drop what was kept for it.
    fn not_ai(&mut self, exchange: u64, reason: NotAi);
    /// `bytes` of this direction belong to no exchange and were not read.
    fn lost(&mut self, side: Side, bytes: u64, reason: Incomplete);
}

/// Reads one connection.
pub struct ConnectionReader {
    catalog: Arc<Catalog>,
}

impl ConnectionReader {
    /// A reader for a connection; `server_name` is the name asked for in the TLS handshake, where known.
    pub fn new(catalog: Arc<Catalog>, _server_name: Option<&str>) -> Self {
        Self { catalog }
    }

    /// The next bytes of one direction, at `now_ns` (nanoseconds, CLOCK_BOOTTIME).
    pub fn push(&mut self, _side: Side, _data: &[u8], _now_ns: u64, _hooks: &mut dyn ConnectionHooks) {}

    /// Bytes of one direction are missing here: `missing` of them, or an unknown number.
    pub fn gap(&mut self, _side: Side, _missing: Option<u64>, _now_ns: u64, _hooks: &mut dyn ConnectionHooks) {}

    /// The connection, handle or process is over: everything open is finished now.
    pub fn close(&mut self, _now_ns: u64, _hooks: &mut dyn ConnectionHooks) {}

    /// What the connection is, as far as known.
    pub fn scope(&self) -> Scope {
        Scope::Undecided
    }

    /// Protocol that is spoken here and not read, for example `http2`.
    pub fn unsupported(&self) -> Option<&'static str> {
        let _ = &self.catalog;
        None
    }
}
