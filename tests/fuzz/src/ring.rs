//! A program with tables of ring of the smallest kind: functions that take one or two arguments from the stack, the text that says that ring is
//! there, and three tables.

const CODE: u64 = 0x200;
const DATA: u64 = 0x400;
/// `push rbx; mov rax, [rsp+16]; mov rax, [rsp+24]; pop rbx; ret`, and the same without the second argument.
const TWO: [u8; 16] = [
    0x53, 0x48, 0x8b, 0x44, 0x24, 0x10, 0x48, 0x8b, 0x44, 0x24, 0x18, 0x5b, 0xc3, 0xcc, 0xcc, 0xcc,
];
const ONE: [u8; 16] = [
    0x53, 0x48, 0x8b, 0x44, 0x24, 0x10, 0x5b, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];

/// The file.
pub(crate) fn program() -> Vec<u8> {
    let mut out = vec![0u8; 0x600];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let put = |out: &mut Vec<u8>, at: u64, value: u64, size: usize| {
        let at = at as usize;
        out[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    for (at, value, size) in [(16, 2, 2), (18, 62, 2), (20, 1, 4), (32, 64, 8)] {
        put(&mut out, at, value, size);
    }
    for (at, value) in [(52, 64), (54, 56), (56, 2)] {
        put(&mut out, at, value, 2);
    }
    // Code and data, loaded where they stand.
    for (number, (place, flags)) in [(CODE, 5), (DATA, 6)].into_iter().enumerate() {
        let at = 64 + 56 * number as u64;
        for (field, value, size) in [
            (0, 1, 4),
            (4, flags, 4),
            (8, place, 8),
            (16, place, 8),
            (32, 0x200, 8),
            (40, 0x200, 8),
        ] {
            put(&mut out, at + field, value, size);
        }
    }
    // Two forms of `init`, then `seal` and `open` of two algorithms.
    for (number, code) in [ONE, ONE, ONE, TWO, ONE, TWO].into_iter().enumerate() {
        let at = CODE as usize + 16 * number;
        out[at..at + 16].copy_from_slice(&code);
    }
    out[DATA as usize..DATA as usize + 14].copy_from_slice(b"/ring-0.17.14/");
    let tables = [[0, 2, 3, 16, 0], [1, 2, 3, 32, 1], [1, 4, 5, 32, 2]];
    for (number, table) in tables.into_iter().enumerate() {
        for (word, value) in table.into_iter().enumerate() {
            let value = if word < 3 { CODE + 16 * value } else { value };
            put(&mut out, DATA + 0x20 + 40 * number as u64 + 8 * word as u64, value, 8);
        }
    }
    out
}
