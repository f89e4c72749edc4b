//! A client with rustls over ring and hyper, all on one thread: calls an AI service and prints a line of JSON for each answer.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const HOST: &str = "api.openai.com";

/// Calls the local endpoint as OpenAI, by rustls over ring
#[derive(Parser)]
struct Cli {
    /// Port of the endpoint
    #[arg(long, env = "OBSERVER_TEST_PORT")]
    port: u16,
    /// Its certificate authority (PEM)
    #[arg(long, env = "SSL_CERT_FILE")]
    ca_file: PathBuf,
    /// Connections at the same time
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Calls on each connection; each prompt is a letter longer than the one before
    #[arg(long, default_value_t = 1)]
    calls: usize,
    /// Letters of the first prompt
    #[arg(long, default_value_t = 19)]
    letters: usize,
    #[arg(long, default_value = "gpt-4o-mini")]
    model: String,
    /// Say `ready` and wait for a line before anything is sent; at the end wait until standard input is closed
    #[arg(long)]
    wait: bool,
    #[arg(long)]
    stream: bool,
    #[arg(long)]
    http2: bool,
    #[arg(long)]
    tls12: bool,
    #[arg(long, value_enum, default_value = "aes256")]
    suite: Suite,
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    Aes128,
    Aes256,
    Chacha20,
}

impl Suite {
    fn is(self, suite: CipherSuite) -> bool {
        let name = format!("{suite:?}");
        let part = match self {
            Self::Aes128 => "AES_128_GCM",
            Self::Aes256 => "AES_256_GCM",
            Self::Chacha20 => "CHACHA20_POLY1305",
        };
        name.contains(part)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Arc::new(Cli::parse());
    if cli.wait {
        let mut out = std::io::stdout();
        writeln!(out, "ready")?;
        out.flush()?;
        std::io::stdin().lines().next().context("nobody said go")??;
    }
    let connector = TlsConnector::from(Arc::new(config(&cli)?));
    // All connections stand before the first of them is used, so their calls mix.
    let mut senders = Vec::new();
    for _ in 0..cli.connections {
        senders.push(connect(&cli, &connector).await?);
    }
    let set = tokio::task::LocalSet::new();
    let running: Vec<_> = senders
        .into_iter()
        .map(|sender| set.spawn_local(all_calls(Arc::clone(&cli), sender)))
        .collect();
    set.await;
    for calls in running {
        calls.await??;
    }
    if cli.wait {
        // Who asks about this process shall find it.
        let _ = std::io::stdin().lines().last();
    }
    Ok(())
}

fn config(cli: &Cli) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&cli.ca_file)? {
        roots.add(certificate?)?;
    }
    let mut provider: CryptoProvider = ring::default_provider();
    provider.cipher_suites.retain(|suite| cli.suite.is(suite.suite()));
    let version = if cli.tls12 {
        &rustls::version::TLS12
    } else {
        &rustls::version::TLS13
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let protocol: &[u8] = if cli.http2 { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

async fn connect(cli: &Cli, connector: &TlsConnector) -> Result<Sender> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, cli.port)).await?;
    socket.set_nodelay(true)?;
    let tls = connector.connect(ServerName::try_from(HOST)?, socket).await?;
    let io = TokioIo::new(tls);
    // A connection that breaks shows in its calls.
    Ok(if cli.http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Sender::Http2(sender)
    } else {
        let (sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        Sender::Http1(sender)
    })
}

async fn all_calls(cli: Arc<Cli>, mut sender: Sender) -> Result<()> {
    for number in 0..cli.calls {
        let response = sender.send(request(&cli, cli.letters + number)?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        let answer = answer(&String::from_utf8_lossy(&body), cli.stream)?;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}",
            json!({
                "status": status,
                "id": answer["id"],
                "input_tokens": answer["usage"]["prompt_tokens"],
                "output_tokens": answer["usage"]["completion_tokens"],
            })
        )?;
    }
    Ok(())
}

fn request(cli: &Cli, letters: usize) -> Result<Request<Full<Bytes>>> {
    let mut body =
        json!({"model": cli.model, "messages": [{"role": "user", "content": "x".repeat(letters)}]});
    if cli.stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    let path = "/v1/chat/completions";
    let uri = if cli.http2 {
        format!("https://{HOST}{path}")
    } else {
        path.to_owned()
    };
    let request = Request::post(uri).header("content-type", "application/json");
    let request = if cli.http2 {
        request
    } else {
        request.header("host", HOST)
    };
    Ok(request.body(Full::from(body.to_string()))?)
}

/// The answer, or of a stream its last event that has a usage.
fn answer(body: &str, stream: bool) -> Result<Value> {
    if !stream {
        return serde_json::from_str(body).with_context(|| format!("no JSON: {body}"));
    }
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let with_usage = events
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .rfind(|event| event["usage"].is_object());
    match with_usage {
        Some(event) => Ok(event),
        None => bail!("no event has a usage: {body}"),
    }
}
