//! `observer rules explain`: one rule, and what becomes of its examples.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::super::{Failure, Format, out};
use super::{Common, load, no_such_rule};
use crate::report::table::{Tone, left, render, toned};
use crate::sensitive::judge::Refusal;
use crate::sensitive::rules::Trigger;
use crate::sensitive::validate::Validator;
use crate::sensitive::{Engine, ExampleVerdict, Rule, examples};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Identifier of the rule, as `observer rules list` shows it.
    id: String,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let rules = load(&args.common)?;
    let Some(rule) = rules.list().iter().find(|rule| rule.id == args.id) else {
        return Err(no_such_rule(&rules, &args.id).into());
    };
    let engine = Engine::new(&rules)?;
    let verdicts = examples(&engine, rule);
    match args.common.format {
        Format::Table => out::print(&as_text(rule, &verdicts))?,
        Format::Json => out::print_json(&as_json(rule, &verdicts))?,
    }
    Ok(if verdicts.iter().all(ExampleVerdict::is_right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the rule asks for, as names and texts in the order in which they are judged.
fn asks(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut asks = Vec::new();
    asks.push(("pattern", rule.expression()));
    asks.push(("looked for at", looked_for(rule)));
    let list = |patterns: Vec<&str>| patterns.join("   ");
    for (name, patterns) in [
        ("placeholders", rule.placeholders().collect::<Vec<_>>()),
        ("unless before", rule.unless_before().collect()),
        ("documented", rule.documented().collect()),
    ] {
        if !patterns.is_empty() {
            asks.push((name, list(patterns)));
        }
    }
    if let Some(validator) = rule.validator {
        asks.push(("validator", described(validator)));
    }
    if rule.entropy > 0.0 {
        asks.push(("entropy", format!("{} bits per byte at least", rule.entropy)));
    }
    if let Some(context) = &rule.context {
        let words: Vec<&str> = context
            .words
            .iter()
            .chain(&context.whole)
            .map(String::as_str)
            .collect();
        let effect = if context.required {
            "needed"
        } else {
            "raises the confidence"
        };
        let place = if context.after {
            "before or after"
        } else {
            "before"
        };
        asks.push((
            "context",
            format!(
                "{}: {effect}, within {} bytes {place} the value",
                words.join(", "),
                context.within
            ),
        ));
    }
    asks
}

/// The texts that lead the scan to this rule, each once.
fn literals(rule: &Rule) -> Vec<String> {
    let list = match rule.trigger() {
        Trigger::Inside(found) => &found.list,
        Trigger::Before(list, _) => list,
        Trigger::Sign(..) => return Vec::new(),
    };
    list.iter()
        .map(|literal| literal.bytes.escape_ascii().to_string())
        .collect()
}

fn looked_for(rule: &Rule) -> String {
    let all = literals(rule)
        .iter()
        .map(|l| format!("`{l}`"))
        .collect::<Vec<_>>()
        .join(" ");
    match rule.trigger() {
        Trigger::Inside(_) => format!("{all} in the match"),
        Trigger::Before(_, span) => format!("{all} at most {span} bytes before the match"),
        Trigger::Sign(_, at) => format!("a digit or sign at most {at} bytes behind the begin of a word"),
    }
}

fn described(validator: Validator) -> String {
    let at = Validator::ALL
        .iter()
        .position(|v| *v == validator)
        .unwrap_or_default();
    format!("{}:{}", Validator::NAMES[at], Validator::SUMMARIES[at])
}

fn reason(refusal: Refusal) -> String {
    match refusal {
        Refusal::Placeholder => "a placeholder".to_owned(),
        Refusal::Before => "refused for what stands before it".to_owned(),
        Refusal::Check => "refused by the validator".to_owned(),
        Refusal::Entropy { has } => format!("entropy of {has:.1} bits per byte only"),
        Refusal::Context => "no word of the context near it".to_owned(),
    }
}

/// What became of an example, in words.
fn outcome(verdict: &ExampleVerdict) -> String {
    let mut text = match (verdict.found, verdict.refused) {
        (true, _) => "found".to_owned(),
        (false, Some(refusal)) => format!("not found: {}", reason(refusal)),
        (false, None) => "not found".to_owned(),
    };
    if !verdict.others.is_empty() {
        let _ = write!(text, "; by {}", verdict.others.join(", "));
    }
    text
}

fn as_text(rule: &Rule, verdicts: &[ExampleVerdict]) -> String {
    let (file, line) = rule.source();
    let mut text = format!(
        "{}: {}\n{}, severity {}, {} ({file}:{line})\n\n",
        rule.id,
        rule.name,
        rule.class.name(),
        rule.severity.name(),
        rank(rule),
    );
    for (name, value) in asks(rule) {
        let _ = writeln!(text, "{name:<14} {value}");
    }
    let rows: Vec<Vec<_>> = verdicts
        .iter()
        .map(|verdict| {
            let (mark, tone) = if verdict.is_right() {
                ("ok", Tone::Good)
            } else {
                ("WRONG", Tone::Bad)
            };
            vec![
                toned(mark, tone),
                if verdict.wanted { "match" } else { "no_match" }.into(),
                outcome(verdict).into(),
                verdict.template.escape_debug().to_string().into(),
            ]
        })
        .collect();
    let columns = [
        left(""),
        left("example"),
        left("outcome"),
        left("text, templates not filled"),
    ];
    if rows.is_empty() {
        text.push_str("\nno examples\n");
    } else {
        let _ = writeln!(text, "\n{}", render(&columns, &rows));
    }
    text
}

fn rank(rule: &Rule) -> &'static str {
    use crate::sensitive::rules::Rank;
    match rule.rank {
        Rank::Special => "a form of its own",
        Rank::Assigned => "a value beside a name; yields to rules with a form of their own",
        Rank::General => "a fallback; yields to all other rules",
    }
}

fn as_json(rule: &Rule, verdicts: &[ExampleVerdict]) -> Json {
    let (file, line) = rule.source();
    let one = |verdict: &ExampleVerdict| {
        json!({
            "template": verdict.template,
            "wanted": verdict.wanted,
            "found": verdict.found,
            "by_others": verdict.others,
            "refused": verdict.refused.map(reason),
        })
    };
    json!({
        "rule_id": rule.id,
        "name": rule.name,
        "finding_type": rule.class.name(),
        "severity": rule.severity.name(),
        "file": file,
        "line": line,
        "asks": asks(rule).into_iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect::<serde_json::Map<_, _>>(),
        "literals": literals(rule),
        "examples": verdicts.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitive::Rules;

    #[test]
    fn a_rule_is_explained_with_the_verdicts_of_its_examples() {
        let text = "version: '1'\nrules:\n  - {id: acme, name: Token of ACME, class: credential, severity: high, pattern: \
                    'acme_[a-z0-9]{6}', validator: random, entropy: 2.5, context: {words: [gateway]}, match: ['acme_<lower:6>'], \
                    no_match: ['acme_1']}\n";
        let rules = Rules::parse("mine.yaml", text).0;
        let engine = Engine::new(&rules).unwrap();
        let rule = &rules.list()[0];
        let verdicts = examples(&engine, rule);
        let shown = as_text(rule, &verdicts);
        for part in [
            "acme: Token of ACME",
            "mine.yaml:3",
            "acme_[a-z0-9]{6}",
            "`acme_` in the match",
            "2.5 bits",
            "gateway: raises the confidence, within 64 bytes before",
            "random: Random-looking",
            "WRONG",
            "not found: refused by the validator",
        ] {
            assert!(shown.contains(part), "{part} not in {shown}");
        }
        let json = as_json(rule, &verdicts);
        assert_eq!(json["literals"], json!(["acme_"]));
        assert_eq!(json["examples"][1]["found"], false);
    }

    #[test]
    fn a_rule_that_is_not_there_is_answered_with_those_near_it() {
        let rules = Rules::parse(
            "mine.yaml",
            "version: '1'\nrules:\n  - {id: acme_key, name: n, class: credential, severity: high, pattern: 'aaaa'}\n  \
             - {id: acme_bad, name: n, class: credential, severity: high, pattern: 'aa('}\n",
        )
        .0;
        assert!(
            no_such_rule(&rules, "acme_token")
                .to_string()
                .contains("near to it: acme_key")
        );
        assert!(
            no_such_rule(&rules, "acme_bad")
                .to_string()
                .contains("mine.yaml:4")
        );
        assert!(
            no_such_rule(&rules, "zzz")
                .to_string()
                .contains("observer rules list")
        );
    }
}
