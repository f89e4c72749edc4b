//! A Go program of the smallest kind: one segment, a table of functions in the form of Go 1.20 and later, and the two
//! functions of `crypto/tls` with the check of the stack in front.

const CODE: usize = 0x400;
const TABLE: usize = 0x500;
const NAMES: &[u8] = b"\0crypto/tls.(*Conn).Write\0crypto/tls.(*Conn).Read\0";
/// `cmp rsp, [r14+16]; jbe; push rbp; mov rbp, rsp; pop rbp; ret`, then `int3`.
const FUNCTION: [u8; 32] = [
    0x49, 0x3b, 0x66, 0x10, 0x76, 0x08, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3, 0xcc, 0xcc, 0xe8, 0, 0, 0, 0,
    0xeb, 0xeb, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
];

/// The file.
pub(crate) fn program() -> Vec<u8> {
    let mut out = vec![0u8; 0x800];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let put = |out: &mut Vec<u8>, at: usize, value: u64, size: usize| {
        out[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    for (at, value, size) in [(16, 2, 2), (18, 62, 2), (20, 1, 4), (32, 64, 8), (40, 0x100, 8)] {
        put(&mut out, at, value, size);
    }
    for (at, value) in [(52, 64), (54, 56), (56, 1), (58, 64), (60, 3), (62, 2)] {
        put(&mut out, at, value, 2);
    }
    // All of the file is loaded, to be read and executed, where it stands.
    for (at, value, size) in [
        (64, 1, 4),
        (68, 5, 4),
        (96, 0x800, 8),
        (104, 0x800, 8),
        (112, 0x1000, 8),
    ] {
        put(&mut out, at, value, size);
    }
    let table = table();
    let size = table.len() as u64;
    out[0x300..0x300 + 22].copy_from_slice(b"\0.gopclntab\0.shstrtab\0");
    // Name, type, flags, address, offset, size.
    let sections: [[u64; 6]; 2] = [
        [1, 1, 2, TABLE as u64, TABLE as u64, size],
        [12, 3, 0, 0, 0x300, 22],
    ];
    for (number, [name, kind, flags, address, offset, size]) in sections.into_iter().enumerate() {
        let at = 0x100 + 64 * (number + 1);
        put(&mut out, at, name, 4);
        put(&mut out, at + 4, kind, 4);
        for (field, value) in [(8, flags), (16, address), (24, offset), (32, size)] {
            put(&mut out, at + field, value, 8);
        }
    }
    for function in 0..2 {
        let at = CODE + function * FUNCTION.len();
        out[at..at + FUNCTION.len()].copy_from_slice(&FUNCTION);
    }
    out[TABLE..TABLE + table.len()].copy_from_slice(&table);
    out
}

/// The table: header, names, and for each function its place in the code and a record with the place of its name.
fn table() -> Vec<u8> {
    let length = FUNCTION.len() as u32;
    let names = 72;
    let units = names + NAMES.len() as u64;
    let records = units + 8;
    let mut out = 0xffff_fff1_u32.to_le_bytes().to_vec();
    out.extend([0, 0, 1, 8]);
    for word in [2, 1, CODE as u64, names, units, units, units, records] {
        out.extend(word.to_le_bytes());
    }
    out.extend(NAMES);
    out.extend([0; 8]);
    // Two pairs and the end of the code; records follow.
    for word in [0, 20, length, 60, 2 * length] {
        out.extend(word.to_le_bytes());
    }
    for (entry, name) in [(0, 1u32), (length, 26)] {
        out.extend(entry.to_le_bytes());
        out.extend(name.to_le_bytes());
        out.extend([0; 32]);
    }
    out
}
