//! The ledger: what each stage saw, handed on and lost, by reason; and, from what was stored, how much of a period was
//! observed. Pure.

pub mod account;
mod blind;
mod reasons;

use std::collections::BTreeMap;

pub use blind::{OpaqueReason, Readability};
pub use reasons::{REASONS, in_book};

/// Stages that can lose something, in the order of the flow of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Kernel programs and ring buffer.
    Kernel,
    /// Decoding of records.
    Record,
    /// Flows and reassembly.
    Flow,
    /// Protocol and dialect.
    Protocol,
    /// Scan for sensitive data.
    Scan,
    /// Delivery to the store.
    Store,
}

impl Stage {
    /// Name as in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Record => "record",
            Self::Flow => "flow",
            Self::Protocol => "protocol",
            Self::Scan => "scan",
            Self::Store => "store",
        }
    }
}

/// How much was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Occurrences.
    pub events: u64,
    /// Bytes, where they are known.
    pub bytes: u64,
}

/// Losses since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<(Stage, &'static str), Loss>);

impl Ledger {
    /// Books one loss. `reason` is one of [`REASONS`].
    pub fn lose(&mut self, stage: Stage, reason: &'static str, bytes: u64) {
        debug_assert!(reasons::is_known(stage, reason), "{stage:?} {reason}");
        let loss = self.0.entry((stage, reason)).or_default();
        loss.events += 1;
        // A gap can be of any length that a record states.
        loss.bytes = loss.bytes.saturating_add(bytes);
    }

    /// Books bytes alone: they were part of nothing that the book of their stage counts.
    pub fn lose_bytes(&mut self, stage: Stage, reason: &'static str, bytes: u64) {
        debug_assert!(reasons::is_known(stage, reason), "{stage:?} {reason}");
        if bytes > 0 {
            let loss = self.0.entry((stage, reason)).or_default();
            loss.bytes = loss.bytes.saturating_add(bytes);
        }
    }

    /// Sets a loss that another place counts from its start on.
    pub fn set(&mut self, stage: Stage, reason: &'static str, total: Loss) {
        debug_assert!(reasons::is_known(stage, reason), "{stage:?} {reason}");
        self.0.insert((stage, reason), total);
    }

    /// All losses, in the order of the stages.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, &'static str, Loss)> {
        self.0
            .iter()
            .map(|((stage, reason), loss)| (*stage, *reason, *loss))
    }

    /// Losses of one stage for one reason.
    pub fn of(&self, stage: Stage, reason: &'static str) -> Loss {
        self.0.get(&(stage, reason)).copied().unwrap_or_default()
    }

    /// What was lost since `earlier`, a state of this ledger, for reasons for which something was.
    pub fn since(&self, earlier: &Self) -> Vec<(Stage, &'static str, Loss)> {
        let changed = self.iter().map(|(stage, reason, now)| {
            let then = earlier.of(stage, reason);
            let loss = Loss {
                events: now.events.saturating_sub(then.events),
                bytes: now.bytes.saturating_sub(then.bytes),
            };
            (stage, reason, loss)
        });
        changed.filter(|(_, _, loss)| *loss != Loss::default()).collect()
    }

    /// What the losses of a stage must make together in its book.
    pub fn in_book(&self, stage: Stage) -> u64 {
        let of_stage = self.iter().filter(|(s, _, _)| *s == stage);
        of_stage
            .map(|(stage, reason, loss)| in_book(stage, reason, loss))
            .sum()
    }

    /// Losses of one stage together.
    pub fn stage(&self, stage: Stage) -> Loss {
        self.iter()
            .filter(|(s, _, _)| *s == stage)
            .fold(Loss::default(), |sum, (_, _, loss)| Loss {
                events: sum.events + loss.events,
                bytes: sum.bytes.saturating_add(loss.bytes),
            })
    }
}

/// A ratio that may not have been measured. Never 0 and never 1 for want of a denominator.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people: 52 bits are enough"
    )]
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_by_stage_and_reason() {
        let mut ledger = Ledger::default();
        ledger.lose(Stage::Flow, "gap", 10);
        ledger.lose(Stage::Flow, "gap", 5);
        ledger.lose(Stage::Flow, "flow_table_full", 0);
        ledger.set(Stage::Kernel, "ring_full", Loss { events: 3, bytes: 9 });
        ledger.set(Stage::Kernel, "ring_full", Loss { events: 4, bytes: 12 });
        assert_eq!(ledger.stage(Stage::Flow), Loss { events: 3, bytes: 15 });
        assert_eq!(ledger.stage(Stage::Kernel), Loss { events: 4, bytes: 12 });
        assert_eq!(ledger.stage(Stage::Store), Loss::default());
    }

    #[test]
    fn what_was_lost_since_is_the_difference() {
        let mut ledger = Ledger::default();
        ledger.lose(Stage::Flow, "gap", 10);
        ledger.lose(Stage::Scan, "over_budget", 7);
        let earlier = ledger.clone();
        assert_eq!(ledger.since(&earlier), []);
        ledger.lose(Stage::Flow, "gap", 3);
        ledger.lose(Stage::Protocol, "parse_failed", 1);
        assert_eq!(
            ledger.since(&earlier),
            [
                (Stage::Flow, "gap", Loss { events: 1, bytes: 3 }),
                (Stage::Protocol, "parse_failed", Loss { events: 1, bytes: 1 })
            ]
        );
    }

    #[test]
    fn a_ratio_without_a_denominator_is_not_measured() {
        assert_eq!(ratio(0, 0), None);
        assert_eq!(ratio(1, 2), Some(0.5));
    }
}
