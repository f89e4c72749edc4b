//! Signatures: Ed25519 (RFC 8032) over the 32 bytes of a digest. Pure.
//!
//! Everything that is signed is the SHA-256 of canonical bytes that begin with a tag (`AIOBS-SEAL`, `AIOBS-KEY`,
//! `AIOBS-ANCHOR`, ...), so a signature over one kind of thing can never be taken for one over another.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Bytes of the SHA-256 of a public key that name it.
const KEY_ID_BYTES: usize = 16;

/// A signature that nobody made.
pub const UNSIGNED: [u8; 64] = [0; 64];

/// Name of a public key: the first 16 bytes of its SHA-256, in lower-case hexadecimal.
pub fn key_id(public: &[u8; 32]) -> String {
    hex::encode(&Sha256::digest(public)[..KEY_ID_BYTES])
}

/// A public key as text (64 hexadecimal digits), as `observer keys show` prints it.
///
/// # Errors
/// What is wrong with the text: length, digits, or bytes that are no point of the curve.
pub fn parse_public_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(text.trim()).map_err(|error| format!("no hexadecimal text: {error}"))?;
    let bytes =
        <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| format!("{} bytes instead of 32", bytes.len()))?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| "no point of the curve".to_owned())?;
    Ok(bytes)
}

/// Whether `signature` is that of the owner of `public` over `digest`. False, too, for bytes that are no key. Strict as in
/// RFC 8032 section 5.1.7, and without keys of small order, for which one signature would fit any digest.
pub fn verify_signature(public: &[u8; 32], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| {
        key.verify_strict(digest, &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// A private key that signs. Its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    id: String,
}

impl Signer {
    /// The key of a secret seed (RFC 8032: the private key).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let id = key_id(key.verifying_key().as_bytes());
        Self { key, id }
    }

    /// Its public key.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs a digest of tagged canonical bytes.
    pub fn sign(&self, digest: &[u8; 32]) -> [u8; 64] {
        self.key.sign(digest).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_those_of_the_rfc() {
        // RFC 8032 section 7.1, TEST 1: the key pair. Its message is empty; ours are digests.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let signer = Signer::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
        assert_eq!(hex::encode(signer.public()), public);
        assert_eq!(parse_public_key(public).unwrap(), signer.public());
        assert_eq!(signer.id(), key_id(&signer.public()));
        assert_eq!(signer.id().len(), 32);
        assert!(!format!("{signer:?}").contains("9d61"));
    }

    #[test]
    fn any_change_of_digest_signature_or_key_is_found() {
        let signer = Signer::from_seed(&[7; 32]);
        let digest = [9; 32];
        let good = signer.sign(&digest);
        assert!(verify_signature(&signer.public(), &digest, &good));
        for bit in 0..512 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify_signature(&signer.public(), &digest, &bad), "bit {bit}");
        }
        assert!(!verify_signature(&signer.public(), &[8; 32], &good));
        assert!(!verify_signature(
            &Signer::from_seed(&[8; 32]).public(),
            &digest,
            &good
        ));
        assert!(!verify_signature(&signer.public(), &digest, &UNSIGNED));
    }

    #[test]
    fn keys_for_which_everything_is_signed_are_refused() {
        // The neutral element of the curve: R and s of zero would satisfy the equation for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = UNSIGNED;
        signature[..32].copy_from_slice(&neutral);
        assert!(!verify_signature(&neutral, &[5; 32], &signature));
    }

    #[test]
    fn texts_that_are_no_keys_are_named() {
        for (text, why) in [
            ("zz", "hexadecimal"),
            ("00ff", "2 bytes"),
            (&"ff".repeat(33), "33 bytes"),
            (&format!("02{}", "00".repeat(31)), "curve"),
        ] {
            let error = parse_public_key(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
