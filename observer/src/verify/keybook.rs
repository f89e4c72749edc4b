//! Public keys by owner, as far as certificates speak for them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Findings, Kind, Place};
use super::trust::Pins;
use crate::evidence::{
    KeyRow,
    keys::{KeyFault, KeyTrust},
};

/// `revoked_at` of keys that nobody revoked (2100-01-01), ms.
const NEVER_MS: i64 = 4_102_444_800_000;

/// So many certifications are followed from one key to the next.
const MAX_STEPS: usize = 10_000;

#[derive(Debug, Clone)]
struct Entry {
    row: KeyRow,
    revoked_at_ms: i64,
    fault: Option<KeyFault>,
}

/// Certificates by role, owner and key id.
#[derive(Debug, Clone, Default)]
pub struct KeyBook {
    entries: BTreeMap<(String, String), BTreeMap<String, Entry>>,
    /// Keys that the auditor pinned; `None`: nobody asked.
    pins: Option<Pins>,
}

impl KeyBook {
    /// Takes certificates with the time at which each was revoked (ms since the Unix epoch), and judges them.
    pub fn new(rows: impl IntoIterator<Item = (KeyRow, i64)>) -> Self {
        let mut book = Self::default();
        for (row, revoked_at_ms) in rows {
            let owner = (row.key_role.clone(), row.host_id.clone());
            let of_owner = book.entries.entry(owner).or_default();
            let revoked_at_ms = of_owner
                .get(&row.key_id)
                .map_or(revoked_at_ms, |e| e.revoked_at_ms.min(revoked_at_ms));
            // Of two rows for one key the one that names a key before it says more, and is judged.
            let better = of_owner
                .get(&row.key_id)
                .is_none_or(|e| e.row.prev_key_id.is_empty());
            if better {
                let entry = Entry {
                    row,
                    revoked_at_ms,
                    fault: None,
                };
                of_owner.insert(entry.row.key_id.clone(), entry);
            } else if let Some(entry) = of_owner.get_mut(&row.key_id) {
                entry.revoked_at_ms = revoked_at_ms;
            }
        }
        for of_owner in book.entries.values_mut() {
            let faults: Vec<(String, KeyFault)> = of_owner
                .iter()
                .filter_map(|(id, entry)| {
                    let previous = of_owner.get(&entry.row.prev_key_id).map(|e| &e.row);
                    entry.row.check(previous).err().map(|fault| (id.clone(), fault))
                })
                .collect();
            for (id, fault) in faults {
                if let Some(entry) = of_owner.get_mut(&id) {
                    entry.fault = Some(fault);
                }
            }
        }
        book
    }

    fn entry(&self, role: &str, owner: &str, key_id: &str) -> Option<&Entry> {
        self.entries
            .get(&(role.to_owned(), owner.to_owned()))?
            .get(key_id)
    }

    /// The public key, where a certificate that is right in itself speaks for it. One that the key before did not certify
    /// still says which key it is.
    pub fn public(&self, role: &str, owner: &str, key_id: &str) -> Option<&[u8; 32]> {
        let entry = self.entry(role, owner, key_id)?;
        matches!(entry.fault, None | Some(KeyFault::NotCertified)).then_some(&entry.row.public_key)
    }

    /// When the key was revoked, ms since the Unix epoch.
    pub fn revoked_at_ms(&self, role: &str, owner: &str, key_id: &str) -> Option<i64> {
        let at = self.entry(role, owner, key_id)?.revoked_at_ms;
        (at < NEVER_MS).then_some(at)
    }

    /// Whether `to` is `from`, or certified by it, directly or through others.
    pub fn leads(&self, role: &str, owner: &str, from: &str, to: &str) -> bool {
        let mut at = to;
        for _ in 0..MAX_STEPS {
            if at == from {
                return true;
            }
            match self.entry(role, owner, at) {
                Some(entry) if entry.fault.is_none() && !entry.row.prev_key_id.is_empty() => {
                    at = &entry.row.prev_key_id;
                }
                _ => return false,
            }
        }
        false
    }

    /// With the keys that the auditor pinned.
    #[must_use]
    pub fn pinned(mut self, pins: Option<Pins>) -> Self {
        self.pins = pins;
        self
    }

    /// Keys of an owner that may sign: the pinned ones, those that they certified, and those that they name as the ones before
    /// them. `None`: nothing was pinned, so any may that a certificate speaks for.
    pub fn trusted(&self, role: &str, owner: &str) -> Option<BTreeSet<String>> {
        let pins = self.pins.as_ref()?;
        let mut trusted: BTreeSet<String> = pins.of(role, owner).map(str::to_owned).collect();
        let entries = self.entries.get(&(role.to_owned(), owner.to_owned()));
        let mut pinned: Vec<String> = trusted.iter().cloned().collect();
        // A key says itself, signed, which one was before it.
        while let Some(id) = pinned.pop() {
            let entry = entries.and_then(|of_owner| of_owner.get(&id));
            let sound = entry.filter(|e| matches!(e.fault, None | Some(KeyFault::NotCertified)));
            let before = sound.map_or("", |e| e.row.prev_key_id.as_str());
            if !before.is_empty() && trusted.insert(before.to_owned()) {
                pinned.push(before.to_owned());
            }
        }
        let certified = entries.into_iter().flat_map(BTreeMap::keys);
        let led: Vec<String> = certified
            .filter(|id| pins.of(role, owner).any(|pin| self.leads(role, owner, pin, id)))
            .cloned()
            .collect();
        trusted.extend(led);
        Some(trusted)
    }

