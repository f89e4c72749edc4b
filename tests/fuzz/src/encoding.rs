//! Content codings.

use observer::protocol::encoding::{ContentDecoder, EncodingLoss, MAX_DECODED};

use crate::input::{Input, pieces};

const CODINGS: [&str; 8] = [
    "gzip",
    "deflate",
    "br",
    "zstd",
    "gzip, br",
    "identity, x-gzip",
    "zstd, gzip, deflate",
    "none",
];

/// First byte: codings. Second: how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let coding = CODINGS[usize::from(input.byte()) % CODINGS.len()];
    let seed = input.byte();
    let body = input.rest();
    if body.is_empty() {
        return;
    }
    let whole = decode(coding, &[body]);
    let cut = decode(coding, &pieces(body, seed));
    assert!(whole.0.len() as u64 <= MAX_DECODED + (1 << 16));
    // How much comes out before an error is found may differ; what comes out may not.
    let common = whole.0.len().min(cut.0.len());
    assert!(whole.0[..common] == cut.0[..common]);
    assert_eq!(whole.1.is_some(), cut.1.is_some(), "{:?} {:?}", whole.1, cut.1);
    assert_eq!(whole.2, cut.2);
}

fn decode(coding: &str, pieces: &[&[u8]]) -> (Vec<u8>, Option<EncodingLoss>, bool) {
    let mut decoder = ContentDecoder::new(Some(coding));
    let (mut out, mut failed) = (Vec::new(), None);
    for piece in pieces {
        let result = decoder.push(piece, &mut |bytes| out.extend_from_slice(bytes));
        failed = failed.or(result.err());
    }
    assert_eq!(failed.is_some(), decoder.failed().is_some());
    (out, failed, decoder.is_complete())
}
