//! `observer scan`: sensitive data in a text.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{Failure, Format, log, out, setup};
use crate::{
    report::{
        rows::severity_tone,
        table::{Value, left, render, right, toned},
        text,
    },
    sensitive::{Engine, LineFinding, LineReport, LineScan, redact},
};

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// Longest text that is redacted: it must be in memory as a whole.
const MAX_REDACTED: u64 = 64 << 20;

const AFTER_HELP: &str = "\
The values that were found are never shown, only where they are and how long. Files of any size are read in pieces.

Examples:
  observer scan notes.txt
  git diff | observer scan --exit-code -
  observer scan --redact prompt.txt > prompt.redacted.txt
  observer scan --format json app.log | jq '.findings[] | select(.severity == \"high\")'

Exit codes: 0 done, 1 failed (with --exit-code also: something was found), 2 wrong usage.";

/// Look for sensitive data in a text: keys, tokens, card numbers and the like.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The text; `-` is standard input.
    file: PathBuf,
    /// Form of the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print the text with each value replaced by `[rule:length]`, and nothing else. Needs UTF-8, 64 MiB at most.
    #[arg(long, conflicts_with = "format")]
    redact: bool,
    /// Exit with 1 when something was found that is no published example.
    #[arg(long)]
    exit_code: bool,
    /// Configuration file: its rule packs and disabled rules are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let loaded = setup::load(args.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    setup::complain_of_rules(&loaded.rules);
    let engine = Engine::new(&loaded.rules)?;
    let name = args.file.display();
    let input = open(&args.file).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let found = if args.redact {
        let text = whole_text(input).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let redacted = redact(&engine, &text);
        out::unless_gone(out::write(&redacted.text))?;
        redacted.findings.iter().any(is_real)
    } else {
        let report = scan(&engine, input).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        out::unless_gone(match args.format {
            Format::Table => out::print(&table(&report)),
            Format::Json => out::print_json(&as_json(&report)),
        })?;
        report.findings.iter().any(is_real)
    };
    Ok(if found && args.exit_code {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path)?),
    })
}

fn whole_text(input: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(MAX_REDACTED + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_REDACTED {
        return Err(io::Error::other(format!(
            "larger than {}",
            text::bytes(MAX_REDACTED)
        )));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
}

fn scan(engine: &Engine, mut input: impl Read) -> io::Result<LineReport> {
    let mut scan = LineScan::new();
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(scan.finish(engine)),
            Ok(n) => scan.piece(engine, &piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_real(finding: &LineFinding) -> bool {
    !finding.documented_example
}

/// Findings of one rule on one line, which are alike in all that is shown.
struct Row<'a> {
    finding: &'a LineFinding,
    count: u32,
    bytes: u64,
}

fn rows(report: &LineReport) -> Vec<Row<'_>> {
    let alike = |a: &LineFinding, b: &LineFinding| {
        (a.line, &a.rule_id, a.confidence, a.documented_example)
            == (b.line, &b.rule_id, b.confidence, b.documented_example)
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for finding in &report.findings {
        // The report is ordered by line: those before another line are not looked at.
        let same = rows
            .iter_mut()
            .rev()
            .take_while(|row| row.finding.line == finding.line);
        match same.into_iter().find(|row| alike(row.finding, finding)) {
            Some(row) => {
                row.count += 1;
                row.bytes += u64::from(finding.bytes);
            }
            None => rows.push(Row {
                finding,
                count: 1,
                bytes: finding.bytes.into(),
            }),
        }
    }
    rows
}

fn confidence(finding: &LineFinding) -> &'static str {
    if finding.documented_example {
        "documented_example"
    } else {
        finding.confidence.name()
    }
}

fn table(report: &LineReport) -> String {
    let columns = [
        right("line"),
        left("rule"),
        left("kind"),
        left("severity"),
        left("confidence"),
        right("count"),
        right("size"),
    ];
    let values = |row: &Row<'_>| -> Vec<Value> {
        let finding = row.finding;
        let severity = finding.severity.name();
        vec![
            finding.line.to_string().into(),
            finding.rule_id.as_str().into(),
            finding.class.name().into(),
            toned(severity, severity_tone(severity)),
            confidence(finding).into(),
            row.count.to_string().into(),
            text::bytes(row.bytes).into(),
        ]
    };
    let rows = rows(report);
    let mut out = if rows.is_empty() {
        "nothing found".to_owned()
    } else {
        render(&columns, &rows.iter().map(values).collect::<Vec<_>>())
    };
    out.push_str(&format!(
        "\n{} read, {} scanned\n",
        text::bytes(report.bytes_seen),
        text::bytes(report.bytes_scanned)
    ));
    if report.undecided_matches + report.dropped_matches > 0 {
        let (undecided, dropped) = (report.undecided_matches, report.dropped_matches);
        out.push_str(&format!(
            "not decided: {undecided}, found but not listed: {dropped}\n"
        ));
    }
    out
}

fn as_json(report: &LineReport) -> serde_json::Value {
    let findings: Vec<serde_json::Value> = rows(report)
        .iter()
        .map(|row| {
            json!({
                "line": row.finding.line,
                "rule_id": row.finding.rule_id,
                "finding_type": row.finding.class.name(),
                "severity": row.finding.severity.name(),
                "confidence": confidence(row.finding),
                "match_count": row.count,
                "match_bytes": row.bytes,
            })
        })
        .collect();
    json!({
        "findings": findings,
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

    fn engine() -> Engine {
        Engine::new(&Rules::builtin().unwrap()).unwrap()
    }

    /// A key of the right form that belongs to nobody, put together here so that no scanner takes it for one.
    fn key() -> String {
        format!("AKIA{}", "Q3EGR7SM2XKD5WZT")
    }

    #[test]
    fn findings_are_counted_by_line_and_the_value_is_nowhere() {
        let text = format!("first\n{0} and {0}\nlast {0}\n", key());
        let report = scan(&engine(), text.as_bytes()).unwrap();
        let (table, json) = (table(&report), as_json(&report).to_string());
        let counts: Vec<(u64, u32)> = rows(&report)
            .iter()
            .map(|row| (row.finding.line, row.count))
            .collect();
        assert_eq!(counts, [(2, 2), (3, 1)], "{table}");
        assert!(!table.contains(&key()) && !json.contains(&key()));
        assert!(report.findings.iter().any(is_real));
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        struct OneByte<'a>(&'a [u8]);
        impl Read for OneByte<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(1);
                out[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text = format!("{}\n{}\n", "x".repeat(PIECE - 10), key());
        let engine = engine();
        let whole = scan(&engine, text.as_bytes()).unwrap();
        assert_eq!(scan(&engine, OneByte(text.as_bytes())).unwrap(), whole);
        assert_eq!(whole.findings.len(), 1);
    }

    #[test]
    fn a_text_too_long_to_redact_is_refused() {
        let endless = io::repeat(b'a');
        assert!(whole_text(endless).unwrap_err().to_string().contains("64.0 MiB"));
        assert!(whole_text(&b"\xff"[..]).is_err());
    }
}
