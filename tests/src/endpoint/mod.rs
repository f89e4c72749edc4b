//! An HTTPS server that answers as OpenAI, Anthropic, Gemini and Ollama do, so that real clients can be observed without a network.
//!
//! It uses rustls, so that no probe on OpenSSL ever sees the server's side. What it received and sent, byte for byte of
//! plaintext, is kept for tests to compare stored rows with (`Endpoint::log`, `GET /__log`).
//!
//! The model name in a request says how to answer: parts joined by `+`, see [`directive::Directives`].

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
mod gemini;
pub mod log;
mod ollama;
mod openai;
pub(crate) mod recorded;
mod reply;
mod routes;
mod service;
mod websocket;

pub use certificate::Authority;
pub use log::{Log, LoggedRequest};
pub use openai::SNAPSHOT;
pub use recorded::Answers;

/// What to serve.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names that the certificate is for.
    pub hosts: Vec<String>,
    /// Offer HTTP/2 before HTTP/1.1 in ALPN.
    pub http2: bool,
    /// Address to serve the same without TLS on, as local model servers do.
    pub plain: Option<SocketAddr>,
    /// What to do when a WebSocket is asked for.
    pub web_sockets: WebSockets,
    /// Answers to calls that have a number; others are answered as a model would.
    pub answers: Answers,
    /// File that gets each connection and request as a line of JSON, at once.
    pub trace: Option<PathBuf>,
}

/// How WebSockets are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WebSockets {
    /// With 426, as if there were none.
    Refuse,
    /// Without compression.
    Plain,
    /// With permessage-deflate where the client offers it.
    Deflate,
}

/// Names that the tests and the demo call; the last three are in nobody's catalogue.
pub const HOSTS: &[&str] = &[
    "api.openai.com",
    "api.anthropic.com",
    "api.mistral.ai",
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
            plain: None,
            web_sockets: WebSockets::Deflate,
            answers: Answers::default(),
            trace: None,
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
        let log = Arc::new(match &settings.trace {
            Some(path) => {
                Log::traced(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
            }
            None => Log::default(),
        });
        let mut service = service::Service {
            tls: Some(Arc::new(tls)),
            web_sockets: settings.web_sockets,
            answers: settings.answers.clone(),
            log: Arc::clone(&log),
        };
        runtime.spawn(service::accept_loop(listener, service.clone()));
        if let Some(plain) = settings.plain {
            let listener = runtime
                .block_on(TcpListener::bind(plain))
                .with_context(|| format!("cannot listen on {plain}"))?;
            service.tls = None;
            runtime.spawn(service::accept_loop(listener, service));
        }
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
