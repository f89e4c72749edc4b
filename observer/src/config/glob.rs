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
        let (pattern, text) = (self.pattern.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star stands and what it has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p).is_some_and(|wanted| self.same(*wanted, text[t])) {
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
