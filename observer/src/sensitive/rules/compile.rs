//! All rules together: which literal, sign or word leads to which of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use vectorscan_rs::{BlockDatabase, Flag, Pattern};

use super::{ByteSet, Literal, Problem, Rule, Trigger, probe};
use crate::sensitive::find::machine::Pairs;
use crate::sensitive::find::signs::{Need, Signs};
use crate::sensitive::find::words::Words;

/// How to find where rules are tried.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Finds all literals; `None` where there are none.
    pub(crate) literals: Option<BlockDatabase>,
    /// For each literal its length in bytes.
    pub(crate) lengths: Vec<usize>,
    /// For each literal what it leads to.
    pub(crate) targets: Vec<Vec<Target>>,
    /// Finds where numbers may begin; `None` where no rule wants that.
    pub(crate) signs: Option<Signs>,
    /// Rules that are tried there, by their place in the machine that tries them together.
    pub(crate) numbers: Vec<usize>,
    /// With which bytes a number may begin, once it was needed; inside `None` where that cannot be told.
    pub(crate) begins: OnceLock<Option<Pairs>>,
    /// By that place, whether the rule finds something without a word near the value.
    pub(crate) wordless: Vec<bool>,
    /// By the number of a word, the places of the rules that want it.
    pub(crate) wanted_by: Vec<Vec<usize>>,
    /// Finds words near values.
    pub(crate) words: Words,
    /// By that place, how many bytes before the value the rule looks for words.
    pub(crate) within: Vec<usize>,
}

/// Where a rule is tried once a literal was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Number of the rule.
    pub(crate) rule: usize,
    /// Where the match may begin.
    pub(crate) at: Begin,
}

/// See [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// So many bytes before the literal's first: at least, at most; of this set.
    Before(usize, Option<usize>, ByteSet),
    /// Behind the literal's last byte, at most so many bytes.
    Behind(usize),
}

/// Makes the plan. Rules that would look at nearly every byte are taken away and named in `left_out`.
pub(super) fn compile(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>) -> Plan {
    let signs = signs(rules, left_out);
    let mut plan = match literals(rules) {
        Ok(plan) => plan,
        Err(error) => return none(rules, left_out, &error),
    };
    let slow = probe::too_slow(&plan, rules.len());
    if !slow.is_empty() {
        for (number, hits) in slow.into_iter().rev() {
            let rule = rules.remove(number);
            left_out.push(rule.problem(&probe::reason(hits)));
        }
        plan = match literals(rules) {
            Ok(plan) => plan,
            Err(error) => return none(rules, left_out, &error),
        };
    }
    let by_sign = |rule: &Rule| matches!(rule.form.trigger(), Trigger::Sign(..));
    plan.numbers = (0..rules.len()).filter(|n| by_sign(&rules[*n])).collect();
    plan.signs = signs.filter(|_| !plan.numbers.is_empty());
    if !words(rules, &mut plan) {
        return none(rules, left_out, "too many words of context");
    }
    plan
}

/// Nothing works without the plan, so no rule is in use, and all are named.
fn none(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>, reason: &str) -> Plan {
    left_out.extend(rules.drain(..).map(|rule| rule.problem(reason)));
    Plan::default()
}

/// What finds the numbers; a rule whose sign cannot be looked for with the others gets another trigger or is left out.
fn signs(rules: &mut Vec<Rule>, left_out: &mut Vec<Problem>) -> Option<Signs> {
    let mut signs = Signs::default();
    rules.retain_mut(|rule| {
        let Trigger::Sign(set, at) = rule.form.trigger() else {
            return true;
        };
        let need = Need {
            signs: *set,
            at: *at,
            first: rule.form.first,
            before: rule.form.before,
        };
        if signs.add(&need) {
            return true;
        }
        match rule.form.without_sign() {
            Ok(()) => true,
            Err(reason) => {
                left_out.push(rule.problem(&reason));
                false
            }
        }
    });
    Some(signs)
}

fn literals(rules: &[Rule]) -> Result<Plan, String> {
    let mut targets: BTreeMap<&Literal, Vec<Target>> = BTreeMap::new();
    for (rule, form) in rules.iter().map(|rule| &rule.form).enumerate() {
        let (list, at) = match form.trigger() {
            Trigger::Inside(found) => (&found.list, Begin::Before(found.least, found.most, found.lead)),
            Trigger::Before(list, span) => (list, Begin::Behind(*span)),
            Trigger::Sign(..) => continue,
        };
        for literal in list {
            targets.entry(literal).or_default().push(Target { rule, at });
        }
    }
    let mut plan = Plan {
        lengths: targets.keys().map(|literal| literal.bytes.len()).collect(),
        ..Plan::default()
    };
    if !targets.is_empty() {
        let patterns = (0..).zip(targets.keys()).map(|(id, literal)| {
            let flag = if literal.caseless {
                Flag::CASELESS
            } else {
                Flag::default()
            };
            let escaped: String = literal.bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
            Pattern::new(escaped.into_bytes(), flag, Some(id))
        });
        let database = BlockDatabase::new(patterns.collect());
        plan.literals = Some(database.map_err(|error| format!("vectorscan refuses the literals: {error}"))?);
    }
    plan.targets = targets.into_values().collect();
    Ok(plan)
}

/// Gives each word of context its number. `false` where they are too many.
fn words(rules: &mut [Rule], plan: &mut Plan) -> bool {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let contexts = || rules.iter().filter_map(|rule| rule.context.as_ref());
    for word in contexts().flat_map(|c| c.words.iter().chain(&c.whole)) {
        numbers.entry(word.clone()).or_default();
    }
    for (number, place) in (0..).zip(numbers.values_mut()) {
        *place = number;
    }
    plan.wanted_by = vec![Vec::new(); numbers.len()];
    for context in rules.iter_mut().filter_map(|rule| rule.context.as_mut()) {
        let all = context.words.iter().chain(&context.whole);
        context.numbers = all.filter_map(|word| numbers.get(word).copied()).collect();
        context.numbers.sort_unstable();
    }
    for (place, rule) in plan.numbers.iter().map(|number| &rules[*number]).enumerate() {
        let context = rule.context.as_ref().filter(|context| context.required);
        plan.wordless.push(context.is_none());
        plan.within.push(context.map_or(0, |context| context.within));
        for word in context.iter().flat_map(|context| &context.numbers) {
            if let Some(list) = usize::try_from(*word)
                .ok()
                .and_then(|word| plan.wanted_by.get_mut(word))
            {
                list.push(place);
            }
        }
    }
    let list: Vec<String> = numbers.into_keys().collect();
    match Words::new(&list) {
        Some(words) => {
            plan.words = words;
            true
        }
        None => false,
    }
}
