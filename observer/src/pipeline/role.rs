//! Which end of a flow the process at hand is: the one that asks, or the one that is asked. Its first bytes say it.

use crate::{
    flow::Direction,
    protocol::{
        Side,
        sniff::{Sniff, sniff},
    },
};

/// Received bytes that are looked at for a request, while nothing was sent.
const MAX_OPENING: usize = 4 * 1024;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It asks.
    Client,
    /// It is asked.
    Server,
}

impl Role {
    /// What stands in rows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// Side of the protocol that speaks in a direction.
    pub(super) fn side(self, direction: Direction) -> Side {
        match (self, direction) {
            (Self::Client, Direction::Sent) | (Self::Server, Direction::Received) => Side::Request,
            (Self::Client, Direction::Received) | (Self::Server, Direction::Sent) => Side::Response,
        }
    }
}

/// The first bytes of a flow, until they say the role.
#[derive(Debug, Default)]
pub(super) struct Opening {
    received: Vec<u8>,
}

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// Nothing yet; they wait.
    More,
    /// The role, and received bytes that waited before these.
    Is(Role, Vec<u8>),
}

impl Opening {
    /// Takes the next bytes of the flow, with what is missing before them.
    pub(super) fn take(&mut self, direction: Direction, gap: u64, bytes: &[u8]) -> Opened {
        let waited = std::mem::take(&mut self.received);
        if gap > 0 {
            return Opened::Is(Role::Client, waited);
        }
        if direction == Direction::Sent {
            // HTTP/2 lets a server speak first.
            let speaks_first = waited.is_empty() && sniff(bytes, Side::Response) == Sniff::Http2Preface;
            let role = if speaks_first { Role::Server } else { Role::Client };
            return Opened::Is(role, waited);
        }
        let first = [&waited[..], bytes].concat();
        match sniff(&first[..first.len().min(MAX_OPENING)], Side::Request) {
            Sniff::Http1Request | Sniff::Http2Preface => Opened::Is(Role::Server, waited),
            Sniff::NeedMore if first.len() < MAX_OPENING => {
                self.received = first;
                Opened::More
            }
            _ => Opened::Is(Role::Client, waited),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(pieces: &[(Direction, &[u8])]) -> Option<(Role, usize)> {
        let mut opening = Opening::default();
        for (direction, bytes) in pieces {
            if let Opened::Is(role, waited) = opening.take(*direction, 0, bytes) {
                return Some((role, waited.len()));
            }
        }
        None
    }

    #[test]
    fn the_first_bytes_say_who_asks() {
        use Direction::{Received, Sent};
        let settings = b"\0\0\x12\x04\0\0\0\0\0";
        for (pieces, expected) in [
            (
                &[(Sent, &b"POST / HTTP/1.1\r\n"[..])][..],
                Some((Role::Client, 0)),
            ),
            (&[(Received, b"POST / HTTP/1.1\r\n")], Some((Role::Server, 0))),
            (
                &[(Received, b"PO"), (Received, b"ST / HTTP/1.1\r\n")],
                Some((Role::Server, 2)),
            ),
            (
                &[(Received, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
                Some((Role::Server, 0)),
            ),
            (&[(Sent, settings)], Some((Role::Server, 0))),
            (&[(Received, settings)], Some((Role::Client, 0))),
            (&[(Received, b"220 mail")], Some((Role::Client, 0))),
            (&[(Sent, b"HTTP/1.1 200 OK\r\n")], Some((Role::Client, 0))),
            (&[(Received, b"PO"), (Sent, b"x")], Some((Role::Client, 2))),
            (&[(Received, b"PO")], None),
        ] {
            assert_eq!(role(pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_long_line_is_not_waited_for() {
        let long = [&b"POST /"[..], &vec![b'a'; MAX_OPENING]].concat();
        assert_eq!(role(&[(Direction::Received, &long)]), Some((Role::Client, 0)));
        let mut opening = Opening::default();
        assert_eq!(
            opening.take(Direction::Received, 3, b"POST / HTTP/1.1"),
            Opened::Is(Role::Client, Vec::new())
        );
    }
}
