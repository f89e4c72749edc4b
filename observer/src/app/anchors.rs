//! Anchors that the daemon makes by itself, where one host is all there is.

use std::{path::PathBuf, time::Duration};

use crate::{config::Config, kernel::clock::wall_ns, notary::Notary, state::KEYS_DIR, store::Client};

/// After the start: there should be seals.
const FIRST: Duration = Duration::from_secs(60);

/// What the configuration says about anchors.
pub(super) struct Plan {
    every: Option<Duration>,
    keys: PathBuf,
    directory: PathBuf,
    notary: String,
}

impl Plan {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            every: config.anchor.every,
            keys: config.state_dir.join(KEYS_DIR),
            directory: config.anchor.directory.clone(),
            notary: config.anchor.notary.clone(),
        }
    }
}

/// Runs until the daemon ends. The schema must be there.
pub(super) async fn run(client: Client, plan: Plan, host_id: String) {
    let Some(every) = plan.every else { return };
    let name = if plan.notary.is_empty() {
        &host_id
    } else {
        &plan.notary
    };
    tokio::time::sleep(FIRST.min(every)).await;
    loop {
        match anchor(&client, &plan, name).await {
            Ok(()) => {}
            Err(error) => tracing::error!(error = format!("{error:#}"), "no anchor was made"),
        }
        tokio::time::sleep(every).await;
    }
}

async fn anchor(client: &Client, plan: &Plan, name: &str) -> anyhow::Result<()> {
    let now_ns = wall_ns();
    let notary = Notary::open(name, &plan.keys, plan.directory.clone(), now_ns)?;
    let made = notary.anchor(client, now_ns / 1_000_000).await?;
    let (seq, chains) = (made.anchor.anchor_seq, made.anchor.tree_size);
    tracing::info!(seq, chains, file = %made.file.display(), "anchor made");
    if let Some(error) = made.not_stored {
        tracing::warn!(
            error = format!("{error:#}"),
            "not all anchors are in the store yet; the next one brings them there"
        );
    }
    Ok(())
}
