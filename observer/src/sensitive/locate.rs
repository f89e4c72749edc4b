//! One text on its way through vectorscan: keeps the last stretch of it, and turns "rule R ends at N" into a value
//! with a start, or into nothing.
//!
//! ```text
//!   pieces -> [ look-back | not yet scanned ] -> vectorscan -> ends -> confirm in look-back -> values
//! ```

use super::Confidence;
use super::context::{AFTER_BYTES, Around, only_values};
use super::engine::{Engine, EngineError, Hit, Stream};
use super::judge::{Verdict, judge};
use super::key::HmacKey;
use super::rules::{Entry, Rank, Rule};

/// How far before the end of a match its start is looked for, in bytes. The longest common value is a JSON Web
/// Token of some kilobytes; private keys are recognised by their head.
pub(super) const LOOK_BACK: usize = 8 * 1024;
/// Small pieces are put together until this many bytes wait: a call into vectorscan costs more than it looks at
/// in a streamed answer's four-byte pieces.
const SCAN_AT: usize = 1024;
/// Most bytes taken over at once, so that a text of any size needs a bounded buffer.
const STEP: usize = 4 * 1024;
/// Buffer size at which everything but the look-back is dropped.
const TRIM_AT: usize = 4 * LOOK_BACK;
/// How far before the end of a match a word of an `assign` rule is looked for, in bytes; more than such a match has.
const REACH_OF_WORDS: usize = 640;
/// Starts tried for one end before it is given up.
const TRIES: usize = 24;
/// Confirmations that any scan may make, and bytes of text that earn one more. Confirming is the one step whose
/// cost a hostile text controls; this keeps it proportional to the text.
const CONFIRM_BASE: u64 = 4_096;
const BYTES_PER_CONFIRM: u64 = 8;

/// A value that was found, with offsets in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) rule: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) confidence: Confidence,
    pub(super) documented: bool,
    pub(super) hmac: Option<[u8; 16]>,
    /// Newlines before the start of the value.
    pub(super) line: u64,
}

/// What one scan has used up and given up, over all its texts.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) bytes_scanned: u64,
    pub(super) undecided: u64,
    confirmed: u64,
}

impl Meter {
    fn allow(&mut self) -> bool {
        self.confirmed += 1;
        self.confirmed <= CONFIRM_BASE + self.bytes_scanned / BYTES_PER_CONFIRM
    }
}

/// What stays the same for all texts of a scan.
pub(super) struct Tools<'a> {
    pub(super) engine: &'a Engine,
    pub(super) key: Option<&'a HmacKey>,
    pub(super) meter: &'a mut Meter,
    /// Scratch list, empty between calls.
    pub(super) hits: &'a mut Vec<Hit>,
    /// Takes each value once nothing that follows can change it.
    pub(super) out: &'a mut dyn FnMut(Located),
}

/// One text.
#[derive(Default)]
pub(super) struct Tape {
    buffer: Vec<u8>,
    /// Offset in the text of the first byte of the buffer.
    base: u64,
    /// Bytes of the buffer that vectorscan has seen.
    scanned: usize,
    /// Newlines before the buffer.
    lines: u64,
    stream: Option<Stream>,
    /// vectorscan failed here; the rest of the text goes unscanned.
    broken: bool,
    /// Matches whose value may be judged once what follows them is there.
    unjudged: Vec<Hit>,
    /// No more bytes come.
    over: bool,
    /// The last value of each rule, which a longer match may still replace.
    pending: Vec<Located>,
}

