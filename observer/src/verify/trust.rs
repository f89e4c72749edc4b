//! Keys that the auditor pinned: taken down where they are made, and given to the verifier beside the evidence. Pure.
//!
//! A file of lines `host HOST_ID KEY` and `notary NAME KEY`, where KEY is a key id (32 hexadecimal digits) or a public key
//! (64). An id ends before the last blank, so it may hold blanks itself. Empty lines and lines that begin with `#` say
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{
    key_id,
    keys::{ROLE_HOST, ROLE_NOTARY},
};

/// Key ids by role and owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<(String, String), BTreeSet<String>>);

impl Pins {
    /// Reads a file.
    ///
    /// # Errors
    /// The first line that is none of these, with its number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pins = Self::default();
        for (at, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (role, owner, key) = parse_line(line).map_err(|why| format!("line {at}: {why}"))?;
            pins.0.entry((role, owner)).or_default().insert(key);
        }
        if pins.0.is_empty() {
            return Err("no line names a key: `host HOST_ID KEY`".to_owned());
        }
        Ok(pins)
    }

    /// Keys of an owner.
    pub fn of(&self, role: &str, owner: &str) -> impl Iterator<Item = &str> {
        let keys = self.0.get(&(role.to_owned(), owner.to_owned()));
        keys.into_iter().flatten().map(String::as_str)
    }

    /// Owners of a role.
    pub fn owners<'s>(&'s self, role: &'s str) -> impl Iterator<Item = &'s str> {
        let of_role = self.0.keys().filter(move |(of, _)| of == role);
        of_role.map(|(_, owner)| owner.as_str())
    }
}

fn parse_line(line: &str) -> Result<(String, String, String), String> {
    let wanted = "expected `host HOST_ID KEY` or `notary NAME KEY`";
    let (role, rest) = line.split_once(char::is_whitespace).ok_or(wanted)?;
    if role != ROLE_HOST && role != ROLE_NOTARY {
        return Err(format!("{wanted}, it begins with {role:?}"));
    }
    let (owner, key) = rest.trim().rsplit_once(char::is_whitespace).ok_or(wanted)?;
    let digits = key.to_ascii_lowercase();
    let bytes = hex::decode(&digits).unwrap_or_default();
    let id = match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(public) => key_id(&public),
        Err(_) if bytes.len() == 16 => digits,
        Err(_) => {
            return Err(format!(
                "{key:?} is neither a key id (32 hexadecimal digits) nor a public key (64)"
            ));
        }
    };
    Ok((role.to_owned(), owner.trim().to_owned(), id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Signer;

    #[test]
    fn a_key_is_named_by_its_id_or_by_itself() {
        let signer = Signer::from_seed(&[4; 32]);
        let (id, public) = (signer.id(), hex::encode_upper(signer.public()));
        let text = format!("# of the audit\n\n host  a b \t{id}\nhost c {public}\nnotary n {id}\n");
        let pins = Pins::parse(&text).unwrap();
        assert_eq!(pins.of(ROLE_HOST, "a b").collect::<Vec<_>>(), [id]);
        assert_eq!(pins.of(ROLE_HOST, "c").collect::<Vec<_>>(), [id]);
        assert_eq!(pins.of(ROLE_HOST, "n").count(), 0);
        assert_eq!(pins.owners(ROLE_HOST).collect::<Vec<_>>(), ["a b", "c"]);
        assert_eq!(pins.owners(ROLE_NOTARY).collect::<Vec<_>>(), ["n"]);
    }

    #[test]
    fn a_line_that_pins_nothing_is_a_mistake() {
        for (text, part) in [
            ("", "no line"),
            ("# only words\n", "no line"),
            ("host a", "line 1"),
            ("\nuser a 00", "\"user\""),
            ("host a 0011", "\"0011\""),
            ("host a zz112233445566778899aabbccddeeff", "neither"),
        ] {
            let error = Pins::parse(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