    /// Who has pinned keys of this role.
    pub fn pinned_owners<'s>(&'s self, role: &'s str) -> impl Iterator<Item = &'s str> {
        self.pins.iter().flat_map(move |pins| pins.owners(role))
    }

    /// Who has certificates of this role.
    pub fn owners<'s>(&'s self, role: &'s str) -> impl Iterator<Item = &'s str> {
        self.entries
            .keys()
            .filter(move |(r, _)| r == role)
            .map(|(_, owner)| owner.as_str())
    }

    /// All certificates that are right in themselves and vouch for themselves only.
    pub fn first_uses<'s>(&'s self, role: &str, owner: &str) -> impl Iterator<Item = &'s KeyRow> {
        self.entries
            .get(&(role.to_owned(), owner.to_owned()))
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|e| e.row.check(None) == Ok(KeyTrust::FirstUse))
            .map(|e| &e.row)
    }

    /// What is wrong with the certificates of an owner.
    pub fn report(&self, role: &str, owner: &str, findings: &mut Findings) {
        let of_owner = self.entries.get(&(role.to_owned(), owner.to_owned()));
        for entry in of_owner.into_iter().flat_map(BTreeMap::values) {
            let Some(fault) = entry.fault else { continue };
            let kind = match fault {
                KeyFault::UnknownForm => Kind::FormUnknown,
                _ => Kind::KeyInvalid,
            };
            findings.add(
                kind,
                Place::default(),
                1,
                format!("key {}: {fault}", entry.row.key_id),
            );
        }
        let trusted = self.trusted(role, owner).unwrap_or_default();
        for row in self.first_uses(role, owner) {
            if trusted.contains(&row.key_id) {
                continue;
            }
            let detail = format!("key {}", row.key_id);
            findings.add(Kind::KeyFirstUse, Place::default(), 1, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Signer, keys::ROLE_HOST};

    fn chain() -> (Vec<KeyRow>, Vec<Signer>) {
        let signers: Vec<Signer> = (1..=3u8).map(|n| Signer::from_seed(&[n; 32])).collect();
        let rows = vec![
            KeyRow::first("h", ROLE_HOST, &signers[0], 1),
            KeyRow::following("h", ROLE_HOST, &signers[1], 2, &signers[0]),
            KeyRow::following("h", ROLE_HOST, &signers[2], 3, &signers[1]),
        ];
        (rows, signers)
    }

    #[test]
    fn certified_keys_lead_from_one_to_the_next_and_not_back() {
        let (rows, signers) = chain();
        let book = KeyBook::new(rows.into_iter().map(|row| (row, NEVER_MS)));
        let leads = |a: usize, b: usize| book.leads(ROLE_HOST, "h", signers[a].id(), signers[b].id());
        assert!(leads(0, 0) && leads(0, 1) && leads(0, 2));
        assert!(!leads(2, 0) && !leads(1, 0));
        assert_eq!(
            book.public(ROLE_HOST, "h", signers[1].id()),
            Some(&signers[1].public())
        );
        assert_eq!(book.public(ROLE_HOST, "other", signers[1].id()), None);
        assert_eq!(book.owners(ROLE_HOST).collect::<Vec<_>>(), ["h"]);
    }

    #[test]
    fn a_pinned_key_speaks_for_those_before_and_behind_it_and_for_no_other() {
        let (mut rows, signers) = chain();
        let stranger = Signer::from_seed(&[9; 32]);
        rows.push(KeyRow::first("h", ROLE_HOST, &stranger, 4));
        let thief = Signer::from_seed(&[10; 32]);
        rows.push(KeyRow::following("h", ROLE_HOST, &thief, 5, &stranger));
        let book = KeyBook::new(rows.into_iter().map(|row| (row, NEVER_MS)));
        assert_eq!(book.trusted(ROLE_HOST, "h"), None, "nobody asked");
        let pins = Pins::parse(&format!("host h {}", signers[1].id())).unwrap();
        let book = book.pinned(Some(pins));
        let all: BTreeSet<String> = signers.iter().map(|s| s.id().to_owned()).collect();
        assert_eq!(book.trusted(ROLE_HOST, "h"), Some(all));
        assert_eq!(book.trusted(ROLE_HOST, "other"), Some(BTreeSet::new()));
        let mut findings = Findings::default();
        book.report(ROLE_HOST, "h", &mut findings);
        assert_eq!(findings.count(Kind::KeyFirstUse), 1, "the stranger's");
    }

    #[test]
    fn changed_and_revoked_certificates_are_said() {
        let (mut rows, signers) = chain();
        rows[1].valid_from += 1;
        rows.remove(0);
        let book = KeyBook::new(rows.into_iter().zip([NEVER_MS, 7]));
        assert_eq!(
            book.public(ROLE_HOST, "h", signers[1].id()),
            None,
            "it signed something else"
        );
        assert_eq!(book.revoked_at_ms(ROLE_HOST, "h", signers[1].id()), None);
        assert_eq!(book.revoked_at_ms(ROLE_HOST, "h", signers[2].id()), Some(7));
        let mut findings = Findings::default();
        book.report(ROLE_HOST, "h", &mut findings);
        assert_eq!(findings.count(Kind::KeyInvalid), 1);
    }
}
