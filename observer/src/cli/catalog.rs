//! `observer catalog`: what is known about a host.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Format, out, setup};
use crate::{catalog::Catalog, report::text};

const AFTER_HELP: &str = "\
Examples:
  observer catalog test api.openai.com
  observer catalog test models.corp.example /v1/chat/completions --config observer.yaml";

/// Ask the catalogue of AI services.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the catalogue knows about a host.
    Test {
        /// Host name, without scheme and port.
        host: String,
        /// Path of the request, for hosts that carry other traffic too.
        #[arg(default_value = "/")]
        path: String,
        /// Form of the answer.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Configuration file: its extra hosts are used.
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
    if host.contains('/') {
        return Err(Failure::usage(format!(
            "{}: a host name is asked for, without scheme and path",
            text::safe(host)
        )));
    }
    let catalog = setup::load(config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .catalog;
    let host = host.to_ascii_lowercase();
    match format {
        Format::Table => out::print(&sentence(&catalog, &host, path))?,
        Format::Json => out::print_json(&as_json(&catalog, &host, path))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sentence(catalog: &Catalog, host: &str, path: &str) -> String {
    let version = catalog.version();
    let name = text::safe(host);
    match catalog.lookup(host, path) {
        Some(found) => {
            let by = if found.by_path {
                "by its path"
            } else {
                "whatever the path"
            };
            format!(
                "{name}: {} ({}), {by}; catalogue {version}",
                found.provider, found.class
            )
        }
        None => format!(
            "{name}: not in catalogue {version} with this path; its calls are AI where they have the form of a known API"
        ),
    }
}

fn as_json(catalog: &Catalog, host: &str, path: &str) -> serde_json::Value {
    let found = catalog.lookup(host, path);
    json!({
        "host": host,
        "path": path,
        "known": found.is_some(),
        "provider": found.as_ref().map(|m| &m.provider),
        "class": found.as_ref().map(|m| &m.class),
        "by_path": found.as_ref().map(|m| m.by_path),
        "catalog_version": catalog.version(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_host_is_known_and_another_is_not() {
        let text = "version: \"t\"\nproviders: []\n";
        // Only the added host matters here; an empty catalogue does as well.
        let catalog = Catalog::parse(text, "t").unwrap_or_default();
        let catalog = catalog
            .with_extra_hosts(vec![("llm.corp.example".into(), "openai".into())])
            .unwrap();
        assert_eq!(as_json(&catalog, "llm.corp.example", "/x")["provider"], "openai");
        assert!(as_json(&catalog, "other.example", "/x")["provider"].is_null());
        assert!(sentence(&catalog, "other\x1b.example", "/").starts_with("other\u{fffd}.example: not in"));
    }
}
