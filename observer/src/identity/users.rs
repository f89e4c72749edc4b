//! Names of user ids, from the host's `/etc/passwd`.
//!
//! Only the file is read: the name service may ask a network, and a daemon that observes should not wait for one.

use std::{collections::HashMap, fs, time::SystemTime};

const PASSWD: &str = "/etc/passwd";

#[derive(Debug, Default)]
pub(super) struct Users {
    names: HashMap<u32, String>,
    read_from: Option<SystemTime>,
}

impl Users {
    /// Name of `uid`; empty when there is none. The file is read again when it has changed.
    pub(super) fn name(&mut self, uid: u32) -> String {
        let changed = fs::metadata(PASSWD).and_then(|m| m.modified()).ok();
        if changed != self.read_from || self.read_from.is_none() {
            self.names = fs::read_to_string(PASSWD)
                .map(|text| parse(&text))
                .unwrap_or_default();
            self.read_from = changed;
        }
        self.names.get(&uid).cloned().unwrap_or_default()
    }
}

/// `name:password:uid:...` (passwd(5)); the first name of an id counts.
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts_and_broken_lines_do_not() {
        let names = parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\n:x:\nu:x:y:1\n");
        assert_eq!(names, HashMap::from([(0, "root".to_owned())]));
    }

    #[test]
    fn root_has_its_name() {
        assert_eq!(Users::default().name(0), "root");
    }
}
