//! Where functions start and end: by the unwind tables, or else by who is called.

use std::collections::BTreeMap;

use super::{
    code::{Body, MAX_FUNCTION},
    image::Image,
    scan,
};

/// Bytes of unwind index that are read; codex has 3 MB.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// Pages of code around which starts are collected.
const PAGE: u64 = 4096;

/// Starts of functions.
pub(super) struct Functions<'i, 'a> {
    image: &'i Image<'a>,
    /// From the unwind index: start of a function and address of its entry, sorted.
    unwind: Vec<(u64, u64)>,
    /// Starts that something calls or points to, and how often, in the pages that were collected.
    called: BTreeMap<u64, u32>,
}

impl<'i, 'a> Functions<'i, 'a> {
    /// Reads the unwind index.
    pub(super) fn new(image: &'i Image<'a>) -> Self {
        Self {
            image,
            unwind: index(image).unwrap_or_default(),
            called: BTreeMap::new(),
        }
    }

    /// Start and end of the function that the unwind tables have around an address.
    pub(super) fn by_unwind(&self, address: u64) -> Option<(u64, u64)> {
        let after = self.unwind.partition_point(|(start, _)| *start <= address);
        let (start, entry) = *self.unwind.get(after.checked_sub(1)?)?;
        let size = self.fde_size(start, entry)?;
        let end = start.checked_add(size)?;
        (address < end).then_some((start, end))
    }

    /// Length of the code that an unwind entry is for
    /// (<https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html>).
    fn fde_size(&self, start: u64, entry: u64) -> Option<u64> {
        let bytes = self.image.bytes(entry, 16);
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (length, begins, size) = (word(0)?, word(8)?, word(12)?);
        // Encoded relative to itself in four bytes, as all compilers do; else the sum does not come out.
        let begin = entry
            .checked_add(8)?
            .wrapping_add_signed(i64::from(begins.cast_signed()));
        (length != 0 && length != u32::MAX && begin == start).then_some(u64::from(size))
    }

    /// Collects starts of functions around addresses that no unwind table knows: one pass over the code.
    pub(super) fn collect(&mut self, addresses: &[u64]) {
        let mut pages: Vec<u64> = addresses
            .iter()
            .filter(|a| self.by_unwind(**a).is_none())
            .flat_map(|a| {
                let page = a / PAGE;
                page.saturating_sub(MAX_FUNCTION as u64 / PAGE)..=page + 4
            })
            .collect();
        pages.sort_unstable();
        pages.dedup();
        let (Some(first), Some(last)) = (pages.first().copied(), pages.last().copied()) else {
            return;
        };
        let wanted = |to: u64| {
            let page = to / PAGE;
            page >= first && page <= last && pages.binary_search(&page).is_ok()
        };
        let mut called: BTreeMap<u64, u32> = BTreeMap::new();
        for edge in scan::edges(self.image, false, wanted) {
            *called.entry(edge.to).or_default() += 1;
        }
        for pointer in relative_pointers(self.image).into_iter().filter(|to| wanted(*to)) {
            *called.entry(pointer).or_default() += 1;
        }
        let is_start = |start: &u64| self.looks_like_a_start(*start);
        self.called = called.into_iter().filter(|(start, _)| is_start(start)).collect();
    }

    /// Whether what stands before an address can end a function, and what stands there can start one.
    pub(super) fn looks_like_a_start(&self, address: u64) -> bool {
        let first = self.image.bytes(address, 4);
        // Nothing stands before the first function of all.
        let padded = address
            .checked_sub(1)
            .and_then(|before| self.image.bytes(before, 1).first().copied())
            .is_none_or(|previous| matches!(previous, 0xcc | 0xc3 | 0x90 | 0x00 | 0x0b));
        let frame = first.starts_with(&[0x55, 0x48, 0x89, 0xe5]);
        let prologue = first.first().is_some_and(|b| {
            matches!(
                b,
                0x55 | 0x41
                    | 0x53
                    | 0x48
                    | 0xf3
                    | 0x31
                    | 0x89
                    | 0x0f
                    | 0x83
                    | 0xb8
                    | 0x40
                    | 0x49
                    | 0x4c
                    | 0x8b
                    | 0x85
                    | 0x56
                    | 0x57
                    | 0x50
            )
        });
        frame || prologue && (padded || address.is_multiple_of(16))
    }

    /// The function that holds an address, decoded, with an instruction starting at that address.
    pub(super) fn containing(&self, address: u64) -> Option<Body> {
        if let Some((start, end)) = self.by_unwind(address) {
            return Body::decode(self.image, start, end, true).filter(|body| body.index(address).is_some());
        }
        let lowest = address.saturating_sub(MAX_FUNCTION as u64);
        self.called
            .range(lowest..=address)
            .rev()
            .take(8)
            .filter_map(|(start, _)| self.starting_at(*start))
            .find(|body| body.index(address).is_some())
    }

