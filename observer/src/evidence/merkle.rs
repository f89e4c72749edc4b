//! Merkle trees of RFC 9162 (Certificate Transparency 2.0), section 2.1, with SHA-256: one hash for many chains, and a
//! short proof that one of them is in it. Pure. The hashes are those of RFC 6962.

use sha2::{Digest, Sha256};

/// Before the bytes of a leaf.
const LEAF: [u8; 1] = [0];
/// Before the hashes of two nodes.
const NODE: [u8; 1] = [1];

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Hash of a leaf (section 2.1.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(LEAF)
        .chain_update(entry)
        .finalize()
        .into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let hash = Sha256::new().chain_update(NODE).chain_update(left);
    hash.chain_update(right).finalize().into()
}

/// Where a tree of more than one leaf is divided: the largest power of two that is less than `leaves`.
fn split(leaves: usize) -> usize {
    1 << (usize::BITS - 1 - (leaves - 1).leading_zeros())
}

/// Root over leaves that are given by their hashes (section 2.1.1); the hash of nothing where there are none.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// Proof that the leaf `index` is in the tree, nearest sibling first (section 2.1.3.1); `None` where there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    path(leaves, index, &mut proof);
    Some(proof)
}

fn path(leaves: &[Hash], index: usize, proof: &mut Vec<Hash>) {
    if leaves.len() < 2 {
        return;
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if index < middle {
        path(left, index, proof);
        proof.push(root(right));
    } else {
        path(right, index - middle, proof);
        proof.push(root(left));
    }
}

/// Whether `proof` shows that `leaf` is number `index` of a tree of `size` leaves with this root (section 2.1.3.2).
pub fn is_included(leaf: &Hash, index: usize, size: usize, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the test data of the Certificate Transparency project, and the roots over the first 0 to 8 of them.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves() -> Vec<Hash> {
        LEAVES
            .iter()
            .map(|hex| leaf_hash(&hex::decode(hex).unwrap()))
            .collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        for (count, expected) in ROOTS.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves()[..count])), *expected, "{count} leaves");
        }
    }

    #[test]
    fn a_proof_is_the_one_of_certificate_transparency() {
        // Test data of RFC 6962 implementations: leaf 6 of 8 (index 5).
        let proof = inclusion_proof(&leaves(), 5).unwrap();
        assert_eq!(
            proof.iter().map(hex::encode).collect::<Vec<_>>(),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
    }

    #[test]
    fn every_leaf_of_every_tree_can_be_proven_and_nothing_else() {
        let all: Vec<Hash> = (0..70u8).map(|n| leaf_hash(&[n])).collect();
        for size in 1..=all.len() {
            let tree = &all[..size];
            let top = root(tree);
            for index in 0..size {
                let proof = inclusion_proof(tree, index).unwrap();
                assert!(
                    is_included(&tree[index], index, size, &proof, &top),
                    "{index} of {size}"
                );
                assert!(!is_included(&leaf_hash(b"x"), index, size, &proof, &top));
                assert!(!is_included(&tree[index], size, size, &proof, &top));
                let mut longer = proof.clone();
                longer.push([0; 32]);
                assert!(!is_included(&tree[index], index, size, &longer, &top));
                for cut in 0..proof.len() {
                    assert!(!is_included(&tree[index], index, size, &proof[..cut], &top));
                }
            }
            assert_eq!(inclusion_proof(tree, size), None);
        }
    }
}
