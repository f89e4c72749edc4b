//! Which of several values in one place counts.

use std::cmp::Ordering;
use std::sync::Arc;

use super::locate::Located;
use super::rules::{Rank, Rule};

/// A value is final once the text is settled so many bytes behind its end.
const FINAL_AFTER: u64 = 2 * 1024;

/// Keeps a value until nothing that follows can change it any more; values that are final go to `out`. The text is settled
/// up to `at`, and `alone` where it is nothing but values.
///
/// Two overlapping values of one rule are one value. A rule yields to one of a higher rank, whichever comes first; where two
/// of the same rank know no form of their own, that of the nearer name stays, or the first one (of equal values that of the
/// earlier rule); of two secrets with one, the longer.
pub(super) fn keep(
    pending: &mut Vec<Located>,
    found: Located,
    (at, alone): (u64, bool),
    rules: &[Arc<Rule>],
    out: &mut dyn FnMut(Located),
) {
    for located in pending.extract_if(.., |p| p.end + FINAL_AFTER <= at) {
        out(located);
    }
    let judge = Judge { rules, alone };
    let overlaps = |other: &Located| other.start < found.end && found.start < other.end;
    if pending.iter().any(|p| overlaps(p) && judge.beats(p, &found)) {
        return;
    }
    pending.retain(|p| !(overlaps(p) && judge.yields(p, &found)));
    let twin = pending.iter_mut().find(|p| p.rule == found.rule && overlaps(p));
    let Some(twin) = twin else {
        pending.push(found);
        return;
    };
    let (start, end) = (twin.start.min(found.start), twin.end.max(found.end));
    let longer = found.end - found.start > twin.end - twin.start;
    let is_far = found.is_far && twin.is_far;
    let better = if longer { found } else { twin.clone() };
    *twin = Located {
        start,
        end,
        bytes: u32::try_from(end - start).unwrap_or(u32::MAX),
        is_far,
        ..better
    };
}

/// Compares values that overlap.
struct Judge<'a> {
    rules: &'a [Arc<Rule>],
    alone: bool,
}

impl Judge<'_> {
    fn rank(&self, located: &Located) -> Rank {
        self.rules[located.rule].rank
    }

    fn is_secret(&self, located: &Located) -> bool {
        self.rules[located.rule].class.hashes_values()
    }

    /// In a text of values only, no word says what a number is: a form that needs none knows better.
    fn is_guess(&self, located: &Located) -> bool {
        let context = self.rules[located.rule].context.as_ref();
        self.alone && context.is_some_and(|context| context.required && context.alone)
    }

    /// Of two secrets in one place the longer value is the one; of two equal ones that of the rule that asks for a word
    /// near it, or of the earlier one.
    fn size(&self, located: &Located) -> (u64, bool, std::cmp::Reverse<usize>) {
        let context = self.rules[located.rule].context.as_ref();
        let asks = context.is_some_and(|context| context.required);
        (located.end - located.start, asks, std::cmp::Reverse(located.rule))
    }

    /// Whether the value that is there keeps the new one out.
    fn beats(&self, there: &Located, new: &Located) -> bool {
        let own = self.rank(new);
        there.rule != new.rule
            && match self.rank(there).cmp(&own) {
                Ordering::Greater => true,
                Ordering::Equal if own < Rank::Special && there.is_far != new.is_far => new.is_far,
                Ordering::Equal if own < Rank::Special => !same(there, new) || there.rule < new.rule,
                Ordering::Equal if self.is_secret(there) && self.is_secret(new) => {
                    self.size(there) > self.size(new)
                }
                Ordering::Equal => self.is_guess(new) && !self.is_guess(there),
                Ordering::Less => false,
            }
    }

    /// Whether the value that is there goes, now that the new one stays.
    fn yields(&self, there: &Located, new: &Located) -> bool {
        let (rank, own) = (self.rank(there), self.rank(new));
        let twins = there.rule != new.rule && rank == own;
        let nearer = there.is_far && !new.is_far;
        let equal = (same(there, new) || nearer) && own < Rank::Special;
        let secrets = self.is_secret(there) && self.is_secret(new);
        let known_better = self.is_guess(there) && !self.is_guess(new);
        rank < own || twins && (equal || secrets || known_better)
    }
}

fn same(one: &Located, other: &Located) -> bool {
    (one.start, one.end) == (other.start, other.end)
}
