//! `observer catalog`: what is known about a host.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Failure, Format, out, setup};
use crate::{
    catalog::{Catalog, Explanation, Known, Standing},
    report::{
        table::{self, left},
        text,
    },
};

const AFTER_HELP: &str = "\
Examples:
  observer catalog test api.openai.com
  observer catalog test eu-west-1.models.corp.example /v1/chat/completions --config observer.yaml
  observer catalog test localhost:11434 /api/chat --format json";

/// Ask the catalogue of AI services.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the catalogue knows about a host, and why.
    Test {
        /// Host name, without scheme. A port tells servers on this host, such as localhost:11434.
        host: String,
        /// Path of the request, for hosts that carry other traffic too.
        #[arg(default_value = "/")]
        path: String,
        /// Form of the answer.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Configuration file: its catalogue files and extra hosts are used.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Command::Test {
        host,
        path,
        format,
        config,
    } = &args.command;
    if host.contains('/') || host.is_empty() {
        return Err(Failure::usage(format!(
            "{}: a host name is asked for, without scheme and path",
            text::safe(host)
        )));
    }
    if !path.starts_with('/') {
        return Err(Failure::usage(format!(
            "{}: a path begins with `/`",
            text::safe(path)
        )));
    }
    let catalog = setup::load(config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .catalog;
    let found = catalog.explain(host, path);
    match format {
        Format::Table => out::print(&as_text(&catalog, host, path, &found))?,
        Format::Json => out::print_json(&as_json(&catalog, host, path, &found))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Why the answer is what it is, and what would make it another.
fn reasons(found: &Explanation) -> (String, Option<String>) {
    let Some(entry) = &found.entry else {
        let why = "no pattern of the catalogue has this host".to_owned();
        let missing = "a call is AI all the same where it has the form of a known API; `catalog.files` or \
                       `catalog.extra_hosts` of the configuration can name the host";
        return (why, Some(missing.to_owned()));
    };
    let paths = entry.paths.join(", ");
    let pattern = &entry.pattern;
    match (found.standing, &found.service) {
        (_, Some(service)) => (
            format!(
                "it is {pattern}, but `{service}` names a service that is no AI (login, documents, files, telemetry)"
            ),
            None,
        ),
        (Standing::NeedsPath, _) => (
            format!("it fits {pattern}, which carries other traffic too, and the path is none of its AI"),
            Some(format!("a shared host: needs a path like {paths}")),
        ),
        (Standing::Related, _) => (
            format!("it fits {pattern}: a service around AI that does not answer with a model"),
            None,
        ),
        (Standing::Other, _) => (
            format!("it fits {pattern}, which is known to carry no AI (login, documents, files, telemetry)"),
            None,
        ),
        _ if entry.paths.is_empty() => (format!("it fits {pattern}, whatever the path"), None),
        _ => (format!("it fits {pattern}, and the path is one of {paths}"), None),
    }
}

fn as_text(catalog: &Catalog, host: &str, path: &str, found: &Explanation) -> String {
    let says = match found.standing {
        Standing::Ai => "AI",
        Standing::NeedsPath => "not AI with this path",
        Standing::Related => "related to AI, but no model answers",
        Standing::Other => "no AI",
        Standing::Unknown => "not in the catalogue",
    };
    let (why, missing) = reasons(found);
    let mut rows = vec![["host", host], ["path", path], ["answer", says]];
    let place = found.entry.as_ref().map(place);
    if let (Some(entry), Some(place)) = (&found.entry, &place) {
        rows.push(["provider", &entry.provider]);
        rows.push(["class", entry.class.name()]);
        rows.push(["pattern", &entry.pattern]);
        rows.push(["file", place]);
    }
    rows.push(["because", &why]);
    rows.extend(missing.as_deref().map(|missing| ["missing", missing]));
    rows.push(["catalogue", catalog.version()]);
    let rows: Vec<Vec<table::Value>> = rows.into_iter().map(|row| row.map(Into::into).to_vec()).collect();
    let mut text = table::render(&[left("WHAT"), left("VALUE")], &rows);
    if !found.others.is_empty() {
        text.push_str("\nOther patterns for this host, in this order:\n");
        text.push_str(&others(&found.others));
    }
    text
}

fn others(others: &[Known]) -> String {
    let columns = [
        left("PROVIDER"),
        left("CLASS"),
        left("PATTERN"),
        left("PATHS"),
        left("FILE"),
    ];
    let row = |known: &Known| {
        let paths = match known.paths.is_empty() {
            true => "all".to_owned(),
            false => known.paths.join(" "),
        };
        vec![
            known.provider.as_str().into(),
            known.class.name().into(),
            known.pattern.as_str().into(),
            paths.into(),
            place(known).into(),
        ]
    };
    table::render(&columns, &others.iter().map(row).collect::<Vec<_>>())
}

fn place(known: &Known) -> String {
    format!("{}:{}", known.file, known.line)
}

fn as_json(catalog: &Catalog, host: &str, path: &str, found: &Explanation) -> Value {
    let (why, missing) = reasons(found);
    let entry = found.entry.as_ref();
    json!({
        "host": host,
        "path": path,
        "known": found.standing == Standing::Ai,
        "standing": found.standing.name(),
        "provider": entry.map(|e| &e.provider),
        "class": entry.map(|e| e.class.name()),
        "by_path": entry.map(|e| !e.paths.is_empty()),
        "pattern": entry.map(|e| &e.pattern),
        "paths": entry.map(|e| &e.paths),
        "file": entry.map(|e| &e.file),
        "line": entry.map(|e| e.line),
        "why": why,
        "missing": missing,
        "others": found.others.iter().map(|known| json!({
            "provider": known.provider,
            "class": known.class.name(),
            "pattern": known.pattern,
            "paths": known.paths,
            "file": known.file,
            "line": known.line,
        })).collect::<Vec<_>>(),
        "catalog_version": catalog.version(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(catalog: &Catalog, host: &str, path: &str) -> (String, Value) {
        let found = catalog.explain(host, path);
        (
            as_text(catalog, host, path, &found),
            as_json(catalog, host, path, &found),
        )
    }

    #[test]
    fn an_added_host_is_known_and_another_is_not() {
        let catalog = Catalog::builtin()
            .with_extra_hosts(vec![("llm.corp.example".into(), "openai".into())])
            .unwrap();
        let (text, json) = both(&catalog, "llm.corp.example", "/x");
        assert_eq!(
            (&json["provider"], &json["known"]),
            (&json!("openai"), &json!(true))
        );
        assert!(text.contains("catalog.extra_hosts:1"), "{text}");
        let (text, json) = both(&catalog, "other\x1b.example", "/");
        assert!(json["provider"].is_null() && json["standing"] == "unknown");
        assert!(
            text.contains("other\u{fffd}.example") && text.contains("form of a known API"),
            "{text}"
        );
    }

    #[test]
    fn a_shared_host_says_which_paths_it_needs() {
        let (text, json) = both(&Catalog::builtin(), "api.cloudflare.com", "/client/v4/zones");
        assert_eq!(
            (&json["known"], &json["standing"]),
            (&json!(false), &json!("needs_path"))
        );
        let missing = json["missing"].as_str().unwrap();
        assert!(
            missing.starts_with("a shared host: needs a path like */ai/run"),
            "{missing}"
        );
        assert!(
            text.contains("clouds.yaml:") && text.contains("cloudflare_workers_ai"),
            "{text}"
        );
    }

    #[test]
    fn a_service_of_a_company_says_why_it_is_no_ai() {
        let (_, json) = both(&Catalog::builtin(), "eu-login.midjourney.com", "/");
        assert_eq!(
            (&json["standing"], &json["provider"]),
            (&json!("other"), &json!("midjourney"))
        );
        assert!(json["why"].as_str().unwrap().contains("`eu-login`"), "{json}");
    }
}
