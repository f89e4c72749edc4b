//! A digest of the prompt texts of a request, whatever their order and the dialect around them: what a gateway passes on is recognised
//! by it. A digest of no secret; it is keyed before it is stored.

use std::collections::HashMap;
use std::hash::Hasher;

use twox_hash::XxHash64;

use super::{Place, TextRole};
use crate::protocol::Side;

/// Most texts that are read at the same time.
const MAX_OPEN: usize = 64;
/// Two hashes of 64 bits make one that no two prompts share by chance.
const SEEDS: [u64; 2] = [0x6f62_7365_7276_6572, 0x7072_6f6d_7074_7331];

/// Digest under way.
#[derive(Default)]
pub struct PromptDigest {
    open: HashMap<u64, [XxHash64; 2]>,
    sum: [u64; 2],
    texts: u64,
    /// More texts at a time than are followed: what comes out would be another prompt's.
    over: bool,
}

impl PromptDigest {
    /// Takes a piece of text, as [`super::TextSink::text`] does.
    pub fn text(&mut self, place: &Place, text: u64, piece: &[u8]) {
        if place.side != Side::Request || place.role != TextRole::Prompt || piece.is_empty() {
            return;
        }
        if !self.open.contains_key(&text) {
            if self.open.len() >= MAX_OPEN {
                self.over = true;
                return;
            }
            self.open.insert(text, SEEDS.map(XxHash64::with_seed));
        }
        for hash in self.open.get_mut(&text).into_iter().flatten() {
            hash.write(piece);
        }
    }

    /// The text with this number is complete.
    pub fn end(&mut self, text: u64) {
        let Some(hashes) = self.open.remove(&text) else {
            return;
        };
        self.texts += 1;
        for (sum, hash) in self.sum.iter_mut().zip(hashes) {
            *sum = sum.wrapping_add(hash.finish());
        }
    }

    /// The digest; `None` where there was no prompt, or too much of it at a time.
    pub fn finish(mut self) -> Option<[u8; 24]> {
        let open: Vec<u64> = self.open.keys().copied().collect();
        open.into_iter().for_each(|text| self.end(text));
        let mut digest = [0; 24];
        let words = [self.texts, self.sum[0], self.sum[1]];
        for (bytes, word) in digest.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        (self.texts > 0 && !self.over).then_some(digest)
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

    fn digest(texts: &[&str], piece: usize) -> Option<[u8; 24]> {
        let mut digest = PromptDigest::default();
        for (number, text) in (0..).zip(texts) {
            for part in text.as_bytes().chunks(piece) {
                digest.text(&place(Side::Request, TextRole::Prompt), number, part);
            }
            digest.end(number);
        }
        digest.finish()
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
