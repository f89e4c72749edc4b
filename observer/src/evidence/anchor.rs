//! Anchors: one signed hash over the newest seals of all chains, for a place outside the database. Pure.
//!
//! Leaves are sorted by host and epoch. The entry of a leaf is the netstrings of `host_id`, `chain_epoch`, `seal_seq` and
//! `seal_hash`; the root over them is that of RFC 9162. An anchor names the one before it, so none can be left out.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::canonical::{ANCHOR_TAG, CANON_V, Canonical, Sink};
use super::keys::bytes;
use super::merkle::{Hash, leaf_hash, root};
use super::row::bytes64;
use super::sign::{Signer, UNSIGNED, verify_signature};

/// The newest seal of one chain.
pub type Leaf = (String, u64, u64, [u8; 32]);

/// One row of `evidence_anchors`.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct AnchorRow {
    /// When it was made, ms since the Unix epoch.
    pub anchored_at: i64,
    /// Who made it.
    pub notary_id: String,
    /// Number, without holes for one notary, from 1.
    pub anchor_seq: u64,
    /// Number of leaves.
    pub tree_size: u32,
    /// Root over the leaves.
    pub merkle_root: [u8; 32],
    /// `anchor_hash` of the anchor before; zeros for the first.
    pub prev_anchor_hash: [u8; 32],
    /// SHA-256 of the canonical bytes.
    pub anchor_hash: [u8; 32],
    /// Host, epoch, number and hash of each seal, sorted.
    pub leaves: Vec<Leaf>,
    /// The notary's key.
    pub key_id: String,
    /// Ed25519 over `anchor_hash`.
    #[serde(with = "bytes64")]
    pub signature: [u8; 64],
    /// Version of the canonical form.
    pub canon_v: u8,
    /// Token of a time-stamping authority over `anchor_hash`; empty where there is none.
    pub rfc3161_token: String,
    /// Where else it was published.
    pub external_refs: Vec<(String, String)>,
}

/// What is wrong with an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnchorFault {
    /// It is of a form that this program does not know.
    #[error("the anchor has a form that this program does not know")]
    UnknownForm,
    /// Leaves and root do not belong together.
    #[error("the root is not that of the leaves")]
    WrongRoot,
    /// `anchor_hash` is not that of the other fields.
    #[error("the hash is not that of the anchor")]
    WrongHash,
    /// The key did not sign it.
    #[error("the key did not sign the anchor")]
    BadSignature,
}

/// Hash of a leaf in the tree.
pub fn hash_of_leaf((host_id, chain_epoch, seal_seq, seal_hash): &Leaf) -> Hash {
    let mut entry = Vec::new();
    host_id.put(&mut entry);
    chain_epoch.put(&mut entry);
    seal_seq.put(&mut entry);
    seal_hash.put(&mut entry);
    leaf_hash(&entry)
}

/// Root over leaves as they are given.
pub fn root_of(leaves: &[Leaf]) -> Hash {
    root(&leaves.iter().map(hash_of_leaf).collect::<Vec<_>>())
}

impl AnchorRow {
    /// Table that holds these rows.
    pub const TABLE: &'static str = "evidence_anchors";

    /// An anchor over `leaves`, after `previous` where there is one. `now_ms` is the wall clock.
    pub fn new(
        notary_id: &str,
        previous: Option<&Self>,
        mut leaves: Vec<Leaf>,
        now_ms: i64,
        signer: &Signer,
    ) -> Self {
        leaves.sort();
        let mut row = Self {
            anchored_at: now_ms,
            notary_id: notary_id.to_owned(),
            anchor_seq: previous.map_or(0, |p| p.anchor_seq) + 1,
            // More chains than that do not fit into a row.
            tree_size: u32::try_from(leaves.len()).unwrap_or(u32::MAX),
            merkle_root: root_of(&leaves),
            prev_anchor_hash: previous.map_or([0; 32], |p| p.anchor_hash),
            anchor_hash: [0; 32],
            leaves,
            key_id: signer.id().to_owned(),
            signature: UNSIGNED,
            canon_v: CANON_V,
            rfc3161_token: String::new(),
            external_refs: Vec::new(),
        };
        row.anchor_hash = row.digest();
        row.signature = signer.sign(&row.anchor_hash);
        row
    }

    /// Appends the canonical bytes. The leaves are in them by their root; what came later (tokens, references) is not.
    pub fn canonical(&self, out: &mut dyn Sink) {
        self.each_field(&mut |_, value| value.put(out));
    }

    /// Shows every value of the canonical bytes with its name, in their order.
    pub fn each_field(&self, field: &mut dyn FnMut(&'static str, &dyn Canonical)) {
        field("tag", &ANCHOR_TAG);
        field("canon_v", &self.canon_v);
        field("notary_id", &self.notary_id);
        field("anchor_seq", &self.anchor_seq);
        field("anchored_at", &self.anchored_at);
        field("tree_size", &self.tree_size);
        field("merkle_root", &self.merkle_root);
        field("prev_anchor_hash", &self.prev_anchor_hash);
        field("key_id", &self.key_id);
    }

    /// SHA-256 of the canonical bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.canonical(&mut hash);
        hash.finalize().into()
    }

    /// Checks root, hash and signature. That the key is the notary's, and the link to the anchor before, are the caller's.
    ///
    /// # Errors
    /// What is wrong, the first of it.
    pub fn check(&self, public_key: &[u8; 32]) -> Result<(), AnchorFault> {
        // Anchors came with version 3.
        if !(3..=CANON_V).contains(&self.canon_v) {
            return Err(AnchorFault::UnknownForm);
        }
        if self.merkle_root != root_of(&self.leaves) || self.tree_size as usize != self.leaves.len() {
            return Err(AnchorFault::WrongRoot);
        }
        if self.anchor_hash != self.digest() {
            return Err(AnchorFault::WrongHash);
        }
        if !verify_signature(public_key, &self.anchor_hash, &self.signature) {
            return Err(AnchorFault::BadSignature);
        }
        Ok(())
    }

