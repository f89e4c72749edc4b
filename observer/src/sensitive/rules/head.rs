//! How a match must begin: which bytes can be at each of its first places. Read off the pattern's automaton.
//!
//! Most places at which a rule could be tried fail within a few bytes. Finding that out from the rule's own machine costs a
//! look into memory that is in no cache, for each byte; these sets are small and next to each other.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use super::bytes::ByteSet;
use super::run::rarity;

/// Most places that are told apart.
const MAX_PLACES: usize = 40;
/// Most states that are looked at; what comes later in a large pattern is not told.
const MAX_VISITS: usize = 50_000;

/// Sets of bytes, each with the number of places in a row that it is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head(Box<[(ByteSet, usize)]>);

impl Head {
    /// The head of all matches of an automaton that begins where a match does.
    pub(super) fn of(nfa: &NFA) -> Self {
        let mut runs: Vec<(ByteSet, usize)> = Vec::new();
        let mut walk = Walk::new(nfa);
        for _ in 0..MAX_PLACES {
            let Some(set) = walk.step() else { break };
            match runs.last_mut() {
                Some((last, times)) if *last == set => *times += 1,
                _ => runs.push((set, 1)),
            }
        }
        Self(runs.into_boxed_slice())
    }

    /// What may be at each of the first places of a match, one set for each.
    pub(crate) fn sets(&self) -> Vec<&ByteSet> {
        let runs = self.0.iter();
        runs.flat_map(|(set, times)| std::iter::repeat_n(set, *times))
            .collect()
    }

    /// How rare the begin of a match is in ordinary text, in bits and roughly.
    pub(crate) fn rarity(&self) -> f64 {
        const TOLD: usize = 6;
        self.sets().into_iter().take(TOLD).map(|set| rarity(*set)).sum()
    }

    /// Whether a match may begin at the begin of this text. What is behind its end could be anything.
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        let mut bytes = text.iter();
        let mut run =
            |(set, times): &(ByteSet, usize)| bytes.by_ref().take(*times).all(|byte| set.has(*byte));
        self.0.iter().all(&mut run)
    }
}

/// All states in which the automaton can be after so many bytes.
struct Walk<'a> {
    nfa: &'a NFA,
    /// States, without those that go on by themselves.
    states: Vec<StateID>,
    /// By state, the step in which it was reached last.
    reached: Vec<u32>,
    step: u32,
    visits: usize,
    /// A match may be over here.
    over: bool,
}

impl<'a> Walk<'a> {
    fn new(nfa: &'a NFA) -> Self {
        let mut walk = Self {
            nfa,
            states: Vec::new(),
            reached: vec![0; nfa.states().len()],
            step: 1,
            visits: 0,
            over: false,
        };
        walk.reach(nfa.start_anchored());
        walk
    }

    /// Goes on by one byte: the bytes with which that is possible. `None` where a match may be over, or it takes too long.
    fn step(&mut self) -> Option<ByteSet> {
        if self.over || self.visits > MAX_VISITS {
            return None;
        }
        self.step += 1;
        let mut set = ByteSet::default();
        for id in std::mem::take(&mut self.states) {
            let nfa = self.nfa;
            let mut go = |first: u8, last: u8, next: StateID| {
                (first..=last).for_each(|byte| set.add(byte));
                self.reach(next);
            };
            match nfa.state(id) {
                State::ByteRange { trans } => go(trans.start, trans.end, trans.next),
                State::Sparse(all) => all.transitions.iter().for_each(|t| go(t.start, t.end, t.next)),
                State::Dense(all) => {
                    let next = (0..=u8::MAX).zip(all.transitions.iter().copied());
                    next.filter(|(_, next)| !matches!(nfa.state(*next), State::Fail))
                        .for_each(|(byte, next)| go(byte, byte, next));
                }
                _ => {}
            }
        }
        (set.len() > 0).then_some(set)
    }

    /// Adds a state, and those to which it goes without a byte. What it would look for around it may be there.
    fn reach(&mut self, start: StateID) {
        let mut todo = vec![start];
        while let Some(id) = todo.pop() {
            let reached = &mut self.reached[id.as_usize()];
            if std::mem::replace(reached, self.step) == self.step {
                continue;
            }
            self.visits += 1;
            match self.nfa.state(id) {
                State::Look { next, .. } | State::Capture { next, .. } => todo.push(*next),
                State::Union { alternates } => todo.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => todo.extend([*alt1, *alt2]),
                State::Match { .. } => self.over = true,
                State::Fail => {}
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => self.states.push(id),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::util::syntax;

    use super::*;

    fn head(pattern: &str) -> Head {
        let nfa = NFA::compiler()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .configure(NFA::config().utf8(false))
            .build(pattern);
        Head::of(&nfa.unwrap())
    }

    #[test]
    fn what_cannot_begin_a_match_is_told() {
        let host = head("(?i:host|server)=[a-z]{2,9}");
        assert!(host.fits(b"HOST=ab") && host.fits(b"server=ab") && host.fits(b"ho") && host.fits(b""));
        assert!(!host.fits(b"hat") && !host.fits(b"the host") && !host.fits(b"host-"));
        let token = head("[a-z2-7]{52}");
        assert!(token.fits(&[b'a'; 52]) && !token.fits(b"several words"));
        assert_eq!(token.0.len(), 1, "one run");
        // Behind the shortest match anything may follow.
        let short = head(r"\bab[0-9]{0,3}");
        assert!(short.fits(b"ab!") && !short.fits(b"a1"));
        assert!(head("a*").fits(b"b"));
    }

    #[test]
    fn no_match_is_lost() {
        let text = b"Server=db;User Id=sa;Password=abc12345; x-a1-22 aaaaaaaa\n\tkey: \"v\" (12) 9.9.9";
        for pattern in [
            "(?i:server|user id)\\s{0,2}=[^;]{1,9};",
            "[a-z0-9]{2,4}-[0-9]",
            "(?:a|aa|aaa)+\\n",
            "\\n[ \\t]{0,3}key:|\\(?[0-9]{1,2}\\)?",
            "(?s:.){3,8}\\d",
        ] {
            let head = head(pattern);
            let anchored = regex::bytes::Regex::new(&format!("(?-u)\\A(?:{pattern})")).unwrap();
            let starts = (0..text.len()).filter(|at| anchored.is_match(&text[*at..]));
            let mut count = 0;
            for at in starts {
                assert!(head.fits(&text[at..]), "{pattern} at {at}");
                count += 1;
            }
            assert!(count > 0, "{pattern} fits nowhere");
        }
    }
}
