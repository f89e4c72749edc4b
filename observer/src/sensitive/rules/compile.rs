//! All rules together: which literal, sign or word leads to which of them.

use std::collections::BTreeMap;

use vectorscan_rs::{BlockDatabase, Flag, Pattern};

use super::run::Run;
use super::{ByteSet, Context, Form, Literal, Problem, Rule, Trigger, probe};
use crate::sensitive::context::AFTER_BYTES;
use crate::sensitive::find::heads::{BITS, Head, Heads, Which};
use crate::sensitive::find::signs::{NEAR, Need, Signs};
use crate::sensitive::find::words::Words;
use crate::sensitive::locate::REACH;

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
    /// How their matches begin.
    pub(crate) heads: Heads,
    /// By that place, the bits that the rule has in `heads`.
    pub(crate) bits: Vec<Which>,
    /// Those that find something without a word near the value, and those that want one.
    pub(crate) free: Group,
    pub(crate) wanting: Group,
    /// By that place, whether the rule finds something without a word near the value.
    pub(crate) wordless: Vec<bool>,
    /// By the number of a word, the rules of numbers that want it.
    pub(crate) wanted_by: Vec<Wanted>,
    /// Finds words near values.
    pub(crate) words: Words,
    /// By place in `numbers`, how many bytes before and behind the begin of a number a word may begin that the rule wants.
    pub(crate) around: Vec<(usize, usize)>,
    /// The most of both.
    pub(crate) widest: (usize, usize),
}

impl Plan {
    /// The stretch in which the words stand that rules of numbers want near a number that begins here.
    pub(crate) fn stretch(&self, start: usize) -> (usize, usize) {
        let (before, behind) = self.widest;
        (start.saturating_sub(before), start + behind)
    }
}

/// Rules of numbers that one machine tries together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Their places in [`Plan::numbers`], by their number in the machine.
    pub(crate) places: Vec<usize>,
    /// The same as a set.
    pub(crate) all: Which,
}

/// Rules of numbers that want a word, by their places in [`Plan::numbers`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) all: Which,
    pub(crate) list: Vec<usize>,
}

/// Where a rule is tried once a literal was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Number of the rule.
    pub(crate) rule: usize,
    /// Where the match may begin.
    pub(crate) at: Begin,
    /// Bytes of which one is directly before and directly behind the literal wherever there is a match.
    pub(crate) beside: (ByteSet, ByteSet),
    /// What is behind the literal wherever there is a match.
    pub(crate) behind: Option<Run>,
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
    begins(rules, &mut plan);
    if let Err(error) = words(rules, &mut plan) {
        return none(rules, left_out, &format!("vectorscan refuses the words: {error}"));
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
            targets.entry(literal).or_default().push(Target {
                rule,
                at,
                beside: form.beside,
                behind: form.behind,
            });
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

/// Gives each word of context its number, and each rule of numbers its group.
fn words(rules: &mut [Rule], plan: &mut Plan) -> Result<(), vectorscan_rs::Error> {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let contexts = || rules.iter().filter_map(|rule| rule.context.as_ref());
    for word in contexts().flat_map(|c| c.words.iter().chain(&c.whole)) {
        numbers.entry(word.clone()).or_default();
    }
    for (number, place) in (0..).zip(numbers.values_mut()) {
        *place = number;
    }
    plan.wanted_by = vec![Wanted::default(); numbers.len()];
    for context in rules.iter_mut().filter_map(|rule| rule.context.as_mut()) {
        let all = context.words.iter().chain(&context.whole);
        context.numbers = all.filter_map(|word| numbers.get(word).copied()).collect();
        context.numbers.sort_unstable();
    }
    for (place, rule) in plan.numbers.iter().map(|number| &rules[*number]).enumerate() {
        let context = rule.context.as_ref().filter(|context| context.required);
        plan.wordless.push(context.is_none());
        let group = match context {
            Some(_) => &mut plan.wanting,
            None => &mut plan.free,
        };
        group.places.push(place);
        group.all.add_all(plan.bits[place]);
        let around = context.map_or((0, 0), |context| (context.within, ahead(rule, context)));
        plan.around.push(around);
        plan.widest = (plan.widest.0.max(around.0), plan.widest.1.max(around.1));
        for word in context.iter().flat_map(|context| &context.numbers) {
            let wanted = usize::try_from(*word)
                .ok()
                .and_then(|word| plan.wanted_by.get_mut(word));
            if let Some(wanted) = wanted {
                wanted.all.add_all(plan.bits[place]);
                wanted.list.push(place);
            }
        }
    }
    let list: Vec<String> = numbers.into_keys().collect();
    plan.words = Words::new(&list)?;
    Ok(())
}

/// How matches of the rules of numbers begin. Each rule has one bit, or one for each of its alternatives; those that begin like
/// most text go first where there are not enough bits.
fn begins(rules: &[Rule], plan: &mut Plan) {
    let forms: Vec<&Form> = plan.numbers.iter().map(|number| &rules[*number].form).collect();
    let mut order: Vec<usize> = (0..forms.len()).collect();
    order.sort_by(|a, b| forms[*a].head.rarity().total_cmp(&forms[*b].head.rarity()));
    let mut spare = BITS.saturating_sub(forms.len());
    plan.bits = vec![Which::default(); forms.len()];
    let mut all: Vec<Head<'_>> = Vec::new();
    for place in order {
        let form = forms[place];
        let more = form.branches.len().saturating_sub(1);
        let heads = if more <= spare && more > 0 {
            spare -= more;
            form.branches.as_slice()
        } else {
            std::slice::from_ref(&form.head)
        };
        for head in heads {
            plan.bits[place].add(all.len());
            all.push(Head {
                before: form.before,
                sets: head.sets(),
                far: matches!(form.trigger(), Trigger::Sign(_, at) if *at > NEAR),
            });
        }
    }
    plan.heads = Heads::of(all.into_iter());
}

/// How far behind the begin of a match a word that the rule wants may begin.
fn ahead(rule: &Rule, context: &Context) -> usize {
    let longest = rule.form.longest.unwrap_or(REACH).min(REACH);
    match (context.after, rule.form.is_grouped()) {
        (true, _) => longest + AFTER_BYTES,
        (false, true) => longest,
        (false, false) => 0,
    }
}
