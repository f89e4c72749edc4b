//! Whether a value that a pattern fits counts: placeholders, surroundings, checksum, entropy, context.

use super::context::{Around, speaks};
use super::placeholder::{self, Look};
use super::rules::{BEFORE_BYTES, Rule};
use super::unreal;
use super::validate::{Check, entropy};
use super::{Class, Confidence};

/// A value that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What speaks for it.
    pub(super) confidence: Confidence,
    /// It is a published example.
    pub(super) documented: bool,
}

/// Why a value does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// It is a placeholder.
    Placeholder,
    /// Something stands before it that speaks against it.
    Before,
    /// Its validator refuses it.
    Check,
    /// Its entropy is below the rule's floor.
    Entropy {
        /// Bits per byte that it has.
        has: f64,
    },
    /// No word of the context that the rule requires is near.
    Context,
}

/// Judges one value of `rule`, with what stands around it.
pub(super) fn judge(rule: &Rule, around: &Around<'_>, value: &[u8]) -> Result<Verdict, Refusal> {
    let normal = rule.validator.map(|v| v.normalise(value));
    let normal = normal.as_deref().unwrap_or(value);
    // A wrong checksum refuses few values; a right one says that nothing is missing.
    let is_whole = || {
        let check = rule.validator.map(|v| v.check(value));
        check == Some(Check::Valid) || !rule.form.may_go_on(value)
    };
    let look = match rule.class {
        Class::Secret | Class::Credential => match placeholder::look(rule.rank, value) {
            Look::Real => unreal::look(rule.rank, around, value, is_whole),
            look => look,
        },
        Class::Pii | Class::SourceCode | Class::Custom => Look::Real,
    };
    if look == Look::Placeholder || rule.placeholders.iter().any(|p| p.is_match(value)) {
        return Err(Refusal::Placeholder);
    }
    let before = around.before;
    let near = &before[before.len().saturating_sub(BEFORE_BYTES)..];
    if rule.unless_before.iter().any(|p| p.is_match(near)) {
        return Err(Refusal::Before);
    }
    let check = rule.validator.map_or(Check::Plausible, |v| v.check(value));
    let documented = look == Look::Example || rule.documented.iter().any(|d| d.is_match(normal));
    if check == Check::Reject && !documented {
        return Err(Refusal::Check);
    }
    if rule.entropy > 0.0 && !documented {
        let has = entropy(value);
        if has < rule.entropy {
            return Err(Refusal::Entropy { has });
        }
    }
    let near = rule
        .context
        .as_ref()
        .map(|context| (speaks(context, around), context.required));
    let confidence = match (check, near) {
        (_, Some((false, true))) => return Err(Refusal::Context),
        (Check::Valid, _) => Confidence::ChecksumValid,
        (_, Some((true, _))) => Confidence::Context,
        _ => Confidence::Pattern,
    };
    Ok(Verdict {
        confidence,
        documented,
    })
}
