//! Flow stage: records of one TLS handle in, ordered chunks of both directions out, holes as holes. Pure.
//!
//! The kernel numbers the bytes of each direction, so a lost record shows as a jump of the offset, and the totals
//! that come with the end of the handle show a loss at the very end.

mod early;

pub use early::{Early, Waiting};
use observer_common::wire::{DIRECTION_SENT, TlsData, TlsFree};

/// Direction as the process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Written by the process.
    Sent,
    /// Read by the process.
    Received,
}

impl Direction {
    /// Direction of a record.
    pub fn of(data: &TlsData) -> Self {
        if data.direction == DIRECTION_SENT {
            Self::Sent
        } else {
            Self::Received
        }
    }
}

/// What the next record of a direction means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes missing before `data`.
    pub gap: u64,
    /// The bytes, without any that were delivered before.
    pub data: &'a [u8],
    /// Bytes at the front of the record that had been delivered already.
    pub repeated: u64,
}

/// Where both directions of one flow stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reassembly {
    next: [u64; 2],
    missing: [u64; 2],
    missing_at_end: [u64; 2],
}

impl Reassembly {
    /// Takes a record's bytes at their offset.
    pub fn accept<'a>(&mut self, direction: Direction, offset: u64, data: &'a [u8]) -> Step<'a> {
        let next = &mut self.next[direction as usize];
        let repeated = next.saturating_sub(offset).min(data.len() as u64);
        let gap = offset.saturating_sub(*next);
        let fresh = &data[usize::try_from(repeated).unwrap_or(data.len())..];
        *next = (*next).max(offset.saturating_add(data.len() as u64));
        self.missing[direction as usize] += gap;
        Step {
            gap,
            data: fresh,
            repeated,
        }
    }

    /// Bytes missing at the end, by direction (sent, received), from the totals that the kernel counted.
    pub fn finish(&mut self, totals: &TlsFree) -> [u64; 2] {
        let tail = [
            totals.sent.saturating_sub(self.next[0]),
            totals.received.saturating_sub(self.next[1]),
        ];
        self.next = [self.next[0].max(totals.sent), self.next[1].max(totals.received)];
        self.missing = [self.missing[0] + tail[0], self.missing[1] + tail[1]];
        self.missing_at_end = tail;
        tail
    }

    /// Bytes of the direction that passed, whether seen or not.
    pub fn position(&self, direction: Direction) -> u64 {
        self.next[direction as usize]
    }

    /// Bytes of the direction that were not seen after the last one that was.
    pub fn missing_at_end(&self, direction: Direction) -> u64 {
        self.missing_at_end[direction as usize]
    }

    /// Bytes of the direction that were not seen.
    pub fn missing(&self, direction: Direction) -> u64 {
        self.missing[direction as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(sent: u64, received: u64) -> TlsFree {
        TlsFree {
            handle: 1,
            sent,
            received,
            class: 0,
            tie: 0,
        }
    }

    #[test]
    fn bytes_in_order_pass_and_a_hole_is_seen_where_it_is() {
        let mut r = Reassembly::default();
        assert_eq!(
            r.accept(Direction::Sent, 0, b"abc"),
            Step {
                gap: 0,
                data: b"abc",
                repeated: 0
            }
        );
        assert_eq!(
            r.accept(Direction::Sent, 5, b"fg"),
            Step {
                gap: 2,
                data: b"fg",
                repeated: 0
            }
        );
        assert_eq!(
            r.accept(Direction::Received, 0, b"x"),
            Step {
                gap: 0,
                data: b"x",
                repeated: 0
            }
        );
        assert_eq!((r.position(Direction::Sent), r.missing(Direction::Sent)), (7, 2));
    }

    #[test]
    fn bytes_that_come_twice_are_taken_once() {
        let mut r = Reassembly::default();
        r.accept(Direction::Sent, 0, b"abc");
        assert_eq!(
            r.accept(Direction::Sent, 1, b"bcde"),
            Step {
                gap: 0,
                data: b"de",
                repeated: 2
            }
        );
        assert_eq!(
            r.accept(Direction::Sent, 0, b"ab"),
            Step {
                gap: 0,
                data: b"",
                repeated: 2
            }
        );
        assert_eq!(r.position(Direction::Sent), 5);
    }

    #[test]
    fn a_loss_at_the_very_end_shows_in_the_totals() {
        let mut r = Reassembly::default();
        r.accept(Direction::Received, 0, b"abc");
        assert_eq!(r.finish(&totals(4, 10)), [4, 7]);
        assert_eq!(
            (r.missing(Direction::Sent), r.missing(Direction::Received)),
            (4, 7)
        );
    }

    #[test]
    fn offsets_at_the_limit_do_not_overflow() {
        let mut r = Reassembly::default();
        r.accept(Direction::Sent, u64::MAX, b"abc");
        assert_eq!(r.accept(Direction::Sent, 0, b"abc").data, b"");
    }
}
