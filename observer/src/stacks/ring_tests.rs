//! ring as it is in this program, and tables that are none.

use std::collections::BTreeMap;

use super::{
    Call, How, Kind, Refusal, RefusalReason, Stack, examine_with,
    image::Image,
    input::Input,
    symbols,
    tests::{DATA, TEXT, examined, library},
};

/// The tests are linked with rustls and ring, so the names in this program say where its functions really are.
#[test]
fn the_functions_of_this_program_are_those_with_their_names() {
    let own = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let input = Input::new(&own);
    let image = Image::parse(&input).unwrap();
    let named = symbols::read(&image, |name| {
        memchr::memmem::find(name, b"ring4aead9algorithm").is_some()
    });
    let offset_of = |function: &str| {
        let named = named.as_ref().unwrap();
        let (_, places) = named.iter().find(|(name, _)| name.contains(function)).unwrap();
        image.code_offset(places[0]).unwrap()
    };
    for use_names in [true, false] {
        let report = examine_with(&own, use_names).unwrap();
        let [stack] = report.stacks.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((stack.kind, stack.how), (Kind::Ring, How::Structure));
        assert!(stack.is_readable() && stack.refused.is_empty(), "{stack:#?}");
        assert!(
            stack
                .version
                .as_ref()
                .is_some_and(|v| v.starts_with("ring-0.17."))
        );
        let found: BTreeMap<u64, Call> = stack.points.iter().map(|p| (p.offset, p.call)).collect();
        let expected = [
            ("aes_gcm_seal", Call::RingSeal),
            ("aes_gcm_open", Call::RingOpen),
            ("chacha20_poly1305_seal", Call::RingSeal),
            ("chacha20_poly1305_open", Call::RingOpen),
        ];
        let expected: BTreeMap<u64, Call> = expected
            .into_iter()
            .map(|(name, call)| (offset_of(name), call))
            .collect();
        assert_eq!(found, expected);
    }
}

/// `push rbx`, reads that many arguments from the stack, `pop rbx`, `ret`.
fn function(arguments: u8) -> [u8; 32] {
    let mut code = [0xcc; 32];
    let reads: Vec<u8> = (0..arguments)
        .flat_map(|n| [0x48, 0x8b, 0x44, 0x24, 16 + 8 * n])
        .collect();
    let all = [&[0x53], reads.as_slice(), &[0x5b, 0xc3]].concat();
    code[..all.len()].copy_from_slice(&all);
    code
}

/// Number of a function of the made library: two forms of `init`, then `seal` and `open` of two algorithms.
const SHORT: u64 = 0;
const LONG: u64 = 1;
const SEAL: u64 = 2;
const OPEN: u64 = 3;
const OTHER_SEAL: u64 = 4;
const OTHER_OPEN: u64 = 5;

type Row = ([u64; 3], u64, u64);

const HONEST: [Row; 3] = [
    ([SHORT, SEAL, OPEN], 16, 0),
    ([LONG, SEAL, OPEN], 32, 1),
    ([LONG, OTHER_SEAL, OTHER_OPEN], 32, 2),
];

/// A library with these tables, and functions that take so many arguments from the stack.
fn made(tables: &[Row], arguments: [u8; 6]) -> Vec<u8> {
    let code: Vec<u8> = arguments.into_iter().flat_map(function).collect();
    let mut data = b"/ring-0.17.14/src/lib.rs\0".to_vec();
    data.resize(32, 0);
    for (functions, len, id) in tables {
        for function in functions {
            data.extend((TEXT + 32 * function).to_le_bytes());
        }
        data.extend(len.to_le_bytes());
        data.extend(id.to_le_bytes());
    }
    library(&code, &data, &[])
}

/// What is found in it.
fn found(tables: &[Row], arguments: [u8; 6]) -> Stack {
    let mut report = examined(&made(tables, arguments));
    assert_eq!(report.stacks.len(), 1);
    report.stacks.remove(0)
}

const ARGUMENTS: [u8; 6] = [0, 0, 1, 2, 1, 2];

fn points(stack: &Stack) -> Vec<(u64, Call)> {
    let numbered = |p: &super::Point| ((p.offset - TEXT) / 32, p.call);
    stack.points.iter().map(numbered).collect()
}

