//! Records of the ring buffer.

use observer_common::wire::{Body, decode};

/// Decodes `data` and every cut of its front.
pub fn run(data: &[u8]) {
    let whole = decode(data);
    if let Ok((_, Body::TlsData(fields, payload))) = &whole {
        assert_eq!(fields.len as usize, payload.len());
    }
    if let Ok((_, Body::TlsName(fields, name))) = &whole {
        assert_eq!(fields.len as usize, name.len());
    }
    for cut in 0..data.len().min(160) {
        // A cut record is never another record.
        if let (Ok(cut), Ok(whole)) = (decode(&data[..cut]), &whole) {
            assert_eq!(cut, *whole);
        }
    }
}
