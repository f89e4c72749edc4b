//! Rules into one vectorscan database.

use std::sync::Arc;

use regex::bytes::RegexSet;
use vectorscan_rs::{Error as HsError, Flag, Pattern, StreamingDatabase};

use super::{First, Problem, Rule, assign, probe, read};

/// What a number that vectorscan reports stands for.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The rule of this number.
    Rule(usize),
    /// All rules of the form `assign`, which share one expression: hundreds of names of services as one alternation
    /// cost vectorscan little, as hundreds of expressions they cost most of its speed.
    Assigned {
        /// Numbers of the rules.
        members: Vec<usize>,
        /// For each of them, whether one of its words occurs.
        words: RegexSet,
    },
}

type Compiled = (Option<Arc<StreamingDatabase>>, Vec<Entry>);

/// Compiles all patterns together. Rules that vectorscan refuses, and rules that would look at nearly every byte, are
/// taken away and named in `left_out`.
pub(super) fn compile(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>) -> Compiled {
    let Some((database, entries)) = build(rules, left_out) else {
        return (None, Vec::new());
    };
    let slow = probe::too_slow(&database, &entries, rules.len());
    if slow.is_empty() {
        return (Some(database), entries);
    }
    for (number, hits) in slow.into_iter().rev() {
        let rule = rules.remove(number);
        left_out.push(rule.problem(&probe::reason(hits)));
    }
    match build(rules, left_out) {
        Some((database, entries)) => (Some(database), entries),
        None => (None, Vec::new()),
    }
}

/// vectorscan names one bad pattern at a time: its rule is left out and the rest tried again.
fn build(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>) -> Option<(Arc<StreamingDatabase>, Vec<Entry>)> {
    while !rules.is_empty() {
        let (entries, expressions) = expressions(rules, left_out)?;
        let patterns = (0..).zip(expressions);
        let patterns = patterns.map(|(id, text)| Pattern::new(text.into_bytes(), Flag::default(), Some(id)));
        let error = match StreamingDatabase::new(patterns.collect()) {
            Ok(database) => return Some((Arc::new(database), entries)),
            Err(error) => error,
        };
        let named = match &error {
            HsError::HyperscanCompile(_, index) => usize::try_from(*index).ok().and_then(|i| entries.get(i)),
            HsError::Nul(_) | HsError::Hyperscan(..) => None,
        };
        let mut numbers = match named {
            Some(Entry::Rule(number)) => vec![*number],
            Some(Entry::Assigned { members, .. }) => members.clone(),
            None => (0..rules.len()).collect(),
        };
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            let rule = rules.remove(number);
            left_out.push(rule.problem(&format!("vectorscan refuses its pattern: {error}")));
        }
    }
    None
}

/// The entries and, in their order, their expressions.
fn expressions(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>) -> Option<(Vec<Entry>, Vec<String>)> {
    let (mut entries, mut expressions) = (Vec::new(), Vec::new());
    let (mut members, mut words) = (Vec::new(), Vec::new());
    for (number, rule) in rules.iter().enumerate() {
        match &rule.first {
            First::Own(expression) => {
                entries.push(Entry::Rule(number));
                expressions.push(expression.clone());
            }
            First::Words(alternation) => {
                members.push(number);
                words.push(format!("(?i:{alternation})"));
            }
        }
    }
    if members.is_empty() {
        return Some((entries, expressions));
    }
    match read::build_set(&words) {
        Ok(set) => {
            expressions.push(assign::shared_expression(&words));
            entries.push(Entry::Assigned { members, words: set });
            Some((entries, expressions))
        }
        Err(reason) => {
            for number in members.into_iter().rev() {
                let rule = rules.remove(number);
                left_out.push(rule.problem(&format!("the words of all rules together: {reason}")));
            }
            self::expressions(rules, left_out)
        }
    }
}
