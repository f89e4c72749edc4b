//! The task that sends alerts, where there is a place to send them to.

use std::time::Duration;

use tokio::{sync::oneshot, task::JoinHandle};

use crate::alerts::Sender;

/// How long the daemon waits at its end for the last alerts to go out.
const DRAIN: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Task(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Task {
    /// Starts it, where there is something to do.
    pub(super) fn start(sender: Option<Sender>) -> Self {
        Self(sender.map(|sender| {
            let (end, ended) = oneshot::channel();
            let end_of_daemon = async move { drop(ended.await) };
            (end, tokio::spawn(sender.run_until(end_of_daemon, DRAIN)))
        }))
    }

    /// Waits for the last alerts. Nobody may give any more.
    pub(super) async fn stop(self) {
        let Some((end, task)) = self.0 else { return };
        drop(end);
        // It has a limit of its own.
        let _ = task.await;
    }
}
