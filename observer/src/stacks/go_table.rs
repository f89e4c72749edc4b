//! Go's table of functions (`runtime.pcHeader`, `runtime/symtab.go` and `cmd/link/internal/ld/pcln.go`), which every Go program
//! carries, stripped or not. Large programs have 150 MB of it, so it is read once, in pieces.

use std::collections::BTreeSet;

use super::{
    RefusalReason,
    functions::{relocations, written_at},
    image::Image,
    input::Window,
};

/// Functions of one program; large ones have 200,000.
const MAX_FUNCTIONS: u64 = 4_000_000;

/// Bytes of names.
const MAX_NAMES: u64 = 64 * 1024 * 1024;

/// Longest name that is looked for, with an end on both sides.
const MAX_NAME: usize = 128;

/// Places that may be the head of the module's data.
const MAX_MODULES: usize = 16;

/// Where the module's data (`runtime.moduledata`) has the start of the code, behind its pointer to the table: six slices and three
/// pointers stand between them, from Go 1.16 to 1.26.
const TEXT_IN_MODULE: u64 = 176;

/// A function: entry as the table has it (see [`Table::text_start`]) and the entry of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Form of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Go 1.16 and 1.17: addresses.
    Addresses,
    /// From Go 1.18: offsets from the start of the code.
    Offsets,
}

impl Form {
    const fn of(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fffa => Some(Self::Addresses),
            0xffff_fff0 | 0xffff_fff1 => Some(Self::Offsets),
            _ => None,
        }
    }

    /// Bytes of an entry of a function, in the index and in its record.
    const fn entry(self) -> u64 {
        match self {
            Self::Addresses => 8,
            Self::Offsets => 4,
        }
    }
}

/// Header of the table.
#[derive(Debug)]
pub(super) struct Table {
    form: Form,
    /// File offset of the header.
    offset: u64,
    functions: u64,
    /// What the header says of the start of the code; 0 where it leaves it to the loader, or since Go 1.26.
    pub(super) text_start: u64,
    names: (u64, u64),
    records: u64,
}

impl Table {
    /// The table of a program: by its section, or else by searching its header in everything that is loaded.
    pub(super) fn find(image: &Image<'_>) -> Option<Self> {
        let named = [".gopclntab", ".data.rel.ro.gopclntab"]
            .iter()
            .filter_map(|name| image.section(name))
            .find_map(|(_, offset, _)| Self::at(image, offset));
        named.or_else(|| Self::search(image))
    }

    fn search(image: &Image<'_>) -> Option<Self> {
        let mut places = Vec::new();
        image.pieces(false, 16, |address, piece| {
            // Two zeros, the smallest instruction and the size of a pointer follow the magic number.
            for at in memchr::memmem::find_iter(piece, &[0xff, 0xff, 0xff, 0, 0, 1, 8]) {
                if let Some(start) = address.checked_add(at as u64).and_then(|a| a.checked_sub(1))
                    && places.len() < 64
                {
                    places.push(start);
                }
            }
        });
        places
            .into_iter()
            .find_map(|at| Self::at(image, image.offset(at)?))
    }

