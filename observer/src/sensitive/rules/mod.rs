//! Rule packs: YAML in, compiled rules out, every problem named with file, line and rule.
//!
//! A pattern is written once, in the syntax of the `regex` crate with ASCII classes (no look-around, no back reference).
//! What may not stand directly before and after a value is said apart, in `before` and `after`, as the inside of a
//! character class: a token in the middle of a longer one is not that token. What makes the scan look at a rule is read
//! off its pattern (`trigger`).
//!
//! A rule with a mistake is left out and named; the others work. Text that is no rule pack at all is an error.

mod assign;
mod builtin;
mod bytes;
mod compile;
mod example;
mod form;
mod head;
mod probe;
mod read;
mod run;
mod spelling;
mod trigger;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

use super::validate::Validator;
use super::{Class, Severity};
use crate::config::yaml::{self, Position, Problem, Reader, shown};

pub use builtin::BUILTIN;
pub use example::expand_example;
pub use trigger::{Literal, Literals, Trigger};

pub(super) use bytes::ByteSet;
pub(super) use compile::{Begin, Group, Plan, Target};
pub(super) use form::Form;
pub(super) use trigger::{MAX_LITERAL, MAX_SIGN_AT};

/// Most rules in one set.
pub const MAX_RULES: usize = 2_000;
/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 4_096;
/// Bytes before a value that `unless_before` sees.
pub const BEFORE_BYTES: usize = 128;

/// Words near a match that speak for it.
#[derive(Debug, Clone)]
pub struct Context {
    /// Words in lower case, at least one of which must occur before the value.
    pub words: Vec<String>,
    /// As `words`, with no letter or digit directly before and after them.
    pub whole: Vec<String>,
    /// How far before the value they are looked for, in bytes.
    pub within: usize,
    /// Without a word the match does not count.
    pub required: bool,
    /// Words count after the value too.
    pub after: bool,
    /// In a text that is nothing but values no word is needed.
    pub alone: bool,
    /// Numbers of the words in [`Plan::words`], ascending.
    pub(super) numbers: Vec<u32>,
}

/// How much a rule knows about what it finds. Where values overlap, the one that knows most counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Any value that something near it calls a secret (`fallback: true`).
    General,
    /// A value that is assigned to the name of a service (`assign`).
    Assigned,
    /// A form of its own.
    Special,
}

/// One rule, compiled.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Identifier as stored, for example `aws_access_key_id`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Kind of what it finds.
    pub class: Class,
    /// Severity of a real one.
    pub severity: Severity,
    /// How special it is.
    pub rank: Rank,
    /// Check of the value.
    pub validator: Option<Validator>,
    /// Least entropy of the value, in bits per byte; 0 for no floor.
    pub entropy: f64,
    /// Words that speak for a match.
    pub context: Option<Context>,
    /// Texts that must be found by this rule, templates as in [`expand_example`].
    pub examples: Vec<String>,
    /// Texts that must not.
    pub counter_examples: Vec<String>,
    /// Patterns of what may not stand before a value, tried on up to [`BEFORE_BYTES`] bytes before it.
    pub(super) unless_before: Vec<Regex>,
    /// Values that are placeholders, not data: never reported.
    pub(super) placeholders: Vec<Regex>,
    /// Published example values: reported as such.
    pub(super) documented: Vec<Regex>,
    /// What belongs to the value after the match, for redaction (the rest of a key block).
    pub(super) extend: Option<Regex>,
    /// Its pattern.
    pub(super) form: Form,
    at: Position,
    file: String,
}

impl Rule {
    /// Patterns of values that are never reported.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.placeholders.iter().map(Regex::as_str)
    }

    /// Patterns of published examples.
    pub fn documented(&self) -> impl Iterator<Item = &str> {
        self.documented.iter().map(Regex::as_str)
    }

    /// Patterns of what may not stand before a value.
    pub fn unless_before(&self) -> impl Iterator<Item = &str> {
        self.unless_before.iter().map(Regex::as_str)
    }

    /// File and line in which it is written.
    pub fn source(&self) -> (&str, usize) {
        (&self.file, self.at.line)
    }

    /// What makes the scan look at this rule.
    pub fn trigger(&self) -> &Trigger {
        self.form.trigger()
    }

    /// The whole pattern, with what may stand around it, as one expression. For benchmarks, which compare with vectorscan
    /// alone.
    pub fn expression(&self) -> String {
        self.form.expression()
    }

    fn problem(&self, reason: &str) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.at.line,
            column: self.at.column,
            message: format!("rule `{}` left out: {reason}", self.id),
        }
    }
}

