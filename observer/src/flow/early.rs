//! Answers that were reported before their requests. A program may write on one thread and read on another (Python's `websockets`): what
//! a call wrote is known when it returns, and on a busy machine the other thread has read the answer by then. So an answer without a
//! request waits for what is written next; when that call was entered says whether it was the request. Pure.

use super::Step;
use crate::budget::{Pool, Share};

/// Most bytes of an answer that wait.
const MAX_BYTES: usize = 64 * 1024;

/// Received bytes that wait, with the hole before them.
#[derive(Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When they were received, CLOCK_BOOTTIME, ns.
    pub at_ns: u64,
    /// Bytes missing before them.
    pub gap: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The bytes of a flow that wait.
#[derive(Debug)]
pub struct Early {
    waiting: Vec<Waiting>,
    bytes: usize,
    share: Share,
}

impl Default for Early {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            bytes: 0,
            share: Share::new(Pool::Buffers),
        }
    }
}

impl Early {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a record wait; `false` where there is no room.
    pub fn keep(&mut self, at_ns: u64, step: &Step<'_>) -> bool {
        let bytes = self.bytes + step.data.len();
        let memory = bytes + (self.waiting.len() + 1) * size_of::<Waiting>();
        if bytes > MAX_BYTES || !self.share.set(memory as u64) {
            return false;
        }
        self.bytes = bytes;
        self.waiting.push(Waiting {
            at_ns,
            gap: step.gap,
            bytes: step.data.to_vec(),
        });
        true
    }

    /// Whether a write that was entered at this time was so before the first of what waits was received.
    pub fn is_behind(&self, entered_ns: u64) -> bool {
        self.waiting
            .first()
            .is_some_and(|first| entered_ns <= first.at_ns)
    }

    /// What waits, in its order.
    pub fn take(&mut self) -> Vec<Waiting> {
        self.bytes = 0;
        self.share.set(0);
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(data: &[u8]) -> Step<'_> {
        Step {
            gap: 3,
            data,
            repeated: 0,
        }
    }

    #[test]
    fn what_waits_comes_back_in_order_and_is_bounded() {
        let mut early = Early::default();
        assert!(early.is_empty() && !early.is_behind(0));
        assert!(early.keep(5, &step(b"ab")) && early.keep(7, &step(b"c")));
        assert!(early.is_behind(4) && early.is_behind(5) && !early.is_behind(6));
        assert!(!early.keep(8, &step(&vec![0; MAX_BYTES])));
        let taken = early.take();
        assert_eq!(
            taken.iter().map(|w| (w.at_ns, w.gap)).collect::<Vec<_>>(),
            [(5, 3), (7, 3)]
        );
        assert_eq!([&taken[0].bytes[..], &taken[1].bytes[..]], [&b"ab"[..], b"c"]);
        assert!(early.is_empty() && early.keep(9, &step(&vec![0; MAX_BYTES])));
    }

    #[test]
    fn answers_of_all_flows_together_are_bounded() {
        let others = crate::budget::testing::all_but(1_000);
        let mut early = Early::default();
        assert!(early.keep(5, &step(&[0; 500])) && !early.keep(6, &step(&[0; 500])));
        assert_eq!(early.take().len(), 1);
        assert!(early.keep(7, &step(&[0; 900])));
        drop((early, others));
        assert_eq!(crate::budget::testing::held(), 0);
    }
}