    /// The function that starts at an address, decoded to its end.
    pub(super) fn starting_at(&self, start: u64) -> Option<Body> {
        match self.by_unwind(start) {
            Some((known, end)) if known == start => Body::decode(self.image, start, end, true),
            // The middle of a function: no start.
            Some(_) => None,
            None => {
                let limit = start.checked_add(MAX_FUNCTION as u64)?;
                let next = self.called.range(start.checked_add(1)?..limit).next();
                let end = next.map_or(limit, |(next, _)| *next);
                Body::decode(self.image, start, end, false)
            }
        }
    }

    /// Functions that jump into the middle of another one: the compiler moved its unlikely parts away. Gives, for each start of
    /// such a part, the start of the function that it belongs to.
    pub(super) fn parents(&self, parts: &[(u64, u64)]) -> BTreeMap<u64, u64> {
        let around = |to: u64| parts.iter().find(|(start, end)| to >= *start && to < *end);
        let mut parents = BTreeMap::new();
        let mut called = Vec::new();
        for edge in scan::edges(self.image, true, |to| around(to).is_some()) {
            let Some((start, end)) = around(edge.to).copied() else {
                continue;
            };
            // Bytes that look like a jump are one only between instructions.
            let Some(from) = self.containing(edge.from) else {
                continue;
            };
            let is_use = edge.is_call || edge.to == start && self.is_tail_jump(edge.from);
            if is_use {
                called.push(start);
            } else if from.start != start
                && Body::decode(self.image, start, end, true).is_some_and(|b| b.index(edge.to).is_some())
            {
                parents.entry(start).or_insert(from.start);
            }
        }
        // What is called is a function, whoever else jumps there.
        parents.retain(|part, _| !called.contains(part));
        parents
    }

    fn is_tail_jump(&self, from: u64) -> bool {
        self.image.bytes(from, 1).first() == Some(&0xe9)
    }
}

/// Entries of the unwind index (`.eh_frame_hdr`), in its usual encoding only.
fn index(image: &Image<'_>) -> Option<Vec<(u64, u64)>> {
    const DATA_RELATIVE_TABLE: [u8; 2] = [0x03, 0x3b];
    let (address, size) = image
        .unwind
        .filter(|(_, size)| *size >= 12 && *size <= MAX_INDEX)?;
    let bytes = image.bytes(address, usize::try_from(size).ok()?);
    let (head, table) = bytes.split_at_checked(12)?;
    if head.get(2..4)? != DATA_RELATIVE_TABLE {
        return None;
    }
    let count = u32::from_le_bytes(head.get(8..12)?.try_into().ok()?) as usize;
    let (entries, _) = table.as_chunks::<8>();
    let mut starts: Vec<(u64, u64)> = entries
        .iter()
        .take(count)
        .map(|[a, b, c, d, e, f, g, h]| {
            let at = |word: [u8; 4]| address.wrapping_add_signed(i64::from(i32::from_le_bytes(word)));
            (at([*a, *b, *c, *d]), at([*e, *f, *g, *h]))
        })
        .collect();
    // Sorted by its definition; a file that lies gets no more than wrong answers.
    starts.sort_unstable();
    Some(starts)
}

/// Pointers that the loader fills in (`R_X86_64_RELATIVE`).
fn relative_pointers(image: &Image<'_>) -> Vec<u64> {
    relocations(image).into_iter().map(|(_, to)| to).collect()
}

/// What the loader will write at an address.
pub(super) fn relative_pointer_at(image: &Image<'_>, place: u64) -> Option<u64> {
    relocations(image)
        .into_iter()
        .find_map(|(at, to)| (at == place).then_some(to))
}

/// Relative relocations: where they are written, and the address that is.
pub(super) fn relocations(image: &Image<'_>) -> Vec<(u64, u64)> {
    const RELATIVE: u64 = 8;
    let Some((_, offset, size)) = [".rela.dyn", ".rela"].iter().find_map(|name| image.section(name)) else {
        return Vec::new();
    };
    let size = usize::try_from(size.min(MAX_INDEX)).unwrap_or(0);
    let bytes = image.input.at(offset, size);
    let (entries, _) = bytes.as_chunks::<24>();
    entries
        .iter()
        .filter_map(|entry| {
            let (words, _) = entry.as_chunks::<8>();
            let [at, kind, to] = words else { return None };
            let is_relative = u64::from_le_bytes(*kind) & 0xffff_ffff == RELATIVE;
            is_relative.then(|| (u64::from_le_bytes(*at), u64::from_le_bytes(*to)))
        })
        .collect()
}
