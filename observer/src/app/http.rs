//! `/metrics` and `/healthz`.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle},
};

use super::Shared;
use crate::{alerts::Counts, config::Config, kubernetes::Status, metrics::Metrics, store::Writer};

/// Most connections at the same time.
const MAX_CONNECTIONS: usize = 32;
/// Longest time for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Longest time for a request with its answer.
const TIME: Duration = Duration::from_secs(20);
/// Pause when no connection can be accepted, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

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
    Ok(tokio::spawn(accept(listener, router)))
}

/// Every process of the host can connect, so what one can hold of the daemon's descriptors, and for how long, is bounded: the oldest
/// connection makes room for a new one, since those that say nothing must not keep a probe waiting.
async fn accept(listener: TcpListener, router: Router) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to metrics was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        // What the other side did wrong, or left undone, is nothing to be told here.
        let connection = tokio::spawn(async move { drop(tokio::time::timeout(TIME, connection).await) });
        open.push_back(connection.abort_handle());
    }
}

fn healthz(shared: &Shared) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn connections_that_say_nothing_keep_nobody_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(|| async { "ok" }));
        let server = tokio::spawn(accept(listener, router));
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 8 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let ask = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        // At once, not when their time is over.
        let answer = tokio::time::timeout(HEAD_TIME / 2, ask).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"),
            "{answer}"
        );
        let mut rest = Vec::new();
        let ended = idle[0].read_to_end(&mut rest).await;
        assert!(
            ended.is_err() || !rest.starts_with(b"HTTP/1.1 200"),
            "it was in the way"
        );
        server.abort();
    }
}
