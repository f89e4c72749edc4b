//! Real files of this machine, and files made to deceive.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use super::*;

/// A file of this machine; `None`, said, where it is not there.
fn real(path: &str) -> Option<File> {
    let file = File::open(path).ok();
    if file.is_none() {
        println!("SKIP: {path} is not here");
    }
    file
}

/// Places of plaintext by what their arguments mean.
pub(super) fn plaintext(report: &Report) -> BTreeMap<u64, Call> {
    let points = report.stacks.iter().flat_map(|s| &s.points);
    points
        .filter(|p| p.call.direction().is_some())
        .map(|p| (p.offset, p.call))
        .collect()
}

#[test]
fn without_names_the_same_places_are_found_in_libssl_and_node() {
    for path in ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/bin/node"] {
        let Some(file) = real(path) else { continue };
        let (named, bare) = (examine(&file).unwrap(), examine_with(&file, false).unwrap());
        assert!(named.build_id.is_some_and(|id| id.len() == 20), "{path}");
        assert_eq!(named.stacks.len(), 1, "{path}");
        assert!(
            named.stacks[0].is_readable() && bare.stacks[0].is_readable(),
            "{path}"
        );
        assert_eq!(
            (named.stacks[0].how, bare.stacks[0].how),
            (How::Symbols, How::Structure)
        );
        let named = Report {
            build_id: None,
            ..named
        };
        assert_eq!(plaintext(&named), plaintext(&bare), "{path}");
    }
}

#[test]
fn the_probes_of_libssl_are_cheap_and_one_for_both_forms() {
    let Some(file) = real("/usr/lib/x86_64-linux-gnu/libssl.so.3") else {
        return;
    };
    let report = examine(&file).unwrap();
    let stack = &report.stacks[0];
    assert!(stack.points.iter().all(|p| p.cheap), "{stack:#?}");
    let writes = stack
        .points
        .iter()
        .filter(|p| p.call.direction() == Some(Direction::Write));
    assert_eq!(writes.count(), 1);
    assert!(stack.points.iter().any(|p| p.call == Call::ControlName));
    assert!(stack.points.iter().any(|p| p.call == Call::Free));
}

#[test]
fn gnutls_is_found_by_its_names() {
    let Some(file) = real("/usr/lib/x86_64-linux-gnu/libgnutls.so.30") else {
        return;
    };
    let report = examine(&file).unwrap();
    assert_eq!(report.stacks.len(), 1);
    let stack = &report.stacks[0];
    assert_eq!((stack.kind, stack.is_readable()), (Kind::GnuTls, true));
    let calls: Vec<Call> = stack.points.iter().map(|p| p.call).collect();
    assert_eq!(calls, [Call::Write, Call::Read, Call::GnuTlsName, Call::Free]);
}

#[test]
fn a_library_without_tls_has_no_stack() {
    for path in [
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
    ] {
        let Some(file) = real(path) else { continue };
        assert_eq!(examine(&file).unwrap().stacks, [], "{path}");
    }
}

/// The programs that look for these texts hold them, and so does this one.
#[test]
fn a_program_that_speaks_of_tls_functions_is_not_taken_for_them() {
    let own = File::open(std::env::current_exe().unwrap()).unwrap();
    for use_names in [true, false] {
        let report = examine_with(&own, use_names).unwrap();
        let kinds: Vec<Kind> = report.stacks.iter().map(|s| s.kind).collect();
        // The client of the store uses rustls with ring: that one is there.
        assert_eq!(kinds, [Kind::Ring], "{report:#?}");
    }
}

/// The Go tool is itself a program with `crypto/tls`.
#[test]
fn go_is_read_behind_the_check_of_the_stack() {
    let Some(path) = [
        "/usr/local/go/bin/go",
        "/usr/lib/go-1.19/bin/go",
        "/usr/lib/go/bin/go",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists()) else {
        println!("SKIP: no Go toolchain");
        return;
    };
    let file = File::open(path).unwrap();
    let report = examine(&file).unwrap();
    assert_eq!(report.stacks.len(), 1, "{report:?}");
    let stack = &report.stacks[0];
    assert_eq!((stack.kind, stack.how), (Kind::GoTls, How::Pclntab));
    assert!(
        stack.version.as_ref().is_some_and(|v| v.starts_with("go1.")),
        "{stack:?}"
    );
    let [write, read] = stack.points.as_slice() else {
        panic!("{stack:?}");
    };
    assert!(write.cheap && write.returns.is_empty());
    assert!(!read.returns.is_empty());
    let mut code = vec![0; 1];
    for at in &read.returns {
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut code, *at).unwrap();
        assert_eq!(code, [0xc3], "a return at {at:#x}");
    }
    let names = ["crypto/tls.(*Conn).Write", "crypto/tls.(*Conn).Read"];
    let named = symbols::function_offsets(&file, &names).unwrap();
    if let (Some(w), Some(r)) = (named.get(names[0]), named.get(names[1])) {
        assert!((1..64).contains(&(write.offset - w)) && (1..64).contains(&(read.offset - r)));
    }
}

