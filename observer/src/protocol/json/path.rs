//! Where a value stands in a document: a path with indexes erased, for example `$.messages[*].content`.
//!
//! Paths are interned: work is done when the structure changes, never per piece of text. Only keys from a given list
//! appear in a path, any other key is `*`, since keys chosen by a peer can hold clear text.

use std::collections::HashMap;

use super::Container;

/// Most distinct paths of one table; values beyond stand at `PathId::BEYOND`.
pub const MAX_PATHS: usize = 512;
/// Deepest path that is told apart; values below have the path of their ancestor at this depth.
pub const MAX_PATH_DEPTH: usize = 16;

/// Number of a path in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(u32);

impl PathId {
    /// `$`
    pub const ROOT: Self = Self(0);
    /// Stands for every path that did not fit the table.
    pub const BEYOND: Self = Self(1);

    /// Index for tables beside the path table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Known(usize),
    OtherKey,
    Item,
}

#[derive(Debug)]
struct Node {
    text: String,
    parent: PathId,
    depth: usize,
}

/// Level of nesting around the current value.
#[derive(Debug, Clone, Copy)]
struct Level {
    node: PathId,
    container: Container,
    index: u64,
}

/// Follows `JsonEvents` and knows the path of the current value.
#[derive(Debug)]
pub struct Cursor {
    known: &'static [&'static str],
    nodes: Vec<Node>,
    children: HashMap<(PathId, Step), PathId>,
    stack: Vec<Level>,
    value: PathId,
}

impl Cursor {
    /// A cursor at the top. `known` are the keys that may appear in paths, sorted.
    pub fn new(known: &'static [&'static str]) -> Self {
        let node = |text: &str| Node {
            text: text.to_owned(),
            parent: PathId::ROOT,
            depth: 0,
        };
        Self {
            known,
            nodes: vec![node("$"), node("$..*")],
            children: HashMap::new(),
            stack: Vec::new(),
            value: PathId::ROOT,
        }
    }

    /// Path of the current value.
    pub fn path(&self) -> PathId {
        self.value
    }

    /// A path as text.
    pub fn text(&self, path: PathId) -> &str {
        &self.nodes[path.index()].text
    }

    /// Number of paths so far.
    pub fn paths(&self) -> usize {
        self.nodes.len()
    }

    /// The path with this index (below `paths()`) as text, and the path around it (the root is its own). Parents come
    /// before their children.
    pub fn nth(&self, index: usize) -> (&str, PathId) {
        let node = &self.nodes[index];
        (&node.text, node.parent)
    }

    /// Position of the current value in the array around it, or around the object it is in; 0 outside.
    pub fn array_index(&self) -> u64 {
        self.stack
            .iter()
            .rev()
            .find(|l| l.container == Container::Array)
            .map_or(0, |l| l.index)
    }

    /// Nesting around the current value.
    pub fn depth(&self) -> usize {
        self.stack.len()
    }

    /// A container begins at the current value.
    pub fn begin(&mut self, container: Container) {
        self.stack.push(Level {
            node: self.value,
            container,
            index: 0,
        });
        if container == Container::Array {
            self.value = self.child(self.value, Step::Item);
        }
    }

    /// The innermost container ends and becomes the current value again.
    pub fn leave(&mut self) {
        if let Some(level) = self.stack.pop() {
            self.value = level.node;
        }
    }

    /// The innermost container ends and is complete.
    pub fn end(&mut self) {
        self.leave();
        self.value_end();
    }

    /// A key names the next value. `false` when it is none of the known keys.
    pub fn key(&mut self, key: &[u8]) -> bool {
        let node = self.stack.last().map_or(PathId::ROOT, |l| l.node);
        let known = self.known.binary_search_by(|k| k.as_bytes().cmp(key)).ok();
        self.value = self.child(node, known.map_or(Step::OtherKey, Step::Known));
        known.is_some()
    }

    /// The current value is complete.
    pub fn value_end(&mut self) {
        if let Some(level) = self.stack.last_mut() {
            level.index += 1;
        }
    }

    /// Back to the top, for the next document or after a broken one. Known paths stay.
    pub fn reset(&mut self) {
        self.stack.clear();
        self.value = PathId::ROOT;
    }

    fn child(&mut self, parent: PathId, step: Step) -> PathId {
        if parent == PathId::BEYOND {
            return parent;
        }
        if let Some(id) = self.children.get(&(parent, step)) {
            return *id;
        }
        let Node { text, depth, .. } = &self.nodes[parent.index()];
        if *depth == MAX_PATH_DEPTH {
            return parent;
        }
        let Ok(next) = u32::try_from(self.nodes.len()) else {
            return PathId::BEYOND;
        };
        if self.nodes.len() >= MAX_PATHS {
            return PathId::BEYOND;
        }
        let text = match step {
            Step::Known(key) => format!("{text}.{}", self.known[key]),
            Step::OtherKey => format!("{text}.*"),
            Step::Item => format!("{text}[*]"),
        };
        let depth = depth + 1;
        self.nodes.push(Node { text, parent, depth });
        self.children.insert((parent, step), PathId(next));
        PathId(next)
    }
}
