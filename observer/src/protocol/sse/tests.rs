use super::*;

const STREAM: &[u8] = b"\xef\xbb\xbf: comment\n\nevent: one\r\ndata: a\r\ndata:  b\r\nid: 7\r\n\r\ndata\n\nevent\rdata:no space\r\r\
    event: named\ndata:{\"x\":1}\ndata:\n\nretry: 10\n\n:\n\nignored: x\ndata: last\n";

fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut decoder = SseDecoder::new();
    let mut events = Vec::new();
    let mut out = |name: &[u8], data: &[u8]| {
        events.push((
            String::from_utf8_lossy(name).into_owned(),
            String::from_utf8_lossy(data).into_owned(),
        ));
    };
    for piece in pieces {
        decoder.push(piece, &mut out);
    }
    decoder.close(&mut out);
    events
}

#[test]
fn stream() {
    let expected = [
        ("one", "a\n b"),
        ("", ""),
        ("", "no space"),
        ("named", "{\"x\":1}\n"),
        ("", "last"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(n, d)| ((*n).to_owned(), (*d).to_owned()))
        .collect();
    assert_eq!(events(&[STREAM]), expected);
}

#[test]
fn every_split_and_byte_by_byte() {
    let expected = events(&[STREAM]);
    for cut in 0..=STREAM.len() {
        assert_eq!(
            events(&[&STREAM[..cut], &STREAM[cut..]]),
            expected,
            "cut at {cut}"
        );
    }
    let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
    assert_eq!(events(&bytes), expected);
}

#[test]
fn an_event_over_budget_is_cut_and_counted() {
    let mut decoder = SseDecoder::new();
    let mut sizes = Vec::new();
    decoder.push(b"data: ", &mut |_, _| {});
    for _ in 0..3 {
        decoder.push(&vec![b'x'; MAX_EVENT / 2], &mut |_, data| sizes.push(data.len()));
    }
    decoder.push(b"\n\ndata: y\n\n", &mut |_, data| sizes.push(data.len()));
    assert_eq!(sizes, [MAX_EVENT, 1]);
    assert_eq!(decoder.lost(), MAX_EVENT as u64 / 2);
    // A name without end keeps no memory.
    decoder.push(&vec![b'n'; 10 * MAX_NAME], &mut |_, _| {});
    assert!(decoder.name.capacity() <= 2 * MAX_NAME);
    decoder.push(b"\nevent: ", &mut |_, _| {});
    decoder.push(&vec![b'n'; 10 * MAX_NAME], &mut |_, _| {});
    assert!(decoder.event.capacity() <= 2 * MAX_NAME);
}

#[test]
fn a_hole_drops_its_event_only() {
    let mut decoder = SseDecoder::new();
    let mut seen = Vec::new();
    let mut out = |_: &[u8], data: &[u8]| seen.push(String::from_utf8_lossy(data).into_owned());
    decoder.push(b"data: one\n\ndata: two", &mut out);
    decoder.gap();
    decoder.push(b"rest\ndata: more of it\n\ndata: three\n\n", &mut out);
    decoder.close(&mut out);
    assert_eq!(seen, ["one", "three"]);
    assert_eq!(decoder.lost(), 3 + "more of it".len() as u64);
}

#[test]
fn an_event_that_finds_no_memory_is_cut_and_not_spliced() {
    let others = crate::budget::testing::all_but(8 * 1024);
    let mut decoder = SseDecoder::new();
    let mut sizes = Vec::new();
    decoder.push(b"data: ", &mut |_, _| {});
    for _ in 0..4 {
        decoder.push(&[b'x'; 4 * 1024], &mut |_, _| {});
    }
    // A whole one needs no room to wait.
    let whole = [b"y\n\ndata: ".as_slice(), &[b'x'; 16 * 1024], b"\n\n"].concat();
    decoder.push(&whole, &mut |_, data| sizes.push(data.len()));
    assert_eq!(sizes, [0, 16 * 1024]);
    assert_eq!(decoder.lost(), 16 * 1024 + 1);
    drop((decoder, others));
    assert_eq!(crate::budget::testing::held(), 0);
}
