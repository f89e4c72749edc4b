//! Takes values out of a tree and collects every problem instead of stopping at the first.

use std::collections::HashMap;

use super::{At, Node, Position, Problem, Value, shown, unknown_word};

/// Most problems reported for one file; one more line says that there were others.
pub const MAX_PROBLEMS: usize = 100;

/// Reads values out of a tree and keeps what is wrong with them.
#[derive(Debug)]
pub struct Reader {
    file: String,
    problems: Vec<Problem>,
    suppressed: usize,
}

/// A mapping whose keys were checked. Look-ups are linear: mappings here have a dozen keys. Of a key that stands twice the first counts.
#[derive(Debug, Clone, Copy)]
pub struct Map<'n> {
    /// Where the mapping begins.
    pub at: Position,
    entries: &'n [(At<String>, Node)],
}

impl<'n> Map<'n> {
    /// The value of `key`, `None` where the key is absent or its value is empty.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map(|(_, node)| node)
            .filter(|node| !node.is_null())
    }

    /// Where the value of `key` would stand, when the key is there and has none.
    pub fn empty(&self, key: &str) -> Option<Position> {
        let found = self.entries.iter().find(|(k, _)| k.value == key);
        found.filter(|(_, node)| node.is_null()).map(|(k, _)| k.at)
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Reader {
    /// A reader for the file of this name.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: Vec::new(),
            suppressed: 0,
        }
    }

    /// Notes a problem at a position.
    pub fn problem(&mut self, at: Position, message: impl Into<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.suppressed += 1;
            return;
        }
        self.problems.push(Problem {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            message: message.into(),
        });
    }

    /// Takes over a problem found elsewhere.
    pub fn add(&mut self, problem: Problem) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.suppressed += 1;
        } else {
            self.problems.push(problem);
        }
    }

    /// True where nothing was wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// All problems, in the order of their lines.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.line, p.column));
        if self.suppressed > 0 {
            let message = format!("and {} more problems", self.suppressed);
            self.problems.push(Problem {
                file: self.file,
                line: 0,
                column: 0,
                message,
            });
        }
        self.problems
    }

    /// `node` as a mapping with no other keys than `allowed`, none of them twice.
    pub fn mapping<'n>(&mut self, node: &'n Node, what: &str, allowed: &[&str]) -> Option<Map<'n>> {
        let Value::Mapping(entries) = &node.value else {
            let keys = allowed.join(", ");
            self.problem(
                node.at,
                format!(
                    "{what} must be a mapping with the keys {keys}; this is {}",
                    node.kind()
                ),
            );
            return None;
        };
        let mut first = HashMap::new();
        for (key, _) in entries {
            if let Some(line) = first.get(key.value.as_str()) {
                let message = format!("`{}` stands twice, first in line {line}", shown(&key.value));
                self.problem(key.at, message);
                continue;
            }
            first.insert(key.value.as_str(), key.at.line);
            if !allowed.contains(&key.value.as_str()) {
                self.problem(key.at, unknown_word("key", &key.value, what, allowed));
            }
        }
        Some(Map { at: node.at, entries })
    }

    /// `node` as a list. A single value or mapping is not taken for a list of one.
    pub fn sequence<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        if let Value::Sequence(items) = &node.value {
            return Some(items);
        }
        self.problem(node.at, format!("{what} must be a list; this is {}", node.kind()));
        None
    }

    /// `node` as text.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(At {
                at: node.at,
                value: text.clone(),
            }),
            _ => {
                self.problem(node.at, format!("{what} must be text; this is {}", node.kind()));
                None
            }
        }
    }

    /// The text of the key `key`; `None` where it is absent.
    pub fn text_of(&mut self, map: &Map<'_>, key: &str) -> Option<At<String>> {
        map.get(key).and_then(|node| self.text(node, &format!("`{key}`")))
    }

    /// The text of the key `key`, whose absence is a problem.
    pub fn required_text(&mut self, map: &Map<'_>, what: &str, key: &str) -> Option<At<String>> {
        if map.get(key).is_none() {
            self.problem(map.at, format!("{what} needs `{key}`"));
        }
        self.text_of(map, key)
    }

    /// The list of texts at `key`; empty where it is absent.
    pub fn texts_of(&mut self, map: &Map<'_>, key: &str) -> Vec<At<String>> {
        let Some(node) = map.get(key) else {
            return Vec::new();
        };
        let Some(items) = self.sequence(node, &format!("`{key}`")) else {
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.text(item, &format!("each entry of `{key}`")))
            .collect()
    }

    /// One of the words `allowed` at `key`, as its index in `allowed`.
    pub fn word_of(&mut self, map: &Map<'_>, key: &str, allowed: &[&str]) -> Option<usize> {
        let text = self.text_of(map, key)?;
        let index = allowed.iter().position(|word| *word == text.value);
        if index.is_none() {
            self.problem(
                text.at,
                unknown_word("value", &text.value, &format!("`{key}`"), allowed),
            );
        }
        index
    }

    /// A whole number at `key`, within `range` (both ends included).
    pub fn integer_of(&mut self, map: &Map<'_>, key: &str, range: (u64, u64)) -> Option<At<u64>> {
        let text = self.text_of(map, key)?;
        match text.value.replace('_', "").parse::<u64>() {
            Ok(value) if (range.0..=range.1).contains(&value) => Some(At { at: text.at, value }),
            _ => {
                let (low, high) = range;
                let got = shown(&text.value);
                self.problem(
                    text.at,
                    format!("`{key}` must be a whole number from {low} to {high}, not `{got}`"),
                );
                None
            }
        }
    }

    /// A number at `key`, within `range` (both ends included).
    pub fn number_of(&mut self, map: &Map<'_>, key: &str, range: (f64, f64)) -> Option<At<f64>> {
        let text = self.text_of(map, key)?;
        match text.value.parse::<f64>() {
            Ok(value) if value >= range.0 && value <= range.1 => Some(At { at: text.at, value }),
            _ => {
                let (low, high) = range;
                let got = shown(&text.value);
                self.problem(
                    text.at,
                    format!("`{key}` must be a number from {low} to {high}, not `{got}`"),
                );
                None
            }
        }
    }

    /// `true` or `false` at `key`.
    pub fn flag_of(&mut self, map: &Map<'_>, key: &str) -> Option<bool> {
        self.word_of(map, key, &["false", "true"]).map(|index| index == 1)
    }
}
