//! Functions that a file names itself, in its dynamic and in its full symbol table. Names may lie.

use std::{collections::BTreeMap, fs::File};

use object::{
    elf,
    read::elf::{SectionHeader, Sym},
};

use super::{ExamineError, image::Image, input::Input};

/// Symbols looked at in one file before it is given up.
const MAX_SYMBOLS: usize = 4_000_000;

/// Longest name that is looked at.
const MAX_NAME: usize = 256;

/// Addresses kept for one name.
const MAX_PER_NAME: usize = 8;

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
    #[error("symbol tables and names are larger than the budget")]
    TooLarge,
    /// A symbol points outside the executable segments.
    #[error("symbol `{0}` is not in an executable segment")]
    NotExecutable(String),
}

/// Functions by name: every address that one of the tables gives, smallest first.
pub(super) type Named = BTreeMap<String, Vec<u64>>;

/// Defined functions whose names are wanted.
///
/// # Errors
/// A budget was used up.
pub(super) fn read(image: &Image<'_>, wanted: impl Fn(&[u8]) -> bool) -> Result<Named, ElfError> {
    let mut found = Named::new();
    let mut seen = 0;
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        read_table(image, kind, &wanted, &mut seen, &mut found)?;
    }
    for places in found.values_mut() {
        places.sort_unstable();
        places.dedup();
    }
    if image.input.is_exhausted() {
        return Err(ElfError::TooLarge);
    }
    Ok(found)
}

fn read_table(
    image: &Image<'_>,
    kind: u32,
    wanted: &impl Fn(&[u8]) -> bool,
    seen: &mut usize,
    found: &mut Named,
) -> Result<(), ElfError> {
    let endian = image.endian();
    let Some(section) = image.sections.iter().find(|s| s.sh_type(endian) == kind) else {
        return Ok(());
    };
    let symbols: &[elf::Sym64<_>] = section.data_as_array(endian, image.input).unwrap_or_default();
    let names = image
        .sections
        .section(object::SectionIndex(section.sh_link(endian) as usize))
        .and_then(|strings| strings.data(endian, image.input))
        .unwrap_or_default();
    for symbol in symbols {
        *seen += 1;
        if *seen > MAX_SYMBOLS {
            return Err(ElfError::TooManySymbols);
        }
        let is_function = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_NOTYPE);
        let address = symbol.st_value(endian);
        if !is_function || symbol.is_undefined(endian) || address == 0 {
            continue;
        }
        let Some(name) = name_at(names, symbol.st_name(endian) as usize).filter(|name| wanted(name)) else {
            continue;
        };
        let places = found
            .entry(String::from_utf8_lossy(name).into_owned())
            .or_default();
        if places.len() < MAX_PER_NAME && !places.contains(&address) {
            places.push(address);
        }
    }
    Ok(())
}

fn name_at(names: &[u8], at: usize) -> Option<&[u8]> {
    let rest = names.get(at..)?;
    let head = rest.get(..MAX_NAME).unwrap_or(rest);
    head.get(..memchr::memchr(0, head)?)
}

/// File offsets of those of `names` that the file defines, from its dynamic and its full symbol table.
/// Empty when it defines none of them.
///
/// # Errors
/// [`ElfError`] when the file cannot be read as ELF, or a symbol lies about its place.
pub fn function_offsets<'n>(file: &File, names: &[&'n str]) -> Result<BTreeMap<&'n str, u64>, ElfError> {
    let input = Input::new(file);
    let image = Image::parse(&input).map_err(|e| match e {
        ExamineError::TooLarge => ElfError::TooLarge,
        other => ElfError::Malformed(other.to_string()),
    })?;
    let found = read(&image, |name| {
        names.iter().any(|wanted| wanted.as_bytes() == name)
    })?;
    let mut offsets = BTreeMap::new();
    for name in names {
        let Some(address) = found.get(*name).and_then(|places| places.first()) else {
            continue;
        };
        let offset = image.code_offset(*address);
        offsets.insert(
            *name,
            offset.ok_or_else(|| ElfError::NotExecutable((*name).to_owned()))?,
        );
    }
    Ok(offsets)
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
