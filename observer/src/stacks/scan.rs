//! Passes over everything that is loaded: where strings stand, what code refers to them, who calls whom.
//!
//! A pass reads raw bytes and knows no instruction boundaries, so it finds too much. What it finds is checked by decoding the function
//! around it ([`super::functions`]).

use std::{cell::Cell, ops::RangeInclusive};

use aho_corasick::packed::{Config, MatchKind};

use super::image::Image;

/// Hits kept of one pass.
const MAX_HITS: usize = 200_000;

/// Places kept of one text: a file full of it must not hide the others.
const MAX_PLACES: usize = 1024;

/// Targets that an address is compared with, and bytes in which one byte is looked for, in one step of work.
const TARGETS_PER_STEP: u64 = 8;
const BYTES_PER_STEP: u64 = 512;

/// Longest needle and longest instruction that a pass finds.
const OVERLAP: usize = 64;

/// Something looked for in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needle {
    /// Source file of BoringSSL.
    SslLib,
    WriteInternal,
    ReadInternal,
    Write,
    Read,
    /// Source file of OpenSSL.
    SslLibC,
    /// `ssl3_ctrl` of OpenSSL 3.
    Ctrl,
    /// Source file of aws-lc and BoringSSL.
    Aead,
    /// Version texts.
    OpenSsl,
    Rustls,
    AwsLc,
    Ring,
    /// Header of Go's build information.
    GoBuild,
}

const NEEDLES: &[(Needle, &[u8])] = &[
    (Needle::SslLib, b"ssl_lib.cc\0"),
    (Needle::SslLibC, b"ssl/ssl_lib.c\0"),
    (Needle::WriteInternal, b"ssl_write_internal\0"),
    (Needle::ReadInternal, b"ssl_read_internal\0"),
    (Needle::Write, b"SSL_write\0"),
    (Needle::Read, b"SSL_read\0"),
    (Needle::Ctrl, b"ssl3_ctrl\0"),
    (Needle::Aead, b"cipher/aead.c"),
    (Needle::OpenSsl, b"OpenSSL 1."),
    (Needle::OpenSsl, b"OpenSSL 3."),
    (Needle::OpenSsl, b"OpenSSL 4."),
    (Needle::Rustls, b"/rustls-0."),
    (Needle::AwsLc, b"/aws-lc-"),
    (Needle::Ring, b"/ring-0."),
    (Needle::GoBuild, b"\xff Go buildinf:"),
];

/// Where the needles stand: needle and address, sorted.
pub(super) fn strings(image: &Image<'_>) -> Vec<(Needle, u64)> {
    let patterns = NEEDLES.iter().map(|(_, text)| *text);
    let searcher = Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .builder()
        .extend(patterns)
        .build();
    let mut hits: Vec<(Needle, u64)> = Vec::new();
    let mut counts = vec![0usize; NEEDLES.len()];
    image.pieces(false, OVERLAP, |address, piece| {
        let mut push = |at: usize, pattern: usize| {
            if let (Some((needle, _)), Some(count), Some(place)) = (
                NEEDLES.get(pattern),
                counts.get_mut(pattern).filter(|count| **count < MAX_PLACES),
                address.checked_add(at as u64),
            ) {
                *count += 1;
                hits.push((*needle, place));
            }
        };
        match &searcher {
            Some(searcher) => searcher
                .find_iter(piece)
                .for_each(|hit| push(hit.start(), hit.pattern().as_usize())),
            None => one_by_one(piece, &mut push),
        }
    });
    hits.sort_unstable();
    hits.dedup();
    hits
}

/// For processors without the vector instructions of the searcher.
fn one_by_one(piece: &[u8], push: &mut impl FnMut(usize, usize)) {
    for (pattern, (_, text)) in NEEDLES.iter().enumerate() {
        memchr::memmem::find_iter(piece, text).for_each(|at| push(at, pattern));
    }
}

/// Addresses that code may refer to, and what stands there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) addresses: RangeInclusive<u64>,
    pub(super) needle: Needle,
}

/// An instruction that seems to refer to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) needle: Needle,
    pub(super) from: u64,
}

