//! The task that asks the API server for the pods of this node, where there is one to ask.

use std::sync::Arc;

use anyhow::bail;
use tokio::sync::mpsc;

use crate::{
    config::{self, ApiServer},
    kubernetes::{Change, Cluster, Resolved, Settings, Status, Watcher, node_name},
};

/// Changes that the pipeline has not taken yet. Beyond it the watch waits, and the API server with it.
const WAITING: usize = 256;

/// Starts it. Gives the cluster without its pods, the changes of pods for the pipeline, and how it goes for the metrics.
///
/// # Errors
/// When an API server is configured and cannot be asked.
pub(super) fn start(
    config: &config::Kubernetes,
) -> anyhow::Result<(Cluster, mpsc::Receiver<Change>, Arc<Status>)> {
    let variable = |name: &str| std::env::var(name).ok();
    let (sender, changes) = mpsc::channel(WAITING);
    let status = Arc::new(Status::default());
    match Settings::of_node(config, variable, std::path::Path::exists) {
        Resolved::Off => {}
        Resolved::Unable(why) if matches!(config.api, ApiServer::At(_)) => bail!("kubernetes: {why}"),
        Resolved::Unable(why) => {
            tracing::warn!("kubernetes: names of pods are not known, container ids stay: {why}");
        }
        Resolved::On(settings) => {
            tokio::spawn(Watcher::new(settings, sender, Arc::clone(&status)).run());
        }
    }
    let cluster = Cluster::new(&config.cluster, &node_name(config, variable));
    Ok((cluster, changes, status))
}
