//! The key for keyed hashes of secrets: the same secret seen twice can be recognised, the secret cannot be read.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::Class;

/// A key of 256 random bits. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    key: [u8; 32],
    id: String,
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({})", self.id)
    }
}

impl HmacKey {
    /// A key from bytes that were drawn at random or read from where they are kept.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"observer hmac key id v1|")
            .chain_update(key)
            .finalize();
        Self {
            key,
            id: hex::encode(&digest[..8]),
        }
    }

    /// A new key from the operating system's random source.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self::from_bytes(key))
    }

    /// The key itself, for the one place that keeps it on disk.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Name of the key as stored beside hashes: 16 hexadecimal digits that tell nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HMAC-SHA256 of `"v1|class|" || value`, its first 128 bits (evidence.md, section 6).
    pub fn value(&self, class: Class, value: &[u8]) -> [u8; 16] {
        self.tagged(class.name(), value)
    }

    /// As [`Self::value`] for something that is not a finding, for example the credential of a request.
    pub fn tagged(&self, class: &str, value: &[u8]) -> [u8; 16] {
        let full = self.whole(class, value);
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        short
    }

    /// As [`Self::tagged`], all 256 bits.
    pub fn whole(&self, class: &str, value: &[u8]) -> [u8; 32] {
        let mut padded = [0u8; 64];
        padded[..32].copy_from_slice(&self.key);
        let mut mac = Hmac::<Sha256>::new(&padded.into());
        mac.update(b"v1|");
        mac.update(class.as_bytes());
        mac.update(b"|");
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_an_independent_computation() {
        // python3 -c "import hmac;print(hmac.new(bytes(range(32)),b'v1|credential|abc','sha256').hexdigest()[:32])"
        let mut bytes = [0u8; 32];
        for (i, byte) in (0u8..).zip(bytes.iter_mut()) {
            *byte = i;
        }
        let key = HmacKey::from_bytes(bytes);
        assert_eq!(
            hex::encode(key.value(Class::Credential, b"abc")),
            "1bbe9c58bb636d7086e365db6b48bd9d"
        );
        assert_ne!(
            key.value(Class::Secret, b"abc"),
            key.value(Class::Credential, b"abc")
        );
    }

    #[test]
    fn shows_nothing() {
        let key = HmacKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?}"), format!("HmacKey({})", key.id()));
        assert_eq!(key.id().len(), 16);
        assert!(!key.id().contains("0707"));
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(HmacKey::generate().unwrap(), HmacKey::generate().unwrap());
    }
}
