//! Before a connection is made: which rule stops it for certain, whatever is not known yet turns out to be.
//!
//! A rule that may fit and would not stop it ends the search: nothing is stopped that policy might allow. So a process that
//! was not looked at yet, and what only the call itself shows, never close a door by themselves.

use super::Verdict;
use super::attributes::{Attribute, Subject};
use super::conditions::Conditions;
use super::judge::Judge;
use super::rules::{Enforce, Rule};
use crate::config::yaml::{Position, Problem, Reader, shown};

/// Some of the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u32);

impl Attributes {
    /// These.
    pub const fn of(list: &[Attribute]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is among them.
    pub fn has(self, attribute: Attribute) -> bool {
        self.0 >> attribute as u32 & 1 == 1
    }
}

/// What only the call shows, or what is read when a program has connected first.
pub const LATE: Attributes = Attributes::of(&[
    Attribute::Model,
    Attribute::Operation,
    Attribute::Path,
    Attribute::Account,
    Attribute::ClaimedAccount,
    Attribute::Client,
    Attribute::McpServer,
    Attribute::McpServerExecutable,
    Attribute::Role,
    Attribute::ExecutableSha256,
]);
/// What names whom a rule is about.
const TARGETS: Attributes = Attributes::of(&[
    Attribute::Host,
    Attribute::Provider,
    Attribute::System,
    Attribute::Register,
]);
/// What the register says.
const OF_REGISTER: Attributes = Attributes::of(&[Attribute::System, Attribute::Register]);

/// Whether conditions fit, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    Maybe,
}

/// A rule that stops a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoppedBy<'j> {
    /// Its identifier.
    pub rule_id: &'j str,
    /// Nothing is stopped, it is recorded only.
    pub dry_run: bool,
    /// It names hosts, which need not be known as AI then.
    pub names_host: bool,
}

impl Conditions {
    /// As [`Self::fits`], where `unknown` may turn out to be anything, and so may findings.
    pub(super) fn fits_before(&self, subject: &Subject<'_>, unknown: Attributes) -> Fit {
        let mut fit = if self.asks_findings() {
            Fit::Maybe
        } else {
            Fit::Yes
        };
        for (attribute, values) in self.iter() {
            if subject.values(attribute).any(|fact| values.matches(fact)) {
                continue;
            }
            if !unknown.has(attribute) {
                return Fit::No;
            }
            fit = Fit::Maybe;
        }
        fit
    }

    /// Whether each of these conditions fits by itself, one bit for each condition on one of `attributes`.
    fn signature(&self, subject: &Subject<'_>, attributes: Attributes, bits: &mut Vec<bool>) {
        let asked = self.iter().filter(|(attribute, _)| attributes.has(*attribute));
        bits.extend(
            asked.map(|(attribute, values)| subject.values(attribute).any(|fact| values.matches(fact))),
        );
    }
}

impl Judge {
    /// Whether a rule may stop a connection of which `unknown` is not known: without one it is not looked at again.
    pub fn may_stop(&self, subject: &Subject<'_>, unknown: Attributes) -> bool {
        let unknown = unknown.and(LATE).and(OF_REGISTER);
        let mut enforced = self
            .policy
            .rules()
            .iter()
            .filter(|rule| rule.enforce != Enforce::No);
        enforced.any(|rule| rule.conditions.fits_before(subject, unknown) != Fit::No)
    }

