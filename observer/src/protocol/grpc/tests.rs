use super::*;

/// Messages as (kind, compressed, stated length, content, whole).
type Seen = Vec<(Kind, bool, u32, Vec<u8>, bool)>;

fn message(flags: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    out.extend_from_slice(content);
    out
}

fn take(seen: &mut Seen, event: Event<'_>) {
    match event {
        Event::Begin {
            kind,
            compressed,
            length,
        } => seen.push((kind, compressed, length, Vec::new(), false)),
        Event::Content(piece) => seen.last_mut().unwrap().3.extend_from_slice(piece),
        Event::Over => seen.last_mut().unwrap().4 = true,
    }
}

fn read(pieces: &[&[u8]]) -> (Seen, u64) {
    let (mut decoder, mut seen) = (GrpcDecoder::default(), Seen::new());
    for piece in pieces {
        decoder.push(piece, &mut |event| take(&mut seen, event));
    }
    (seen, decoder.lost())
}

#[test]
fn messages_at_every_split() {
    let bytes = [
        message(0, b"hello"),
        message(1, b"\x1f\x8bpacked"),
        message(0, b""),
        message(0x80, b"grpc-status: 0\r\n"),
    ]
    .concat();
    let whole = read(&[&bytes]);
    assert_eq!(whole.1, 0);
    let kinds: Vec<_> = whole.0.iter().map(|m| (m.0, m.1, m.2, m.4)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Data, false, 5, true),
            (Kind::Data, true, 8, true),
            (Kind::Data, false, 0, true),
            (Kind::End, false, 16, true)
        ]
    );
    assert_eq!(whole.0[0].3, b"hello");
    for at in 0..=bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert!(read(&[a, b]) == whole, "split at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert!(read(&single) == whole);
}

#[test]
fn what_no_protocol_has_is_lost_and_nothing_is_made_up_behind_it() {
    let bytes = [message(0, b"good"), message(0x40, b"bad"), message(0, b"unread")].concat();
    let (seen, lost) = read(&[&bytes]);
    assert_eq!(seen.len(), 1);
    assert_eq!(lost, (bytes.len() - 9) as u64);
}

#[test]
fn a_hole_inside_a_message_leaves_the_next_one() {
    let bytes = [message(0, b"0123456789"), message(0, b"next")].concat();
    let (mut decoder, mut seen) = (GrpcDecoder::default(), Seen::new());
    decoder.push(&bytes[..8], &mut |event| take(&mut seen, event));
    decoder.gap(Some(4), &mut |event| take(&mut seen, event));
    decoder.push(&bytes[12..], &mut |event| take(&mut seen, event));
    assert_eq!(seen.len(), 2);
    assert_eq!((&*seen[0].3, &*seen[1].3), (&b"012789"[..], &b"next"[..]));
    assert_eq!(decoder.lost(), 0);
}

#[test]
fn behind_another_hole_all_is_lost() {
    for (before, missing) in [(3, Some(1)), (8, Some(100)), (8, None)] {
        let bytes = [message(0, b"0123456789"), message(0, b"next")].concat();
        let (mut decoder, mut seen) = (GrpcDecoder::default(), Seen::new());
        decoder.push(&bytes[..before], &mut |event| take(&mut seen, event));
        decoder.gap(missing, &mut |event| take(&mut seen, event));
        decoder.push(&bytes[12..], &mut |event| take(&mut seen, event));
        assert!(!seen.iter().any(|m| m.4), "{before} {missing:?}");
        assert!(decoder.lost() > 0);
    }
}

#[test]
fn a_length_that_lies_needs_no_memory_and_too_many_messages_end() {
    let (mut decoder, mut pieces) = (GrpcDecoder::default(), 0u64);
    decoder.push(&[0, 0xff, 0xff, 0xff, 0xff], &mut |_| {});
    for _ in 0..100 {
        decoder.push(&[7; 10_000], &mut |_| pieces += 1);
    }
    assert!(decoder.is_inside() && pieces == 100);
    let (mut decoder, mut begun) = (GrpcDecoder::default(), 0u64);
    let empty = vec![0; PREFIX * 100_000];
    for _ in 0..12 {
        decoder.push(&empty, &mut |event| {
            begun += u64::from(matches!(event, Event::Begin { .. }));
        });
    }
    assert_eq!((begun, decoder.messages()), (MAX_MESSAGES, MAX_MESSAGES));
    assert_eq!(decoder.lost(), 200_000 * PREFIX as u64);
}
