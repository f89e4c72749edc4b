//! One text on its way through the scan: keeps the last stretch of it, finds the places where a rule may fit, and tries
//! the rules there once enough of what follows has come.
//!
//! ```text
//!   pieces -> [ look-back | settled ........... | look-ahead | new ]
//!                          literals and signs are settled here ^
//! ```
//!
//! What is found depends on the text alone: places are settled in their order, each one sees the same bytes before and
//! behind it, however the text was cut into pieces.

mod choose;
mod numbers;

use super::Confidence;
use super::context::{AFTER_BYTES, ALONE_BYTES, Around, NAME_BYTES, only_values};
use super::engine::{Engine, Hit};
use super::find::machine::{End, Tried};
use super::find::ranges::Ranges;
use super::find::words::Near;
use super::judge::Verdict;
use super::key::HmacKey;
use super::rules::{Begin, MAX_LITERAL, Rule, Target};
use choose::Longest;

/// Bytes before and behind a place that are there when it is settled.
pub(super) const LOOK_BACK: usize = 8 * 1024;
const LOOK_AHEAD: usize = 8 * 1024;
/// Longest match, in bytes. The longest common value is a JSON Web Token of some kilobytes; private keys are recognised by
/// their head.
pub(super) const REACH: usize = 7 * 1024;
/// Bytes before a value in which its surroundings are looked at.
const SURROUNDINGS: usize = 1024;
/// Most bytes between the first byte of a match and its literal.
const BEFORE_LITERAL: usize = 4 * 1024;
/// Small pieces are put together until this many bytes wait: a call into vectorscan costs more than it looks at
/// in a streamed answer's four-byte pieces.
const SCAN_AT: usize = 8 * 1024;
/// Most bytes taken over at once, so that a text of any size needs a bounded buffer.
const STEP: usize = 4 * 1024;
/// Buffer size at which everything but the look-back is dropped.
const TRIM_AT: usize = 6 * LOOK_BACK;
/// Work that any scan may do on tries, and what each byte of text earns, in bytes that are looked at. Trying is the one
/// step whose cost a hostile text controls; this keeps it proportional to the text. What is not tried counts as undecided.
pub(super) const WORK_BASE: u64 = 1024 * 1024;
pub(super) const WORK_PER_BYTE: u64 = 48;
/// Bytes of a stretch in which places to try are looked for that are as much work as one byte of a try.
const WALK: u64 = 32;
/// Work of beginning a try, in bytes.
const TRY: u64 = 16;

/// A value that was found, with offsets in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) rule: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) confidence: Confidence,
    pub(super) documented: bool,
    pub(super) hmac: Option<[u8; 16]>,
    /// Length of the value, decoded.
    pub(super) bytes: u32,
    /// Of a rule with names: another value stands nearer to the name. A rule whose name is nearer knows better.
    pub(super) is_far: bool,
}

/// What one scan has used up and given up, over all its texts.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) bytes_scanned: u64,
    /// Bytes that were decoded of encoded parts and searched.
    pub(super) bytes_decoded: u64,
    /// Bytes that could be decoded but lie too deep.
    pub(super) not_decoded: u64,
    pub(super) undecided: u64,
    work: u64,
}

impl Meter {
    /// Work done so far.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    fn spend(&mut self, work: u64) {
        self.work += work;
    }

    fn is_spent(&self) -> bool {
        self.work > WORK_BASE + (self.bytes_scanned + self.bytes_decoded) * WORK_PER_BYTE
    }
}

/// Lists that are reused from place to place.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    hits: Vec<Hit>,
    places: Vec<usize>,
    ends: Vec<End>,
}

/// What stays the same for all texts of a scan.
pub(super) struct Tools<'a> {
    pub(super) engine: &'a Engine,
    pub(super) key: Option<&'a HmacKey>,
    pub(super) meter: &'a mut Meter,
    pub(super) scratch: &'a mut Scratch,
    /// Takes each value once nothing that follows can change it.
    pub(super) out: &'a mut dyn FnMut(Located),
}

impl Tools<'_> {
    /// Does a step whose values go through `map` first.
    pub(super) fn inside(
        &mut self,
        map: &mut dyn FnMut(Located) -> Option<Located>,
        step: impl FnOnce(&mut Tools<'_>),
    ) {
        let out = &mut *self.out;
        let mut mapped = |located: Located| {
            if let Some(located) = map(located) {
                out(located);
            }
        };
        step(&mut Tools {
            engine: self.engine,
            key: self.key,
            meter: self.meter,
            scratch: self.scratch,
            out: &mut mapped,
        });
    }
}

