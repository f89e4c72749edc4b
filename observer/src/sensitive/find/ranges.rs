//! Places at which a rule was tried in vain. Words that lead to the same rule often stand close to each other, and the
//! stretches in which they would have it tried overlap.

use std::ops::RangeInclusive;

/// Rules that are remembered. More of them are rarely tried in one place.
const REMEMBERED: usize = 48;

/// For each of the rules that were tried last, the last stretch.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    list: Vec<(usize, RangeInclusive<u64>)>,
    next: usize,
}

impl Ranges {
    /// Where a rule was tried last, without a gap; empty where it is not known.
    pub(crate) fn of(&self, rule: usize) -> RangeInclusive<u64> {
        let known = self.list.iter().find(|(number, _)| *number == rule);
        known.map_or(RangeInclusive::new(1, 0), |(_, range)| range.clone())
    }

    /// A rule was tried from the first to the last place.
    pub(crate) fn add(&mut self, rule: usize, (first, last): (u64, u64)) {
        if let Some((_, range)) = self.list.iter_mut().find(|(number, _)| *number == rule) {
            let (from, to) = (*range.start(), *range.end());
            let joins = first <= to.saturating_add(1) && from <= last.saturating_add(1);
            *range = if joins {
                from.min(first)..=to.max(last)
            } else {
                first..=last
            };
            return;
        }
        if self.list.len() < REMEMBERED {
            self.list.push((rule, first..=last));
        } else {
            self.list[self.next] = (rule, first..=last);
            self.next = (self.next + 1) % REMEMBERED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_join_where_there_is_no_gap() {
        let mut ranges = Ranges::default();
        assert!(ranges.of(7).is_empty());
        ranges.add(7, (10, 20));
        ranges.add(8, (1, 2));
        ranges.add(7, (15, 30));
        assert_eq!(ranges.of(7), 10..=30);
        ranges.add(7, (31, 33));
        assert_eq!(ranges.of(7), 10..=33);
        ranges.add(7, (40, 41));
        assert_eq!((ranges.of(7), ranges.of(8)), (40..=41, 1..=2));
    }

    #[test]
    fn memory_is_bounded() {
        let mut ranges = Ranges::default();
        for rule in 0..1_000 {
            ranges.add(rule, (5, 6));
        }
        assert_eq!(ranges.list.len(), REMEMBERED);
        assert!(ranges.of(0).is_empty() && ranges.of(999) == (5..=6));
    }
}
