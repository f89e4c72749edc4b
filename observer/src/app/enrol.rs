//! Brings the certificates of this host's keys into the store: at the start, and whenever there is a new key.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    evidence::KeyRow,
    store::{Client, bring_certificates},
};

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The last attempt, at the end of the daemon: seals that are stored name keys whose certificates would else come with the next start only.
pub(super) async fn at_the_end(client: &Client, certificates: &watch::Receiver<Vec<KeyRow>>) {
    let wanted = certificates.borrow().clone();
    if let Err(error) = bring_certificates(client, &wanted).await {
        tracing::warn!(%error, "the certificates of the keys come into the store with the next start");
    }
}

/// Runs until the daemon ends. The schema must be there.
pub(super) async fn run(client: Client, mut certificates: watch::Receiver<Vec<KeyRow>>) {
    loop {
        let wanted = certificates.borrow_and_update().clone();
        let mut pause = Duration::from_millis(500);
        while let Err(error) = bring_certificates(&client, &wanted).await {
            tracing::warn!(%error, "cannot bring the certificates of the keys into the store yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        if certificates.changed().await.is_err() {
            return;
        }
    }
}
