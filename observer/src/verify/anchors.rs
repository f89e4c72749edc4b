//! Anchors: each is checked by itself and against the one before; what they hold is kept by host. Pure.

use std::collections::BTreeMap;

use super::finding::{Findings, Kind, Place};
use super::keybook::KeyBook;
use super::source::Period;
use crate::evidence::{AnchorRow, anchor::AnchorFault, keys::ROLE_NOTARY};

/// A seal that an anchor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchored {
    /// Epoch.
    pub chain_epoch: u64,
    /// Number.
    pub seal_seq: u64,
    /// Hash.
    pub seal_hash: [u8; 32],
    /// Number of the anchor.
    pub anchor_seq: u64,
    /// When it was made, ns since the Unix epoch: the seal was there by then.
    pub anchored_at: i64,
}

/// What is known of one notary's anchors.
#[derive(Debug, Clone)]
struct Last {
    seq: u64,
    hash: [u8; 32],
    key_id: String,
}

/// All anchors.
#[derive(Debug, Default)]
pub struct AnchorBook {
    by_host: BTreeMap<String, Vec<Anchored>>,
    last: BTreeMap<String, Last>,
    /// Anchors taken.
    pub count: u64,
    /// What is wrong with anchors.
    pub findings: Findings,
}

impl AnchorBook {
    /// Takes an anchor. Those of one notary come by their number; the same one twice (from store and file) is taken once.
    pub fn add(&mut self, anchor: &AnchorRow, keys: &KeyBook) {
        let last = self.last.get(&anchor.notary_id).cloned();
        if last
            .as_ref()
            .is_some_and(|l| l.seq == anchor.anchor_seq && l.hash == anchor.anchor_hash)
        {
            return;
        }
        self.count += 1;
        let good = self.check(anchor, last.as_ref(), keys);
        self.last.insert(
            anchor.notary_id.clone(),
            Last {
                seq: anchor.anchor_seq,
                hash: anchor.anchor_hash,
                key_id: anchor.key_id.clone(),
            },
        );
        if !good {
            return;
        }
        for (host, chain_epoch, seal_seq, seal_hash) in &anchor.leaves {
            self.by_host.entry(host.clone()).or_default().push(Anchored {
                chain_epoch: *chain_epoch,
                seal_seq: *seal_seq,
                seal_hash: *seal_hash,
                anchor_seq: anchor.anchor_seq,
                anchored_at: anchor.anchored_at.saturating_mul(1_000_000),
            });
        }
    }

    fn check(&mut self, anchor: &AnchorRow, last: Option<&Last>, keys: &KeyBook) -> bool {
        let named = format!("anchor {} of {}", anchor.anchor_seq, anchor.notary_id);
        let mut say = |kind, detail: String| {
            self.findings
                .add(kind, Place::default(), 1, format!("{named}: {detail}"));
        };
        let expected = last.map_or(1, |l| l.seq + 1);
        if anchor.anchor_seq > expected {
            say(
                Kind::AnchorMissing,
                format!("number {expected} to {} are missing", anchor.anchor_seq - 1),
            );
        } else if anchor.anchor_seq < expected {
            say(Kind::AnchorInvalid, "there is another one of this number".into());
            return false;
        } else if anchor.prev_anchor_hash != last.map_or([0; 32], |l| l.hash) {
            say(Kind::AnchorMissing, "does not name the one before".into());
        }
        let Some(public) = keys.public(ROLE_NOTARY, &anchor.notary_id, &anchor.key_id) else {
            say(
                Kind::AnchorInvalid,
                format!("no certificate speaks for its key {}", anchor.key_id),
            );
            return false;
        };
        let trusted = keys.trusted(ROLE_NOTARY, &anchor.notary_id);
        if last.is_none_or(|last| last.key_id != anchor.key_id)
            && keys.pinned_owners(ROLE_NOTARY).next().is_some()
            && !trusted.is_some_and(|trusted| trusted.contains(&anchor.key_id))
        {
            say(Kind::KeyNotPinned, format!("key {}", anchor.key_id));
        }
        if let Some(last) = last
            && !keys.leads(ROLE_NOTARY, &anchor.notary_id, &last.key_id, &anchor.key_id)
        {
            say(
                Kind::KeyUncertified,
                format!("key {} was not certified by {}", anchor.key_id, last.key_id),
            );
        }
        match anchor.check(public) {
            Ok(()) => true,
            Err(fault @ AnchorFault::UnknownForm) => {
                say(Kind::FormUnknown, fault.to_string());
                false
            }
            Err(fault) => {
                say(Kind::AnchorInvalid, fault.to_string());
                false
            }
        }
    }

    /// Hosts of which an anchor holds a seal.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.by_host.keys().map(String::as_str)
    }

    /// Hosts of which an anchor that was made in a period holds a seal.
    pub fn hosts_of(&self, period: Period) -> impl Iterator<Item = &str> {
        let hosts = self
            .by_host
            .iter()
            .filter(move |(_, held)| held.iter().any(|seal| period.holds(seal.anchored_at)));
        hosts.map(|(host, _)| host.as_str())
    }

    /// What anchors hold of a host, sorted by epoch and number. Takes it out.
    pub fn take(&mut self, host: &str) -> Vec<Anchored> {
        let mut all = self.by_host.remove(host).unwrap_or_default();
        all.sort_unstable();
        all.dedup_by(|a, b| {
            (a.chain_epoch, a.seal_seq, a.seal_hash) == (b.chain_epoch, b.seal_seq, b.seal_hash)
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{KeyRow, Signer};

    fn book() -> (KeyBook, Signer) {
        let signer = Signer::from_seed(&[5; 32]);
        let row = KeyRow::first("n", ROLE_NOTARY, &signer, 1);
        (KeyBook::new([(row, i64::MAX)]), signer)
    }

    fn leaves(n: u8) -> Vec<(String, u64, u64, [u8; 32])> {
        vec![("h".into(), 1, u64::from(n), [n; 32])]
    }

    #[test]
    fn holes_forks_and_strangers_are_found() {
        let (keys, signer) = book();
        let a = AnchorRow::new("n", None, leaves(1), 1_000, &signer);
        let b = AnchorRow::new("n", Some(&a), leaves(2), 2_000, &signer);
        let c = AnchorRow::new("n", Some(&b), leaves(3), 3_000, &signer);
        let check = |anchors: &[&AnchorRow]| {
            let mut book = AnchorBook::default();
            anchors.iter().for_each(|a| book.add(a, &keys));
            book
        };
        let mut good = check(&[&a, &a, &b, &c]);
        assert_eq!((good.findings.worst(), good.count), (None, 3));
        assert_eq!(good.take("h").len(), 3);
        assert_eq!(check(&[&a, &c]).findings.count(Kind::AnchorMissing), 1);
        assert_eq!(check(&[&b]).findings.count(Kind::AnchorMissing), 1);
        let other = AnchorRow::new("n", Some(&a), leaves(9), 2_500, &signer);
        assert_eq!(check(&[&a, &b, &other]).findings.count(Kind::AnchorInvalid), 1);
        assert_eq!(
            check(&[&a, &other, &c]).findings.count(Kind::AnchorMissing),
            1,
            "c names b"
        );
        let forged = AnchorRow::new("n", Some(&a), leaves(2), 2_000, &Signer::from_seed(&[6; 32]));
        let mut book = check(&[&a, &forged]);
        assert_eq!(book.findings.count(Kind::AnchorInvalid), 1);
        assert_eq!(book.take("h").len(), 1, "what a stranger signed holds nothing");
    }
}
