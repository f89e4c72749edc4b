//! Form of a private key's file: one JSON object with a version.

use anyhow::{Context, bail};
use getrandom::fill;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::Signer;

/// Version of the form that this program writes.
pub(super) const VERSION: u64 = 1;

const FORMAT: &str = "observer-key";

/// A private key with what it was made for.
pub(super) struct KeyFile {
    /// Host or notary that it speaks for.
    pub owner: String,
    /// SHA-256 of the machine's id; `None` where it has none.
    pub machine: Option<[u8; 32]>,
    pub signer: Signer,
    seed: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: String,
    version: u64,
    role: String,
    owner: String,
    machine: String,
    public_key: String,
    secret: String,
}

impl KeyFile {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn generate(owner: &str, machine: Option<[u8; 32]>) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        fill(&mut seed).map_err(|error| anyhow::anyhow!("no random bytes for a key: {error}"))?;
        Ok(Self {
            owner: owner.to_owned(),
            machine,
            signer: Signer::from_seed(&seed),
            seed,
        })
    }

    pub(super) fn to_text(&self, role: &str) -> String {
        let written = Written {
            format: FORMAT.to_owned(),
            version: VERSION,
            role: role.to_owned(),
            owner: self.owner.clone(),
            machine: self.machine.map(hex::encode).unwrap_or_default(),
            public_key: hex::encode(self.signer.public()),
            secret: hex::encode(self.seed),
        };
        // Texts and a number: this cannot fail.
        serde_json::to_string(&written).unwrap_or_default() + "\n"
    }

    /// Reads a key of `role`.
    ///
    /// # Errors
    /// What is wrong, and what to do. The text itself is never part of it.
    pub(super) fn parse(text: &str, role: &str) -> anyhow::Result<Self> {
        const DAMAGED: &str =
            "put it back from a backup, or remove it to begin with a new key (which the evidence then shows)";
        // What serde says about the text could quote it.
        let value: Value = serde_json::from_str(text)
            .map_err(|error| anyhow::anyhow!("cut short or damaged at line {}; {DAMAGED}", error.line()))?;
        if value["format"] != FORMAT {
            bail!("no key file of observer; {DAMAGED}");
        }
        match value["version"].as_u64() {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => bail!(
                "written by a newer observer (form {newer}, this one knows {VERSION}): install that one again"
            ),
            _ => bail!("damaged: no version; {DAMAGED}"),
        }
        let written: Written = serde_json::from_value(value)
            .map_err(|_| anyhow::anyhow!("damaged: a field is missing or of another kind; {DAMAGED}"))?;
        if written.role != role {
            bail!("a key for the role {}, not {role}", written.role);
        }
        let seed = bytes(&written.secret).with_context(|| format!("damaged: secret; {DAMAGED}"))?;
        let signer = Signer::from_seed(&seed);
        if hex::encode(signer.public()) != written.public_key {
            bail!("damaged: public and secret key do not belong together; {DAMAGED}");
        }
        let machine = match written.machine.as_str() {
            "" => None,
            text => Some(bytes(text).with_context(|| format!("damaged: machine; {DAMAGED}"))?),
        };
        Ok(Self {
            owner: written.owner,
            machine,
            signer,
            seed,
        })
    }
}

fn bytes(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| anyhow::anyhow!("no hexadecimal text of 32 bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_as_it_was() {
        let key = KeyFile::generate("h", Some([4; 32])).unwrap();
        let text = key.to_text("host");
        let read = KeyFile::parse(&text, "host").unwrap();
        assert_eq!(read.signer.public(), key.signer.public());
        assert_eq!((read.owner.as_str(), read.machine), ("h", Some([4; 32])));
        assert_ne!(KeyFile::generate("h", None).unwrap().seed, key.seed);
    }

    #[test]
    fn every_damage_has_an_error_and_none_shows_the_secret() {
        let key = KeyFile::generate("h", None).unwrap();
        let (text, secret) = (key.to_text("host"), hex::encode(key.seed));
        // Without its last character, the newline, it is still whole.
        for end in 0..text.len() - 1 {
            let error = format!(
                "{:#}",
                KeyFile::parse(&text[..end], "host").err().expect("cut short")
            );
            assert!(
                error.contains("cut short") && !error.contains(&secret[..8]),
                "{error}"
            );
        }
        let other = hex::encode(Signer::from_seed(&[1; 32]).public());
        let cases = [
            (text.replace("observer-key", "else"), "no key file"),
            (
                text.replace("\"version\":1", "\"version\":2"),
                "newer observer (form 2",
            ),
            (text.replace("\"version\":1", "\"version\":\"1\""), "no version"),
            (text.replace("\"owner\":\"h\",", ""), "a field is missing"),
            (text.replace(&secret, "00"), "secret"),
            (
                text.replace(&hex::encode(key.signer.public()), &other),
                "do not belong",
            ),
            (text.replace("\"host\"", "\"notary\""), "for the role notary"),
            ("{}".to_owned(), "no key file"),
            (String::new(), "cut short"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", KeyFile::parse(&text, "host").err().expect(expected));
            assert!(
                error.contains(expected) && !error.contains(&secret[..8]),
                "{expected}: {error}"
            );
        }
    }
}
