//! Whether a seal follows the one before.

use super::{HostCheck, Key, Last, key};
use crate::{
    evidence::{SealKind, SealRow, keys::ROLE_HOST},
    verify::finding::{Kind, Place},
};

/// Wall clock and boot clock of an interval may differ by so much.
const CLOCK_SLACK_NS: i64 = 1_000_000_000;

impl HostCheck<'_> {
    /// Whether a seal continues what was there.
    pub(super) fn follows(&mut self, seal: &SealRow) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        let since = self.last.as_ref().map(|last| &last.row);
        if clock_was_set(since, seal) {
            self.findings.add(Kind::ClockJump, place, 1, "");
        }
        let before = self.last.take();
        // The seal before may be one before the period.
        let is_first = self.counts.seals == 0;
        let same = |same: fn(&SealRow, &SealRow) -> bool| {
            !is_first && before.as_ref().is_some_and(|last| same(&last.row, seal))
        };
        let (same_key, same_epoch) = (
            same(|a, b| a.key_id == b.key_id),
            same(|a, b| a.chain_epoch == b.chain_epoch),
        );
        if !same_key {
            self.is_pinned(seal);
        }
        self.counts.epochs += u64::from(!same_epoch);
        let Some(last) = before else {
            self.first_of_all(seal);
            return;
        };
        if last.row.key_id != seal.key_id
            && !self
                .keys
                .leads(ROLE_HOST, &self.host, &last.row.key_id, &seal.key_id)
        {
            let detail = format!("key {} was not certified by {}", seal.key_id, last.row.key_id);
            self.findings.add(Kind::KeyUncertified, place, 1, detail);
        }
        if is_first && self.begins_period(seal, Some(&last.row)) && named_before(seal) != key(&last.row) {
            return;
        }
        self.next(seal, &last);
    }

    /// Whether a seal continues what was there, whatever its key.
    pub(super) fn next(&mut self, seal: &SealRow, last: &Last) {
        if last.row.chain_epoch == seal.chain_epoch {
            self.next_in_epoch(seal, last);
        } else {
            self.next_epoch(seal, last);
        }
    }

    /// Whether the key of a seal is one that the auditor trusts; asked where the key changes.
    fn is_pinned(&mut self, seal: &SealRow) {
        if self
            .trusted
            .as_ref()
            .is_some_and(|keys| !keys.contains(&seal.key_id))
        {
            let place = Place::seal(seal.chain_epoch, seal.seal_seq);
            let detail = format!("key {} signs from here on", seal.key_id);
            self.findings.add(Kind::KeyNotPinned, place, 1, detail);
        }
    }

    /// The first seal that there is: the beginning of the chain, of the period, or of what is still kept.
    fn first_of_all(&mut self, seal: &SealRow) {
        if self.begins_within() && (!self.looked_around || self.begins_period(seal, None)) {
            return;
        }
        if seal.open_reason == "state_lost" {
            let place = Place::epoch(seal.chain_epoch);
            self.findings.add(Kind::StateLost, place, 1, "");
            return;
        }
        self.nothing_before(seal);
    }

    /// Whether a seal may be the first one that there is.
    pub(super) fn nothing_before(&mut self, seal: &SealRow) {
        let is_beginning = seal.seal_seq == 1 && seal.prev_seal_hash == [0; 32];
        if is_beginning || seal.interval_start < self.limits.oldest_sure_seal() {
            return;
        }
        if seal.seal_seq > 1 {
            let missing = Place::epoch(seal.chain_epoch).with_seals(1, seal.seal_seq - 1);
            self.findings.add(
                Kind::SealMissing,
                missing,
                seal.seal_seq - 1,
                "at the beginning of the chain",
            );
        } else {
            let named = Place::seal(seal.prev_chain_epoch, seal.prev_seal_seq);
            self.findings.add(
                Kind::SealMissing,
                named,
                1,
                "the first start that is there names it",
            );
        }
    }

    fn next_in_epoch(&mut self, seal: &SealRow, last: &Last) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        let expected = last.row.seal_seq.saturating_add(1);
        if seal.seal_seq > expected {
            let (first, until) = (expected, seal.seal_seq - 1);
            let missing = Place::epoch(seal.chain_epoch).with_seals(first, until);
            let count = until - first + 1;
            self.losses
                .seals_missing(Kind::SealMissing, missing, count, "", &mut self.findings);
            return;
        }
        if seal.prev_seal_hash != last.row.seal_hash {
            self.findings.add(Kind::LinkBroken, place, 1, "");
        }
        if seal.first_rec_seq != last.next_rec_seq {
            let place = place.with_records(last.next_rec_seq, seal.first_rec_seq);
            self.findings.add(Kind::NumbersBroken, place, 1, "");
        }
    }

    fn next_epoch(&mut self, seal: &SealRow, last: &Last) {
        let place = Place::seal(seal.chain_epoch, seal.seal_seq);
        if seal.seal_seq != 1 {
            let missing = Place::epoch(seal.chain_epoch).with_seals(1, seal.seal_seq - 1);
            self.losses.seals_missing(
                Kind::SealMissing,
                missing,
                seal.seal_seq - 1,
                "at the beginning of an epoch",
                &mut self.findings,
            );
            return;
        }
        let went_back = seal.notes.iter().any(|note| note == "clock_went_back");
        if seal.interval_start.saturating_add(CLOCK_SLACK_NS) < last.row.interval_end && !went_back {
            let boots = if seal.boot_id == last.row.boot_id {
                "the same boot"
            } else {
                "different boots"
            };
            let detail = format!("begins before epoch {} ends; {boots}", last.row.chain_epoch);
            self.findings.add(Kind::TwoAgents, place, 1, detail);
        }
        if seal.open_reason == "state_lost" {
            self.findings.add(Kind::StateLost, place, 1, "");
            return;
        }
        let named = (seal.prev_chain_epoch, seal.prev_seal_seq);
        let there = (last.row.chain_epoch, last.row.seal_seq);
        if seal.seal_kind != SealKind::Open || named.0 == 0 {
            self.findings.add(
                Kind::EpochUnlinked,
                place,
                1,
                format!(
                    "there is a chain before, up to epoch {} seal {}",
                    there.0, there.1
                ),
            );
        } else if named > there {
            let (first, count) = if named.0 == there.0 {
                (there.1.saturating_add(1), named.1 - there.1)
            } else {
                (named.1, 1)
            };
            let missing = Place::epoch(named.0).with_seals(first, named.1);
            self.losses.seals_missing(
                Kind::SealMissing,
                missing,
                count,
                "the next start names the last of them",
                &mut self.findings,
            );
        } else if named < there {
            let detail = format!(
                "names epoch {} seal {}, but the chain went on after it",
                named.0, named.1
            );
            self.findings.add(Kind::EpochUnlinked, place, 1, detail);
        } else if seal.prev_seal_hash != last.row.seal_hash {
            self.findings
                .add(Kind::LinkBroken, place, 1, "between two starts");
        }
    }
}

/// The place that the seal before a seal has.
pub(super) fn named_before(seal: &SealRow) -> Key {
    match seal.seal_seq {
        1 => (seal.prev_chain_epoch, seal.prev_seal_seq),
        seq => (seal.chain_epoch, seq.saturating_sub(1)),
    }
}

/// Whether wall clock and boot clock differ in a seal's interval, or between it and the seal before in the same epoch.
fn clock_was_set(before: Option<&SealRow>, seal: &SealRow) -> bool {
    let before =
        before.filter(|last| last.chain_epoch == seal.chain_epoch && last.seal_seq + 1 == seal.seal_seq);
    let within = (
        seal.mono_start_ns,
        seal.mono_end_ns,
        seal.interval_start,
        seal.interval_end,
    );
    let between = before.map(|last| {
        (
            last.mono_end_ns,
            seal.mono_start_ns,
            last.interval_end,
            seal.interval_start,
        )
    });
    [Some(within), between]
        .into_iter()
        .flatten()
        .any(|(boot, boot_end, wall, wall_end)| {
            let boot = i128::from(boot_end) - i128::from(boot);
            let wall = i128::from(wall_end) - i128::from(wall);
            (wall - boot).abs() > i128::from(CLOCK_SLACK_NS)
        })
}
