//! Why an exchange gets its verdict, step by step, for people.

use super::Reason;
use super::attributes::Subject;
use super::dates;
use super::judge::{Judge, Judgement};
use super::register::{Entry, Standing};

/// Rules that did not fit are named up to this many; of more only the number.
const MAX_RULES: usize = 20;

/// A verdict with the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'j> {
    /// The verdict.
    pub judgement: Judgement<'j>,
    /// What decided, in one sentence.
    pub why: String,
    /// Rules before the one that fitted: identifier and why it did not fit.
    pub passed: Vec<(&'j str, String)>,
    /// Of these, ones that are left out of `passed`.
    pub more: usize,
}

impl Judge {
    /// As [`Self::judge`], with the reasons.
    pub fn explain<'j: 's, 's>(&'j self, subject: &Subject<'s>) -> Explanation<'j> {
        let judgement = self.judge(subject);
        let (subject, standing, entry) = self.with_standing(subject);
        let mut passed = Vec::new();
        let mut more = 0;
        for rule in self.policy.rules() {
            let Some(why) = rule.conditions.why_not(&subject) else {
                break;
            };
            if passed.len() < MAX_RULES {
                passed.push((rule.id.as_str(), why));
            } else {
                more += 1;
            }
        }
        Explanation {
            why: why(self, &judgement, standing, entry),
            judgement,
            passed,
            more,
        }
    }
}

fn why(
    judge: &Judge,
    judgement: &Judgement<'_>,
    standing: Option<Standing>,
    entry: Option<&Entry>,
) -> String {
    let verdict = judgement.verdict.name();
    let of_register = match (standing, entry) {
        (Some(standing), Some(entry)) => format!("{}, {}", of_entry(standing, entry), entry_facts(entry)),
        (Some(_), None) => "no entry of the register is about this call".to_owned(),
        (None, _) => "there is no register".to_owned(),
    };
    match judgement.reason {
        Reason::Rule => format!(
            "rule `{}` is the first that fits: {verdict} ({of_register})",
            judgement.rule_id
        ),
        Reason::Default => {
            format!("no rule fits, so the default of the policy counts: {verdict} ({of_register})")
        }
        Reason::NoPolicy => "there is neither a policy nor a register".to_owned(),
        Reason::NotInRegister if judge.policy.is_none() => format!("{of_register}: {verdict}"),
        Reason::NotInRegister => {
            format!("{of_register} and no rule fits, so the default of the policy counts: {verdict}")
        }
        _ if standing.is_some_and(Standing::refuses) => {
            format!("{of_register}: {verdict}, whatever the rules say")
        }
        _ => format!("no rule fits, and {of_register}: {verdict}"),
    }
}

fn of_entry(standing: Standing, entry: &Entry) -> String {
    let (id, system) = (&entry.id, &entry.system);
    let said = match standing {
        Standing::Expired => format!(
            "its approval ended on {}",
            dates::day(entry.valid_until.saturating_sub(1))
        ),
        Standing::NotYetValid => format!("its approval begins on {}", dates::day(entry.valid_from)),
        Standing::DataClassNotAllowed => {
            let allowed = entry.allowed_data_classes.as_deref().unwrap_or_default();
            format!(
                "it allows only these kinds of sensitive data: [{}]",
                allowed.join(", ")
            )
        }
        other => format!("it is {}", other.name()),
    };
    format!("entry `{id}` of the register ({system}) is about this call, and {said}")
}

fn entry_facts(entry: &Entry) -> String {
    let owner = format!("owner {}", entry.owner);
    if entry.approval.is_empty() {
        owner
    } else {
        format!("approval {}, {owner}", entry.approval)
    }
}
