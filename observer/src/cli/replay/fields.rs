//! Reads the members of a JSON object that a person wrote. Messages name keys, never values: those are clear text.

use serde_json::{Map, Value};

use crate::config::yaml::shown;

/// One object of a line, with what is wrong in it.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Name of the object in messages, with a dot behind it; empty for the line itself.
    prefix: &'static str,
    /// What is wrong so far.
    pub problems: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Reads `map`, in which only `allowed` keys may stand; `None` allows any.
    pub(super) fn new(map: &'a Map<String, Value>, prefix: &'static str, allowed: Option<&[&str]>) -> Self {
        let mut problems = Vec::new();
        if let Some(allowed) = allowed {
            for key in map.keys().filter(|key| !allowed.contains(&key.as_str())) {
                problems.push(format!(
                    "unknown key `{prefix}{}`; allowed: {}",
                    shown(key),
                    allowed.join(", ")
                ));
            }
        }
        Self {
            map,
            prefix,
            problems,
        }
    }

    fn wrong(&mut self, key: &str, must: &str) {
        self.problems
            .push(format!("`{}{key}` must be {must}", self.prefix));
    }

    /// The value of `key`; `null` is as if the key were not there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A whole number that fits `T`.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &str) -> Option<T> {
        let value = self.get(key)?;
        let number = value.as_u64().and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            self.wrong(key, "a whole number in its range");
        }
        number
    }

    /// A number that must be there; 0 stands in for one that is missing, so that the rest can be checked.
    pub(super) fn required_number<T: TryFrom<u64> + Default>(&mut self, key: &str) -> T {
        if self.get(key).is_none() {
            self.wrong(key, "given");
        }
        self.number(key).unwrap_or_default()
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        let value = self.get(key)?;
        if !value.is_string() {
            self.wrong(key, "a text");
        }
        value.as_str()
    }

    /// True or false; false where it is missing.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong(key, "true or false");
                false
            }
        }
    }

    /// A list of texts; empty where it is missing.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let items: Option<Vec<String>> = value
            .as_array()
            .and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        if items.is_none() {
            self.wrong(key, "a list of texts");
        }
        items.unwrap_or_default()
    }

    /// A list of pairs of texts; empty where it is missing.
    pub(super) fn pairs(&mut self, key: &str) -> Vec<(&'a str, &'a str)> {
        let pair = |value: &'a Value| match value.as_array()?.as_slice() {
            [name, value] => Some((name.as_str()?, value.as_str()?)),
            _ => None,
        };
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let items = value.as_array().and_then(|list| list.iter().map(pair).collect());
        if items.is_none() {
            self.wrong(key, "a list of [name, value] pairs");
        }
        items.unwrap_or_default()
    }

    /// An object.
    pub(super) fn object(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        let value = self.get(key)?;
        if !value.is_object() {
            self.wrong(key, "an object");
        }
        value.as_object()
    }

    /// Bytes written as text, or as base64 where `base64`.
    pub(super) fn bytes(&mut self, key: &str, base64: bool) -> Option<Vec<u8>> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let text = self.text(key)?;
        if !base64 {
            return Some(text.as_bytes().to_vec());
        }
        let bytes = BASE64_STANDARD.decode(text).ok();
        if bytes.is_none() {
            self.wrong(key, "base64");
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_keys_and_never_values() {
        let value = serde_json::json!({"a": "clear text", "b": [["x"]], "c": -1, "d": "§", "hidden": 1});
        let mut fields = Fields::new(
            value.as_object().unwrap(),
            "process.",
            Some(&["a", "b", "c", "d"]),
        );
        assert_eq!(fields.number::<u32>("a"), None);
        assert!(fields.pairs("b").is_empty());
        assert_eq!(fields.number::<u64>("c"), None);
        assert_eq!(fields.bytes("d", true), None);
        let text = fields.problems.join("\n");
        for part in [
            "unknown key `process.hidden`",
            "`process.a`",
            "`process.b`",
            "`process.c`",
            "`process.d`",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("clear text") && !text.contains('§'), "{text}");
    }
}