#[test]
fn both_algorithms_by_their_tables() {
    let stack = found(&HONEST, ARGUMENTS);
    let expected = [
        (SEAL, Call::RingSeal),
        (OPEN, Call::RingOpen),
        (OTHER_SEAL, Call::RingSeal),
        (OTHER_OPEN, Call::RingOpen),
    ];
    assert_eq!(points(&stack), expected);
    assert!(stack.is_readable() && stack.points.iter().all(|p| p.cheap));
    assert_eq!(stack.version.as_deref(), Some("ring-0.17.14"));
}

#[test]
fn what_is_not_sure_is_refused() {
    let refused = |tables: &[Row], arguments, reason| {
        let stack = found(tables, arguments);
        assert!(
            stack.refused.contains(&Refusal::new("ring AES-GCM", reason)),
            "{stack:?}"
        );
        assert!(!stack.is_readable() && points(&stack).is_empty(), "{stack:?}");
    };
    // One form of AES only; two that share nothing; the same `init`; functions that are one.
    refused(&HONEST[1..], ARGUMENTS, RefusalReason::NotFound);
    let strangers = [HONEST[0], ([LONG, OTHER_SEAL, OTHER_OPEN], 32, 1)];
    refused(&strangers, ARGUMENTS, RefusalReason::NotFound);
    let same = [HONEST[0], ([SHORT, SEAL, OPEN], 32, 1)];
    refused(&same, ARGUMENTS, RefusalReason::NotFound);
    let one = [([SHORT, SEAL, SEAL], 16, 0), ([LONG, SEAL, SEAL], 32, 1)];
    refused(&one, ARGUMENTS, RefusalReason::NotFound);
    // Two rings.
    let twice = [
        HONEST[0],
        HONEST[1],
        ([SHORT, OTHER_SEAL, OTHER_OPEN], 16, 0),
        ([LONG, OTHER_SEAL, OTHER_OPEN], 32, 1),
    ];
    refused(&twice, ARGUMENTS, RefusalReason::NotUnique);
    // A longer table, as before 0.17.8.
    let longer = [
        ([SHORT, SEAL, OPEN], 16, 0xf_ffff_ffe0),
        ([LONG, SEAL, OPEN], 32, 0xf_ffff_ffe0),
    ];
    refused(&longer, ARGUMENTS, RefusalReason::NotFound);
    // The other order, and functions of other arguments.
    for arguments in [[0, 0, 2, 1, 1, 2], [0, 0, 1, 1, 1, 2], [0, 0, 1, 3, 1, 2]] {
        refused(&HONEST, arguments, RefusalReason::UnknownArguments);
    }
    // Not a function.
    let data = [HONEST[0], ([LONG, SEAL, (DATA - TEXT) / 32], 32, 1)];
    refused(&data, ARGUMENTS, RefusalReason::NotFound);
}

#[test]
fn chacha20_alone_may_be_missing() {
    let stack = found(&HONEST[..2], ARGUMENTS);
    assert!(stack.is_readable());
    let refusal = Refusal::new("ring ChaCha20-Poly1305", RefusalReason::NotFound);
    assert_eq!(stack.refused, [refusal]);
    let stack = found(&HONEST, [0, 0, 1, 2, 2, 1]);
    assert_eq!(stack.refused[0].reason, RefusalReason::UnknownArguments);
    assert_eq!(stack.points.len(), 2);
}

#[test]
fn a_flipped_byte_gives_another_answer_or_the_same_but_never_half_a_pair() {
    let bytes = made(&HONEST, ARGUMENTS);
    let tables = DATA as usize..DATA as usize + 152;
    for at in (TEXT as usize..TEXT as usize + 192).chain(tables) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xff;
        for stack in examined(&flipped).stacks {
            let of = |call: Call| stack.points.iter().filter(|p| p.call == call).count();
            assert_eq!(of(Call::RingSeal), of(Call::RingOpen), "{at:#x}: {stack:?}");
            assert!(of(Call::RingSeal) + stack.refused.len() > 0, "{at:#x}: {stack:?}");
        }
    }
}
