//! The first bytes of a socket: a TLS handshake that names the server, a request to a proxy that names it, or plaintext.

use crate::protocol::tls::{ClientHello, HelloReader, HelloState, host_name};

/// Longest head of a `CONNECT` request.
const MAX_PROXY_HEAD: usize = 4 * 1024;

/// What the first bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// Not decided yet.
    More,
    /// A TLS client that names its server, or does not.
    Tls(ClientHello),
    /// A request to a proxy for a tunnel to this host; what goes through the tunnel is still to come.
    Proxy(String),
    /// Plaintext that may be HTTP: all bytes so far are to be read as such.
    Plain,
    /// Nothing of that.
    Other,
}

/// State of one socket whose first bytes are looked at.
#[derive(Debug, Default)]
pub(super) struct Opening {
    hello: Option<HelloReader>,
    /// Head of a `CONNECT` request so far.
    proxy: Option<Vec<u8>>,
    /// Bytes sent so far.
    position: u64,
}

impl Opening {
    /// Takes bytes that the process sent, with their offset.
    pub(super) fn sent(&mut self, offset: u64, bytes: &[u8]) -> Opened {
        if offset != self.position {
            // Something is missing: what follows cannot be understood.
            return Opened::Other;
        }
        self.position += bytes.len() as u64;
        if let Some(hello) = &mut self.hello {
            return hello_state(hello.push(bytes));
        }
        if self.proxy.is_some() {
            return self.proxy_head(bytes);
        }
        match bytes.first() {
            None => Opened::More,
            Some(22) => {
                let hello = self.hello.insert(HelloReader::default());
                hello_state(hello.push(bytes))
            }
            Some(_) if bytes.starts_with(b"CONNECT ") => {
                self.proxy = Some(Vec::new());
                self.proxy_head(bytes)
            }
            Some(_) => Opened::Plain,
        }
    }

    fn proxy_head(&mut self, bytes: &[u8]) -> Opened {
        let Some(head) = &mut self.proxy else {
            return Opened::Other;
        };
        if head.len() + bytes.len() > MAX_PROXY_HEAD {
            return Opened::Other;
        }
        head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
            return Opened::More;
        };
        let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
        let target = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let host = target.rsplit_once_byte(b':').unwrap_or(target);
        let name = host_name(host);
        // A client waits for the proxy's answer before it goes on: what it sends next is the tunnel's.
        let follows = head.len() > end + 4;
        self.proxy = None;
        self.hello = Some(HelloReader::default());
        match name {
            Some(name) if !follows => Opened::Proxy(name),
            _ => Opened::Other,
        }
    }
}

fn hello_state(state: HelloState) -> Opened {
    match state {
        HelloState::NeedMore => Opened::More,
        HelloState::Done(hello) => Opened::Tls(hello),
        HelloState::NotHello => Opened::Other,
    }
}

trait RsplitOnce {
    fn rsplit_once_byte(&self, byte: u8) -> Option<&[u8]>;
}

impl RsplitOnce for [u8] {
    /// What stands before the last `byte`.
    fn rsplit_once_byte(&self, byte: u8) -> Option<&[u8]> {
        memchr::memrchr(byte, self).map(|at| &self[..at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tls::tests::hello_for;

    #[test]
    fn a_hello_in_two_calls_names_the_server() {
        let bytes = hello_for("api.openai.com");
        let mut opening = Opening::default();
        assert_eq!(opening.sent(0, &bytes[..20]), Opened::More);
        let Opened::Tls(hello) = opening.sent(20, &bytes[20..]) else {
            panic!("not read")
        };
        assert_eq!(hello.server_name.as_deref(), Some("api.openai.com"));
    }

    #[test]
    fn a_tunnel_through_a_proxy_is_named_by_the_request_and_then_by_its_own_hello() {
        let request = b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com:443\r\n\r\n";
        let mut opening = Opening::default();
        assert_eq!(opening.sent(0, &request[..30]), Opened::More);
        assert_eq!(
            opening.sent(30, &request[30..]),
            Opened::Proxy("api.anthropic.com".to_owned())
        );
        let hello = hello_for("api.anthropic.com");
        assert!(matches!(
            opening.sent(request.len() as u64, &hello),
            Opened::Tls(_)
        ));
    }

    #[test]
    fn a_hole_a_long_head_and_other_bytes_name_nothing() {
        let bytes = hello_for("api.openai.com");
        assert_eq!(Opening::default().sent(5, &bytes), Opened::Other);
        let long = [b"CONNECT ".to_vec(), vec![b'a'; MAX_PROXY_HEAD]].concat();
        assert_eq!(Opening::default().sent(0, &long), Opened::Other);
        assert_eq!(
            Opening::default().sent(0, b"POST /v1 HTTP/1.1\r\n"),
            Opened::Plain
        );
        assert_eq!(Opening::default().sent(0, b"\x16\x03\x01\0\0"), Opened::Other);
    }
}
