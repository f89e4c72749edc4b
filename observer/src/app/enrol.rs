//! Brings the certificates of this host's keys into the store: at the start, and whenever there is a new key.

use std::{collections::HashSet, time::Duration};

use tokio::sync::watch;

use crate::{
    evidence::KeyRow,
    store::{Client, ErrorKind, StoreError},
};

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Runs until the daemon ends. The schema must be there.
pub(super) async fn run(client: Client, mut certificates: watch::Receiver<Vec<KeyRow>>) {
    loop {
        let wanted = certificates.borrow_and_update().clone();
        let mut pause = Duration::from_millis(500);
        while let Err(error) = bring(&client, &wanted).await {
            tracing::warn!(%error, "cannot bring the certificates of the keys into the store yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        if certificates.changed().await.is_err() {
            return;
        }
    }
}

/// Inserts what the store does not have. An agent that may only insert sends all; readers drop second copies (`v_host_keys`).
async fn bring(client: &Client, wanted: &[KeyRow]) -> Result<(), StoreError> {
    let known = match client
        .rows::<String>("SELECT DISTINCT key_id FROM host_keys")
        .await
    {
        Ok(known) => known.into_iter().collect(),
        Err(error) if error.kind == ErrorKind::Denied => HashSet::new(),
        Err(error) => return Err(error),
    };
    let missing: Vec<&KeyRow> = wanted.iter().filter(|c| !known.contains(&c.key_id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    client.insert_rows(KeyRow::TABLE, &missing, None).await
}
