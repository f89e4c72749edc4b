//! Records as the store sends them (RowBinary) straight into canonical bytes, without a row in between: what a verifier
//! does a million times. The list of columns comes from the same lines as the struct (`row.rs`), and a test with the real
//! engine shows that both ways give the same bytes.

use std::net::Ipv6Addr;

use super::Severity;
use super::canonical::{CANON_V, Decimal, RECORD_TAG};

/// Longest text of a column. A longer one is no text but bytes that are out of step.
const MAX_TEXT: usize = 64 << 20;

/// How a column is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Length and bytes.
    Text,
    /// So many bytes, least first.
    Unsigned(usize),
    /// The same with a sign.
    Signed(usize),
    /// One byte.
    Truth,
    /// So many bytes.
    Fixed(usize),
    /// A byte that is 1 where there is no value, else the value.
    Nullable(&'static Self),
    /// Their number, and the items.
    Array(&'static Self),
}

/// A column of a table of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// First form that hashes it.
    pub since: u8,
    /// What the table gives, where it is a number, to rows of older forms.
    pub older: u32,
}

/// A type of a field, as its column is sent.
pub(crate) trait Stored {
    /// How.
    const KIND: Kind;
}

macro_rules! stored {
    ($($t:ty = $kind:expr,)*) => {$(
        impl Stored for $t {
            const KIND: Kind = $kind;
        }
    )*};
}
stored!(
    String = Kind::Text,
    bool = Kind::Truth,
    Ipv6Addr = Kind::Fixed(16),
    Severity = Kind::Signed(1),
    u8 = Kind::Unsigned(1),
    u16 = Kind::Unsigned(2),
    u32 = Kind::Unsigned(4),
    u64 = Kind::Unsigned(8),
    i32 = Kind::Signed(4),
    i64 = Kind::Signed(8),
);

impl<const N: usize> Stored for [u8; N] {
    const KIND: Kind = Kind::Fixed(N);
}

impl<T: Stored> Stored for Option<T> {
    const KIND: Kind = Kind::Nullable(&T::KIND);
}

impl<T: Stored> Stored for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);
}

/// What of a record stands outside its canonical bytes, or is needed to place it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent<'a> {
    pub host: &'a [u8],
    pub chain_epoch: u64,
    pub seal_seq: u64,
    pub rec_seq: u64,
    /// Its time, ns since the Unix epoch.
    pub ts: i64,
    /// Hash stored with it.
    pub hash: [u8; 32],
    /// The canonical bytes are those of its form.
    pub is_known_form: bool,
    /// Columns that are newer than its form, and so in no hash, say nothing.
    pub newer_say_nothing: bool,
}

/// Bytes that are no row of these columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store sent bytes that are no row")]
pub(crate) struct OutOfStep;

/// What to ask for, so that [`read_row`] understands the answer.
pub(crate) fn select(columns: &[Column]) -> String {
    let names = columns.iter().map(|column| column.name);
    ["canon_v", "record_hash"]
        .into_iter()
        .chain(names)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Takes the next row off `input` and makes its canonical bytes. `None`: it is not whole yet, and nothing was taken.
pub(crate) fn read_row<'a>(
    columns: &[Column],
    input: &mut &'a [u8],
    canonical: &mut Vec<u8>,
) -> Result<Option<Sent<'a>>, OutOfStep> {
    canonical.clear();
    let mut bytes = Bytes(input);
    match row(columns, &mut bytes, canonical) {
        Ok(sent) => {
            *input = bytes.0;
            Ok(Some(sent))
        }
        Err(Stop::Short) => Ok(None),
        Err(Stop::Wrong) => Err(OutOfStep),
    }
}

/// Length of the whole rows at the beginning of `input`: where it can be cut in two. Reads no more than lengths.
pub(crate) fn whole_rows(columns: &[Column], input: &[u8]) -> Result<usize, OutOfStep> {
    let mut bytes = Bytes(input);
    loop {
        let end = input.len() - bytes.0.len();
        match skip_row(columns, &mut bytes) {
            Ok(()) => {}
            Err(Stop::Short) => return Ok(end),
            Err(Stop::Wrong) => return Err(OutOfStep),
        }
    }
}

/// Why reading stops.
enum Stop {
    Short,
    Wrong,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Stop::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Stop::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A length: seven bits in each byte, least first.
    fn length(&mut self) -> Result<usize, Stop> {
        let mut length = 0;
        for shift in (0..).step_by(7).take(4) {
            let [byte] = self.array()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if length > MAX_TEXT {
                    Err(Stop::Wrong)
                } else {
                    Ok(length)
                };
            }
        }
        Err(Stop::Wrong)
    }

    fn text(&mut self) -> Result<&'a [u8], Stop> {
        let length = self.length()?;
        self.take(length)
    }

    fn unsigned(&mut self, width: usize) -> Result<u64, Stop> {
        Ok(match width {
            1 => u64::from(u8::from_le_bytes(self.array()?)),
            2 => u64::from(u16::from_le_bytes(self.array()?)),
            4 => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        })
    }

    fn signed(&mut self, width: usize) -> Result<i64, Stop> {
        Ok(match width {
            1 => i64::from(i8::from_le_bytes(self.array()?)),
            4 => i64::from(i32::from_le_bytes(self.array()?)),
            _ => i64::from_le_bytes(self.array()?),
        })
    }
}

