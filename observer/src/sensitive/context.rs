//! What stands around a value, and whether it speaks for it.

use super::rules::Context;

/// Bytes after a value in which words are looked for. They must be there before a value is judged.
pub(super) const AFTER_BYTES: usize = 48;
/// Longest text that can be nothing but values.
pub(super) const ALONE_BYTES: usize = 128;
/// Longest name, with the signs around it, of a member of JSON that is looked at as its value.
pub(super) const NAME_BYTES: usize = 72;
/// Words that join values in a list and are no text around them.
const JOINING: [&[u8]; 8] = [b"and", b"or", b"y", b"e", b"et", b"und", b"ve", b"i"];

/// What stands around a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// What stands before it, as far as it is kept.
    pub(super) before: &'a [u8],
    /// What follows it, at most [`AFTER_BYTES`].
    pub(super) after: &'a [u8],
    /// The text is nothing but values ([`only_values`]).
    pub(super) alone: bool,
}

/// Whether a short text has no words: each of its parts has a digit or joins two that have. So look a field of a form,
/// a cell of a table and an answer to "what is your number?". A member of JSON whose value is a string is such a field.
pub(super) fn only_values(text: &[u8]) -> bool {
    let text = member(text).unwrap_or(text);
    let parts = || {
        text.split(|b| b.is_ascii_whitespace() || matches!(b, b',' | b';'))
            .filter(|p| !p.is_empty())
    };
    let value = |part: &[u8]| part.iter().any(u8::is_ascii_digit) || part.starts_with(b"::");
    let joins = |part: &[u8]| JOINING.iter().any(|word| word.eq_ignore_ascii_case(part));
    // A few letters before or between numbers belong to a value: `34 ABC 1234`.
    let short = |part: &[u8]| part.len() <= 3 && part.iter().all(u8::is_ascii_alphabetic);
    let count = |test: &dyn Fn(&[u8]) -> bool| parts().take(12).filter(|part| test(part)).count();
    text.len() <= ALONE_BYTES
        && parts().any(value)
        && parts().all(|part| value(part) || joins(part) || short(part))
        && parts().count() <= 12
        && count(&|part| !value(part) && !joins(part)) <= 2 * count(&value)
}

/// The value of a text that is one member of JSON, as values of tools' arguments are handed on: `"customer": "44051401458"`.
fn member(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let name = memchr::memmem::find(&text[..text.len().min(NAME_BYTES)], b"\": \"")?;
    text.get(name + 4..)
}

/// Whether something near a value says what it is.
pub(super) fn speaks(context: &Context, around: &Around<'_>) -> bool {
    if context.alone && around.alone {
        return true;
    }
    let near = &around.before[around.before.len().saturating_sub(context.within)..];
    let found = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        context
            .words
            .iter()
            .any(|word| memchr::memmem::find(&text, word.as_bytes()).is_some())
            || context.whole.iter().any(|word| stands(&text, word.as_bytes()))
    };
    found(near) || context.after && found(&around.after[..around.after.len().min(context.within)])
}

/// Whether a word occurs with no letter or digit directly before and after it.
fn stands(text: &[u8], word: &[u8]) -> bool {
    let part = |at: Option<usize>| {
        at.and_then(|i| text.get(i))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    memchr::memmem::find_iter(text, word).any(|at| !part(at.checked_sub(1)) && !part(Some(at + word.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(whole: &str, after: bool, alone: bool) -> Context {
        Context {
            words: vec!["passport".to_owned()],
            whole: vec![whole.to_owned()],
            within: 20,
            required: true,
            after,
            alone,
            numbers: Vec::new(),
        }
    }

    fn around<'a>(before: &'a str, after: &'a str) -> Around<'a> {
        Around {
            before: before.as_bytes(),
            after: after.as_bytes(),
            alone: false,
        }
    }

    #[test]
    fn words_that_must_stand_alone_do() {
        let sin = context("sin", false, false);
        assert!(speaks(&sin, &around("my SIN is ", "")));
        assert!(speaks(&sin, &around("sin", "")));
        assert!(!speaks(&sin, &around("since ", "")));
        assert!(!speaks(&sin, &around("a cousin ", "")));
        assert!(speaks(&sin, &around("Passports: ", "")));
        assert!(!speaks(
            &sin,
            &around("my sin is that I wait for it too long ", "")
        ));
    }

    #[test]
    fn words_after_a_value_count_where_a_rule_says_so() {
        assert!(!speaks(&context("nie", false, false), &around("", " en mi NIE")));
        assert!(speaks(&context("nie", true, false), &around("", " en mi NIE")));
        assert!(!speaks(
            &context("nie", true, false),
            &around("", " is what I never had, nie")
        ));
    }

    #[test]
    fn texts_that_are_nothing_but_values() {
        for text in [
            "44051401458",
            " 130 692 544\n",
            "34 abc 1234",
            "GL0285191 EU4488929",
            "1,2;3",
            "M1 and M2",
            "::1",
            r#""customer": "44051401458""#,
        ] {
            assert!(only_values(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "order 44051401458",
            "Not a TIN 123456789",
            "cell: 123456789",
            "abc def",
            &"1 ".repeat(70),
            r#""customer": 44051401458"#,
            r#""customer": "number 44051401458""#,
            r#""": ""#,
        ] {
            assert!(!only_values(text.as_bytes()), "{text}");
        }
        let alone = Around {
            alone: true,
            ..around("", "")
        };
        assert!(speaks(&context("x", false, true), &alone));
        assert!(!speaks(&context("x", false, false), &alone));
    }
}
