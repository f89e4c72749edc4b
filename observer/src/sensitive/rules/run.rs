//! What must follow a literal in every match: most of all a row of bytes long enough to be a secret.
//!
//! Words such as `secret`, `key` and `token` are everywhere. What they lead to is rare, and in prose hardly anything is as
//! long as a secret without a space in it. Looking for that costs a look at a few bytes, since a row of so many bytes holds one of any
//! so many; trying the rule costs a hundred times as much.

use regex_syntax::hir::{Hir, HirKind};

use super::bytes::ByteSet;

/// Farthest end of a row behind the literal, so that a look stays cheap.
const FARTHEST: usize = 1024;
/// Least rarity, in bits.
const RARE: f64 = 5.0;

/// Bytes of a set in a row, which stand somewhere in a stretch of each match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    set: ByteSet,
    length: usize,
    /// Its first byte is at least so many bytes behind the begin.
    near: usize,
    /// Its last byte is less than so many behind the begin.
    far: usize,
}

impl Run {
    /// The rarest run of which every text that the pattern fits holds one; `None` where there is none that is rare.
    pub(super) fn of(hir: &Hir) -> Option<Self> {
        rarest(hir).filter(|run| run.rarity() >= RARE && run.far <= FARTHEST)
    }

    /// The same, where the pattern begins up to so many bytes later.
    pub(super) fn within(mut self, more: usize) -> Option<Self> {
        self.far += more;
        (self.far <= FARTHEST).then_some(self)
    }

    /// Whether there is such a run behind this place of the text.
    pub(crate) fn is_behind(&self, place: usize, text: &[u8]) -> bool {
        let end = text.len().min(place + self.far);
        let mut at = place + self.near;
        while let Some(window) = text.get(at..at + self.length).filter(|_| at + self.length <= end) {
            match window.iter().rposition(|byte| !self.set.has(*byte)) {
                Some(other) => at += other + 1,
                None => return true,
            }
        }
        false
    }

    /// Bytes that a look goes through at most.
    pub(crate) fn stretch(&self) -> usize {
        self.far - self.near
    }

    fn rarity(&self) -> f64 {
        f64::from(u32::try_from(self.length).unwrap_or(u32::MAX)) * rarity(self.set)
    }
}

/// How rare a byte of this set is in ordinary text, in bits and roughly.
pub(super) fn rarity(set: ByteSet) -> f64 {
    let part: u32 = set.iter().map(|byte| SHARES[usize::from(byte)]).sum();
    (f64::from(WHOLE) / f64::from(part.max(1))).log2()
}

/// How often a byte is in ordinary text, of [`WHOLE`].
const SHARES: [u32; 256] = {
    let mut shares = [1; 256];
    let mut byte = 0;
    while byte < 256 {
        shares[byte] = match byte as u8 {
            b'a'..=b'z' => 26,
            b'A'..=b'Z' => 3,
            b'0'..=b'9' => 5,
            b' ' => 150,
            b'\n' => 20,
            b'"' | b'.' | b',' | b'_' | b'-' | b':' | b'/' | b'(' | b')' | b'=' | b';' | b'\'' => 8,
            _ => 1,
        };
        byte += 1;
    }
    shares
};

/// All bytes together.
const WHOLE: u32 = {
    let (mut sum, mut byte) = (0, 0);
    while byte < 256 {
        sum += SHARES[byte];
        byte += 1;
    }
    sum
};

