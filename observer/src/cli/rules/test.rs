//! `observer rules test`: which rules find something in a text.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::super::{Failure, Format, out};
use super::{Common, load, no_such_rule};
use crate::report::{
    rows::severity_tone,
    table::{Value, left, render, right, toned},
    text,
};
use crate::sensitive::{Engine, LineFinding, LineReport, scan_text};

/// Longest text: columns are counted in it as a whole.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The text; `-` is standard input.
    file: PathBuf,
    /// Only what this rule finds.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let rules = load(&args.common)?;
    if let Some(id) = &args.rule
        && !rules.list().iter().any(|rule| rule.id == *id)
    {
        return Err(no_such_rule(&rules, id).into());
    }
    let engine = Engine::new(&rules)?;
    let name = args.file.display();
    let text = read(args).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let mut report = scan_text(&engine, [text.as_slice()]);
    if let Some(id) = &args.rule {
        report.findings.retain(|finding| finding.rule_id == *id);
    }
    match args.common.format {
        Format::Table => out::print(&table(&report, &text))?,
        Format::Json => out::print_json(&as_json(&report, &text))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match args.file.to_str() {
        Some("-") => io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?,
        _ => File::open(&args.file)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?,
    };
    if bytes.len() as u64 > MAX_BYTES {
        let most = text::bytes(MAX_BYTES);
        return Err(io::Error::other(format!(
            "larger than {most}; use `observer scan`"
        )));
    }
    Ok(bytes)
}

/// Column of a byte in its line, from 1, in bytes.
fn column(text: &[u8], offset: u64) -> u64 {
    let at = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
    let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    (at - line) as u64 + 1
}

fn confidence(finding: &LineFinding) -> &'static str {
    if finding.documented_example {
        "documented_example"
    } else {
        finding.confidence.name()
    }
}

fn table(report: &LineReport, text: &[u8]) -> String {
    let columns = [
        right("line"),
        right("column"),
        right("bytes"),
        left("rule"),
        left("kind"),
        left("severity"),
        left("confidence"),
    ];
    let values = |finding: &LineFinding| -> Vec<Value> {
        let severity = finding.severity.name();
        vec![
            finding.line.to_string().into(),
            column(text, finding.start).to_string().into(),
            finding.bytes.to_string().into(),
            finding.rule_id.as_str().into(),
            finding.class.name().into(),
            toned(severity, severity_tone(severity)),
            confidence(finding).into(),
        ]
    };
    let mut out = if report.findings.is_empty() {
        "no rule finds anything".to_owned()
    } else {
        render(&columns, &report.findings.iter().map(values).collect::<Vec<_>>())
    };
    out.push('\n');
    if report.undecided_matches + report.dropped_matches > 0 {
        let (undecided, dropped) = (report.undecided_matches, report.dropped_matches);
        out.push_str(&format!(
            "not decided: {undecided}, found but not listed: {dropped}\n"
        ));
    }
    out
}

fn as_json(report: &LineReport, text: &[u8]) -> Json {
    let one = |finding: &LineFinding| {
        json!({
            "line": finding.line,
            "column": column(text, finding.start),
            "offset": finding.start,
            "bytes": finding.bytes,
            "rule_id": finding.rule_id,
            "finding_type": finding.class.name(),
            "severity": finding.severity.name(),
            "confidence": confidence(finding),
        })
    };
    json!({
        "findings": report.findings.iter().map(one).collect::<Vec<_>>(),
        "bytes_seen": report.bytes_seen,
        "bytes_scanned": report.bytes_scanned,
        "undecided_matches": report.undecided_matches,
        "dropped_matches": report.dropped_matches,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitive::Rules;

    #[test]
    fn places_are_shown_and_values_are_not() {
        let rules = Rules::parse(
            "mine.yaml",
            "version: '1'\nrules:\n  - {id: acme, name: n, class: credential, severity: high, pattern: 'acme_[a-z]{6}'}\n",
        )
        .0;
        let engine = Engine::new(&rules).unwrap();
        let text = "first\nkey: acme_qwerty and acme_zuiopl\n".as_bytes();
        let report = scan_text(&engine, [text]);
        let (table, json) = (table(&report, text), as_json(&report, text));
        assert!(
            !table.contains("qwerty") && !json.to_string().contains("qwerty"),
            "{table}"
        );
        let at = |i: usize, key: &str| json["findings"][i][key].as_u64().unwrap_or_default();
        assert_eq!(
            (at(0, "line"), at(0, "column"), at(0, "offset"), at(0, "bytes")),
            (2, 6, 11, 11)
        );
        assert_eq!((at(1, "line"), at(1, "column")), (2, 22));
        assert_eq!(column(b"", 5), 1);
    }
}
