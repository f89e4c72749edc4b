//! Frame headers (RFC 9113 section 4.1), and where a frame may begin in bytes without a known boundary.

/// Length of a frame header.
pub(super) const HEAD: usize = 9;
/// Largest payload that is believed while looking for a boundary: the largest that needs no agreement.
pub(super) const USUAL_FRAME: usize = 16 * 1024;
/// Most bytes of settings in a frame that is believed while looking for a boundary.
const USUAL_SETTINGS: usize = 32 * 6;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;
const ACK: u8 = 0x1;

/// What a frame is. Types that say nothing about exchanges are told apart no further than their checks need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Push,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// An extension.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The bit in front of the stream number, which is always 0.
    reserved: bool,
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = bytes;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Headers,
                2 => Kind::Priority,
                3 => Kind::Reset,
                4 => Kind::Settings,
                5 => Kind::Push,
                6 => Kind::Ping,
                7 => Kind::GoAway,
                8 => Kind::WindowUpdate,
                9 => Kind::Continuation,
                _ => Kind::Other,
            },
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether length and stream fit the type (RFC 9113 section 6): what does not is no frame.
    pub(super) fn is_valid(self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            Kind::Data | Kind::Headers | Kind::Push | Kind::Continuation => on_stream,
            Kind::Priority => on_stream && self.length == 5,
            Kind::Reset => on_stream && self.length == 4,
            Kind::Settings => !on_stream && self.length.is_multiple_of(6),
            Kind::Ping => !on_stream && self.length == 8,
            Kind::GoAway => !on_stream && self.length >= 8,
            Kind::WindowUpdate => self.length == 4,
            Kind::Other => true,
        }
    }

    /// Whether a frame begins here, judged without knowing where frames begin: what `is_valid` wants, no flag and no
    /// type without meaning, and a usual size.
    fn is_plausible(self) -> bool {
        let flags = match self.kind {
            Kind::Data => END_STREAM | PADDED,
            Kind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Kind::Push => END_HEADERS | PADDED,
            Kind::Continuation => END_HEADERS,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Priority | Kind::Reset | Kind::GoAway | Kind::WindowUpdate => 0,
            Kind::Other => return false,
        };
        let most = match self.kind {
            Kind::Settings => USUAL_SETTINGS,
            _ => USUAL_FRAME,
        };
        // Streams of the server's own are hardly ever there.
        let client = self.stream == 0 || self.stream % 2 == 1;
        self.is_valid() && !self.reserved && client && self.flags & !flags == 0 && self.length <= most
    }
}

/// What stands at a place, as far as the bytes so far tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// A frame, and another one behind it.
    Two,
    /// A frame that ends where the bytes end.
    One(Head),
    /// Too few bytes to say.
    More,
    No,
}

/// Judges whether a frame begins in front of `bytes`.
pub(super) fn begins(bytes: &[u8]) -> Begins {
    let Some(head) = bytes.first_chunk::<HEAD>().map(|head| Head::parse(*head)) else {
        // No usual frame is longer than 16 KiB.
        let small = bytes.first().is_none_or(|b| *b == 0) && bytes.get(1).is_none_or(|b| *b <= 0x40);
        let known = bytes.get(3).is_none_or(|kind| *kind <= 9);
        return if small && known { Begins::More } else { Begins::No };
    };
    if !head.is_plausible() {
        return Begins::No;
    }
    let Some(behind) = bytes.get(HEAD + head.length..) else {
        return Begins::More;
    };
    if behind.is_empty() {
        return Begins::One(head);
    }
    match behind.first_chunk::<HEAD>().map(|next| Head::parse(*next)) {
        Some(next) if next.is_plausible() => Begins::Two,
        Some(_) => Begins::No,
        None => Begins::More,
    }
}
