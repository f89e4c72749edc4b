//! The values that a condition names: texts, patterns with `*` and `?`, and regular expressions within a budget.

use regex::bytes::{Regex, RegexBuilder};

use crate::config::glob::Glob;

/// Longest regular expression, in bytes.
const MAX_REGEX: usize = 1_024;
/// Largest compiled regular expression, in bytes.
const REGEX_BYTES: usize = 64 * 1024;
/// Deepest nesting in a regular expression.
const REGEX_NESTING: u32 = 16;
/// Most regular expressions of one policy.
pub(super) const MAX_REGEXES: usize = 256;

/// One value that is no plain text.
#[derive(Debug, Clone)]
enum Pattern {
    Glob(Glob),
    Regex(Box<Regex>, String),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for Pattern {}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex, _) => regex.is_match(text.as_bytes()),
        }
    }

    fn written(&self) -> &str {
        match self {
            Self::Glob(glob) => glob.pattern(),
            Self::Regex(_, text) => text,
        }
    }

    /// Whether every text of `other` is one of this pattern, as far as can be told.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Glob(mine), Self::Glob(theirs)) => mine.covers(theirs),
            (Self::Glob(mine), Self::Regex(..)) => mine.pattern().bytes().all(|b| b == b'*'),
            (Self::Regex(_, mine), Self::Regex(_, theirs)) => mine == theirs,
            (Self::Regex(..), Self::Glob(_)) => false,
        }
    }

    /// Whether there is a text of both, as far as can be told.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Glob(mine), Self::Glob(theirs)) => mine.meets(theirs),
            _ => true,
        }
    }
}

/// Regular expressions that a file may still have.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) regexes: usize,
}

/// Any of these values will do. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Values {
    /// Sorted.
    texts: Vec<Box<str>>,
    patterns: Vec<Pattern>,
}

impl Values {
    /// Adds a value as written: `~` begins a regular expression for the whole text, `*` and `?` make a pattern. The
    /// error says what is wrong with it.
    pub(super) fn add(&mut self, text: &str, budget: &mut Budget) -> Result<(), String> {
        if let Some(regex) = text.strip_prefix('~') {
            self.patterns.push(regex_of(regex, text, budget)?);
            return Ok(());
        }
        let glob = Glob::new(text, false)?;
        if text.contains(['*', '?']) {
            self.patterns.push(Pattern::Glob(glob));
        } else if let Err(at) = self.texts.binary_search_by(|t| (**t).cmp(text)) {
            self.texts.insert(at, text.into());
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.patterns.is_empty()
    }

    /// Whether a pattern of these takes every text.
    pub(super) fn has_all(&self) -> bool {
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Glob(glob) => glob.pattern().bytes().all(|b| b == b'*'),
            Pattern::Regex(_, written) => matches!(written.as_str(), "~.*" | "~.+"),
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.has(text) || self.patterns.iter().any(|pattern| pattern.matches(text))
    }

    fn has(&self, text: &str) -> bool {
        self.texts.binary_search_by(|t| (**t).cmp(text)).is_ok()
    }

    /// Whether every text that fits `other` fits these values too, as far as can be told.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.texts.iter().all(|text| self.matches(text))
            && other
                .patterns
                .iter()
                .all(|theirs| self.patterns.iter().any(|mine| mine.covers(theirs)))
    }

    /// Whether a text can fit both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.texts.iter().any(|text| other.matches(text))
            || other.texts.iter().any(|text| self.matches(text))
            || self
                .patterns
                .iter()
                .any(|mine| other.patterns.iter().any(|theirs| mine.meets(theirs)))
    }

    /// Keys under which an index can find these values; `None` where one has no such key. `*.x` has the key `.x`.
    pub(super) fn keys(&self) -> Option<impl Iterator<Item = &str>> {
        let suffix = |pattern: &Pattern| match pattern {
            Pattern::Glob(glob) => glob
                .pattern()
                .strip_prefix('*')
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.') && !rest.contains(['*', '?'])),
            Pattern::Regex(..) => false,
        };
        if !self.patterns.iter().all(suffix) {
            return None;
        }
        let suffixes = self.patterns.iter().map(|pattern| &pattern.written()[1..]);
        Some(self.texts.iter().map(|text| &**text).chain(suffixes))
    }

    /// Each value on its own.
    pub(super) fn singles(&self) -> impl Iterator<Item = Self> + '_ {
        let texts = self.texts.iter().map(|text| Self {
            texts: vec![text.clone()],
            patterns: Vec::new(),
        });
        texts.chain(self.patterns.iter().map(|pattern| Self {
            texts: Vec::new(),
            patterns: vec![pattern.clone()],
        }))
    }

    /// As written, texts first.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        let patterns = self.patterns.iter().map(Pattern::written);
        self.texts.iter().map(|text| &**text).chain(patterns)
    }

    /// As written, for a message.
    pub(super) fn shown(&self) -> String {
        const MOST: usize = 5;
        let mut parts: Vec<&str> = self.written().take(MOST).collect();
        if self.written().nth(MOST).is_some() {
            parts.push("...");
        }
        parts.join(", ")
    }
}