pub(super) const TEXT: u64 = 0x1000;
pub(super) const DATA: u64 = 0x8000;

/// A library with code at [`TEXT`], data at [`DATA`] and function symbols. Code stands in the file where it is loaded.
pub(super) fn library(code: &[u8], data: &[u8], symbols: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = vec![0u8; 0x9000];
    let mut put = |at: u64, value: &[u8]| {
        let at = at as usize;
        bytes[at..at + value.len()].copy_from_slice(value);
    };
    put(0, b"\x7fELF\x02\x01\x01");
    for (at, value) in [
        (16, 3u16),
        (18, 62),
        (52, 64),
        (54, 56),
        (56, 2),
        (58, 64),
        (60, 5),
        (62, 2),
    ] {
        put(at, &value.to_le_bytes());
    }
    for (at, value) in [(32, 64u64), (40, 256)] {
        put(at, &value.to_le_bytes());
    }
    for (n, (place, len, flags)) in [(TEXT, code.len(), 5u32), (DATA, data.len(), 4)]
        .iter()
        .enumerate()
    {
        let at = 64 + 56 * n as u64;
        put(at, &1u32.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (field, value) in [(8, *place), (16, *place), (32, *len as u64), (40, *len as u64)] {
            put(at + field, &value.to_le_bytes());
        }
    }
    let (names, table) = (0x400u64, 0x800u64);
    let mut name_at = 1;
    for (n, (name, address)) in symbols.iter().enumerate() {
        put(names + name_at, name.as_bytes());
        let at = table + 24 * (n as u64 + 1);
        put(at, &(name_at as u32).to_le_bytes());
        put(at + 4, &[0x12, 0, 3, 0]);
        put(at + 8, &address.to_le_bytes());
        name_at += name.len() as u64 + 1;
    }
    let table_len = 24 * (symbols.len() as u64 + 1);
    // Dynamic symbols, their names, code, data.
    for (n, (kind, flags, place, len, link)) in [
        (11u32, 2u64, table, table_len, 2u32),
        (3, 2, names, 0x400, 0),
        (1, 6, TEXT, code.len() as u64, 0),
        (1, 2, DATA, data.len() as u64, 0),
    ]
    .iter()
    .enumerate()
    {
        let at = 256 + 64 * (n as u64 + 1);
        put(at + 4, &kind.to_le_bytes());
        put(at + 8, &flags.to_le_bytes());
        put(at + 40, &link.to_le_bytes());
        for (field, value) in [(16, *place), (24, *place), (32, *len), (56, 24)] {
            put(at + field, &value.to_le_bytes());
        }
    }
    put(TEXT, code);
    put(DATA, data);
    bytes
}

pub(super) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub(super) fn examined(bytes: &[u8]) -> Report {
    examine(&file_of(bytes)).unwrap()
}

/// `push rbp; mov rbp, rsp; xor eax, eax; pop rbp; ret` and padding to 16 bytes.
pub(super) const SMALL: [u8; 16] = [
    0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x5d, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];

#[test]
fn symbols_that_lie_are_refused_and_the_others_used() {
    let code = SMALL.repeat(4);
    let report = |symbols: &[(&str, u64)]| examined(&library(&code, b"data", symbols)).stacks.remove(0);
    let honest = report(&[("SSL_write", TEXT), ("SSL_read", TEXT + 16)]);
    assert!(honest.is_readable());
    assert_eq!(honest.points[0].offset, TEXT);
    for (address, reason) in [
        (DATA, RefusalReason::NotExecutable),
        (0xffff_ffff_ffff_fff0, RefusalReason::NotExecutable),
        // In the middle of an instruction, and between two.
        (TEXT + 2, RefusalReason::NotAFunctionStart),
        (TEXT + 4, RefusalReason::NotAFunctionStart),
        // Padding.
        (TEXT + 9, RefusalReason::NotAFunctionStart),
    ] {
        let stack = report(&[("SSL_write", address), ("SSL_read", TEXT + 16)]);
        assert_eq!(stack.refused, [Refusal::new("SSL_write", reason)], "{address:#x}");
        assert_eq!(stack.points.len(), 1);
        assert!(!stack.is_readable());
    }
    let twice = report(&[
        ("SSL_write", TEXT),
        ("SSL_write", TEXT + 32),
        ("SSL_read", TEXT + 16),
    ]);
    assert_eq!(
        twice.refused,
        [Refusal::new("SSL_write", RefusalReason::NotUnique)]
    );
}

#[test]
fn a_file_with_hundreds_of_one_stack_gives_a_few_and_says_that_there_are_others() {
    let names: Vec<String> = (0..named::MAX_AWS_LC + 3)
        .flat_map(|n| ["seal", "open"].map(|call| format!("aws_lc_{n:02}_EVP_AEAD_CTX_{call}")))
        .collect();
    let stacks = |versions: usize| {
        let symbols: Vec<(&str, u64)> = names[..2 * versions]
            .iter()
            .map(|name| (name.as_str(), TEXT))
            .collect();
        examined(&library(&SMALL, b"data", &symbols)).stacks
    };
    let most = stacks(named::MAX_AWS_LC);
    assert_eq!(most.len(), named::MAX_AWS_LC);
    assert!(most.iter().all(Stack::is_readable));
    let more = stacks(named::MAX_AWS_LC + 3);
    assert_eq!(more.len(), named::MAX_AWS_LC + 1);
    let others = more.last().unwrap();
    assert_eq!(others.refused, [Refusal::new("aws-lc", RefusalReason::TooMany)]);
    assert!(!others.is_readable());
}

/// Writes functions one after another.
#[derive(Default)]
pub(super) struct Assembler {
    pub(super) code: Vec<u8>,
}

impl Assembler {
    pub(super) fn here(&self) -> u64 {
        TEXT + self.code.len() as u64
    }

    pub(super) fn start(&mut self) -> u64 {
        self.code.resize(self.code.len().next_multiple_of(16), 0xcc);
        let start = self.here();
        self.code.extend([0x55, 0x48, 0x89, 0xe5]);
        start
    }

    pub(super) fn end(&mut self) {
        self.code.extend([0x5d, 0xc3]);
    }

    pub(super) fn call(&mut self, to: u64) {
        let distance = to.wrapping_sub(self.here() + 5) as u32;
        self.code.push(0xe8);
        self.code.extend(distance.to_le_bytes());
    }

    /// Puts an error as BoringSSL does, with the text at [`DATA`].
    pub(super) fn error(&mut self, reason: u32, put: u64) {
        self.code.push(0xba);
        self.code.extend(reason.to_le_bytes());
        let distance = DATA.wrapping_sub(self.here() + 7) as u32;
        self.code.extend([0x48, 0x8d, 0x0d]);
        self.code.extend(distance.to_le_bytes());
        self.call(put);
    }

    /// A function that puts these errors, after calling another one.
    pub(super) fn function(&mut self, calls: Option<u64>, reasons: &[u32], put: u64) -> u64 {
        let start = self.start();
        if let Some(to) = calls {
            self.call(to);
        }
        reasons.iter().for_each(|reason| self.error(*reason, put));
        self.end();
        start
    }
}

/// A BoringSSL without names: functions with its reason codes, called from a function that starts the code. Gives its bytes and
/// where `SSL_write` and `SSL_read` are.
pub(super) fn boringssl(second_write: bool) -> (Vec<u8>, u64, u64) {
    let mut a = Assembler::default();
    let put = a.start();
    a.end();
    let write = a.function(None, &[66, 226, 215, 111], put);
    let inner = a.function(None, &[226, 215], put);
    let peek = a.function(Some(inner), &[66], put);
    let read = a.function(Some(inner), &[66, 7], put);
    let other = if second_write {
        a.function(None, &[226, 215, 111], put)
    } else {
        put
    };
    a.start();
    [write, inner, peek, read, other]
        .into_iter()
        .for_each(|to| a.call(to));
    a.end();
    (library(&a.code, b"../ssl/ssl_lib.cc\0", &[]), write, read)
}

#[test]
fn boringssl_is_found_by_its_reason_codes() {
    let (bytes, write, read) = boringssl(false);
    let report = examined(&bytes);
    let stack = &report.stacks[0];
    assert_eq!((stack.kind, stack.how), (Kind::BoringSsl, How::Structure));
    let found = plaintext(&report);
    assert_eq!(found, [(write, Call::Write), (read, Call::Read)].into());
}

#[test]
fn two_functions_that_fit_are_refused() {
    let (bytes, _, read) = boringssl(true);
    let report = examined(&bytes);
    assert_eq!(plaintext(&report), [(read, Call::Read)].into());
    let refusal = Refusal::new("SSL_write", RefusalReason::NotUnique);
    assert!(report.stacks[0].refused.contains(&refusal));
    assert!(!report.stacks[0].is_readable());
}

#[test]
fn cut_and_flipped_files_never_panic() {
    let (bytes, ..) = boringssl(false);
    for n in (0..bytes.len()).step_by(97) {
        let _ = examine(&file_of(&bytes[..n]));
    }
    for at in (0..576).chain(TEXT as usize..TEXT as usize + 400) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xff;
        let _ = examine(&file_of(&flipped));
    }
    if let Some(mut file) = real("/usr/lib/x86_64-linux-gnu/libssl.so.3") {
        let mut whole = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut whole).unwrap();
        for n in (0..whole.len()).step_by(50_021) {
            let cut = file_of(&whole[..n]);
            let _ = (examine(&cut), examine_with(&cut, false));
        }
        for at in (0..whole.len()).step_by(17_001) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            let flipped = file_of(&flipped);
            let _ = (examine(&flipped), examine_with(&flipped, false));
        }
    }
}

