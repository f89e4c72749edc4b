//! Fair shares of the spool: its last eighth is for programs that hold less than an eighth of it. So a program that makes rows without
//! an end while the store is away (a flood of calls that look like AI) leaves room for the rows of all others. Pure.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

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

/// Whose row it is: a keyed hash, since each row has an owner and few are ever looked at. Not a process: a flood can come from ever new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u64);

/// All owners for whom the table has no room.
const FURTHER: Owner = Owner(0);

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
    key: RandomState,
}

impl Shares {
    /// The owner of rows of this user's program in this container (empty outside of containers).
    pub fn owner(&self, user: u32, container: &str, program: &str) -> Owner {
        Owner(self.key.hash_one((user, container, program)))
    }

    /// Whether a row of this owner is kept.
    pub fn keeps(&mut self, owner: Owner, fill: Fill) -> Kept {
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
    pub fn took(&mut self, owner: Owner, bytes: u64, fill: Fill) {
        if fill.bytes >= fill.room / PARTS {
            self.of(owner).bytes += bytes;
        }
    }

    fn of(&mut self, owner: Owner) -> &mut Taken {
        let has_room = self.taken.len() < MAX_OWNERS || self.taken.contains_key(&owner);
        self.taken
            .entry(if has_room { owner } else { FURTHER })
            .or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(bytes: u64) -> Fill {
        Fill { bytes, room: 800 }
    }

    #[test]
    fn owners_are_users_with_their_containers_and_programs() {
        let shares = Shares::default();
        let of = |user, container, program| shares.owner(user, container, program);
        assert_eq!(of(0, "c", "/p"), of(0, "c", "/p"));
        for other in [
            of(1, "c", "/p"),
            of(0, "d", "/p"),
            of(0, "c", "/q"),
            of(0, "c/", "p"),
        ] {
            assert_ne!(of(0, "c", "/p"), other);
        }
    }

    #[test]
    fn the_last_eighth_is_for_those_who_hold_less() {
        let mut shares = Shares::default();
        let [forger, other, others, same] = [(0, "/forger"), (0, "/other"), (1, "/other"), (1, "/forger")]
            .map(|(user, program)| shares.owner(user, "", program));
        for n in 1..=6 {
            assert_eq!(shares.keeps(forger, fill(n * 100)), Kept::Yes);
            shares.took(forger, 100, fill(n * 100));
        }
        assert_eq!(shares.keeps(forger, fill(699)), Kept::Yes, "it is not the last");
        assert_eq!(shares.keeps(forger, fill(700)), Kept::NoMore);
        assert_eq!(shares.keeps(forger, fill(800)), Kept::Still);
        for one in [other, others] {
            assert_eq!(shares.keeps(one, fill(800)), Kept::Yes);
            shares.took(one, 100, fill(800));
            assert_eq!(shares.keeps(one, fill(800)), Kept::Yes, "as much as an eighth");
        }
        assert_eq!(shares.keeps(same, fill(800)), Kept::Yes, "of another user");
        // The store is back: everybody begins anew.
        assert_eq!(shares.keeps(forger, fill(99)), Kept::Yes);
        assert_eq!(shares.keeps(forger, fill(800)), Kept::Yes);
    }

    #[test]
    fn a_spool_that_nothing_waits_in_keeps_no_account() {
        let mut shares = Shares::default();
        shares.took(shares.owner(0, "", "/program"), 1000, fill(99));
        assert!(shares.taken.is_empty());
    }

    #[test]
    fn the_table_of_programs_is_bounded() {
        let mut shares = Shares::default();
        for n in 0..=MAX_OWNERS {
            shares.took(shares.owner(0, "", &n.to_string()), 200, fill(700));
        }
        assert!(shares.taken.len() <= MAX_OWNERS + 1);
        let further = ["one too many", "another one"].map(|program| shares.owner(0, "", program));
        assert_eq!(shares.keeps(further[0], fill(700)), Kept::NoMore);
        assert_eq!(shares.keeps(further[1], fill(700)), Kept::Still);
    }
}
