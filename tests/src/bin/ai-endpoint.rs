//! The local AI endpoint as a program: prints `listening PORT`, then serves until it is stopped.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use observer_tests::endpoint::{Endpoint, HOSTS, Settings};

/// HTTPS server on loopback that answers as OpenAI and Anthropic do
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
