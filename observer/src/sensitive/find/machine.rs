//! One pattern, or several together, tried at one place: where does a match that begins here end?

use regex_automata::MatchKind;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, nfa::thompson};

/// Most bytes of states that a machine of one rule keeps; then it begins anew.
const CACHE: usize = 1024 * 1024;
/// The same for the machine of all rules of numbers. Ordinary text makes some thousand states of it, and one that has no room for
/// them makes them again and again.
const CACHE_OF_ALL: usize = 16 * 1024 * 1024;
/// Most ends that are told of one place by a machine of one rule: the first ones, and as many or more of the last ones. Most
/// of those between are inside of a long value, where no match may end.
const MAX_ENDS: usize = 256;
/// The same for the machine of all rules of numbers, each of which may have some.
const MAX_ENDS_OF_ALL: usize = 1024;

/// Patterns that are tried together. Its states are made as they are needed.
pub(crate) struct Machine {
    dfa: DFA,
    cache: Cache,
    most: usize,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({} patterns)", self.dfa.pattern_len())
    }
}

/// A match: the number of its pattern in its machine, and the offset behind its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) pattern: usize,
    pub(crate) at: usize,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// All ends were found.
    Whole,
    /// More bytes than it was allowed to look at could belong to a match.
    Cut,
}

impl Machine {
    /// A machine for these patterns. They were checked when their rules were read; `None` where they are refused all
    /// the same.
    pub(crate) fn new<P: AsRef<str>>(patterns: &[P]) -> Option<Self> {
        built(patterns, CACHE, MAX_ENDS)
    }

    /// As [`Self::new`], for many patterns that are tried at many places.
    pub(crate) fn of_many<P: AsRef<str>>(patterns: &[P]) -> Option<Self> {
        built(patterns, CACHE_OF_ALL, MAX_ENDS_OF_ALL)
    }

    /// Adds to `ends` the ends of matches that begin at `start`, in ascending order, and gives the number of bytes that were
    /// looked at. All of them, or where there are very many the first and the last ones. Looks at no byte from `limit` on, save
    /// one, which decides what must follow.
    pub(crate) fn ends(
        &mut self,
        text: &[u8],
        start: usize,
        limit: usize,
        ends: &mut Vec<End>,
    ) -> (Tried, usize) {
        let input = Input::new(text).range(start..limit).anchored(Anchored::Yes);
        let (dfa, cache) = (&self.dfa, &mut self.cache);
        let Ok(mut state) = dfa.start_state_forward(cache, &input) else {
            return (Tried::Cut, 0);
        };
        let first = ends.len();
        for (at, byte) in text[..limit].iter().enumerate().skip(start) {
            let Ok(next) = dfa.next_state(cache, state, *byte) else {
                return (Tried::Cut, at - start);
            };
            state = next;
            if state.is_tagged() {
                if state.is_match() {
                    // A machine tells a match one byte late.
                    for index in 0..dfa.match_len(cache, state) {
                        let pattern = dfa.match_pattern(cache, state, index).as_usize();
                        ends.push(End { pattern, at });
                    }
                    if ends.len() - first >= 3 * self.most {
                        ends.drain(first + self.most..first + 2 * self.most);
                    }
                } else if state.is_dead() {
                    return (Tried::Whole, at - start);
                } else if state.is_quit() {
                    return (Tried::Cut, at - start);
                }
            }
        }
        let last = match text.get(limit) {
            Some(byte) => dfa.next_state(cache, state, *byte),
            None => dfa.next_eoi_state(cache, state),
        };
        let Ok(state) = last else {
            return (Tried::Cut, limit - start);
        };
        if state.is_match() {
            for index in 0..dfa.match_len(cache, state) {
                let pattern = dfa.match_pattern(cache, state, index).as_usize();
                ends.push(End { pattern, at: limit });
            }
        }
        let alive = limit < text.len() && !state.is_dead();
        (if alive { Tried::Cut } else { Tried::Whole }, limit - start)
    }
}

fn built<P: AsRef<str>>(patterns: &[P], cache: usize, most: usize) -> Option<Machine> {
    let dfa = DFA::builder()
        .configure(
            DFA::config()
                .match_kind(MatchKind::All)
                .cache_capacity(cache)
                .skip_cache_capacity_check(true),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build_many(patterns)
        .ok()?;
    let cache = dfa.create_cache();
    Some(Machine { dfa, cache, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(patterns: &[&str], text: &str, start: usize, limit: usize) -> (Vec<(usize, usize)>, Tried) {
        let mut ends = Vec::new();
        let mut machine = Machine::new(patterns).unwrap();
        let (tried, _) = machine.ends(text.as_bytes(), start, limit, &mut ends);
        (ends.iter().map(|e| (e.pattern, e.at)).collect(), tried)
    }

    #[test]
    fn all_ends_of_all_patterns() {
        let patterns = ["[0-9]{2,4}", "[0-9]{3}x?", "zz"];
        assert_eq!(
            ends(&patterns, "a12345", 1, 6),
            (vec![(0, 3), (0, 4), (1, 4), (0, 5)], Tried::Whole)
        );
        assert_eq!(ends(&patterns, "123x", 0, 4).0, [(0, 2), (0, 3), (1, 3), (1, 4)]);
        assert_eq!(ends(&patterns, "zz", 0, 2).0, [(2, 2)]);
        assert_eq!(ends(&patterns, " 12", 0, 3), (vec![], Tried::Whole));
    }

    #[test]
    fn the_limit_is_told_where_more_could_follow() {
        assert_eq!(ends(&["a+"], "aaaa", 0, 2), (vec![(0, 1), (0, 2)], Tried::Cut));
        assert_eq!(ends(&["a+"], "aabb", 0, 3), (vec![(0, 1), (0, 2)], Tried::Whole));
        assert_eq!(ends(&["a+"], "aa", 0, 2), (vec![(0, 1), (0, 2)], Tried::Whole));
        assert_eq!(ends(&[r"a+\z"], "aab", 0, 2).0, []);
        assert_eq!(ends(&[r"a+\b"], "aa b", 0, 4).0, [(0, 2)]);
    }

    #[test]
    fn of_very_many_ends_the_first_and_the_last_are_told() {
        let (found, tried) = ends(&["(?s-u:.)+"], &"x".repeat(7_000), 0, 7_000);
        assert_eq!(tried, Tried::Whole);
        let ends: Vec<usize> = found.iter().map(|(_, at)| *at).collect();
        assert!(ends.len() < 3 * MAX_ENDS && ends.is_sorted());
        assert!(ends.starts_with(&(1..=MAX_ENDS).collect::<Vec<_>>()));
        assert!(ends.ends_with(&(7_001 - MAX_ENDS..=7_000).collect::<Vec<_>>()));
    }
}
