//! The local AI endpoint as a program: prints `listening PORT`, then serves until it is stopped.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use observer_tests::endpoint::{Endpoint, HOSTS, Settings, WebSockets};

/// HTTPS server on loopback that answers as OpenAI, Anthropic, Gemini and Ollama do
#[derive(Parser)]
struct Cli {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File to write the certificate authority to (PEM)
    #[arg(long)]
    ca_file: PathBuf,
    /// Host name that the certificate is for; may be given several times
    #[arg(long = "host")]
    hosts: Vec<String>,
    /// Offer HTTP/2
    #[arg(long)]
    http2: bool,
    /// Address to serve the same without TLS on
    #[arg(long)]
    plain: Option<SocketAddr>,
    /// How to answer requests for a WebSocket
    #[arg(long, value_enum, default_value = "deflate")]
    web_sockets: WebSockets,
    /// File to write each connection and request to, one line of JSON each
    #[arg(long)]
    trace: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let hosts = if cli.hosts.is_empty() {
        HOSTS.iter().map(ToString::to_string).collect()
    } else {
        cli.hosts
    };
    let settings = Settings {
        listen: cli.listen,
        hosts,
        http2: cli.http2,
        plain: cli.plain,
        web_sockets: cli.web_sockets,
        trace: cli.trace,
        ..Settings::default()
    };
    let endpoint = Endpoint::start(&settings, &cli.ca_file)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening {}", endpoint.port())?;
    out.flush()?;
    // Ends by a signal.
    loop {
        std::thread::park();
    }
}
