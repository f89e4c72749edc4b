//! The HTTP decoder of a connection, in the version that is spoken.

use crate::protocol::http1::Http1Connection;
use crate::protocol::http2::Http2Connection;
use crate::protocol::{HttpEvent, Side};

/// A decoder of HTTP messages.
pub(super) enum Transport {
    Http1(Box<Http1Connection>),
    Http2(Box<Http2Connection>),
}

impl Transport {
    pub(super) fn http1() -> Self {
        Self::Http1(Box::default())
    }

    /// `joined`: see [`Http2Connection::new`].
    pub(super) fn http2(joined: [bool; 2]) -> Self {
        Self::Http2(Box::new(Http2Connection::new(joined)))
    }

    /// Whether several exchanges run at a time.
    pub(super) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether no byte of a head of this side is pending.
    pub(super) fn is_idle(&self, side: Side) -> bool {
        match self {
            Self::Http1(http) => http.is_idle(side),
            Self::Http2(http) => http.is_idle(side),
        }
    }

    /// Whether an answer would be to a request that is not here. Streams of HTTP/2 say themselves what they answer.
    pub(super) fn expects_request(&self) -> bool {
        match self {
            Self::Http1(http) => http.expects_request(),
            Self::Http2(_) => false,
        }
    }

    pub(super) fn push(&mut self, side: Side, data: &[u8], sink: &mut dyn FnMut(HttpEvent<'_>)) {
        match self {
            Self::Http1(http) => http.push(side, data, sink),
            Self::Http2(http) => http.push(side, data, sink),
        }
    }

    pub(super) fn gap(&mut self, side: Side, missing: Option<u64>, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        match self {
            Self::Http1(http) => http.gap(side, missing, sink),
            Self::Http2(http) => http.gap(side, missing, sink),
        }
    }

    pub(super) fn close(&mut self, sink: &mut dyn FnMut(HttpEvent<'_>)) {
        match self {
            Self::Http1(http) => http.close(sink),
            Self::Http2(http) => http.close(sink),
        }
    }
}
