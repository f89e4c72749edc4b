//! An encoder of HPACK (RFC 7541) that uses all of it: static and dynamic table, Huffman code, literals of each kind.

use std::collections::VecDeque;

use observer::protocol::http2::hpack::HUFFMAN_LENGTHS as LENGTHS;

use crate::random::Random;

/// Size of the dynamic table that needs no agreement (RFC 9113 section 6.5.2).
const TABLE: usize = 4096;
/// What an entry costs beside its octets (RFC 7541 section 4.1).
const ENTRY: usize = 32;
/// Entries of the static table; the dynamic table begins behind them.
const STATIC: usize = 61;

/// Entries of the static table that calls have, by their index (RFC 7541 appendix A).
const KNOWN: [(usize, &str, &str); 12] = [
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (7, ":scheme", "https"),
    (8, ":status", "200"),
    (12, ":status", "400"),
    (13, ":status", "404"),
    (23, "authorization", ""),
    (26, "content-encoding", ""),
    (31, "content-type", ""),
    (58, "user-agent", ""),
];

/// The encoder of one direction of a connection.
pub(super) struct Encoder {
    /// Newest first.
    table: VecDeque<(String, String)>,
    size: usize,
    codes: Vec<u32>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            codes: codes(),
        }
    }

    /// A header block with these fields, names in lower case.
    pub(super) fn block(&mut self, fields: &[(String, String)], random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            self.field(&mut out, name, value, random);
        }
        out
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &str, value: &str, random: &mut Random) {
        if let Some(index) = self.whole(name, value) {
            integer(out, 0x80, 7, index);
            return;
        }
        let by_name = self.named(name).unwrap_or(0);
        // Three kinds of literals: put into the table (mostly), left out of it, never to be put into one.
        match random.below(5) {
            0 => integer(out, 0x00, 4, by_name),
            1 => integer(out, 0x10, 4, by_name),
            _ => {
                integer(out, 0x40, 6, by_name);
                self.literal(out, name, value, by_name, random);
                self.add(name, value);
                return;
            }
        }
        self.literal(out, name, value, by_name, random);
    }

    fn literal(&self, out: &mut Vec<u8>, name: &str, value: &str, by_name: usize, random: &mut Random) {
        if by_name == 0 {
            self.string(out, name, random.one_in(2));
        }
        self.string(out, value, random.one_in(2));
    }

    fn whole(&self, name: &str, value: &str) -> Option<usize> {
        let fixed = KNOWN
            .iter()
            .find(|(_, n, v)| *n == name && *v == value && !v.is_empty());
        let dynamic = || self.table.iter().position(|(n, v)| n == name && v == value);
        fixed
            .map(|(index, ..)| *index)
            .or_else(|| dynamic().map(|at| STATIC + 1 + at))
    }

    fn named(&self, name: &str) -> Option<usize> {
        let dynamic = self.table.iter().position(|(n, _)| n == name);
        let fixed = || {
            KNOWN
                .iter()
                .find(|(_, n, _)| *n == name)
                .map(|(index, ..)| *index)
        };
        dynamic.map(|at| STATIC + 1 + at).or_else(fixed)
    }

    fn add(&mut self, name: &str, value: &str) {
        let size = name.len() + value.len() + ENTRY;
        while self.size + size > TABLE {
            let Some((name, value)) = self.table.pop_back() else {
                return;
            };
            self.size -= name.len() + value.len() + ENTRY;
        }
        self.size += size;
        self.table.push_front((name.to_owned(), value.to_owned()));
    }

    fn string(&self, out: &mut Vec<u8>, text: &str, huffman: bool) {
        if !huffman {
            integer(out, 0, 7, text.len());
            out.extend_from_slice(text.as_bytes());
            return;
        }
        let coded = self.huffman(text.as_bytes());
        integer(out, 0x80, 7, coded.len());
        out.extend(coded);
    }

    fn huffman(&self, text: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut have) = (Vec::new(), 0u64, 0u32);
        let mut put = |code: u32, length: u32| {
            bits = bits << length | u64::from(code);
            have += length;
            while have >= 8 {
                have -= 8;
                out.push((bits >> have & 0xff) as u8);
            }
            have
        };
        let mut left = 0;
        for byte in text {
            let at = usize::from(*byte);
            left = put(self.codes[at], u32::from(LENGTHS[at]));
        }
        if left > 0 {
            // Filled up with the beginning of the end mark: ones.
            put((1 << (8 - left)) - 1, 8 - left);
        }
        out
    }
}

/// Codes of one length are consecutive in the order of their octets, and each length goes on where the shorter ended.
fn codes() -> Vec<u32> {
    let mut codes = vec![0; LENGTHS.len()];
    let mut code = 0;
    for length in 1..=30 {
        code <<= 1;
        for (at, of) in LENGTHS.iter().enumerate() {
            if *of == length {
                codes[at] = code;
                code += 1;
            }
        }
    }
    codes
}

/// An integer behind a prefix (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let most = (1usize << bits) - 1;
    let octet = |n: usize| u8::try_from(n & 0xff).unwrap_or(0);
    if value < most {
        out.push(pattern | octet(value));
        return;
    }
    out.push(pattern | octet(most));
    let mut rest = value - most;
    while rest >= 128 {
        out.push(octet(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(octet(rest));
}