fn row<'a>(columns: &[Column], bytes: &mut Bytes<'a>, out: &mut Vec<u8>) -> Result<Sent<'a>, Stop> {
    let [form] = bytes.array()?;
    let hash = bytes.array()?;
    netstring(out, RECORD_TAG.as_bytes());
    netstring(out, Decimal::from(u64::from(form)).digits());
    // The first five are the same in every table of records: where in which chain, and when.
    let mut place = Bytes(bytes.0);
    let (host, chain_epoch) = (place.text()?, place.unsigned(8)?);
    let (seal_seq, rec_seq) = (place.unsigned(8)?, place.unsigned(8)?);
    let ts = place.signed(8)?;
    let known = (1..=CANON_V).contains(&form);
    let mut newer_say_nothing = true;
    for column in columns {
        if column.since <= form {
            value(column.kind, bytes, out)?;
        } else {
            newer_say_nothing &= says_nothing(column, bytes)?;
        }
    }
    Ok(Sent {
        host,
        chain_epoch,
        seal_seq,
        rec_seq,
        ts,
        hash,
        is_known_form: known,
        newer_say_nothing,
    })
}

/// Whether a column has what the table gives to rows that do not name it.
fn says_nothing(column: &Column, bytes: &mut Bytes<'_>) -> Result<bool, Stop> {
    if let Kind::Unsigned(width) = column.kind {
        return Ok(bytes.unsigned(width)? == u64::from(column.older));
    }
    let before = bytes.0;
    skip(column.kind, bytes)?;
    let sent = &before[..before.len() - bytes.0.len()];
    Ok(match column.kind {
        Kind::Nullable(_) => sent == [1],
        // No text, no items, zeros.
        _ => sent.iter().all(|byte| *byte == 0),
    })
}

fn skip_row(columns: &[Column], bytes: &mut Bytes<'_>) -> Result<(), Stop> {
    // Form and hash.
    bytes.take(1 + 32)?;
    columns.iter().try_for_each(|column| skip(column.kind, bytes))
}

fn skip(kind: Kind, bytes: &mut Bytes<'_>) -> Result<(), Stop> {
    match kind {
        Kind::Text => bytes.text().map(drop),
        Kind::Unsigned(width) | Kind::Signed(width) | Kind::Fixed(width) => bytes.take(width).map(drop),
        Kind::Truth => bytes.take(1).map(drop),
        Kind::Nullable(inner) => match bytes.array()? {
            [0] => skip(*inner, bytes),
            [_] => Ok(()),
        },
        Kind::Array(item) => {
            let count = bytes.length()?;
            (0..count).try_for_each(|_| skip(*item, bytes))
        }
    }
}

fn value(kind: Kind, bytes: &mut Bytes<'_>, out: &mut Vec<u8>) -> Result<(), Stop> {
    match kind {
        Kind::Text => netstring(out, bytes.text()?),
        Kind::Unsigned(width) => netstring(out, Decimal::from(bytes.unsigned(width)?).digits()),
        Kind::Signed(width) => netstring(out, Decimal::from(bytes.signed(width)?).digits()),
        Kind::Truth => {
            let [byte] = bytes.array()?;
            netstring(out, if byte == 0 { b"0" } else { b"1" });
        }
        Kind::Fixed(width) => hexadecimal(out, bytes.take(width)?),
        Kind::Nullable(inner) => {
            let [is_null] = bytes.array()?;
            netstring(out, if is_null == 0 { b"1" } else { b"0" });
            if is_null == 0 {
                value(*inner, bytes, out)?;
            }
        }
        Kind::Array(item) => {
            let count = bytes.length()?;
            netstring(out, Decimal::from(count as u64).digits());
            for _ in 0..count {
                value(*item, bytes, out)?;
            }
        }
    }
    Ok(())
}

fn netstring(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(digit @ 0..=9) = u8::try_from(bytes.len()) {
        out.extend_from_slice(&[b'0' + digit, b':']);
    } else {
        out.extend_from_slice(Decimal::from(bytes.len() as u64).digits());
        out.push(b':');
    }
    out.extend_from_slice(bytes);
    out.push(b',');
}

fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(Decimal::from(2 * bytes.len() as u64).digits());
    out.push(b':');
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::FindingRow;

    /// A finding as the engine sends it.
    fn sent() -> Vec<u8> {
        let row = FindingRow {
            host_id: "host".into(),
            chain_epoch: 1 << 40,
            seal_seq: 3,
            rec_seq: 300,
            ts: -7,
            severity: Severity::High,
            rule_id: "a".repeat(200),
            value_hmac: vec![[0xa5; 16], [7; 16]],
            record_hash: [9; 32],
            canon_v: CANON_V,
            ..FindingRow::unknown()
        };
        let mut out = vec![row.canon_v];
        out.extend(row.record_hash);
        let text = |out: &mut Vec<u8>, text: &str| {
            let mut length = text.len();
            while length >= 0x80 {
                out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            out.push(u8::try_from(length).unwrap());
            out.extend(text.as_bytes());
        };
        text(&mut out, &row.host_id);
        [row.chain_epoch, row.seal_seq, row.rec_seq]
            .iter()
            .for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(row.ts.to_le_bytes());
        out.extend(row.interaction_hash);
        [&row.finding_type, &row.rule_id, &row.rule_version]
            .iter()
            .for_each(|t| text(&mut out, t));
        out.extend(row.rule_pack_sha256);
        out.push(row.severity as u8);
        [&row.confidence, &row.direction, &row.json_path]
            .iter()
            .for_each(|t| text(&mut out, t));
        out.extend(row.match_count.to_le_bytes());
        out.extend(row.match_bytes.to_le_bytes());
        out.push(2);
        row.value_hmac.iter().for_each(|hmac| out.extend(hmac));
        for t in [
            &row.hmac_key_id,
            &row.server_address,
            &row.gen_ai_provider_name,
            &row.k8s_namespace_name,
            &row.k8s_workload_name,
        ] {
            text(&mut out, t);
        }
        let mut canonical = Vec::new();
        let mut input = out.as_slice();
        let read = read_row(FindingRow::COLUMNS, &mut input, &mut canonical)
            .unwrap()
            .unwrap();
        assert_eq!((read.host, read.rec_seq, read.hash), (&b"host"[..], 300, [9; 32]));
        let mut expected = Vec::new();
        row.canonical(&mut expected);
        assert_eq!(
            String::from_utf8(canonical).unwrap(),
            String::from_utf8(expected).unwrap()
        );
        assert!(input.is_empty());
        out
    }

    #[test]
    fn a_row_that_is_not_whole_is_left_until_it_is() {
        let whole = sent();
        let columns = FindingRow::COLUMNS;
        for end in 0..whole.len() {
            let mut input = &whole[..end];
            assert_eq!(read_row(columns, &mut input, &mut Vec::new()), Ok(None));
            assert_eq!(input.len(), end);
        }
    }

    #[test]
    fn rows_are_cut_apart_where_they_are_read_apart() {
        let row = sent();
        let columns = FindingRow::COLUMNS;
        let three = row.repeat(3);
        for end in 0..=three.len() {
            let cut = whole_rows(columns, &three[..end]).unwrap();
            assert_eq!(cut, end / row.len() * row.len());
        }
        assert_eq!(whole_rows(columns, &[0xff; 40]), Err(OutOfStep));
    }

    #[test]
    fn columns_that_are_newer_than_the_form_must_say_nothing() {
        let column = |kind, since, older| Column {
            name: "c",
            kind,
            since,
            older,
        };
        let place = [Kind::Text, u64::KIND, u64::KIND, u64::KIND, i64::KIND];
        let newer = [
            column(String::KIND, 5, 0),
            column(u32::KIND, 5, u32::MAX),
            column(u32::KIND, 6, 0),
            column(<Option<u16>>::KIND, 6, 0),
            column(<Vec<String>>::KIND, 7, 0),
            column(<[u8; 2]>::KIND, 8, 0),
        ];
        let columns: Vec<Column> = place
            .iter()
            .map(|kind| column(*kind, 1, 0))
            .chain(newer)
            .collect();
        let row = |form: u8, newer: [&[u8]; 6]| {
            let mut bytes = vec![form];
            // Hash, an empty host, numbers and time.
            bytes.extend([0; 32 + 1 + 4 * 8]);
            bytes.extend(newer.concat());
            let mut canonical = Vec::new();
            let sent = read_row(&columns, &mut bytes.as_slice(), &mut canonical);
            (sent.unwrap().unwrap().newer_say_nothing, canonical)
        };
        let nothing: [&[u8]; 6] = [&[0], &[0xff; 4], &[0; 4], &[1], &[0], &[0, 0]];
        let something: [&[u8]; 6] = [&[1, b'x'], &[0; 4], &[0xff; 4], &[0, 0, 0], &[1, 0], &[0, 1]];
        let (says_nothing, canonical) = row(4, nothing);
        assert!(says_nothing);
        for (at, said) in something.into_iter().enumerate() {
            let mut newer = nothing;
            newer[at] = said;
            assert_eq!(row(4, newer), (false, canonical.clone()), "column {at}");
            assert!(row(CANON_V, newer).0, "its hash holds column {at}");
        }
    }

    #[test]
    fn bytes_out_of_step_are_an_error_and_take_no_memory() {
        let columns = FindingRow::COLUMNS;
        let mut bytes = vec![CANON_V; 33];
        bytes.extend([0xff; 5]);
        assert_eq!(
            read_row(columns, &mut bytes.as_slice(), &mut Vec::new()),
            Err(OutOfStep)
        );
    }
}
