//! Frames and compressed messages for tests.

use flate2::{Compress, Compression, FlushCompress};

/// A frame whose first octet is `first`.
pub(crate) fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(u8::try_from(length).unwrap() | masked),
        length @ 126..0x1_0000 => {
            out.push(126 | masked);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(127 | masked);
            out.extend((length as u64).to_be_bytes());
        }
    }
    let key = key.inspect(|key| out.extend(key)).unwrap_or_default();
    out.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(octet, key)| octet ^ key),
    );
    out
}

/// Compresses messages with one window.
pub(crate) struct Deflater(Compress);

impl Deflater {
    pub(crate) fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    /// A message, compressed; `alone` begins with an empty window.
    pub(crate) fn message(&mut self, text: &[u8], alone: bool) -> Vec<u8> {
        if alone {
            self.0.reset();
        }
        let mut out = Vec::with_capacity(text.len() + 100);
        self.0.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    }
}