/// One text.
#[derive(Default)]
pub(super) struct Tape {
    buffer: Vec<u8>,
    /// Offset in the text of the first byte of the buffer.
    base: u64,
    /// Bytes of the buffer in which literals were looked for.
    scanned: usize,
    /// Bytes of the buffer whose places are settled.
    settled: usize,
    /// vectorscan failed here; the rest of the text goes unscanned.
    broken: bool,
    /// Literals that are not settled yet, in their order. Offsets are in the buffer.
    waiting: Vec<Hit>,
    /// No more bytes come.
    over: bool,
    /// The whole text is nothing but values.
    alone: bool,
    /// It is what was decoded of another text.
    inside: bool,
    /// Values that something that follows may still change.
    pending: Vec<Located>,
    /// Places at which rules were tried in vain, by rule.
    vain: Ranges,
    /// Words near places at which numbers may begin.
    near: Near,
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

    /// A tape for what was decoded of another text.
    pub(super) fn inside() -> Self {
        Self {
            inside: true,
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
        let is_short = self.base == 0 && self.buffer.len() <= ALONE_BYTES + NAME_BYTES;
        self.alone = is_short && only_values(&self.buffer);
        self.scan(tools);
        self.settle(tools);
        for located in self.pending.drain(..) {
            (tools.out)(located);
        }
    }

    fn scan(&mut self, tools: &mut Tools<'_>) {
        let fresh = self.buffer.len() - self.scanned;
        if fresh == 0 {
            return;
        }
        if !self.broken {
            let looked = tools
                .engine
                .literals(&self.buffer, self.scanned, &mut self.waiting);
            self.broken = looked.is_err();
        }
        if !self.broken {
            let fresh = u64::try_from(fresh).unwrap_or(u64::MAX);
            match self.inside {
                false => tools.meter.bytes_scanned += fresh,
                true => tools.meter.bytes_decoded += fresh,
            }
        }
        self.scanned = self.buffer.len();
        if self.buffer.len() - self.settled >= LOOK_AHEAD + SCAN_AT {
            self.settle(tools);
        }
        if self.buffer.len() >= TRIM_AT {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let gone = self.settled.saturating_sub(LOOK_BACK);
        self.buffer.drain(..gone);
        self.base += u64::try_from(gone).unwrap_or(u64::MAX);
        self.scanned -= gone;
        self.settled -= gone;
        self.near.trim(gone);
        for hit in &mut self.waiting {
            hit.end -= gone;
        }
    }

    /// Settles all places that are followed by enough text, in their order.
    fn settle(&mut self, tools: &mut Tools<'_>) {
        let horizon = match self.over {
            true => self.buffer.len(),
            false => self.buffer.len().saturating_sub(LOOK_AHEAD),
        };
        let mut places = std::mem::take(&mut tools.scratch.places);
        let mut hits = std::mem::take(&mut tools.scratch.hits);
        let ready = self.waiting.partition_point(|hit| hit.end <= horizon);
        hits.extend(self.waiting.drain(..ready));
        if let Some(signs) = tools.engine.plan().signs.as_ref().filter(|_| !self.broken) {
            let heads = &tools.engine.plan().heads;
            signs.starts(&self.buffer, (self.settled, horizon), |place, near| {
                if heads.may_begin(&self.buffer, place, near) {
                    places.push(place);
                }
            });
        }
        let mut rest = places.as_slice();
        for hit in &hits {
            while let [place, more @ ..] = rest
                && *place < hit.end
            {
                self.settle_place(*place, tools);
                rest = more;
            }
            self.settle_hit(*hit, tools);
        }
        for place in rest {
            self.settle_place(*place, tools);
        }
        self.settled = horizon.max(self.settled);
        places.clear();
        hits.clear();
        tools.scratch.places = places;
        tools.scratch.hits = hits;
    }

    /// A literal was found: tries the rules that it leads to.
    fn settle_hit(&mut self, hit: Hit, tools: &mut Tools<'_>) {
        let plan = tools.engine.plan();
        let (Some(length), Some(targets)) = (plan.lengths.get(hit.literal), plan.targets.get(hit.literal))
        else {
            return;
        };
        let start = hit.end - length;
        let before = start.checked_sub(1).and_then(|at| self.buffer.get(at)).copied();
        let behind = self.buffer.get(hit.end).copied();
        for target in targets {
            let (first, last) = target.beside;
            // At the ends of the text nothing is told.
            if before.is_some_and(|byte| !first.has(byte)) || behind.is_some_and(|byte| !last.has(byte)) {
                continue;
            }
            if let Some(run) = &target.behind {
                let stretch = u64::try_from(run.stretch()).unwrap_or(u64::MAX);
                tools.meter.spend(stretch / WALK);
                if !run.is_behind(hit.end, &self.buffer) {
                    continue;
                }
            }
            if let Some((first, last)) = self.begins(target, (start, hit.end))
                && !self.is_in_value_of(target.rule, start, hit.end)
            {
                self.settle_rule(target.rule, (first, last), hit.end, tools);
            }
        }
    }

    /// The first and the last place at which a match may begin that a literal from `start` to `end` leads to.
    fn begins(&self, target: &Target, (start, end): (usize, usize)) -> Option<(usize, usize)> {
        match target.at {
            Begin::Before(least, most, lead) => {
                let most = most.unwrap_or(BEFORE_LITERAL).min(BEFORE_LITERAL).min(start);
                let last = start.checked_sub(least)?;
                // What was tried in vain before the literal was so from the same begin on.
                let known = if most > 0 {
                    self.vain_until(target.rule, start)
                } else {
                    0
                };
                let before = &self.buffer[known.max(start - most)..start];
                let first = start - lead.count_at_end(before);
                (first <= last).then_some((first, last))
            }
            Begin::Behind(span) => Some((end, (end + span).min(self.buffer.len()))),
        }
    }

    /// Behind the last place before `start` at which the rule was tried in vain, in the buffer.
    fn vain_until(&self, rule: usize, start: usize) -> usize {
        let vain = self.vain.of(rule);
        match vain.end().checked_sub(self.base) {
            Some(last) if !vain.is_empty() => usize::try_from(last).map_or(start, |last| start.min(last + 1)),
            _ => 0,
        }
    }

    /// Whether these bytes belong to a value of the rule that was found already.
    fn is_in_value_of(&self, rule: usize, start: usize, end: usize) -> bool {
        let (start, end) = (self.offset(start), self.offset(end));
        let covers = |p: &Located| p.rule == rule && p.start <= start && end <= p.end;
        self.pending.iter().any(covers)
    }

    /// Tries one rule at each place of a range, until a value is found whose match reaches to `least` at least.
    fn settle_rule(
        &mut self,
        number: usize,
        (first, last): (usize, usize),
        least: usize,
        tools: &mut Tools<'_>,
    ) {
        let engine = tools.engine.clone();
        let rule = &engine.rules()[number];
        let mut undecided = false;
        let vain = self.vain.of(number);
        let mut reached = None;
        if !tools.meter.is_spent() {
            let stretch = u64::try_from(last.saturating_sub(first)).unwrap_or(u64::MAX);
            tools.meter.spend(stretch / WALK);
        }
        let mut from = first;
        while let Some(start) = rule.form.next_start(&self.buffer, from, last) {
            from = start + 1;
            // Ends that reach less far were asked for there.
            if vain.contains(&self.offset(start)) {
                continue;
            }
            if tools.meter.is_spent() {
                tools.meter.undecided += 1;
                return;
            }
            reached = Some(start);
            let limit = (start + REACH).min(self.buffer.len());
            if !rule.form.head.fits(&self.buffer[start..limit]) {
                continue;
            }
            let mut ends = std::mem::take(&mut tools.scratch.ends);
            let (tried, bytes) = engine.try_rule(number, &self.buffer, (start, limit), &mut ends);
            let fits = |at: usize| rule.form.fits(None, self.buffer.get(at).copied());
            ends.retain(|end| end.at >= least && fits(end.at));
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            tools.meter.spend(TRY + bytes);
            engine.cost(number, |cost| {
                cost.tries += 1;
                cost.bytes += bytes;
            });
            let found = self.choose((number, rule), start, &ends, tools);
            ends.clear();
            tools.scratch.ends = ends;
            if found == Longest::Found {
                break;
            }
            undecided |= tried == Tried::Cut || found == Longest::Undecided;
        }
        if let Some(last) = reached {
            self.vain.add(number, (self.offset(first), self.offset(last)));
        }
        tools.meter.undecided += u64::from(undecided);
    }

    fn offset(&self, place: usize) -> u64 {
        self.base + u64::try_from(place).unwrap_or(u64::MAX)
    }

    /// What stands around a value.
    fn around(&self, start: usize, end: usize) -> Around<'_> {
        let after = &self.buffer[end..];
        Around {
            before: &self.buffer[start.saturating_sub(SURROUNDINGS)..start],
            after: &after[..after.len().min(AFTER_BYTES)],
            alone: self.alone,
        }
    }

    fn located(
        &self,
        number: usize,
        rule: &Rule,
        (start, end): (usize, usize),
        verdict: Verdict,
        tools: &Tools<'_>,
    ) -> Located {
        let value = &self.buffer[start..end];
        let key = tools.key.filter(|_| rule.class.hashes_values());
        let hmac = key.map(|key| key.value(rule.class, value));
        Located {
            rule: number,
            start: self.offset(start),
            end: self.offset(end),
            confidence: verdict.confidence,
            documented: verdict.documented,
            hmac,
            bytes: u32::try_from(end - start).unwrap_or(u32::MAX),
            is_far: false,
        }
    }
}

// A literal is looked for again only where it could begin in what was scanned before.
const _: () = assert!(MAX_LITERAL < LOOK_BACK && BEFORE_LITERAL + SURROUNDINGS < LOOK_BACK);
// A match that begins as far behind its literal as a trigger allows must be there as a whole.
const _: () = assert!(REACH + SURROUNDINGS <= LOOK_AHEAD);
