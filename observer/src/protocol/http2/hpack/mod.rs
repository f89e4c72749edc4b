//! HPACK (RFC 7541): header blocks in, fields out, with what is not known said to be so.

mod fixed;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use fixed::STATIC;
pub use huffman::LENGTHS as HUFFMAN_LENGTHS;
pub use table::MAX_TABLE;
use table::{Entry, Found, Table};

/// Largest number an integer may stand for: longer ones are no sizes that occur.
const MAX_INTEGER: usize = (1 << 31) - 1;

/// Why a block cannot be read any further. The table is not known after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    /// The block ends inside a field.
    #[error("header block ends inside a field")]
    Cut,
    /// An integer beyond any size.
    #[error("integer in a header block is too large")]
    Integer,
    /// An index where nothing can stand.
    #[error("index of a header field points nowhere")]
    Index,
    /// Not the Huffman code.
    #[error("string in a header block is not Huffman code")]
    Huffman,
}

/// Takes the fields of a block: name and value, `None` where the table entry they come from is not known.
pub type FieldSink<'s> = &'s mut dyn FnMut(Option<&[u8]>, Option<&[u8]>);

/// Decoder of one direction. Memory: [`MAX_TABLE`] and the entries' overhead, and while a block is decoded, one field
/// of it.
pub struct Decoder {
    table: Table,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self { table: Table::new() }
    }

    /// Header blocks were missed, or the connection was joined in its middle.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Decodes a whole block.
    ///
    /// # Errors
    /// What is wrong; fields before that were handed on, and the table is not known from then on.
    pub fn decode(&mut self, block: &[u8], sink: FieldSink<'_>) -> Result<(), HpackError> {
        let mut rest = block;
        while !rest.is_empty() {
            if let Err(error) = self.field(&mut rest, sink) {
                self.table.lose();
                return Err(error);
            }
        }
        Ok(())
    }

    /// One representation (section 6).
    fn field(&mut self, rest: &mut &[u8], sink: FieldSink<'_>) -> Result<(), HpackError> {
        let first = *rest.first().ok_or(HpackError::Cut)?;
        if first & 0x80 != 0 {
            let index = integer(rest, 7)?;
            return self.indexed(index, sink);
        }
        if first & 0xe0 == 0x20 {
            let size = integer(rest, 5)?;
            self.table.resize(size);
            return Ok(());
        }
        let indexing = first & 0x40 != 0;
        let name = match integer(rest, if indexing { 6 } else { 4 })? {
            0 => Some(string(rest)?.into()),
            index => self.name(index)?,
        };
        let value = string(rest)?;
        sink(name.as_deref(), Some(&value));
        if indexing {
            let value = Some(value.into());
            self.table.insert(Entry { name, value });
        }
        Ok(())
    }

    fn indexed(&self, index: usize, sink: FieldSink<'_>) -> Result<(), HpackError> {
        let index = index.checked_sub(1).ok_or(HpackError::Index)?;
        if let Some((name, value)) = STATIC.get(index) {
            sink(Some(name.as_bytes()), Some(value.as_bytes()));
            return Ok(());
        }
        match self.table.get(index - STATIC.len()) {
            Found::Entry(entry) => sink(entry.name.as_deref(), entry.value.as_deref()),
            Found::Unknown => sink(None, None),
            Found::Nothing => return Err(HpackError::Index),
        }
        Ok(())
    }

    /// The name of an entry. Those of the table are shared, not copied: two octets of a block name it again.
    fn name(&self, index: usize) -> Result<Option<Arc<[u8]>>, HpackError> {
        let index = index.checked_sub(1).ok_or(HpackError::Index)?;
        if let Some((name, _)) = STATIC.get(index) {
            return Ok(Some(name.as_bytes().into()));
        }
        match self.table.get(index - STATIC.len()) {
            Found::Entry(entry) => Ok(entry.name.clone()),
            Found::Unknown => Ok(None),
            Found::Nothing => Err(HpackError::Index),
        }
    }
}

/// An integer whose first part has `bits` bits (section 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Result<usize, HpackError> {
    let (first, after) = rest.split_first().ok_or(HpackError::Cut)?;
    *rest = after;
    let most = (1usize << bits) - 1;
    let mut value = usize::from(*first) & most;
    if value < most {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first().ok_or(HpackError::Cut)?;
        *rest = after;
        value += usize::from(byte & 0x7f) << shift;
        if value > MAX_INTEGER {
            return Err(HpackError::Integer);
        }
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HpackError::Integer)
}

/// A string (section 5.2).
fn string(rest: &mut &[u8]) -> Result<Vec<u8>, HpackError> {
    let coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let octets = rest.get(..length).ok_or(HpackError::Cut)?;
    *rest = rest.get(length..).unwrap_or_default();
    if !coded {
        return Ok(octets.to_vec());
    }
    let mut out = Vec::with_capacity(length.saturating_mul(2));
    huffman::decode(octets, &mut out)?;
    Ok(out)
}
