//! `observer keys`: the keys that sign seals and anchors.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Format, out, setup};
use crate::{
    evidence::{
        KeyRow,
        keys::{KeyFault, KeyTrust, ROLE_HOST, ROLE_NOTARY},
    },
    kernel::clock::wall_ns,
    report::{
        json::timestamp,
        table::{Tone, Value, left, render, toned},
    },
    state::{KEYS_DIR, Keyring},
};

const AFTER_HELP: &str = "\
The daemon makes the first key of a host by itself, and a new one every `keys.rotate_hours`. Compare the key id that `show`
prints on the host with the one in the store: then you know that rows with that key are this host's.

Examples:
  observer keys show
  observer keys list --format json
  observer keys rotate                 a running daemon signs with the new key from its next seal on
  observer keys show --notary --config observer.yaml

The line \"to pin it\" belongs into the file of `observer verify --trust FILE`, taken down on the host itself.";

/// Show or rotate the keys that sign the evidence.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All certificates that are known here, oldest first.
    List(Which),
    /// The key in force: its id and public key, never the private one.
    Show(Which),
    /// Make a new key, let the old one certify it, and erase the old one.
    Rotate(Which),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The notary's key, which signs anchors, instead of the host's.
    #[arg(long)]
    notary: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its `state_dir` is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (Command::List(which) | Command::Show(which) | Command::Rotate(which)) = &args.command;
    let config = setup::load(which.config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .config;
    let directory = config.state_dir.join(KEYS_DIR);
    let role = if which.notary { ROLE_NOTARY } else { ROLE_HOST };
    let Some(mut ring) = Keyring::look(&directory, role)? else {
        let made_by = if which.notary {
            "`observer anchor`"
        } else {
            "`observer run`"
        };
        let error = anyhow::anyhow!(
            "no {role} key in {} yet: {made_by} makes one",
            directory.display()
        );
        return Err(Failure::Failed(error));
    };
    match &args.command {
        Command::List(_) => list(&ring, which.format)?,
        Command::Show(_) => show(&ring, which.format)?,
        Command::Rotate(_) => {
            ring.rotate(wall_ns())?;
            out::complain("new key; the old one is erased");
            show(&ring, which.format)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(ring: &Keyring, format: Format) -> std::io::Result<()> {
    let (id, public, owner) = (
        ring.signer().id(),
        hex::encode(ring.signer().public()),
        ring.owner(),
    );
    match format {
        Format::Json => out::print_json(&json!({ "key_id": id, "public_key": public, "host_id": owner })),
        Format::Table => {
            let line = |name: &str, text: &str| vec![Value::from(name), Value::from(text)];
            let since = ring.certificate().map(|c| timestamp(c.valid_from));
            let rows = [
                line("key id", id),
                line("public key", &public),
                line("speaks for", owner),
                line("since", since.as_deref().unwrap_or("unknown: no certificate")),
                line("to pin it", &format!("{} {owner} {id}", ring.role())),
            ];
            out::print(&render(&[left(""), left("")], &rows))
        }
    }
}

fn list(ring: &Keyring, format: Format) -> std::io::Result<()> {
    let all = ring.certificates();
    let judged = all.iter().map(|row| {
        let before = all
            .iter()
            .find(|c| !row.prev_key_id.is_empty() && c.key_id == row.prev_key_id);
        (row, row.check(before))
    });
    match format {
        Format::Json => {
            let certificates: Vec<_> = judged
                .map(|(row, trust)| json!({ "certificate": row.to_json(), "trust": word(trust).text }))
                .collect();
            out::print_json(&json!({ "certificates": certificates }))
        }
        Format::Table => {
            let rows: Vec<Vec<Value>> = judged.map(|(row, trust)| line(row, trust, ring)).collect();
            let columns = [
                left("key id"),
                left("since"),
                left("speaks for"),
                left("trust"),
                left(""),
            ];
            out::print(&render(&columns, &rows))
        }
    }
}

fn line(row: &KeyRow, trust: Result<KeyTrust, KeyFault>, ring: &Keyring) -> Vec<Value> {
    let in_force = if row.key_id == ring.signer().id() {
        "in force"
    } else {
        ""
    };
    vec![
        row.key_id.as_str().into(),
        timestamp(row.valid_from).into(),
        row.host_id.as_str().into(),
        word(trust),
        in_force.into(),
    ]
}

fn word(trust: Result<KeyTrust, KeyFault>) -> Value {
    match trust {
        Ok(KeyTrust::Certified) => toned("certified by the key before", Tone::Good),
        Ok(KeyTrust::FirstUse) => toned("first use: declared by itself", Tone::Warn),
        Err(fault) => toned(fault.to_string(), Tone::Bad),
    }
}
