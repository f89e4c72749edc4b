//! `observer anchor`: one hash over all chains, outside the database.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Format, log, out, setup, target};
use crate::{
    identity::Host,
    kernel::clock::wall_ns,
    notary::{Made, Notary},
    state::KEYS_DIR,
    store::Client,
};

const AFTER_HELP: &str = "\
An anchor holds the newest seal of every chain in the store, under one hash that the notary's key signs, and names the
anchor before. It is a file, never written twice, and a row. Let it run where administrators of the database do
not, with --directory on storage that cannot be changed afterwards. It needs to read seals and keys, and to insert into
`evidence_anchors` and `host_keys`.

Examples:
  observer anchor --config observer.yaml
  observer anchor --every 60 --directory /mnt/worm --keys /etc/observer/notary --notary head-office
  observer keys show --notary          the key to compare anchors with";

/// Make an anchor: one signed hash over all chains, as a file outside the database.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Make one after so many minutes again, until SIGTERM or SIGINT.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    every: Option<u32>,
    /// Where anchors are written, instead of `anchor.directory`.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Directory of the notary's key, instead of `keys` in `state_dir`.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Name of the notary, instead of `anchor.notary`.
    #[arg(long, value_name = "NAME")]
    notary: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its store is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let config = setup::load(args.config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .config;
    let client = Client::new(&target::of(&config)?)?;
    let host = Host::read(&config.host.id, &config.host.name);
    let names = [
        args.notary.as_deref(),
        Some(&config.anchor.notary),
        Some(&host.id),
    ];
    let name = names
        .into_iter()
        .flatten()
        .find(|n| !n.is_empty())
        .unwrap_or("notary");
    let keys = args
        .keys
        .clone()
        .unwrap_or_else(|| config.state_dir.join(KEYS_DIR));
    let directory = args.directory.clone().unwrap_or(config.anchor.directory);
    let notary = Notary::open(name, &keys, directory, wall_ns())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(args, &notary, &client))
}

async fn work(args: &Args, notary: &Notary, client: &Client) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let made = notary.anchor(client, wall_ns() / 1_000_000).await;
        let Some(minutes) = args.every else {
            return print(&made?, args.format);
        };
        // One that fails, since the store is away, is no reason to give up the next ones.
        match made {
            Ok(made) => print(&made, args.format).map(drop)?,
            Err(error) => out::complain(&format!("observer: no anchor: {error:#}")),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(u64::from(minutes) * 60)) => {}
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn print(made: &Made, format: Format) -> Result<ExitCode, Failure> {
    let anchor = &made.anchor;
    match format {
        Format::Json => out::print_json(&json!({
            "anchor": anchor.to_json(),
            "file": made.file.display().to_string(),
            "stored": made.not_stored.is_none(),
        }))?,
        Format::Table => out::print(&format!(
            "anchor {} of {}: {} chains, root {}, key {}\n{}",
            anchor.anchor_seq,
            anchor.notary_id,
            anchor.tree_size,
            hex::encode(anchor.merkle_root),
            anchor.key_id,
            made.file.display()
        ))?,
    }
    match &made.not_stored {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => {
            out::complain(&format!(
                "observer: the file is written, the row is not in the store ({error}); the next anchor brings it there"
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}
