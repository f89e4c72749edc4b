//! Which of the matches that begin at one place counts.

use super::{Located, Tape, Tools};
use crate::sensitive::find::machine::End;
use crate::sensitive::judge::{Verdict, judge};
use crate::sensitive::overlap;
use crate::sensitive::rules::{Rank, Rule};

/// Work of judging a match, and of finding the value in each byte of one, in bytes that are looked at.
const JUDGE: u64 = 128;
const VALUE: u64 = 4;
/// Most ends of matches from one place that are judged, the longest ones. A class of a rule that holds what may also
/// stand behind its value gives one end for each byte, each of which costs as much as the whole match.
const MAX_JUDGED: usize = 12;

/// What became of the matches from one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Longest {
    /// A value was found.
    Found,
    /// None of them counts.
    None,
    /// There were more than are judged.
    Undecided,
}

impl Longest {
    /// Of two stretches: a value in one of them is enough.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Found, _) | (_, Self::Found) => Self::Found,
            (Self::None, Self::None) => Self::None,
            _ => Self::Undecided,
        }
    }
}

impl Tape {
    /// Keeps what counts of the matches that begin at `start`: the longest one; of a rule with names the longest one for each
    /// value. `ends` are in ascending order.
    pub(super) fn choose(
        &mut self,
        rule: (usize, &Rule),
        start: usize,
        ends: &[End],
        tools: &mut Tools<'_>,
    ) -> Longest {
        if rule.1.rank != Rank::Assigned {
            return self.longest(rule, start, (ends, false), tools);
        }
        // What is assigned to the name of a service is what stands nearest to it. The pattern reaches further, to another value
        // of the same service (its secret behind its key) or to the next name.
        let (mut rest, mut chosen) = (ends, Longest::None);
        while !rest.is_empty() {
            let (near, far) = rest.split_at(self.nearest(rule, start, rest, tools));
            let is_far = chosen == Longest::Found;
            match self.longest(rule, start, (near, is_far), tools) {
                Longest::Undecided if is_far => break,
                found => chosen = chosen.or(found),
            }
            rest = far;
        }
        chosen
    }

    /// Keeps the longest of these matches whose value counts, of the [`MAX_JUDGED`] longest ones.
    fn longest(
        &mut self,
        (number, rule): (usize, &Rule),
        start: usize,
        (ends, is_far): (&[End], bool),
        tools: &mut Tools<'_>,
    ) -> Longest {
        let fits = |end: &&End| rule.form.fits(None, self.buffer.get(end.at).copied());
        for (judged, end) in ends.iter().rev().filter(fits).enumerate() {
            if judged >= MAX_JUDGED || tools.meter.is_spent() {
                return Longest::Undecided;
            }
            let Some((value, verdict)) = self.judged((number, rule), (start, end.at), tools) else {
                continue;
            };
            tools.engine.cost(number, |cost| cost.found += 1);
            let found = Located {
                is_far,
                ..self.located(number, rule, value, verdict, tools)
            };
            let (at, rules) = (self.offset(start), tools.engine.rules());
            overlap::keep(&mut self.pending, found, (at, self.alone), rules, tools.out);
            return Longest::Found;
        }
        Longest::None
    }

    /// How many of these ends are those of the first value that counts, and of what is before it that does not.
    fn nearest(
        &self,
        (number, rule): (usize, &Rule),
        start: usize,
        ends: &[End],
        tools: &mut Tools<'_>,
    ) -> usize {
        if ends.len() < 2 {
            return ends.len();
        }
        for (place, end) in ends.iter().enumerate().take(MAX_JUDGED) {
            if tools.meter.is_spent() {
                break;
            }
            if let Some(((from, _), _)) = self.judged((number, rule), (start, end.at), tools) {
                // A part of a value may look like one.
                let same = |end: &End| {
                    let value = self.value(rule, (start, end.at), tools);
                    value.is_some_and(|(begin, _)| begin <= from)
                };
                return place + ends[place..].partition_point(same);
            }
        }
        ends.len()
    }

    /// The value in a match, with what speaks for it; `None` where it does not count.
    fn judged(
        &self,
        (number, rule): (usize, &Rule),
        whole: (usize, usize),
        tools: &mut Tools<'_>,
    ) -> Option<((usize, usize), Verdict)> {
        tools.meter.spend(JUDGE);
        tools.engine.cost(number, |cost| cost.judged += 1);
        let (from, to) = self.value(rule, whole, tools)?;
        let verdict = judge(rule, &self.around(from, to), &self.buffer[from..to]).ok()?;
        Some(((from, to), verdict))
    }

    /// The value in a match.
    fn value(
        &self,
        rule: &Rule,
        (start, end): (usize, usize),
        tools: &mut Tools<'_>,
    ) -> Option<(usize, usize)> {
        if rule.form.is_grouped() {
            let bytes = u64::try_from(end - start).unwrap_or(u64::MAX);
            tools.meter.spend(VALUE * bytes);
        }
        rule.form.value(&self.buffer, start, end)
    }
}
