//! Brings the newest of something into the store: at the start, whenever there is a newer one, and once more at the end.

use std::time::Duration;

use tokio::sync::watch;

use crate::store::StoreError;

/// Longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Runs until nothing newer can come. The schema must be there. `what` is the name for the log.
pub(super) async fn run<T: Clone, F: Future<Output = Result<(), StoreError>>>(
    what: &str,
    mut newest: watch::Receiver<T>,
    bring: impl Fn(T) -> F,
) {
    loop {
        let wanted = newest.borrow_and_update().clone();
        let mut pause = Duration::from_millis(500);
        while let Err(error) = bring(wanted.clone()).await {
            tracing::warn!(%error, "cannot bring {what} into the store yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}

/// The last attempt, at the end of the daemon: rows that are stored name what would else come with the next start only.
pub(super) async fn at_the_end<T: Clone, F: Future<Output = Result<(), StoreError>>>(
    what: &str,
    newest: &watch::Receiver<T>,
    bring: impl FnOnce(T) -> F,
) {
    let wanted = newest.borrow().clone();
    if let Err(error) = bring(wanted).await {
        tracing::warn!(%error, "{what} come into the store with the next start");
    }
}
