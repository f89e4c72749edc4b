//! Reads one exchange: bodies in, facts and text out.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::dialect::TextSink;
use crate::exchange::Exchange;
use crate::protocol::{Incomplete, RequestHead, ResponseHead, Side};

/// Why an exchange is not an AI interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotAi {
    /// Nothing about it is AI.
    Other,
    /// The catalogue knows the host, but this is other traffic of it (login, telemetry, files).
    CatalogHostOther,
    /// The catalogue knows the host and path, but the dialect is not read yet.
    UnknownDialect,
}

/// What became of an exchange.
#[derive(Debug)]
pub enum Outcome {
    /// An AI exchange.
    Ai(Box<Exchange>),
    /// Not one.
    NotAi(NotAi),
}

/// Reads one exchange.
pub struct ExchangeReader {
    catalog: Arc<Catalog>,
}

impl ExchangeReader {
    /// A reader for the request with this head.
    pub fn new(catalog: Arc<Catalog>, _head: Option<RequestHead>, _server_name: Option<&str>, _started_ns: u64) -> Self {
        Self { catalog }
    }

    /// Takes the response head.
    pub fn response_head(&mut self, _head: &ResponseHead, _now_ns: u64) {}

    /// Takes body bytes, content coding still on.
    pub fn body(&mut self, _side: Side, _data: &[u8], _now_ns: u64, _sink: &mut dyn TextSink) {}

    /// Body bytes are missing here.
    pub fn gap(&mut self, _side: Side, _sink: &mut dyn TextSink) {}

    /// One side is over.
    pub fn end(&mut self, _side: Side, _incomplete: Option<Incomplete>, _wire_bytes: u64, _now_ns: u64, _sink: &mut dyn TextSink) {}

    /// Whether both sides are over.
    pub fn is_over(&self) -> bool {
        self.catalog.version().is_empty()
    }

    /// What it was.
    pub fn finish(self, _now_ns: u64) -> Outcome {
        Outcome::NotAi(NotAi::Other)
    }
}
