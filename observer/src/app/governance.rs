//! Brings policy and register into the store: at the start, and whenever there is a new one.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    policy::Judge,
    store::{Client, GovernanceFile, RegisterRow, StoreError, bring_file, bring_register},
};

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The last attempt, at the end of the daemon: rows that are stored name a policy whose text would else come with the next start only.
pub(super) async fn at_the_end(client: &Client, judges: &watch::Receiver<Arc<Judge>>, host_id: &str) {
    let judge = Arc::clone(&judges.borrow());
    if let Err(error) = bring(client, &judge, host_id).await {
        tracing::warn!(%error, "policy and register come into the store with the next start");
    }
}

/// Runs until the daemon ends. The schema must be there.
pub(super) async fn run(client: Client, mut judges: watch::Receiver<Arc<Judge>>, host_id: String) {
    loop {
        let judge = Arc::clone(&judges.borrow_and_update());
        let mut pause = Duration::from_millis(500);
        while let Err(error) = bring(&client, &judge, &host_id).await {
            tracing::warn!(%error, "cannot bring policy and register into the store yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        if judges.changed().await.is_err() {
            return;
        }
    }
}

async fn bring(client: &Client, judge: &Judge, host_id: &str) -> Result<(), StoreError> {
    for file in GovernanceFile::of(judge, host_id) {
        bring_file(client, &file).await?;
    }
    if let Some(register) = &judge.register {
        bring_register(client, &RegisterRow::of(register, host_id)).await?;
    }
    Ok(())
}
