//! An ELF file as the stacks see it: what is loaded where, and its named sections.

use object::{
    Endianness,
    elf::{self, FileHeader64},
    read::{
        ReadRef,
        elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable},
    },
};

use super::{ExamineError, input::Input};

/// Program headers looked at; a real file has a dozen.
const MAX_SEGMENTS: usize = 256;

/// Section headers looked at. Objects of a compiler have more, programs do not.
const MAX_SECTIONS: usize = 65_536;

/// Bytes of all loaded segments together beyond which a file is not searched.
pub(super) const MAX_LOADED: u64 = 1024 * 1024 * 1024;

/// A part of the file that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) executable: bool,
}

/// The file, its segments and its sections.
pub(super) struct Image<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) x86_64: bool,
    /// Loaded at any address: its code refers to data relative to itself.
    pub(super) relocatable: bool,
    pub(super) loads: Vec<Segment>,
    /// Place of the unwind index (`PT_GNU_EH_FRAME`): address and bytes.
    pub(super) unwind: Option<(u64, u64)>,
    /// Notes: offset and bytes.
    pub(super) notes: Vec<(u64, u64)>,
    endian: Endianness,
    pub(super) sections: SectionTable<'a, FileHeader64<Endianness>, &'a Input<'a>>,
}

impl<'a> Image<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// Not a 64-bit little-endian ELF program or library.
    pub(super) fn parse(input: &'a Input<'a>) -> Result<Self, ExamineError> {
        let malformed = |e: object::Error| ExamineError::Malformed(e.to_string());
        let magic = input.read_bytes_at(0, 6).map_err(|()| ExamineError::NotElf)?;
        match magic {
            [0x7f, b'E', b'L', b'F', elf::ELFCLASS64, elf::ELFDATA2LSB] => {}
            [0x7f, b'E', b'L', b'F', ..] => return Err(ExamineError::OtherMachine),
            _ => return Err(ExamineError::NotElf),
        }
        let header = FileHeader64::<Endianness>::parse(input).map_err(malformed)?;
        let endian = header.endian().map_err(malformed)?;
        let mut image = Self {
            input,
            x86_64: header.e_machine(endian) == elf::EM_X86_64,
            relocatable: header.e_type(endian) == elf::ET_DYN,
            loads: Vec::new(),
            unwind: None,
            notes: Vec::new(),
            endian,
            // A file whose section headers are gone or broken still runs.
            sections: SectionTable::default(),
        };
        for part in header
            .program_headers(endian, input)
            .map_err(malformed)?
            .iter()
            .take(MAX_SEGMENTS)
        {
            let (offset, size) = part.file_range(endian);
            match part.p_type(endian) {
                elf::PT_LOAD if size > 0 => image.loads.push(Segment {
                    address: part.p_vaddr(endian),
                    offset,
                    size,
                    executable: part.p_flags(endian) & elf::PF_X != 0,
                }),
                elf::PT_GNU_EH_FRAME => image.unwind = Some((part.p_vaddr(endian), size)),
                elf::PT_NOTE => image.notes.push((offset, size)),
                _ => {}
            }
        }
        if let Ok(sections) = header.sections(endian, input)
            && sections.len() <= MAX_SECTIONS
        {
            image.sections = sections;
        }
        Ok(image)
    }

    pub(super) const fn endian(&self) -> Endianness {
        self.endian
    }

    /// Address, file offset and size of a section by name.
    pub(super) fn section(&self, name: &str) -> Option<(u64, u64, u64)> {
        let (_, header) = self.sections.section_by_name(self.endian, name.as_bytes())?;
        let (offset, size) = header.file_range(self.endian)?;
        Some((header.sh_addr(self.endian), offset, size))
    }

    /// File offset and size of the tables of relocations that are loaded.
    pub(super) fn relocations(&self) -> impl Iterator<Item = (u64, u64)> {
        self.sections
            .iter()
            .filter(|s| s.sh_type(self.endian) == elf::SHT_RELA)
            .filter(|s| s.sh_flags(self.endian) & u64::from(elf::SHF_ALLOC) != 0)
            .filter_map(|s| s.file_range(self.endian))
    }

    fn load_at(&self, address: u64) -> Option<&Segment> {
        self.loads
            .iter()
            .find(|s| address >= s.address && address - s.address < s.size)
    }

    /// File offset of an address that is loaded from the file.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        let load = self.load_at(address)?;
        load.offset.checked_add(address - load.address)
    }

    /// File offset of an address that is loaded as code.
    pub(super) fn code_offset(&self, address: u64) -> Option<u64> {
        let load = self.load_at(address).filter(|load| load.executable)?;
        load.offset.checked_add(address - load.address)
    }

    /// Whether the section headers, where there are any, call an address data.
    pub(super) fn is_in_data_section(&self, address: u64) -> bool {
        self.sections.iter().any(|s| {
            let flags = s.sh_flags(self.endian);
            let start = s.sh_addr(self.endian);
            flags & u64::from(elf::SHF_ALLOC) != 0
                && flags & u64::from(elf::SHF_EXECINSTR) == 0
                && flags & u64::from(elf::SHF_TLS) == 0
                && address >= start
                && address - start < s.sh_size(self.endian)
        })
    }

    /// Address of a place in the file.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        let load = self
            .loads
            .iter()
            .find(|s| offset >= s.offset && offset - s.offset < s.size)?;
        load.address.checked_add(offset - load.offset)
    }

    /// Bytes loaded at an address: at most `len`, fewer where the segment ends.
    pub(super) fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let Some(load) = self.load_at(address) else {
            return Vec::new();
        };
        let within = address - load.address;
        let len = usize::try_from(load.size - within).map_or(len, |left| left.min(len));
        match load.offset.checked_add(within) {
            Some(offset) => self.input.at(offset, len),
            None => Vec::new(),
        }
    }

    /// Eight bytes loaded at an address, as a number.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.bytes(address, 8).try_into().ok().map(u64::from_le_bytes)
    }

    /// Whether the whole of what is loaded may be searched. Segments over each other would make a small file as slow as a large one.
    pub(super) fn is_searchable(&self) -> bool {
        let most = self.input.size().saturating_mul(2).min(MAX_LOADED);
        self.loads
            .iter()
            .try_fold(0u64, |sum, load| sum.checked_add(load.size))
            .is_some_and(|sum| sum <= most)
    }

    /// Gives everything loaded, piece by piece, with the address of each piece. See [`Input::pieces`].
    pub(super) fn pieces(&self, only_code: bool, overlap: usize, mut look: impl FnMut(u64, &[u8])) {
        for load in self.loads.iter().filter(|load| load.executable || !only_code) {
            self.input
                .pieces(load.offset, load.size, overlap, |offset, piece| {
                    if let Some(address) = (offset - load.offset).checked_add(load.address) {
                        look(address, piece);
                    }
                });
        }
    }

    /// The build id that the linker wrote, or else Go's.
    pub(super) fn build_id(&self) -> Option<Vec<u8>> {
        const LONGEST: u64 = 4096;
        let ids = |owner: &[u8], kind: u32| {
            self.notes.iter().find_map(|(offset, size)| {
                let bytes = self
                    .input
                    .at(*offset, usize::try_from((*size).min(LONGEST)).unwrap_or(0));
                note(&bytes, owner, kind)
            })
        };
        ids(b"GNU\0", elf::NT_GNU_BUILD_ID).or_else(|| ids(b"Go\0\0", 4))
    }
}

