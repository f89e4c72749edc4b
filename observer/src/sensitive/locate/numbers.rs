//! A place at which a number may begin: which rules of numbers are tried there, and which of them count.
//!
//! ```text
//!   place -> how matches begin -> rules that need no word -> their machine ---------------> judged
//!                              -> rules that want one ----> their machine -> word near? --> judged
//!                                                           (before it, where the words near are known)
//! ```

use super::choose::Longest;
use super::{REACH, TRY, Tape, Tools};
use crate::sensitive::engine::Kin;
use crate::sensitive::find::heads::Which;
use crate::sensitive::find::machine::{End, Tried};

impl Tape {
    /// A word begins here, and a sign is near: tries the rules of numbers.
    pub(super) fn settle_place(&mut self, start: usize, tools: &mut Tools<'_>) {
        let fit = tools.engine.plan().heads.fit(&self.buffer, start);
        if fit.is_empty() {
            return;
        }
        let limit = (start + REACH).min(self.buffer.len());
        let mut ends = std::mem::take(&mut tools.scratch.ends);
        let mut cut = false;
        for kin in [Kin::Free, Kin::Wanting] {
            let fit = fit.and(tools.engine.group(kin).all);
            if fit.is_empty() || kin == Kin::Wanting && !self.could_be_wanted(start, fit, tools) {
                continue;
            }
            if tools.meter.is_spent() {
                tools.meter.undecided += 1;
                break;
            }
            let first = ends.len();
            let (tried, bytes) = tools
                .engine
                .try_numbers(kin, &self.buffer, (start, limit), &mut ends);
            // Each end is sorted and looked at again.
            let told = ends.len() - first;
            tools
                .meter
                .spend(TRY + u64::try_from(bytes + told).unwrap_or(u64::MAX));
            // The machine tries many rules; that one of them could go on says nothing where another one ended.
            cut |= tried == Tried::Cut && ends.len() == first;
            if kin == Kin::Wanting {
                self.keep_wanted(start, (&mut ends, first), tools);
            }
        }
        if !ends.is_empty() {
            ends.sort_unstable();
            self.settle_numbers(start, &ends, tools);
        }
        tools.meter.undecided += u64::from(cut);
        ends.clear();
        tools.scratch.ends = ends;
    }

    /// Whether one of these rules may have its word near, as far as that is known without a look.
    fn could_be_wanted(&mut self, start: usize, fit: Which, tools: &mut Tools<'_>) -> bool {
        let stretch = tools.engine.plan().stretch(start);
        !self.near.knows(stretch, &self.buffer) || !self.wanted(start, fit, tools).is_empty()
    }

    /// Drops the ends from `first` on of rules that have no word near: most numbers of most texts are nobody's, and a hundred
    /// rules fit each of them.
    fn keep_wanted(&mut self, start: usize, (ends, first): (&mut Vec<End>, usize), tools: &mut Tools<'_>) {
        let plan = tools.engine.plan();
        let mut ended = Which::default();
        ends[first..]
            .iter()
            .for_each(|end| ended.add_all(plan.bits[end.pattern]));
        if ended.is_empty() {
            return;
        }
        let wanted = self.wanted(start, ended, tools);
        let mut number = 0;
        ends.retain(|end| {
            number += 1;
            number <= first || !wanted.and(plan.bits[end.pattern]).is_empty()
        });
    }

    /// Which of these rules of numbers have a word near that they want; all where none is needed, or none can be looked for.
    fn wanted(&mut self, start: usize, fit: Which, tools: &mut Tools<'_>) -> Which {
        let plan = tools.engine.plan();
        let words = match self.alone {
            false => self
                .near
                .of(&mut tools.engine.finder(), &self.buffer, plan.stretch(start)),
            true => None,
        };
        let Some(words) = words else { return fit };
        let (mut wanted, mut looked) = (Which::default(), 0);
        for (word, at) in words {
            looked += 1;
            let by = usize::try_from(*word)
                .ok()
                .and_then(|word| plan.wanted_by.get(word));
            let Some(by) = by.filter(|by| !by.all.and(fit).is_empty()) else {
                continue;
            };
            for place in &by.list {
                let (before, behind) = plan.around[*place];
                if at + before >= start && *at < start + behind {
                    wanted.add_all(plan.bits[*place]);
                }
            }
        }
        tools.meter.spend(looked);
        wanted.and(fit)
    }

    fn settle_numbers(&mut self, start: usize, ends: &[End], tools: &mut Tools<'_>) {
        let engine = tools.engine.clone();
        let plan = engine.plan();
        for of_rule in ends.chunk_by(|a, b| a.pattern == b.pattern) {
            let number = plan.numbers[of_rule[0].pattern];
            let rule = &engine.rules()[number];
            engine.cost(number, |cost| cost.tries += 1);
            if rule.form.fits(self.byte_before(start), None) {
                let found = self.choose((number, rule), start, of_rule, tools);
                tools.meter.undecided += u64::from(found == Longest::Undecided);
            }
        }
    }

    fn byte_before(&self, place: usize) -> Option<u8> {
        self.buffer.get(place.checked_sub(1)?).copied()
    }
}
