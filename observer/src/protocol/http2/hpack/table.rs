//! The dynamic table of HPACK (RFC 7541 section 2.3.2), as far as it is known.
//!
//! New entries come in front and push the others on. So whoever joins late, or missed a part, knows the entries that
//! came since, at their true index, and nothing of the older ones: an index behind the known ones is "not known". The
//! table is whole again once an entry that is known has been pushed out by its size, since the older ones went before.

use std::{collections::VecDeque, sync::Arc};

/// Largest table kept, in bytes as RFC 7541 section 4.1 counts them. Of a larger one the newest entries are known.
pub const MAX_TABLE: usize = 64 * 1024;
/// Table size before any update (RFC 9113 section 6.5.2, SETTINGS_HEADER_TABLE_SIZE).
const DEFAULT_SIZE: usize = 4096;
/// What an entry counts besides its octets.
const OVERHEAD: usize = 32;

/// An entry; a part is `None` where it came from an entry that is not known.
#[derive(Clone, Default)]
pub(super) struct Entry {
    pub(super) name: Option<Arc<[u8]>>,
    pub(super) value: Option<Box<[u8]>>,
}

impl Entry {
    /// Size in the table; the least it can be where a part is not known.
    fn size(&self) -> usize {
        let of = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        OVERHEAD + of(self.name.as_deref()) + of(self.value.as_deref())
    }
}

/// What stands at an index.
pub(super) enum Found<'a> {
    Entry(&'a Entry),
    /// An entry of before that is not known.
    Unknown,
    /// Nothing can stand there.
    Nothing,
}

pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    /// Size the encoder announced; `None` while it may be anything.
    limit: Option<usize>,
    /// Nothing stands behind the known entries.
    whole: bool,
}

impl Table {
    /// The table of a connection seen from its start.
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: Some(DEFAULT_SIZE),
            whole: true,
        }
    }

    /// Entries may have come that were not seen: nothing known keeps its index.
    pub(super) fn lose(&mut self) {
        self.entries = VecDeque::new();
        self.size = 0;
        self.limit = None;
        self.whole = false;
    }

    /// Entry `index`, from 0 for the newest.
    pub(super) fn get(&self, index: usize) -> Found<'_> {
        match (self.entries.get(index), self.whole) {
            (Some(entry), _) => Found::Entry(entry),
            (None, false) => Found::Unknown,
            (None, true) => Found::Nothing,
        }
    }

    /// The encoder announces a size (section 6.3).
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = Some(limit);
        self.shrink_to(limit);
        if limit == 0 {
            self.whole = true;
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let size = entry.size();
        let limit = self.limit.unwrap_or(MAX_TABLE);
        if self.limit.is_some() && size > limit {
            // Section 4.4: an entry larger than the table empties it.
            self.entries.clear();
            self.size = 0;
            self.whole = true;
            return;
        }
        let room = limit.min(MAX_TABLE);
        if size > room {
            return self.lose_but_limit();
        }
        self.shrink_to(room - size);
        self.size += size;
        self.entries.push_front(entry);
    }

    fn lose_but_limit(&mut self) {
        let limit = self.limit;
        self.lose();
        self.limit = limit;
    }

    /// Pushes out old entries until `room` bytes hold the rest.
    fn shrink_to(&mut self, room: usize) {
        let beyond_cap = self.limit.is_none_or(|limit| limit > MAX_TABLE);
        while self.size > room.min(MAX_TABLE) {
            let Some(oldest) = self.entries.pop_back() else {
                return;
            };
            self.size -= oldest.size();
            if beyond_cap {
                // The encoder may still hold it.
                self.whole = false;
            } else {
                // Sizes are never counted too large, so the encoder has pushed it out too, and all older ones before.
                self.whole = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(length: usize) -> Entry {
        Entry {
            name: Some(vec![b'n'; 1].into()),
            value: Some(vec![b'v'; length].into()),
        }
    }

    #[test]
    fn what_is_lost_is_unknown_until_the_table_has_turned_over() {
        let mut table = Table::new();
        assert!(matches!(table.get(0), Found::Nothing));
        table.insert(entry(10));
        table.lose();
        assert!(matches!(table.get(0), Found::Unknown));
        table.insert(entry(20));
        assert!(matches!(table.get(0), Found::Entry(_)));
        assert!(matches!(table.get(1), Found::Unknown));
        // The size is not known, so nothing says when the old entries are gone.
        (0..100).for_each(|_| table.insert(entry(20)));
        assert!(matches!(table.get(101), Found::Unknown));
        table.resize(100);
        assert!(
            matches!(table.get(2), Found::Nothing),
            "known entries were pushed out"
        );
        table.lose();
        table.resize(0);
        assert!(matches!(table.get(0), Found::Nothing), "an empty table is known");
    }

    #[test]
    fn sizes_are_bounded_whatever_the_encoder_says() {
        let mut table = Table::new();
        table.resize(usize::MAX);
        (0..100_000).for_each(|n| table.insert(entry(n % 3000)));
        assert!(table.size <= MAX_TABLE && table.entries.len() <= MAX_TABLE / OVERHEAD);
        assert!(matches!(table.get(table.entries.len()), Found::Unknown));
        table.insert(entry(MAX_TABLE));
        assert!(
            matches!(table.get(0), Found::Unknown),
            "held by the encoder, not by us"
        );
        table.resize(4096);
        table.insert(entry(5000));
        assert!(matches!(table.get(0), Found::Nothing), "larger than the table");
    }
}