/// Body of the first note of an owner and a kind (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html#note_section>).
fn note(mut bytes: &[u8], owner: &[u8], wanted: u32) -> Option<Vec<u8>> {
    let padded = |len: usize| len.checked_add(3).map(|len| len & !3);
    loop {
        let (head, rest) = bytes.split_at_checked(12)?;
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (names, bodies, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let (name, rest) = rest.split_at_checked(padded(names)?)?;
        let body = rest.get(..bodies)?;
        if kind == wanted && name.starts_with(owner) && !body.is_empty() {
            return Some(body.to_vec());
        }
        bytes = rest.get(padded(bodies)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_wanted_is_found_behind_others() {
        let mut bytes = Vec::new();
        for (name, body, kind) in [(&b"GNU\0"[..], &[1u8; 16][..], 1u32), (b"GNU\0", b"abcdef", 3)] {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((body.len() as u32).to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(name);
            bytes.extend(body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        assert_eq!(note(&bytes, b"GNU\0", 3).as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(note(&bytes, b"GNU\0", 4), None);
        for cut in 0..bytes.len() {
            let _ = note(&bytes[..cut], b"GNU\0", 3);
        }
        let huge = [0xff; 64];
        assert_eq!(note(&huge, b"GNU\0", 3), None);
    }
}