    fn at(image: &Image<'_>, offset: u64) -> Option<Self> {
        let bytes = image.input.at(offset, 72);
        let word = |n: usize| {
            let at = 8 + 8 * n;
            bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
        };
        let form = Form::of(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))?;
        if bytes.get(4..8)? != [0, 0, 1, 8] {
            return None;
        }
        let (text_start, first) = match form {
            Form::Addresses => (0, 2),
            Form::Offsets => (word(2)?, 3),
        };
        let (names, units, records) = (word(first)?, word(first + 1)?, word(first + 4)?);
        let functions = word(0)?;
        let fits = functions > 0
            && functions <= MAX_FUNCTIONS
            && names < units
            && units - names <= MAX_NAMES
            && records > units;
        if !fits {
            return None;
        }
        Some(Self {
            form,
            offset,
            functions,
            text_start,
            names: (offset.checked_add(names)?, units - names),
            records: offset.checked_add(records)?,
        })
    }

    /// Whether entries are offsets from the start of the code.
    pub(super) fn has_offsets(&self) -> bool {
        self.form == Form::Offsets
    }

    /// File offset at which the header keeps the start of the code.
    pub(super) const fn text_start_place(&self) -> u64 {
        self.offset + 24
    }

    /// The functions of these names; refused is what the table does not have exactly once.
    pub(super) fn entries<const N: usize>(
        &self,
        image: &Image<'_>,
        names: [&str; N],
    ) -> [Result<Entry, RefusalReason>; N] {
        let wanted = self.wanted_names(image, names);
        let mut found = [Err(RefusalReason::NotFound); N];
        if wanted.iter().all(Option::is_none) {
            return found;
        }
        let is_whole = self.each(image, |entry, name| {
            for (found, _) in found.iter_mut().zip(wanted).filter(|(_, w)| *w == Some(name)) {
                *found = match found {
                    Err(RefusalReason::NotFound) if entry.end > entry.start => Ok(entry),
                    _ => Err(RefusalReason::NotUnique),
                };
            }
        });
        if is_whole {
            found
        } else {
            [Err(RefusalReason::NoFunctionTable); N]
        }
    }

    /// Places of the names among all names.
    fn wanted_names<const N: usize>(&self, image: &Image<'_>, names: [&str; N]) -> [Option<u32>; N] {
        let (offset, size) = self.names;
        let mut found = [None; N];
        let texts = names.map(|name| [b"\0", name.as_bytes(), b"\0"].concat());
        image.input.pieces(offset, size, MAX_NAME, |from, piece| {
            for (text, found) in texts.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                *found = memchr::memmem::find(piece, text)
                    .and_then(|at| u32::try_from(from - offset + at as u64 + 1).ok());
            }
        });
        found
    }

    /// Gives each function and the place of its name. The records stand in the order of the index. Whether all were there.
    fn each(&self, image: &Image<'_>, mut look: impl FnMut(Entry, u32)) -> bool {
        let mut window = Window::new(image.input);
        let mut before: Option<(u64, u64)> = None;
        let mut is_whole = true;
        let mut pair = |(start, record): (u64, u64)| {
            // A function ends where the next one starts.
            if let Some((last, its_record)) = before.replace((start, record)) {
                // The name's place follows the entry in each record.
                let at = self
                    .records
                    .saturating_add(its_record)
                    .saturating_add(self.form.entry());
                match window.at(at, 4).first_chunk() {
                    Some(name) => look(
                        Entry {
                            start: last,
                            end: start,
                        },
                        u32::from_le_bytes(*name),
                    ),
                    None => is_whole = false,
                }
            }
        };
        // The last one is the end of the code and has no record.
        let count = self.functions + 1;
        let (input, from) = (image.input, self.records);
        let has_index = match self.form {
            Form::Addresses => input.each(from, count, |row: &[u8; 16]| pair(halves(row))),
            Form::Offsets => input.each(from, count, |row: &[u8; 8]| pair(halves(row))),
        };
        has_index && is_whole
    }

    /// Where the code may start by the module's data, which is found by its pointer to this table. The loader writes both, or they
    /// stand in the file.
    pub(super) fn module_texts(&self, image: &Image<'_>) -> Vec<u64> {
        let Some(table) = image.address(self.offset) else {
            return Vec::new();
        };
        let mut modules = BTreeSet::new();
        let mut add = |place: u64| {
            if place.is_multiple_of(8) && modules.len() < MAX_MODULES {
                modules.insert(place);
            }
        };
        relocations(image, |place, to| {
            if to == table {
                add(place);
            }
        });
        let pointer = table.to_le_bytes();
        image.pieces(false, 8, |address, piece| {
            memchr::memmem::find_iter(piece, &pointer)
                .filter_map(|at| address.checked_add(at as u64))
                .for_each(&mut add);
        });
        let places: BTreeSet<u64> = modules
            .iter()
            .filter_map(|module| module.checked_add(TEXT_IN_MODULE))
            .collect();
        let written = written_at(image, &places);
        let text = |place: &u64| written.get(place).copied().or_else(|| image.word(*place));
        places.iter().filter_map(text).collect()
    }
}

