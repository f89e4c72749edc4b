//! ring as provider of rustls: the functions behind its tables of algorithms, which get whole records.
//!
//! The assembly of ring sees blocks, and the end of a record passes through none of its functions whole. Above it, each algorithm has a
//! table through which everybody calls it (`ring::aead::Algorithm`, as it is since 0.17.8):
//! ```text
//! { init, seal, open: fn, key_len: usize, id: u8 }
//! seal(key: &KeyInner, nonce, aad: &[u8], in_out: &mut [u8]) -> Result<Tag, Unspecified>
//! open(key: &KeyInner, nonce, aad: &[u8], in_out: &mut [u8], from: usize) -> Result<Tag, Unspecified>
//! ```
//! The tables of AES-128-GCM (16, 0) and AES-256-GCM (32, 1) share `seal` and `open` and differ in `init`; ChaCha20-Poly1305 is (32, 2).
//! No other data looks like that. Older tables end with a limit of the length, and their functions give the tag in other ways: they are not
//! looked for.
//!
//! Both functions are Rust, which promises no calling convention. But what is called through a pointer has the one that the compiler
//! gives to any such function: the result's address, then each argument in a register or, where it is large, its address, and from
//! the seventh on the stack. So `open` must be seen to take two arguments there and `seal` one. For each single call the kernel
//! programs believe the arguments only when they prove themselves (`observer-ebpf/src/ring.rs`).

use std::collections::BTreeSet;

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report, Stack, arguments, code::Body, examiner::Examiner,
    functions::written_at, image::Image, presence,
};

/// Ends of tables that are looked at; a file with more of them is made to be slow.
const MAX_ENDS: usize = 1 << 16;

/// Bytes of a table before its end: three functions.
const HEAD: u64 = 24;

/// The end of a table: length of the key and number of the algorithm.
type End = (u64, u64);
const AES_128_GCM: End = (16, 0);
const AES_256_GCM: End = (32, 1);
const CHACHA20_POLY1305: End = (32, 2);

/// Where a function takes its first and second argument on the stack: behind the return address.
const FIRST: i64 = 8;
const SECOND: i64 = 16;

/// A table of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Table {
    end: End,
    init: u64,
    seal: u64,
    open: u64,
}

/// Finds ring where a text or a name says that it is.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    let version = presence::ring_version(examiner);
    if version.is_none() && !presence::names_ring(examiner) {
        return;
    }
    let mut stack = Stack::new(Kind::Ring, How::Structure);
    stack.version = version;
    if examiner.image.x86_64 {
        let tables = tables(examiner.image);
        place(examiner, "AES-GCM", aes_gcm(&tables), &mut stack);
        // Nearly all connections use AES: without it, the stack would be called readable and mostly not be.
        if stack.is_readable() {
            place(examiner, "ChaCha20-Poly1305", chacha20(&tables), &mut stack);
        }
    } else {
        let reason = RefusalReason::MachineNotSupported;
        stack.refused.push(Refusal::new("ring", reason));
    }
    report.stacks.push(stack);
}

/// Adds both functions of an algorithm, or says why not.
fn place(
    examiner: &Examiner<'_, '_>,
    algorithm: &str,
    found: Result<(u64, u64), RefusalReason>,
    stack: &mut Stack,
) {
    let both = found.and_then(|(seal, open)| {
        let (seal, open) = (examiner.function(seal)?, examiner.function(open)?);
        let is_shape = takes(&seal, &[FIRST]) && takes(&open, &[FIRST, SECOND]);
        is_shape
            .then_some((seal, open))
            .ok_or(RefusalReason::UnknownArguments)
    });
    match both {
        Ok((seal, open)) => {
            for (body, call, name) in [(&seal, Call::RingSeal, "seal"), (&open, Call::RingOpen, "open")] {
                let name = format!("ring {algorithm} {name}");
                stack.points.extend(examiner.point(body, call, &name));
            }
        }
        Err(reason) => {
            let what = format!("ring {algorithm}");
            stack.refused.push(Refusal::new(what, reason));
        }
    }
}

fn takes(body: &Body, wanted: &[i64]) -> bool {
    arguments::on_stack(body).into_iter().eq(wanted.iter().copied())
}

/// `seal` and `open` of both forms of AES-GCM.
fn aes_gcm(tables: &[Table]) -> Result<(u64, u64), RefusalReason> {
    let of = |end: End| tables.iter().filter(move |table| table.end == end);
    let is_pair = |a: &Table, b: &Table| (a.seal, a.open) == (b.seal, b.open) && a.init != b.init;
    only(of(AES_128_GCM).filter(|short| of(AES_256_GCM).any(|long| is_pair(short, long))))
}

/// `seal` and `open` of ChaCha20-Poly1305, which is there with AES-GCM or not believed.
fn chacha20(tables: &[Table]) -> Result<(u64, u64), RefusalReason> {
    let (aes_seal, aes_open) = aes_gcm(tables)?;
    let is_other = |table: &&Table| {
        ![table.seal, table.open]
            .iter()
            .any(|f| *f == aes_seal || *f == aes_open)
    };
    only(
        tables
            .iter()
            .filter(|table| table.end == CHACHA20_POLY1305)
            .filter(is_other),
    )
}

fn only<'t>(tables: impl Iterator<Item = &'t Table>) -> Result<(u64, u64), RefusalReason> {
    let found: BTreeSet<(u64, u64)> = tables.map(|table| (table.seal, table.open)).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(RefusalReason::NotFound),
        _ => Err(RefusalReason::NotUnique),
    }
}

/// All that looks like a table: three different functions before one of the ends.
fn tables(image: &Image<'_>) -> Vec<Table> {
    let ends = ends(image);
    if ends.is_empty() || ends.len() >= MAX_ENDS {
        return Vec::new();
    }
    let heads = ends.iter().filter_map(|(at, _)| at.checked_sub(HEAD));
    let places: BTreeSet<u64> = heads.flat_map(|start| [start, start + 8, start + 16]).collect();
    let written = written_at(image, &places);
    // Where the loader writes nothing, or adds to what stands there, the file says it.
    let pointer = |at: u64| written.get(&at).copied().or_else(|| image.word(at));
    let function = |at: u64| pointer(at).filter(|to| image.code_offset(*to).is_some());
    let mut tables = Vec::new();
    for (at, end) in ends {
        let head = at.checked_sub(HEAD).and_then(|start| {
            let [init, seal, open] = [start, start + 8, start + 16].map(function);
            Some((init?, seal?, open?))
        });
        let Some((init, seal, open)) = head else { continue };
        if init != seal && seal != open && open != init {
            tables.push(Table {
                end,
                init,
                seal,
                open,
            });
        }
    }
    tables
}

/// Where ends of tables stand in the data of the file.
fn ends(image: &Image<'_>) -> Vec<(u64, End)> {
    let known = [AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305];
    let mut found = Vec::new();
    for load in image.loads.iter().filter(|load| !load.executable) {
        image.input.pieces(load.offset, load.size, 8, |offset, piece| {
            let Some(address) = (offset - load.offset).checked_add(load.address) else {
                return;
            };
            let skip = address.next_multiple_of(8) - address;
            let aligned = piece
                .get(usize::try_from(skip).unwrap_or(0)..)
                .unwrap_or_default();
            let (words, _) = aligned.as_chunks::<8>();
            for (n, pair) in words.windows(2).enumerate() {
                let [len, id] = pair else { continue };
                let end = (u64::from_le_bytes(*len), u64::from_le_bytes(*id));
                if known.contains(&end) && found.len() < MAX_ENDS {
                    found.push((address + skip + 8 * n as u64, end));
                }
            }
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}
