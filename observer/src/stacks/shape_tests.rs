//! Files made in the shape of libraries and programs that are not on every machine, and one made to take hours.

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report,
    tests::{Assembler, DATA, SMALL, TEXT, boringssl, examined, library, plaintext},
};

fn put(bytes: &mut [u8], at: u64, value: &[u8]) {
    let at = at as usize;
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A library of [`library`] with relocations: place, kind with the number of the symbol above it, addend.
fn with_relocations(mut bytes: Vec<u8>, relocations: &[[u64; 3]]) -> Vec<u8> {
    const TABLE: u64 = 0x7000;
    let header = 256 + 64 * 5;
    put(&mut bytes, 60, &6u16.to_le_bytes());
    put(&mut bytes, header + 4, &4u32.to_le_bytes());
    let size = 24 * relocations.len() as u64;
    for (field, value) in [(8, 2), (24, TABLE), (32, size), (56, 24)] {
        put(&mut bytes, header + field, &u64::to_le_bytes(value));
    }
    let words: Vec<u8> = relocations
        .as_flattened()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    put(&mut bytes, TABLE, &words);
    bytes
}

/// A library of [`library`] with an unwind index of these functions, in the order of their addresses.
fn with_unwind(mut bytes: Vec<u8>, functions: &[(u64, u64)]) -> Vec<u8> {
    const ENTRIES: u64 = DATA + 0x400;
    const INDEX: u64 = DATA + 0x800;
    let size = 12 + 8 * functions.len() as u64;
    put(&mut bytes, 56, &3u16.to_le_bytes());
    // The data holds both; then comes the header of the index.
    for at in [64 + 56 + 32, 64 + 56 + 40] {
        put(&mut bytes, at, &0x1000u64.to_le_bytes());
    }
    put(&mut bytes, 64 + 112, &0x6474_e550u32.to_le_bytes());
    for (field, value) in [(8, INDEX), (16, INDEX), (32, size), (40, size)] {
        put(&mut bytes, 64 + 112 + field, &u64::to_le_bytes(value));
    }
    put(&mut bytes, INDEX, &[1, 0x1b, 0x03, 0x3b]);
    put(&mut bytes, INDEX + 8, &(functions.len() as u32).to_le_bytes());
    for (n, (start, end)) in functions.iter().enumerate() {
        let (entry, row) = (ENTRIES + 16 * n as u64, INDEX + 12 + 8 * n as u64);
        for (at, word) in [
            (entry, 12),
            (entry + 8, start.wrapping_sub(entry + 8)),
            (entry + 12, end - start),
            (row, start.wrapping_sub(INDEX)),
            (row + 4, entry.wrapping_sub(INDEX)),
        ] {
            put(&mut bytes, at, &(word as u32).to_le_bytes());
        }
    }
    bytes
}

/// `SSL_read` and `SSL_read_ex` as LibreSSL has them: both put errors with a function of four arguments, and the second calls the first
/// by way of the dynamic linker, with the place of the table at `slot`.
fn libressl_pair(a: &mut Assembler, error: u64, slot: u64) -> [u64; 2] {
    let put_error = |a: &mut Assembler| {
        // mov esi, 271; mov ecx, 1012
        a.code.extend([0xbe, 0x0f, 0x01, 0, 0, 0xb9, 0xf4, 0x03, 0, 0]);
        a.call(error);
    };
    let plain = a.start();
    put_error(a);
    a.end();
    a.code.resize(a.code.len().next_multiple_of(16), 0xcc);
    let stub = a.here();
    a.code.extend([0xff, 0x25]);
    a.code.extend((slot.wrapping_sub(stub + 6) as u32).to_le_bytes());
    let ex = a.start();
    put_error(a);
    a.call(stub);
    a.end();
    [plain, ex]
}

#[test]
fn libressl_is_probed_at_its_api_and_once() {
    let mut a = Assembler::default();
    let error = a.start();
    // mov rax, rcx: it takes a fourth argument.
    a.code.extend([0x48, 0x89, 0xc8]);
    a.end();
    let (read_slot, write_slot) = (DATA + 64, DATA + 72);
    let [read, read_ex] = libressl_pair(&mut a, error, read_slot);
    let [write, write_ex] = libressl_pair(&mut a, error, write_slot);
    let symbols = [
        ("SSL_read", read),
        ("SSL_read_ex", read_ex),
        ("SSL_write", write),
        ("SSL_write_ex", write_ex),
    ];
    let bytes = library(&a.code, &[0; 128], &symbols);
    let called = [[read_slot, (1 << 32) | 7, 0], [write_slot, (3 << 32) | 7, 0]];
    let report = examined(&with_relocations(bytes.clone(), &called));
    let plain = [(read, Call::Read), (write, Call::Write)];
    assert_eq!(plaintext(&report), plain.into());
    assert!(report.stacks[0].is_readable());
    // Whatever else stands in the table, each has a probe of its own.
    let other = [[read_slot, (9 << 32) | 7, 0], [write_slot, (1 << 32) | 7, 0]];
    let mut both = plaintext(&examined(&with_relocations(bytes, &other)));
    assert_eq!(both.remove(&read_ex), Some(Call::ReadEx));
    assert_eq!(both.remove(&write_ex), Some(Call::WriteEx { written: 3 }));
    assert_eq!(both, plain.into());
}

/// A BoringSSL whose `SSL_write` puts most of its errors in a part that the compiler moved away, which jumps back.
fn boringssl_with_a_part(is_called: bool) -> (Vec<u8>, u64, u64) {
    let mut a = Assembler::default();
    let mut spans = Vec::new();
    let put_error = a.function(None, &[], 0);
    spans.push((put_error, a.here()));
    let inner = a.function(None, &[226, 215], put_error);
    spans.push((inner, a.here()));
    let peek = a.function(Some(inner), &[66], put_error);
    spans.push((peek, a.here()));
    let read = a.function(Some(inner), &[66, 7], put_error);
    spans.push((read, a.here()));
    let write = a.start();
    a.error(66, put_error);
    a.code.extend([0x0f, 0x85]);
    let distance_at = a.code.len();
    a.code.extend([0; 4]);
    let back = a.here();
    a.end();
    spans.push((write, a.here()));
    let caller = a.start();
    let functions = [inner, peek, read, write];
    let called = if is_called {
        &functions[..]
    } else {
        &functions[..3]
    };
    called.iter().for_each(|to| a.call(*to));
    a.end();
    spans.push((caller, a.here()));
    let part = a.here();
    [226, 215, 111]
        .into_iter()
        .for_each(|reason| a.error(reason, put_error));
    a.code.push(0xe9);
    let distance = back.wrapping_sub(a.here() + 4) as u32;
    a.code.extend(distance.to_le_bytes());
    spans.push((part, a.here()));
    let distance = (part - TEXT) as u32 - distance_at as u32 - 4;
    put(&mut a.code, distance_at as u64, &distance.to_le_bytes());
    let bytes = library(&a.code, b"../ssl/ssl_lib.cc\0", &[]);
    (with_unwind(bytes, &spans), write, read)
}

#[test]
fn a_part_that_the_compiler_moved_away_is_no_function() {
    for is_called in [true, false] {
        let (bytes, write, read) = boringssl_with_a_part(is_called);
        let report = examined(&bytes);
        assert_eq!(report.stacks[0].kind, Kind::BoringSsl);
        let found = plaintext(&report);
        assert_eq!(found, [(write, Call::Write), (read, Call::Read)].into());
    }
}

/// The texts are put together here: other tests examine this very program, and would find them.
#[test]
fn a_static_openssl_that_cannot_be_read_is_reported_with_its_version() {
    for (rest, version) in [
        ("1.1.1w  11 Sep 2023", "1.1.1w"),
        ("3.0.19 27 Jan 2026", "3.0.19"),
    ] {
        let name = "OpenSS#".replace('#', "L");
        let version = format!("{name} {version}");
        let names = "ss#/ss#_#ib.c\0ss#_write_interna#\0".replace('#', "l");
        let data = [names.as_bytes(), name.as_bytes(), b" ", rest.as_bytes(), b"\0"].concat();
        let report = examined(&library(&SMALL, &data, &[]));
        let [stack] = report.stacks.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(stack.version, Some(version));
        let refusal = Refusal::new("SSL_write, SSL_read", RefusalReason::NotFound);
        assert_eq!(stack.kind, Kind::OpenSsl);
        assert_eq!(stack.refused, [refusal]);
    }
}

/// `cmp rsp, [r14+16]; jbe; push rbp; mov rbp, rsp; pop rbp; ret`, then the call that makes the stack grow.
const GO_FUNCTION: [u8; 32] = [
    0x49, 0x3b, 0x66, 0x10, 0x76, 0x08, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3, 0xcc, 0xcc, 0xe8, 0, 0, 0, 0,
    0xeb, 0xeb, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];

const GO_TEXT: u64 = TEXT + SMALL.len() as u64;
const GO_TABLE: u64 = DATA + 64;
const GO_MODULE: u64 = DATA + 512;

/// A Go 1.26 program with code of C in front, as an external linker makes it: nothing but the module's data says where its own
/// code starts.
fn go_behind_c(module: &[(u64, u64)]) -> Vec<u8> {
    let names = b"\0crypto/tls.(*Conn).Write\0crypto/tls.(*Conn).Read\0";
    let units = 72 + names.len() as u64;
    // Put together here, since other tests examine this very program.
    let mut data = b"\xff Go buildinf".to_vec();
    data.extend([b':', 8, 2]);
    data.resize(32, 0);
    data.extend(b"\x08go1.26.8");
    data.resize(64, 0);
    data.extend([0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
    for word in [2, 1, 0, 72, units, units, units, units + 8] {
        data.extend(u64::to_le_bytes(word));
    }
    data.extend(names);
    data.extend([0; 8]);
    for word in [0u32, 20, 32, 60, 64] {
        data.extend(word.to_le_bytes());
    }
    for (entry, name) in [(0u32, 1u32), (32, 26)] {
        data.extend(entry.to_le_bytes());
        data.extend(name.to_le_bytes());
        data.extend([0; 32]);
    }
    data.resize(1024, 0);
    for (place, value) in module {
        put(&mut data, place - DATA, &value.to_le_bytes());
    }
    let code = [&SMALL[..], &GO_FUNCTION, &GO_FUNCTION].concat();
    library(&code, &data, &[])
}

#[test]
fn go_behind_code_of_c_is_found_by_its_modules_data() {
    let module = [(GO_MODULE, GO_TABLE), (GO_MODULE + 176, GO_TEXT)];
    let relocations = module.map(|(place, to)| [place, 8, to]);
    for bytes in [
        go_behind_c(&module),
        with_relocations(go_behind_c(&[]), &relocations),
    ] {
        let report = examined(&bytes);
        let [stack] = report.stacks.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((stack.kind, stack.how), (Kind::GoTls, How::Pclntab));
        assert_eq!(stack.version.as_deref(), Some("go1.26.8"));
        let points: Vec<(u64, Call, &[u64])> = stack
            .points
            .iter()
            .map(|p| (p.offset, p.call, p.returns.as_slice()))
            .collect();
        let read = GO_TEXT + 32;
        let expected: [(u64, Call, &[u64]); 2] = [
            (GO_TEXT + 6, Call::GoWrite, &[]),
            (read + 6, Call::GoRead, &[read + 11]),
        ];
        assert_eq!(points, expected);
    }
    for wrong in [GO_TEXT + 1, TEXT, DATA, u64::MAX] {
        let report = examined(&go_behind_c(&[(GO_MODULE, GO_TABLE), (GO_MODULE + 176, wrong)]));
        assert_eq!(report.stacks[0].refused[0].reason, RefusalReason::ImplausibleCode);
    }
}

/// A function of 64 KB in which every jump leads back into the block of every error.
#[test]
fn a_small_file_made_to_be_slow_is_given_up() {
    const CODE: u64 = 0x10000;
    let mut code = vec![0x55, 0x48, 0x89, 0xe5];
    code.extend([0x74, 0].repeat(25_000));
    for _ in 0..2048 {
        let next = CODE + code.len() as u64 + 7;
        code.extend([0x48, 0x8d, 0x0d]);
        code.extend((DATA.wrapping_sub(next) as u32).to_le_bytes());
    }
    code.push(0xc3);
    code.resize(code.len().next_multiple_of(16), 0xcc);
    // push rbp; call of the function; pop rbp; ret
    let distance = 0u32.wrapping_sub(code.len() as u32 + 6);
    code.extend([0x55, 0xe8]);
    code.extend(distance.to_le_bytes());
    code.extend([0x5d, 0xc3]);
    let (mut bytes, ..) = boringssl(false);
    let (segment, section) = (64, 256 + 64 * 3);
    let size = code.len() as u64;
    for (at, value) in [(8, CODE), (16, CODE), (32, size), (40, size)] {
        put(&mut bytes, segment + at, &u64::to_le_bytes(value));
    }
    for (at, value) in [(16, CODE), (24, CODE), (32, size)] {
        put(&mut bytes, section + at, &u64::to_le_bytes(value));
    }
    bytes.resize(CODE as usize, 0);
    bytes.extend(code);
    let given_up = Report {
        notes: vec![Refusal::new("file", RefusalReason::TooLarge)],
        ..Report::default()
    };
    assert_eq!(examined(&bytes), given_up);
}
