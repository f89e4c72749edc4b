//! `observer doctor --processes`: every process with a TLS stack, or a file that may have one, whether it can be read, and why not.

use std::{io::IsTerminal, process::ExitCode};

use serde_json::json;

use super::super::{Failure, Format, out};
use crate::{
    coverage::OpaqueReason,
    kernel::{
        attach::{Unread, opaque_reason},
        survey::{SurveyedProcess, survey},
    },
    report::{
        table::{Tone, Value, left, render, right, toned},
        text,
    },
    stacks::Stack,
};

pub(super) fn run(format: Format) -> Result<ExitCode, Failure> {
    let watched = std::io::stderr().is_terminal();
    let found = survey(|n, all| {
        // Large programs take a second each when they are not in the page cache.
        if watched {
            eprint!("\rprocess {} of {all} ", n + 1);
        }
    });
    if watched {
        eprintln!();
    }
    match format {
        Format::Table => out::print(&table(&found))?,
        Format::Json => out::print_json(&as_json(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(found: &[SurveyedProcess]) -> String {
    let rows: Vec<Vec<Value>> = found.iter().flat_map(rows).collect();
    let opaque = found.iter().filter(|process| process.opaque().is_some()).count();
    let heads = [
        right("pid"),
        left("command"),
        left("stack"),
        left("readable"),
        left("file"),
    ];
    format!(
        "{}\nprocesses that have or may have TLS: {}, of these with something that cannot be read: {opaque}\n",
        render(&heads, &rows),
        found.len(),
    )
}

fn rows(process: &SurveyedProcess) -> Vec<Vec<Value>> {
    let no = |reason: OpaqueReason| toned(format!("no: {}", reason.says()), Tone::Warn);
    let stack = |(path, stack): &(String, Stack)| {
        let readable = match opaque_reason(stack) {
            None => toned(format!("yes, by {}", stack.how.name()), Tone::Good),
            Some(reason) => no(reason),
        };
        let name = stack.version.as_deref().map_or_else(
            || stack.kind.name().to_owned(),
            |version| format!("{} ({})", stack.kind.name(), text::safe(version)),
        );
        (name, readable, text::safe(path))
    };
    let unread =
        |(path, (runtime, reason)): &(String, Unread)| ((*runtime).to_owned(), no(*reason), text::safe(path));
    let found = process.stacks.iter().map(stack);
    let found = found.chain(process.unread.iter().map(unread)).enumerate();
    let row = |(n, (name, readable, path)): (usize, (String, Value, String))| {
        let first = |text: String| if n == 0 { text } else { String::new() };
        vec![
            first(process.pid.to_string()).into(),
            first(text::safe(&process.comm)).into(),
            name.into(),
            readable,
            path.into(),
        ]
    };
    found.map(row).collect()
}

fn as_json(found: &[SurveyedProcess]) -> serde_json::Value {
    let stack = |(path, stack): &(String, Stack)| {
        let reason = opaque_reason(stack);
        json!({
            "file": path, "kind": stack.kind.name(), "version": stack.version, "found_by": stack.how.name(),
            "readable": reason.is_none(), "reason": reason.map(|r| r.code()),
        })
    };
    let unread = |(path, (runtime, reason)): &(String, Unread)| json!({"file": path, "kind": runtime, "reason": reason.code()});
    let process = |p: &SurveyedProcess| {
        let stacks: Vec<serde_json::Value> = p.stacks.iter().map(stack).collect();
        let unread: Vec<serde_json::Value> = p.unread.iter().map(unread).collect();
        json!({
            "pid": p.pid, "comm": p.comm, "readable": p.opaque().is_none(), "stacks": stacks, "unread": unread,
        })
    };
    json!({ "processes": found.iter().map(process).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::stacks;

    #[test]
    fn what_cannot_be_read_says_why() {
        // This program has rustls with ring in it; here as if its functions had not been found.
        let own = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut report = stacks::examine(&own).unwrap();
        report.stacks.iter_mut().for_each(|stack| stack.points.clear());
        let process = SurveyedProcess {
            pid: 7,
            comm: "a\x1b[31m".to_owned(),
            stacks: report.stacks.into_iter().map(|s| ("/x".to_owned(), s)).collect(),
            unread: vec![("/y".to_owned(), ("wolfssl", OpaqueReason::NotSupported))],
        };
        let shown = table(std::slice::from_ref(&process));
        assert!(
            shown.contains("no: rustls with ring") && !shown.contains('\x1b'),
            "{shown}"
        );
        let value = as_json(&[process]);
        assert_eq!(value["processes"][0]["stacks"][0]["reason"], "rustls_ring");
        assert!(
            shown.contains("wolfssl") && shown.contains("no programs for"),
            "{shown}"
        );
        assert_eq!(
            value["processes"][0]["unread"][0]["reason"],
            "stack_not_supported"
        );
    }
}
