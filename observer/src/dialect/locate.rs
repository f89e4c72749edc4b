//! Follows a document and knows what stands at the current value.

use super::TextRole;
use super::rules::{KNOWN_KEYS, Rules, Slot};
use crate::protocol::json::path::Cursor;

/// A cursor with the rules of one side.
#[derive(Debug)]
pub(super) struct Locator {
    pub(super) cursor: Cursor,
    rules: &'static Rules,
    /// Slot and marks by path.
    table: Vec<(Slot, u32)>,
}

impl Locator {
    pub(super) fn new(rules: &'static Rules) -> Self {
        Self {
            cursor: Cursor::new(&KNOWN_KEYS),
            rules,
            table: Vec::new(),
        }
    }

    /// What the current value is.
    pub(super) fn slot(&mut self) -> Slot {
        self.entry().0
    }

    /// What the presence of the current value says about the shape of the body.
    pub(super) fn marks(&mut self) -> u32 {
        self.entry().1
    }

    fn entry(&mut self) -> (Slot, u32) {
        while self.table.len() < self.cursor.paths() {
            let (text, parent) = self.cursor.nth(self.table.len());
            let around = self
                .table
                .get(parent.index())
                .map_or(Slot::Text(TextRole::Other), |entry| entry.0);
            self.table
                .push((self.rules.slot(text, around), self.rules.mark(text)));
        }
        self.table[self.cursor.path().index()]
    }
}
