//! The first bytes of a socket: a TLS handshake that names the server, a request to a proxy that names it, or plaintext.

use crate::protocol::tls::{ClientHello, HelloReader, HelloState, host_name};

/// Record type of handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// Handshake type of a ClientHello.
const CLIENT_HELLO: u8 = 1;
/// Bytes of a record up to the handshake type.
const HANDSHAKE_HEAD: usize = 6;

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
    /// First bytes of the handshake, as far as they came.
    first: Vec<u8>,
    /// Head of a `CONNECT` request so far.
    proxy: Option<Vec<u8>>,
    /// A proxy was asked for a tunnel.
    tunnel: bool,
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
        if self.hello.is_some() {
            return self.handshake(bytes);
        }
        if self.proxy.is_some() {
            return self.proxy_head(bytes);
        }
        match bytes.first() {
            None => Opened::More,
            Some(&HANDSHAKE) => self.handshake(bytes),
            // Again after a first one, too: a proxy may ask who is there.
            Some(_) if bytes.starts_with(b"CONNECT ") => {
                self.proxy = Some(Vec::new());
                self.proxy_head(bytes)
            }
            Some(_) if self.tunnel => Opened::Other,
            Some(_) => Opened::Plain,
        }
    }

    /// Whether the bytes so far are the start of a TLS client's handshake, even if it cannot be read to its end.
    pub(super) fn looks_like_tls(&self) -> bool {
        matches!(self.first[..], [HANDSHAKE, 3, _, _, _, CLIENT_HELLO])
    }

    fn handshake(&mut self, bytes: &[u8]) -> Opened {
        let missing = HANDSHAKE_HEAD.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..missing]);
        match self.hello.get_or_insert_default().push(bytes) {
            HelloState::NeedMore => Opened::More,
            HelloState::Done(hello) => Opened::Tls(hello),
            HelloState::NotHello => Opened::Other,
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
        if memchr::memmem::find(head, b"\r\n\r\n").is_none() {
            return Opened::More;
        }
        let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
        let target = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let is_name = |name: &String| name.parse::<std::net::IpAddr>().is_err();
        let name = host_name(target.rsplit_once_byte(b':').unwrap_or(target)).filter(is_name);
        self.proxy = None;
        self.tunnel = true;
        // A tunnel to an address has no name yet: its hello may give one.
        name.map_or(Opened::More, Opened::Proxy)
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
    fn a_proxy_that_asks_for_a_password_and_a_tunnel_to_an_address() {
        let mut opening = Opening::default();
        let mut at = 0;
        for address in ["[2001:db8::7]", "192.0.2.7"] {
            let request = format!("CONNECT {address}:443 HTTP/1.1\r\n\r\n");
            assert_eq!(
                opening.sent(at, request.as_bytes()),
                Opened::More,
                "an address is no name"
            );
            at += request.len() as u64;
        }
        let again = b"CONNECT api.openai.com:443 HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n";
        assert_eq!(
            opening.sent(at, again),
            Opened::Proxy("api.openai.com".to_owned())
        );
        let hello = hello_for("api.openai.com");
        let at = at + again.len() as u64;
        assert!(matches!(opening.sent(at, &hello), Opened::Tls(_)));
        let mut plain = Opening::default();
        assert!(matches!(plain.sent(0, again), Opened::Proxy(_)));
        assert_eq!(plain.sent(again.len() as u64, b"POST / HTTP/1.1"), Opened::Other);
    }

    #[test]
    fn a_hello_that_cannot_be_read_still_looks_like_one() {
        let mut long = hello_for("api.openai.com");
        long[6] = 1;
        let mut opening = Opening::default();
        assert_eq!(opening.sent(0, &long[..5]), Opened::More);
        assert!(!opening.looks_like_tls(), "any handshake message so far");
        assert_eq!(
            opening.sent(5, &long[5..]),
            Opened::Other,
            "longer than the budget"
        );
        assert!(opening.looks_like_tls());
        let mut other = Opening::default();
        assert_eq!(other.sent(0, b"\x16\x03\x01\0\x04\x02\0\0\0"), Opened::Other);
        assert!(!other.looks_like_tls());
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
