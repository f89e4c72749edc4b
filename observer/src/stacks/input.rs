//! Reads a file that may be anything, within a budget. Nothing is mapped: a mapped file that somebody cuts would end this process.

use std::{cell::Cell, fs::File, ops::Range, os::unix::fs::FileExt};

use object::read::{ReadCache, ReadRef};

/// Bytes kept of one file: headers, symbol tables, unwind tables. Sections state sizes up to that of the file, which may
/// be a sparse one of terabytes, and names may overlap.
pub(super) const MAX_KEPT: u64 = 256 * 1024 * 1024;

/// Bytes passed through a buffer that is used again, for all passes over one file together.
pub(super) const MAX_PASSED: u64 = 4 * 1024 * 1024 * 1024;

/// Bytes looked at here and there and forgotten again: functions that are decoded, tables of Go. Decoding is the slowest thing done with
/// them, at about 150 MB/s.
pub(super) const MAX_LOOKED: u64 = 512 * 1024 * 1024;

/// Memory that each kept read takes beside its bytes, about.
const PER_READ: u64 = 64;

/// Bytes looked at in one piece by [`Input::pieces`].
const PIECE: usize = 1 << 20;

/// A file of which no more than a budget is read.
pub(super) struct Input<'f> {
    cache: ReadCache<&'f File>,
    file: &'f File,
    /// Bytes that may still be kept. `None` once more was asked for.
    kept: Cell<Option<u64>>,
    /// Bytes that may still be looked at. `None` once more was asked for.
    looked: Cell<Option<u64>>,
    /// Bytes that may still pass. `None` once more was asked for.
    passed: Cell<Option<u64>>,
}

impl<'f> Input<'f> {
    pub(super) fn new(file: &'f File) -> Self {
        Self {
            cache: ReadCache::new(file),
            file,
            kept: Cell::new(Some(MAX_KEPT)),
            looked: Cell::new(Some(MAX_LOOKED)),
            passed: Cell::new(Some(MAX_PASSED)),
        }
    }

    /// Whether more was asked for than the budget holds: what was found before may be half of it.
    pub(super) fn is_exhausted(&self) -> bool {
        [&self.kept, &self.looked, &self.passed]
            .iter()
            .any(|budget| budget.get().is_none())
    }

    fn take(budget: &Cell<Option<u64>>, bytes: u64) -> Result<(), ()> {
        let left = budget.get().and_then(|left| left.checked_sub(bytes));
        budget.set(left);
        left.map(|_| ()).ok_or(())
    }

    /// Bytes at `offset`, as many as there are up to `len`; nothing beyond the budget.
    pub(super) fn at(&self, offset: u64, len: usize) -> Vec<u8> {
        // No memory for what the file does not have.
        let there = self.cache.len().unwrap_or(0).saturating_sub(offset);
        let len = usize::try_from(there).map_or(len, |there| there.min(len));
        if Self::take(&self.looked, len as u64).is_err() {
            return Vec::new();
        }
        let mut bytes = vec![0; len];
        let got = fill(self.file, &mut bytes, offset);
        bytes.truncate(got);
        bytes
    }

    /// Gives `len` bytes from `offset` piece by piece. Each piece but the last goes `overlap` bytes into the next one, so that what
    /// is at most that long is whole in one of them; it may be seen twice.
    pub(super) fn pieces(&self, offset: u64, len: u64, overlap: usize, mut look: impl FnMut(u64, &[u8])) {
        let mut buffer = vec![0; PIECE + overlap];
        let mut at = 0;
        while at < len {
            let whole = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
            let Some(from) = offset.checked_add(at) else {
                return;
            };
            let Some(piece) = buffer.get_mut(..whole) else {
                return;
            };
            if Self::take(&self.passed, whole as u64).is_err() {
                return;
            }
            let got = fill(self.file, piece, from);
            look(from, piece.get(..got).unwrap_or_default());
            if got < whole {
                return;
            }
            at += PIECE as u64;
        }
    }
}

/// Reads until the buffer is full or the file ends; errors of the file are its end.
fn fill(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        let Some(at) = offset.checked_add(got as u64) else {
            break;
        };
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    got
}

impl<'a> ReadRef<'a> for &'a Input<'_> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        // A size beyond the end of the file is not a budget's matter.
        if offset
            .checked_add(size)
            .is_none_or(|end| self.cache.len().is_ok_and(|len| end > len))
        {
            return Err(());
        }
        Input::take(&self.kept, size.saturating_add(PER_READ))?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        Input::take(&self.kept, PER_READ)?;
        let bytes = self.cache.read_bytes_at_until(range, delimiter)?;
        Input::take(&self.kept, bytes.len() as u64)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn pieces_overlap_and_cover_everything_once() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..PIECE * 2 + 77).map(|n| (n % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let input = Input::new(&file);
        let mut seen = vec![0u8; bytes.len()];
        input.pieces(3, bytes.len() as u64, 16, |offset, piece| {
            for (n, byte) in piece.iter().enumerate() {
                seen[offset as usize + n] += 1;
                assert_eq!(*byte, bytes[offset as usize + n]);
            }
        });
        assert!(seen[..3].iter().all(|n| *n == 0));
        assert!(seen[3..].iter().all(|n| *n == 1 || *n == 2));
        assert_eq!(seen.iter().filter(|n| **n == 2).count(), 32);
    }

    #[test]
    fn the_budget_of_passes_is_kept() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let input = Input::new(&file);
        let (mut looked, mut pieces) = (0u64, 0);
        // Only counts: reading zeros of a hole is quick, but not that quick.
        input.passed.set(Some(5 << 20));
        input.pieces(0, 1 << 40, 0, |_, piece| {
            looked += piece.len() as u64;
            pieces += 1;
        });
        assert_eq!((looked, pieces), (5 << 20, 5));
        assert!(input.is_exhausted());
        assert!(!input.at(0, 1).is_empty());
        assert!(input.at(0, usize::MAX).is_empty());
        assert!(input.at(0, 1).is_empty());
    }
}