/// Instructions that load the address of a target: `lea r, [rip+d]`, and where the file has a fixed address `mov r32, imm32`
/// (also `mov r64, simm32`).
pub(super) fn references(image: &Image<'_>, targets: &[Target]) -> Vec<Reference> {
    let low = targets.iter().map(|t| *t.addresses.start()).min();
    let high = targets.iter().map(|t| *t.addresses.end()).max();
    let (Some(low), Some(high)) = (low, high) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let looked = Cell::new(0u64);
    let mut check = |from: u64, to: u64| {
        if to < low || to > high || found.len() >= MAX_HITS {
            return;
        }
        looked.set(looked.get() + 1 + targets.len() as u64 / TARGETS_PER_STEP);
        for target in targets.iter().filter(|t| t.addresses.contains(&to)) {
            found.push(Reference {
                needle: target.needle,
                from,
            });
        }
    };
    let absolute = !image.relocatable && high <= u64::from(u32::MAX);
    image.pieces(true, OVERLAP, |address, piece| {
        loads_relative(address, piece, &mut check);
        if absolute {
            loads_absolute(address, piece, (low, high), &mut check);
            // The more values the high byte has, the more often the piece is read.
            looked.set(looked.get() + ((high >> 24) - (low >> 24)) * piece.len() as u64 / BYTES_PER_STEP);
        }
        image.input.work(looked.take());
    });
    found.sort_unstable();
    found.dedup();
    found
}

fn word(piece: &[u8], at: usize) -> Option<i32> {
    let bytes = piece.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(i32::from_le_bytes)
}

/// `[rex] 8d modrm disp32` with a modrm byte that means `[rip+disp32]`; with REX.W only.
fn loads_relative(address: u64, piece: &[u8], check: &mut impl FnMut(u64, u64)) {
    for at in memchr::memchr_iter(0x8d, piece) {
        let relative = piece.get(at + 1).is_some_and(|modrm| modrm & 0xc7 == 0x05);
        let Some(rex) = at.checked_sub(1).and_then(|n| piece.get(n)) else {
            continue;
        };
        if !relative || rex & 0xf8 != 0x48 {
            continue;
        }
        if let Some(distance) = word(piece, at + 2) {
            let next = address.wrapping_add(at as u64 + 6);
            check(
                next.wrapping_sub(7),
                next.wrapping_add_signed(i64::from(distance)),
            );
        }
    }
}

/// `b8+r imm32`, with REX.B before it for the upper registers, and `48 c7 c0+r imm32`. The high byte of the address is common to
/// few words of code, so it is looked for first.
fn loads_absolute(address: u64, piece: &[u8], (low, high): (u64, u64), check: &mut impl FnMut(u64, u64)) {
    let (first, last) = ((low >> 24) as u8, (high >> 24) as u8);
    for top in first..=last {
        for at in memchr::memchr_iter(top, piece) {
            let Some(start) = at.checked_sub(3) else { continue };
            let Some(to) = word(piece, start) else { continue };
            let to = u64::from(to.cast_unsigned());
            if to < low || to > high {
                continue;
            }
            let before = |n: usize| start.checked_sub(n).and_then(|at| piece.get(at)).copied();
            let here = |n: usize| address.wrapping_add((start - n) as u64);
            match (before(3), before(2), before(1)) {
                (Some(0x48 | 0x49), Some(0xc7), Some(0xc0..=0xc7)) => check(here(3), to),
                (_, Some(0x41), Some(0xb8..=0xbf)) => check(here(2), to),
                (_, _, Some(0xb8..=0xbf)) => check(here(1), to),
                _ => {}
            }
        }
    }
}

/// A direct call or jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) to: u64,
    pub(super) from: u64,
    /// A call, as against a jump.
    pub(super) is_call: bool,
}

/// Calls (`e8`), and with `jumps` also jumps (`e9`, `0f 8x`), for whose address and target `wanted` says yes.
pub(super) fn edges(image: &Image<'_>, jumps: bool, wanted: impl Fn(u64, u64) -> bool) -> Vec<Edge> {
    let mut found = Vec::new();
    let looked = Cell::new(0u64);
    let mut check = |address: u64, piece: &[u8], at: usize, opcode: usize, is_call: bool| {
        looked.set(looked.get() + 1);
        let Some(distance) = word(piece, at + opcode) else {
            return;
        };
        let from = address.wrapping_add(at as u64);
        let to = from
            .wrapping_add(opcode as u64 + 4)
            .wrapping_add_signed(i64::from(distance));
        if found.len() < MAX_HITS && wanted(from, to) {
            found.push(Edge { to, from, is_call });
        }
    };
    image.pieces(true, OVERLAP, |address, piece| {
        for at in memchr::memchr_iter(0xe8, piece) {
            check(address, piece, at, 1, true);
        }
        if jumps {
            for at in memchr::memchr_iter(0xe9, piece) {
                check(address, piece, at, 1, false);
            }
            for at in memchr::memchr_iter(0x0f, piece) {
                if piece.get(at + 1).is_some_and(|second| second & 0xf0 == 0x80) {
                    check(address, piece, at, 2, false);
                }
            }
        }
        image.input.work(looked.take());
    });
    found.sort_unstable();
    found.dedup();
    found
}
