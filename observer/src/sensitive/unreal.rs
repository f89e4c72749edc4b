//! What stands around a value can say that it is none: a name that calls it a fake, three dots behind it, the host of a
//! manual, a user of the same name.
//!
//! Asked for every value of a rule of class `secret` or `credential`.

use super::context::Around;
use super::placeholder::{LONGEST, Look};
use super::rules::Rank;

/// Words in the name of a variable that say that its value is no secret.
const UNREAL: [&[u8]; 14] = [
    b"fake",
    b"faked",
    b"dummy",
    b"mock",
    b"mocked",
    b"bogus",
    b"invalid",
    b"wrong",
    b"incorrect",
    b"bad",
    b"nonexistent",
    b"fictional",
    b"sample",
    b"placeholder",
];
/// The same, where the name does not go on with one of the words behind it: what is not production has secrets, too.
const NON: &[u8] = b"non";
const PRODUCTION: [&[u8]; 3] = [b"prod", b"production", b"prd"];
/// What stands for the rest of a value that was not written out, beside three dots.
const CUT: [&[u8]; 3] = ["\u{2026}".as_bytes(), b"[...", b"***"];
/// Hosts, and ends of names of hosts, that are nobody's (RFC 2606, RFC 6761).
const NOBODYS: [&[u8]; 5] = [
    b"example.com",
    b"example.org",
    b"example.net",
    b".example",
    b".invalid",
];
/// Addresses for documentation (RFC 5737, RFC 3849).
const FOR_MANUALS: [&[u8]; 4] = [b"192.0.2.", b"198.51.100.", b"203.0.113.", b"[2001:db8:"];
/// Longest name that is looked at.
const LONGEST_NAME: usize = 64;

/// Looks at what stands around a value that a rule of this rank found. `is_whole` says whether nothing can be missing of it.
pub(super) fn look(rank: Rank, around: &Around<'_>, value: &[u8], is_whole: impl Fn() -> bool) -> Look {
    if is_cut(value, around.after) && !is_whole() {
        return Look::Placeholder;
    }
    // A form of its own is what it is, whatever its variable is called.
    if rank < Rank::Special && is_unreal(name(around.before)) {
        return Look::Placeholder;
    }
    if around.after.strip_prefix(b"@").is_some_and(is_of_a_manual) || is_default(around.before, value) {
        return Look::Example;
    }
    Look::Real
}

/// Whether a value goes on in dots, of which its pattern may have taken some. Long ones were not written by hand: some tokens of
/// Google are filled up with dots.
fn is_cut(value: &[u8], after: &[u8]) -> bool {
    if value.len() > LONGEST {
        return false;
    }
    let dot = |b: &&u8| **b == b'.';
    let dots = value.iter().rev().take_while(dot).count() + after.iter().take_while(dot).count();
    dots >= 3 || CUT.iter().any(|cut| after.starts_with(cut))
}

/// Whether a name says that its value is no secret.
fn is_unreal(name: &[u8]) -> bool {
    let is = |word: &[u8], of: &[&[u8]]| of.iter().any(|one| one.eq_ignore_ascii_case(word));
    words(name)
        .any(|word| is(word, &UNREAL) || is(word, &[NON]) && !words(name).any(|word| is(word, &PRODUCTION)))
}

/// The name to which a value is assigned: the last run of letters, digits and what joins them, before an operator.
fn name(before: &[u8]) -> &[u8] {
    let joins = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let Some(end) = before.iter().rposition(joins) else {
        return &[];
    };
    // A sentence has its name further away than an assignment has.
    if before.len() - end > 16 {
        return &[];
    }
    let name = &before[..=end];
    let begin = name.iter().rposition(|b| !joins(b)).map_or(0, |at| at + 1);
    &name[begin.max(name.len().saturating_sub(LONGEST_NAME))..]
}

/// The words of a name, be it `some_name`, `some-name`, `SOME_NAME` or `someName`.
fn words(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|b| !b.is_ascii_alphabetic())
        .flat_map(|part| part.chunk_by(|a, b| !(a.is_ascii_lowercase() && b.is_ascii_uppercase())))
}

