//! Register of AI systems: what an organisation has approved, for whom and until when. An exchange is judged by the
//! entry that was valid at its time.

use std::cmp::Reverse;

use sha2::{Digest, Sha256};

use super::attributes::{Attribute, Subject};
use super::conditions::Conditions;
use super::index::Index;
use super::{dates, register_read};
use crate::config::yaml::{Position, Problem};

/// Most entries of a register.
pub const MAX_ENTRIES: usize = 10_000;

/// What was decided about a system; the words of `ai_register.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// May be used.
    Approved,
    /// May be used with the data classes that the entry names.
    Conditional,
    /// Must not be used.
    Prohibited,
    /// Nothing is decided yet.
    UnderReview,
}

impl Status {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 4] = ["approved", "conditional", "prohibited", "under_review"];
    pub(super) const ALL: [Self; 4] = [
        Self::Approved,
        Self::Conditional,
        Self::Prohibited,
        Self::UnderReview,
    ];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn permits(self) -> bool {
        matches!(self, Self::Approved | Self::Conditional)
    }
}

/// What the register says about one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A valid entry approves it.
    Approved,
    /// A valid entry approves it, with the data classes that it names.
    Conditional,
    /// A valid entry prohibits it.
    Prohibited,
    /// A valid entry is under review.
    UnderReview,
    /// It was approved until some time before.
    Expired,
    /// It is approved from some time after.
    NotYetValid,
    /// It was approved, but not with the kind of sensitive data that was found.
    DataClassNotAllowed,
    /// No entry is about it.
    NotListed,
}

impl Standing {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 8] = [
        "approved",
        "conditional",
        "prohibited",
        "under_review",
        "expired",
        "not_yet_valid",
        "data_class_not_allowed",
        "not_listed",
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Of two standings that an exchange has, the one with more counts.
    fn strictness(self) -> u8 {
        match self {
            Self::Approved => 0,
            Self::Conditional => 1,
            Self::UnderReview => 2,
            Self::NotListed => 3,
            _ => 4,
        }
    }

    /// Whether nothing else can permit the exchange.
    pub fn refuses(self) -> bool {
        matches!(
            self,
            Self::Prohibited | Self::Expired | Self::NotYetValid | Self::DataClassNotAllowed
        )
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Identifier, the same for each period of one approval.
    pub id: String,
    /// Name of the AI system.
    pub system: String,
    /// Who answers for it.
    pub owner: String,
    /// Reference of the decision.
    pub approval: String,
    /// Who decided.
    pub approved_by: String,
    /// What was decided.
    pub status: Status,
    /// From when on, ns since the Unix epoch.
    pub valid_from: i64,
    /// Before when; `i64::MAX`: no end.
    pub valid_until: i64,
    /// When it has to be looked at again; `i64::MAX`: never.
    pub review_date: i64,
    /// Kinds of sensitive data that may be in it; `None`: not limited.
    pub allowed_data_classes: Option<Vec<String>>,
    /// Reference into the register of risks.
    pub risk_reference: String,
    /// Controls that it belongs to, for example of the statement of applicability.
    pub related_controls: Vec<String>,
    /// Where it stands in the file.
    pub at: Position,
    pub(super) conditions: Conditions,
}

impl Entry {
    fn is_valid_at(&self, ns: i64) -> bool {
        (self.valid_from..self.valid_until).contains(&ns)
    }

    /// Of two permissions that do not hold at a time, the one that ended last, else the one that begins first.
    fn explains_more(&self, other: &Self, at_ns: i64) -> bool {
        let rank = |entry: &Self| {
            let ended = entry.valid_until <= at_ns;
            (
                ended,
                if ended {
                    entry.valid_until
                } else {
                    entry.valid_from.saturating_neg()
                },
            )
        };
        rank(self) > rank(other)
    }

    /// Whether this is about more than `other`, and about all of that.
    fn is_wider(&self, other: &Self) -> bool {
        self.conditions.covers(&other.conditions) && !other.conditions.covers(&self.conditions)
    }

    /// Values that the entry names for this attribute, as written.
    pub fn matches(&self, attribute: Attribute) -> Vec<String> {
        let values = self.conditions.of(attribute);
        values
            .into_iter()
            .flat_map(|v| v.written())
            .map(str::to_owned)
            .collect()
    }

    fn standing(&self, subject: &Subject<'_>) -> Standing {
        let is_allowed = |class: &str| {
            self.allowed_data_classes
                .as_ref()
                .is_none_or(|allowed| allowed.iter().any(|a| a == class))
        };
        match self.status {
            Status::Prohibited => Standing::Prohibited,
            Status::UnderReview => Standing::UnderReview,
            _ if !subject.findings.iter().all(|finding| is_allowed(finding.class)) => {
                Standing::DataClassNotAllowed
            }
            Status::Approved => Standing::Approved,
            Status::Conditional => Standing::Conditional,
        }
    }
}

/// A register, valid as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
    pub(super) index: Index,
    pub(super) digest: [u8; 32],
    pub(super) text: Box<str>,
    pub(super) warnings: Vec<Problem>,
}

