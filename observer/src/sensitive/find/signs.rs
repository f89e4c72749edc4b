//! Where a number may begin: looked for 64 bytes at a time, with no branch in it that the text decides.
//!
//! A pattern without literals begins where a word begins (its `before` says so) and holds a digit or a rare sign not far
//! behind. In prose there are few such places, in base64 nearly none, since there a word has no end.

use crate::sensitive::rules::{ByteSet, MAX_SIGN_AT};

/// Bytes looked at together.
const BLOCK: usize = 64;
/// Most signs beside the digits, and most bytes other than letters and digits with which a match may begin.
pub(crate) const MAX_EXTRA: usize = 4;

/// Most bytes between the first byte of a match and its sign in most rules. Few words have one so near.
pub(crate) const NEAR: usize = 5;

/// What to look for.
#[derive(Debug, Clone)]
pub(crate) struct Signs {
    /// Signs that are no digits, filled up with the first digit.
    extra: [u8; MAX_EXTRA],
    /// Bytes that begin a match without being a letter or digit; filled up with a byte that is one anyway.
    openers: [u8; MAX_EXTRA],
    /// Most bytes between the first byte of a match and its sign.
    at: usize,
    /// A match may begin behind a letter: where a row of digits begins.
    inside_words: bool,
    /// Bytes with which a match may begin.
    first: ByteSet,
}

/// What one rule needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// One of these is in every match.
    pub(crate) signs: ByteSet,
    /// At most so many bytes behind the first.
    pub(crate) at: usize,
    /// Bytes with which a match may begin.
    pub(crate) first: ByteSet,
    /// Bytes that may not stand before a match.
    pub(crate) before: ByteSet,
}

impl Default for Signs {
    fn default() -> Self {
        Self {
            extra: [b'0'; MAX_EXTRA],
            openers: [b'0'; MAX_EXTRA],
            at: 0,
            inside_words: false,
            first: ByteSet::default(),
        }
    }
}

impl Signs {
    /// Looks for one more rule, too. `false` where it cannot be looked for like this.
    pub(crate) fn add(&mut self, need: &Need) -> bool {
        let digits = ByteSet::of(b'0'..=b'9');
        let words = ByteSet::of((0..=u8::MAX).filter(u8::is_ascii_alphanumeric));
        let inside_words = !need.before.covers(words);
        let firsts = || need.first.iter();
        if inside_words && (!need.before.covers(digits) || firsts().any(|b| b.is_ascii_alphabetic()))
            || need.at > MAX_SIGN_AT
        {
            return false;
        }
        let more = need.signs.iter().filter(|b| !b.is_ascii_digit());
        let Some(extra) = joined(self.extra, more) else {
            return false;
        };
        let Some(openers) = joined(self.openers, firsts().filter(|b| !b.is_ascii_alphanumeric())) else {
            return false;
        };
        *self = Self {
            extra,
            openers,
            at: self.at.max(need.at),
            inside_words: self.inside_words || inside_words,
            first: self.first.union(need.first),
        };
        true
    }

    /// Gives `found` the places in `from..to` at which a match may begin, each with whether a sign is [`NEAR`]. Looks at what is
    /// before and behind them.
    pub(crate) fn starts(&self, text: &[u8], (from, to): (usize, usize), mut found: impl FnMut(usize, bool)) {
        let mut next = self.masks(text, from);
        let mut before = from
            .checked_sub(1)
            .and_then(|i| text.get(i))
            .map_or([false; 2], |b| [b.is_ascii_alphanumeric(), b.is_ascii_digit()]);
        let mut at = from;
        while at < to {
            let this = next;
            next = self.masks(text, at + BLOCK);
            let [near, signs] = self.spread(this.signs, next.signs);
            let behind = |mask: u64, carried: bool| mask << 1 | u64::from(carried);
            let mut starts = this.words & !behind(this.words, before[0]) | this.openers;
            if self.inside_words {
                starts |= this.digits & !behind(this.digits, before[1]);
            }
            before = [this.words >> 63 == 1, this.digits >> 63 == 1];
            starts &= signs;
            while starts != 0 {
                let bit = starts.trailing_zeros();
                let place = at + bit as usize;
                starts &= starts - 1;
                if place < to && self.first.has(text[place]) {
                    found(place, near >> bit & 1 == 1);
                }
            }
            at += BLOCK;
        }
    }

    /// A bit for each place that has a sign at it or not far behind it: at most [`NEAR`], and at most `self.at` bytes.
    fn spread(&self, this: u64, next: u64) -> [u64; 2] {
        if this == 0 && next == 0 {
            return [0; 2];
        }
        let mut mask = u128::from(next) << 64 | u128::from(this);
        let mut done = 0;
        [NEAR.min(self.at), self.at].map(|at| {
            while done < at {
                let step = (at - done).min(done + 1);
                mask |= mask >> step;
                done += step;
            }
            #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
            let low = mask as u64;
            low
        })
    }

    fn masks(&self, text: &[u8], at: usize) -> Masks {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(block) = rest.first_chunk::<BLOCK>() {
            return self.block(block);
        }
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.block(&block)
    }

