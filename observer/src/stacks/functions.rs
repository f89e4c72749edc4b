//! Where functions start and end: by the unwind tables, or else by who is called.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    code::{Body, MAX_FUNCTION},
    image::Image,
    scan, symbols,
};

/// Bytes of unwind index that are read, which are kept as they are: three million functions; codex has 3 MB.
const MAX_INDEX: u64 = 24 * 1024 * 1024;

/// Pointers to code around which no unwind table knows a function.
const MAX_POINTERS: usize = 200_000;

/// Pages of code around which starts are collected.
const PAGE: u64 = 4096;

/// Starts of functions.
pub(super) struct Functions<'i, 'a> {
    image: &'i Image<'a>,
    /// Address of the unwind index.
    index: u64,
    /// From the unwind index, relative to it: start of a function and its entry, sorted.
    unwind: Vec<(i32, i32)>,
    /// Starts that something calls or points to, and how often, in the pages that were collected.
    called: BTreeMap<u64, u32>,
}

impl<'i, 'a> Functions<'i, 'a> {
    /// Reads the unwind index.
    pub(super) fn new(image: &'i Image<'a>) -> Self {
        let (index, unwind) = index(image).unwrap_or_default();
        Self {
            image,
            index,
            unwind,
            called: BTreeMap::new(),
        }
    }

    /// Start and end of the function that the unwind tables have around an address.
    pub(super) fn by_unwind(&self, address: u64) -> Option<(u64, u64)> {
        let at = |relative: i32| self.index.wrapping_add_signed(i64::from(relative));
        let after = self.unwind.partition_point(|(start, _)| at(*start) <= address);
        let (start, entry) = *self.unwind.get(after.checked_sub(1)?)?;
        let (start, entry) = (at(start), at(entry));
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
        for edge in scan::edges(self.image, false, |_, to| wanted(to)) {
            *called.entry(edge.to).or_default() += 1;
        }
        let most = called.len() + MAX_POINTERS;
        relocations(self.image, |_, to| {
            if wanted(to) && called.len() < most {
                *called.entry(to).or_default() += 1;
            }
        });
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
    /// such a part, the start of the function that it belongs to. The parts are sorted.
    pub(super) fn parents(&self, parts: &[(u64, u64)]) -> BTreeMap<u64, u64> {
        let around = |at: u64| {
            let after = parts.partition_point(|(start, _)| *start <= at);
            let part = parts.get(after.checked_sub(1)?)?;
            (at < part.1).then_some(*part)
        };
        // Jumps inside of a part say nothing of it.
        let wanted = |from, to| around(to).is_some_and(|part| to == part.0 || around(from) != Some(part));
        let mut edges = scan::edges(self.image, true, wanted);
        // What is called is a function, whoever else jumps there.
        edges.sort_by_key(|edge| !edge.is_call);
        let (mut parents, mut called) = (BTreeMap::new(), BTreeSet::new());
        for edge in edges {
            let Some((start, end)) = around(edge.to).filter(|(start, _)| !called.contains(start)) else {
                continue;
            };
            // Bytes that look like a jump are one only between instructions.
            let Some(from) = self.containing(edge.from) else {
                continue;
            };
            // A part jumps back into the middle of its function, which is no part of it for that.
            let is_part = |body: &Body| {
                body.index(edge.to).is_some()
                    && (edge.to == start || body.sites().all(|(_, to)| to != from.start))
            };
            let is_use = edge.is_call || edge.to == start && self.is_tail_jump(edge.from);
            if is_use {
                called.insert(start);
            } else if from.start != start
                && Body::decode(self.image, start, end, true).is_some_and(|body| is_part(&body))
            {
                parents.entry(start).or_insert(from.start);
            }
        }
        parents.retain(|part, _| !called.contains(part));
        parents
    }

    fn is_tail_jump(&self, from: u64) -> bool {
        self.image.bytes(from, 1).first() == Some(&0xe9)
    }
}

/// Address and entries of the unwind index (`.eh_frame_hdr`), in its usual encoding only.
fn index(image: &Image<'_>) -> Option<(u64, Vec<(i32, i32)>)> {
    const DATA_RELATIVE_TABLE: [u8; 2] = [0x03, 0x3b];
    const HEAD: u64 = 12;
    let (address, size) = image
        .unwind
        .filter(|(_, size)| *size >= HEAD && *size <= MAX_INDEX)?;
    let head = image.bytes(address, 12);
    if head.get(2..4)? != DATA_RELATIVE_TABLE {
        return None;
    }
    let stated = u64::from(u32::from_le_bytes(head.get(8..12)?.try_into().ok()?));
    let count = stated.min((size - HEAD) / 8);
    let mut starts = Vec::with_capacity(usize::try_from(count).ok()?);
    let table = image.offset(address)?.checked_add(HEAD)?;
    image
        .input
        .each(table, count, |[a, b, c, d, e, f, g, h]: &[u8; 8]| {
            let at = |word: [u8; 4]| i32::from_le_bytes(word);
            starts.push((at([*a, *b, *c, *d]), at([*e, *f, *g, *h])));
        });
    // Sorted by its definition; a file that lies gets no more than wrong answers.
    starts.sort_unstable_by_key(|(start, _)| address.wrapping_add_signed(i64::from(*start)));
    Some((address, starts))
}

/// Gives the relative relocations (`R_X86_64_RELATIVE`): where the loader writes, and the address that it writes there.
pub(super) fn relocations(image: &Image<'_>, mut look: impl FnMut(u64, u64)) {
    const RELATIVE: u64 = 8;
    all_relocations(image, |place, kind, to| {
        if kind & 0xffff_ffff == RELATIVE {
            look(place, to);
        }
    });
}

/// What the loader writes by relative relocations at these places.
pub(super) fn written_at(image: &Image<'_>, places: &BTreeSet<u64>) -> BTreeMap<u64, u64> {
    let mut written = BTreeMap::new();
    relocations(image, |place, to| {
        if places.contains(&place) {
            written.insert(place, to);
        }
    });
    written
}

/// Addresses of functions of this file that the loader writes at these places by their names, as into the table through which the
/// file calls what others may replace (`R_X86_64_GLOB_DAT`, `R_X86_64_JUMP_SLOT`).
pub(super) fn named_at(image: &Image<'_>, places: &BTreeSet<u64>) -> BTreeSet<u64> {
    const GLOB_DAT: u64 = 6;
    const JUMP_SLOT: u64 = 7;
    let mut symbols = BTreeSet::new();
    all_relocations(image, |place, kind, _| {
        if matches!(kind & 0xffff_ffff, GLOB_DAT | JUMP_SLOT) && places.contains(&place) {
            symbols.insert(kind >> 32);
        }
    });
    let address = |number: &u64| symbols::dynamic_function(image, *number);
    symbols.iter().filter_map(address).collect()
}

/// Gives the relocations that are loaded: place, kind with the number of the symbol above it, addend.
fn all_relocations(image: &Image<'_>, mut look: impl FnMut(u64, u64, u64)) {
    for (offset, size) in image.relocations() {
        image.input.each(offset, size / 24, |entry: &[u8; 24]| {
            if let ([at, kind, to], _) = entry.as_chunks::<8>() {
                let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
                look(word(at), word(kind), word(to));
            }
        });
    }
}
