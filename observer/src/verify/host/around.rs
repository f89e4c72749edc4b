//! What is next to a period: the seal before its first one, and the one behind its last. Without them nobody would miss what went at
//! an end of the period, or all of it.

use super::{HostCheck, Key, key, order::named_before};
use crate::{
    evidence::SealRow,
    verify::{
        anchors::Anchored,
        finding::{Findings, Kind, Place},
    },
};

impl HostCheck<'_> {
    /// Nobody says that the host should have seals in the period: that it has none is no finding, nor are its certificates.
    #[must_use]
    pub fn unexpected(mut self) -> Self {
        self.is_expected = false;
        self.findings = Findings::default();
        self
    }

    /// Whether there is anything to say of the host.
    pub fn has_news(&self) -> bool {
        self.is_expected || self.counts.seals > 0 || self.findings.worst().is_some()
    }

    /// The chain goes on from the seal before the period: all rows of its number, none where there is none. `first` is the first
    /// seal in the period.
    pub fn begin_behind(&mut self, rows: &[SealRow], first: Option<&SealRow>) {
        self.looked_around = true;
        let holds = |row: &SealRow| row.is_known_form() && row.digest() == row.seal_hash;
        let is_named = |row: &SealRow| first.is_some_and(|first| first.prev_seal_hash == row.seal_hash);
        let Some(before) = rows.iter().max_by_key(|row| (holds(row), is_named(row))) else {
            return;
        };
        if !holds(before) {
            let kind = match before.is_known_form() {
                true => Kind::SealChanged,
                false => Kind::FormUnknown,
            };
            let place = Place::seal(before.chain_epoch, before.seal_seq);
            self.findings.add(kind, place, 1, "the seal before the period");
        }
        let held = &self.anchored[self.next_anchored..];
        self.next_anchored += held.partition_point(|held| place_of(held) <= key(before));
        self.last = Some(before.clone().into());
    }

    /// Where the chain was before what was given of it so far; after [`Self::begin_behind`] the place of the seal before the period.
    pub fn reached(&self) -> Option<Key> {
        self.last.as_ref().map(|last| key(&last.row))
    }

    /// Whether the first seal of the period says that the one before it is the one that was found.
    pub fn continues(&self, first: &SealRow) -> bool {
        let last = self.last.as_ref().map(|last| &last.row);
        last.is_some_and(|last| named_before(first) == key(last) && first.prev_seal_hash == last.seal_hash)
    }

    /// The first seal behind the period: all rows of its number, none where there is none.
    pub fn end_before(&mut self, rows: Vec<SealRow>) {
        self.looked_around = true;
        self.behind = rows;
    }

    /// Whether a seal is the first of the period by its time, so that what came between it and the seal before the period is not in the
    /// period. It may be a long one (a machine that slept), so the shorter of both says how much may be missing.
    pub(super) fn begins_period(&self, seal: &SealRow, before: Option<&SealRow>) -> bool {
        let length = |seal: &SealRow| seal.interval_end.saturating_sub(seal.interval_start);
        let shorter = before.map_or(i64::MAX, length).min(length(seal));
        let from = self.limits.period.from;
        from.is_some_and(|from| seal.interval_start.saturating_sub(from) < shorter)
    }

    /// Whether a seal is the last of the period by its time, so that what comes behind it is not in the period: one seal begins where
    /// the one before it ended.
    fn ends_period(&self, seal: &SealRow) -> bool {
        let to = self.limits.period.to;
        to.is_some_and(|to| seal.interval_end >= to)
    }

    /// Whether the chain goes on behind the period. Where it does not go on from what is there, something of the period may be
    /// missing.
    pub(super) fn goes_on(&mut self) -> bool {
        let Some(first) = self.behind.first() else {
            return false;
        };
        let last = self.last.clone();
        if last.as_ref().is_some_and(|last| self.ends_period(&last.row)) {
            return true;
        }
        let is_linked = |seal: &SealRow| {
            let hash = last.as_ref().map(|last| last.row.seal_hash);
            hash == Some(seal.prev_seal_hash)
        };
        let judged = self.behind.iter().map(|seal| (seal, self.judge(seal)));
        let best = judged.max_by_key(|(seal, wrong)| (wrong.is_empty(), is_linked(seal)));
        let Some((next, wrong)) = best.map(|(seal, wrong)| (seal.clone(), wrong)) else {
            return false;
        };
        let place = Place::seal(first.chain_epoch, first.seal_seq);
        for (kind, detail) in &wrong {
            let detail = format!("the seal behind the period; {detail}");
            self.findings.add(*kind, place, 1, detail);
        }
        if !wrong.is_empty() {
            return false;
        }
        self.losses.declare(&next);
        match &last {
            Some(last) => self.next(&next, last),
            None => self.nothing_before(&next),
        }
        true
    }

    /// Whether an anchor of the period holds a seal, so that it was there by the end of it.
    pub(super) fn was_anchored_within(&self, held: &Anchored) -> bool {
        self.looked_around && self.limits.period.holds(held.anchored_at)
    }

    /// What anchors hold behind the last seal. Where chains go on behind what was looked at, only what was there by then counts.
    pub(super) fn end_anchors(&mut self) {
        let is_open = !self.ends_within() && (self.counts.seals > 0 || !self.begins_within());
        let behind = self.behind.first().map(key);
        while let Some(held) = self.anchored.get(self.next_anchored).copied() {
            self.next_anchored += 1;
            let is_within =
                self.was_anchored_within(&held) && behind.is_none_or(|behind| place_of(&held) < behind);
            if is_open || is_within {
                self.anchored_is_missing(&held);
            }
        }
    }

    /// How many runs of missing rows wait for somebody to declare them.
    pub fn waiting(&self) -> usize {
        self.losses.waiting()
    }

    /// Place of the first seal at which rows are missing that nobody declared yet.
    pub fn waits_from(&self) -> Option<Key> {
        self.losses.wait_from()
    }

    /// Takes what seals outside of the period declare, in their order; those that are `read` did already.
    pub fn declared_outside(&mut self, seals: &[SealRow], read: impl Fn(Key) -> bool) {
        self.losses.elsewhere();
        for seal in seals {
            if read(key(seal)) {
                self.losses.elsewhere();
            } else if self.judge(seal).is_empty() {
                self.losses.declare(seal);
            }
        }
    }
}

fn place_of(held: &Anchored) -> Key {
    (held.chain_epoch, held.seal_seq)
}
