//! One direction of a connection: bytes in, parts of frames out.

use super::frame::{self, Begins, HEAD, Head, Kind, PADDED, PRIORITY};
use super::hpack::Decoder;
use super::{MAX_BLOCK, PREFACE};
use crate::{budget::Held, protocol::Incomplete};

/// Octets of SETTINGS, RST_STREAM and GOAWAY frames that are looked at.
const MAX_SMALL: usize = 32 * 6;

/// ```text
/// Preface (client) -> Head -> Payload -> Head ...
///   any -> Seeking (hole across a boundary, nonsense) -> Head where frames follow each other
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// That many octets of the client's preface came.
    Preface(usize),
    /// In front of a frame, or in its header.
    Head,
    Payload,
    /// Looking for a boundary.
    Seeking,
}

/// What the front of the input was; how much of it, comes beside it.
pub(super) enum Part {
    /// Nothing to tell.
    Nothing,
    /// A frame header is whole.
    Begin,
    /// Content: octets without padding and the fields in front.
    Content,
    /// Not HTTP/2.
    Broken,
}

/// A header block on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    /// Announces a stream of the server's own.
    pub(super) push: bool,
    /// Why it cannot be decoded.
    pub(super) damage: Option<Incomplete>,
    /// Octets on the connection so far, frame headers included.
    pub(super) wire: u64,
}

pub(super) struct Half {
    pub(super) state: State,
    head: [u8; HEAD],
    have: usize,
    pub(super) frame: Head,
    /// Octets of the payload still to come, padding included.
    pub(super) left: usize,
    padding: usize,
    /// Fields in front of the content: how many octets there are, and how many came.
    prefix: (usize, usize),
    /// The content of this frame cannot be read.
    pub(super) damaged: bool,
    pub(super) small: Vec<u8>,
    pub(super) block: Option<Block>,
    pub(super) fragments: Held,
    pub(super) table: Decoder,
    /// Bytes in which a boundary is looked for.
    pub(super) kept: Vec<u8>,
    /// Why they are skipped.
    pub(super) skip_reason: Incomplete,
    /// Frames may have come that were not seen.
    pub(super) missed: bool,
}

