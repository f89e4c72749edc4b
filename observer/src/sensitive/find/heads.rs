//! Which of many patterns may begin at a place: asked for all of them at once, with one look at a table for each byte.
//!
//! Most words and numbers begin like no match of any rule of numbers, which shows within a few bytes. The machine that tries all of
//! them has thousands of states, whose memory is in no cache.

use crate::sensitive::rules::ByteSet;

/// Bytes that are looked at: the one before a match, and its first ones.
const PLACES: usize = 13;
/// Patterns that are told apart; where there are more, some share a bit.
pub(crate) const BITS: usize = 256;
/// Most kinds of bytes of which it is known which three may follow each other.
const MAX_CLASSES: usize = 96;

/// A set of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Which([u64; BITS / 64]);

impl Which {
    /// Adds a pattern, by its number.
    pub(crate) fn add(&mut self, pattern: usize) {
        self.0[pattern % BITS / 64] |= 1 << (pattern % 64);
    }

    /// Adds those of another set.
    pub(crate) fn add_all(&mut self, other: Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Those that are in both sets.
    pub(crate) fn and(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a & e, b & f, c & g, d & h])
    }

    /// Whether no pattern is in it.
    pub(crate) fn is_empty(self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }
}

/// How matches of a pattern begin.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// What may not stand before it.
    pub(crate) before: ByteSet,
    /// What may be at its first places; behind those anything may be.
    pub(crate) sets: Vec<&'a ByteSet>,
    /// Its sign may be farther than most.
    pub(crate) far: bool,
}

impl Head<'_> {
    /// Whether this byte may be there. The first place is the one before the match.
    fn may_have(&self, byte: u8, place: usize) -> bool {
        match place.checked_sub(1) {
            None => !self.before.has(byte),
            Some(place) => self.sets.get(place).is_none_or(|set| set.has(byte)),
        }
    }
}

/// For each of the places and each byte, the patterns that may have it there.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// Bytes that no pattern tells apart are of one class: the table must be small to stay near.
    classes: Vec<u8>,
    count: usize,
    /// By place and class.
    rows: Vec<Which>,
    /// A bit for each three classes, whether any pattern may have them at the first three places; and whether one may whose
    /// sign can be far. Most places end here.
    begins: [Vec<u64>; 2],
}

