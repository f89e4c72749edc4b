//! Values that stand for a secret and are none: `xxxx`, `your-api-key`, `changeme`, and the examples of manuals.
//!
//! Asked for every value of a rule of class `secret` or `credential`, whatever the rule says itself.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Could be real.
    Real,
    /// Calls itself an example, or is the alphabet: to be reported as such.
    Example,
    /// Stands for a value; nothing to report.
    Placeholder,
}

/// Longest value that is looked at. Longer ones are encoded data, in which runs and words come by chance.
const LONGEST: usize = 512;
/// So many equal letters or digits in a row are no chance.
const RUN: usize = 6;
/// Share of a value, in percent, that may follow the alphabet or the digits.
const ASCENDING_PERCENT: usize = 85;
/// Fewest characters of a stretch that counts.
const SHORTEST_STRETCH: usize = 8;
/// A stretch of so many is no chance, whatever stands around it.
const LONGEST_STRETCH: usize = 12;
/// Words of examples.
const EXAMPLE_WORDS: [&str; 4] = ["example", "a1b2c3d4", "d4c3b2a1", "abc123xyz"];
/// Words of placeholders.
const PLACEHOLDER_WORDS: [&str; 31] = [
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "changeit",
    "redacted",
    "your_",
    "your-",
    "yourtoken",
    "yourkey",
    "yourapi",
    "yoursecret",
    "yourpass",
    "youraccess",
    "yourown",
    "insert",
    "replace",
    "dummy",
    "sample",
    "xxxxx",
    "*****",
    "...",
    "_here",
    "-here",
    "todo",
    "fixme",
    "notreal",
    "not-real",
    "not_real",
    "goeshere",
    "somesecret",
];

/// Looks at one value.
pub(super) fn look(value: &[u8]) -> Look {
    if value.len() > LONGEST {
        return Look::Real;
    }
    let lower = value.to_ascii_lowercase();
    let has = |word: &&str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    let template = |pair: &[u8]| value.starts_with(&pair[..1]) && value.ends_with(&pair[1..]);
    if PLACEHOLDER_WORDS.iter().any(has) || longest_run(value) >= RUN || template(b"<>") || template(b"{}") {
        Look::Placeholder
    } else if EXAMPLE_WORDS.iter().any(has) || ascends(&lower) {
        Look::Example
    } else {
        Look::Real
    }
}

/// Most equal characters in a row. `A` does not count: it is what zero looks like in base64.
fn longest_run(value: &[u8]) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for byte in value {
        run = if last == Some(byte) { run + 1 } else { 1 };
        last = Some(byte);
        if *byte != b'A' {
            longest = longest.max(run);
        }
    }
    longest
}

/// Whether a value, or much of it, is `abcdef...`, `012345...` and the like, in stretches.
fn ascends(lower: &[u8]) -> bool {
    let follows = |a: u8, b: u8| {
        (b == a.wrapping_add(1) || (a == b'9' && b == b'0') || (a == b'9' && b == b'a'))
            && b.is_ascii_alphanumeric()
    };
    let (mut covered, mut longest, mut run) = (0, 0, 1);
    for at in 1..=lower.len() {
        if at < lower.len() && follows(lower[at - 1], lower[at]) {
            run += 1;
            continue;
        }
        covered += if run >= SHORTEST_STRETCH { run } else { 0 };
        longest = longest.max(run);
        run = 1;
    }
    longest >= LONGEST_STRETCH || covered * 100 >= lower.len().max(SHORTEST_STRETCH) * ASCENDING_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_examples_and_what_may_be_real() {
        for text in [
            "xxxxxxxx",
            "ghp_xxxxxxxxxxxx",
            "your-api-key",
            "YOUR_TOKEN",
            "changeme",
            "00000000-0000",
            "<token>",
            "{key}",
            "REPLACE_ME_NOW",
            "token_goes_here",
            "[REDACTED]",
            "a.....b",
        ] {
            assert_eq!(look(text.as_bytes()), Look::Placeholder, "{text}");
        }
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "abcdefghijklmnop",
            "1234567890",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(look(text.as_bytes()), Look::Example, "{text}");
        }
        for text in [
            "q7k2m9x4r8t3",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAA",
            "hunter2",
            "",
            "Passw0rd1234",
        ] {
            assert_eq!(look(text.as_bytes()), Look::Real, "{text}");
        }
        assert_eq!(
            look(&[b'x'; LONGEST + 1]),
            Look::Real,
            "too long to judge by its letters"
        );
    }
}
