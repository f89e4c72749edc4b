//! `observer stacks`: which TLS stacks a file has, and whether Observer can read them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Value as Json, json};

use super::{Failure, Format, out};
use crate::{
    report::{
        table::{Tone, Value, left, render, toned},
        text,
    },
    stacks::{self, Point, Refusal, Report, Stack},
};

const AFTER_HELP: &str = "\
Examples:
  observer stacks /usr/bin/node
  observer stacks /proc/1234/exe /usr/lib/x86_64-linux-gnu/libssl.so.3 --format json";

/// Look into programs and libraries: which TLS stacks they have, and whether Observer can read them.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Executable files or libraries.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    let mut answers = Vec::new();
    for path in &args.files {
        let report = examine(path).map_err(|e| format!("{e:#}"));
        if report.is_err() {
            code = ExitCode::FAILURE;
        }
        match args.format {
            Format::Table => out::print(&section(path, &report))?,
            Format::Json => answers.push(as_json(path, &report)),
        }
    }
    if args.format == Format::Json {
        out::print_json(&json!({ "files": answers }))?;
    }
    Ok(code)
}

fn examine(path: &Path) -> anyhow::Result<Report> {
    let file = File::open(path).context("cannot be opened")?;
    // A pipe or a device would never end.
    anyhow::ensure!(file.metadata().is_ok_and(|m| m.is_file()), "not a file");
    Ok(stacks::examine(&file)?)
}

fn section(path: &Path, report: &Result<Report, String>) -> String {
    let name = text::safe(&path.to_string_lossy());
    let report = match report {
        Err(reason) => return format!("{name}: {}\n", text::safe(reason)),
        Ok(report) => report,
    };
    let mut lines = match report.stacks.len() {
        0 => format!("{name}: no TLS stack known to Observer\n"),
        n => format!("{name}: {n} TLS stack{}\n", if n == 1 { "" } else { "s" }),
    };
    let rows: Vec<Vec<Value>> = report.stacks.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        let heads = [
            "stack", "version", "readable", "found by", "function", "as", "offset", "cost",
        ];
        lines.push_str(&render(&heads.map(left), &rows));
        lines.push('\n');
    }
    for refusal in &report.notes {
        lines.push_str(&format!("{}\n", text::safe(&said(refusal))));
    }
    lines
}

fn said(refusal: &Refusal) -> String {
    format!("{}: {}", refusal.what, refusal.reason.name())
}

/// One row for each point and for each refusal; what belongs to the whole stack stands in the first.
fn rows(stack: &Stack) -> Vec<Vec<Value>> {
    let point = |p: &Point| {
        let cost = if p.cheap {
            toned("cheap", Tone::Good)
        } else {
            toned("step", Tone::Warn)
        };
        let call = match p.returns.len() {
            0 => p.call.name().to_owned(),
            n => format!("{} ({n} returns)", p.call.name()),
        };
        [
            p.name.as_str().into(),
            call.into(),
            format!("{:#x}", p.offset).into(),
            cost,
        ]
    };
    let refusal = |r: &Refusal| {
        let reason = toned(r.reason.name(), Tone::Warn);
        [r.what.as_str().into(), reason, "".into(), "".into()]
    };
    let details = stack
        .points
        .iter()
        .map(point)
        .chain(stack.refused.iter().map(refusal));
    details
        .enumerate()
        .map(|(n, detail)| {
            let readable = match stack.is_readable() {
                true => toned("yes", Tone::Good),
                false => toned("no", Tone::Bad),
            };
            let head = if n == 0 {
                let version = stack.version.as_deref().unwrap_or_default();
                [
                    stack.kind.name().into(),
                    version.into(),
                    readable,
                    stack.how.name().into(),
                ]
            } else {
                ["".into(), "".into(), "".into(), "".into()]
            };
            head.into_iter().chain(detail).collect()
        })
        .collect()
}

fn as_json(path: &Path, report: &Result<Report, String>) -> Json {
    let file = path.to_string_lossy();
    match report {
        Err(reason) => json!({ "file": file, "error": reason }),
        Ok(report) => json!({
            "file": file,
            "build_id": report.build_id.as_ref().map(hex::encode),
            "stacks": report.stacks.iter().map(stack_json).collect::<Vec<_>>(),
            "notes": refusals(&report.notes),
        }),
    }
}

fn stack_json(stack: &Stack) -> Json {
    let points = stack.points.iter().map(|p| {
        json!({
            "function": p.name,
            "call": p.call.name(),
            "offset": p.offset,
            "returns": p.returns,
            "cheap": p.cheap,
        })
    });
    json!({
        "stack": stack.kind.name(),
        "version": stack.version,
        "readable": stack.is_readable(),
        "found_by": stack.how.name(),
        "points": points.collect::<Vec<_>>(),
        "refused": refusals(&stack.refused),
    })
}

fn refusals(all: &[Refusal]) -> Vec<Json> {
    all.iter()
        .map(|r| json!({ "what": r.what, "reason": r.reason.name() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::{Call, How, Kind, RefusalReason};

    fn stack() -> Stack {
        Stack {
            kind: Kind::OpenSsl,
            how: How::Symbols,
            version: Some("OpenSSL 3.0.19".into()),
            points: vec![Point {
                call: Call::Write,
                name: "SSL_write".into(),
                offset: 0x355a0,
                returns: Vec::new(),
                cheap: true,
            }],
            refused: vec![Refusal {
                what: "SSL_read".into(),
                reason: RefusalReason::NotUnique,
            }],
        }
    }

    #[test]
    fn a_stack_without_one_direction_is_not_readable_and_says_why() {
        let report = Report {
            build_id: Some(vec![0xab]),
            stacks: vec![stack()],
            notes: Vec::new(),
        };
        let text = section(Path::new("/x/lib\x1b.so"), &Ok(report.clone()));
        assert!(text.starts_with("/x/lib\u{fffd}.so: 1 TLS stack\n"), "{text}");
        for part in ["OpenSSL 3.0.19", "0x355a0", "cheap", "not_unique", " no "] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let json = as_json(Path::new("x"), &Ok(report));
        assert_eq!(json["stacks"][0]["readable"], false);
        assert_eq!(json["stacks"][0]["points"][0]["offset"], 0x355a0);
        assert_eq!(json["build_id"], "ab");
    }

    #[test]
    fn what_is_no_program_is_said_to_be_none() {
        assert!(examine(Path::new("/dev/null")).is_err());
        let text = section(
            Path::new("a"),
            &examine(Path::new("Cargo.toml")).map_err(|e| format!("{e:#}")),
        );
        assert_eq!(text, "a: not an ELF file\n");
    }
}
