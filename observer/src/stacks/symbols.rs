//! Functions that a file names itself, in its dynamic and in its full symbol table. Names may lie.

use std::{collections::BTreeMap, fs::File};

use object::{elf, read::elf::SectionHeader};

use super::{
    ExamineError,
    image::Image,
    input::{Input, Window},
};

/// Symbols looked at in one file before it is given up.
const MAX_SYMBOLS: u64 = 4_000_000;

/// Bytes of a symbol.
const SYMBOL: usize = 24;

/// Symbols whose names are read together.
const BATCH: usize = 1 << 19;

/// Names that are kept; the largest program has some dozens of those that matter.
const MAX_FOUND: usize = 4096;

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
    let mut seen = 0u64;
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
    seen: &mut u64,
    found: &mut Named,
) -> Result<(), ElfError> {
    let endian = image.endian();
    let is_there = |part: &(u64, u64)| image.input.has(*part);
    let Some(section) = image.sections.iter().find(|s| s.sh_type(endian) == kind) else {
        return Ok(());
    };
    let Some((offset, size)) = section.file_range(endian).filter(is_there) else {
        return Ok(());
    };
    let link = object::SectionIndex(section.sh_link(endian) as usize);
    let names = image.sections.section(link).ok();
    let names = names.and_then(|s| s.file_range(endian)).filter(is_there);
    let count = size / SYMBOL as u64;
    *seen = seen.saturating_add(count);
    if *seen > MAX_SYMBOLS {
        return Err(ElfError::TooManySymbols);
    }
    let mut batch: Vec<(u32, u64)> = Vec::new();
    image.input.each(offset, count, |symbol: &[u8; SYMBOL]| {
        batch.extend(function(symbol));
        if batch.len() >= BATCH {
            take(image, names, &mut batch, wanted, found);
        }
    });
    take(image, names, &mut batch, wanted, found);
    if found.len() > MAX_FOUND {
        return Err(ElfError::TooLarge);
    }
    Ok(())
}

/// Place of the name and address of a symbol that is a defined function.
fn function(symbol: &[u8; SYMBOL]) -> Option<(u32, u64)> {
    let (name, rest) = symbol.split_first_chunk::<4>()?;
    let (info, rest) = rest.split_first()?;
    let (section, rest) = rest.get(1..)?.split_first_chunk::<2>()?;
    let address = u64::from_le_bytes(*rest.first_chunk::<8>()?);
    let is_function = matches!(info & 0xf, elf::STT_FUNC | elf::STT_NOTYPE);
    let is_defined = u16::from_le_bytes(*section) != elf::SHN_UNDEF && address != 0;
    (is_function && is_defined).then_some((u32::from_le_bytes(*name), address))
}

/// Keeps those of a batch whose names are wanted. In the order of their names, so that these are read once, in pieces.
fn take(
    image: &Image<'_>,
    names: Option<(u64, u64)>,
    batch: &mut Vec<(u32, u64)>,
    wanted: &impl Fn(&[u8]) -> bool,
    found: &mut Named,
) {
    let (offset, size) = names.unwrap_or_default();
    batch.sort_unstable();
    let mut window = Window::new(image.input);
    for (name, address) in batch.drain(..) {
        let left = size.saturating_sub(u64::from(name));
        let len = usize::try_from(left).map_or(MAX_NAME, |left| left.min(MAX_NAME));
        // Names may overlap, so a file can have more of them than bytes.
        if len == 0 || found.len() > MAX_FOUND {
            break;
        }
        let head = window.at(offset.saturating_add(u64::from(name)), len);
        let name = memchr::memchr(0, head).and_then(|end| head.get(..end));
        let Some(name) = name.filter(|name| wanted(name)) else {
            continue;
        };
        let places = found
            .entry(String::from_utf8_lossy(name).into_owned())
            .or_default();
        if places.len() < MAX_PER_NAME && !places.contains(&address) {
            places.push(address);
        }
    }
}

/// Address of the dynamic symbol with a number, if it is a function that the file defines.
pub(super) fn dynamic_function(image: &Image<'_>, number: u64) -> Option<u64> {
    let endian = image.endian();
    let mut tables = image.sections.iter();
    let table = tables.find(|s| s.sh_type(endian) == elf::SHT_DYNSYM)?;
    let (offset, size) = table.file_range(endian)?;
    let at = number.checked_mul(SYMBOL as u64).filter(|at| *at < size)?;
    let symbol = image.input.at(offset.checked_add(at)?, SYMBOL);
    function(symbol.first_chunk()?).map(|(_, address)| address)
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
    use std::{io::Write, os::unix::fs::FileExt};

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
            Err(ElfError::TooManySymbols)
        );
    }

    /// A table of names may be a hole in the file, and nearly as large as it states.
    #[test]
    fn names_are_read_where_they_stand_and_not_kept() {
        const MIB: u64 = 1 << 20;
        let file = library(300 * MIB, 48, 0);
        // Size of the table of names, place of the one name in it, and the name.
        for (at, bytes) in [
            (120 + 128 + 32, &(250 * MIB).to_le_bytes()[..]),
            (1048, &(200u32 << 20).to_le_bytes()),
            (512 + 200 * MIB, b"main"),
        ] {
            file.write_all_at(bytes, at).unwrap();
        }
        let input = Input::new(&file);
        let image = Image::parse(&input).unwrap();
        let found = read(&image, |name| name == b"main").unwrap();
        assert_eq!(found, [("main".to_owned(), vec![u64::MAX - 9])].into());
        let [kept, looked, passed] = input.used();
        assert!(kept + looked < 64 * 1024, "{kept} {looked}");
        assert!(passed <= MIB + 48, "{passed}");
    }

    #[test]
    fn more_names_than_a_program_has_are_refused() {
        // One text, of which every tail is a name.
        let count = MAX_FOUND as u64 + 200;
        let (symbols, strings) = (4096u64, 4096 + 24 * (count + 1));
        let file = library(MAX_NAME as u64 * 1024, 24 * (count + 1), 0);
        let mut text: Vec<u8> = (0..count / 128 + 1)
            .flat_map(|n| format!("{n:0127}\0").into_bytes())
            .collect();
        text.insert(0, 0);
        let mut table = vec![0; 24];
        for n in 0..count {
            table.extend((n as u32 + 1).to_le_bytes());
            table.extend([0x12, 0, 1, 0]);
            table.extend((n + 1).to_le_bytes());
            table.extend([0; 8]);
        }
        for (at, bytes) in [
            (120 + 64 + 24, &symbols.to_le_bytes()[..]),
            (120 + 128 + 24, &strings.to_le_bytes()),
            (120 + 128 + 32, &(text.len() as u64).to_le_bytes()),
            (symbols, &table),
            (strings, &text),
        ] {
            file.write_all_at(bytes, at).unwrap();
        }
        let input = Input::new(&file);
        let image = Image::parse(&input).unwrap();
        assert_eq!(read(&image, |_| true), Err(ElfError::TooLarge));
        assert_eq!(read(&image, |name| name.len() == 127).unwrap().len(), 34);
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
