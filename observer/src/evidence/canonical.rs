//! Canonical bytes: the one form of a row that is hashed.
//!
//! Every value is a netstring (`length:bytes,`), so that no two lists of values give the same bytes:
//!
//! | value | bytes inside the netstring |
//! |---|---|
//! | integer, time (ns since the epoch), enumeration | decimal |
//! | truth value | `0` or `1` |
//! | text | itself |
//! | fixed bytes, UUID, IPv6 address | lower-case hexadecimal |
//! | array | a netstring with the count, then one netstring for each item |
//! | nullable value | as an array with no item or with one: unknown is not 0 and not the empty text |
//!
//! No floats and no maps are stored. Order of fields: the order of the row type (`row.rs`), which is fixed for one
//! [`CANON_V`]. A new or moved field needs a new `CANON_V`. An auditor can build the same bytes in SQL.
//!
//! Versions: 1, without `tls_found_by`; 2, with it in interactions and connections, and with rows of `blind_spots`; 3,
//! with the fields of `row.rs` that say `since 3`. `docs/evidence.md` has the list.

use std::net::Ipv6Addr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Version of the canonical form; stored as `canon_v` in every record.
pub const CANON_V: u8 = 8;

/// First value of a record's canonical bytes.
pub const RECORD_TAG: &str = "AIOBS-REC";

/// First value of a seal's canonical bytes.
pub const SEAL_TAG: &str = "AIOBS-SEAL";

/// First value of a key certificate's canonical bytes.
pub const KEY_TAG: &str = "AIOBS-KEY";

/// First value of an anchor's canonical bytes.
pub const ANCHOR_TAG: &str = "AIOBS-ANCHOR";

/// Takes canonical bytes as they are made.
pub trait Sink {
    /// Appends bytes.
    fn bytes(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Sha256 {
    fn bytes(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// A value with a canonical form.
pub trait Canonical {
    /// Appends the netstring (or netstrings) of this value.
    fn put(&self, out: &mut dyn Sink);
}

/// Appends one netstring.
pub fn netstring(out: &mut dyn Sink, bytes: &[u8]) {
    let length = Decimal::from(bytes.len() as u64);
    out.bytes(length.digits());
    out.bytes(b":");
    out.bytes(bytes);
    out.bytes(b",");
}

/// Decimal digits, made without memory of their own: a row has dozens of numbers, and a verifier reads millions of rows.
pub(super) struct Decimal {
    text: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(super) fn digits(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

impl From<u64> for Decimal {
    fn from(mut n: u64) -> Self {
        let (mut text, mut start) = ([0; 20], 20);
        loop {
            start -= 1;
            // A digit fits into a byte.
            text[start] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return Self { text, start };
            }
        }
    }
}

impl From<i64> for Decimal {
    fn from(n: i64) -> Self {
        // 19 digits at most, so that the sign has its place.
        let mut decimal = Self::from(n.unsigned_abs());
        if n < 0 {
            decimal.start -= 1;
            decimal.text[decimal.start] = b'-';
        }
        decimal
    }
}

/// Hexadecimal digits of at most so many bytes are made without memory of their own.
const HEX_BYTES: usize = 64;

macro_rules! decimal {
    ($($t:ty as $wide:ty,)*) => {$(
        impl Canonical for $t {
            fn put(&self, out: &mut dyn Sink) {
                netstring(out, Decimal::from(<$wide>::from(*self)).digits());
            }
        }
    )*};
}
decimal!(
    u8 as u64, u16 as u64, u32 as u64, u64 as u64, i32 as i64, i64 as i64,
);

impl Canonical for bool {
    fn put(&self, out: &mut dyn Sink) {
        netstring(out, if *self { b"1" } else { b"0" });
    }
}

impl Canonical for str {
    fn put(&self, out: &mut dyn Sink) {
        netstring(out, self.as_bytes());
    }
}

impl<T: Canonical + ?Sized> Canonical for &T {
    fn put(&self, out: &mut dyn Sink) {
        (**self).put(out);
    }
}

impl Canonical for String {
    fn put(&self, out: &mut dyn Sink) {
        self.as_str().put(out);
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn put(&self, out: &mut dyn Sink) {
        let mut digits = [0; 2 * HEX_BYTES];
        let room = digits.len().min(2 * N);
        if hex::encode_to_slice(self, &mut digits[..room]).is_ok() {
            netstring(out, &digits[..room]);
        } else {
            netstring(out, hex::encode(self).as_bytes());
        }
    }
}

impl Canonical for Ipv6Addr {
    fn put(&self, out: &mut dyn Sink) {
        self.octets().put(out);
    }
}

impl Canonical for Uuid {
    fn put(&self, out: &mut dyn Sink) {
        self.as_bytes().put(out);
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn put(&self, out: &mut dyn Sink) {
        netstring(out, self.len().to_string().as_bytes());
        for item in self {
            item.put(out);
        }
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn put(&self, out: &mut dyn Sink) {
        netstring(out, if self.is_some() { b"1" } else { b"0" });
        if let Some(value) = self {
            value.put(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &dyn Canonical) -> String {
        let mut out = Vec::new();
        value.put(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn values_have_the_documented_form() {
        assert_eq!(text(&0u64), "1:0,");
        assert_eq!(text(&-12i64), "3:-12,");
        assert_eq!(text(&u32::MAX), "10:4294967295,");
        assert_eq!(text(&u64::MAX), "20:18446744073709551615,");
        assert_eq!(text(&i64::MIN), "20:-9223372036854775808,");
        assert_eq!(text(&i64::MAX), "19:9223372036854775807,");
        assert_eq!(text(&[0xabu8; 64]), format!("128:{},", "ab".repeat(64)));
        assert_eq!(text(&[0xabu8; 65]), format!("130:{},", "ab".repeat(65)));
        assert_eq!(text(&true), "1:1,");
        assert_eq!(text(&String::new()), "0:,");
        assert_eq!(text(&"a:1,é".to_owned()), "6:a:1,é,");
        assert_eq!(text(&[0u8, 10, 255]), "6:000aff,");
        assert_eq!(text(&Ipv6Addr::LOCALHOST), "32:00000000000000000000000000000001,");
        let id = Uuid::from_u128(0x1234);
        assert_eq!(text(&id), "32:00000000000000000000000000001234,");
    }

    #[test]
    fn arrays_and_nullables_are_counted() {
        assert_eq!(text(&Vec::<String>::new()), "1:0,");
        assert_eq!(text(&vec!["a".to_owned(), String::new()]), "1:2,1:a,0:,");
        assert_eq!(text(&None::<u64>), "1:0,");
        assert_eq!(text(&Some(0u64)), "1:1,1:0,");
    }

    #[test]
    fn moving_bytes_between_neighbours_changes_the_form() {
        let join = |a: &str, b: &str| {
            let mut out = Vec::new();
            a.put(&mut out);
            b.put(&mut out);
            out
        };
        assert_ne!(join("ab", "c"), join("a", "bc"));
        assert_ne!(join("1:a,", ""), join("", "1:a,"));
    }
}