/// A set of rules, and how to find where to try them. Cheap to clone, may go to another thread.
#[derive(Debug, Clone)]
pub struct Rules {
    version: String,
    digest: [u8; 32],
    rules: Vec<Arc<Rule>>,
    plan: Arc<Plan>,
    left_out: Vec<Problem>,
}

impl Rules {
    /// The built-in packs, read once; an error is a mistake in them that a test finds before a user does.
    pub fn builtin() -> Result<Self, Vec<Problem>> {
        static RULES: OnceLock<Result<Rules, Vec<Problem>>> = OnceLock::new();
        let read = || {
            let (rules, mut problems) = Self::load(BUILTIN, &[]);
            problems.extend(rules.left_out.iter().cloned());
            if problems.is_empty() {
                Ok(rules)
            } else {
                Err(problems)
            }
        };
        RULES.get_or_init(read).clone()
    }

    /// One pack, as [`Self::load`].
    pub fn parse(file: &str, text: &str) -> (Self, Vec<Problem>) {
        Self::load(&[(file, text)], &[])
    }

    /// Several packs, each a file name and its text, without the rules named in `disable`.
    ///
    /// The problems returned are those of whole files (no YAML, no `rules`, no `version`) and of names in `disable`
    /// that no rule has. A rule that cannot be used is left out and named by [`Self::left_out`]; so is a second rule
    /// of the same identifier. The version is that of each pack, each one once, joined by `+`, with the number of
    /// rules that were left out.
    pub fn load(packs: &[(&str, &str)], disable: &[String]) -> (Self, Vec<Problem>) {
        let mut rules: Vec<Rule> = Vec::new();
        let mut versions: Vec<String> = Vec::new();
        let (mut problems, mut left_out) = (Vec::new(), Vec::new());
        let mut digest = Sha256::new();
        for (file, text) in packs {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text.as_bytes());
            let mut reader = Reader::new(file);
            match yaml::parse(file, text) {
                Ok(root) => {
                    let version = read::pack(&mut reader, file, root.as_ref(), &mut rules, &mut left_out);
                    versions.extend(version.filter(|v| !versions.contains(v)));
                }
                Err(problem) => reader.add(problem),
            }
            problems.extend(reader.finish());
        }
        problems.extend(disable_rules(&mut rules, &left_out, disable));
        for id in disable {
            digest.update(b"-");
            digest.update(id.as_bytes());
        }
        let plan = Arc::new(compile::compile(&mut rules, &mut left_out));
        let loaded = Self {
            version: version_of(&versions, &left_out),
            digest: digest.finalize().into(),
            rules: rules.into_iter().map(Arc::new).collect(),
            plan,
            left_out,
        };
        (loaded, problems)
    }

    /// Version of the pack or packs, as stored in `rule_version`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 over the text of all packs and the list of disabled rules, as stored in `rule_pack_sha256`.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The rules in use.
    pub fn list(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Why which rules are not in use, one problem each or more; whoever loads rules says so loudly.
    pub fn left_out(&self) -> &[Problem] {
        &self.left_out
    }

    /// How to find where the rules are tried.
    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

/// A version that tells packs in full from packs in part.
fn version_of(versions: &[String], left_out: &[Problem]) -> String {
    let joined = versions.join("+");
    match left_out.len() {
        0 => joined,
        n => format!("{joined} ({n} left out)"),
    }
}

fn disable_rules(rules: &mut Vec<Rule>, left_out: &[Problem], disable: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for id in disable {
        let before = rules.len();
        rules.retain(|rule| rule.id != *id);
        // A rule that is left out anyway may be disabled: that is how its message is answered.
        let named = |p: &Problem| p.message.starts_with(&format!("rule `{id}` left out"));
        if rules.len() == before && !left_out.iter().any(named) {
            let message = format!("rules.disable names `{}`, which is no rule", shown(id));
            problems.push(Problem {
                file: "configuration".to_owned(),
                line: 0,
                column: 0,
                message,
            });
        }
    }
    problems
}
