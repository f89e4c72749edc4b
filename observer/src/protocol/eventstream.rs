//! AWS event streams (`application/vnd.amazon.eventstream`): bytes in pieces of any size in, messages out.
//!
//! A message is: total length, length of the headers, CRC of these eight bytes, headers, payload, CRC of all before it
//! (big endian, CRC-32 of IEEE 802.3). Source: "Event stream encoding" in the Smithy and Amazon Transcribe references.

#[cfg(test)]
mod tests;

use crate::budget::Held;

/// Longest message that is read; a longer one is skipped and counted.
pub const MAX_MESSAGE: usize = 1024 * 1024;
/// Lengths and their CRC.
const PRELUDE: usize = 12;
/// Prelude and the CRC at the end.
const SHORTEST: usize = PRELUDE + 4;
/// Longest message that the encoding allows: 24 MiB of payload and 128 KiB of headers.
const LONGEST: usize = 24 * 1024 * 1024 + 128 * 1024 + SHORTEST;

/// One message. `Debug` is left out: the payload is clear text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `:event-type`, else `:exception-type` or `:error-code`; empty where there is none.
    pub name: &'a [u8],
    /// The message is an exception or an error, not an event.
    pub failed: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// Decoder of one stream.
#[derive(Default)]
pub struct EventStreamDecoder {
    buffer: Held,
    /// Bytes of a message over budget that are still to come.
    skip: usize,
    over_budget: bool,
    lost: u64,
}

impl EventStreamDecoder {
    /// Bytes that belong to no message that was handed on: broken, over budget, or cut by a hole.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a message was longer than `MAX_MESSAGE`, or there was no memory for it.
    pub fn is_over_budget(&self) -> bool {
        self.over_budget
    }

    /// Takes bytes; `out` gets each message whose checksums are right.
    pub fn push(&mut self, data: &[u8], out: &mut dyn FnMut(Message<'_>)) {
        let skipped = self.skip.min(data.len());
        self.skip -= skipped;
        self.lost += skipped as u64;
        let data = data.get(skipped..).unwrap_or_default();
        if self.buffer.is_empty() {
            let used = self.run(data, out);
            self.keep(data.get(used..).unwrap_or_default());
        } else if self.buffer.extend(data) {
            let mut buffer = std::mem::take(&mut self.buffer);
            let used = self.run(&buffer, out);
            buffer.forget_first(used);
            self.buffer = buffer;
        } else {
            // Not to be kept, but its end may be here.
            let joined = [&self.buffer, data].concat();
            self.buffer = Held::default();
            match self.run(&joined, out) {
                // To try again at each push would copy it each time.
                0 => self.give_up(&joined),
                used => self.keep(joined.get(used..).unwrap_or_default()),
            }
        }
    }

    /// Reads what is whole at the front of `data`; says how much that is.
    fn run(&mut self, data: &[u8], out: &mut dyn FnMut(Message<'_>)) -> usize {
        let mut used = 0;
        while let Some(more) = self.step(data.get(used..).unwrap_or_default(), out) {
            used += more;
        }
        used
    }

    /// Keeps the front of a message; where there is no room, the message is skipped.
    fn keep(&mut self, front: &[u8]) {
        if !front.is_empty() && !self.buffer.extend(front) {
            self.give_up(front);
        }
    }

    /// Skips the message with this front.
    fn give_up(&mut self, front: &[u8]) {
        self.over_budget = true;
        self.lost += front.len() as u64;
        let total = front.get(..PRELUDE).and_then(lengths).map(|(total, _)| total);
        self.skip = total.map_or(0, |total| total.saturating_sub(front.len()));
    }

    /// Bytes are missing here. The next message is looked for: only a prelude has a right checksum.
    pub fn gap(&mut self) {
        self.lost += self.buffer.len() as u64;
        self.buffer.clear();
        self.skip = 0;
    }

    /// The stream is over. What is left of a message counts as lost.
    pub fn close(&mut self) {
        self.lost += self.buffer.len() as u64;
        self.buffer.clear();
    }

    /// Handles the front of `rest`; says how much of it, or `None` when more bytes are needed.
    fn step(&mut self, rest: &[u8], out: &mut dyn FnMut(Message<'_>)) -> Option<usize> {
        let prelude = rest.get(..PRELUDE)?;
        let Some((total, headers)) = lengths(prelude) else {
            self.lost += 1;
            return Some(1);
        };
        if total > MAX_MESSAGE {
            let here = total.min(rest.len());
            self.skip = total - here;
            self.over_budget = true;
            self.lost += here as u64;
            return Some(here);
        }
        let message = rest.get(..total)?;
        let (content, sum) = message.split_at(total - 4);
        if number(sum, 0) != Some(crc32(content) as usize) {
            // The lengths were right, so the next message stands behind it.
            self.lost += total as u64;
            return Some(total);
        }
        let head = content.get(PRELUDE..PRELUDE + headers).unwrap_or_default();
        let (name, failed) = event_name(head);
        out(Message {
            name,
            failed,
            payload: content.get(PRELUDE + headers..).unwrap_or_default(),
        });
        Some(total)
    }
}

/// Total length and length of the headers, when the prelude is one.
fn lengths(prelude: &[u8]) -> Option<(usize, usize)> {
    let (total, headers) = (number(prelude, 0)?, number(prelude, 4)?);
    let fits = (SHORTEST..=LONGEST).contains(&total) && headers <= total - SHORTEST;
    let sum = number(prelude, 8)?;
    (fits && sum == crc32(prelude.get(..8)?) as usize).then_some((total, headers))
}

/// Name of a message from its headers, and whether it tells of a failure.
fn event_name(mut headers: &[u8]) -> (&[u8], bool) {
    let (mut name, mut failed): (&[u8], bool) = (&[], false);
    while let Some((key, value, rest)) = header(headers) {
        match key {
            b":event-type" => name = value,
            b":exception-type" | b":error-code" => {
                name = value;
                failed = true;
            }
            b":message-type" if value != b"event" => failed = true,
            _ => {}
        }
        headers = rest;
    }
    (name, failed)
}

/// First header: name, value (empty where it is not text), and what follows it.
fn header(headers: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = headers.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (kind, rest) = rest.split_first()?;
    let size = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | 7 => {
            let (length, rest) = rest.split_at_checked(2)?;
            let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
            let (value, rest) = rest.split_at_checked(length)?;
            return Some((name, value, rest));
        }
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(size)?;
    Some((name, &[], rest))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = at as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

/// CRC-32 (IEEE 802.3).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        let [low, ..] = (sum ^ u32::from(*byte)).to_le_bytes();
        sum >> 8 ^ TABLE[usize::from(low)]
    })
}

/// Messages for tests.
#[cfg(test)]
pub(crate) mod testing {
    /// A message with this `:event-type`.
    pub(crate) fn message(name: &str, payload: &[u8]) -> Vec<u8> {
        framed(&[(":event-type", name), (":message-type", "event")], payload)
    }

    /// A message with these text headers.
    pub(crate) fn framed(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let total = u32::try_from(super::SHORTEST + head.len() + payload.len()).unwrap();
        let mut out = total.to_be_bytes().to_vec();
        out.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&super::crc32(&out).to_be_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
        out.extend_from_slice(&super::crc32(&out).to_be_bytes());
        out
    }
}
