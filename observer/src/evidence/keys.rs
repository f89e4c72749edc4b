//! Keys as others see them: rows of `host_keys`, and the certificates in them. Pure.
//!
//! A certificate says from when on a public key speaks for a host (or for the notary). The key itself signs it, which
//! shows that its owner has it, and so does the key before it. The first key of a host has nobody before it: it declares
//! itself, and is trusted on first use, which the row says (`trust`).

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::canonical::{CANON_V, Canonical, KEY_TAG, Sink};
use super::row::bytes64;
use super::sign::{Signer, UNSIGNED, key_id, verify_signature};

/// `key_role` of keys that sign seals.
pub const ROLE_HOST: &str = "host";

/// `key_role` of keys that sign anchors.
pub const ROLE_NOTARY: &str = "notary";

/// `trust` of a key that declared itself.
pub const TRUST_FIRST_USE: &str = "first_use";

/// `trust` of a key that the key before it certified.
pub const TRUST_CERTIFIED: &str = "certified";

/// One row of `host_keys`.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct KeyRow {
    /// When the row was made, ms since the Unix epoch.
    pub enrolled_at: i64,
    /// Host that the key speaks for; a notary's own name for [`ROLE_NOTARY`].
    pub host_id: String,
    /// [`ROLE_HOST`] or [`ROLE_NOTARY`].
    pub key_role: String,
    /// Name of the key: [`key_id`] of `public_key`.
    pub key_id: String,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
    /// From when on it signs, ns since the Unix epoch.
    pub valid_from: i64,
    /// Key before it; empty for a first key.
    pub prev_key_id: String,
    /// Signature of the key before it over the certificate; zeros for a first key.
    #[serde(with = "bytes64")]
    pub prev_key_signature: [u8; 64],
    /// Signature of the key itself over the certificate.
    #[serde(with = "bytes64")]
    pub self_signature: [u8; 64],
    /// [`TRUST_FIRST_USE`] or [`TRUST_CERTIFIED`]: what the writer of the row says. Not signed.
    pub trust: String,
    /// Key of whoever enrolled the host; empty: nobody did.
    pub enroller_key_id: String,
    /// Its signature over the certificate.
    #[serde(with = "bytes64")]
    pub enroller_signature: [u8; 64],
    /// What the host showed to be enrolled.
    pub attestation: String,
    /// Version of the canonical form.
    pub canon_v: u8,
}

/// What a certificate is worth by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTrust {
    /// Declared by itself only.
    FirstUse,
    /// Certified by the key before it.
    Certified,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is of a form that this program does not know.
    #[error("the certificate has a form that this program does not know")]
    UnknownForm,
    /// `key_id` is not that of `public_key`.
    #[error("the key's name is not that of its public key")]
    WrongName,
    /// The key did not sign it.
    #[error("the key did not sign its own certificate")]
    NotItsOwn,
    /// The key before it did not sign it, or another row was given as the one before.
    #[error("the key before it did not sign the certificate")]
    NotCertified,
}

impl KeyRow {
    /// Table that holds these rows.
    pub const TABLE: &'static str = "host_keys";

    /// The certificate of a first key.
    pub fn first(host_id: &str, role: &str, signer: &Signer, valid_from: i64) -> Self {
        let mut row = Self {
            enrolled_at: valid_from / 1_000_000,
            host_id: host_id.to_owned(),
            key_role: role.to_owned(),
            key_id: signer.id().to_owned(),
            public_key: signer.public(),
            valid_from,
            prev_key_id: String::new(),
            prev_key_signature: UNSIGNED,
            self_signature: UNSIGNED,
            trust: TRUST_FIRST_USE.to_owned(),
            enroller_key_id: String::new(),
            enroller_signature: UNSIGNED,
            attestation: String::new(),
            canon_v: CANON_V,
        };
        row.self_signature = signer.sign(&row.digest());
        row
    }

    /// The certificate of a key that follows `previous`.
    pub fn following(host_id: &str, role: &str, signer: &Signer, valid_from: i64, previous: &Signer) -> Self {
        let mut row = Self::first(host_id, role, signer, valid_from);
        previous.id().clone_into(&mut row.prev_key_id);
        TRUST_CERTIFIED.clone_into(&mut row.trust);
        let digest = row.digest();
        row.prev_key_signature = previous.sign(&digest);
        row.self_signature = signer.sign(&digest);
        row
    }

    /// Appends the canonical bytes of the certificate: what is signed.
    pub fn canonical(&self, out: &mut dyn Sink) {
        self.each_field(&mut |_, value| value.put(out));
    }

    /// Shows every value of the canonical bytes with its name, in their order.
    pub fn each_field(&self, field: &mut dyn FnMut(&'static str, &dyn Canonical)) {
        field("tag", &KEY_TAG);
        field("canon_v", &self.canon_v);
        field("host_id", &self.host_id);
        field("key_role", &self.key_role);
        field("key_id", &self.key_id);
        field("public_key", &self.public_key);
        field("valid_from", &self.valid_from);
        field("prev_key_id", &self.prev_key_id);
    }

    /// SHA-256 of the canonical bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.canonical(&mut hash);
        hash.finalize().into()
    }

