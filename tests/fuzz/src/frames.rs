//! Frames in bodies: messages of gRPC, messages of AWS event streams, forms with and without files. Each gives the same
//! for every split.

use observer::protocol::eventstream::EventStreamDecoder;
use observer::protocol::grpc::{Event, GrpcDecoder};
use observer::protocol::multipart::{MultipartDecoder, Part, PartEvents};
use observer::protocol::urlencoded::UrlencodedDecoder;

use crate::input::{Input, pieces};

/// First byte: which decoder. Second: how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (which, seed) = (input.byte(), input.byte());
    let body = input.rest();
    let decode = match which % 4 {
        0 => grpc,
        1 => events,
        2 => files,
        _ => fields,
    };
    assert!(decode(&[body]) == decode(&pieces(body, seed)));
}

/// What came out, as text and bytes, and what was lost.
type Seen = (Vec<(String, Vec<u8>)>, u64);

fn grpc(pieces: &[&[u8]]) -> Seen {
    let mut decoder = GrpcDecoder::default();
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut |event| match event {
            Event::Begin {
                kind, compressed, ..
            } => seen.push((format!("{kind:?} {compressed}"), Vec::new())),
            Event::Content(bytes) => {
                let last = seen.last_mut().expect("content has a beginning");
                last.1.extend_from_slice(bytes);
            }
            Event::Over => seen.push(("over".to_owned(), Vec::new())),
        });
    }
    (seen, decoder.lost())
}

fn events(pieces: &[&[u8]]) -> Seen {
    let mut decoder = EventStreamDecoder::default();
    let mut seen = Vec::new();
    let (mut bytes, mut framed) = (0, 0);
    for piece in pieces {
        bytes += piece.len() as u64;
        decoder.push(piece, &mut |message| {
            framed += message.payload.len() as u64;
            let name = String::from_utf8_lossy(message.name).into_owned();
            seen.push((format!("{name} {}", message.failed), message.payload.to_vec()));
        });
    }
    decoder.close();
    assert!(decoder.lost() + framed <= bytes, "more came out than went in");
    (seen, decoder.lost())
}

#[derive(Default)]
struct Parts {
    seen: Vec<(String, Vec<u8>)>,
    open: bool,
}

impl PartEvents for Parts {
    fn begin(&mut self, part: Part) {
        assert!(!std::mem::replace(&mut self.open, true), "a part in a part");
        self.seen.push((format!("{} {}", part.name, part.file), Vec::new()));
    }

    fn content(&mut self, piece: &[u8]) {
        assert!(self.open, "content of no part");
        let last = self.seen.last_mut().expect("a part");
        last.1.extend_from_slice(piece);
    }

    fn end(&mut self) {
        assert!(std::mem::replace(&mut self.open, false), "the end of no part");
    }
}

fn files(pieces: &[&[u8]]) -> Seen {
    let mut decoder = MultipartDecoder::new("multipart/form-data; boundary=b").expect("a boundary");
    let mut parts = Parts::default();
    pieces.iter().for_each(|piece| decoder.push(piece, &mut parts));
    decoder.close(&mut parts);
    assert!(!parts.open);
    (parts.seen, u64::from(decoder.is_over()))
}

fn fields(pieces: &[&[u8]]) -> Seen {
    let (mut decoder, mut parts) = (UrlencodedDecoder::default(), Parts::default());
    pieces.iter().for_each(|piece| decoder.push(piece, &mut parts));
    decoder.close(&mut parts);
    assert!(!parts.open);
    (parts.seen, 0)
}
