//! Sensitive-data stage: the text of an exchange in, findings out. The text itself goes nowhere.
//!
//! Two steps. The first looks at every byte, for all rules together: vectorscan finds the fixed texts of which every
//! match of a rule holds one, and a loop of our own finds where numbers may begin. The second tries the one pattern that
//! belongs there, from one place and for a bounded stretch, and then its checksum, entropy and surroundings. Whole
//! patterns in vectorscan would be slower by a factor of three to ten, and more so the more rules there are
//! (docs/costs.md).
//!
//! Texts arrive in pieces of any size and interleaved with one another. Where a piece ends has no influence on what
//! is found.

mod context;
mod encoded;
pub mod engine;
mod explain;
mod find;
mod gap;
pub mod judge;
pub mod key;
mod locate;
mod overlap;
mod placeholder;
pub mod redact;
pub mod rules;
pub mod scan;
mod unreal;
pub mod validate;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cost;
#[cfg(test)]
mod tests_values;

use crate::dialect::Place;

pub use engine::{Cost, Engine, EngineError};
pub use explain::{ExampleVerdict, examples};
pub use gap::{Gap, gaps};
pub use key::HmacKey;
pub use redact::{LineFinding, LineReport, LineScan, Redacted, redact, scan_text};
pub use rules::{Rule, Rules};
pub use scan::Scan;

/// Kind of a finding; the words of `ai_findings.finding_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Tells something about a person.
    Pii,
    /// Key material or a value that protects something by being unknown: private keys, storage keys.
    Secret,
    /// Lets its bearer act as somebody at a service: tokens, API keys, passwords.
    Credential,
    /// Program text that should not leave.
    SourceCode,
    /// Whatever else an organisation looks for.
    Custom,
}

impl Class {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 5] = ["pii", "secret", "credential", "source_code", "custom"];
    const ALL: [Self; 5] = [
        Self::Pii,
        Self::Secret,
        Self::Credential,
        Self::SourceCode,
        Self::Custom,
    ];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether a keyed hash of a value may be kept: only where values cannot be tried out one by one. A card
    /// number, a telephone number or a name can; a key of 128 random bits cannot (evidence.md, section 6).
    pub fn hashes_values(self) -> bool {
        matches!(self, Self::Secret | Self::Credential)
    }
}

/// How bad a finding is; the words of `ai_findings.severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, for example the example key of a manual.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 5] = ["info", "low", "medium", "high", "critical"];
    const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What speaks for a finding, weakest first. Where matches of one finding differ, the strongest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// The pattern fits.
    Pattern,
    /// The pattern fits and words near it say the same.
    Context,
    /// A checksum in the value is right.
    ChecksumValid,
}

impl Confidence {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pattern => "pattern",
            Self::Context => "context",
            Self::ChecksumValid => "checksum_valid",
        }
    }
}

/// One kind of sensitive data at one place of one exchange. Holds no matched text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Rule that found it.
    pub rule_id: String,
    /// Kind.
    pub class: Class,
    /// Severity of the rule; `Info` for documented examples.
    pub severity: Severity,
    /// The strongest confidence among the matches.
    pub confidence: Confidence,
    /// Where.
    pub place: Place,
    /// Number of matches that do not overlap.
    pub count: u32,
    /// Bytes of all matched values together.
    pub bytes: u32,
    /// Keyed hashes of the values, each once, at most [`scan::MAX_HMACS`]; empty without a key and for classes
    /// whose values can be guessed.
    pub hmacs: Vec<[u8; 16]>,
    /// The values are published examples (a manual's key, a test card). They are counted apart from real ones.
    pub documented_example: bool,
}

/// What one scan found and how much it looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Findings, ordered by rule and place.
    pub findings: Vec<Finding>,
    /// Bytes of text handed in.
    pub bytes_seen: u64,
    /// Bytes that were searched. The rest came over the budget of open texts or met an engine error.
    pub bytes_scanned: u64,
    /// Bytes that were decoded of what stood encoded in the text (escapes, percent encoding, base64) and searched, too.
    pub bytes_decoded: u64,
    /// Bytes that could be decoded further, but lie deeper than two encodings, or are more than the budget of one text.
    pub bytes_not_decoded: u64,
    /// Places at which a pattern fitted or would have been tried but nothing was decided, because the budget was used up or
    /// the value is longer than the look-back window.
    pub undecided_matches: u64,
    /// Work of the second step, in bytes that were looked at. Never much more than a fixed amount and a fixed multiple of
    /// the bytes scanned.
    pub work: u64,
    /// Matches that belong to no finding because there were too many findings already.
    pub dropped_matches: u64,
}