    /// Checks the certificate. `previous` is the row of the key that `prev_key_id` names, where there is one.
    ///
    /// # Errors
    /// What is wrong with it. A key that names another before it and is not signed by it is wrong, not "first use".
    pub fn check(&self, previous: Option<&Self>) -> Result<KeyTrust, KeyFault> {
        // Keys came with version 3.
        if !(3..=CANON_V).contains(&self.canon_v) {
            return Err(KeyFault::UnknownForm);
        }
        if self.key_id != key_id(&self.public_key) {
            return Err(KeyFault::WrongName);
        }
        let digest = self.digest();
        if !verify_signature(&self.public_key, &digest, &self.self_signature) {
            return Err(KeyFault::NotItsOwn);
        }
        if self.prev_key_id.is_empty() {
            return Ok(KeyTrust::FirstUse);
        }
        let certified = previous.is_some_and(|before| {
            before.key_id == self.prev_key_id
                && before.key_id == key_id(&before.public_key)
                && before.key_role == self.key_role
                && before.host_id == self.host_id
                && verify_signature(&before.public_key, &digest, &self.prev_key_signature)
        });
        certified
            .then_some(KeyTrust::Certified)
            .ok_or(KeyFault::NotCertified)
    }

    /// The certificate as JSON: bytes as hexadecimal text.
    pub fn to_json(&self) -> Value {
        json!({
            "enrolled_at": self.enrolled_at,
            "host_id": self.host_id,
            "key_role": self.key_role,
            "key_id": self.key_id,
            "public_key": hex::encode(self.public_key),
            "valid_from": self.valid_from,
            "prev_key_id": self.prev_key_id,
            "prev_key_signature": hex::encode(self.prev_key_signature),
            "self_signature": hex::encode(self.self_signature),
            "trust": self.trust,
            "enroller_key_id": self.enroller_key_id,
            "enroller_signature": hex::encode(self.enroller_signature),
            "attestation": self.attestation,
            "canon_v": self.canon_v,
        })
    }

    /// A certificate that [`Self::to_json`] made.
    ///
    /// # Errors
    /// The field that is missing or has another form.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let field = |name: &'static str| value.get(name).ok_or(format!("`{name}` is missing"));
        let text = |name| {
            let text = field(name)?.as_str().ok_or(format!("`{name}` is no text"))?;
            Ok::<_, String>(text.to_owned())
        };
        let number = |name| {
            field(name)?
                .as_i64()
                .ok_or(format!("`{name}` is no whole number"))
        };
        Ok(Self {
            enrolled_at: number("enrolled_at")?,
            host_id: text("host_id")?,
            key_role: text("key_role")?,
            key_id: text("key_id")?,
            public_key: bytes("public_key", &text("public_key")?)?,
            valid_from: number("valid_from")?,
            prev_key_id: text("prev_key_id")?,
            prev_key_signature: bytes("prev_key_signature", &text("prev_key_signature")?)?,
            self_signature: bytes("self_signature", &text("self_signature")?)?,
            trust: text("trust")?,
            enroller_key_id: text("enroller_key_id")?,
            enroller_signature: bytes("enroller_signature", &text("enroller_signature")?)?,
            attestation: text("attestation")?,
            canon_v: u8::try_from(number("canon_v")?).map_err(|_| "`canon_v` is out of range")?,
        })
    }
}

/// Bytes of a fixed length from hexadecimal text.
pub(super) fn bytes<const N: usize>(name: &str, text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|error| format!("`{name}` is no hexadecimal text of {N} bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (Signer, KeyRow, KeyRow) {
        let (old, new) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let first = KeyRow::first("h", ROLE_HOST, &old, 1_000_000);
        let second = KeyRow::following("h", ROLE_HOST, &new, 2_000_000, &old);
        (old, first, second)
    }

    #[test]
    fn a_first_key_declares_itself_and_the_next_is_certified_by_it() {
        let (_, first, second) = keys();
        assert_eq!(first.check(None), Ok(KeyTrust::FirstUse));
        assert_eq!(second.check(Some(&first)), Ok(KeyTrust::Certified));
        assert_eq!((first.enrolled_at, first.trust.as_str()), (1, "first_use"));
    }

    #[test]
    fn what_was_changed_is_found() {
        let (_, first, second) = keys();
        let changes: [fn(&mut KeyRow); 6] = [
            |k| k.host_id = "other".into(),
            |k| k.key_role = ROLE_NOTARY.into(),
            |k| k.valid_from += 1,
            |k| k.prev_key_id = String::new(),
            |k| k.self_signature[0] ^= 1,
            |k| k.public_key = Signer::from_seed(&[3; 32]).public(),
        ];
        for change in changes {
            let mut row = second.clone();
            change(&mut row);
            assert!(row.check(Some(&first)).is_err(), "{row:?}");
        }
        let mut row = second.clone();
        row.prev_key_signature[5] ^= 1;
        assert_eq!(row.check(Some(&first)), Err(KeyFault::NotCertified));
        assert_eq!(second.check(None), Err(KeyFault::NotCertified));
        row.canon_v = CANON_V + 1;
        assert_eq!(row.check(Some(&first)), Err(KeyFault::UnknownForm));
    }

    #[test]
    fn a_key_of_somebody_else_certifies_nothing() {
        let (_, first, _) = keys();
        let (thief, new) = (Signer::from_seed(&[8; 32]), Signer::from_seed(&[9; 32]));
        let mut forged = KeyRow::following("h", ROLE_HOST, &new, 3, &thief);
        forged.prev_key_id.clone_from(&first.key_id);
        forged.self_signature = new.sign(&forged.digest());
        assert_eq!(forged.check(Some(&first)), Err(KeyFault::NotCertified));
    }

    #[test]
    fn json_keeps_all_and_names_what_is_wrong() {
        let (_, _, row) = keys();
        assert_eq!(KeyRow::from_json(&row.to_json()).unwrap(), row);
        let mut value = row.to_json();
        value["public_key"] = "abc".into();
        assert!(KeyRow::from_json(&value).unwrap_err().contains("`public_key`"));
        value.as_object_mut().unwrap().remove("host_id");
        assert!(KeyRow::from_json(&value).unwrap_err().contains("`host_id`"));
    }
}
