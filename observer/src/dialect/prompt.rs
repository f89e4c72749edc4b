//! Digests of the prompt texts of a request. Digests of no secret; they are keyed before they are stored.
//!
//! One of all of them, whatever their order and the dialect around them: what a gateway passes on is recognised by it. And one of each
//! beginning of the conversation, in order and without the system prompt: the request of a turn begins with all that the request
//! before it said.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use twox_hash::XxHash64;

use super::{Place, TextRole};
use crate::protocol::Side;

/// Most texts that are read at the same time.
const MAX_OPEN: usize = 64;
/// Most beginnings that are kept, the longest. The turn before is a few texts shorter.
const MAX_TURNS: usize = 64;
/// Two hashes of 64 bits make one that no two prompts share by chance.
const SEEDS: [u64; 2] = [0x6f62_7365_7276_6572, 0x7072_6f6d_7074_7331];

/// Digest of a beginning of a conversation.
pub type Turn = [u8; 16];

/// What a prompt is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Of all texts together.
    pub whole: [u8; 24],
    /// Of the first text, the first two, … and all of them; of the 64 longest only. Empty where nothing but a system prompt
    /// was said.
    pub turns: Vec<Turn>,
}

/// A text under way.
struct Open {
    hashes: [XxHash64; 2],
    is_turn: bool,
}

/// Digest under way.
#[derive(Default)]
pub struct PromptDigest {
    open: HashMap<u64, Open>,
    sum: [u64; 2],
    texts: u64,
    turn: [u64; 2],
    turns: VecDeque<Turn>,
    /// More texts at a time than are followed: what comes out would be another prompt's.
    over: bool,
}

impl PromptDigest {
    /// Takes a piece of text, as [`super::TextSink::text`] does.
    pub fn text(&mut self, place: &Place, text: u64, piece: &[u8]) {
        let is_prompt = matches!(place.role, TextRole::Prompt | TextRole::System);
        if place.side != Side::Request || !is_prompt || piece.is_empty() {
            return;
        }
        if !self.open.contains_key(&text) {
            if self.open.len() >= MAX_OPEN {
                self.over = true;
                return;
            }
            let open = Open {
                hashes: SEEDS.map(XxHash64::with_seed),
                is_turn: place.role == TextRole::Prompt,
            };
            self.open.insert(text, open);
        }
        if let Some(open) = self.open.get_mut(&text) {
            open.hashes.iter_mut().for_each(|hash| hash.write(piece));
        }
    }

    /// The text with this number is complete.
    pub fn end(&mut self, text: u64) {
        let Some(open) = self.open.remove(&text) else {
            return;
        };
        self.texts += 1;
        let hashes = open.hashes.map(|hash| hash.finish());
        for (sum, hash) in self.sum.iter_mut().zip(hashes) {
            *sum = sum.wrapping_add(hash);
        }
        if open.is_turn {
            self.said(hashes);
        }
    }

