//! Records while they wait for their seals: no more of them than twice what the seals count and some to spare, so that nobody
//! fills the verifier's memory with rows that he put in. Pure.

use super::host::Record;

/// Room for records that no seal of the same stretches counts.
const SPARE: usize = 1_000_000;

/// Seals that are asked for together are believed to count up to so many. What they say of themselves is not checked yet.
const COUNTED: u64 = 4_000_000;

/// Records of stretches, by the place of the stretch.
pub(super) struct Kept {
    of: Vec<Part>,
    kept: usize,
    room: usize,
    is_full: bool,
}

/// Records of one stretch.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) records: Vec<Record>,
    /// Records that came when nothing more was kept.
    pub(super) more: u64,
}

impl Kept {
    /// Room for so many stretches, whose seals count so many records.
    pub(super) fn new(stretches: usize, counted: u64) -> Self {
        let counted = usize::try_from(counted.min(COUNTED)).unwrap_or(usize::MAX);
        Self::with_room(stretches, counted.saturating_mul(2).saturating_add(SPARE))
    }

    fn with_room(stretches: usize, room: usize) -> Self {
        Self {
            of: vec![Part::default(); stretches],
            kept: 0,
            room,
            is_full: false,
        }
    }

    pub(super) fn push(&mut self, place: usize, record: Record) {
        if self.kept >= self.room && !self.is_full {
            self.make_room();
        }
        let Some(part) = self.of.get_mut(place) else {
            return;
        };
        if self.is_full {
            part.more += 1;
        } else {
            part.records.push(record);
            self.kept += 1;
        }
    }

    /// Drops what is there twice. Where that is little, the rest are different records, of which far too many are there.
    fn make_room(&mut self) {
        for part in &mut self.of {
            part.records.sort_unstable();
            part.records.dedup();
        }
        self.kept = self.of.iter().map(|part| part.records.len()).sum();
        self.is_full = self.kept > self.room / 4 * 3;
    }

    pub(super) fn into_parts(self) -> Vec<Part> {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rec_seq: u64) -> Record {
        Record {
            chain_epoch: 1,
            rec_seq,
            hash: [0; 32],
            seal_seq: 1,
            is_right: Some(true),
            table: 0,
            ts: 0,
        }
    }

    #[test]
    fn copies_take_no_room_and_too_many_different_ones_are_counted() {
        let mut kept = Kept::with_room(2, 100);
        (0..1_000).for_each(|n| kept.push(0, record(n % 50)));
        let parts = kept.into_parts();
        assert!(parts[0].records.len() <= 100 && parts[0].more == 0);
        let mut kept = Kept::with_room(2, 100);
        (0..1_000).for_each(|n| kept.push(usize::from(n % 2 == 0), record(n)));
        let parts = kept.into_parts();
        assert_eq!(parts[0].records.len() + parts[1].records.len(), 100);
        assert_eq!((parts[0].more, parts[1].more), (450, 450));
    }
}
