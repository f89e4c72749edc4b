//! What is still in the ring buffer when the daemon is told to stop.

use super::worker::BATCH;

/// Longest time for it: programs that write on and on would keep the daemon from its end until it is killed, without a last seal.
const MAX_NS: u64 = 1_000_000_000;

/// Takes batches until one is not full, or the time is over.
pub(super) fn drain(mut batch: impl FnMut() -> usize, now_ns: impl Fn() -> u64) {
    let end_ns = now_ns().saturating_add(MAX_NS);
    while batch() == BATCH && now_ns() < end_ns {}
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_ends_when_nothing_is_left_and_when_there_is_no_end() {
        let (taken, now) = (Cell::new(0), Cell::new(0));
        let batch = |n: usize| {
            taken.set(taken.get() + 1);
            now.set(now.get() + MAX_NS / 4);
            n
        };
        drain(|| batch(if taken.get() < 2 { BATCH } else { 7 }), || now.get());
        assert_eq!(taken.replace(0), 3);
        drain(|| batch(BATCH), || now.get());
        assert_eq!(taken.get(), 4, "the source never ends");
    }
}
