//! The words that rules want near a value, of all rules together: looked for once for each place, not once for each rule.

use aho_corasick::{AhoCorasick, MatchKind};

/// Words of all rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    automaton: Option<AhoCorasick>,
}

/// A word that was found: its number, and the offset of its first byte.
pub(crate) type Seen = (u32, usize);

impl Words {
    /// Looks for these words in any case. Their places in the list are their numbers. `None` where they are too many.
    pub(crate) fn new(words: &[String]) -> Option<Self> {
        if words.is_empty() {
            return Some(Self::default());
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(words)
            .ok()?;
        Some(Self {
            automaton: Some(automaton),
        })
    }

    /// Puts into `seen` what stands in the text, with offsets that begin at `from`.
    pub(crate) fn see(&self, text: &[u8], from: usize, seen: &mut Vec<Seen>) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        let found = automaton.find_overlapping_iter(text);
        seen.extend(found.map(|m| (m.pattern().as_u32(), from + m.start())));
    }
}
