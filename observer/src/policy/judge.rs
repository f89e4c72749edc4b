//! Register and policy together: one exchange in, its verdict out, with what decided.
//!
//! In this order:
//! 1. A refusal of the register (prohibited, approval over or not begun, kind of data not allowed) stands against every rule.
//! 2. The first rule of the policy that fits.
//! 3. What else the register says: approved and conditional are sanctioned, under review is unknown.
//! 4. The default of the policy; without a policy, what is not in the register is unsanctioned.

use super::attributes::{Attribute, Subject};
use super::register::{Entry, Register, Standing};
use super::rules::Policy;
use super::{Reason, Verdict};

/// What exchanges are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// Rules.
    pub policy: Policy,
    /// Approved systems; none: nothing is asked of a register.
    pub register: Option<Register>,
}

/// A verdict and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement<'j> {
    /// The verdict.
    pub verdict: Verdict,
    /// What decided.
    pub reason: Reason,
    /// The rule that fitted, also where the register refused; empty where none did.
    pub rule_id: &'j str,
    /// Entry of the register that the exchange fell under.
    pub entry: Option<&'j Entry>,
}

impl Judge {
    /// No policy and no register: every verdict is unknown.
    pub fn none() -> Self {
        Self {
            policy: Policy::none(),
            register: None,
        }
    }

    /// The verdict on `subject`.
    pub fn judge<'j: 's, 's>(&'j self, subject: &Subject<'s>) -> Judgement<'j> {
        let (subject, standing, entry) = self.with_standing(subject);
        let rule = self.policy.rule(&subject);
        let (verdict, reason) = match (standing, rule) {
            (Some(standing), _) if standing.refuses() => (Verdict::Unsanctioned, standing.into()),
            (_, Some(rule)) => (rule.verdict, Reason::Rule),
            (Some(standing), None) => self.unruled(standing),
            (None, None) if self.policy.is_none() => (Verdict::Unknown, Reason::NoPolicy),
            (None, None) => (self.policy.default_verdict(), Reason::Default),
        };
        Judgement {
            verdict,
            reason,
            rule_id: rule.map_or("", |rule| &rule.id),
            entry,
        }
    }

    fn unruled(&self, standing: Standing) -> (Verdict, Reason) {
        let verdict = match standing {
            Standing::Approved | Standing::Conditional => Verdict::Sanctioned,
            Standing::UnderReview => Verdict::Unknown,
            _ if self.policy.is_none() => Verdict::Unsanctioned,
            _ => self.policy.default_verdict(),
        };
        (verdict, standing.into())
    }

    /// The subject with what the register says about it.
    pub(super) fn with_standing<'j: 's, 's>(
        &'j self,
        subject: &Subject<'s>,
    ) -> (Subject<'s>, Option<Standing>, Option<&'j Entry>) {
        let mut subject = subject.clone();
        let Some(register) = &self.register else {
            return (subject, None, None);
        };
        let (standing, entry) = register.ask(&subject);
        subject.add(Attribute::Register, standing.name());
        if let Some(entry) = entry {
            subject.add(Attribute::System, &entry.id);
            subject.add(Attribute::System, &entry.system);
        }
        (subject, Some(standing), entry)
    }

    /// SHA-256 of the register's text; zeros without one.
    pub fn register_digest(&self) -> [u8; 32] {
        self.register.as_ref().map_or([0; 32], Register::digest)
    }

    /// What is valid and cannot be meant, in both.
    pub fn warnings(&self) -> Vec<String> {
        let of_register = self.register.iter().flat_map(Register::warnings);
        let mut all: Vec<String> = self
            .policy
            .warnings()
            .iter()
            .chain(of_register)
            .map(ToString::to_string)
            .collect();
        if self.policy.asks_register() && self.register.is_none() {
            all.push(
                "warning: rules of the policy ask for `system` or `register`, and there is no register: they never fit"
                    .to_owned(),
            );
        }
        all
    }
}
