//! Questions to the API server (shell): HTTP/1.1 over TLS, answers as a stream of objects.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use super::{
    Settings,
    cut::{Broken, Cutter},
};
use crate::tls;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the head of an answer may take: a busy API server lets requests wait.
const HEAD: Duration = Duration::from_secs(60);
/// A peer that is gone without a word is noticed after a few of these.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Longest answer that says why something is refused.
const MAX_REFUSAL: usize = 16 << 10;
/// Longest part of it that is shown.
const MAX_SHOWN: usize = 300;
/// Longest token.
const MAX_TOKEN: u64 = 64 << 10;

/// Why the API server did not answer as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file, or what is configured.
    #[error("{0}")]
    Setup(String),
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(String),
    /// It does not know the token (401).
    #[error("the API server does not accept the token (401)")]
    Unauthorized,
    /// The service account may not do this (403); with what the API server says.
    #[error("the API server refuses (403): {0}")]
    Denied(String),
    /// What is asked for is too long ago (410).
    #[error("the API server has forgotten the version that was asked for (410)")]
    Expired,
    /// Any other answer but success.
    #[error("the API server answers with status {0}")]
    Refused(u16),
    /// What came is no answer of an API server.
    #[error("{0}")]
    Nonsense(String),
    /// Nobody takes what is found any more.
    #[error("the daemon ends")]
    Stopped,
}

impl Fault {
    /// Names for metrics, in the order of [`Self::number`].
    pub const NAMES: [&'static str; 7] = [
        "setup",
        "unreachable",
        "unauthorized",
        "denied",
        "expired",
        "refused",
        "nonsense",
    ];

    /// Place in [`Self::NAMES`]; none for the end of the daemon, which is no fault.
    pub fn number(&self) -> Option<usize> {
        Some(match self {
            Self::Setup(_) => 0,
            Self::Unreachable(_) => 1,
            Self::Unauthorized => 2,
            Self::Denied(_) => 3,
            Self::Expired => 4,
            Self::Refused(_) => 5,
            Self::Nonsense(_) => 6,
            Self::Stopped => return None,
        })
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Nonsense(broken.to_string())
    }
}

/// A client of one API server.
pub struct Api {
    http: HttpClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: String,
    token_file: Option<PathBuf>,
}

impl Api {
    /// A client with the certificates as they are now: they can be replaced while the daemon runs.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        let config = tls::client_config(settings.ca_file.as_deref()).map_err(Fault::Setup)?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        // Only over TLS: the token lets others do what we may.
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            http: HttpClient::builder(TokioExecutor::new()).build(https),
            url: settings.url.clone(),
            token_file: settings.token_file.clone(),
        })
    }

    /// Asks for `path`, with its query; the objects of the answer are cut by `cutter`. No piece of the answer may take longer than `idle`.
    ///
    /// # Errors
    /// When there is no answer, or none with success.
    pub(super) async fn get(&self, path: &str, cutter: Cutter, idle: Duration) -> Result<Answer, Fault> {
        let request = self.request(path)?;
        let response = tokio::time::timeout(HEAD, self.http.request(request))
            .await
            .map_err(|_| Fault::Unreachable(format!("{} does not answer in time", self.url)))?
            .map_err(|error| Fault::Unreachable(format!("{}: {}", self.url, tls::with_causes(&error))))?;
        let status = response.status().as_u16();
        match status {
            200 => Ok(Answer {
                body: response.into_body(),
                cutter,
                idle,
            }),
            401 => Err(Fault::Unauthorized),
            403 => Err(Fault::Denied(reason(response.into_body()).await)),
            410 => Err(Fault::Expired),
            other => Err(Fault::Refused(other)),
        }
    }

    fn request(&self, path: &str) -> Result<hyper::Request<Empty<Bytes>>, Fault> {
        let mut request = hyper::Request::get(format!("{}{path}", self.url))
            .header("Accept", "application/json")
            .header("User-Agent", concat!("observer/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.token_file {
            let mut bearer = hyper::header::HeaderValue::try_from(format!("Bearer {}", token(path)?))
                .map_err(|_| Fault::Setup(format!("{}: not a token", path.display())))?;
            bearer.set_sensitive(true);
            request = request.header("Authorization", bearer);
        }
        request
            .body(Empty::new())
            .map_err(|error| Fault::Setup(format!("{}: {error}", self.url)))
    }
}

/// The token as it is now: the kubelet replaces it before it expires.
fn token(path: &Path) -> Result<String, Fault> {
    let failed = |error: std::io::Error| Fault::Setup(format!("cannot read {}: {error}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_TOKEN).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim().to_owned())
}

/// What the API server says about a refusal, fit for a log.
async fn reason(body: hyper::body::Incoming) -> String {
    #[derive(Default, Deserialize)]
    struct Refusal {
        message: Option<String>,
    }
    let read = tokio::time::timeout(CONNECT, Limited::new(body, MAX_REFUSAL).collect()).await;
    let bytes = read
        .ok()
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes);
    let refusal: Refusal = serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
    let message = refusal.message.unwrap_or_else(|| "no reason given".to_owned());
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_SHOWN)
        .collect()
}

/// An answer on its way.
pub(super) struct Answer {
    body: hyper::body::Incoming,
    cutter: Cutter,
    idle: Duration,
}

impl Answer {
    /// Hands out the objects that the next piece completes; `false` at the end.
    ///
    /// # Errors
    /// When the connection breaks, or this is no such answer.
    pub(super) async fn next(&mut self, take: &mut (dyn FnMut(&[u8]) + Send)) -> Result<bool, Fault> {
        let broke =
            |why: String| Fault::Unreachable(format!("the answer of the API server broke off: {why}"));
        let frame = tokio::time::timeout(self.idle, self.body.frame())
            .await
            .map_err(|_| broke("nothing came for too long".to_owned()))?;
        let Some(frame) = frame else { return Ok(false) };
        let frame = frame.map_err(|error| broke(tls::with_causes(&error)))?;
        if let Some(data) = frame.data_ref() {
            self.cutter.push(data, take)?;
        }
        Ok(true)
    }

    /// What stood around the objects of a list.
    pub(super) fn rest(&self) -> &[u8] {
        self.cutter.rest()
    }

    /// Objects that were too long to be taken.
    pub(super) fn skipped(&self) -> u64 {
        self.cutter.skipped()
    }
}
