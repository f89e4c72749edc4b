//! Finds the few rules that can fit an exchange among thousands: each rule stands under the values of one of its
//! conditions, or in the list of those that are always asked.

use std::collections::HashMap;

use super::attributes::{Attribute, Subject};
use super::conditions::Conditions;

/// Numbers of rules, by what they can be found under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    by_value: [HashMap<Box<str>, Vec<u32>>; Attribute::COUNT],
    always: Vec<u32>,
}

impl Index {
    /// An index of these conditions, numbered in their order.
    pub(super) fn new<'c>(all: impl Iterator<Item = &'c Conditions> + Clone) -> Self {
        let mut common: [HashMap<&str, u32>; Attribute::COUNT] = Default::default();
        for (attribute, values) in all.clone().flat_map(Conditions::iter) {
            for key in values.keys().into_iter().flatten() {
                *common[attribute as usize].entry(key).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (number, conditions) in (0..).zip(all) {
            // The condition whose most frequent value is the rarest.
            let best = conditions
                .iter()
                .filter_map(|(attribute, values)| {
                    let count = |key| common[attribute as usize].get(key).copied().unwrap_or(0);
                    let worst = values.keys()?.map(count).max()?;
                    Some((worst, attribute, values))
                })
                .min_by_key(|(worst, attribute, _)| (*worst, *attribute));
            let Some((_, attribute, values)) = best else {
                index.always.push(number);
                continue;
            };
            for key in values.keys().into_iter().flatten() {
                index.by_value[attribute as usize]
                    .entry(key.into())
                    .or_default()
                    .push(number);
            }
        }
        index
    }

    /// Numbers of those that can fit, in their order. All others do not fit.
    pub(super) fn candidates<'i>(&'i self, subject: &Subject<'_>) -> Candidates<'i> {
        let mut candidates = Candidates {
            lists: Vec::with_capacity(16),
        };
        candidates.also(&self.always);
        for attribute in Attribute::ALL {
            let by_value = &self.by_value[attribute as usize];
            if by_value.is_empty() {
                continue;
            }
            for fact in subject.values(attribute) {
                if let Some(list) = by_value.get(fact) {
                    candidates.also(list);
                }
                for (at, _) in fact.match_indices('.') {
                    if let Some(list) = by_value.get(&fact[at..]) {
                        candidates.also(list);
                    }
                }
            }
        }
        candidates
    }
}

/// Merges ascending lists into one.
pub(super) struct Candidates<'i> {
    lists: Vec<&'i [u32]>,
}

impl<'i> Candidates<'i> {
    fn also(&mut self, list: &'i [u32]) {
        if !list.is_empty() {
            self.lists.push(list);
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let next = self.lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in &mut self.lists {
            if list.first() == Some(&next) {
                *list = &list[1..];
            }
        }
        Some(next)
    }
}
