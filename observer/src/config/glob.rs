//! Shell-like patterns: `*` for any characters, `?` for one. No backtracking without end: the time is bounded by
//! the product of both lengths, and both are short.

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_024;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    ignore_case: bool,
}

impl Glob {
    /// A pattern, with or without regard to case; the error says what is wrong with it.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, &'static str> {
        if pattern.is_empty() {
            return Err("is empty");
        }
        if pattern.len() > MAX_PATTERN {
            return Err("is longer than 1024 bytes");
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            ignore_case,
        })
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_with(text, |wanted, got| self.same(wanted, got))
    }

    fn matches_with(&self, text: &str, same: impl Fn(u8, u8) -> bool) -> bool {
        let (pattern, text) = (self.pattern.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star stands and what it has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p).is_some_and(|wanted| same(*wanted, text[t])) {
                p += 1;
                t += 1;
            } else if let Some((at, taken)) = star {
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// Whether every text that fits `other` fits this pattern too. `true` is certain; `false` may be said too often, for
    /// patterns with several stars. Case counts.
    pub fn covers(&self, other: &Self) -> bool {
        // The other pattern is read as a text in which only a star stands for a star.
        self.matches_with(&other.pattern, |wanted, got| match (wanted, got) {
            (_, b'*') => false,
            (b'?', _) => true,
            _ => wanted == got,
        })
    }

    /// Whether a text can fit both patterns. Case counts.
    pub fn meets(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.pattern.as_bytes(), other.pattern.as_bytes());
        // `row[j]`: what is left of this pattern from `i` on meets what is left of the other from `j` on.
        let mut row = vec![false; theirs.len() + 1];
        for i in (0..=mine.len()).rev() {
            let below = row.clone();
            for j in (0..=theirs.len()).rev() {
                let (a, b) = (mine.get(i), theirs.get(j));
                row[j] = match (a, b) {
                    (None, None) => true,
                    (Some(b'*'), Some(_)) => below[j] || row[j + 1],
                    (Some(b'*'), None) => below[j],
                    (Some(_), Some(b'*')) => row[j + 1] || below[j],
                    (None, Some(b'*')) => row[j + 1],
                    (Some(a), Some(b)) => (a == b || *a == b'?' || *b == b'?') && below[j + 1],
                    _ => false,
                };
            }
        }
        row[0]
    }

    fn same(&self, wanted: u8, got: u8) -> bool {
        wanted == b'?' || wanted == got || (self.ignore_case && wanted.eq_ignore_ascii_case(&got))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("*", "", true),
            ("*", "abc", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abc", "ab", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*.openai.azure.com", "x.openai.azure.com", true),
            ("*.openai.azure.com", "openai.azure.com", false),
            ("/usr/lib/python3*", "/usr/lib/python3.11", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a**b", "ab", true),
        ];
        for (pattern, text, wanted) in cases {
            assert_eq!(
                Glob::new(pattern, false).unwrap().matches(text),
                wanted,
                "{pattern} {text}"
            );
        }
        assert!(Glob::new("A.b", true).unwrap().matches("a.B"));
        assert!(!Glob::new("A.b", false).unwrap().matches("a.b"));
    }

    #[test]
    fn patterns_cover_and_meet_each_other() {
        let cases = [
            ("*", "a*b", true, true),
            ("a*", "ab*", true, true),
            ("ab*", "a*", false, true),
            ("a?c", "abc", true, true),
            ("abc", "a?c", false, true),
            ("?", "*", false, true),
            ("*?", "*", false, true),
            ("a*", "*b", false, true),
            ("a*", "b*", false, false),
            ("a*c", "ab", false, false),
            ("*.x.com", "*.y.x.com", true, true),
            ("ab", "abc", false, false),
        ];
        for (mine, theirs, covers, meets) in cases {
            let (a, b) = (Glob::new(mine, false).unwrap(), Glob::new(theirs, false).unwrap());
            assert_eq!(
                (a.covers(&b), a.meets(&b), b.meets(&a)),
                (covers, meets, meets),
                "{mine} {theirs}"
            );
        }
    }

    #[test]
    fn long_patterns_are_refused_and_hard_ones_end() {
        assert!(Glob::new("", false).is_err());
        assert!(Glob::new(&"a".repeat(MAX_PATTERN + 1), false).is_err());
        assert!(
            !Glob::new(&"a*".repeat(500), false)
                .unwrap()
                .matches(&"a".repeat(499))
        );
        assert!(
            !Glob::new(&format!("{}b", "*a".repeat(100)), false)
                .unwrap()
                .matches(&"a".repeat(5_000))
        );
    }
}
