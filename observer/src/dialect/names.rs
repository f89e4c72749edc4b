//! Names of the values below a place that is JSON of somebody's own: arguments and results of tools, data of agents.
//!
//! A value that stands alone says little: `Tr0ub4dor&3x` is a password because `db_password` stands beside it, and nine digits are a
//! number of somebody because `ssn` does. So each value is handed on with the name it has, as JSON writes it (`"db_password": "…"`).

use super::TextRole;
use super::rules::Slot;
use crate::protocol::json::Container;

/// Longest name; of a longer one its end, which says more.
const MAX_NAME: usize = 64;
/// Longest name whose digits stay, and how many; of one without separators the length is half.
const MAX_WITH_DIGITS: usize = 24;
const MAX_DIGITS: usize = 3;
/// Digits from which on an item of a list is handed on: lists of tokens, sizes and coordinates are long and hold nothing.
const MIN_LISTED: usize = 7;
/// Digits from which on an integer without a name is handed on: it could be a card or account number.
const MIN_ALONE: usize = 12;

/// Keys that say that a text follows, and nothing about it. What begins a line in such a text shall begin one in the scan.
const CONTENT: &[&[u8]] = &[
    b"answer",
    b"body",
    b"code",
    b"command",
    b"content",
    b"contents",
    b"data",
    b"diff",
    b"file_text",
    b"input",
    b"message",
    b"new_str",
    b"new_string",
    b"old_str",
    b"old_string",
    b"output",
    b"patch",
    b"prompt",
    b"query",
    b"response",
    b"result",
    b"script",
    b"source",
    b"stderr",
    b"stdout",
    b"text",
];
/// Keys whose value has its name beside it or around it: `{"name": "DB_PASSWORD", "value": "…"}`.
const VALUE: &[&[u8]] = &[b"default", b"stringValue", b"string_value", b"value", b"values"];
/// Keys of such a name.
const NAMING: &[&[u8]] = &[b"field", b"key", b"name"];

/// What a key says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Says {
    #[default]
    Name,
    Content,
    Value,
    Naming,
}

/// An object or a list.
#[derive(Debug, Default)]
struct Level {
    is_list: bool,
    /// Name of the current value.
    name: Vec<u8>,
    /// What its key says.
    says: Says,
    /// Name of the container.
    around: Vec<u8>,
    /// A name that the object states.
    stated: Vec<u8>,
}

/// Knows the name of the current value. Asked only below such a place; at most as deep as JSON is read.
#[derive(Debug, Default)]
pub(super) struct Names {
    levels: Vec<Level>,
}

impl Names {
    /// A container begins at the current value.
    pub(super) fn begin(&mut self, container: Container) {
        let around = self.levels.last().map(|level| (level.name.clone(), level.says));
        let (name, says) = around.unwrap_or_default();
        self.levels.push(Level {
            is_list: container == Container::Array,
            around: name.clone(),
            name,
            says,
            stated: Vec::new(),
        });
    }

    /// The innermost one ends.
    pub(super) fn end(&mut self) {
        self.levels.pop();
    }

    /// A key names the next value.
    pub(super) fn key(&mut self, key: &[u8]) {
        // The key of the place itself is one of the protocol.
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        level.says = says(key);
        level.name = match level.says {
            Says::Value if is_name(&level.stated) => cleaned(&level.stated),
            Says::Value if !level.around.is_empty() => level.around.clone(),
            _ => cleaned(key),
        };
        if level.says == Says::Naming {
            level.stated.clear();
        }
    }