impl Heads {
    /// Of these patterns, which are numbered in their order.
    pub(crate) fn of<'a>(patterns: impl Iterator<Item = Head<'a>>) -> Self {
        let mut columns = vec![[Which::default(); PLACES]; 256];
        let (mut all, mut far) = (Which::default(), Which::default());
        for (pattern, head) in patterns.enumerate() {
            all.add(pattern);
            if head.far {
                far.add(pattern);
            }
            for (byte, column) in (0..=u8::MAX).zip(&mut columns) {
                for (place, which) in column.iter_mut().enumerate() {
                    if head.may_have(byte, place) {
                        which.add(pattern);
                    }
                }
            }
        }
        let mut known: Vec<[Which; PLACES]> = Vec::new();
        let mut class = |column: &[Which; PLACES]| {
            let place = known.iter().position(|one| one == column);
            let place = place.unwrap_or_else(|| {
                known.push(*column);
                known.len() - 1
            });
            u8::try_from(place).unwrap_or_default()
        };
        let classes = columns.iter().map(&mut class).collect();
        let rows = (0..PLACES).flat_map(|place| known.iter().map(move |column| column[place]));
        let mut heads = Self {
            classes,
            count: known.len(),
            rows: rows.collect(),
            begins: Default::default(),
        };
        heads.begins = [all, far].map(|which| heads.first_three(which));
        heads
    }

    fn first_three(&self, which: Which) -> Vec<u64> {
        let count = self.count;
        if count > MAX_CLASSES {
            return Vec::new();
        }
        let (before, rest) = self.rows.split_at(count);
        let (first, rest) = rest.split_at(count);
        let mut begins = vec![0; (count * count * count).div_ceil(64)];
        for (one, a) in before.iter().enumerate() {
            for (two, b) in first.iter().enumerate() {
                for (three, c) in rest.iter().take(count).enumerate() {
                    let place = (one * count + two) * count + three;
                    begins[place / 64] |= u64::from(!a.and(*b).and(*c).and(which).is_empty()) << (place % 64);
                }
            }
        }
        begins
    }

    fn class(&self, byte: u8) -> usize {
        self.classes
            .get(usize::from(byte))
            .map_or(0, |class| usize::from(*class))
    }

    /// Whether any match may begin at this place of the text, as far as three bytes tell, and how near a sign is.
    pub(crate) fn may_begin(&self, text: &[u8], place: usize, near: bool) -> bool {
        let around = place
            .checked_sub(1)
            .and_then(|before| text.get(before..place + 2));
        let Some([a, b, c]) = around else { return true };
        let place = (self.class(*a) * self.count + self.class(*b)) * self.count + self.class(*c);
        self.begins[usize::from(!near)]
            .get(place / 64)
            .is_none_or(|bits| bits >> (place % 64) & 1 == 1)
    }

    /// The patterns of which a match may begin at this place of the text.
    pub(crate) fn fit(&self, text: &[u8], place: usize) -> Which {
        let mut all = Which([u64::MAX; BITS / 64]);
        let (mut row, text) = match place.checked_sub(1) {
            Some(before) => (0, text.get(before..)),
            None => (self.count, Some(text)),
        };
        for byte in text.unwrap_or_default() {
            let Some(which) = self.rows.get(row + self.class(*byte)) else {
                break;
            };
            all = all.and(*which);
            if all.is_empty() {
                break;
            }
            row += self.count;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(patterns: &[usize]) -> Which {
        let mut all = Which::default();
        patterns.iter().for_each(|pattern| all.add(*pattern));
        all
    }

    fn head(sets: Vec<&ByteSet>) -> Head<'_> {
        Head {
            before: ByteSet::of(*b"-x"),
            sets,
            far: false,
        }
    }

    #[test]
    fn patterns_are_told_by_their_first_bytes() {
        let (digits, letters) = (ByteSet::of(b'0'..=b'9'), ByteSet::of(b'a'..=b'z'));
        let patterns = [
            vec![&digits, &digits, &letters],
            vec![&letters],
            vec![&digits; 20],
        ];
        let heads = Heads::of(patterns.into_iter().map(head));
        let fit = |text: &[u8], place| {
            let fit = heads.fit(text, place).and(which(&[0, 1, 2]));
            assert!(fit.is_empty() || heads.may_begin(text, place, true));
            fit
        };
        assert_eq!(fit(b"12a", 0), which(&[0]));
        assert_eq!(fit(b"x-----", 0), which(&[1]));
        assert_eq!(fit(&[b'7'; 30], 0), which(&[2]));
        assert_eq!(fit(b"123456-", 0), which(&[]));
        assert_eq!(fit(b"=12a", 1), which(&[0]));
        assert_eq!(fit(b"-12a", 1), which(&[]));
        assert!(
            !heads.may_begin(b"-12a", 1, true)
                && !heads.may_begin(b" 1-", 1, true)
                && heads.may_begin(b" 12-", 1, true)
        );
        assert!(!heads.may_begin(b" 12-", 1, false), "no sign is far");
        // What is cut off could go on.
        assert_eq!(fit(b"1", 0), which(&[0, 2]));
        assert!(fit(b"-", 0).is_empty() && !fit(b"", 0).is_empty());
    }

    #[test]
    fn many_patterns_share_bits_and_none_is_lost() {
        let digits: Vec<ByteSet> = (0..10).map(|n| ByteSet::of([b'0' + n])).collect();
        let heads = Heads::of((0..1_000).map(|n| head(vec![&digits[n / 100]])));
        for pattern in 0..1_000 {
            let text = [b'0' + u8::try_from(pattern / 100).unwrap()];
            assert!(!heads.fit(&text, 0).and(which(&[pattern])).is_empty());
        }
    }
}
