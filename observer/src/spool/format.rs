//! Form of a segment: rows as they were hashed, behind a header that says what is in it. Pure; `docs/store.md` has the layout.
//!
//! A segment is made in memory as a whole, so the header knows everything. Each row has a CRC of its own: where the disk damaged a
//! segment, what stands before the damage can still be used.

use sha2::{Digest, Sha256};

use crate::evidence::{Row, SealRow, TABLES, Table, decode::DecodeError};

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"OBSSPOOL";

/// Version of the form that this program writes. Others are refused and left as they are.
pub const VERSION: u32 = 1;

/// Bytes of the header.
pub const HEADER_LEN: usize = 144;

/// Bytes before each row: table, length, CRC.
const ROW_HEAD: usize = 9;

/// Longest row: a seal with long lists is far below.
pub const MAX_ROW: usize = 1 << 20;

/// Longest body: a segment is closed long before.
pub const MAX_BODY: usize = 64 << 20;

/// Bytes of a signature, which follows the canonical bytes of a seal.
const SIGNATURE: usize = 64;

/// What a segment holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of the segment: they are delivered in this order.
    pub number: u64,
    /// When it was closed, ns since the Unix epoch.
    pub closed_ns: i64,
    /// Epoch of its rows; one segment has rows of one epoch.
    pub chain_epoch: u64,
    /// First and last record; 0: none.
    pub records: (u64, u64),
    /// First and last seal; 0: none.
    pub seals: (u64, u64),
    /// Rows by table.
    pub rows: [u32; TABLES],
}

impl Summary {
    /// Rows of all tables.
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|n| u64::from(*n)).sum()
    }

    fn take(&mut self, row: &Row) {
        let (_, epoch, number) = row.place();
        self.chain_epoch = epoch;
        let range = if row.table() == Table::Seals {
            &mut self.seals
        } else {
            &mut self.records
        };
        if range.0 == 0 {
            range.0 = number;
        }
        range.1 = number;
        self.rows[row.table() as usize] += 1;
    }
}

/// Why bytes are no segment that can be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It does not begin as one.
    #[error("not a segment of observer's spool")]
    Foreign,
    /// Another version wrote it.
    #[error(
        "written by a newer observer (form {0}, this one knows {VERSION}): install that one again, or move the file away"
    )]
    Newer(u32),
    /// The header is cut short or changed.
    #[error("the header is damaged")]
    Header,
}

/// A segment that was read.
#[derive(Debug, PartialEq)]
pub struct Segment {
    /// What its header says.
    pub summary: Summary,
    /// Its rows, in the order in which they were made: all of them, or those before the damage.
    pub rows: Vec<Row>,
    /// What is wrong with the rest.
    pub damage: Option<Damage>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends too early, or a row reaches beyond it.
    #[error("cut short")]
    Cut,
    /// A row has another checksum than its own.
    #[error("a row with a wrong checksum")]
    Checksum,
    /// A row cannot be read.
    #[error("a row that cannot be read: {0}")]
    Row(DecodeError),
    /// All rows are well, and the body is not the one that was written.
    #[error("another body than the header says")]
    Digest,
}

/// A segment in the making.
#[derive(Debug)]
pub struct Builder {
    summary: Summary,
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty segment.
    pub fn new(number: u64) -> Self {
        let summary = Summary {
            number,
            ..Summary::default()
        };
        Self {
            summary,
            bytes: vec![0; HEADER_LEN],
        }
    }

    /// What is in it so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no row in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_LEN
    }

    /// Adds a row. Gives the bytes that it takes; `None` for a row that is longer than [`MAX_ROW`], which would be taken for damage when it
    /// is read, with all rows behind it. The segment is then as it was.
    pub fn push(&mut self, row: &Row) -> Option<usize> {
        let start = self.bytes.len();
        self.bytes.extend([0; ROW_HEAD]);
        row.canonical(&mut self.bytes);
        if let Row::Seal(seal) = row {
            self.bytes.extend(seal.signature);
        }
        let length = self.bytes.len() - start - ROW_HEAD;
        if length > MAX_ROW {
            self.bytes.truncate(start);
            return None;
        }
        let (table, length) = (row.table() as u8, u32::try_from(length).unwrap_or(u32::MAX));
        self.bytes[start] = table;
        self.bytes[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        let crc = row_crc(table, length, &self.bytes[start + ROW_HEAD..]);
        self.bytes[start + 5..start + ROW_HEAD].copy_from_slice(&crc.to_le_bytes());
        self.summary.take(row);
        Some(self.bytes.len() - start)
    }

    /// The whole segment. `closed_ns` is the wall clock.
    pub fn finish(mut self, closed_ns: i64) -> (Summary, Vec<u8>) {
        self.summary.closed_ns = closed_ns;
        let header = header(&self.summary, &self.bytes[HEADER_LEN..]);
        self.bytes[..HEADER_LEN].copy_from_slice(&header);
        (self.summary, self.bytes)
    }
}