    /// A piece of a string. What an object states as a name names the value beside it.
    pub(super) fn piece(&mut self, piece: &[u8]) {
        if let Some(level) = self.levels.last_mut()
            && level.says == Says::Naming
            && !level.is_list
        {
            let room = MAX_NAME - level.stated.len();
            level.stated.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }

    /// The name that goes before a string; empty where it has none.
    pub(super) fn of_string(&self) -> &[u8] {
        match self.levels.last() {
            Some(level) if level.says != Says::Content => &level.name,
            _ => &[],
        }
    }

    /// Role and name of a number at this place, where it is handed on as text.
    pub(super) fn of_number(&self, slot: Slot, text: &[u8]) -> Option<(TextRole, &[u8])> {
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        match slot {
            Slot::Tree(role) => self.of_integer(text).map(|name| (role, name)),
            Slot::Text(role) => (text.len() >= MIN_ALONE).then_some((role, &[])),
            _ => None,
        }
    }

    /// The name that goes before an integer. Without any name it would be taken for the answer to a question for one, so nothing short
    /// goes without.
    fn of_integer(&self, text: &[u8]) -> Option<&[u8]> {
        let level = self.levels.last().filter(|level| !level.name.is_empty());
        match level {
            Some(level) => (!level.is_list || text.len() >= MIN_LISTED).then_some(&level.name),
            None => (text.len() >= MIN_ALONE).then_some(&[]),
        }
    }

    /// The document broke off.
    pub(super) fn reset(&mut self) {
        self.levels.clear();
    }
}

/// Digits that the longest integer of a list at this place needs, so that any of them is handed on.
pub(super) fn min_listed(slot: Slot) -> usize {
    match slot {
        Slot::Tree(_) => MIN_LISTED,
        _ => MIN_ALONE,
    }
}

fn says(key: &[u8]) -> Says {
    let is_one_of = |keys: &[&[u8]]| keys.contains(&key);
    if is_one_of(CONTENT) {
        Says::Content
    } else if is_one_of(VALUE) {
        Says::Value
    } else if is_one_of(NAMING) {
        Says::Naming
    } else {
        Says::Name
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Whether what an object states as a name is one: no text, and nothing long.
fn is_name(stated: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || is_separator(*b) && *b != b' ';
    !stated.is_empty() && stated.len() < MAX_NAME && stated.iter().all(fits)
}

/// What of a key is a name. A key that is no plain name is handed on by itself; so that what is in it is not found again with each
/// value beside it, signs and most digits are left out here.
fn cleaned(key: &[u8]) -> Vec<u8> {
    let end = &key[key.len().saturating_sub(MAX_NAME)..];
    let digits = key.iter().filter(|b| b.is_ascii_digit()).count();
    let longest = match key.iter().any(|b| is_separator(*b)) {
        true => MAX_WITH_DIGITS,
        false => MAX_WITH_DIGITS / 2,
    };
    let with_digits = digits <= MAX_DIGITS && key.len() <= longest;
    let kept = end.iter().filter(|b| with_digits || !b.is_ascii_digit());
    let stays = |b: u8| b.is_ascii_alphanumeric() || is_separator(b) || !b.is_ascii();
    kept.map(|b| if stays(*b) { *b } else { b'_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::{JsonEvents, JsonWalker, Literal};

    /// Strings and integers of a document with their names.
    #[derive(Default)]
    struct Named {
        names: Names,
        text: Vec<u8>,
        all: Vec<String>,
    }

    impl JsonEvents for Named {
        fn begin(&mut self, container: Container) {
            self.names.begin(container);
        }
        fn end(&mut self, _: Container) {
            self.names.end();
        }
        fn key(&mut self, key: &[u8], _: bool) {
            self.names.key(key);
        }
        fn string(&mut self, piece: &[u8]) {
            self.names.piece(piece);
            self.text.extend_from_slice(piece);
        }
        fn string_end(&mut self) {
            let name = String::from_utf8_lossy(self.names.of_string()).into_owned();
            let text = String::from_utf8(std::mem::take(&mut self.text)).unwrap();
            self.all.push(format!("{name}={text}"));
        }
        fn number(&mut self, text: &[u8]) {
            let slot = Slot::Tree(TextRole::ToolArguments);
            if let Some((_, name)) = self.names.of_number(slot, text) {
                let name = String::from_utf8_lossy(name).into_owned();
                let text = std::str::from_utf8(text).unwrap();
                self.all.push(format!("{name}:{text}"));
            }
        }
        fn literal(&mut self, _: Literal) {}
    }

    fn named(json: &str) -> Vec<String> {
        let mut all = Vec::new();
        for piece in [1, 2, 7, json.len()] {
            let (mut walker, mut events) = (JsonWalker::new(), Named::default());
            for part in json.as_bytes().chunks(piece) {
                walker.push(part, &mut events).unwrap();
            }
            assert!(events.names.levels.is_empty());
            assert!(all.is_empty() || all == events.all, "pieces of {piece}");
            all = events.all;
        }
        all
    }

    #[test]
    fn values_have_the_name_nearest_to_them() {
        let json = r#"{"password":"a","ssn":[536904399,7],"deep":{"pin":1,"text":"b"},"n":-1,"x":1.5}"#;
        assert_eq!(named(json), ["password=a", "ssn:536904399", "pin:1", "=b"]);
        let json = r#"{"token":{"value":"a"},"env":[{"name":"DB_PASSWORD","value":"b"},{"name":"a b","value":"c"},{"value":"d"}]}"#;
        assert_eq!(
            named(json),
            [
                "token=a",
                "name=DB_PASSWORD",
                "DB_PASSWORD=b",
                "name=a b",
                "env=c",
                "env=d"
            ]
        );
        // A string that is the whole place, and lists without a name.
        assert_eq!(named("\"a\""), ["=a"]);
        assert_eq!(named("[536904399,123456789012]"), [":123456789012"]);
    }

    #[test]
    fn what_could_be_a_value_is_no_name() {
        let clean = |key: &str| String::from_utf8_lossy(&cleaned(key.as_bytes())).into_owned();
        for name in ["auth0_client_secret", "API key", "geb\u{fc}hr", "x509"] {
            assert_eq!(clean(name), name);
        }
        assert_eq!(clean("jane.doe@corp.com"), "jane.doe_corp.com");
        assert_eq!(clean("\"a\": \"b"), "_a__ _b");
        assert_eq!(clean("4111 1111 1111 1111"), "   ");
        let long = format!("{}_password", "x".repeat(300));
        assert_eq!(clean(&long).len(), MAX_NAME);
        assert!(clean(&long).ends_with("_password"));
        let token = format!("ghp_{}", "a1b".repeat(12));
        assert!(!clean(&token).contains('1'));
    }
}
