//! What seals say of every stage: books, and losses by reason.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use observer::coverage::{Loss, REASONS, Stage, in_book};
use serde_json::Value;

use super::record::Record;

/// The book of one stage in one seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Book {
    /// What came in.
    pub seen: u64,
    /// What went on.
    pub delivered: u64,
    /// What was lost.
    pub lost: u64,
    /// What is still there.
    pub held: u64,
}

impl Record {
    /// The books of a seal, by stage.
    pub fn books(seal: &Value) -> Result<BTreeMap<String, Book>> {
        let numbers = |column: &str| -> Result<Vec<u64>> {
            let list = seal[column].as_array().with_context(|| format!("no {column}"))?;
            list.iter().map(|n| n.as_u64().context("no number")).collect()
        };
        let stages = seal["books_stage"].as_array().context("no books_stage")?;
        let (seen, delivered) = (numbers("books_seen")?, numbers("books_delivered")?);
        let (lost, held) = (numbers("books_lost")?, numbers("books_held")?);
        let mut books = BTreeMap::new();
        for (n, stage) in stages.iter().enumerate() {
            let book = Book {
                seen: seen[n],
                delivered: delivered[n],
                lost: lost[n],
                held: held[n],
            };
            books.insert(stage.as_str().context("no stage")?.to_owned(), book);
        }
        Ok(books)
    }

    /// Every book of every seal balances, and what it calls lost is what the seals of its start state by reason; gives
    /// those of the last seal.
    pub fn balanced_books(&self) -> Result<BTreeMap<String, Book>> {
        let mut last = BTreeMap::new();
        let mut by_reason: BTreeMap<(u64, &str), u64> = BTreeMap::new();
        for seal in &self.seals {
            last = Self::books(seal)?;
            let epoch = seal["chain_epoch"].as_u64().context("no chain_epoch")?;
            for (stage, reason, loss) in losses_of(seal) {
                *by_reason.entry((epoch, stage.name())).or_default() += in_book(stage, &reason, loss);
            }
            anyhow::ensure!(last.len() == 6, "stages {:?}", last.keys());
            for (stage, book) in &last {
                anyhow::ensure!(
                    book.seen == book.delivered + book.lost + book.held,
                    "the book of {stage} does not balance: {book:?} in {seal:#}"
                );
                let stated = by_reason.get(&(epoch, stage.as_str())).copied().unwrap_or(0);
                anyhow::ensure!(
                    book.lost == stated,
                    "{stage}: lost {} in the book, {stated} by reason, in {seal:#}",
                    book.lost
                );
            }
        }
        Ok(last)
    }

    /// Losses that seals state for a stage and a reason: events and bytes.
    pub fn sealed_loss(&self, stage: &str, reason: &str) -> (u64, u64) {
        let mut sum = (0, 0);
        for (of, why, loss) in self.seals.iter().flat_map(losses_of) {
            if of.name() == stage && why == reason {
                sum = (sum.0 + loss.events, sum.1 + loss.bytes);
            }
        }
        sum
    }
}

/// What a seal states as lost in its interval.
fn losses_of(seal: &Value) -> Vec<(Stage, String, Loss)> {
    let column = |name: &str, n: usize| seal[name].get(n).cloned().unwrap_or_default();
    let number = |name: &str, n: usize| column(name, n).as_u64().unwrap_or(0);
    let count = seal["loss_stage"].as_array().map_or(0, Vec::len);
    let one = |n: usize| {
        let (stage, reason) = (column("loss_stage", n), column("loss_reason", n));
        let known = REASONS
            .iter()
            .find(|(of, why)| stage == of.name() && reason == *why)?;
        let loss = Loss {
            events: number("loss_events", n),
            bytes: number("loss_bytes", n),
        };
        Some((known.0, known.1.to_owned(), loss))
    };
    (0..count).filter_map(one).collect()
}