impl Tape {
    /// A tape that reuses a buffer.
    pub(super) fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            buffer,
            ..Self::default()
        }
    }

    /// The buffer, for the next tape.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Takes the next piece of the text.
    pub(super) fn feed(&mut self, piece: &[u8], tools: &mut Tools<'_>) {
        for part in piece.chunks(STEP) {
            self.buffer.extend_from_slice(part);
            if self.buffer.len() - self.scanned >= SCAN_AT {
                self.scan(tools);
            }
        }
    }

    /// The text is over: what waits is scanned, what only the end decides is decided.
    pub(super) fn end(&mut self, tools: &mut Tools<'_>) {
        self.over = true;
        self.scan(tools);
        if let Some(stream) = self.stream.take() {
            // A failure here loses only matches that need the end of the text; the bytes were looked at.
            if stream.close(tools.hits).is_err() {
                tools.meter.undecided += 1;
            }
        }
        self.confirm(tools);
        for located in self.pending.drain(..) {
            (tools.out)(located);
        }
    }

    fn scan(&mut self, tools: &mut Tools<'_>) {
        let waiting = self.buffer.len() - self.scanned;
        if waiting == 0 {
            return;
        }
        if !self.broken && self.look(tools).is_err() {
            self.broken = true;
            self.stream = None;
        }
        if !self.broken {
            tools.meter.bytes_scanned += u64::try_from(waiting).unwrap_or(u64::MAX);
        }
        self.scanned = self.buffer.len();
        self.confirm(tools);
        self.trim();
    }

    fn look(&mut self, tools: &mut Tools<'_>) -> Result<(), EngineError> {
        if self.stream.is_none() {
            self.stream = tools.engine.stream()?;
        }
        match &mut self.stream {
            Some(stream) => stream.scan(&self.buffer[self.scanned..], tools.hits),
            None => Ok(()),
        }
    }

    fn trim(&mut self) {
        if self.buffer.len() >= TRIM_AT {
            let gone = self.buffer.len() - LOOK_BACK - AFTER_BYTES;
            self.lines += newlines(&self.buffer[..gone]);
            self.buffer.drain(..gone);
            self.base += u64::try_from(gone).unwrap_or(u64::MAX);
            self.scanned -= gone;
        }
    }

    fn confirm(&mut self, tools: &mut Tools<'_>) {
        let mut hits = std::mem::take(&mut self.unjudged);
        hits.append(tools.hits);
        let there = self.base + u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let follows = u64::try_from(AFTER_BYTES).unwrap_or(u64::MAX);
        self.unjudged = hits
            .extract_if(.., |(_, end)| !self.over && *end + follows > there)
            .collect();
        let entries = tools.engine.entries().clone();
        for (entry, end) in hits.drain(..) {
            match entries.get(entry) {
                Some(Entry::Rule(number)) => self.confirm_rule(*number, end, tools),
                Some(Entry::Assigned { members, words }) => {
                    let near = self.before(end, REACH_OF_WORDS);
                    let occurring = near.map(|near| words.matches(near));
                    for at in occurring.iter().flatten() {
                        self.confirm_rule(members[at], end, tools);
                    }
                }
                None => {}
            }
        }
    }

    /// What stands around a value that begins at `start` in a window and ends at `end` in the buffer.
    fn around<'a>(&'a self, window: &'a [u8], start: usize, end: usize) -> Around<'a> {
        let after = self.buffer.get(end..).unwrap_or_default();
        Around {
            before: &window[..start],
            after: &after[..after.len().min(AFTER_BYTES)],
            alone: self.over && self.base == 0 && only_values(&self.buffer),
        }
    }

    /// The bytes before offset `end`, at most so many.
    fn before(&self, end: u64, most: usize) -> Option<&[u8]> {
        let end = end.checked_sub(self.base).and_then(|n| usize::try_from(n).ok())?;
        self.buffer.get(end.saturating_sub(most)..end)
    }

    /// Looks for a value of the rule of this number whose match ends at offset `end`, and keeps it.
    fn confirm_rule(&mut self, number: usize, end: u64, tools: &mut Tools<'_>) {
        let Some(rule) = tools.engine.rules().get(number).cloned() else {
            return;
        };
        match self.confirm_one(&rule, end, tools) {
            Outcome::Found { start, end, verdict } => {
                let value = &self.buffer[start..end];
                let hmac = tools
                    .key
                    .filter(|_| rule.class.hashes_values())
                    .map(|k| k.value(rule.class, value));
                let (line, base) = (self.lines + newlines(&self.buffer[..start]), self.base);
                let offset = |index: usize| base + u64::try_from(index).unwrap_or(u64::MAX);
                let (start, end) = (offset(start), offset(end));
                let found = Located {
                    rule: number,
                    start,
                    end,
                    confidence: verdict.confidence,
                    documented: verdict.documented,
                    hmac,
                    line,
                };
                self.keep(found, tools);
            }
            Outcome::Nothing => {}
            Outcome::Undecided => tools.meter.undecided += 1,
        }
    }

    /// Looks for a value of `rule` whose match ends at offset `end`. Positions in the answer are in the buffer.
    fn confirm_one(&self, rule: &Rule, end: u64, tools: &mut Tools<'_>) -> Outcome {
        let Some(window) = self.before(end, LOOK_BACK) else {
            return Outcome::Undecided;
        };
        let end = end.checked_sub(self.base).and_then(|n| usize::try_from(n).ok());
        let skipped = end.unwrap_or_default() - window.len();
        // No match of the rule is longer than its reach: what stands before that is context only.
        let reach = rule.reach.unwrap_or(usize::MAX);
        let clipped = (self.base > 0 || skipped > 0) && reach >= window.len();
        // Where the window does not begin with the text, its first byte may only stand before a value.
        let mut from = usize::from(clipped).max(window.len().saturating_sub(reach));
        let mut seen = false;
        let mut locations = rule.confirm.capture_locations();
        for _ in 0..TRIES {
            if !tools.meter.allow() {
                return Outcome::Undecided;
            }
            let Some(whole) = rule.confirm.captures_read_at(&mut locations, window, from) else {
                return if seen || !clipped {
                    Outcome::Nothing
                } else {
                    Outcome::Undecided
                };
            };
            seen = true;
            if let Some((start, end)) = locations.get(1)
                && let Ok(verdict) = judge(
                    rule,
                    &self.around(window, start, skipped + end),
                    &window[start..end],
                )
            {
                return Outcome::Found {
                    start: skipped + start,
                    end: skipped + end,
                    verdict,
                };
            }
            from = whole.start() + 1;
        }
        Outcome::Nothing
    }

    /// Keeps a value until a later one shows that it cannot grow any more. Two overlapping values of one rule are
    /// one value. A rule yields to one of a higher rank, whichever comes first; where two of the same rank know no
    /// form of their own, the first one stays.
    fn keep(&mut self, found: Located, tools: &mut Tools<'_>) {
        let rank = |located: &Located| tools.engine.rules()[located.rule].rank;
        let overlaps = |other: &Located| other.start < found.end && found.start < other.end;
        let own = rank(&found);
        let beats = |other: &Located| {
            other.rule != found.rule && (rank(other) > own || (rank(other) == own && own < Rank::Special))
        };
        if self.pending.iter().any(|p| beats(p) && overlaps(p)) {
            return;
        }
        self.pending.retain(|p| rank(p) >= own || !overlaps(p));
        let Some(last) = self.pending.iter_mut().find(|p| p.rule == found.rule) else {
            self.pending.push(found);
            return;
        };
        if found.start >= last.end {
            let finished = std::mem::replace(last, found);
            (tools.out)(finished);
        } else {
            let (start, end) = (last.start.min(found.start), last.end.max(found.end));
            let line = last.line.min(found.line);
            let longer = found.end - found.start > last.end - last.start;
            let better = if longer { found } else { last.clone() };
            *last = Located {
                start,
                end,
                line,
                ..better
            };
        }
    }
}

enum Outcome {
    Found {
        start: usize,
        end: usize,
        verdict: Verdict,
    },
    Nothing,
    Undecided,
}

fn newlines(bytes: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u64::MAX)
}
