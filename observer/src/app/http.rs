//! `/metrics` and `/healthz`.

use std::sync::{Arc, atomic::Ordering};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Shared;
use crate::{alerts::Counts, config::Config, kubernetes::Status, metrics::Metrics, store::Writer};

/// Serves in the background until the returned task is ended. Does nothing where metrics are switched off.
///
/// # Errors
/// When the address cannot be used.
pub(super) async fn serve(
    config: &Config,
    shared: &Arc<Shared>,
    writer: &Arc<Writer>,
    (pods, alerts): (Arc<Status>, Arc<Counts>),
    rules: (usize, usize),
) -> anyhow::Result<JoinHandle<()>> {
    let Some(address) = config.metrics_listen else {
        return Ok(tokio::spawn(async {}));
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (metrics.listen in the configuration)"))?;
    let metrics = Arc::new(Metrics::new().context("metrics")?);
    metrics.set_rules(rules);
    let (health, shared, writer) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(writer));
    let router = Router::new()
        .route("/healthz", get(move || async move { healthz(&health) }))
        .route(
            "/metrics",
            get(move || async move { metrics.render(&shared.snapshot(), &writer, &pods, &alerts) }),
        );
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics ended");
        }
    }))
}

fn healthz(shared: &Shared) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}
