//! Counts that evaluations of labelled rows share.

use serde::Deserialize;
use serde_json::{Value, json};

/// What the label of a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// There is something to find.
    Positive,
    /// There is nothing.
    Negative,
}

/// How many of how many were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) found: usize,
    pub(super) total: usize,
}

impl Tally {
    pub(super) fn add(&mut self, found: bool) {
        self.total += 1;
        self.found += usize::from(found);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.found += other.found;
    }

    pub(super) fn json(self) -> Value {
        json!({"found": self.found, "total": self.total})
    }

    /// Found ones of a hundred; 0 where there are none.
    pub(super) fn percent(self) -> f64 {
        let (found, total) = (count(self.found), count(self.total));
        if self.total == 0 {
            0.0
        } else {
            100.0 * found / total
        }
    }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
