use uuid::Uuid;

use super::*;
use crate::evidence::{
    ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, SealKind, Sequencer, Signer,
};

fn rows() -> Vec<Row> {
    let mut seq = Sequencer::new("host", Uuid::from_u128(5), 1_000);
    seq.sign_with(Signer::from_seed(&[3; 32]));
    let interaction = seq.interaction(InteractionRow {
        gen_ai_request_model: "gpt-4o".into(),
        ..InteractionRow::unknown()
    });
    let finding = seq.finding(FindingRow::unknown());
    let connection = seq.connection(ConnectionRow::unknown());
    let interval = Interval {
        start: 1,
        end: 2,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    let seal = seq.seal(SealKind::Interval, interval, Coverage::default());
    vec![interaction.into(), finding.into(), connection.into(), seal.into()]
}

fn segment() -> (Summary, Vec<u8>) {
    let mut builder = Builder::new(42);
    assert!(builder.is_empty());
    for row in rows() {
        assert!(builder.push(&row).is_some());
    }
    builder.finish(77)
}

/// A seal of about so many bytes.
pub(in crate::spool) fn long_seal(seq: &mut Sequencer, bytes: usize) -> Row {
    let interval = Interval {
        start: 1,
        end: 2,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    let coverage = Coverage {
        probes_failed: vec!["x".repeat(1_000); bytes / 1_000],
        ..Coverage::default()
    };
    seq.seal(SealKind::Interval, interval, coverage).into()
}

#[test]
fn a_row_that_could_not_be_read_again_is_not_written() {
    let mut seq = Sequencer::new("host", Uuid::from_u128(5), 1_000);
    seq.sign_with(Signer::from_seed(&[3; 32]));
    let mut builder = Builder::new(1);
    assert_eq!(builder.push(&long_seal(&mut seq, MAX_ROW)), None);
    assert!(builder.is_empty() && builder.summary().total() == 0);
    let fits = long_seal(&mut seq, MAX_ROW * 9 / 10);
    assert!(builder.push(&fits).is_some());
    let before = builder.len();
    assert_eq!(builder.push(&long_seal(&mut seq, MAX_ROW)), None);
    assert_eq!(builder.len(), before);
    let (_, bytes) = builder.finish(77);
    let read = read(&bytes).unwrap();
    assert_eq!((read.rows, read.damage), (vec![fits], None));
}

#[test]
fn what_is_written_is_read() {
    let (summary, bytes) = segment();
    let expected = Summary {
        number: 42,
        closed_ns: 77,
        chain_epoch: 1_000,
        records: (1, 3),
        seals: (1, 1),
        rows: [1, 1, 1, 0, 1],
    };
    assert_eq!(summary, expected);
    assert_eq!(read_summary(&bytes), Ok(expected));
    let read = read(&bytes).unwrap();
    assert_eq!((read.summary, read.damage), (expected, None));
    assert_eq!(read.rows, rows(), "signatures and hashes too");
}

#[test]
fn every_cut_is_seen_and_what_is_before_it_is_kept() {
    let (_, bytes) = segment();
    let (mut most, all) = (0, rows());
    for end in 0..bytes.len() {
        match read(&bytes[..end]) {
            Err(error) => assert!(
                end < HEADER_LEN && error == SegmentError::Header,
                "{end}: {error}"
            ),
            Ok(segment) => {
                assert_eq!(segment.damage, Some(Damage::Cut), "{end}");
                assert_eq!(segment.rows[..], all[..segment.rows.len()]);
                most = most.max(segment.rows.len());
            }
        }
    }
    assert_eq!(
        most,
        all.len() - 1,
        "all rows but the last stand before the last cut"
    );
}

#[test]
fn every_flipped_bit_is_seen() {
    let (_, bytes) = segment();
    let all = rows();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            match read(&changed) {
                Err(_) => assert!(at < HEADER_LEN, "{at}.{bit}"),
                Ok(segment) => {
                    assert!(segment.damage.is_some() && at >= HEADER_LEN, "{at}.{bit}");
                    assert_eq!(segment.rows[..], all[..segment.rows.len()], "{at}.{bit}");
                }
            }
        }
    }
}

#[test]
fn more_bytes_than_were_written_are_seen() {
    let (_, mut bytes) = segment();
    bytes.push(0);
    let segment = read(&bytes).unwrap();
    assert_eq!((segment.rows.len(), segment.damage), (4, Some(Damage::Cut)));
}

#[test]
fn a_newer_form_is_refused_by_name() {
    let (_, mut bytes) = segment();
    bytes[8] = 2;
    assert_eq!(
        read(&bytes),
        Err(SegmentError::Header),
        "a flipped bit makes no new version"
    );
    // Its header is another one.
    bytes[20] ^= 0x55;
    assert_eq!(read(&bytes), Err(SegmentError::Newer(2)));
    assert_eq!(read_summary(&bytes), Err(SegmentError::Newer(2)));
    assert_eq!(read(b"PK\x03\x04 something else"), Err(SegmentError::Foreign));
}

#[test]
fn a_length_that_nobody_wrote_makes_no_room() {
    let mut builder = Builder::new(1);
    builder.push(&rows()[0]);
    let (_, mut bytes) = builder.finish(0);
    bytes[HEADER_LEN + 1..HEADER_LEN + 5].copy_from_slice(&u32::MAX.to_le_bytes());
    let segment = read(&bytes).unwrap();
    assert_eq!((segment.rows.len(), segment.damage), (0, Some(Damage::Cut)));
}
