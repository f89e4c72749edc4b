use super::testing::{Deflater, frame};
use super::*;

/// An event without the cuts of its input.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Message(Side, bool, Vec<u8>, Option<Incomplete>, u64),
    Open(Side, bool, Vec<u8>),
    Closed(Side, Incomplete),
    Skipped(Side, u64, Incomplete),
}

struct Run {
    socket: WebSocketConnection,
    seen: Vec<Seen>,
}

fn note(seen: &mut Vec<Seen>, event: WebSocketEvent<'_>) {
    let of = |seen: &mut Vec<Seen>, side: Side| {
        let at = seen
            .iter()
            .rposition(|s| matches!(s, Seen::Open(s, ..) if *s == side));
        at.expect("an open message")
    };
    match event {
        WebSocketEvent::Begin { side, text } => seen.push(Seen::Open(side, text, Vec::new())),
        WebSocketEvent::Data { side, data } => {
            let at = of(seen, side);
            let Seen::Open(_, _, body) = &mut seen[at] else {
                panic!()
            };
            body.extend_from_slice(data);
        }
        WebSocketEvent::Gap { side } => {
            let at = of(seen, side);
            let Seen::Open(_, _, body) = &mut seen[at] else {
                panic!()
            };
            body.extend_from_slice(b"<gap>");
        }
        WebSocketEvent::End {
            side,
            incomplete,
            wire_bytes,
        } => {
            let at = of(seen, side);
            let Seen::Open(_, text, body) = seen.remove(at) else {
                panic!()
            };
            seen.push(Seen::Message(side, text, body, incomplete, wire_bytes));
        }
        WebSocketEvent::Closed { side, reason } => seen.push(Seen::Closed(side, reason)),
        WebSocketEvent::Skipped { side, bytes, reason } => match seen.last_mut() {
            Some(Seen::Skipped(s, sum, r)) if (*s, *r) == (side, reason) => *sum += bytes,
            _ => seen.push(Seen::Skipped(side, bytes, reason)),
        },
    }
}

impl Run {
    fn new(agreed: Agreement) -> Self {
        let socket = WebSocketConnection::new(agreed);
        Self {
            socket,
            seen: Vec::new(),
        }
    }
    fn push(&mut self, side: Side, data: &[u8]) {
        self.socket
            .push(side, data, &mut |event| note(&mut self.seen, event));
    }
    fn gap(&mut self, side: Side, missing: Option<u64>) {
        self.socket
            .gap(side, missing, &mut |event| note(&mut self.seen, event));
    }
    fn close(mut self) -> Vec<Seen> {
        self.socket.close(&mut |event| note(&mut self.seen, event));
        self.seen
    }
    fn texts(&self) -> Vec<String> {
        let texts = self.seen.iter().filter_map(|s| match s {
            Seen::Message(_, _, text, ..) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        });
        texts.collect()
    }
    fn flaws(&self) -> Vec<Option<Incomplete>> {
        let flaws = self.seen.iter().filter_map(|s| match s {
            Seen::Message(.., flaw, _) => Some(*flaw),
            _ => None,
        });
        flaws.collect()
    }
}

const DEFLATE: Agreement = Agreement {
    deflate: true,
    client_alone: false,
    server_alone: false,
};
const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

fn request() -> Vec<u8> {
    let mut deflater = Deflater::new();
    let long = "long text ".repeat(700);
    let compressed = deflater.message(b"compressed compressed", false);
    let (front, back) = compressed.split_at(5);
    [
        // RFC 6455 section 5.7.
        frame(0x81, KEY, b"Hello"),
        frame(0x01, KEY, b"Hel"),
        frame(0x89, KEY, b"ping"),
        frame(0x80, Some([1, 2, 3, 4]), b"lo"),
        frame(0x82, KEY, &[0; 256]),
        frame(0x81, KEY, long.as_bytes()),
        frame(0x81, KEY, &[b'x'; 70_000]),
        frame(0x41, KEY, front),
        frame(0x80, KEY, back),
        frame(0xc1, KEY, &deflater.message(b"compressed again", false)),
        frame(0x81, KEY, b""),
        frame(0x88, KEY, &[3, 0xe8]),
        b"after".to_vec(),
    ]
    .concat()
}

