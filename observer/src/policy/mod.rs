//! Policy stage: who may use which AI. An exchange's facts and findings in, a verdict out, with what gave it.
//!
//! A register of AI systems says what was approved, by whom and until when; a policy is a list of rules, of which the
//! first that fits decides. [`Judge`] asks both. `before` says what is stopped before it begins, where
//! enforcement is on. `docs/policy.md` is for people.

mod attributes;
mod before;
mod conditions;
mod dates;
mod explain;
mod index;
mod judge;
mod overlap;
mod reach;
pub mod register;
mod register_read;
mod rules;
#[cfg(test)]
mod tests;
mod values;

pub use attributes::{Attribute, FindingFact, ROLES, Subject};
pub use before::{Attributes, LATE, StoppedBy};
pub use dates::{end as parse_end, start as parse_time};
pub use explain::Explanation;
pub use judge::{Judge, Judgement};
pub use register::{Entry, Register, Standing, Status};
pub use register_read::{LIMITS as REGISTER_LIMITS, MATCHES as REGISTER_MATCHES};
pub use rules::{MAX_RULES, Policy};

/// What is said about an exchange; the words of `policy_verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Allowed.
    Sanctioned,
    /// Not allowed: shadow AI.
    Unsanctioned,
    /// Nobody said, or there is no policy.
    Unknown,
}

impl Verdict {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 3] = ["sanctioned", "unsanctioned", "unknown"];
    const ALL: [Self; 3] = [Self::Sanctioned, Self::Unsanctioned, Self::Unknown];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// How little it allows.
    pub fn strictness(self) -> u8 {
        match self {
            Self::Sanctioned => 0,
            Self::Unknown => 1,
            Self::Unsanctioned => 2,
        }
    }
}

/// What decided; the words of `policy_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The rule of `policy_rule_id`.
    Rule,
    /// No rule fitted: the default of the policy.
    Default,
    /// There is neither a policy nor a register.
    NoPolicy,
    /// The register approves it.
    RegisterApproved,
    /// The register approves it with the data classes that it names, and no other was found.
    RegisterConditional,
    /// The register prohibits it.
    RegisterProhibited,
    /// The register has it under review.
    UnderReview,
    /// The approval is over.
    ApprovalExpired,
    /// The approval begins later.
    ApprovalNotYetValid,
    /// The approval does not cover the kind of sensitive data that was found.
    DataClassNotAllowed,
    /// No entry of the register is about it, and no rule.
    NotInRegister,
    /// The `Host` header names another service than TLS, and what decided about that one is stricter.
    HostNotTlsName,
}

impl Reason {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 12] = [
        "rule",
        "default",
        "no_policy",
        "register_approved",
        "register_conditional",
        "register_prohibited",
        "under_review",
        "approval_expired",
        "approval_not_yet_valid",
        "data_class_not_allowed",
        "not_in_register",
        "host_not_tls_name",
    ];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl From<Standing> for Reason {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Approved => Self::RegisterApproved,
            Standing::Conditional => Self::RegisterConditional,
            Standing::Prohibited => Self::RegisterProhibited,
            Standing::UnderReview => Self::UnderReview,
            Standing::Expired => Self::ApprovalExpired,
            Standing::NotYetValid => Self::ApprovalNotYetValid,
            Standing::DataClassNotAllowed => Self::DataClassNotAllowed,
            Standing::NotListed => Self::NotInRegister,
        }
    }
}
