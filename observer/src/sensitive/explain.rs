//! What a rule makes of its own examples, for `observer rules explain`.

use regex::bytes::RegexBuilder;

use super::context::{AFTER_BYTES, Around};
use super::engine::Engine;
use super::judge::{Refusal, judge};
use super::redact::scan_text;
use super::rules::{Rule, expand_example};

/// What became of one example of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleVerdict {
    /// The example as it stands in the pack, with its templates: no value that could be real.
    pub template: String,
    /// The rule should find it.
    pub wanted: bool,
    /// It does.
    pub found: bool,
    /// Identifiers of the other rules that find something in it.
    pub others: Vec<String>,
    /// Why the rule does not count what its pattern fits, where that is the reason.
    pub refused: Option<Refusal>,
}

impl ExampleVerdict {
    /// Whether the rule does what the example asks of it.
    pub fn is_right(&self) -> bool {
        self.wanted == self.found
    }
}

/// Tries all examples of a rule with all rules of the engine, as in a scan.
pub fn examples(engine: &Engine, rule: &Rule) -> Vec<ExampleVerdict> {
    let wanted = rule.examples.iter().map(|template| (template, true));
    let not_wanted = rule.counter_examples.iter().map(|template| (template, false));
    wanted
        .chain(not_wanted)
        .map(|(template, wanted)| {
            let text = expand_example(template);
            let findings = scan_text(engine, [text.as_bytes()]).findings;
            let found = findings.iter().any(|f| f.rule_id == rule.id);
            let mut others: Vec<String> = findings.into_iter().map(|f| f.rule_id).collect();
            others.retain(|id| *id != rule.id);
            others.dedup();
            ExampleVerdict {
                template: template.clone(),
                wanted,
                found,
                others,
                refused: if found {
                    None
                } else {
                    refusal(rule, text.as_bytes())
                },
            }
        })
        .collect()
}

/// The reason for which the last value that the pattern fits is refused; `None` where it fits nowhere.
fn refusal(rule: &Rule, text: &[u8]) -> Option<Refusal> {
    let pattern = RegexBuilder::new(rule.form.core()).unicode(false).build().ok()?;
    let mut refused = None;
    for found in pattern.captures_iter(text) {
        let (Some(whole), value) = (found.get(0), found.get(1)) else {
            continue;
        };
        let before = whole.start().checked_sub(1).and_then(|at| text.get(at));
        if !rule.form.fits(before.copied(), text.get(whole.end()).copied()) {
            continue;
        }
        let value = value.unwrap_or(whole);
        let after = &text[value.end()..];
        let around = Around {
            before: &text[..value.start()],
            after: &after[..after.len().min(AFTER_BYTES)],
            alone: false,
        };
        if let Err(reason) = judge(rule, &around, value.as_bytes()) {
            refused = Some(reason);
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;

    #[test]
    fn each_example_has_its_verdict_and_a_refusal_its_reason() {
        let text = "version: '1'\nrules:\n  - {id: acme, name: n, class: credential, severity: low, pattern: 'acme_[a-z0-9]{8,20}', \
                    entropy: 3.0, match: ['acme_<lower:12>', 'acme_1'], no_match: ['acme_aabbaabbaabb', 'other', 'acme_<lower:10>', 'acme_xxxxxxxx']}\n";
        let (rules, problems) = Rules::parse("a", text);
        assert!(
            problems.is_empty() && rules.left_out().is_empty(),
            "{problems:?} {:?}",
            rules.left_out()
        );
        let engine = Engine::new(&rules).unwrap();
        let verdicts = examples(&engine, &rules.list()[0]);
        let right: Vec<bool> = verdicts.iter().map(ExampleVerdict::is_right).collect();
        assert_eq!(right, [true, false, true, true, false, true], "{verdicts:?}");
        assert!(
            matches!(verdicts[2].refused, Some(Refusal::Entropy { .. })),
            "{verdicts:?}"
        );
        assert_eq!(
            (verdicts[3].refused, verdicts[5].refused),
            (None, Some(Refusal::Placeholder))
        );
    }
}
