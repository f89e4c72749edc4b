//! YAML with positions: a small tree. `reader` takes values out of it.
//!
//! Deliberately less than YAML 1.2: no anchors, aliases or tags, one document, no key twice in one mapping. A file
//! of a few hundred lines that people edit by hand loses nothing by that, and a document made to expand without
//! end ("billion laughs") is refused at its first alias.

mod reader;
mod words;

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

pub use reader::{MAX_PROBLEMS, Map, Reader};
pub use words::{shown, unknown_word};

/// Largest file taken, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting taken.
pub const MAX_DEPTH: usize = 32;
/// Most nodes (scalars, sequences and mappings) in one file.
pub const MAX_NODES: usize = 100_000;

/// Something wrong in a file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Line, from 1; 0 where the problem is not at a line.
    pub line: usize,
    /// Column in characters, from 1; 0 where the problem is not at a line.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
        }
    }
}

impl std::error::Error for Problem {}

/// A position in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl Position {
    fn of(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// A value with the position where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At<T> {
    /// Where.
    pub at: Position,
    /// What.
    pub value: T,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it holds.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text as written, quotes removed. `plain` is true where it had no quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order written. [`Reader::mapping`] says which stand twice.
    Mapping(Vec<(At<String>, Node)>),
}

impl Node {
    /// True for an empty value, `~` and `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// How large a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Scalars, sequences and mappings.
    pub nodes: usize,
}

/// Limits of a file that a person wrote.
pub const LIMITS: Limits = Limits {
    bytes: MAX_BYTES,
    nodes: MAX_NODES,
};

/// Turns `text` into a tree. `Ok(None)` is a file with nothing in it but comments.
pub fn parse(file: &str, text: &str) -> Result<Option<Node>, Problem> {
    parse_within(file, text, LIMITS)
}

/// As [`parse`], for files that may be larger.
pub fn parse_within(file: &str, text: &str, limits: Limits) -> Result<Option<Node>, Problem> {
    let fail = |at: Position, message: String| Problem {
        file: file.to_owned(),
        line: at.line,
        column: at.column,
        message,
    };
    if text.len() > limits.bytes {
        return Err(fail(
            Position::default(),
            format!("larger than {} bytes", limits.bytes),
        ));
    }
    // The parser would take a NUL for the end of the file and ignore what follows.
    if let Some((at, c)) = first_control(text) {
        return Err(fail(
            at,
            format!(
                "a control character ({}), which YAML does not allow",
                c.escape_debug()
            ),
        ));
    }
    let mut builder = Builder {
        max_nodes: limits.nodes,
        ..Builder::default()
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let at = Position {
                line: e.marker().line(),
                column: e.marker().col() + 1,
            };
            fail(at, format!("not valid YAML: {}", e.info()))
        })?;
        builder
            .event(event, Position::of(span))
            .map_err(|(at, message)| fail(at, message))?;
    }
    Ok(builder.root.filter(|node| !node.is_null()))
}

fn first_control(text: &str) -> Option<(Position, char)> {
    let lines = (1..).zip(text.split('\n'));
    lines
        .flat_map(|(line, text)| {
            (1..)
                .zip(text.chars())
                .map(move |(column, c)| (Position { line, column }, c))
        })
        .find(|(_, c)| c.is_control() && !matches!(c, '\t' | '\r' | '\u{85}'))
}

/// A collection whose end has not come yet.
struct Open {
    at: Position,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<(At<String>, Node)>,
        key: Option<At<String>>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    max_nodes: usize,
    documents: usize,
}

type Refusal = (Position, String);

