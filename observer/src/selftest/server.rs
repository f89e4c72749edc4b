//! The TLS server of the self-test: rustls on loopback, one connection for each order.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use rcgen::{CertificateParams, KeyPair};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{Call, SERVER_NAME};

/// Listens for the helper.
pub(super) struct Server {
    listener: TcpListener,
    port: u16,
    config: Arc<ServerConfig>,
}

impl Server {
    /// Takes a free port on loopback, and makes a certificate that lives as long as the daemon. Nobody checks it.
    pub(super) fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        listener.set_nonblocking(true)?;
        let key = KeyPair::generate().context("key of the self-test's server")?;
        let parameters = CertificateParams::new(vec![SERVER_NAME.to_owned()])?;
        let certificate = parameters
            .self_signed(&key)
            .context("certificate of the self-test's server")?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)?;
        // Tickets would be plaintext of nobody's.
        config.send_tls13_tickets = 0;
        Ok(Self {
            port: listener.local_addr()?.port(),
            listener,
            config: Arc::new(config),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Serves one call. Whoever else connects meanwhile gets nothing, and does not keep the helper from being served.
    pub(super) fn serve(&self, call: &Call, time: Duration) -> anyhow::Result<()> {
        let tries = 8;
        for _ in 0..tries {
            let Some(stream) = self.accept(time)? else {
                bail!("the helper did not connect");
            };
            match self.answer(stream, call, time) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "a connection to the self-test's server failed"),
            }
        }
        bail!("{tries} connections, and none made the call")
    }

    fn accept(&self, time: Duration) -> anyhow::Result<Option<TcpStream>> {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        if poll(&mut fds, time.as_ref())? == 0 {
            return Ok(None);
        }
        match self.listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&self, mut stream: TcpStream, call: &Call, time: Duration) -> anyhow::Result<bool> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        let mut session = ServerConnection::new(Arc::clone(&self.config))?;
        let mut tls = Stream::new(&mut session, &mut stream);
        let mut request = vec![0; call.request().len()];
        tls.read_exact(&mut request)?;
        if request != call.request() {
            return Ok(false);
        }
        tls.write_all(&call.answer())?;
        session.send_close_notify();
        session.complete_io(&mut stream)?;
        Ok(true)
    }
}
