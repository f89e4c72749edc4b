//! Values that stand for a secret and are none: `xxxx`, `your-api-key`, `changeme`, and the examples of manuals.
//!
//! Asked for every value of a rule of class `secret` or `credential`, whatever the rule says itself.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::rules::Rank;

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
pub(super) const LONGEST: usize = 512;
/// So many equal letters or digits in a row are no chance.
const RUN: usize = 6;
/// Share of a value, in percent, that may follow the alphabet or the digits.
const ASCENDING_PERCENT: usize = 85;
/// Fewest characters of a stretch that counts.
const SHORTEST_STRETCH: usize = 8;
/// A stretch of so many is no chance, whatever stands around it.
const LONGEST_STRETCH: usize = 12;
/// The same for letters (people put `1234567` into passwords) in a value of which nothing but its name is known, and
/// that is as long as those that machines make.
const LONGEST_OF_LETTERS: usize = 7;
const LONG: usize = 16;
/// So many equal numbers in a row are no chance, and the lengths of those that count.
const GROUPS: usize = 3;
const GROUP: std::ops::RangeInclusive<usize> = 3..=8;
/// With this begin references to a secret that is kept elsewhere, and values that are encrypted.
const REFERENCES: [&[u8]; 8] = [
    b"op://",
    b"vault:",
    b"ref+",
    b"enc[",
    b"{cipher}",
    b"@microsoft.keyvault",
    b"arn:aws:",
    b"awssm:",
];
/// Words of examples.
const EXAMPLE_WORDS: [&str; 4] = ["example", "a1b2c3d4", "d4c3b2a1", "abc123xyz"];
/// Words of placeholders.
const PLACEHOLDER_WORDS: [&str; 49] = [
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
    "fake-",
    "fake_",
    "-fake",
    "_fake",
    "mock-",
    "mock_",
    "not-a-",
    "not_a_",
    "test-key",
    "test_key",
    "test-api",
    "test_api",
    "test-token",
    "test_token",
    "my-secret",
    "my_secret",
    "change-this",
    "change_this",
];

/// Both lists as one, in this order: a value is gone through once. `None` cannot be: the words are few and fixed.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = PLACEHOLDER_WORDS.iter().chain(&EXAMPLE_WORDS);
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
        .ok()
});

/// What the words in a value make of it.
fn by_words(value: &[u8]) -> Look {
    let Some(words) = WORDS.as_ref() else {
        return Look::Real;
    };
    let mut look = Look::Real;
    for found in words.find_overlapping_iter(value) {
        if found.pattern().as_usize() < PLACEHOLDER_WORDS.len() {
            return Look::Placeholder;
        }
        look = Look::Example;
    }
    look
}

/// Looks at one value of a rule of this rank.
pub(super) fn look(rank: Rank, value: &[u8]) -> Look {
    if value.len() > LONGEST {
        return Look::Real;
    }
    let lower = value.to_ascii_lowercase();
    let template = |pair: &[u8]| value.starts_with(&pair[..1]) && value.ends_with(&pair[1..]);
    let refers = REFERENCES.iter().any(|begin| lower.starts_with(begin));
    let words = by_words(value);
    let stands_in = words == Look::Placeholder || longest_run(value) >= RUN || repeats(&lower);
    if refers || stands_in || template(b"<>") || template(b"{}") || template(b"%%") {
        Look::Placeholder
    } else if words == Look::Example || ascends(&lower, rank) {
        Look::Example
    } else {
        Look::Real
    }
}

/// Most equal characters in a row. `A` does not count: it is what zero looks like in base64. Nor does white space, with which
/// the lines of a value are indented.
fn longest_run(value: &[u8]) -> usize {
    let (mut longest, mut run, mut last) = (0, 0, None);
    for byte in value {
        run = if last == Some(byte) { run + 1 } else { 1 };
        last = Some(byte);
        if *byte != b'A' && !byte.is_ascii_whitespace() {
            longest = longest.max(run);
        }
    }
    longest
}

/// Whether numbers between separators are the same several times: `1234-1234-1234`.
fn repeats(lower: &[u8]) -> bool {
    let (mut last, mut count) = (&[][..], 1);
    for group in lower.split(|b| matches!(b, b'-' | b'_' | b'.' | b':')) {
        count = if group == last { count + 1 } else { 1 };
        last = group;
        if count >= GROUPS && GROUP.contains(&group.len()) && group.iter().all(u8::is_ascii_digit) {
            return true;
        }
    }
    false
}

/// Whether a value, or much of it, is `abcdef...`, `012345...` and the like, in stretches.
fn ascends(lower: &[u8], rank: Rank) -> bool {
    let follows = |a: u8, b: u8| {
        (b == a.wrapping_add(1) || (a == b'9' && b == b'0') || (a == b'9' && b == b'a'))
            && b.is_ascii_alphanumeric()
    };
    let general = rank == Rank::General && lower.len() >= LONG;
    let (mut covered, mut no_chance, mut run) = (0, false, 1);
    for at in 1..=lower.len() {
        if at < lower.len() && follows(lower[at - 1], lower[at]) {
            run += 1;
            continue;
        }
        covered += if run >= SHORTEST_STRETCH { run } else { 0 };
        let letters = lower[at - run..at].iter().all(u8::is_ascii_alphabetic);
        no_chance |= run >= LONGEST_STRETCH || general && letters && run >= LONGEST_OF_LETTERS;
        run = 1;
    }
    no_chance || covered * 100 >= lower.len().max(SHORTEST_STRETCH) * ASCENDING_PERCENT
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
            "tok-1234-1234-1234-9f3c",
            "fake-token-20f1",
            "not-a-real-one-77",
            "test_key_000111",
            "op://vault/item/password",
            "ENC[AES256_GCM,data:Zm9v]",
            "{cipher}fa3900c1",
            "%DB_PASSWORD_2%",
        ] {
            assert_eq!(look(Rank::General, text.as_bytes()), Look::Placeholder, "{text}");
        }
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "abcdefghijklmnop",
            "1234567890",
            "0123456789abcdef0123456789abcdef",
            "abcdefg93k2+QXKDM",
        ] {
            assert_eq!(look(Rank::General, text.as_bytes()), Look::Example, "{text}");
        }
        for text in [
            "q7k2m9x4r8t3",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAA",
            "hunter2",
            "",
            "Passw0rd1234",
            "hunter1234567",
            "1234-1234-9f3c-77aa",
            "attest-0keyed-91",
            "revault:x9",
            "Q8zLw+hF+1ABCsI1234567890",
            "12ab-1234-abcd-abcd-abcd-77",
            "-----BEGIN PRIVATE KEY-----\n        MIIEvQIBADANBgkqhkiG9w0BAQEF",
        ] {
            assert_eq!(look(Rank::General, text.as_bytes()), Look::Real, "{text}");
        }
        assert_eq!(look(Rank::Assigned, b"q8w2ABCDEFGH9935k2x0"), Look::Real);
        assert_eq!(
            look(Rank::General, &[b'x'; LONGEST + 1]),
            Look::Real,
            "too long to judge by its letters"
        );
    }
}
