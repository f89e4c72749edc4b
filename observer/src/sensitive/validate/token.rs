//! Tokens: structure and the look of chance, no checksum.

use super::Check;
use super::sums::form;

/// JSON Web Token: the head is base64url of a JSON object with `alg` (RFC 7515).
pub(super) fn jwt(value: &[u8]) -> Check {
    let head = value.split(|b| *b == b'.').next().unwrap_or_default();
    let Some(json) = base64url(head) else {
        return Check::Reject;
    };
    // No strict parse: a head with one damaged character still belongs to a token that should not be here.
    let fits = json.starts_with(b"{") && memchr::memmem::find(&json, br#""alg""#).is_some();
    form(fits)
}

/// Decodes base64url without padding (RFC 4648, section 5).
pub(super) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

/// Random-looking base64: upper case, lower case and digits all occur.
pub(super) fn mixed(value: &[u8]) -> Check {
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    let fits = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    form(fits)
}

/// Random-looking text: digits and letters both occur, digits more than once, and it is no name made of words.
pub(super) fn random(value: &[u8]) -> Check {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    form(digits >= 2 && letters >= 4 && !is_of_words(value))
}

/// As [`random`], for values whose form tells them: with one digit, too, where letters of both cases are mixed as no words are.
/// One in seven values of 20 letters and digits has fewer than two digits.
pub(super) fn random_mixed(value: &[u8]) -> Check {
    let count = |test: fn(&u8) -> bool| value.iter().filter(|b| test(b)).count();
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let mixed = upper.min(lower) * RARER >= upper + lower;
    let fits = count(u8::is_ascii_digit) == 1 && upper + lower >= 10 && mixed && !is_of_words(value);
    if fits { Check::Plausible } else { random(value) }
}

/// At least one in so many letters is of the rarer case where cases are mixed by chance; in a `camelCase` name hardly one in five.
const RARER: usize = 4;
/// Fewest parts of a name that is made of words, and most digits behind a word.
const PARTS: usize = 3;
const DIGITS: usize = 4;

/// Whether a value is made of words and numbers, as names of things are: `bert-base-uncased-v2-2024`,
/// `auth/operation-not-allowed-2`.
fn is_of_words(value: &[u8]) -> bool {
    let parts = || {
        value
            .split(|b| matches!(b, b'-' | b'_' | b'.' | b'/' | b'+' | b'=' | b'#' | b'@' | b'~'))
            .filter(|part| !part.is_empty())
    };
    let word = |part: &[u8]| {
        let letters = part.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let (text, number) = part.split_at(letters);
        let one_case =
            text.iter().skip(1).all(u8::is_ascii_lowercase) || text.iter().all(u8::is_ascii_uppercase);
        let spoken = text.len() < 4 || text.iter().any(|b| b"aeiouyAEIOUY".contains(b));
        number.iter().all(u8::is_ascii_digit)
            && (text.is_empty() || one_case && spoken && number.len() <= DIGITS && text.len() <= 16)
    };
    let spoken = parts()
        .filter(|part| part.len() >= 4 && part[0].is_ascii_alphabetic())
        .count();
    parts().count() >= PARTS && spoken > 0 && parts().all(word)
}

/// Shannon entropy of the bytes of `value`, in bits per byte; 0 for nothing.
pub fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX)).max(1.0);
    counts
        .iter()
        .filter(|n| **n > 0)
        .map(|n| f64::from(*n) / total)
        .map(|share| -share * share.log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_all;
    use super::super::{Check, Validator};
    use super::*;

    #[test]
    fn tokens_with_a_json_head() {
        let good = [
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.",
        ];
        check_all(Validator::Jwt, Check::Plausible, &good);
        check_all(
            Validator::Jwt,
            Check::Reject,
            &["eyJhIjoxfQ.e30.c2ln", "e*J.e30.x", "AAAA.e30.x", ""],
        );
    }

    #[test]
    fn names_of_words_are_not_random() {
        let names = [
            "bert-base-uncased-v2-2024",
            "auth/operation-not-allowed-2024",
            "x-acme-api-key-v2-2024",
            "sha256_iterations_of_600000",
            "ACME_LIVE_KEYS_2024",
        ];
        check_all(Validator::Random, Check::Reject, &names);
        let random = [
            "7f9c2ba4-e88f-4a1e-b3c5-1d2e3f405162",
            "sk-k39fjw02mfi29slq0w8e",
            "q8Kw2-Zp0s_xV31mmd",
            "1234-ab78-9f3c-9d12",
            "xkcdq-wrtzk-44-pqrs",
        ];
        check_all(Validator::Random, Check::Plausible, &random);
        check_all(Validator::RandomMixed, Check::Reject, &names);
        check_all(Validator::RandomMixed, Check::Plausible, &random);
    }

    #[test]
    fn one_digit_is_enough_among_letters_of_both_cases() {
        let few = ["pQzXkWvRtLmNbHgFdSj7", "aBkZmQxRtLw5YcDvPnHs"];
        check_all(Validator::RandomMixed, Check::Plausible, &few);
        check_all(Validator::Random, Check::Reject, &few);
        let names = [
            "getConfluencePagesV2",
            "userAccountSettings2",
            "CONFIGURATION_FILE_2",
            "peterparker1",
            "pQzXkWvRtLmNbHgFdSjq",
            "aB3",
        ];
        check_all(Validator::RandomMixed, Check::Reject, &names);
    }

    #[test]
    fn entropy_in_bits_per_byte() {
        assert!(entropy(b"").abs() < 1e-9);
        assert!(entropy(b"aaaa").abs() < 1e-9);
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-9);
        assert!((entropy(b"aabb") - 1.0).abs() < 1e-9);
    }
}
