//! Event streams.

use observer::protocol::sse::{MAX_EVENT, SseDecoder};

use crate::input::{Input, pieces};

type Seen = (Vec<(Vec<u8>, Vec<u8>)>, u64);

/// First byte: how the rest is cut. Second: where a hole is, if anywhere.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (seed, hole) = (input.byte(), usize::from(input.byte()));
    let body = input.rest();
    let (front, back) = body.split_at(if hole == 0 {
        body.len()
    } else {
        hole.min(body.len())
    });
    let whole = decode(&[front], &[back], hole > 0);
    let cut = decode(&pieces(front, seed), &pieces(back, seed), hole > 0);
    assert!(whole == cut);
}

fn decode(front: &[&[u8]], back: &[&[u8]], hole: bool) -> Seen {
    let mut decoder = SseDecoder::new();
    let mut events = Vec::new();
    let mut out = |name: &[u8], data: &[u8]| {
        assert!(data.len() <= MAX_EVENT);
        events.push((name.to_vec(), data.to_vec()));
    };
    for piece in front {
        decoder.push(piece, &mut out);
    }
    if hole {
        decoder.gap();
    }
    for piece in back {
        decoder.push(piece, &mut out);
    }
    decoder.close(&mut out);
    let lost = decoder.lost();
    (events, lost)
}
