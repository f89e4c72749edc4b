//! Where a value stands in a document: a path with indexes erased, for example `$.messages[*].content`.
//!
//! Paths are interned: work is done when the structure changes, never per piece of text. Only keys from a given list
//! appear in a path, any other key is `*`, since keys chosen by a peer can hold clear text.

use super::Container;

/// Most distinct paths of one table; values beyond stand at `PathId::BEYOND`. About half of them are entered beforehand.
pub const MAX_PATHS: usize = 2048;
/// Deepest path that is told apart; values below have the path of their ancestor at this depth.
pub const MAX_PATH_DEPTH: usize = 16;

/// Number of a path in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(u16);

impl PathId {
    /// `$`
    pub const ROOT: Self = Self(0);
    /// Stands for every path that did not fit the table.
    pub const BEYOND: Self = Self(1);

    /// Index for tables beside the path table.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// No step: the two paths that stand for themselves.
    Top,
    Known(u16),
    OtherKey,
    Item,
}

/// A path as the step from its parent. Every open exchange has some hundreds of them, so they are small: the root, which
/// is nobody's child, stands for "none".
#[derive(Debug, Clone, Copy)]
struct Node {
    step: Step,
    parent: PathId,
    first_child: PathId,
    last_child: PathId,
    next_sibling: PathId,
    /// Child that a key led to most recently.
    recent_child: PathId,
    /// Sibling that came after this one most recently. Documents of one kind repeat the order of their keys.
    follower: PathId,
    depth: u8,
}

const _: () = assert!(size_of::<Node>() <= 18);

impl Node {
    fn new(step: Step, parent: PathId, depth: u8) -> Self {
        Self {
            step,
            parent,
            first_child: PathId::ROOT,
            last_child: PathId::ROOT,
            next_sibling: PathId::ROOT,
            recent_child: PathId::ROOT,
            follower: PathId::ROOT,
            depth,
        }
    }
}

/// Level of nesting around the current value.
#[derive(Debug, Clone, Copy)]
struct Level {
    node: PathId,
    container: Container,
    index: u64,
}

/// Follows `JsonEvents` and knows the path of the current value.
#[derive(Debug, Clone)]
pub struct Cursor {
    known: &'static [&'static str],
    nodes: Vec<Node>,
    stack: Vec<Level>,
    value: PathId,
}

impl Cursor {
    /// A cursor at the top. `known` are the keys that may appear in paths, sorted.
    pub fn new(known: &'static [&'static str]) -> Self {
        let node = Node::new(Step::Top, PathId::ROOT, 0);
        Self {
            known,
            nodes: vec![node, node],
            stack: Vec::new(),
            value: PathId::ROOT,
        }
    }

    /// Path of the current value.
    pub fn path(&self) -> PathId {
        self.value
    }

    /// A path as text.
    pub fn text(&self, path: PathId) -> String {
        if path == PathId::BEYOND {
            return "$..*".to_owned();
        }
        let mut steps = Vec::new();
        let mut node = self.nodes[path.index()];
        while node.step != Step::Top {
            steps.push(node.step);
            node = self.nodes[node.parent.index()];
        }
        let mut text = "$".to_owned();
        for step in steps.iter().rev() {
            match step {
                Step::Top => {}
                Step::Known(key) => {
                    text.push('.');
                    text.push_str(self.known[usize::from(*key)]);
                }
                Step::OtherKey => text.push_str(".*"),
                Step::Item => text.push_str("[*]"),
            }
        }
        text
    }

    /// Number of paths so far.
    pub fn paths(&self) -> usize {
        self.nodes.len()
    }

    /// The path with this index (below `paths()`) as text, and the path around it (the root is its own). Parents come
    /// before their children.
    pub fn nth(&self, index: usize) -> (String, PathId) {
        let path = PathId(u16::try_from(index).unwrap_or(u16::MAX));
        (self.text(path), self.nodes[index].parent)
    }

    /// Position of the current value in the array around it, or around the object it is in; 0 outside.
    pub fn array_index(&self) -> u64 {
        self.stack
            .iter()
            .rev()
            .find(|l| l.container == Container::Array)
            .map_or(0, |l| l.index)
    }

    /// Whether the current value is the first in the container around it.
    pub fn is_first(&self) -> bool {
        self.stack.last().is_none_or(|level| level.index == 0)
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
        if let Some(next) = self.expected(node, key) {
            self.nodes[node.index()].recent_child = next;
            self.value = next;
            return true;
        }
        let known = self.known.binary_search_by(|k| k.as_bytes().cmp(key)).ok();
        let known = known.and_then(|index| u16::try_from(index).ok());
        let value = self.child(node, known.map_or(Step::OtherKey, Step::Known));
        self.value = value;
        if value != node && value != PathId::BEYOND {
            let before = std::mem::replace(&mut self.nodes[node.index()].recent_child, value);
            self.nodes[before.index()].follower = value;
        }
        known.is_some()
    }

    /// The child that came next last time, when `key` leads to it again.
    fn expected(&self, node: PathId, key: &[u8]) -> Option<PathId> {
        let recent = self.nodes[node.index()].recent_child;
        let next = self.nodes[recent.index()].follower;
        match self.nodes[next.index()].step {
            Step::Known(index) if self.known[usize::from(index)].as_bytes() == key => {
                (self.nodes[next.index()].parent == node).then_some(next)
            }
            _ => None,
        }
    }

    /// Enters a path before any document has it: `$`, then known keys and `[*]`.
    pub fn enter(&mut self, path: &str) {
        let mut at = PathId::ROOT;
        for part in path.split('.').skip(1) {
            let key = part.trim_end_matches("[*]");
            let known = self.known.binary_search(&key).ok();
            let known = known.and_then(|index| u16::try_from(index).ok());
            at = self.child(at, known.map_or(Step::OtherKey, Step::Known));
            for _ in 0..(part.len() - key.len()) / "[*]".len() {
                at = self.child(at, Step::Item);
            }
        }
    }

    /// The current value is complete.
    pub fn value_end(&mut self) {
        self.skip(1);
    }

    /// So many items of the array around the current value are complete.
    pub fn skip(&mut self, items: u64) {
        if let Some(level) = self.stack.last_mut() {
            level.index += items;
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
        let mut child = self.nodes[parent.index()].first_child;
        while child != PathId::ROOT {
            let node = &self.nodes[child.index()];
            if node.step == step {
                return child;
            }
            child = node.next_sibling;
        }
        let depth = self.nodes[parent.index()].depth;
        if usize::from(depth) == MAX_PATH_DEPTH {
            return parent;
        }
        let next = match u16::try_from(self.nodes.len()) {
            Ok(next) if self.nodes.len() < MAX_PATHS => PathId(next),
            _ => return PathId::BEYOND,
        };
        self.nodes.push(Node::new(step, parent, depth + 1));
        let around = &mut self.nodes[parent.index()];
        match std::mem::replace(&mut around.last_child, next) {
            PathId::ROOT => around.first_child = next,
            before => self.nodes[before.index()].next_sibling = next,
        }
        next
    }
}
