//! Blocks of ClickHouse's Native format that the engine does not make itself. Pure.
//!
//! - A result without rows: the engine gives no bytes, a server gives a block with the columns and no rows.
//! - The greeting of clickhouse-go: it asks for a block in its own revision, which the library cannot make; the
//!   answer says `revision() = 0`, after which the driver reads plain blocks.

/// First query of clickhouse-go on a connection.
pub(super) const HELLO: &str = "SELECT displayName(), version(), revision(), timezone()";

/// A column of a `RowBinaryWithNamesAndTypes` header: name and type.
type Column = (Vec<u8>, Vec<u8>);

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return usize::try_from(value).ok();
        }
        shift += 7;
        if shift > 56 {
            return None;
        }
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Columns and length of the header at the start of a `RowBinaryWithNamesAndTypes` result.
fn header(bytes: &[u8]) -> Option<(Vec<Column>, usize)> {
    let mut at = 0;
    let count = read_varint(bytes, &mut at)?;
    let mut texts = Vec::new();
    for _ in 0..count.checked_mul(2)? {
        let length = read_varint(bytes, &mut at)?;
        let end = at.checked_add(length)?;
        texts.push(bytes.get(at..end)?.to_vec());
        at = end;
    }
    let types = texts.split_off(count);
    Some((texts.into_iter().zip(types).collect(), at))
}

/// Length of the header at the start of a `RowBinaryWithNamesAndTypes` result.
pub(super) fn header_length(bytes: &[u8]) -> Option<usize> {
    header(bytes).map(|(_, length)| length)
}

/// A Native block without rows, with the columns of this `RowBinaryWithNamesAndTypes` header.
pub(super) fn empty_block(row_binary: &[u8]) -> Option<Vec<u8>> {
    let (columns, _) = header(row_binary)?;
    let mut out = Vec::new();
    write_varint(&mut out, columns.len());
    write_varint(&mut out, 0);
    for (name, kind) in columns {
        write_text(&mut out, &name);
        write_text(&mut out, &kind);
    }
    Some(out)
}

/// The answer to [`HELLO`] in revision 54460: block info, then each column with its serialization byte.
pub(super) fn hello(version: &str, timezone: &str) -> Vec<u8> {
    // is_overflows = 0, bucket_num = -1, end; 4 columns, 1 row
    let mut out = vec![1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 4, 1];
    let mut column = |name: &str, kind: &str, value: &[u8]| {
        write_text(&mut out, name.as_bytes());
        write_text(&mut out, kind.as_bytes());
        out.push(0);
        out.extend_from_slice(value);
    };
    let text = |value: &str| {
        let mut bytes = Vec::new();
        write_text(&mut bytes, value.as_bytes());
        bytes
    };
    column("displayName()", "String", &text("observer"));
    column("version()", "String", &text(version));
    column("revision()", "UInt32", &0u32.to_le_bytes());
    column("timezone()", "String", &text(timezone));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_empty_blocks() {
        let bytes = b"\x02\x01a\x03abc\x06UInt64\x06Stringrest";
        assert_eq!(header_length(bytes), Some(bytes.len() - 4));
        assert_eq!(
            empty_block(bytes).expect("block"),
            b"\x02\x00\x01a\x06UInt64\x03abc\x06String"
        );
        for cut in 0..bytes.len() - 4 {
            assert_eq!(header_length(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(header_length(&[0xff; 20]), None);
    }

    #[test]
    fn varints_go_both_ways() {
        for value in [0, 1, 127, 128, 300, 70_000] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(read_varint(&bytes, &mut 0), Some(value));
        }
    }

    #[test]
    fn the_greeting_has_four_columns_and_one_row() {
        let bytes = hello("26.7", "UTC");
        assert_eq!(&bytes[8..10], [4, 1]);
        assert!(bytes.ends_with(b"\x0atimezone()\x06String\x00\x03UTC"));
    }
}
