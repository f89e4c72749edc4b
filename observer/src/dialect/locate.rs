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
    /// Slot and marks by path.
    table: Vec<(Slot, u32)>,
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
            table: Vec::new(),
        };
        locator.entry();
        locator
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
                .push((self.rules.slot(&text, around), self.rules.mark(&text)));
        }
        self.table[self.cursor.path().index()]
    }
}
