//! Entries of a register that fit the same exchange at the same time. One that is wholly inside another is an exception
//! from it and counts before it. Others leave it open which of them counts: a mistake.

use std::collections::{HashMap, HashSet};

use super::attributes::Attribute;
use super::dates;
use super::register::Entry;
use crate::config::yaml::{Position, Reader, shown};

/// Most comparisons of two entries.
const MAX_PAIRS: usize = 20_000_000;

/// Contradictions after which no more are looked for.
const MAX_FOUND: usize = 100;

/// Notes contradictions in `reader`. Gives warnings.
pub(super) fn check(reader: &mut Reader, entries: &[Entry]) -> Vec<(Position, String)> {
    same_names(reader, entries);
    let groups = Groups::of(entries);
    if groups.pairs > MAX_PAIRS {
        let message = format!(
            "{} entries that could meet each other are too many to look through for contradictions; name providers \
             and hosts without * where possible",
            entries.len()
        );
        return vec![(Position::default(), message)];
    }
    // Entries with several values in common come several times.
    let mut found = HashSet::new();
    groups.each_pair(&mut |a, b| {
        if found.len() < MAX_FOUND && contradict(&entries[a], &entries[b]) && found.insert((a, b)) {
            contradiction(reader, &entries[a], &entries[b]);
        }
    });
    Vec::new()
}

fn at_one_time(first: &Entry, second: &Entry) -> bool {
    first.valid_from < second.valid_until && second.valid_from < first.valid_until
}

/// Periods of one approval must not overlap.
fn same_names(reader: &mut Reader, entries: &[Entry]) {
    let mut by_id: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        let before = by_id.entry(&entry.id).or_default();
        if let Some(first) = before.iter().find(|first| at_one_time(first, entry)) {
            twice(reader, first, entry);
        }
        // More than a few periods of one name need not all be compared.
        if before.len() < MAX_FOUND {
            before.push(entry);
        }
    }
}

fn contradict(first: &Entry, second: &Entry) -> bool {
    if first.id == second.id || !at_one_time(first, second) || !first.conditions.meets(&second.conditions) {
        return false;
    }
    first.conditions.covers(&second.conditions) == second.conditions.covers(&first.conditions)
}

fn twice(reader: &mut Reader, first: &Entry, second: &Entry) {
    let id = shown(&first.id);
    let message = format!(
        "entry `{id}` stands twice, first in line {}, and both are valid on {}; end the older one with `valid_until`",
        first.at.line,
        dates::day(first.valid_from.max(second.valid_from))
    );
    reader.problem(second.at, message);
}

fn contradiction(reader: &mut Reader, first: &Entry, second: &Entry) {
    let equal = first.conditions.covers(&second.conditions);
    let (a, b) = (shown(&first.id), shown(&second.id));
    let how = if equal {
        "the same calls"
    } else {
        "some calls that fit both"
    };
    let what = if first.status == second.status {
        format!("overlap: both are about {how}")
    } else {
        let (mine, theirs) = (first.status.name(), second.status.name());
        format!("contradict each other: {how} are {mine} by the first and {theirs} by the second")
    };
    let message = format!(
        "entries `{a}` (line {}) and `{b}` {what}, both valid on {}; make one narrower in each point, or end it",
        first.at.line,
        dates::day(first.valid_from.max(second.valid_from))
    );
    reader.problem(second.at, message);
}

/// Entries apart by the values of one attribute: those of different groups cannot meet, save with the ones that name no
/// plain value for it.
struct Groups {
    by_value: Vec<Vec<usize>>,
    any: Vec<usize>,
    pairs: usize,
}

impl Groups {
    /// By the attribute that leaves the fewest pairs.
    fn of(entries: &[Entry]) -> Self {
        let by = |attribute| Self::by(entries, attribute);
        let all = super::register_read::MATCHES.into_iter().map(by);
        all.min_by_key(|groups| groups.pairs).unwrap_or(Self {
            by_value: Vec::new(),
            any: Vec::new(),
            pairs: 0,
        })
    }

    fn by(entries: &[Entry], attribute: Attribute) -> Self {
        let mut by_value: HashMap<&str, Vec<usize>> = HashMap::new();
        let (mut any, mut named) = (Vec::new(), 0);
        for (index, entry) in entries.iter().enumerate() {
            let values = entry.conditions.of(attribute);
            let plain = values.filter(|values| !values.written().any(|text| text.contains(['*', '?'])));
            match plain {
                None => any.push(index),
                Some(values) => {
                    named += 1;
                    for text in values.written() {
                        by_value.entry(text).or_default().push(index);
                    }
                }
            }
        }
        let within = |n: usize| n * n / 2;
        let pairs = by_value.values().map(|group| within(group.len())).sum::<usize>()
            + within(any.len())
            + any.len() * named;
        let mut by_value: Vec<Vec<usize>> = by_value.into_values().collect();
        by_value.sort();
        Self { by_value, any, pairs }
    }

    /// Each pair of entries that may meet, once for each value that they share.
    fn each_pair(&self, look: &mut dyn FnMut(usize, usize)) {
        let mut pair = |a: usize, b: usize| {
            if a != b {
                look(a.min(b), a.max(b));
            }
        };
        let groups = self.by_value.iter().chain([&self.any]);
        for group in groups {
            for (at, a) in group.iter().enumerate() {
                group[at + 1..].iter().for_each(|b| pair(*a, *b));
            }
        }
        for a in &self.any {
            self.by_value.iter().flatten().for_each(|b| pair(*a, *b));
        }
    }
}
