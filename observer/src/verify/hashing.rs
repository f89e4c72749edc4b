//! Rows as they came from the store, hashed by other threads: pieces of whole rows, a few at a time, so that neither store nor
//! verifier waits for the other and memory stays bounded.

use std::{collections::VecDeque, sync::Arc};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::{host::Record, source::sha256, store::Wanted};
use crate::evidence::wire::{self, Column, OutOfStep};

/// Bytes that are hashed together.
pub(super) const PIECE: usize = 1 << 20;

/// Threads that do what takes the verifier its time. More would only wait for the store.
pub(super) fn threads() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| cores.get().min(16))
}

/// Records, each with the place of its stretch.
type Placed = Vec<(usize, Record)>;

/// The pieces of one answer that are being hashed, oldest first.
pub(super) struct Hashing {
    table: u8,
    columns: &'static [Column],
    wanted: Arc<Wanted>,
    at_work: VecDeque<JoinHandle<Result<Placed, OutOfStep>>>,
    most: usize,
}

impl Hashing {
    pub(super) fn new(table: u8, columns: &'static [Column], wanted: Arc<Wanted>) -> Self {
        Self {
            table,
            columns,
            wanted,
            at_work: VecDeque::new(),
            // One for each thread, and one that is ready for the first that is done.
            most: threads() + 1,
        }
    }

    /// Takes the whole rows off `came` and lets another thread hash them.
    pub(super) fn begin(&mut self, came: &mut Vec<u8>) -> Result<(), OutOfStep> {
        let end = wire::whole_rows(self.columns, came)?;
        if end == 0 {
            return Ok(());
        }
        let rest = came.split_off(end);
        let piece = std::mem::replace(came, rest);
        let (table, columns, wanted) = (self.table, self.columns, Arc::clone(&self.wanted));
        self.at_work.push_back(tokio::task::spawn_blocking(move || {
            hash(table, columns, &wanted, &piece)
        }));
        Ok(())
    }

    /// Waits until there is room for another piece.
    pub(super) async fn make_room(&mut self, take: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
        self.wait(self.most - 1, take).await
    }

    /// Waits for all of them.
    pub(super) async fn end(mut self, take: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
        self.wait(0, take).await
    }

    async fn wait(&mut self, most: usize, take: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
        while self.at_work.len() > most
            && let Some(oldest) = self.at_work.pop_front()
        {
            let records = oldest.await.context("hashing ended by a panic")??;
            for (place, record) in records {
                take(place, record);
            }
        }
        Ok(())
    }
}

/// Hashes the rows of a piece.
fn hash(table: u8, columns: &[Column], wanted: &Wanted, piece: &[u8]) -> Result<Placed, OutOfStep> {
    let (mut records, mut canonical) = (Vec::new(), Vec::with_capacity(8192));
    let mut input = piece;
    while let Some(sent) = wire::read_row(columns, &mut input, &mut canonical)? {
        let Some(place) = wanted.place(&sent) else {
            continue;
        };
        let record = Record {
            chain_epoch: sent.chain_epoch,
            rec_seq: sent.rec_seq,
            hash: sent.hash,
            seal_seq: sent.seal_seq,
            is_right: sent
                .is_known_form
                .then(|| sent.newer_say_nothing && sha256(&canonical) == sent.hash),
            table,
            ts: sent.ts,
        };
        records.push((place, record));
    }
    Ok(records)
}
