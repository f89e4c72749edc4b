//! `observer rules list`.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::super::{Failure, Format, out};
use super::{Common, load};
use crate::report::{
    rows::severity_tone,
    table::{Value, left, render, toned},
    text,
};
use crate::sensitive::{Class, Rule, Rules, Severity};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only rules of this kind.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Class::NAMES))]
    class: Option<String>,
    /// Only rules of this severity.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Severity::NAMES))]
    severity: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let rules = load(&args.common)?;
    let chosen = choose(&rules, args.class.as_deref(), args.severity.as_deref());
    match args.common.format {
        Format::Table => out::print(&table(&rules, &chosen))?,
        Format::Json => out::print_json(&as_json(&rules, &chosen))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn choose<'a>(rules: &'a Rules, class: Option<&str>, severity: Option<&str>) -> Vec<&'a Rule> {
    let rules = rules.list().iter().map(AsRef::as_ref);
    rules
        .filter(|rule: &&Rule| class.is_none_or(|name| rule.class.name() == name))
        .filter(|rule| severity.is_none_or(|name| rule.severity.name() == name))
        .collect()
}

fn table(rules: &Rules, chosen: &[&Rule]) -> String {
    let values = |rule: &&Rule| -> Vec<Value> {
        let severity = rule.severity.name();
        vec![
            rule.id.as_str().into(),
            rule.class.name().into(),
            toned(severity, severity_tone(severity)),
            rule.name.as_str().into(),
        ]
    };
    let rows: Vec<Vec<Value>> = chosen.iter().map(values).collect();
    let columns = [
        left("rule"),
        left("kind"),
        left("severity"),
        left("what it finds"),
    ];
    let of = match rules.list().len() {
        all if all == rows.len() => String::new(),
        all => format!(" of {all}"),
    };
    format!(
        "{}\n{}{of}, version {}\n",
        render(&columns, &rows),
        text::plural(rows.len(), "rule"),
        rules.version()
    )
}

fn as_json(rules: &Rules, chosen: &[&Rule]) -> Json {
    let one = |rule: &&Rule| {
        let (file, line) = rule.source();
        json!({
            "rule_id": rule.id,
            "name": rule.name,
            "finding_type": rule.class.name(),
            "severity": rule.severity.name(),
            "file": file,
            "line": line,
        })
    };
    json!({
        "version": rules.version(),
        "sha256": hex::encode(rules.digest()),
        "rules": chosen.iter().map(one).collect::<Vec<_>>(),
        "left_out": rules.left_out().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_by_class_and_severity() {
        let text = "version: '1'\nrules:\n  - {id: a, name: n, class: secret, severity: low, pattern: 'aaaa'}\n  \
                    - {id: b, name: n, class: pii, severity: low, pattern: 'bbbb'}\n  \
                    - {id: c, name: n, class: pii, severity: high, pattern: 'cccc'}\n";
        let rules = Rules::parse("mine.yaml", text).0;
        let ids = |class, severity| -> Vec<String> {
            choose(&rules, class, severity)
                .iter()
                .map(|r| r.id.clone())
                .collect()
        };
        assert_eq!(ids(None, None), ["a", "b", "c"]);
        assert_eq!(ids(Some("pii"), None), ["b", "c"]);
        assert_eq!(ids(Some("pii"), Some("high")), ["c"]);
        let shown = table(&rules, &choose(&rules, Some("pii"), Some("high")));
        assert!(shown.contains("1 rule of 3, version 1"), "{shown}");
        let json = as_json(&rules, &choose(&rules, None, Some("high")));
        assert_eq!(json["rules"][0]["line"], 5);
        assert_eq!(json["rules"].as_array().map(Vec::len), Some(1));
    }
}