/// Both halves of a row of the index, as numbers.
fn halves(row: &[u8]) -> (u64, u64) {
    let number = |half: &[u8]| {
        half.iter()
            .rev()
            .fold(0u64, |n, byte| (n << 8) | u64::from(*byte))
    };
    let (entry, record) = row.split_at(row.len() / 2);
    (number(entry), number(record))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::FileExt};

    use super::super::input::Input;
    use super::*;

    /// Whether this is the header of a table, behind one of ELF.
    fn is_table(words: [u64; 8]) -> bool {
        let mut bytes = vec![0u8; 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        for (at, value) in [(16, 2u16), (18, 62), (20, 1), (52, 64), (54, 56)] {
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend([0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let input = Input::new(&file);
        let image = Image::parse(&input).unwrap();
        Table::at(&image, 64).is_some()
    }

    #[test]
    fn a_header_whose_places_are_out_of_order_is_none() {
        assert!(is_table([1, 1, 0, 72, 80, 80, 80, 96]));
        for (names, units, records) in [(80, 72, 96), (u64::MAX, 0, 1), (72, 80, 72), (72, 80, u64::MAX)] {
            let words = [1, 1, 0, names, units, units, units, records];
            assert!(!is_table(words), "{names} {units} {records}");
        }
    }

    const NAMES: &[u8] = b"\0a.Write\0a.Read\0";
    const RECORDS: u64 = 4096;

    /// A table of a million functions in a file of this size, all of it a hole but for three functions: names and places of their
    /// records are given.
    fn sparse(size: u64, functions: [(u32, u32); 3]) -> std::fs::File {
        let mut bytes = vec![0u8; 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        for (at, value) in [(16, 2u16), (18, 62), (20, 1), (52, 64), (54, 56)] {
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend([0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
        let units = 72 + NAMES.len() as u64;
        for word in [1_000_000, 1, 0, 72, units, units, units, RECORDS] {
            bytes.extend(u64::to_le_bytes(word));
        }
        bytes.extend(NAMES);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let word = |at: u64, value: u32| {
            file.write_all_at(&value.to_le_bytes(), 64 + RECORDS + at)
                .unwrap();
        };
        for (n, (name, record)) in functions.into_iter().enumerate() {
            let n = n as u64;
            word(80 + 8 * n, 0x100 * (n as u32 + 1));
            word(84 + 8 * n, record);
            word(u64::from(record) + 4, name);
        }
        word(80 + 24, 0x400);
        file.set_len(size).unwrap();
        file
    }

    fn entries(file: &std::fs::File) -> ([Result<Entry, RefusalReason>; 3], [u64; 3]) {
        let input = Input::new(file);
        let image = Image::parse(&input).unwrap();
        let table = Table::at(&image, 64).unwrap();
        let found = table.entries(&image, ["a.Write", "a.Read", "a.Close"]);
        (found, input.used())
    }

    #[test]
    fn a_large_table_is_read_once_and_not_kept() {
        const FAR: u32 = 150 << 20;
        let entry = |n: u64| {
            let (start, end) = (0x100 * n, 0x100 * (n + 1));
            Ok(Entry { start, end })
        };
        let missing = Err(RefusalReason::NotFound);
        let file = sparse(160 << 20, [(1, FAR), (9, FAR + 64), (3, FAR + 128)]);
        let (found, [kept, looked, passed]) = entries(&file);
        assert_eq!(found, [entry(1), entry(2), missing]);
        assert!(kept + looked < 1024, "{kept} {looked}");
        // The index, and a piece for each leap among the records.
        assert!(passed < 12 << 20, "{passed}");
        let twice = sparse(160 << 20, [(1, FAR), (9, FAR + 64), (9, FAR + 128)]);
        assert_eq!(
            entries(&twice).0,
            [entry(1), Err(RefusalReason::NotUnique), missing]
        );
        // What ends before its records is not the same as what has no such functions.
        let cut = sparse(100 << 20, [(1, FAR), (9, FAR + 64), (3, FAR + 128)]);
        assert_eq!(entries(&cut).0, [Err(RefusalReason::NoFunctionTable); 3]);
    }
}
