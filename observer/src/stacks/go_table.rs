//! Go's table of functions (`runtime.pcHeader`, `runtime/symtab.go` and `cmd/link/internal/ld/pcln.go`), which every Go program
//! carries, stripped or not.

use super::image::Image;

/// Functions of one program; large ones have 200,000.
const MAX_FUNCTIONS: u64 = 4_000_000;

/// Bytes of the part with the functions' records.
const MAX_RECORDS: u64 = 192 * 1024 * 1024;

/// Bytes of names.
const MAX_NAMES: u64 = 64 * 1024 * 1024;

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

    /// Bytes of one index entry.
    const fn entry(self) -> u64 {
        match self {
            Self::Addresses => 16,
            Self::Offsets => 8,
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

    /// The functions of these names, each `None` where the table does not have exactly one.
    pub(super) fn entries<const N: usize>(&self, image: &Image<'_>, names: [&str; N]) -> [Option<Entry>; N] {
        let wanted = self.wanted_names(image, names);
        let Some((index, records)) = self.read(image).filter(|_| wanted.iter().any(Option::is_some)) else {
            return [None; N];
        };
        wanted.map(|wanted| wanted.and_then(|name| self.entry(&index, &records, name)))
    }

    /// The index and the part with the records.
    fn read(&self, image: &Image<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
        let index_bytes = (self.functions + 1) * self.form.entry();
        let index = image.input.at(self.records, usize::try_from(index_bytes).ok()?);
        let last = usize::try_from(self.functions).ok()?.checked_sub(1)?;
        let reach = self.pair(&index, last)?.1.checked_add(64)?;
        if reach > MAX_RECORDS {
            return None;
        }
        let records = image.input.at(self.records, usize::try_from(reach).ok()?);
        Some((index, records))
    }

    fn wanted_names<const N: usize>(&self, image: &Image<'_>, names: [&str; N]) -> [Option<u32>; N] {
        let (offset, size) = self.names;
        let bytes = image.input.at(offset, usize::try_from(size).unwrap_or(0));
        names.map(|name| {
            let text = [b"\0", name.as_bytes(), b"\0"].concat();
            let at = memchr::memmem::find(&bytes, &text)?;
            u32::try_from(at + 1).ok()
        })
    }

    /// The function whose record has the name at this place.
    fn entry(&self, index: &[u8], records: &[u8], name: u32) -> Option<Entry> {
        let last = usize::try_from(self.functions).ok()?;
        let record_at = |n: usize| self.pair(index, n).map(|(_, record)| record);
        // The name's place follows the entry in each record.
        let skip = self.form.entry() / 2;
        let mut found = (0..last).filter(|n| {
            record_at(*n)
                .and_then(|record| usize::try_from(record.checked_add(skip)?).ok())
                .and_then(|at| records.get(at..at.checked_add(4)?))
                .is_some_and(|bytes| *bytes == name.to_le_bytes())
        });
        let one = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let (start, _) = self.pair(index, one)?;
        let (end, _) = self.pair(index, one + 1)?;
        (end > start).then_some(Entry { start, end })
    }

    /// Entry and place of the record of the function with a number.
    fn pair(&self, index: &[u8], n: usize) -> Option<(u64, u64)> {
        let size = usize::try_from(self.form.entry()).ok()?;
        let at = n.checked_mul(size)?;
        let bytes = index.get(at..at.checked_add(size)?)?;
        let half = |half: &[u8]| match self.form {
            Form::Addresses => half.try_into().ok().map(u64::from_le_bytes),
            Form::Offsets => half.try_into().ok().map(|b| u64::from(u32::from_le_bytes(b))),
        };
        let (entry, record) = bytes.split_at_checked(size / 2)?;
        // The last one is the end of the code and has no record.
        Some((half(entry)?, half(record).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
}
