//! Reads a file that may be anything, within a budget. Nothing is mapped: a mapped file that somebody cuts would end this process.
//!
//! Several files are examined at once, in a process whose memory has a limit. So what is large in a file (symbols and their names, unwind
//! index, relocations, Go's table) goes through buffers of one [`PIECE`], and one examination holds some 80 MiB at most, whatever the file states; of a real one a few.

use std::{cell::Cell, fs::File, ops::Range, os::unix::fs::FileExt};

use object::read::{ReadCache, ReadRef};

/// Bytes kept of one file: headers, names of sections. A table may state a size up to that of the file, which may be a sparse one
/// of terabytes, and names may overlap.
pub(super) const MAX_KEPT: u64 = 8 * 1024 * 1024;

/// Bytes passed through a buffer that is used again, for all passes over one file together: half a dozen over the largest one that is searched.
pub(super) const MAX_PASSED: u64 = 6 * 1024 * 1024 * 1024;

/// Bytes looked at here and there and forgotten again: functions that are decoded. Decoding is the slowest thing done with
/// them, at about 150 MB/s.
pub(super) const MAX_LOOKED: u64 = 512 * 1024 * 1024;

/// Steps of work on one file, each of some ten nanoseconds: bytes say nothing of how often the same ones are looked at. Any file has
/// the first number of them and some for each of its bytes, so that many small ones take no longer than a large one.
const STEPS: u64 = 64 * 1024 * 1024;
const STEPS_PER_BYTE: u64 = 8;
const MAX_STEPS: u64 = 512 * 1024 * 1024;

/// Steps that an instruction takes, to be decoded or to be looked at again.
pub(super) const PER_INSTRUCTION: u64 = 4;

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
    /// Steps that may still be made. `None` once more were asked for.
    steps: Cell<Option<u64>>,
}

impl<'f> Input<'f> {
    pub(super) fn new(file: &'f File) -> Self {
        let cache = ReadCache::new(file);
        let len = cache.len().unwrap_or(0);
        let steps = len.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS);
        Self {
            cache,
            file,
            kept: Cell::new(Some(MAX_KEPT)),
            looked: Cell::new(Some(MAX_LOOKED)),
            passed: Cell::new(Some(MAX_PASSED)),
            steps: Cell::new(Some(steps.min(MAX_STEPS))),
        }
    }

    /// Whether more was asked for than the budget holds: what was found before may be half of it.
    pub(super) fn is_exhausted(&self) -> bool {
        [&self.kept, &self.looked, &self.passed, &self.steps]
            .iter()
            .any(|budget| budget.get().is_none())
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.cache.len().unwrap_or(0)
    }

    /// Whether the file has all of a part.
    pub(super) fn has(&self, (offset, size): (u64, u64)) -> bool {
        offset.checked_add(size).is_some_and(|end| end <= self.size())
    }

    fn take(budget: &Cell<Option<u64>>, bytes: u64) -> Result<(), ()> {
        let left = budget.get().and_then(|left| left.checked_sub(bytes));
        budget.set(left);
        left.map(|_| ()).ok_or(())
    }

    /// Takes steps from their budget; `false` when it is used up.
    pub(super) fn work(&self, steps: u64) -> bool {
        Self::take(&self.steps, steps).is_ok()
    }

    /// Takes the steps of looking at so many instructions; `false` when the budget is used up.
    pub(super) fn work_on(&self, instructions: usize) -> bool {
        self.work((instructions as u64).saturating_mul(PER_INSTRUCTION))
    }

    /// Bytes at `offset`, as many as there are up to `len`; nothing beyond the budget.
    pub(super) fn at(&self, offset: u64, len: usize) -> Vec<u8> {
        // No memory for what the file does not have.
        let there = self.size().saturating_sub(offset);
        let len = usize::try_from(there).map_or(len, |there| there.min(len));
        if Self::take(&self.looked, len as u64).is_err() {
            return Vec::new();
        }
        let mut bytes = vec![0; len];
        let got = fill(self.file, &mut bytes, offset);
        bytes.truncate(got);
        bytes
    }

    /// Fills a buffer that is used again; gives how many bytes there were.
    fn pass(&self, offset: u64, buffer: &mut [u8]) -> usize {
        if self.is_exhausted() || Self::take(&self.passed, buffer.len() as u64).is_err() {
            return 0;
        }
        fill(self.file, buffer, offset)
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
            let got = self.pass(from, piece);
            if self.is_exhausted() {
                return;
            }
            look(from, piece.get(..got).unwrap_or_default());
            if got < whole {
                return;
            }
            at += PIECE as u64;
        }
    }

    /// Gives the entries of a table, all of one size. Whether they were all there.
    pub(super) fn each<const SIZE: usize>(
        &self,
        offset: u64,
        count: u64,
        mut look: impl FnMut(&[u8; SIZE]),
    ) -> bool {
        let most = PIECE / SIZE;
        let mut buffer = vec![0; usize::try_from(count).unwrap_or(most).min(most) * SIZE];
        let (mut at, mut left) = (offset, count);
        while left > 0 {
            let entries = usize::try_from(left).unwrap_or(most).min(most);
            let Some(piece) = buffer.get_mut(..entries * SIZE) else {
                return false;
            };
            let got = self.pass(at, piece);
            let (whole, _) = piece.get(..got).unwrap_or_default().as_chunks::<SIZE>();
            whole.iter().for_each(&mut look);
            let next = at.checked_add(got as u64);
            let (Some(next), true) = (next, whole.len() == entries) else {
                return false;
            };
            at = next;
            left -= entries as u64;
        }
        true
    }

    /// Bytes that were kept, looked at and passed.
    #[cfg(test)]
    pub(super) fn used(&self) -> [u64; 3] {
        let used = |most: u64, left: &Cell<Option<u64>>| most - left.get().unwrap_or(0);
        [
            used(MAX_KEPT, &self.kept),
            used(MAX_LOOKED, &self.looked),
            used(MAX_PASSED, &self.passed),
        ]
    }
}

