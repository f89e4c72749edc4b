//! A door for the fuzzer to what reads bytes of clients. Not part of the interface.

use std::io::sink;

use super::{
    frame::{self, Frames},
    request::{Request, form_boundary},
    statement::{Look, Statement, look},
};

/// End of the statement and start of the data, where `text` is an INSERT with data. `None` while more text is needed or
/// when it is refused.
pub fn statement(text: &[u8], complete: bool, data_follows: bool) -> Option<Option<(usize, usize)>> {
    match look(text, complete, data_follows) {
        Ok(Look::Is(Statement::Insert { head, data, .. })) => Some(Some((head, data))),
        Ok(Look::Is(_)) => Some(None),
        Ok(Look::More) | Err(_) => None,
    }
}

/// Raw bytes in native frames; `None` when they are damaged.
pub fn frames(bytes: &[u8]) -> Option<u64> {
    std::io::copy(&mut Frames::new(bytes), &mut sink()).ok()
}

/// A frame with these fields and a checksum that fits.
pub fn frame(method: u8, raw: u32, data: &[u8]) -> Vec<u8> {
    frame::framed(method, data, raw)
}

/// Reads a form.
pub fn form(content_type: &str, body: &[u8]) {
    if let Some(boundary) = form_boundary(content_type) {
        // Only crashes count here.
        let _ = Request::default().form(body, &boundary);
    }
}

/// Reads the query part of a URL.
pub fn url(query: &str) {
    // Only crashes count here.
    let _ = Request::from_url(query);
}