impl Half {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            head: [0; HEAD],
            have: 0,
            frame: Head::parse([0; HEAD]),
            left: 0,
            padding: 0,
            prefix: (0, 0),
            damaged: false,
            small: Vec::new(),
            block: None,
            fragments: Held::default(),
            table: Decoder::new(),
            kept: Vec::new(),
            skip_reason: Incomplete::Malformed,
            missed: false,
        }
    }

    /// Whether no octet of a frame header or of a header block is pending.
    pub(super) fn is_idle(&self) -> bool {
        let head = matches!(self.state, State::Head) && self.have > 0;
        let fields = matches!(self.state, State::Payload) && self.frame.kind == Kind::Headers;
        !head && !fields && self.block.is_none()
    }

    /// Takes octets of the preface: how many, and whether they are right.
    pub(super) fn preface(&mut self, seen: usize, data: &[u8]) -> (usize, bool) {
        let expected = PREFACE.get(seen..).unwrap_or_default();
        let take = data.len().min(expected.len());
        if data.get(..take) != expected.get(..take) {
            return (0, false);
        }
        self.state = match seen + take == PREFACE.len() {
            true => State::Head,
            false => State::Preface(seen + take),
        };
        (take, true)
    }

    /// Takes octets of a frame header.
    pub(super) fn frame_head(&mut self, data: &[u8]) -> (usize, Part) {
        let take = data.len().min(HEAD - self.have);
        for (place, octet) in self.head.iter_mut().skip(self.have).zip(data) {
            *place = *octet;
        }
        self.have += take;
        if self.have < HEAD {
            return (take, Part::Nothing);
        }
        self.have = 0;
        let head = Head::parse(self.head);
        if !head.is_valid() {
            return (take, Part::Broken);
        }
        self.frame = head;
        self.left = head.length;
        self.padding = 0;
        self.damaged = false;
        self.small.clear();
        let of = |there: bool, octets: usize| if there { octets } else { 0 };
        let prefix = match head.kind {
            Kind::Data => of(head.has(PADDED), 1),
            Kind::Headers => of(head.has(PADDED), 1) + of(head.has(PRIORITY), 5),
            Kind::Push => of(head.has(PADDED), 1) + 4,
            _ => 0,
        };
        if prefix > head.length {
            // RFC 9113 section 6.1 and 6.2: an error, but the boundary is known.
            self.damaged = true;
        }
        self.prefix = (prefix.min(head.length), 0);
        self.state = State::Payload;
        (take, Part::Begin)
    }

    /// Takes octets of the payload. `left` is 0 when the frame is over.
    pub(super) fn payload(&mut self, data: &[u8]) -> (usize, Part) {
        let (size, have) = self.prefix;
        if have < size {
            let take = data.len().min(size - have);
            if have == 0 && self.frame.has(PADDED) && take > 0 {
                self.padding = data.first().map_or(0, |octets| usize::from(*octets));
            }
            self.prefix.1 += take;
            self.left -= take;
            if self.prefix.1 == size && self.padding > self.left {
                self.damaged = true;
                self.padding = self.left;
            }
            return (take, Part::Nothing);
        }
        let content = self.left - self.padding.min(self.left);
        let part = match content == 0 || self.damaged {
            true => Part::Nothing,
            false => Part::Content,
        };
        let most = if content == 0 { self.left } else { content };
        let take = data.len().min(most);
        self.left -= take;
        (take, part)
    }

    /// Takes a hole of `missing` octets if it lies inside the current payload: how many octets of content are missing.
    pub(super) fn skip(&mut self, missing: u64) -> Option<usize> {
        let missing = usize::try_from(missing)
            .ok()
            .filter(|missing| *missing <= self.left)?;
        if self.state != State::Payload {
            return None;
        }
        let (size, have) = self.prefix;
        if have < size {
            // Where the content ends is not known any more.
            self.damaged = true;
            self.prefix = (0, 0);
            self.padding = 0;
        }
        let content = self.left - self.padding.min(self.left);
        self.left -= missing;
        Some(missing.min(content))
    }

    /// Keeps a part of a frame that is read as a whole.
    pub(super) fn keep_small(&mut self, data: &[u8]) {
        let room = MAX_SMALL - self.small.len().min(MAX_SMALL);
        self.small.extend(data.iter().take(room));
    }

    /// So many octets more belong to the header block.
    pub(super) fn count_block(&mut self, octets: usize) {
        if let Some(block) = &mut self.block {
            block.wire = block.wire.saturating_add(octets as u64);
        }
    }

    /// Keeps a part of a header block.
    pub(super) fn keep_fragment(&mut self, data: &[u8]) {
        let Some(block) = &mut self.block else { return };
        if block.damage.is_some() {
            return;
        }
        if data.len() > MAX_BLOCK - self.fragments.len().min(MAX_BLOCK) {
            block.damage = Some(Incomplete::OverBudget);
            self.fragments = Held::default();
        } else {
            self.fragments.append(data);
        }
    }

    /// The rest of a header block has to come; where there is no room to wait for it, it is not read.
    pub(super) fn settle_block(&mut self) {
        if let Some(block) = &mut self.block
            && !self.fragments.settle()
        {
            block.damage.get_or_insert(Incomplete::OverBudget);
            self.fragments = Held::default();
        }
    }

    /// Frames were missed or cannot be found.
    pub(super) fn lose(&mut self, why: Incomplete) {
        self.state = State::Seeking;
        self.have = 0;
        self.left = 0;
        self.skip_reason = why;
        self.fragments = Held::default();
        self.table.lose();
        self.missed = true;
    }

    /// Looks for a boundary in `kept`: where one is, or how many octets cannot hold one. `open` says whether a stream is
    /// open in this direction, `over` that no more octets come.
    pub(super) fn seek(kept: &[u8], over: bool, open: impl Fn(u32) -> bool) -> Result<usize, usize> {
        for at in 0..kept.len() {
            let rest = kept.get(at..).unwrap_or_default();
            match frame::begins(rest) {
                Begins::Two => return Ok(at),
                Begins::One(head) if over || open(head.stream) => return Ok(at),
                Begins::More if !over => return Err(at),
                Begins::One(_) if !over => return Err(at),
                Begins::One(_) | Begins::More | Begins::No => {}
            }
        }
        Err(kept.len())
    }
}