    /// One text more was said.
    fn said(&mut self, text: [u64; 2]) {
        for (turn, (seed, text)) in self.turn.iter_mut().zip(SEEDS.into_iter().zip(text)) {
            let mut hash = XxHash64::with_seed(seed);
            hash.write_u64(*turn);
            hash.write_u64(text);
            *turn = hash.finish();
        }
        if self.turns.len() == MAX_TURNS {
            self.turns.pop_front();
        }
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.turn[0].to_le_bytes());
        digest[8..].copy_from_slice(&self.turn[1].to_le_bytes());
        self.turns.push_back(digest);
    }

    /// The digests; `None` where there was no prompt, or too much of it at a time.
    pub fn finish(mut self) -> Option<Prompt> {
        let mut open: Vec<u64> = self.open.keys().copied().collect();
        open.sort_unstable();
        open.into_iter().for_each(|text| self.end(text));
        let mut whole = [0; 24];
        let words = [self.texts, self.sum[0], self.sum[1]];
        for (bytes, word) in whole.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let prompt = Prompt {
            whole,
            turns: self.turns.into(),
        };
        (self.texts > 0 && !self.over).then_some(prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(side: Side, role: TextRole) -> Place {
        Place {
            side,
            path: "$".to_owned(),
            role,
        }
    }

    fn prompt(texts: &[(TextRole, &str)], piece: usize) -> Option<Prompt> {
        let mut digest = PromptDigest::default();
        for (number, (role, text)) in (0..).zip(texts) {
            for part in text.as_bytes().chunks(piece) {
                digest.text(&place(Side::Request, *role), number, part);
            }
            digest.end(number);
        }
        digest.finish()
    }

    fn digest(texts: &[&str], piece: usize) -> Option<[u8; 24]> {
        let texts: Vec<_> = texts.iter().map(|text| (TextRole::Prompt, *text)).collect();
        prompt(&texts, piece).map(|prompt| prompt.whole)
    }

    fn turns(texts: &[&str]) -> Vec<Turn> {
        let texts: Vec<_> = texts.iter().map(|text| (TextRole::Prompt, *text)).collect();
        prompt(&texts, 3).unwrap().turns
    }

    #[test]
    fn a_turn_begins_with_the_turns_before_it() {
        let first = turns(&["what is 2+2?"]);
        let second = turns(&["what is 2+2?", "4", "and 3+3?"]);
        assert_eq!((first.len(), second.len()), (1, 3));
        assert_eq!(second[0], first[0]);
        for other in [
            &["what is 2+2?4", "and 3+3?"][..],
            &["4", "what is 2+2?", "and 3+3?"],
            &["and 3+3?"],
        ] {
            assert!(!turns(other).contains(&second[2]), "{other:?}");
        }
    }

    #[test]
    fn the_system_prompt_is_no_turn_but_part_of_the_prompt() {
        let with = |system| {
            prompt(
                &[(TextRole::System, system), (TextRole::Prompt, "what is 2+2?")],
                100,
            )
            .unwrap()
        };
        let (one, other) = (with("it is 10:01"), with("it is 10:02"));
        assert_eq!(one.turns, turns(&["what is 2+2?"]));
        assert_eq!(one.turns, other.turns);
        assert_ne!(one.whole, other.whole);
        assert_eq!(digest(&["what is 2+2?", "it is 10:01"], 1), Some(one.whole));
    }

    #[test]
    fn of_a_long_conversation_the_end_is_kept() {
        let said: Vec<String> = (0..MAX_TURNS + 10).map(|n| n.to_string()).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let all = turns(&said);
        assert_eq!(all.len(), MAX_TURNS);
        assert!(all.contains(turns(&said[..said.len() - 2]).last().unwrap()));
    }

    #[test]
    fn order_and_pieces_do_not_matter_and_the_words_do() {
        let one = digest(&["be brief", "what is 2+2?"], 100);
        assert!(one.is_some());
        assert_eq!(digest(&["what is 2+2?", "be brief"], 1), one);
        for other in [
            &["be brief", "what is 2+3?"][..],
            &["be brief"],
            &["be brief", "be brief", "what is 2+2?"],
        ] {
            assert_ne!(digest(other, 100), one, "{other:?}");
        }
    }

    #[test]
    fn answers_and_what_is_no_prompt_do_not_count() {
        let mut digest = PromptDigest::default();
        for (side, role) in [
            (Side::Response, TextRole::Answer),
            (Side::Request, TextRole::ToolResult),
            (Side::Response, TextRole::Prompt),
        ] {
            digest.text(&place(side, role), 1, b"text");
            digest.end(1);
        }
        assert_eq!(digest.finish(), None);
    }

    #[test]
    fn too_many_texts_at_a_time_have_no_digest() {
        let mut digest = PromptDigest::default();
        for number in 0..=MAX_OPEN as u64 {
            digest.text(&place(Side::Request, TextRole::Prompt), number, b"text");
        }
        assert!(digest.open.len() == MAX_OPEN);
        assert_eq!(digest.finish(), None);
    }
}