fn rarest(hir: &Hir) -> Option<Run> {
    let whole = Run {
        set: ByteSet::any_of(hir),
        length: hir.properties().minimum_len()?,
        near: 0,
        far: hir.properties().minimum_len()?,
    };
    let inner = match hir.kind() {
        HirKind::Capture(group) => rarest(&group.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => rarest(&repeated.sub),
        HirKind::Concat(parts) => rarest_of_parts(parts),
        HirKind::Alternation(branches) => of_any(branches),
        _ => None,
    };
    Some(
        inner
            .filter(|inner| inner.rarity() > whole.rarity())
            .unwrap_or(whole),
    )
}

/// Of parts in a row: of what some of them hold together, and of what single ones hold.
fn rarest_of_parts(parts: &[Hir]) -> Option<Run> {
    let mut found: Option<Run> = None;
    let sets: Vec<(ByteSet, usize)> = parts
        .iter()
        .map(|part| {
            (
                ByteSet::any_of(part),
                part.properties().minimum_len().unwrap_or(0),
            )
        })
        .collect();
    let (mut near, mut far) = (0, Some(0usize));
    for (number, part) in parts.iter().enumerate() {
        let Some(before) = far else { break };
        let mut add = |run: Run| {
            if found.is_none_or(|known| run.rarity() > known.rarity()) {
                found = Some(run);
            }
        };
        if let Some(run) = rarest(part) {
            add(Run {
                near: near + run.near,
                far: before + run.far,
                ..run
            });
        }
        let (mut set, mut length) = (ByteSet::default(), 0);
        for (more, least) in &sets[number..] {
            (set, length) = (set.union(*more), length + least);
            add(Run {
                set,
                length,
                near,
                far: before + length,
            });
        }
        near += part.properties().minimum_len().unwrap_or(0);
        far = part.properties().maximum_len().map(|most| before + most);
    }
    found
}

/// One that every branch holds.
fn of_any(branches: &[Hir]) -> Option<Run> {
    let mut all: Option<Run> = None;
    for branch in branches {
        let run = rarest(branch)?;
        all = Some(all.map_or(run, |all| Run {
            set: all.set.union(run.set),
            length: all.length.min(run.length),
            near: all.near.min(run.near),
            far: all.far.max(run.far),
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitive::rules::form::parse;

    fn run(pattern: &str) -> Option<Run> {
        Run::of(&parse(pattern).unwrap())
    }

    #[test]
    fn a_value_of_a_fixed_length_is_a_run() {
        let value = run("[A-Za-z_]{0,20}\\s{0,4}[=:]\\s{0,4}\"?([0-9a-f]{32})").unwrap();
        assert_eq!(
            (value.length, value.near, value.far),
            (32, 1, 20 + 4 + 1 + 4 + 1 + 32)
        );
        assert!(value.is_behind(3, format!("key_name = {}", "0f".repeat(16)).as_bytes()));
        assert!(!value.is_behind(3, format!("key_name = {}", "0f".repeat(15)).as_bytes()));
        assert!(!value.is_behind(
            3,
            format!("key_name = {}{}", " ".repeat(61), "0f".repeat(16)).as_bytes()
        ));
        assert!(!value.is_behind(3, b"ke"));
    }

    #[test]
    fn what_is_everywhere_is_no_run() {
        for pattern in [
            "[a-z]{4}",
            "(?s:.){40}",
            "x?",
            "[a-z]{4}|[0-9]{20}",
            "(?s:.{0,2000})[0-9a-f]{32}",
        ] {
            assert_eq!(run(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn no_match_is_without_its_run() {
        let texts = [
            "=0123456789abcdef0123",
            " : 'ABCD-EFGH-0123-4567-89ab'",
            "ab=ab=ab=ab=ab=ab=",
            "((((((((((12345678",
        ];
        for pattern in [
            "[ :=']{1,4}[0-9a-fA-F-]{16,40}",
            "[ :=']{1,4}(?:[A-Z]{4}-){2}[0-9]{4}",
            "(?:[a-z]{2}=){4,9}|.[0-9]{12,}",
            "\\(+[0-9]{6,8}",
            "=(?:[0-9]{10})[a-f0-9]{3,9}",
        ] {
            let run = run(pattern).unwrap_or_else(|| panic!("{pattern}"));
            let anchored = regex::bytes::Regex::new(&format!("(?-u)\\A(?:{pattern})")).unwrap();
            let mut count = 0;
            for text in texts {
                for at in 0..text.len() {
                    if anchored.is_match(&text.as_bytes()[at..]) {
                        assert!(run.is_behind(at, text.as_bytes()), "{pattern} in {text} at {at}");
                        count += 1;
                    }
                }
            }
            assert!(count > 0, "{pattern}");
        }
    }
}
