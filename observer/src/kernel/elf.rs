//! Finds functions in an ELF file by name. The file is hostile input: any process can map anything.

use std::{cell::Cell, collections::BTreeMap, fs::File, ops::Range};

use object::{
    Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable,
    read::{ReadCache, ReadRef},
};

/// Symbols looked at in one file before it is given up.
const MAX_SYMBOLS: usize = 4_000_000;

/// Bytes read of one file before it is given up. Sections state sizes up to that of the file, which may be a sparse one of
/// terabytes, and names may overlap.
const MAX_READ: u64 = 256 * 1024 * 1024;

/// Memory that each read takes beside its bytes, about.
const PER_READ: u64 = 64;

/// Why a file gave no functions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Not an ELF file that can be read.
    #[error("not a readable ELF file: {0}")]
    Malformed(String),
    /// More symbols than the budget.
    #[error("more than {MAX_SYMBOLS} symbols")]
    TooManySymbols,
    /// Its tables are larger than the budget.
    #[error("more than {MAX_READ} bytes of symbol tables and names")]
    TooLarge,
    /// A symbol points outside the executable segments.
    #[error("symbol `{0}` is not in an executable segment")]
    NotExecutable(String),
}

/// File offsets of those of `names` that the file defines, from its dynamic and its full symbol table.
/// Empty when it defines none of them.
///
/// # Errors
/// [`ElfError`] when the file cannot be read as ELF, or a symbol lies about its place.
pub fn function_offsets<'n>(file: &File, names: &[&'n str]) -> Result<BTreeMap<&'n str, u64>, ElfError> {
    let input = Bounded {
        cache: ReadCache::new(file),
        left: Cell::new(Some(MAX_READ)),
    };
    let found = search(&input, names);
    // What was found before the budget was used up may be half of it.
    if input.left.get().is_none() {
        Err(ElfError::TooLarge)
    } else {
        found
    }
}

/// A file of which no more than a budget is read.
struct Bounded<'f> {
    cache: ReadCache<&'f File>,
    /// `None` once more was asked for.
    left: Cell<Option<u64>>,
}

impl Bounded<'_> {
    fn take(&self, bytes: u64) -> Result<(), ()> {
        let left = self
            .left
            .get()
            .and_then(|left| left.checked_sub(bytes.saturating_add(PER_READ)));
        self.left.set(left);
        left.map(|_| ()).ok_or(())
    }
}

impl<'a> ReadRef<'a> for &'a Bounded<'_> {
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
        self.take(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.take(0)?;
        let bytes = self.cache.read_bytes_at_until(range, delimiter)?;
        self.take(bytes.len() as u64)?;
        Ok(bytes)
    }
}