    /// The rule that stops a connection of which `unknown` is not known, beside [`LATE`]. `None`: it may be made.
    pub fn stops(&self, subject: &Subject<'_>, unknown: Attributes) -> Option<StoppedBy<'_>> {
        let mut unknown = unknown.and(LATE);
        let mut subject = subject.clone();
        if self.policy.asks_register() {
            if self.register_is_sure(&subject, unknown) {
                subject = self.with_standing(&subject).0;
            } else {
                unknown = unknown.and(OF_REGISTER);
            }
        }
        let mut is_dry = false;
        for rule in self.policy.rules() {
            match rule.conditions.fits_before(&subject, unknown) {
                Fit::Yes => return stopped(rule, is_dry),
                Fit::Maybe if rule.enforce == Enforce::No => return None,
                // One that may stop it: what comes after has to stop it, too, and no more than this one would.
                Fit::Maybe => is_dry |= rule.enforce == Enforce::DryRun,
                Fit::No => {}
            }
        }
        None
    }

    /// Whether the register says the same whatever turns out.
    fn register_is_sure(&self, subject: &Subject<'_>, unknown: Attributes) -> bool {
        let Some(register) = &self.register else {
            return true;
        };
        let unsure = |conditions: &Conditions| conditions.fits_before(subject, unknown) == Fit::Maybe;
        let limits =
            |(_, entry): (_, Option<&super::Entry>)| entry.is_some_and(|e| e.allowed_data_classes.is_some());
        !register.entries().iter().any(|entry| unsure(&entry.conditions)) && !limits(register.ask(subject))
    }

    /// What tells users or processes apart: two with the same signature are judged the same, whatever else is the same.
    /// Empty where no condition asks for any of `attributes`.
    pub fn signature(&self, subject: &Subject<'_>, attributes: Attributes) -> Vec<bool> {
        let mut bits = Vec::new();
        let rules = self.policy.rules();
        let last = rules.iter().rposition(|rule| rule.enforce != Enforce::No);
        for rule in &rules[..last.map_or(0, |last| last + 1)] {
            rule.conditions.signature(subject, attributes, &mut bits);
        }
        if self.policy.asks_register() {
            let entries = self.register.iter().flat_map(|register| register.entries());
            entries.for_each(|entry| entry.conditions.signature(subject, attributes, &mut bits));
        }
        bits
    }
}

/// With `is_dry` a rule before it, which may fit, is a dry run.
fn stopped(rule: &Rule, is_dry: bool) -> Option<StoppedBy<'_>> {
    (rule.enforce != Enforce::No).then(|| StoppedBy {
        rule_id: &rule.id,
        dry_run: is_dry || rule.enforce == Enforce::DryRun,
        names_host: rule.conditions.of(Attribute::Host).is_some(),
    })
}

/// Notes what keeps a rule (`what`), whose `enforce` stands at `at`, from being enforced. No verdict: that is a mistake which is told already.
pub(super) fn check(
    reader: &mut Reader,
    at: Position,
    what: &str,
    (verdict, conditions): (Option<Verdict>, &Conditions),
) {
    let mut problem = |text: String| reader.problem(at, format!("{what}: `enforce` {text}"));
    if let Some(verdict) = verdict.filter(|verdict| *verdict != Verdict::Unsanctioned) {
        let verdict = verdict.name();
        problem(format!(
            "needs the verdict unsanctioned, not {verdict}: only what is not allowed is stopped"
        ));
    }
    let late: Vec<&str> = conditions
        .iter()
        .map(|(attribute, _)| attribute)
        .filter(|attribute| LATE.has(*attribute))
        .map(Attribute::name)
        .chain(conditions.asks_findings().then_some("finding_*"))
        .collect();
    if !late.is_empty() {
        problem(format!(
            "cannot go with {}, which nobody knows before the connection is made; leave `enforce` out of this rule, or the \
             condition",
            late.join(", ")
        ));
    }
    let mut targets = conditions.iter().filter(|(attribute, _)| TARGETS.has(*attribute));
    let first = targets.next();
    if first.is_none() {
        problem(
            "needs `host`, `provider`, `system` or `register`, or it would stop every connection".to_owned(),
        );
    }
    let all = first
        .into_iter()
        .chain(targets)
        .find(|(_, values)| values.has_all());
    if let Some((attribute, _)) = all {
        problem(format!(
            "cannot go with `{}: *`, which would stop every connection; name what is to be stopped",
            attribute.name()
        ));
    }
}

/// Rules that are enforced in part or never, since a rule before them may let the same call through by what is known later.
pub(super) fn warnings(rules: &[Rule], file: &str) -> Vec<Problem> {
    /// Most comparisons: as in `reach`.
    const MAX_PAIRS: usize = 3_000_000;
    let is_late = |rule: &&Rule| {
        let late = rule.conditions.iter().any(|(attribute, _)| LATE.has(attribute));
        rule.enforce == Enforce::No && (late || rule.conditions.asks_findings())
    };
    let late: Vec<(usize, &Rule)> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| is_late(rule))
        .collect();
    let mut left = MAX_PAIRS;
    let mut found = Vec::new();
    for (index, rule) in rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.enforce != Enforce::No)
    {
        let before = late.iter().take_while(|(at, _)| *at < index);
        let mut meets = before.filter(|_| {
            left = left.saturating_sub(1);
            left > 0
        });
        let Some((_, other)) = meets.find(|(_, other)| other.conditions.meets(&rule.conditions)) else {
            continue;
        };
        found.push(Problem {
            file: file.to_owned(),
            line: rule.at.line,
            column: rule.at.column,
            message: format!(
                "warning: rule `{}` is not enforced where rule `{}` before it may fit, which only the call itself shows; put it \
                 before that rule, or name other hosts",
                shown(&rule.id),
                shown(&other.id)
            ),
        });
    }
    found
}