    /// The anchor as JSON: bytes as hexadecimal text.
    pub fn to_json(&self) -> Value {
        let leaves: Vec<Value> = self
            .leaves
            .iter()
            .map(|(host_id, chain_epoch, seal_seq, seal_hash)| {
                json!({
                    "host_id": host_id,
                    "chain_epoch": chain_epoch,
                    "seal_seq": seal_seq,
                    "seal_hash": hex::encode(seal_hash),
                })
            })
            .collect();
        json!({
            "anchored_at": self.anchored_at,
            "notary_id": self.notary_id,
            "anchor_seq": self.anchor_seq,
            "tree_size": self.tree_size,
            "merkle_root": hex::encode(self.merkle_root),
            "prev_anchor_hash": hex::encode(self.prev_anchor_hash),
            "anchor_hash": hex::encode(self.anchor_hash),
            "leaves": leaves,
            "key_id": self.key_id,
            "signature": hex::encode(self.signature),
            "canon_v": self.canon_v,
        })
    }

    /// An anchor that [`Self::to_json`] made. Nothing is checked but the form.
    ///
    /// # Errors
    /// The field that is missing or has another form.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let leaves = value["leaves"].as_array().ok_or("`leaves` is no list")?;
        let canon_v = number(value, "canon_v")?;
        let tree_size = number(value, "tree_size")?;
        Ok(Self {
            anchored_at: value["anchored_at"]
                .as_i64()
                .ok_or("`anchored_at` is no whole number")?,
            notary_id: text(value, "notary_id")?.to_owned(),
            anchor_seq: number(value, "anchor_seq")?,
            tree_size: u32::try_from(tree_size).map_err(|_| "`tree_size` is out of range")?,
            merkle_root: bytes("merkle_root", text(value, "merkle_root")?)?,
            prev_anchor_hash: bytes("prev_anchor_hash", text(value, "prev_anchor_hash")?)?,
            anchor_hash: bytes("anchor_hash", text(value, "anchor_hash")?)?,
            leaves: leaves.iter().map(leaf).collect::<Result<_, _>>()?,
            key_id: text(value, "key_id")?.to_owned(),
            signature: bytes("signature", text(value, "signature")?)?,
            canon_v: u8::try_from(canon_v).map_err(|_| "`canon_v` is out of range")?,
            rfc3161_token: String::new(),
            external_refs: Vec::new(),
        })
    }
}

fn leaf(value: &Value) -> Result<Leaf, String> {
    Ok((
        text(value, "host_id")?.to_owned(),
        number(value, "chain_epoch")?,
        number(value, "seal_seq")?,
        bytes("seal_hash", text(value, "seal_hash")?)?,
    ))
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, String> {
    value[name].as_str().ok_or_else(|| format!("`{name}` is no text"))
}

fn number(value: &Value, name: &str) -> Result<u64, String> {
    value[name]
        .as_u64()
        .ok_or_else(|| format!("`{name}` is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::from_seed(&[3; 32])
    }

    fn leaves() -> Vec<Leaf> {
        vec![
            ("b".into(), 1, 9, [9; 32]),
            ("a".into(), 5, 2, [2; 32]),
            ("a".into(), 4, 7, [7; 32]),
        ]
    }

    #[test]
    fn anchors_hang_together_and_bind_every_leaf() {
        let first = AnchorRow::new("n", None, leaves(), 1_000, &signer());
        let second = AnchorRow::new("n", Some(&first), vec![], 2_000, &signer());
        assert_eq!((first.anchor_seq, second.anchor_seq), (1, 2));
        assert_eq!(second.prev_anchor_hash, first.anchor_hash);
        assert_eq!(first.leaves[0].0, "a", "sorted, whatever the order of the rows");
        assert_eq!(first.check(&signer().public()), Ok(()));
        assert_eq!(second.check(&signer().public()), Ok(()));
        type Change = (fn(&mut AnchorRow), AnchorFault);
        let changes: [Change; 7] = [
            (|a| a.leaves[1].2 += 1, AnchorFault::WrongRoot),
            (|a| a.leaves.swap(0, 1), AnchorFault::WrongRoot),
            (|a| a.tree_size += 1, AnchorFault::WrongRoot),
            (|a| a.anchored_at += 1, AnchorFault::WrongHash),
            (|a| a.prev_anchor_hash[0] ^= 1, AnchorFault::WrongHash),
            (|a| a.signature[0] ^= 1, AnchorFault::BadSignature),
            (|a| a.canon_v += 1, AnchorFault::UnknownForm),
        ];
        for (change, fault) in changes {
            let mut row = first.clone();
            change(&mut row);
            assert_eq!(row.check(&signer().public()), Err(fault));
        }
        assert_eq!(
            first.check(&Signer::from_seed(&[4; 32]).public()),
            Err(AnchorFault::BadSignature)
        );
    }

    #[test]
    fn json_keeps_all_and_names_what_is_wrong() {
        let row = AnchorRow::new("n", None, leaves(), 1_000, &signer());
        assert_eq!(AnchorRow::from_json(&row.to_json()).unwrap(), row);
        let mut value = row.to_json();
        value["leaves"][0]["seal_hash"] = "00".into();
        assert!(AnchorRow::from_json(&value).unwrap_err().contains("`seal_hash`"));
        assert!(AnchorRow::from_json(&json!({})).unwrap_err().contains("`leaves`"));
    }
}
