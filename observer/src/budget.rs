//! Memory that all decoders of a thread hold together.
//!
//! What one decoder keeps of a peer's bytes has a limit of its own, and a peer opens as many connections as it likes. So what all of them keep
//! has a limit, too: who would exceed it gives up its message as one beyond its own limit.

use std::{cell::Cell, ops::Deref, rc::Rc};

/// Most memory that the windows of all decoders of zstd and brotli of a thread hold: one of them keeps up to 8 or 16 MiB of what it decoded, and
/// 60 KB on the wire are enough to fill that.
pub const MAX_WINDOWS: u64 = 256 * 1024 * 1024;
/// Most memory of all buffers of a thread in which something waits for its rest: events, messages, heads, answers before their requests.
pub(crate) const MAX_BUFFERS: u64 = 64 * 1024 * 1024;
/// A buffer of this size is not counted: it is no more than the state beside it, and ordinary heads and events fit while others hold all there is.
const FREE: usize = 1024;

/// What memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Windows of decoders.
    Windows,
    /// Buffers.
    Buffers,
}

impl Pool {
    fn limit(self) -> u64 {
        match self {
            Self::Windows => MAX_WINDOWS,
            Self::Buffers => MAX_BUFFERS,
        }
    }
}

thread_local! {
    static ALL: [Rc<Cell<u64>>; 2] = Default::default();
}

/// What one owner holds of a pool. Given back when it is dropped, on the same thread.
#[derive(Debug)]
pub(crate) struct Share {
    held: u64,
    limit: u64,
    all: Rc<Cell<u64>>,
}

impl Share {
    /// Nothing so far.
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            held: 0,
            limit: pool.limit(),
            all: ALL.with(|all| Rc::clone(&all[pool as usize])),
        }
    }

    /// Holds so many bytes from now on; `false`, and nothing changes, when there is no room for more than before.
    pub(crate) fn set(&mut self, bytes: u64) -> bool {
        let sum = self.all.get().saturating_sub(self.held).saturating_add(bytes);
        if bytes > self.held && sum > self.limit {
            return false;
        }
        self.held = bytes;
        self.all.set(sum);
        true
    }

    /// Holds so many bytes more; `false`, and nothing changes, when there is no room for them.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        self.set(self.held.saturating_add(bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.held));
    }
}

/// Bytes that wait, counted by the memory that they take.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    share: Share,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            share: Share::new(Pool::Buffers),
        }
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Held {
    /// Keeps these bytes, too; `false`, and nothing is kept of them, when there is no room.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> bool {
        let (have, need) = (self.bytes.capacity(), self.bytes.len() + bytes.len());
        if need > have {
            let wanted = need.max(have * 2);
            if !self.share.set(counted(wanted)) {
                return false;
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// Adds bytes that are read at once and need not wait. What is left of them then is for [`Self::settle`].
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is here waits from now on; `false` where there is no room for it, and it has to go.
    pub(crate) fn settle(&mut self) -> bool {
        self.share.set(counted(self.bytes.capacity()))
    }

    /// Keeps the first bytes alone.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Keeps all but the first bytes.
    pub(crate) fn forget_first(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
        self.shrink();
    }

    /// Keeps nothing. What was large must not keep its memory for the rest of a long stream.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.shrink();
    }

    /// The bytes, which are not counted any more.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Memory that they take.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn shrink(&mut self) {
        if self.bytes.capacity() > FREE && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(FREE);
        }
        // Never more than before, so there is room.
        self.share.set(counted(self.bytes.capacity()));
    }
}

fn counted(capacity: usize) -> u64 {
    if capacity > FREE { capacity as u64 } else { 0 }
}

/// Memory for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::{MAX_BUFFERS, Pool, Share};

    /// Somebody else holds all but this.
    pub(crate) fn all_but(bytes: u64) -> Share {
        let mut share = Share::new(Pool::Buffers);
        let held: u64 = super::ALL.with(|all| all[Pool::Buffers as usize].get());
        assert!(share.set(MAX_BUFFERS - held - bytes));
        share
    }

    /// What is held of the buffers' memory.
    pub(crate) fn held() -> u64 {
        super::ALL.with(|all| all[Pool::Buffers as usize].get())
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};

    #[test]
    fn all_shares_together_are_bounded_and_given_back() {
        let (mut a, mut b) = (Share::new(Pool::Buffers), Share::new(Pool::Buffers));
        assert!(a.set(MAX_BUFFERS - 10) && b.set(10));
        assert!(!b.grow(1) && !a.set(MAX_BUFFERS - 9));
        // Less is always possible.
        assert!(b.set(4) && a.grow(6) && !a.grow(1));
        assert!(Share::new(Pool::Windows).set(MAX_WINDOWS), "another pool");
        drop(a);
        assert_eq!(held(), 4);
        assert!(b.set(MAX_BUFFERS));
        drop(b);
        assert_eq!(held(), 0);
    }

    #[test]
    fn a_buffer_counts_its_memory_while_it_is_large() {
        let mut held_bytes = Held::default();
        assert!(held_bytes.extend(&[b'x'; FREE]));
        assert_eq!(held(), 0);
        assert!(held_bytes.extend(b"yz"));
        assert_eq!(held(), held_bytes.capacity() as u64);
        held_bytes.forget_first(FREE);
        assert_eq!((&held_bytes[..], held()), (&b"yz"[..], 0));
        assert!(held_bytes.extend(&[b'x'; 100_000]));
        assert!(held() >= 100_002);
        let taken = std::mem::take(&mut held_bytes);
        assert_eq!((taken.len(), held_bytes.len()), (100_002, 0));
        assert_eq!(taken.into_bytes().len(), 100_002);
        assert_eq!(held(), 0);
        let _all = all_but(0);
        // What is read at once needs no room.
        held_bytes.append(&[b'x'; 2 * FREE]);
        assert!(!held_bytes.settle());
        held_bytes.clear();
        assert!(held_bytes.settle());
        assert!(held_bytes.extend(b"small ones have room") && !held_bytes.extend(&[0; FREE]));
        assert_eq!(&held_bytes[..], b"small ones have room");
    }
}
