//! Segments of the spool, and the canonical bytes in them.

use observer::evidence::{Row, Table};
use observer::spool::format::{Builder, read, read_summary};

/// Reads `data` as a segment. What is read without damage is written again and must be the same bytes.
pub fn run(data: &[u8]) {
    for table in Table::ALL {
        if let Ok(row) = Row::from_canonical(table, data) {
            let mut again = Vec::new();
            row.canonical(&mut again);
            assert!(again == data, "two ways to write one row");
        }
    }
    let Ok(segment) = read(data) else { return };
    assert_eq!(Ok(segment.summary), read_summary(data));
    assert!(segment.rows.len() as u64 <= segment.summary.total());
    if segment.damage.is_some() {
        return;
    }
    let mut builder = Builder::new(segment.summary.number);
    for row in &segment.rows {
        builder.push(row);
    }
    let (_, bytes) = builder.finish(segment.summary.closed_ns);
    assert!(bytes.len() == data.len());
}

/// A whole segment with a row of each kind.
pub fn seed() -> Vec<u8> {
    use observer::evidence::{
        BlindSpotRow, ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, SealKind, Sequencer,
    };
    let mut seq = Sequencer::new("h", Default::default(), 1);
    let mut builder = Builder::new(1);
    builder.push(&seq.interaction(InteractionRow::unknown()).into());
    builder.push(&seq.finding(FindingRow::unknown()).into());
    builder.push(&seq.connection(ConnectionRow::unknown()).into());
    builder.push(&seq.blind_spot(BlindSpotRow::unknown()).into());
    let interval = Interval {
        start: 1,
        end: 2,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    builder.push(&seq.seal(SealKind::Interval, interval, Coverage::default()).into());
    builder.finish(1).1
}
