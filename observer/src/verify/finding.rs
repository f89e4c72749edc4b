//! What a verification can say: closed words, each with its place.

use std::fmt;

use serde_json::{Value, json};

/// How many of one host are kept with their place; all are counted.
const MAX_KEPT: usize = 1_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing; does not change the verdict.
    Remark,
    /// This program cannot tell whether it is right.
    Unverifiable,
    /// Not as it was sealed, or not complete.
    Finding,
}

macro_rules! kinds {
    ($( $(#[$meta:meta])* $variant:ident = $level:ident $word:literal $meaning:literal; )*) => {
        /// What was found. `docs/evidence.md` lists the words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $( #[doc = $meaning] $variant, )*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// Word for programs.
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )* }
            }

            /// How bad it is.
            pub fn level(self) -> Level {
                match self { $( Self::$variant => Level::$level, )* }
            }
        }
    };
}

kinds! {
    RecordChanged = Finding "record_changed" "a record's fields do not give the hash stored with it: it was edited";
    RecordMissing = Finding "record_missing" "a seal counts a record that is not there: it was deleted or never arrived";
    RecordTwin = Finding "record_twin" "two different records have one number: one of them was put in";
    RecordUnsealed = Finding "record_unsealed" "a record that no seal covers: put in, or its seal is gone";
    DigestMismatch = Finding "digest_mismatch" "as many records as the seal says, but not the ones it was made over";
    SealChanged = Finding "seal_changed" "a seal's fields do not give the hash stored with it: it was edited";
    SealSignature = Finding "seal_signature" "a seal was not signed by the key that it names";
    SealUnsigned = Finding "seal_unsigned" "a seal without a signature is no evidence";
    SealMissing = Finding "seal_missing" "seals are missing: their numbers have a hole, or the next start names one that is not there";
    SealFork = Finding "seal_fork" "two different seals have one number";
    LinkBroken = Finding "link_broken" "a seal does not name the hash of the seal before it";
    NumbersBroken = Finding "numbers_broken" "a seal does not begin with the record after those of the seal before";
    EpochUnlinked = Finding "epoch_unlinked" "a start of the agent does not continue the chain that was there";
    StateLost = Finding "state_lost" "the agent says that it lost what it knew of the chain before: nothing binds the two parts";
    TwoAgents = Finding "two_agents" "two starts of one host id were at work at the same time: a copied state, or a host id used twice";
    KeyUnknown = Finding "key_unknown" "a seal names a key that no certificate of this host speaks for";
    KeyInvalid = Finding "key_invalid" "a certificate is not right";
    KeyUncertified = Finding "key_uncertified" "from here on a key signs that the key before did not certify";
    KeyRevoked = Finding "key_revoked" "a seal was made after its key was revoked";
    KeyNotPinned = Finding "key_not_pinned" "a key that the auditor's file does not name, and that hangs together with none that it names, signs here";
    Stale = Finding "stale" "the chain ends without a closing seal: the agent was stopped hard, cannot deliver, or its last seals were removed";
    HostMissing = Finding "host_missing" "a host that should have seals has none at all";
    AnchoredSealMissing = Finding "anchored_seal_missing" "an anchor holds a seal that is not in the store";
    AnchoredSealChanged = Finding "anchored_seal_changed" "an anchor holds another hash for this seal: the chain was rewritten";
    AnchorInvalid = Finding "anchor_invalid" "an anchor's root, hash or signature is not right";
    AnchorMissing = Finding "anchor_missing" "anchors are missing or do not hang together";
    BundleDamaged = Finding "bundle_damaged" "a file of the bundle is missing, or is not the one that was exported";
    FormUnknown = Unverifiable "form_unknown" "a form that this program does not know: use a newer one";
    DigestUnchecked = Unverifiable "digest_unchecked" "records of a seal of which others are missing: nothing shows that they are the ones that it was made over";
    UnsealedAfterKill = Remark "unsealed_after_kill" "records that were delivered before a hard stop and never sealed: no evidence";
    Pending = Remark "pending" "records whose seal is not there yet";
    KeyFirstUse = Remark "key_first_use" "a first key vouches for itself: compare it with what the host shows (`observer keys show`)";
    ClockJump = Remark "clock_jump" "wall clock and boot clock differ by more than a second, within an interval or between two: the clock was set";
    NoAnchor = Remark "no_anchor" "no anchor holds a seal of this host: whoever has its key could have written all of it anew";
    RetentionExpired = Remark "retention_expired" "records of seals that are older than the time records are kept";
    DeclaredLoss = Remark "declared_loss" "rows that the host itself, in a signed seal, says it gave up";
}

/// Where in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Epoch; 0: none.
    pub chain_epoch: u64,
    /// First and last seal.
    pub seals: Option<(u64, u64)>,
    /// First and last record.
    pub records: Option<(u64, u64)>,
}

impl Place {
    /// An epoch as a whole.
    pub fn epoch(chain_epoch: u64) -> Self {
        Self {
            chain_epoch,
            ..Self::default()
        }
    }

    /// One seal.
    pub fn seal(chain_epoch: u64, seq: u64) -> Self {
        Self::epoch(chain_epoch).with_seals(seq, seq)
    }

    /// With the seals `first` to `last`.
    #[must_use]
    pub fn with_seals(mut self, first: u64, last: u64) -> Self {
        self.seals = Some((first, last));
        self
    }

    /// With the records `first` to `last`.
    #[must_use]
    pub fn with_records(mut self, first: u64, last: u64) -> Self {
        self.records = Some((first, last));
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |f: &mut fmt::Formatter<'_>, what: &str, range: Option<(u64, u64)>| match range {
            None => Ok(()),
            Some((first, last)) if first == last => write!(f, " {what} {first}"),
            Some((first, last)) => write!(f, " {what}s {first} to {last}"),
        };
        if self.chain_epoch == 0 {
            return f.write_str("-");
        }
        write!(f, "epoch {}", self.chain_epoch)?;
        range(f, "seal", self.seals)?;
        range(f, "record", self.records)
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// How many rows it is about.
    pub count: u64,
    /// What else is known: names of tables, hashes, keys. Never contents of a record.
    pub detail: String,
}

impl Finding {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let range = |range: Option<(u64, u64)>| range.map(|(first, last)| json!([first, last]));
        json!({
            "kind": self.kind.word(),
            "level": match self.kind.level() {
                Level::Remark => "remark",
                Level::Unverifiable => "unverifiable",
                Level::Finding => "finding",
            },
            "chain_epoch": (self.place.chain_epoch != 0).then_some(self.place.chain_epoch),
            "seals": range(self.place.seals),
            "records": range(self.place.records),
            "count": self.count,
            "detail": self.detail,
        })
    }
}

/// What was found on one host. Keeps the first ones, counts all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: std::collections::BTreeMap<Kind, u64>,
}

impl Findings {
    /// Adds one that is about `count` rows.
    pub fn add(&mut self, kind: Kind, place: Place, count: u64, detail: impl Into<String>) {
        let rows = self.counts.entry(kind).or_default();
        // What a seal says of itself can be any number.
        *rows = rows.saturating_add(count);
        if self.kept.len() < MAX_KEPT {
            self.kept.push(Finding {
                kind,
                place,
                count,
                detail: detail.into(),
            });
        }
    }

    /// The kept ones, in the order of the chain.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// Rows by kind.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Rows that one kind is about.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// The worst level; `None` where nothing was found.
    pub fn worst(&self) -> Option<Level> {
        self.counts.keys().map(|kind| kind.level()).max()
    }
}