#[test]
fn a_sparse_file_of_terabytes_and_segments_over_each_other_are_too_large() {
    let size: u64 = 1 << 41;
    let (mut bytes, ..) = boringssl(false);
    bytes[64 + 32..64 + 40].copy_from_slice(&size.to_le_bytes());
    let file = file_of(&bytes);
    file.set_len(size).unwrap();
    let report = examine(&file).unwrap();
    assert_eq!(report.notes, [Refusal::new("structure", RefusalReason::TooLarge)]);

    // Two hundred segments, each the same 4 MiB: less than a file may have, but more than this one has.
    let (mut bytes, ..) = boringssl(false);
    let segment = bytes[64..120].to_vec();
    let table = bytes.len() as u64;
    for _ in 0..200 {
        bytes.extend(&segment);
        let at = bytes.len() - 56;
        bytes[at + 32..at + 40].copy_from_slice(&(4u64 << 20).to_le_bytes());
    }
    bytes[32..40].copy_from_slice(&table.to_le_bytes());
    bytes[56..58].copy_from_slice(&200u16.to_le_bytes());
    let report = examined(&bytes);
    assert_eq!(report.notes, [Refusal::new("structure", RefusalReason::TooLarge)]);
}

#[test]
fn files_that_are_no_programs_are_errors_of_their_kind() {
    assert_eq!(examine(&file_of(b"")), Err(ExamineError::NotElf));
    assert_eq!(examine(&file_of(b"#!/bin/sh\n")), Err(ExamineError::NotElf));
    let mut bytes = library(&SMALL, b"", &[]);
    bytes[4] = 1;
    assert_eq!(examine(&file_of(&bytes)), Err(ExamineError::OtherMachine));
}

#[test]
fn on_another_machine_symbols_are_believed_where_they_are_in_code() {
    let symbols = [("SSL_write", TEXT), ("SSL_read", DATA)];
    let mut bytes = library(&SMALL, b"../ssl/ssl_lib.cc\0", &symbols);
    bytes[18] = 183;
    let report = examined(&bytes);
    let stack = &report.stacks[0];
    assert_eq!(stack.points.len(), 1);
    assert!(!stack.points[0].cheap);
    assert_eq!(
        stack.refused,
        [Refusal::new("SSL_read", RefusalReason::NotExecutable)]
    );
    assert_eq!(
        report.notes,
        [Refusal::new("structure", RefusalReason::MachineNotSupported)]
    );
}
