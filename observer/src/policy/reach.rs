//! Rules that can never decide, and parts of rules that cannot, because others stand before them.

use super::rules::Rule;
use crate::config::yaml::{Problem, shown};

/// Most comparisons of two rules. A policy with more pairs is looked through in part, and says so.
const MAX_PAIRS: usize = 3_000_000;
/// Most values of one condition that are looked at one by one.
const MAX_VALUES: usize = 50;

/// Warnings about the order of the rules of the file with this name.
pub(super) fn warnings(rules: &[Rule], file: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut pairs = 0;
    let mut say = |rule: &Rule, text: String| {
        found.push(Problem {
            file: file.to_owned(),
            line: rule.at.line,
            column: rule.at.column,
            message: format!("warning: {text}"),
        });
    };
    for (index, rule) in rules.iter().enumerate() {
        pairs += index * (1 + looked_at(rule));
        if pairs > MAX_PAIRS {
            say(
                rule,
                "the rules from here on were not looked through for ones that are never reached".to_owned(),
            );
            break;
        }
        let earlier = &rules[..index];
        match first_cover(earlier, |before| before.conditions.covers(&rule.conditions)) {
            Some(before) => say(rule, never(rule, before)),
            None => parts(earlier, rule).into_iter().for_each(|text| say(rule, text)),
        }
    }
    found
}

/// Values that [`parts`] looks at one by one.
fn looked_at(rule: &Rule) -> usize {
    let count = |written: usize| {
        if (2..=MAX_VALUES).contains(&written) {
            written
        } else {
            0
        }
    };
    rule.conditions
        .iter()
        .map(|(_, values)| count(values.written().count()))
        .sum()
}

fn first_cover(earlier: &[Rule], covers: impl Fn(&Rule) -> bool) -> Option<&Rule> {
    earlier.iter().find(|rule| covers(rule))
}

fn never(rule: &Rule, before: &Rule) -> String {
    let (id, other) = (shown(&rule.id), shown(&before.id));
    let why = if before.conditions.is_empty() {
        "takes every exchange"
    } else {
        "takes all that it would take"
    };
    let text = format!("rule `{id}` is never reached, because rule `{other}` before it {why}");
    if rule.verdict == before.verdict {
        text
    } else {
        let (mine, theirs) = (rule.verdict.name(), before.verdict.name());
        format!("{text}: {theirs} shadows {mine}")
    }
}

/// Values of one condition that earlier rules take, or all of them together.
fn parts(earlier: &[Rule], rule: &Rule) -> Vec<String> {
    let mut texts = Vec::new();
    for (attribute, values) in rule.conditions.iter() {
        if !(2..=MAX_VALUES).contains(&values.written().count()) {
            continue;
        }
        let taken: Vec<(String, &Rule)> = values
            .singles()
            .filter_map(|single| {
                let narrowed = rule.conditions.with(attribute, single.clone());
                let before = first_cover(earlier, |before| before.conditions.covers(&narrowed))?;
                Some((single.shown(), before))
            })
            .collect();
        let id = shown(&rule.id);
        if taken.len() == values.written().count() {
            let mut others: Vec<String> = taken.iter().map(|(_, r)| format!("`{}`", shown(&r.id))).collect();
            others.dedup();
            texts.push(format!(
                "rule `{id}` is never reached, because the rules {} before it take all that it would take",
                others.join(", ")
            ));
            return texts;
        }
        for (value, before) in taken
            .into_iter()
            .filter(|(_, before)| before.verdict != rule.verdict)
        {
            texts.push(format!(
                "in rule `{id}` the value `{}` of `{}` never counts, because rule `{}` before it takes it: {} shadows {}",
                shown(&value),
                attribute.name(),
                shown(&before.id),
                before.verdict.name(),
                rule.verdict.name()
            ));
        }
    }
    texts
}