impl Builder {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), Refusal> {
        match event {
            Event::DocumentStart(_) => self.document(at),
            Event::Alias(_) => Err((at, "aliases (*name) are not supported here".to_owned())),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                Err((at, "anchors (&name) are not supported here".to_owned()))
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err((at, "tags (!name) are not supported here".to_owned())),
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                self.node(Node {
                    at,
                    value: Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                })
            }
            Event::SequenceStart(..) => self.start(at, Items::Sequence(Vec::new())),
            Event::MappingStart(..) => self.start(
                at,
                Items::Mapping {
                    entries: Vec::new(),
                    key: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.finish(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, at: Position) -> Result<(), Refusal> {
        self.documents += 1;
        if self.documents > 1 {
            return Err((at, "a second document (---); only one is allowed".to_owned()));
        }
        Ok(())
    }

    fn start(&mut self, at: Position, items: Items) -> Result<(), Refusal> {
        if self.open.len() >= MAX_DEPTH {
            return Err((at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { at, items });
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        let Some(Open { at, items }) = self.open.pop() else {
            return Ok(());
        };
        let value = match items {
            Items::Sequence(items) => Value::Sequence(items),
            Items::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.node(Node { at, value })
    }

    fn node(&mut self, node: Node) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes > self.max_nodes {
            return Err((node.at, format!("more than {} values", self.max_nodes)));
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::Sequence(items)) => items.push(node),
            Some(Items::Mapping { entries, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(new_key(node)?),
            },
        }
        Ok(())
    }
}

fn new_key(node: Node) -> Result<At<String>, Refusal> {
    let Value::Scalar { text, .. } = node.value else {
        return Err((node.at, "a key must be a single word".to_owned()));
    };
    Ok(At {
        at: node.at,
        value: text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse("f.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn positions_count_from_one() {
        let root = parse("f", "a: 1\nb:\n  - x\n  - \"y\"\n").unwrap().unwrap();
        let Value::Mapping(entries) = &root.value else {
            panic!("mapping expected")
        };
        assert_eq!(entries[1].0.at, Position { line: 2, column: 1 });
        let Value::Sequence(items) = &entries[1].1.value else {
            panic!("list expected")
        };
        assert_eq!(items[1].at, Position { line: 4, column: 5 });
        assert_eq!(
            items[1].value,
            Value::Scalar {
                text: "y".into(),
                plain: false
            }
        );
    }

    #[test]
    fn nothing_but_comments_is_nothing() {
        for text in ["", "# only a comment\n", "---\n", "~\n", "\n\n"] {
            assert_eq!(parse("f", text).unwrap(), None, "{text:?}");
        }
    }

    #[test]
    fn what_could_expand_or_mislead_is_refused_with_its_place() {
        assert_eq!(
            refused("a: &x 1\n"),
            "f.yaml:1:7: anchors (&name) are not supported here"
        );
        assert!(refused("b: *x\n").contains("f.yaml:1:"));
        assert!(refused("a: !secret 1\n").contains("tags"));
        assert!(refused("a: 1\n---\nb: 1\n").contains("second document"));
        assert!(refused("a: [1, 2\n").contains("not valid YAML"));
        assert!(refused("a: \"open\n").contains("not valid YAML"));
        assert_eq!(
            refused("a: 1\nb\0: 2\n"),
            "f.yaml:2:2: a control character (\\0), which YAML does not allow"
        );
    }

    #[test]
    fn keys_that_stand_twice_hide_no_other_mistake() {
        let root = parse("f.yaml", "a: 1\nb: 2\na: 3\na: 4\nc: 5\n")
            .unwrap()
            .unwrap();
        let mut reader = Reader::new("f.yaml");
        let map = reader.mapping(&root, "a file", &["a", "b"]).unwrap();
        assert_eq!(reader.text_of(&map, "a").unwrap().value, "1");
        let problems: Vec<String> = reader.finish().iter().map(ToString::to_string).collect();
        assert_eq!(problems[0], "f.yaml:3:1: `a` stands twice, first in line 1");
        assert_eq!(problems[1], "f.yaml:4:1: `a` stands twice, first in line 1");
        assert!(
            problems[2].starts_with("f.yaml:5:1: unknown key `c`"),
            "{problems:?}"
        );
    }

    #[test]
    fn budgets_hold() {
        assert!(
            refused(&"[".repeat(100_000)).contains("recursion limit"),
            "the parser's own, before ours"
        );
        assert!(refused(&format!("{}1{}", "[".repeat(40), "]".repeat(40))).contains("nested deeper"));
        let mut deep = String::new();
        for level in 0..200 {
            deep.push_str(&" ".repeat(level));
            deep.push_str("a:\n");
        }
        assert!(refused(&deep).contains("nested deeper"));
        assert!(refused(&"- x\n".repeat(MAX_NODES + 1)).contains("more than 100000 values"));
        assert!(refused(&"#".repeat(MAX_BYTES + 1)).contains("larger than"));
        let mut reader = Reader::new("f");
        for line in 0..MAX_PROBLEMS + 5 {
            reader.problem(
                Position {
                    line: line + 1,
                    column: 1,
                },
                "x",
            );
        }
        let problems = reader.finish();
        assert_eq!(problems.len(), MAX_PROBLEMS + 1);
        assert_eq!(problems[MAX_PROBLEMS].to_string(), "f: and 5 more problems");
    }
}