impl Register {
    /// Reads a register. All problems are reported at once, each with file and line.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<Problem>> {
        let mut register = register_read::read(text, file_name)?;
        register.digest = Sha256::digest(text.as_bytes()).into();
        register.text = text.into();
        register.index = Index::new(register.entries.iter().map(|entry| &entry.conditions));
        Ok(register)
    }

    /// What the register says about `subject` at its time, and by which entry. Of several entries the narrowest counts. Others do not meet
    /// at one time, or the register would not have been read; but a call may have several values of one attribute (the model asked for and the
    /// one that answered), and so fall under entries that do not: then the one that permits least counts.
    pub fn ask(&self, subject: &Subject<'_>) -> (Standing, Option<&Entry>) {
        let at_ns = subject.at_ns;
        let (mut inside, mut outside): (Vec<&Entry>, Option<&Entry>) = (Vec::new(), None);
        let candidates = self
            .index
            .candidates(subject)
            .map(|number| &self.entries[number as usize]);
        for entry in candidates.filter(|entry| entry.conditions.fits(subject)) {
            if entry.is_valid_at(at_ns) {
                inside.push(entry);
            } else if entry.status.permits() && outside.is_none_or(|other| entry.explains_more(other, at_ns))
            {
                outside = Some(entry);
            }
        }
        let narrowest = inside
            .iter()
            .filter(|entry| !inside.iter().any(|other| entry.is_wider(other)));
        if let Some(entry) = narrowest.min_by_key(|entry| Reverse(entry.standing(subject).strictness())) {
            return (entry.standing(subject), Some(entry));
        }
        // A permission that is over or has not begun says more than "not listed".
        match outside {
            Some(entry) if entry.valid_from > at_ns => (Standing::NotYetValid, Some(entry)),
            Some(entry) => (Standing::Expired, Some(entry)),
            None => (Standing::NotListed, None),
        }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Version as written in the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the file's text.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is valid but cannot be meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Entries whose review is overdue and those whose approval has ended, in words; `now_ns` is the wall clock.
    pub fn overdue(&self, now_ns: i64) -> Vec<String> {
        let line = |entry: &Entry| {
            let id = &entry.id;
            if entry.valid_until <= now_ns {
                let renewed = self
                    .entries
                    .iter()
                    .any(|e| e.id == *id && e.valid_until > entry.valid_until);
                (!renewed).then(|| {
                    format!(
                        "entry `{id}`: {} until {}, which is over",
                        entry.status.name(),
                        dates::day(entry.valid_until - 1)
                    )
                })
            } else {
                (entry.review_date <= now_ns).then(|| {
                    format!(
                        "entry `{id}`: its review was due on {}",
                        dates::day(entry.review_date)
                    )
                })
            }
        };
        self.entries.iter().filter_map(line).collect()
    }
}
