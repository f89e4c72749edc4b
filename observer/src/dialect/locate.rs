//! Follows a document and knows what stands at the current value.

use std::sync::LazyLock;

use super::TextRole;
use super::rules::{KNOWN_KEYS, REQUEST_RULES, RESPONSE_RULES, Rules, Slot};
use crate::protocol::json::path::Cursor;

/// A cursor with the rules of one side.
#[derive(Debug, Clone)]
pub(super) struct Locator {
    pub(super) cursor: Cursor,
    rules: &'static Rules,
    /// Slot and marks by path: of the paths in the rules, the same for all.
    common: &'static [(Slot, u64)],
    /// And of those that the document has beside them.
    table: Vec<(Slot, u64)>,
}

/// Locators that know the paths of the rules: a copy of one costs less than finding the paths again in each exchange.
static REQUEST: LazyLock<Locator> = LazyLock::new(|| Locator::new(&REQUEST_RULES));
static RESPONSE: LazyLock<Locator> = LazyLock::new(|| Locator::new(&RESPONSE_RULES));

impl Locator {
    /// For request bodies.
    pub(super) fn request() -> Self {
        REQUEST.clone()
    }

    /// For response bodies.
    pub(super) fn response() -> Self {
        RESPONSE.clone()
    }

    fn new(rules: &'static Rules) -> Self {
        let mut cursor = Cursor::new(&KNOWN_KEYS);
        rules.paths().for_each(|path| cursor.enter(path));
        let mut locator = Self {
            cursor,
            rules,
            common: &[],
            table: Vec::new(),
        };
        locator.entry();
        // Leaked once per process and side.
        locator.common = Vec::leak(std::mem::take(&mut locator.table));
        locator
    }

    /// What the current value is.
    pub(super) fn slot(&mut self) -> Slot {
        self.entry().0
    }

    /// What the presence of the current value says about the shape of the body.
    pub(super) fn marks(&mut self) -> u64 {
        self.entry().1
    }

    fn entry(&mut self) -> (Slot, u64) {
        while self.common.len() + self.table.len() < self.cursor.paths() {
            let (text, parent) = self.cursor.nth(self.common.len() + self.table.len());
            let around = self
                .at(parent.index())
                .map_or(Slot::Text(TextRole::Other), |entry| entry.0);
            self.table
                .push((self.rules.slot(&text, around), self.rules.mark(&text)));
        }
        // The loop has just made an entry for every path.
        self.at(self.cursor.path().index())
            .unwrap_or((Slot::Text(TextRole::Other), 0))
    }

    /// Paths known before any document.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.common.len()
    }

    fn at(&self, index: usize) -> Option<(Slot, u64)> {
        let own = || self.table.get(index - self.common.len());
        self.common.get(index).or_else(own).copied()
    }
}
