//! WebSocket decoder for one connection, both directions (RFC 6455), with permessage-deflate (RFC 7692).
//!
//! Bytes in, parts of messages out. Frames cannot be found in the middle: a hole that is not inside the payload of a
//! frame ends a direction.

mod half;
mod inflate;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use super::{Incomplete, Side};
use half::Half;

/// Most octets of a message on the connection.
pub const MAX_MESSAGE: u64 = 64 * 1024 * 1024;

/// What the decoder reports. Between `Begin` and `End` of a side, all data of that side is of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketEvent<'a> {
    /// A message begins.
    Begin {
        /// Who sends it.
        side: Side,
        /// Text, not binary.
        text: bool,
    },
    /// Content, without mask and compression.
    Data {
        /// Who sends it.
        side: Side,
        /// The bytes.
        data: &'a [u8],
    },
    /// Content is missing here.
    Gap {
        /// Who sends it.
        side: Side,
    },
    /// A message is over.
    End {
        /// Who sent it.
        side: Side,
        /// Why it is not whole.
        incomplete: Option<Incomplete>,
        /// Bytes of its frames on the connection.
        wire_bytes: u64,
    },
    /// Nothing more will be decoded of this side.
    Closed {
        /// Which side.
        side: Side,
        /// `Closed` after the closing handshake, else what went wrong.
        reason: Incomplete,
    },
    /// Bytes that belong to no message were not read.
    Skipped {
        /// Direction of the bytes.
        side: Side,
        /// How many.
        bytes: u64,
        /// Why.
        reason: Incomplete,
    },
}

type Sink<'s> = &'s mut dyn FnMut(WebSocketEvent<'_>);

/// What the handshake agreed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Messages may be compressed.
    pub deflate: bool,
    /// Each message of the client is compressed on its own.
    pub client_alone: bool,
    /// Each message of the server is compressed on its own.
    pub server_alone: bool,
}

impl Agreement {
    /// Reads the values of `Sec-WebSocket-Extensions` in the response.
    pub fn read<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut agreed = Self::default();
        for extension in values.flat_map(|value| value.split(|b| *b == b',')) {
            let mut parts = extension.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            if !parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(b"permessage-deflate"))
            {
                continue;
            }
            agreed.deflate = true;
            for part in parts {
                agreed.client_alone |= part.eq_ignore_ascii_case(b"client_no_context_takeover");
                agreed.server_alone |= part.eq_ignore_ascii_case(b"server_no_context_takeover");
            }
        }
        agreed
    }
}

/// Decoder of one connection, from behind the handshake.
pub struct WebSocketConnection {
    request: Half,
    response: Half,
}

impl WebSocketConnection {
    /// A decoder before the first byte.
    pub fn new(agreed: Agreement) -> Self {
        Self {
            request: Half::new(Side::Request, agreed.deflate, agreed.client_alone),
            response: Half::new(Side::Response, agreed.deflate, agreed.server_alone),
        }
    }

    /// Takes the next bytes of one direction.
    pub fn push(&mut self, side: Side, data: &[u8], sink: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).push(data, sink);
    }

    /// Bytes of one direction are missing here; `missing` says how many, where known.
    pub fn gap(&mut self, side: Side, missing: Option<u64>, sink: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).gap(missing, sink);
    }

    /// The connection is over.
    pub fn close(&mut self, sink: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.request.stop(Incomplete::Closed, sink);
        self.response.stop(Incomplete::Closed, sink);
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }
}
