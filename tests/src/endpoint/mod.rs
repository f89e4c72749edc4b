//! An HTTPS server that answers as OpenAI and Anthropic do, so that real clients can be observed without a network.
//!
//! It uses rustls, so that no probe on OpenSSL ever sees the server's side. What it received and sent, byte for byte of
//! plaintext, is kept for tests to compare stored rows with (`Endpoint::log`, `GET /__log`).
//!
//! The model name in a request says how to answer: parts joined by `+`, see [`directive::Directives`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub mod answer;
mod anthropic;
mod certificate;
mod counted;
pub mod directive;
pub mod log;
mod openai;
mod service;

pub use certificate::Authority;
pub use log::{Log, LoggedRequest};
pub use openai::SNAPSHOT;

/// What to serve.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names that the certificate is for.
    pub hosts: Vec<String>,
    /// Offer HTTP/2 before HTTP/1.1 in ALPN.
    pub http2: bool,
}

/// Names that the tests and the demo call; the last three are in nobody's catalogue.
pub const HOSTS: &[&str] = &[
    "api.openai.com",
    "api.anthropic.com",
    "api.groq.com",
    "api.deepseek.com",
    "llm.example.com",
    "files.example.net",
    "localhost",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: HOSTS.iter().map(ToString::to_string).collect(),
            http2: false,
        }
    }
}

/// A running endpoint. Dropping it ends it and its connections.
pub struct Endpoint {
    address: SocketAddr,
    log: Arc<Log>,
    runtime: Option<Runtime>,
}

impl Endpoint {
    /// Starts serving on threads of its own. The certificate of the authority that clients must trust is written to
    /// `ca_file` (PEM).
    pub fn start(settings: &Settings, ca_file: &Path) -> Result<Self> {
        let authority = Authority::new()?;
        std::fs::write(ca_file, authority.pem())
            .with_context(|| format!("cannot write {}", ca_file.display()))?;
        let tls = authority.server_config(&settings.hosts, settings.http2)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("ai-endpoint")
            .enable_all()
            .build()
            .context("cannot start the endpoint's runtime")?;
        let listener = runtime
            .block_on(TcpListener::bind(settings.listen))
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr().context("listener without an address")?;
        let log = Arc::new(Log::default());
        runtime.spawn(service::accept_loop(listener, Arc::new(tls), Arc::clone(&log)));
        Ok(Self {
            address,
            log,
            runtime: Some(runtime),
        })
    }

    /// Port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it received and answered so far.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
