//! Whether a connection speaks HTTP/2, judged from the first bytes of a direction.

use super::frame::{self, Begins};
use super::{PREFACE, Side};

/// Length of a frame header.
const FRAME_HEAD: usize = 9;
/// Frame type SETTINGS, the first frame a server sends.
const SETTINGS: u8 = 4;

/// What the first bytes of a direction say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// HTTP/2.
    Yes,
    /// Not HTTP/2.
    No,
    /// Too few bytes to say.
    More,
}

/// Whether a connection begins here: with the client's preface, or with the server's first SETTINGS frame.
pub fn opening(bytes: &[u8], side: Side) -> Opening {
    match side {
        Side::Request if bytes.starts_with(PREFACE) => Opening::Yes,
        Side::Request if PREFACE.starts_with(bytes) => Opening::More,
        Side::Request => Opening::No,
        Side::Response => settings_frame(bytes),
    }
}

/// Whether a connection goes on here that was joined at a frame boundary: frames follow each other, or one ends where
/// the bytes end.
pub fn joined(bytes: &[u8]) -> Opening {
    match frame::begins(bytes) {
        Begins::Two | Begins::One(_) => Opening::Yes,
        Begins::No => Opening::No,
        Begins::More => Opening::More,
    }
}

fn settings_frame(bytes: &[u8]) -> Opening {
    // Two high bytes of the length, then the type (at 3), no flags, stream 0. A settings frame is short.
    let expected = [
        Some(0),
        Some(0),
        None,
        Some(SETTINGS),
        Some(0),
        Some(0),
        Some(0),
        Some(0),
        Some(0),
    ];
    let fits = bytes
        .iter()
        .zip(expected)
        .all(|(byte, want)| want.is_none_or(|want| want == *byte));
    let whole_settings = bytes.get(2).is_none_or(|length| length % 6 == 0);
    match (fits && whole_settings, bytes.len() >= FRAME_HEAD) {
        (false, _) => Opening::No,
        (true, true) => Opening::Yes,
        (true, false) => Opening::More,
    }
}
