//! Window memory of all decoders of a thread together.
//!
//! A decoder of zstd or brotli keeps up to 8 or 16 MiB of what it decoded, and 60 KB on the wire are enough to fill that.
//! So what all of them keep has a limit of its own: who would exceed it is not decoded any further.

use std::{cell::Cell, rc::Rc};

/// Most bytes that the windows of all decoders of a thread hold.
pub const MAX_WINDOWS: u64 = 256 * 1024 * 1024;

thread_local! {
    static ALL: Rc<Cell<u64>> = Rc::default();
}

/// What one decoder holds. Given back when it is dropped, on the same thread.
pub(super) struct Window {
    held: u64,
    all: Rc<Cell<u64>>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            held: 0,
            all: ALL.with(Rc::clone),
        }
    }

    /// Holds `bytes` more; `false` when that is over the limit.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let sum = self.all.get().saturating_add(bytes);
        if sum > MAX_WINDOWS {
            return false;
        }
        self.held += bytes;
        self.all.set(sum);
        true
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.held));
    }
}