#[test]
fn conversation() {
    let mut run = Run::new(DEFLATE);
    run.push(Side::Request, &request());
    let texts = run.texts();
    assert_eq!(texts[..2], ["Hello", "Hello"]);
    assert_eq!(
        (texts[2].len(), texts[3].len(), texts[4].len()),
        (256, 7000, 70_000)
    );
    assert_eq!(texts[5..], ["compressed compressed", "compressed again", ""]);
    assert!(run.flaws().iter().all(Option::is_none));
    // Two frames of 2 + 4 octets and the text; the ping between them is none of it.
    assert!(matches!(run.seen[1], Seen::Message(_, true, _, _, 17)));
    assert!(matches!(run.seen[2], Seen::Message(_, false, ..)));
    let (side, why) = (Side::Request, Incomplete::Closed);
    assert_eq!(
        run.seen[8..],
        [Seen::Closed(side, why), Seen::Skipped(side, 5, why)]
    );
}

/// RFC 7692 section 7.2.3.
#[test]
fn compressed_examples() {
    let hello = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let mut run = Run::new(DEFLATE);
    run.push(Side::Response, hello);
    // Fragmented, then with the window of the message before, then a block without compression, then a last block.
    run.push(Side::Response, b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00");
    run.push(Side::Response, b"\xc1\x05\xf2\x00\x11\x00\x00");
    run.push(
        Side::Response,
        b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
    );
    run.push(Side::Response, b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    // Two blocks in one message.
    run.push(
        Side::Response,
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    );
    assert_eq!(run.texts(), ["Hello"; 6]);
    assert_eq!(run.flaws(), [None; 6]);
}

#[test]
fn every_split_and_byte_by_byte() {
    let bytes = request();
    let whole = |cuts: &[usize]| {
        let mut run = Run::new(DEFLATE);
        let mut from = 0;
        for cut in cuts.iter().chain([&bytes.len()]) {
            run.push(Side::Request, &bytes[from..*cut]);
            from = *cut;
        }
        run.close()
    };
    let expected = whole(&[]);
    let (long, end) = (8_000, 77_000);
    for cut in (0..long).chain(end..bytes.len()) {
        assert!(whole(&[cut]) == expected, "cut at {cut}");
    }
    assert!(whole(&(0..bytes.len()).collect::<Vec<_>>()) == expected);
}

#[test]
fn what_the_handshake_agrees_on() {
    let read = |values: &[&str]| Agreement::read(values.iter().map(|v| v.as_bytes()));
    assert_eq!(read(&[]), Agreement::default());
    assert_eq!(
        read(&["x-other; client_no_context_takeover"]),
        Agreement::default()
    );
    assert_eq!(read(&["permessage-deflate; client_max_window_bits=15"]), DEFLATE);
    let alone = read(&["x-a, Permessage-Deflate; server_no_context_takeover ;client_no_context_takeover"]);
    assert_eq!(
        (alone.deflate, alone.client_alone, alone.server_alone),
        (true, true, true)
    );
}

#[test]
fn messages_compressed_on_their_own() {
    let agreed = Agreement {
        client_alone: true,
        ..DEFLATE
    };
    let mut run = Run::new(agreed);
    for text in ["one text", "one text", "another text"] {
        run.push(
            Side::Request,
            &frame(0xc1, KEY, &Deflater::new().message(text.as_bytes(), false)),
        );
    }
    assert_eq!(run.texts(), ["one text", "one text", "another text"]);
    // One that cannot be read leaves the next ones.
    run.push(Side::Request, &frame(0xc1, KEY, b"\xff\xff\xff\xff"));
    run.push(
        Side::Request,
        &frame(0xc1, KEY, &Deflater::new().message(b"next", false)),
    );
    assert_eq!(run.texts()[4], "next");
    assert_eq!(run.flaws()[3..], [Some(Incomplete::Encoding), None]);
}

#[test]
fn nonsense_ends_a_direction_and_not_the_other() {
    let cases: [&[u8]; 9] = [
        b"\xc1\x01a",                                // compressed without an agreement
        b"\xa1\x01a",                                // a reserved bit
        b"\x83\x01a",                                // a reserved type
        b"\x8b\x01a",                                // a reserved control frame
        b"\x80\x01a",                                // a continuation of nothing
        b"\x01\x01a\x01\x01a",                       // a message inside a message
        b"\x09\x00",                                 // a control frame in parts
        b"\x89\x7e\x00\x7e",                         // a long control frame
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", // a length without end
    ];
    for bytes in cases {
        let mut run = Run::new(Agreement::default());
        run.push(Side::Response, bytes);
        run.push(Side::Response, b"\x81\x01a");
        run.push(Side::Request, &frame(0x81, KEY, b"fine"));
        let closed = Seen::Closed(Side::Response, Incomplete::Malformed);
        assert!(run.seen.contains(&closed), "{bytes:?}: {:?}", run.seen);
        assert_eq!(run.texts().last().map(String::as_str), Some("fine"));
    }
}

#[test]
fn holes() {
    // Inside a frame: plain messages go on, with the right key.
    let mut run = Run::new(DEFLATE);
    let bytes = frame(0x81, KEY, b"0123456789");
    run.push(Side::Request, &bytes[..9]);
    run.gap(Side::Request, Some(5));
    run.push(Side::Request, &bytes[14..]);
    run.push(Side::Request, &frame(0x81, KEY, b"next"));
    assert_eq!(run.texts(), ["012<gap>89", "next"]);
    assert_eq!(run.flaws(), [Some(Incomplete::Gap), None]);
    // Compressed ones cannot be read from there on: their window is not known.
    let mut deflater = Deflater::new();
    let bytes = frame(0xc1, KEY, &deflater.message(b"something to compress", false));
    run.push(Side::Request, &bytes[..10]);
    run.gap(Side::Request, Some(4));
    run.push(Side::Request, &bytes[14..]);
    run.push(
        Side::Request,
        &frame(0xc1, KEY, &deflater.message(b"something", false)),
    );
    run.push(Side::Request, &frame(0x81, KEY, b"plain"));
    assert_eq!(
        run.flaws()[2..],
        [Some(Incomplete::Gap), Some(Incomplete::Gap), None]
    );
    // Across a boundary, nothing more can be found.
    run.push(Side::Request, &frame(0x01, KEY, b"begun"));
    run.gap(Side::Request, Some(1));
    run.push(Side::Request, &frame(0x81, KEY, b"lost"));
    let side = Side::Request;
    let seen = run.close();
    assert!(seen.contains(&Seen::Message(
        side,
        true,
        b"begun".to_vec(),
        Some(Incomplete::Gap),
        11
    )));
    assert!(seen.contains(&Seen::Closed(side, Incomplete::Gap)));
    assert!(seen.contains(&Seen::Skipped(side, 10, Incomplete::Gap)));
}

#[test]
fn budgets() {
    use crate::protocol::encoding::RATIO_FLOOR;
    // A bomb: 16 MiB of zeros.
    let mut run = Run::new(DEFLATE);
    run.push(
        Side::Response,
        &frame(0xc1, None, &Deflater::new().message(&vec![0; 16 << 20], false)),
    );
    run.push(Side::Response, &frame(0x81, None, b"plain"));
    assert_eq!(run.flaws(), [Some(Incomplete::OverBudget), None]);
    assert!(run.texts()[0].len() as u64 <= RATIO_FLOOR + 16 * 1024);
    // A message of fragments without end.
    let mut read = 0u64;
    let mut socket = WebSocketConnection::new(DEFLATE);
    let fragment = frame(0x00, None, &[b'x'; 1 << 20]);
    let mut count = |event: WebSocketEvent<'_>| {
        if let WebSocketEvent::Data { data, .. } = event {
            read += data.len() as u64;
        }
    };
    socket.push(Side::Response, &frame(0x01, None, b"x"), &mut count);
    (0..80).for_each(|_| socket.push(Side::Response, &fragment, &mut count));
    assert!(read <= MAX_MESSAGE, "{read}");
}