fn row_crc(table: u8, length: u32, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[table]);
    crc.update(&length.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

fn header(summary: &Summary, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN);
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(u32::try_from(HEADER_LEN).unwrap_or(0).to_le_bytes());
    out.extend(summary.number.to_le_bytes());
    out.extend(summary.closed_ns.to_le_bytes());
    out.extend(summary.chain_epoch.to_le_bytes());
    for number in [summary.records, summary.seals]
        .map(|(a, b)| [a, b])
        .as_flattened()
    {
        out.extend(number.to_le_bytes());
    }
    for rows in summary.rows {
        out.extend(rows.to_le_bytes());
    }
    // Named padding, 0.
    out.extend([0; 8]);
    out.extend((body.len() as u64).to_le_bytes());
    out.extend(Sha256::digest(body));
    let crc = crc32fast::hash(&out);
    out.extend(crc.to_le_bytes());
    out
}

/// Takes integers off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Body length and digest, as a header says.
struct Body {
    length: u64,
    digest: [u8; 32],
}

/// Reads the header alone.
///
/// # Errors
/// [`SegmentError`].
pub fn read_summary(bytes: &[u8]) -> Result<Summary, SegmentError> {
    read_header(bytes).map(|(summary, _)| summary)
}

fn read_header(bytes: &[u8]) -> Result<(Summary, Body), SegmentError> {
    if bytes.len() < MAGIC.len() {
        // A file that was cut to nothing is one of ours as far as anybody can see.
        return Err(if MAGIC.starts_with(bytes) {
            SegmentError::Header
        } else {
            SegmentError::Foreign
        });
    }
    let mut fields = Fields(bytes);
    if fields.take() != Some(MAGIC) {
        return Err(SegmentError::Foreign);
    }
    let version = fields.u32().ok_or(SegmentError::Header)?;
    if version != VERSION && bytes.len() < HEADER_LEN {
        return Err(SegmentError::Newer(version));
    }
    let covered = bytes.get(..HEADER_LEN - 4).ok_or(SegmentError::Header)?;
    let crc = Fields(&bytes[HEADER_LEN - 4..]).u32();
    // With our version in its place: a version that only a flipped bit made is not another one.
    let mut ours = covered.to_vec();
    ours[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&VERSION.to_le_bytes());
    match (version == VERSION, crc == Some(crc32fast::hash(&ours))) {
        (true, true) => read_fields(&mut fields).ok_or(SegmentError::Header),
        (false, false) => Err(SegmentError::Newer(version)),
        (true, false) | (false, true) => Err(SegmentError::Header),
    }
}

fn read_fields(fields: &mut Fields<'_>) -> Option<(Summary, Body)> {
    if fields.u32()? as usize != HEADER_LEN {
        return None;
    }
    let mut summary = Summary {
        number: fields.u64()?,
        closed_ns: fields.take().map(i64::from_le_bytes)?,
        chain_epoch: fields.u64()?,
        records: (fields.u64()?, fields.u64()?),
        seals: (fields.u64()?, fields.u64()?),
        rows: [0; TABLES],
    };
    for rows in &mut summary.rows {
        *rows = fields.u32()?;
    }
    fields.take::<8>()?;
    let body = Body {
        length: fields.u64()?,
        digest: fields.take()?,
    };
    Some((summary, body))
}

/// Reads a segment. Damage in the body is no error: what stands before it is given.
///
/// # Errors
/// [`SegmentError`], where not even the header can be used.
pub fn read(bytes: &[u8]) -> Result<Segment, SegmentError> {
    let (summary, body) = read_header(bytes)?;
    let (mut rows, mut rest) = (Vec::new(), &bytes[HEADER_LEN..]);
    let whole = rest.len() as u64 == body.length && rest.len() <= MAX_BODY;
    let digest_fits = whole && <[u8; 32]>::from(Sha256::digest(rest)) == body.digest;
    let mut damage = None;
    while !rest.is_empty() && rows.len() as u64 != summary.total() {
        match read_row(rest) {
            Ok((row, after)) => {
                rows.push(row);
                rest = after;
            }
            Err(wrong) => {
                damage = Some(wrong);
                break;
            }
        }
    }
    if damage.is_none() && !digest_fits {
        damage = Some(if whole { Damage::Digest } else { Damage::Cut });
    }
    Ok(Segment {
        summary,
        rows,
        damage,
    })
}

fn read_row(bytes: &[u8]) -> Result<(Row, &[u8]), Damage> {
    let mut fields = Fields(bytes);
    let head = (|| Some((fields.take::<1>()?[0], fields.u32()?, fields.u32()?)))();
    let (table, length, crc) = head.ok_or(Damage::Cut)?;
    let size = length as usize;
    if size > MAX_ROW || fields.0.len() < size {
        return Err(Damage::Cut);
    }
    let (payload, rest) = fields.0.split_at(size);
    if row_crc(table, length, payload) != crc {
        return Err(Damage::Checksum);
    }
    let table = Table::ALL.get(usize::from(table)).ok_or(Damage::Checksum)?;
    decode(*table, payload)
        .map(|row| (row, rest))
        .map_err(Damage::Row)
}

fn decode(table: Table, payload: &[u8]) -> Result<Row, DecodeError> {
    if table != Table::Seals {
        return Row::from_canonical(table, payload);
    }
    let (canonical, signature) = payload
        .split_last_chunk::<SIGNATURE>()
        .ok_or(DecodeError::Short)?;
    Ok(match Row::from_canonical(table, canonical)? {
        Row::Seal(seal) => Row::from(SealRow {
            signature: *signature,
            ..*seal
        }),
        other => other,
    })
}

#[cfg(test)]
#[path = "format_tests.rs"]
pub(super) mod tests;
