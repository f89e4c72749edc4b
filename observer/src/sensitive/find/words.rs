//! The words that rules want near a value, of all rules together: looked for once for each place, not once for each rule.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// Words of all rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(Option<NFA>);

/// A word that was found: its number, and the offset of its first byte.
pub(crate) type Seen = (u32, usize);

impl Words {
    /// Looks for these words in any case. Their places in the list are their numbers. `None` where they are too many.
    pub(crate) fn new(words: &[String]) -> Option<Self> {
        if words.is_empty() {
            return Some(Self::default());
        }
        let automaton = NFA::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(words)
            .ok()?;
        Some(Self(Some(automaton)))
    }
}

/// Words of a text from one place to another. Places at which numbers may begin stand close to each other, and what is
/// around them overlaps: each byte is gone through once.
#[derive(Debug, Default)]
pub(crate) struct Near {
    seen: Vec<Seen>,
    /// The stretch that was gone through.
    from: usize,
    to: usize,
    /// Where the automaton stands behind it.
    state: Option<StateID>,
}

impl Near {
    /// The words that begin in this stretch of a text, and maybe some that end behind it.
    pub(crate) fn of<'a>(
        &'a mut self,
        words: &Words,
        text: &[u8],
        (from, to): (usize, usize),
    ) -> impl Iterator<Item = &'a Seen> {
        let to = to.min(text.len());
        if from < self.from || from > self.to {
            self.seen.clear();
            (self.from, self.to, self.state) = (from, from, None);
        }
        if to > self.to {
            self.seen.retain(|(_, at)| *at >= from);
            self.from = from;
            self.go_on(words, text, to);
        }
        self.seen.iter().filter(move |(_, at)| (from..to).contains(at))
    }

    /// Goes through the text up to `to`.
    fn go_on(&mut self, words: &Words, text: &[u8], to: usize) {
        let stretch = self.to..to;
        self.to = to;
        let Some(automaton) = &words.0 else { return };
        let Some(mut state) = self.state.or_else(|| automaton.start_state(Anchored::No).ok()) else {
            return;
        };
        for (end, byte) in (stretch.start + 1..).zip(&text[stretch]) {
            state = automaton.next_state(Anchored::No, state, *byte);
            if automaton.is_match(state) {
                for word in (0..automaton.match_len(state)).map(|i| automaton.match_pattern(state, i)) {
                    self.seen.push((word.as_u32(), end - automaton.pattern_len(word)));
                }
            }
        }
        self.state = Some(state);
    }

    /// So many bytes at the begin of the text are gone.
    pub(crate) fn trim(&mut self, gone: usize) {
        self.seen.retain(|(_, at)| *at >= gone);
        for (_, at) in &mut self.seen {
            *at -= gone;
        }
        self.from = self.from.saturating_sub(gone);
        if self.to < gone {
            self.state = None;
        }
        self.to = self.to.saturating_sub(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(words: &Words, text: &[u8], from: usize, to: usize) -> Vec<Seen> {
        let mut near = Near::default();
        let mut seen: Vec<Seen> = near.of(words, text, (from, to)).copied().collect();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn what_was_seen_before_is_what_a_new_look_sees() {
        let words = Words::new(&["tax".to_owned(), "tax id".to_owned(), "phone".to_owned()]).unwrap();
        let text = "my tax id and Phone, taxi, the phone of the TAX ID office; ".repeat(9);
        let mut near = Near::default();
        // Forward as the scan does, and back again.
        for (from, to) in [
            (0, 7),
            (0, 9),
            (3, 30),
            (5, 20),
            (20, 64),
            (70, 90),
            (71, 300),
            (10, 50),
            (299, 531),
        ] {
            let mut seen: Vec<Seen> = near.of(&words, text.as_bytes(), (from, to)).copied().collect();
            seen.sort_unstable();
            let whole = all(&words, text.as_bytes(), from, to);
            for word in &whole {
                assert!(seen.contains(word), "{word:?} from {from} to {to}");
            }
            assert!(seen.iter().all(|(_, at)| (from..to).contains(at)));
        }
        near.trim(290);
        let text = &text.as_bytes()[290..];
        let seen: Vec<Seen> = near.of(&words, text, (20, 200)).copied().collect();
        for word in all(&words, text, 20, 200) {
            assert!(seen.contains(&word), "{word:?} after trimming");
        }
    }
}