/// Whether what follows the `@` of an address is a host that manuals use.
fn is_of_a_manual(after: &[u8]) -> bool {
    let host = after.split(|b| {
        matches!(b, b'/' | b'?' | b'#' | b',' | b'"' | b'\'' | b'`' | b'<') || b.is_ascii_whitespace()
    });
    let Some(host) = host.take(1).next() else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    if FOR_MANUALS.iter().any(|begin| host.starts_with(begin)) {
        return true;
    }
    let port = host.iter().rposition(|b| *b == b':').unwrap_or(host.len());
    NOBODYS.iter().any(|end| {
        let rest = host[..port].strip_suffix(*end);
        rest.is_some_and(|rest| rest.is_empty() || end.starts_with(b".") || rest.ends_with(b"."))
    })
}

/// Whether a password in an address is what programs come with: the name of the user once more, or anybody's.
fn is_default(before: &[u8], value: &[u8]) -> bool {
    let Some(address) = before.strip_suffix(b":") else {
        return false;
    };
    let Some(begin) = address.windows(3).rposition(|part| part == b"://") else {
        return false;
    };
    let user = &address[begin + 3..];
    user.eq_ignore_ascii_case(b"anonymous") || !user.is_empty() && user == value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &str, value: &str, after: &str) -> Look {
        let around = Around {
            before: before.as_bytes(),
            after: after.as_bytes(),
            alone: false,
        };
        look(Rank::General, &around, value.as_bytes(), || false)
    }

    #[test]
    fn names_that_say_so() {
        for before in [
            "fakeToken = \"",
            "MOCK_API_KEY=",
            "let bad_password = \"",
            "x; nonMatchingSecret := \"",
            "{\"dummy-key\": \"",
        ] {
            assert_eq!(
                of(before, "k39fjw02mfi29slq0w8e", "\""),
                Look::Placeholder,
                "{before}"
            );
        }
        for before in [
            "token = \"",
            "invalidate_key = ",
            "sampler_key = ",
            "nonce_secret = ",
            "# a fake\ntoken = ",
            "invalid: \"x\", token: \"",
            "badge_token=",
            "NON_PROD_DB_PASSWORD=",
            "non-production-api-key: ",
            "",
        ] {
            assert_eq!(of(before, "k39fjw02mfi29slq0w8e", "\""), Look::Real, "{before}");
        }
        let around = Around {
            before: b"fake_token = ",
            after: b"",
            alone: false,
        };
        let value = b"k39fjw02mfi29slq0w8e";
        assert_eq!(look(Rank::Special, &around, value, || false), Look::Real);
    }

    #[test]
    fn values_that_are_cut() {
        for after in ["...", "\u{2026} and so on", "[...]", "***"] {
            assert_eq!(of("token: ", "k39fjw02mfi2", after), Look::Placeholder, "{after}");
        }
        assert_eq!(of("token: ", "k39fjw02mfi2..", "."), Look::Placeholder);
        for after in ["", ".", "..", ". Then", "*"] {
            assert_eq!(of("token: ", "k39fjw02mfi2", after), Look::Real, "{after}");
        }
        let around = Around {
            before: b"",
            after: b"... and",
            alone: false,
        };
        assert_eq!(look(Rank::General, &around, b"k39fjw02mfi2", || true), Look::Real);
        let long = "k39fjw02mfi2".repeat(50);
        assert_eq!(of("token: ", &long, "......"), Look::Real, "nobody cuts so late");
    }

    #[test]
    fn addresses_of_manuals_and_defaults() {
        for (before, value, after) in [
            ("https://jo:", "s3same", "@example.com/x"),
            ("https://jo:", "s3same", "@db.Example.org:5432/x"),
            ("https://jo:", "s3same", "@host.example"),
            ("pg://jo:", "s3same", "@192.0.2.7:5432"),
            ("pg://jo:", "s3same", "@[2001:db8::12]/x"),
            ("pg://postgres:", "postgres", "@db.acme.io/x"),
            ("ftp://anonymous:", "me", "@ftp.acme.io"),
        ] {
            assert_eq!(of(before, value, after), Look::Example, "{before}{value}{after}");
        }
        for (before, value, after) in [
            ("https://jo:", "s3same", "@myexample.com/x"),
            ("https://jo:", "s3same", "@example.company.io/"),
            ("https://jo:", "s3same", "@192.0.20.7/"),
            ("https://jo:", "s3same", " @example.com"),
            ("pg://post:", "postgres", "@db.acme.io/x"),
            ("pg://:", "", "@db.acme.io/x"),
            ("jo jo:", "jo", ""),
        ] {
            assert_eq!(of(before, value, after), Look::Real, "{before}{value}{after}");
        }
    }
}
