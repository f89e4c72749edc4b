//! `observer store`: the ClickHouse engine (libchdb) in a process of its own, behind ClickHouse's HTTP interface.
//!
//! Clients see a small ClickHouse server: the official client, curl, Grafana and the drivers work as they are. What
//! it is not: no sessions across requests, no users but one, no native protocol, no cluster.
//!
//! ```text
//! http      who may ask; turns; a client that leaves        request   URL, headers, forms  [pure]
//! body      encodings off                                   frame     native compressed frames  [pure]
//! run       one request on the engine                       statement INSERT, its data, everything else  [pure]
//! engine    sessions                                        error     codes, texts, statuses  [pure]
//! ffi       the only unsafe code                            native    blocks that the engine does not make  [pure]
//! config    settings, files that bind the engine            memory    how much it may take
//! ```
//!
//! `docs/store.md` says what the library does that a server does not, and what is done about it.

mod body;
mod config;
mod engine;
mod error;
mod ffi;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod memory;
mod native;
mod request;
mod run;
mod statement;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

pub use config::{EmbeddedConfig, LIBRARY_VARIABLE, find_library};
use engine::Engine;
use http::Front;

/// How long running statements and open connections get when the store stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How often the parent is looked for.
const LOOK_AT_PARENT: Duration = Duration::from_millis(500);

/// Runs the store until `shutdown` is done (or the parent has ended, where that is asked for). Running statements
/// are cancelled then; rows that were acknowledged are on disk.
pub async fn serve(config: EmbeddedConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    config.check()?;
    let parent = watch_parent(config.exit_with_parent)?;
    let library = find_library(config.library.as_deref())?;
    let lock = config::prepare(&config)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    // The engine joins relative paths of tables with its own directory.
    let data = std::path::absolute(config.engine_dir()).context("directory of the engine")?;
    let file = std::path::absolute(config.engine_config()).context("configuration of the engine")?;
    let opening = tokio::task::spawn_blocking(move || Engine::open(&library, &data, &file));
    let engine = Arc::new(opening.await.context("opening the engine")??);
    tracing::info!(%address, version = engine.version, "store is open");
    let loopback = config.listen.ip().is_loopback();
    let front = Front::new(Arc::clone(&engine), config.database, config.password, loopback);
    let stop = async {
        tokio::select! {
            () = shutdown => {}
            () = parent => tracing::info!("the parent process has ended"),
        }
    };
    accept(listener, &front, &engine, stop).await?;
    drop(front);
    // The engine writes nothing after its last session: the directory can be let go.
    tokio::task::spawn_blocking(move || engine.close()).await?;
    drop(lock);
    tracing::info!(%address, "store is closed");
    Ok(())
}

/// Answers requests until `stop`, then ends what runs.
async fn accept(
    listener: TcpListener,
    front: &Arc<Front>,
    engine: &Arc<Engine>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (told, telling) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, front.router()).with_graceful_shutdown(async {
        // An error means that the sender was dropped, which is the same message.
        let _ = telling.await;
    });
    let mut server = tokio::spawn(async move { server.await });
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        () = stop => {}
    }
    front.stop();
    drop(told);
    let deadline = tokio::time::Instant::now() + STOP_WITHIN;
    while front.running() > 0 && tokio::time::Instant::now() < deadline {
        let engine = Arc::clone(engine);
        let killed = tokio::task::spawn_blocking(move || engine.kill(None)).await?;
        if let Err(exception) = killed {
            tracing::warn!(code = exception.code, "running queries were not killed");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if front.running() > 0 {
        tracing::warn!(
            requests = front.running(),
            "store stops with requests in the engine"
        );
    }
    if tokio::time::timeout_at(deadline, &mut server).await.is_err() {
        server.abort();
    }
    Ok(())
}

/// Done when the parent has ended; never where none is watched. A process whose parent ends gets another one. (The
/// kernel's parent-death signal follows the thread that started this process, which may end long before the parent.)
fn watch_parent(pid: Option<u32>) -> anyhow::Result<impl Future<Output = ()>> {
    let parent = || rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if pid.is_some() && parent() != pid {
        anyhow::bail!(
            "process {} is not the parent of this process",
            pid.unwrap_or_default()
        );
    }
    Ok(async move {
        if pid.is_none() {
            return std::future::pending().await;
        }
        while parent() == pid {
            tokio::time::sleep(LOOK_AT_PARENT).await;
        }
    })
}

/// Done at SIGTERM or SIGINT: the usual `shutdown` of [`serve`].
pub fn termination() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("handle SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// URL of a store that listens on `address`.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
