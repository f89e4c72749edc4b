//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their symbols, and each length
//! goes on where the shorter one ended. So the lengths say everything, and the tables are computed from them.

use super::HpackError;

/// Symbols: all octets, and the end-of-string mark as number 256.
const SYMBOLS: usize = 257;
const EOS: u16 = 256;
/// Longest code, bits.
const LONGEST: usize = 30;

/// Length of each symbol's code in bits (RFC 7541 appendix B).
#[rustfmt::skip]
pub const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Decoding tables, by length of the code.
struct Tables {
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// First code of each length.
    first: [u32; LONGEST + 1],
    /// Place of that code's symbol in `symbols`.
    place: [u16; LONGEST + 1],
    /// First number of 32 bits that is too large to begin with a code of this length or a shorter one.
    limit: [u64; LONGEST + 1],
}

static TABLES: Tables = tables();

#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers up to 256, computed while compiling"
)]
const fn tables() -> Tables {
    let mut tables = Tables {
        symbols: [0; SYMBOLS],
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
        limit: [0; LONGEST + 1],
    };
    let (mut code, mut place, mut length) = (0u32, 0usize, 1usize);
    while length <= LONGEST {
        code <<= 1;
        tables.first[length] = code;
        tables.place[length] = place as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                tables.symbols[place] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        tables.limit[length] = (code as u64) << (32 - length);
        length += 1;
    }
    tables
}

/// Appends what `coded` stands for to `out`: at most 8 bits of text for 5 of code.
///
/// # Errors
/// The end-of-string mark, or an end that is not filled up with ones.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let (mut bits, mut have) = (0u64, 0usize);
    let mut rest = coded.iter();
    loop {
        while have <= 32 {
            let Some(byte) = rest.next() else { break };
            bits = bits << 8 | u64::from(*byte);
            have += 8;
        }
        if have == 0 {
            return Ok(());
        }
        let Some((symbol, length)) = symbol(bits, have) else {
            // What is left is shorter than any code it could be the beginning of.
            let padding = (1u64 << have) - 1;
            let good = have < 8 && bits & padding == padding;
            return if good { Ok(()) } else { Err(HpackError::Huffman) };
        };
        have -= length;
        bits &= (1u64 << have) - 1;
        match u8::try_from(symbol) {
            Ok(octet) => out.push(octet),
            Err(_) => return Err(HpackError::Huffman),
        }
    }
}

/// The symbol that the lowest `have` of `bits` begin with, and the length of its code.
fn symbol(bits: u64, have: usize) -> Option<(u16, usize)> {
    let front = if have >= 32 {
        bits >> (have - 32) & u64::from(u32::MAX)
    } else {
        bits << (32 - have)
    };
    let length = (5..=LONGEST).find(|length| front < TABLES.limit[*length])?;
    if length > have {
        return None;
    }
    let code = u32::try_from(front >> (32 - length)).ok()?;
    let at = usize::from(TABLES.place[length]) + (code - TABLES.first[length]) as usize;
    let symbol = *TABLES.symbols.get(at)?;
    (symbol <= EOS).then_some((symbol, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of a few symbols as appendix B prints them.
    #[test]
    fn codes_of_the_table() {
        let printed: [(u16, u32, usize); 8] = [
            (48, 0x0, 5),
            (116, 0x9, 5),
            (32, 0x14, 6),
            (88, 0xfc, 8),
            (0, 0x1ff8, 13),
            (92, 0x7fff0, 19),
            (255, 0x3ff_ffee, 26),
            (256, 0x3fff_ffff, 30),
        ];
        for (want, code, length) in printed {
            assert_eq!(symbol(u64::from(code), length), Some((want, length)));
        }
    }

    #[test]
    fn every_octet_and_wrong_ends() {
        for octet in 0..=255u8 {
            let at = TABLES
                .symbols
                .iter()
                .position(|s| *s == u16::from(octet))
                .unwrap();
            let length = usize::from(LENGTHS[usize::from(octet)]);
            let code = TABLES.first[length] + u32::try_from(at).unwrap() - u32::from(TABLES.place[length]);
            // Twice, filled up with ones.
            let mut bits = u128::from(code) << length | u128::from(code);
            let fill = (8 - (2 * length) % 8) % 8;
            bits = ((bits + 1) << fill) - 1;
            let size = (2 * length + fill) / 8;
            let coded = &bits.to_be_bytes()[16 - size..];
            let mut out = Vec::new();
            decode(coded, &mut out).unwrap();
            assert_eq!(out, [octet, octet], "{octet}");
        }
        let mut out = Vec::new();
        assert!(decode(&[0xff; 4], &mut out).is_err(), "the end-of-string mark");
        assert!(decode(&[0b0000_0000], &mut out).is_err(), "filled up with zeros");
        assert!(
            decode(&[0b0000_0111, 0xff], &mut out).is_err(),
            "eight ones at the end"
        );
        assert!(decode(&[], &mut out).is_ok());
    }
}
