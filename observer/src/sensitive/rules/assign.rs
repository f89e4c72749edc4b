//! Rules of the form "a value assigned to the name of a service": `ADAFRUIT_KEY = "..."`.
//!
//! Most services give out keys that are only so many letters and digits. What tells them is the name beside them,
//! in one of a few dozen notations of programs, configuration files, shells and prose. The notations are written
//! down here once; a rule names the words and the form of the value.

use crate::config::yaml::{Map, Reader};

/// What may stand between a name and its value, from the end of a word in that name: the rest of the name, closing
/// quotes and brackets, an operator, opening quotes and brackets, and a word such as `Bearer`; or nothing but space.
const OPERATOR: &str = concat!(
    r#"(?:[A-Za-z0-9_ .\t-]{0,40}[\x22\x27`\]\)}\\]{0,4}\s{0,4}(?:[:?.+|!]{0,3}=[>=]?|\|\||:|,|>|<-|\()"#,
    r#"[\s\x22\x27`=(\[{\\@]{0,24}(?:(?i:bearer|basic|token|key|string|str|secretstr|default)[\s:(]{1,2}[\x22\x27`]?)?"#,
    r#"|[A-Za-z0-9_.-]{0,40}[\x22\x27`]?\s{1,8}[\x22\x27`]?)"#
);
/// Words that say that a value is a secret, for names that stand further away from that of the service.
const KIND: &str = "(?i:key|token|secret|passw|pwd|auth|cred|sid)";

/// The two keys of `assign`: words as an alternation, and the pattern of the value.
pub(super) fn read(reader: &mut Reader, map: &Map<'_>) -> Option<(String, String)> {
    let inner = reader.mapping(map.get("assign")?, "`assign`", &["words", "value"])?;
    let words = reader.texts_of(&inner, "words");
    let value = reader.required_text(&inner, "`assign`", "value")?.value;
    if words.is_empty() {
        reader.problem(inner.at, "`assign` needs `words`");
        return None;
    }
    let mut alternation = Vec::new();
    for word in words {
        match word_pattern(&word.value) {
            Some(pattern) => alternation.push(pattern),
            None => {
                reader.problem(
                    word.at,
                    "a word is 3 to 40 lower-case letters, digits and underscores",
                );
                return None;
            }
        }
    }
    Some((alternation.join("|"), value))
}

/// An underscore in a word stands for whatever separates words in names, and for nothing.
fn word_pattern(word: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let known = (3..=40).contains(&word.len()) && word.bytes().all(fits);
    known.then(|| word.replace('_', "[_. -]?"))
}

/// The pattern of a rule, whose one group is the value.
pub(super) fn pattern(words: &str, value: &str) -> String {
    format!("(?i:{words})(?:{OPERATOR}|(?s:.{{0,100}}?){KIND}{OPERATOR})({value})")
}
