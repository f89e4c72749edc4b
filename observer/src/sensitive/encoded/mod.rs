//! Texts inside a text: what stands in it encoded is decoded and scanned, too, down to a depth.
//!
//! ```text
//!   text -> tape
//!     +---> words with escapes, decoded -> tape
//!     |       +---> ... once more
//!     +---> base64 that holds text, decoded -> tape
//!             +---> ... once more; what is encoded in that is counted, not scanned
//! ```
//!
//! A value found below has the place of its outer text. A word with escapes is scanned twice, so a value in it counts
//! below only where something in it was decoded, or something directly before it that hides it in the outer text.

mod base64;
mod escapes;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::locate::{Located, Tape, Tools};

/// How deep encodings are followed.
pub(super) const DEPTH: u8 = 2;
/// Most bytes of one text that are given out by one decoder.
const MOST: u64 = 64 * 1024 * 1024;
/// Most places that are remembered of what was decoded.
const MEMORY: usize = 16 * 1024;

/// What a decoder tells.
enum Event {
    /// An encoded part begins at this offset of the outer text.
    Begin(u64),
    /// Bytes as they stand in it.
    Plain,
    /// Bytes that were decoded; whether what stood for the last one ends in a letter or digit, so that a value behind it
    /// cannot be seen in the outer text.
    Decoded(bool),
    /// It ended at this offset. With what keeps it apart from the next one.
    End(u64),
}

/// Takes events, each with its bytes.
type Sink<'a> = dyn FnMut(Event, &[u8]) + 'a;

/// A text with the texts inside it.
#[derive(Default)]
pub(super) struct Text {
    tape: Tape,
    depth: u8,
    escapes: Inner<escapes::Escapes>,
    base64: Inner<base64::Base64>,
}

/// A decoder, and the text of all that it gave out.
#[derive(Default)]
struct Inner<D> {
    decoder: D,
    out: Out,
}

/// What one decoder gave out.
#[derive(Default)]
struct Out {
    text: Option<Box<Text>>,
    /// Bytes given out.
    given: u64,
    parts: VecDeque<Part>,
    decoded: VecDeque<Decoded>,
}

/// Bytes that were decoded, as offsets in what was given out.
#[derive(Debug, Clone, Copy)]
struct Decoded {
    start: u64,
    end: u64,
    /// See [`Event::Decoded`].
    hides: bool,
}

/// One encoded part: where it is in the outer text, and in what was given out.
#[derive(Debug, Clone, Copy)]
struct Part {
    outer: (u64, u64),
    inner: (u64, u64),
}

impl Text {
    /// A text that reuses a buffer.
    pub(super) fn with_buffer(buffer: Vec<u8>) -> Self {
        Self {
            tape: Tape::with_buffer(buffer),
            ..Self::default()
        }
    }

    /// The buffer, for the next text.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.tape.into_buffer()
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8], tools: &mut Tools<'_>) {
        self.tape.feed(piece, tools);
        let depth = self.depth;
        let Inner { decoder, out } = &mut self.escapes;
        decoder.feed(piece, &mut |event, bytes| out.take(depth, event, bytes, tools));
        let Inner { decoder, out } = &mut self.base64;
        decoder.feed(piece, &mut |event, bytes| out.take(depth, event, bytes, tools));
    }

    /// The text is over.
    pub(super) fn end(&mut self, tools: &mut Tools<'_>) {
        self.tape.end(tools);
        let depth = self.depth;
        let Inner { decoder, out } = &mut self.escapes;
        decoder.end(&mut |event, bytes| out.take(depth, event, bytes, tools));
        out.end(tools);
        let Inner { decoder, out } = &mut self.base64;
        decoder.end(&mut |event, bytes| out.take(depth, event, bytes, tools));
        out.end(tools);
    }
}

impl Out {
    fn take(&mut self, depth: u8, event: Event, bytes: &[u8], tools: &mut Tools<'_>) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if depth >= DEPTH || self.given + length > MOST {
            if matches!(event, Event::Decoded(_)) {
                tools.meter.not_decoded += length;
            }
            return;
        }
        let given = self.given;
        match event {
            Event::Begin(outer) => self.parts.push_back(Part {
                outer: (outer, u64::MAX),
                inner: (given, u64::MAX),
            }),
            Event::Plain => {}
            Event::Decoded(hides) => match self.decoded.back_mut() {
                Some(last) if last.end == given => {
                    last.end += length;
                    last.hides = hides;
                }
                _ => self.decoded.push_back(Decoded {
                    start: given,
                    end: given + length,
                    hides,
                }),
            },
            Event::End(outer) => {
                if let Some(part) = self.parts.back_mut() {
                    (part.outer.1, part.inner.1) = (outer, given);
                }
            }
        }
        self.given += length;
        if bytes.is_empty() {
            return;
        }
        let text = self.text.get_or_insert_with(|| {
            Box::new(Text {
                tape: Tape::inside(),
                depth: depth + 1,
                ..Text::default()
            })
        });
        let (parts, decoded) = (&self.parts, &self.decoded);
        tools.inside(&mut |located| outer(parts, decoded, located), |tools| {
            text.feed(bytes, tools);
        });
        while self.parts.len() > MEMORY {
            self.parts.pop_front();
        }
        while self.decoded.len() > MEMORY {
            self.decoded.pop_front();
        }
    }

    fn end(&mut self, tools: &mut Tools<'_>) {
        let (parts, decoded) = (&self.parts, &self.decoded);
        if let Some(text) = &mut self.text {
            tools.inside(&mut |located| outer(parts, decoded, located), |tools| {
                text.end(tools);
            });
        }
    }
}

/// A value of what was given out as one of the outer text; `None` where it can be seen there as it stands.
fn outer(parts: &VecDeque<Part>, decoded: &VecDeque<Decoded>, located: Located) -> Option<Located> {
    let first = decoded.partition_point(|d| d.end < located.start);
    let near = decoded.iter().skip(first).take_while(|d| d.start < located.end);
    let mut counts = near.map(|d| d.end > located.start || d.hides);
    if !counts.any(|counts| counts) {
        return None;
    }
    let part = parts.partition_point(|part| part.inner.0 <= located.start);
    let part = parts.get(part.checked_sub(1)?)?;
    Some(Located {
        start: part.outer.0,
        end: part.outer.1,
        ..located
    })
}