fn regex_of(regex: &str, written: &str, budget: &mut Budget) -> Result<Pattern, String> {
    if regex.len() > MAX_REGEX {
        return Err(format!("is a regular expression longer than {MAX_REGEX} bytes"));
    }
    let Some(left) = budget.regexes.checked_sub(1) else {
        return Err(format!(
            "is one regular expression too many; at most {MAX_REGEXES} are allowed, use * and ? instead"
        ));
    };
    budget.regexes = left;
    let compiled = RegexBuilder::new(&format!("^(?:{regex})$"))
        .unicode(false)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .nest_limit(REGEX_NESTING)
        .build();
    match compiled {
        Ok(compiled) => Ok(Pattern::Regex(Box::new(compiled), written.to_owned())),
        Err(regex::Error::CompiledTooBig(_)) => Err(format!(
            "is a regular expression that takes more than {} KiB compiled; make it simpler",
            REGEX_BYTES / 1024
        )),
        Err(error) => Err(format!("is no valid regular expression: {}", last_line(&error))),
    }
}

/// What is wrong, without the drawing above it.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &[&str]) -> Values {
        let mut budget = Budget { regexes: MAX_REGEXES };
        let mut values = Values::default();
        texts
            .iter()
            .for_each(|text| values.add(text, &mut budget).unwrap());
        values
    }

    fn fault(text: &str, regexes: usize) -> String {
        Values::default().add(text, &mut Budget { regexes }).unwrap_err()
    }

    #[test]
    fn texts_patterns_and_regular_expressions_match_the_whole() {
        let some = values(&["gpt-4o", "claude-*", "~gpt-(4\\.1|5)(-mini)?"]);
        for (text, wanted) in [
            ("gpt-4o", true),
            ("gpt-4o-mini", false),
            ("claude-x", true),
            ("gpt-5-mini", true),
            ("gpt-4.1", true),
            ("xgpt-5", false),
            ("gpt-5\n", false),
        ] {
            assert_eq!(some.matches(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_budget_of_regular_expressions_is_kept() {
        assert!(fault("~a", 0).contains("too many"));
        assert!(fault(&format!("~{}", "a|".repeat(MAX_REGEX)), 1).contains("longer than 1024"));
        assert!(
            fault("~(a{1000}){1000}", 1).contains("64 KiB"),
            "{}",
            fault("~(a{1000}){1000}", 1)
        );
        assert!(fault(&format!("~{}a{}", "(".repeat(40), ")".repeat(40)), 1).contains("regular expression"));
        assert!(
            fault("~a(", 1).contains("no valid regular expression: unclosed"),
            "{}",
            fault("~a(", 1)
        );
        assert!(fault("", 1).contains("empty"));
    }

    #[test]
    fn covering_and_meeting() {
        let cases = [
            (&["a", "b"][..], &["a"][..], true, true),
            (&["a"], &["a", "b"], false, true),
            (&["*.x.com"], &["a.x.com"], true, true),
            (&["*.x.com"], &["*.y.x.com"], true, true),
            (&["*.y.x.com"], &["*.x.com"], false, true),
            (&["a*"], &["*b"], false, true),
            (&["a*"], &["b*"], false, false),
            (&["~a+"], &["~a+"], true, true),
            (&["*"], &["~a+"], true, true),
            (&["~a+"], &["aa"], true, true),
            (&["~a+"], &["b"], false, false),
        ];
        for (mine, theirs, covers, meets) in cases {
            let (a, b) = (values(mine), values(theirs));
            assert_eq!(
                (a.covers(&b), a.meets(&b), b.meets(&a)),
                (covers, meets, meets),
                "{mine:?} {theirs:?}"
            );
        }
    }

    #[test]
    fn keys_of_an_index() {
        let keys = |texts: &[&str]| {
            values(texts)
                .keys()
                .map(|k| k.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(keys(&["b", "a", "*.x.com"]).unwrap(), ["a", "b", ".x.com"]);
        assert!(keys(&["a", "b*"]).is_none() && keys(&["*."]).is_none() && keys(&["~a"]).is_none());
    }
}