fn search<'n>(input: &Bounded<'_>, names: &[&'n str]) -> Result<BTreeMap<&'n str, u64>, ElfError> {
    let elf = object::File::parse(input).map_err(|e| ElfError::Malformed(e.to_string()))?;
    let mut found = BTreeMap::new();
    for table in [elf.dynamic_symbol_table(), elf.symbol_table()]
        .into_iter()
        .flatten()
    {
        for (n, symbol) in table.symbols().enumerate() {
            if n >= MAX_SYMBOLS {
                return Err(ElfError::TooManySymbols);
            }
            if symbol.address() == 0 || !symbol.is_definition() {
                continue;
            }
            let Ok(name) = symbol.name() else { continue };
            if let Some(name) = names.iter().find(|wanted| **wanted == name)
                && !found.contains_key(name)
            {
                found.insert(*name, file_offset(&elf, symbol.address(), name)?);
            }
        }
        if !found.is_empty() {
            // The dynamic table names what others call; the full table would only repeat it.
            break;
        }
    }
    Ok(found)
}

fn file_offset<'a, R: ReadRef<'a>>(
    elf: &object::File<'a, R>,
    address: u64,
    name: &str,
) -> Result<u64, ElfError> {
    const PF_X: u32 = 1;
    for segment in elf.segments() {
        let object::SegmentFlags::Elf { p_flags } = segment.flags() else {
            continue;
        };
        let (start, (offset, len)) = (segment.address(), segment.file_range());
        if p_flags & PF_X != 0
            && address >= start
            && address - start < len
            && let Some(place) = offset.checked_add(address - start)
        {
            return Ok(place);
        }
    }
    Err(ElfError::NotExecutable(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_with(bytes: &[u8]) -> File {
        let mut f = tempfile::tempfile().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    #[test]
    fn a_file_without_the_functions_gives_none() {
        let own = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(function_offsets(&own, &["SSL_write"]), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_function_of_this_program_is_found_inside_the_file() {
        let path = std::env::current_exe().unwrap();
        let own = File::open(&path).unwrap();
        let found = function_offsets(&own, &["main"]).unwrap();
        assert!(found["main"] > 0 && found["main"] < std::fs::metadata(path).unwrap().len());
    }

    /// A library of `size` bytes whose symbol table states `table` bytes, with a first segment at `segment`.
    fn library(size: u64, table: u64, segment: u64) -> File {
        let mut bytes = vec![0u8; 64 + 56 + 3 * 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut word = |at: usize, value: u64, len: usize| {
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        };
        // Header: shared object, x86-64, version, program headers, section headers.
        for (at, value, len) in [
            (16, 3, 2),
            (18, 62, 2),
            (20, 1, 4),
            (32, 64, 8),
            (40, 120, 8),
            (52, 64, 2),
        ] {
            word(at, value, len);
        }
        for (at, value) in [(54, 56), (56, 1), (58, 64), (60, 3), (62, 2)] {
            word(at, value, 2);
        }
        // Segment: loadable, executable, at address 0 with no end.
        for (at, value, len) in [
            (64, 1, 4),
            (68, 5, 4),
            (72, segment, 8),
            (96, u64::MAX, 8),
            (104, u64::MAX, 8),
        ] {
            word(at, value, len);
        }
        // Dynamic symbols at 1024 and their strings at 512.
        let (symbols, strings) = (120 + 64, 120 + 128);
        for (at, value, len) in [(4, 11, 4), (24, 1024, 8), (32, table, 8), (40, 2, 4), (56, 24, 8)] {
            word(symbols + at, value, len);
        }
        for (at, value, len) in [(4, 3, 4), (24, 512, 8), (32, 16, 8)] {
            word(strings + at, value, len);
        }
        bytes.resize(1024 + 48, 0);
        bytes[513..517].copy_from_slice(b"main");
        // Symbol 1: `main`, a global function in section 1 at an address near the end.
        bytes[1048..1054].copy_from_slice(&[1, 0, 0, 0, 0x12, 0]);
        bytes[1054] = 1;
        bytes[1056..1064].copy_from_slice(&(u64::MAX - 9).to_le_bytes());
        let file = file_with(&bytes);
        file.set_len(size.max(bytes.len() as u64)).unwrap();
        file
    }

    #[test]
    fn a_sparse_file_of_terabytes_is_not_read_to_its_end() {
        let big = 1 << 40;
        assert_eq!(
            function_offsets(&library(big, big - 1024, 0), &["main"]),
            Err(ElfError::TooLarge)
        );
    }

    #[test]
    fn a_place_beyond_the_range_of_files_is_not_in_a_segment() {
        assert_eq!(
            function_offsets(&library(0, 48, 0), &["main"]),
            Ok([("main", u64::MAX - 9)].into())
        );
        let beyond = function_offsets(&library(0, 48, 4096), &["main"]);
        assert_eq!(beyond, Err(ElfError::NotExecutable("main".to_owned())));
    }

    #[test]
    fn cut_and_flipped_files_are_errors_or_empty_but_never_a_panic() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let head = &bytes[..bytes.len().min(200_000)];
        for n in (0..head.len()).step_by(3001) {
            let _ = function_offsets(&file_with(&head[..n]), &["main"]);
        }
        for at in (0..512).step_by(3) {
            let mut flipped = head.to_vec();
            flipped[at] ^= 0xff;
            let _ = function_offsets(&file_with(&flipped), &["main"]);
        }
        assert!(function_offsets(&file_with(b"#!/bin/sh\n"), &["main"]).is_err());
    }
}
