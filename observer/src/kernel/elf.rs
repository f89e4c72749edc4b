//! Finds functions in an ELF file by name. The file is hostile input: any process can map anything.

use std::{collections::BTreeMap, fs::File};

use object::{
    Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable,
    read::{ReadCache, ReadRef},
};

/// Symbols looked at in one file before it is given up.
const MAX_SYMBOLS: usize = 4_000_000;

/// Why a file gave no functions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Not an ELF file that can be read.
    #[error("not a readable ELF file: {0}")]
    Malformed(String),
    /// More symbols than the budget.
    #[error("more than {MAX_SYMBOLS} symbols")]
    TooManySymbols,
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
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache).map_err(|e| ElfError::Malformed(e.to_string()))?;
    let mut found = BTreeMap::new();
    for table in [elf.dynamic_symbol_table(), elf.symbol_table()].into_iter().flatten() {
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

fn file_offset<'a, R: ReadRef<'a>>(elf: &object::File<'a, R>, address: u64, name: &str) -> Result<u64, ElfError> {
    const PF_X: u32 = 1;
    for segment in elf.segments() {
        let object::SegmentFlags::Elf { p_flags } = segment.flags() else { continue };
        let (start, (offset, len)) = (segment.address(), segment.file_range());
        if p_flags & PF_X != 0 && address >= start && address - start < len {
            if let Some(place) = offset.checked_add(address - start) {
                return Ok(place);
            }
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