    /// The compiler makes vector instructions of these loops: no branch, no table.
    fn block(&self, block: &[u8; BLOCK]) -> Masks {
        let (mut words, mut digits) = ([0u8; BLOCK], [0u8; BLOCK]);
        let (mut signs, mut openers) = ([0u8; BLOCK], [0u8; BLOCK]);
        for (i, byte) in block.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0') < 10;
            let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
            digits[i] = u8::from(digit);
            words[i] = u8::from(digit | letter);
        }
        let [a, b, c, d] = self.extra;
        for (i, byte) in block.iter().enumerate() {
            signs[i] = digits[i] | u8::from((*byte == a) | (*byte == b) | (*byte == c) | (*byte == d));
        }
        let [a, b, c, d] = self.openers;
        for (i, byte) in block.iter().enumerate() {
            openers[i] = u8::from((*byte == a) | (*byte == b) | (*byte == c) | (*byte == d));
        }
        let words = gathered(&words);
        Masks {
            words,
            digits: gathered(&digits),
            signs: gathered(&signs),
            // What fills the list up is a digit, and digits are found as words.
            openers: gathered(&openers) & !words,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Masks {
    words: u64,
    digits: u64,
    signs: u64,
    openers: u64,
}

/// One bit of each byte, which is 0 or 1; the first byte is the lowest bit.
fn gathered(bytes: &[u8; BLOCK]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().enumerate().fold(0, |mask, (i, word)| {
        // Byte j is shifted to bit 56 + j; no two of the products meet.
        mask | (u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i)
    })
}

/// The list with these bytes in it, where there is room. Digits are free places.
fn joined(mut list: [u8; MAX_EXTRA], more: impl Iterator<Item = u8>) -> Option<[u8; MAX_EXTRA]> {
    for byte in more {
        if !list.contains(&byte) {
            let free = list.iter_mut().find(|b| b.is_ascii_digit())?;
            *free = byte;
        }
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(at: usize, extra: &[u8], openers: &[u8], inside_words: bool) -> Signs {
        let mut signs = Signs::default();
        let first = ByteSet::of((0..=u8::MAX).filter(u8::is_ascii_alphanumeric))
            .union(ByteSet::of(openers.iter().copied()));
        let words = ByteSet::of((0..=u8::MAX).filter(u8::is_ascii_alphanumeric));
        let digits = ByteSet::of(b'0'..=b'9');
        assert!(signs.add(&Need {
            signs: digits.union(ByteSet::of(extra.iter().copied())),
            at,
            first: if inside_words { digits } else { first },
            before: if inside_words { digits } else { words },
        }));
        signs
    }

    /// The same, one byte after the other.
    fn slowly(signs: &Signs, text: &[u8], from: usize, to: usize) -> Vec<usize> {
        let is_sign = |b: &u8| b.is_ascii_digit() || signs.extra.contains(b);
        (from..to)
            .filter(|&i| {
                let before = i.checked_sub(1).map_or(b' ', |i| text[i]);
                let word = text[i].is_ascii_alphanumeric() && !before.is_ascii_alphanumeric();
                let inside = signs.inside_words && text[i].is_ascii_digit() && !before.is_ascii_digit();
                let opener = !text[i].is_ascii_digit() && signs.openers.contains(&text[i]);
                let near = &text[i..text.len().min(i + signs.at + 1)];
                (word || inside || opener) && near.iter().any(is_sign) && signs.first.has(text[i])
            })
            .collect()
    }

    #[test]
    fn finds_what_a_plain_loop_finds() {
        // A generator of its own, so that the texts are the same each time.
        let mut state = 7u64;
        let mut text = vec![0u8; 3_000];
        for (i, byte) in text.iter_mut().enumerate() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let choice = usize::try_from(state >> 40).unwrap();
            *byte = b"abcXYZ  ..--+(:0123456789"[choice % if i % 700 < 350 { 14 } else { 25 }];
        }
        for (at, extra, openers, inside) in [
            (0, &b""[..], &b""[..], false),
            (2, b"", b"+", false),
            (16, b":-", b"+(", false),
            (3, b":", b"", true),
            (7, b"", b"", false),
        ] {
            let signs = signs(at, extra, openers, inside);
            for (from, to) in [
                (0, 3_000),
                (1, 64),
                (63, 65),
                (64, 128),
                (100, 101),
                (2_900, 3_000),
                (5, 5),
            ] {
                let mut found = Vec::new();
                signs.starts(&text, (from, to), |place, near| {
                    let behind = &text[place..text.len().min(place + NEAR + 1)];
                    let is_near = behind
                        .iter()
                        .any(|b| b.is_ascii_digit() || signs.extra.contains(b));
                    assert_eq!(near, is_near, "{at} {place}");
                    found.push(place);
                });
                assert_eq!(found, slowly(&signs, &text, from, to), "{at} {from} {to}");
            }
            assert!(slowly(&signs, &text, 0, 3_000).len() > 20);
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        let words = ByteSet::of((0..=u8::MAX).filter(u8::is_ascii_alphanumeric));
        let digits = ByteSet::of(b'0'..=b'9');
        let need = |signs, at, first, before| Need {
            signs,
            at,
            first,
            before,
        };
        let mut signs = Signs::default();
        assert!(
            !signs.add(&need(digits, 0, words, digits)),
            "letters may stand before"
        );
        assert!(
            !signs.add(&need(digits, 0, digits, ByteSet::default())),
            "digits may stand before"
        );
        assert!(!signs.add(&need(digits, MAX_SIGN_AT + 1, digits, words)));
        assert!(
            !signs.add(&need(digits, 0, ByteSet::of(*b"+-(/#"), words)),
            "too many openers"
        );
        assert!(signs.add(&need(digits, 0, ByteSet::of(*b"+-(/"), words)));
        assert!(
            !signs.add(&need(digits, 0, ByteSet::of(*b"#"), words)),
            "no more room"
        );
    }
}
