use super::testing::{framed, message};
use super::*;

fn read(pieces: &[&[u8]], gap_before: Option<usize>) -> (Vec<(String, bool, Vec<u8>)>, u64) {
    let mut decoder = EventStreamDecoder::default();
    let mut found = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        if gap_before == Some(at) {
            decoder.gap();
        }
        decoder.push(piece, &mut |m| {
            found.push((
                String::from_utf8_lossy(m.name).into_owned(),
                m.failed,
                m.payload.to_vec(),
            ));
        });
    }
    decoder.close();
    (found, decoder.lost())
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn messages_at_every_split() {
    let error = framed(
        &[
            (":message-type", "exception"),
            (":exception-type", "throttlingException"),
        ],
        b"{}",
    );
    let bytes = [message("chunk", b"{\"a\":1}"), error, message("", b"")].concat();
    let whole = read(&[&bytes], None);
    assert_eq!(whole.1, 0);
    assert_eq!(
        whole.0,
        [
            ("chunk".to_owned(), false, b"{\"a\":1}".to_vec()),
            ("throttlingException".to_owned(), true, b"{}".to_vec()),
            (String::new(), false, Vec::new()),
        ]
    );
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert_eq!(read(&[a, b], None), whole, "split at {at}");
    }
}

#[test]
fn a_broken_message_is_left_out_and_the_next_is_read() {
    let first = message("one", b"first");
    for at in 0..first.len() {
        let mut broken = first.clone();
        broken[at] ^= 0x40;
        broken.extend(message("two", b"second"));
        let (found, lost) = read(&[&broken], None);
        assert_eq!(
            found,
            [("two".to_owned(), false, b"second".to_vec())],
            "byte {at}"
        );
        assert_eq!(lost, first.len() as u64, "byte {at}");
    }
}

#[test]
fn after_a_hole_the_next_message_is_found() {
    let (first, second) = (message("one", b"first"), message("two", b"second"));
    for at in 1..first.len() {
        let tail = [&first[at..], &second[..]].concat();
        let (found, _) = read(&[&first[..1], &tail], Some(1));
        assert_eq!(
            found,
            [("two".to_owned(), false, b"second".to_vec())],
            "from {at}"
        );
    }
}

#[test]
fn a_message_over_budget_is_skipped_and_counted() {
    let big = message("big", &vec![b'x'; MAX_MESSAGE]);
    let bytes = [big.clone(), message("two", b"second")].concat();
    let pieces: Vec<&[u8]> = bytes.chunks(10_000).collect();
    let (found, lost) = read(&pieces, None);
    assert_eq!(found.len(), 1);
    assert_eq!(lost, big.len() as u64);
}

#[test]
fn headers_of_every_type_are_passed_over() {
    let mut head = Vec::new();
    for (kind, size) in [
        (0u8, 0usize),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 4),
        (5, 8),
        (8, 8),
        (9, 16),
    ] {
        head.extend_from_slice(&[1, b'h', kind]);
        head.extend(std::iter::repeat_n(7, size));
    }
    head.extend_from_slice(b"\x0b:event-type\x07\x00\x01e");
    assert_eq!(event_name(&head), (&b"e"[..], false));
    assert_eq!(event_name(b"\xff"), (&b""[..], false), "cut off");
}

#[test]
fn a_message_that_finds_no_memory_is_skipped_and_the_next_is_read() {
    let big = message("big", &[b'x'; 20_000]);
    let bytes = [big.clone(), message("two", b"second")].concat();
    for size in [7, 100, 5_000] {
        let others = crate::budget::testing::all_but(4 * 1024);
        let mut decoder = EventStreamDecoder::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.push(piece, &mut |m| found.push(m.payload.len()));
        }
        assert_eq!((found, decoder.lost()), (vec![6], big.len() as u64), "by {size}");
        assert!(decoder.is_over_budget());
        drop(others);
    }
}
