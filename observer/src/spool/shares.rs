//! Fair shares of the spool: its last eighth is for programs that hold less than an eighth of it. So a program that makes rows without
//! an end while the store is away (a flood of calls that look like AI) leaves room for the rows of all others. Pure.

use std::collections::HashMap;

/// An eighth.
const PARTS: u64 = 8;

/// Most owners that are told apart; further ones have one share together.
const MAX_OWNERS: usize = 4_096;

/// How full the spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Bytes that wait.
    pub bytes: u64,
    /// Bytes that can.
    pub room: u64,
}

/// Whose row it is. Not a process: a flood can come from ever new ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Container; empty outside of containers.
    pub container: String,
    /// Path of its program.
    pub program: String,
}

/// Whether a row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Yes,
    /// Its owner has had its share, for the first time since rows wait.
    NoMore,
    /// And that is known already.
    Still,
}

/// What an owner put into the spool since rows began to wait there.
#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    refused: bool,
}

/// Who put how much into the spool.
#[derive(Debug, Default)]
pub struct Shares {
    taken: HashMap<Owner, Taken>,
}

impl Shares {
    /// Whether a row of this owner is kept.
    pub fn keeps(&mut self, owner: &Owner, fill: Fill) -> Kept {
        let share = fill.room / PARTS;
        if fill.bytes < share {
            // Nothing to share out.
            self.taken.clear();
            return Kept::Yes;
        }
        if fill.bytes < fill.room - share {
            return Kept::Yes;
        }
        let taken = self.of(owner);
        if taken.bytes <= share {
            Kept::Yes
        } else if std::mem::replace(&mut taken.refused, true) {
            Kept::Still
        } else {
            Kept::NoMore
        }
    }

    /// A row of this owner took so many bytes.
    pub fn took(&mut self, owner: &Owner, bytes: u64, fill: Fill) {
        if fill.bytes >= fill.room / PARTS {
            self.of(owner).bytes += bytes;
        }
    }

    fn of(&mut self, owner: &Owner) -> &mut Taken {
        let has_room = self.taken.len() < MAX_OWNERS || self.taken.contains_key(owner);
        let owner = if has_room {
            owner.clone()
        } else {
            // All further ones.
            Owner {
                user: u32::MAX,
                container: String::new(),
                program: String::new(),
            }
        };
        self.taken.entry(owner).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user: u32, program: &str) -> Owner {
        Owner {
            user,
            container: String::new(),
            program: program.to_owned(),
        }
    }

    fn fill(bytes: u64) -> Fill {
        Fill { bytes, room: 800 }
    }

    #[test]
    fn the_last_eighth_is_for_those_who_hold_less() {
        let mut shares = Shares::default();
        for n in 1..=6 {
            assert_eq!(shares.keeps(&owner(0, "/forger"), fill(n * 100)), Kept::Yes);
            shares.took(&owner(0, "/forger"), 100, fill(n * 100));
        }
        assert_eq!(
            shares.keeps(&owner(0, "/forger"), fill(699)),
            Kept::Yes,
            "it is not the last"
        );
        assert_eq!(shares.keeps(&owner(0, "/forger"), fill(700)), Kept::NoMore);
        assert_eq!(shares.keeps(&owner(0, "/forger"), fill(800)), Kept::Still);
        for user in [0, 1] {
            assert_eq!(shares.keeps(&owner(user, "/other"), fill(800)), Kept::Yes);
            shares.took(&owner(user, "/other"), 100, fill(800));
            assert_eq!(
                shares.keeps(&owner(user, "/other"), fill(800)),
                Kept::Yes,
                "as much as an eighth"
            );
        }
        assert_eq!(
            shares.keeps(&owner(1, "/forger"), fill(800)),
            Kept::Yes,
            "of another user"
        );
        // The store is back: everybody begins anew.
        assert_eq!(shares.keeps(&owner(0, "/forger"), fill(99)), Kept::Yes);
        assert_eq!(shares.keeps(&owner(0, "/forger"), fill(800)), Kept::Yes);
    }

    #[test]
    fn a_spool_that_nothing_waits_in_keeps_no_account() {
        let mut shares = Shares::default();
        shares.took(&owner(0, "/program"), 1000, fill(99));
        assert!(shares.taken.is_empty());
    }

    #[test]
    fn the_table_of_programs_is_bounded() {
        let mut shares = Shares::default();
        for n in 0..=MAX_OWNERS {
            shares.took(&owner(0, &n.to_string()), 200, fill(700));
        }
        assert!(shares.taken.len() <= MAX_OWNERS + 1);
        assert_eq!(shares.keeps(&owner(0, "one too many"), fill(700)), Kept::NoMore);
        assert_eq!(shares.keeps(&owner(0, "another one"), fill(700)), Kept::Still);
    }
}