/// A piece of a file that moves to where something is read: for places in ascending order, or nearly so.
pub(super) struct Window<'i, 'f> {
    input: &'i Input<'f>,
    from: u64,
    /// As long as what was read.
    piece: Vec<u8>,
}

impl<'i, 'f> Window<'i, 'f> {
    pub(super) const fn new(input: &'i Input<'f>) -> Self {
        Self {
            input,
            from: 0,
            piece: Vec::new(),
        }
    }

    /// Bytes at `offset`, as many as there are up to `len`, which is less than a piece.
    pub(super) fn at(&mut self, offset: u64, len: usize) -> &[u8] {
        let within = |window: &Self| {
            let start = usize::try_from(offset.checked_sub(window.from)?).ok()?;
            let end = start.checked_add(len)?;
            (end <= window.piece.len()).then_some(start)
        };
        let start = within(self).unwrap_or_else(|| {
            self.move_to(offset);
            0
        });
        let rest = self.piece.get(start..).unwrap_or_default();
        rest.get(..len).unwrap_or(rest)
    }

    fn move_to(&mut self, offset: u64) {
        let there = self.input.size().saturating_sub(offset);
        let len = usize::try_from(there).map_or(PIECE, |there| there.min(PIECE));
        self.piece.resize(len, 0);
        let got = self.input.pass(offset, &mut self.piece);
        self.piece.truncate(got);
        self.from = offset;
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

    #[test]
    fn entries_and_windows_hold_a_piece_whatever_the_file_states() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let far = 3 * PIECE as u64 + 5;
        file.write_all_at(b"there", far).unwrap();
        let input = Input::new(&file);
        let mut window = Window::new(&input);
        assert_eq!(window.at(far, 5), b"there");
        assert_eq!(window.at(far + 2, 3), b"ere");
        assert_eq!(window.at(far - 1, 2), b"\0t");
        assert_eq!(window.at((1 << 40) - 2, 8), [0, 0]);
        assert!(window.at(1 << 41, 8).is_empty());
        assert_eq!(window.piece.len(), 0);
        let mut seen = 0;
        assert!(input.each(far, 2 * PIECE as u64, |entry: &[u8; 3]| seen +=
            u64::from(entry != &[0; 3])));
        assert_eq!(seen, 2);
        assert!(!input.each((1 << 40) - 5, 2, |_: &[u8; 3]| seen += 1));
        assert_eq!(seen, 3);
        // Two windows of a piece, one of two bytes, six pieces of entries and the end.
        let [kept, looked, passed] = input.used();
        assert_eq!((kept, looked), (0, 0));
        assert!(passed < 9 * PIECE as u64, "{passed}");
    }

    #[test]
    fn steps_are_counted_by_the_size_of_the_file() {
        let file = tempfile::tempfile().unwrap();
        let input = Input::new(&file);
        assert!(input.work(STEPS) && !input.work_on(1) && !input.work(0));
        assert!(input.is_exhausted());
        file.set_len(1 << 40).unwrap();
        let input = Input::new(&file);
        assert!(input.work(MAX_STEPS) && !input.work(1));
        input.pieces(0, 1, 0, |_, _| panic!("nothing is read any more"));
    }
}
