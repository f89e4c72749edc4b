//! A TLS server that reads one request after another to its end and answers each, so that a client can send without
//! end. It uses rustls: a server's side, which is left in the kernel.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::endpoint::Authority;

/// What ends a chunked body.
const END: &[u8] = b"0\r\n\r\n";
const BODY: &str = r#"{"id":"chatcmpl-flood","object":"chat.completion","model":"gpt-flood","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// Starts it for this host; its threads end with the process. The authority's certificate goes to `ca_file`. Gives
/// its port.
pub(super) fn start(host: &str, ca_file: &Path) -> Result<u16> {
    let authority = Authority::new()?;
    std::fs::write(ca_file, authority.pem()).context("certificate of the sink")?;
    let config = Arc::new(authority.server_config(&[host.to_owned()], false)?);
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on loopback")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            // A connection that breaks off is seen at the client.
            std::thread::spawn(move || serve(tcp, config));
        }
    });
    Ok(port)
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, tcp);
    let mut buffer = vec![0; 64 * 1024];
    let mut tail = Vec::new();
    loop {
        let read = tls.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        tail.extend_from_slice(&buffer[read.saturating_sub(END.len())..read]);
        tail.drain(..tail.len().saturating_sub(END.len()));
        if tail == END {
            let length = BODY.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            tls.write_all(format!("{head}{BODY}").as_bytes())?;
            tls.flush()?;
        }
    }
}
