//! The ClientHello at the start of a TLS connection (RFC 8446 section 4.1.2): the server's name and what is offered.
//! It is sent in clear, whatever TLS library the client has, so it names connections that cannot be read.

use tls_parser::{
    TlsExtension, TlsExtensionType, TlsMessage, TlsMessageHandshake, parse_tls_client_hello_extensions,
    parse_tls_message_handshake,
};

/// Record type of handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// Bytes before the fragment of a record: type, version, length.
const RECORD_HEAD: usize = 5;
/// Longest fragment (RFC 8446 section 5.1).
const MAX_FRAGMENT: usize = 1 << 14;
/// Handshake type of a ClientHello.
const CLIENT_HELLO: u8 = 1;
/// Bytes before the body of a handshake message: type and length.
const MESSAGE_HEAD: usize = 4;
/// Longest ClientHello that is read. Real ones are below 3 KiB; the kernel programs deliver not more than this.
const MAX_HELLO: usize = 1 << 14;
/// Longest name that is taken over (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// Extension `encrypted_client_hello` (RFC 9849). Some clients always send one that means nothing, so it says that the
/// name may be a public one of the provider's network, not that it is.
const ENCRYPTED_CLIENT_HELLO: TlsExtensionType = TlsExtensionType(0xfe0d);

/// What a ClientHello says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Name of the server in lower case (RFC 6066 section 3); `None` when there is none or it is not a DNS name.
    pub server_name: Option<String>,
    /// The extension for an encrypted hello is there.
    pub encrypted_hello: bool,
    /// Offered application protocols (RFC 7301), as text.
    pub alpn: Vec<String>,
}

/// What became of the bytes so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloState {
    /// More bytes are needed.
    NeedMore,
    /// The hello is complete.
    Done(ClientHello),
    /// Not a ClientHello, or longer than the budget; with what could be read of it.
    NotHello,
}

/// Collects the bytes that a client sends first, however they are cut into records, segments and calls.
#[derive(Default)]
pub struct HelloReader {
    /// Bytes of the current record that are still to come, and the start of its head.
    fragment_left: usize,
    head: Vec<u8>,
    /// The handshake message so far.
    message: Vec<u8>,
}

// The hello can hold names and session tickets: only its length is shown.
impl std::fmt::Debug for HelloReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HelloReader")
            .field("message", &self.message.len())
            .finish_non_exhaustive()
    }
}

impl HelloReader {
    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) -> HelloState {
        while !bytes.is_empty() {
            if self.fragment_left == 0 {
                let take = bytes.len().min(RECORD_HEAD - self.head.len());
                let (head, rest) = bytes.split_at(take);
                self.head.extend_from_slice(head);
                bytes = rest;
                if self.head.len() < RECORD_HEAD {
                    return HelloState::NeedMore;
                }
                let [kind, major, _, high, low] = self.head[..] else {
                    return HelloState::NotHello;
                };
                self.head.clear();
                self.fragment_left = usize::from(u16::from_be_bytes([high, low]));
                if kind != HANDSHAKE
                    || major != 3
                    || self.fragment_left == 0
                    || self.fragment_left > MAX_FRAGMENT
                {
                    return HelloState::NotHello;
                }
            }
            let (fragment, rest) = bytes.split_at(bytes.len().min(self.fragment_left));
            self.fragment_left -= fragment.len();
            bytes = rest;
            self.message.extend_from_slice(fragment);
            match self.message_state() {
                HelloState::NeedMore => {}
                known => return known,
            }
        }
        HelloState::NeedMore
    }

    fn message_state(&self) -> HelloState {
        let Some((head, _)) = self.message.split_first_chunk::<MESSAGE_HEAD>() else {
            return HelloState::NeedMore;
        };
        let len = usize::try_from(u32::from_be_bytes([0, head[1], head[2], head[3]])).unwrap_or(usize::MAX);
        if head[0] != CLIENT_HELLO || len > MAX_HELLO {
            return HelloState::NotHello;
        }
        if self.message.len() < MESSAGE_HEAD + len {
            return HelloState::NeedMore;
        }
        read(&self.message[..MESSAGE_HEAD + len]).map_or(HelloState::NotHello, HelloState::Done)
    }
}

fn read(message: &[u8]) -> Option<ClientHello> {
    let (_, message) = parse_tls_message_handshake(message).ok()?;
    let TlsMessage::Handshake(TlsMessageHandshake::ClientHello(hello)) = message else {
        return None;
    };
    let mut found = ClientHello::default();
    // Extensions that cannot be parsed leave what stands before them.
    let extensions = hello
        .ext
        .and_then(|bytes| parse_tls_client_hello_extensions(bytes).ok());
    for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
        match extension {
            TlsExtension::SNI(names) => {
                found.server_name = names.first().and_then(|(_, name)| host_name(name));
            }
            TlsExtension::ALPN(protocols) => {
                let text = |p: &&[u8]| String::from_utf8_lossy(p).into_owned();
                found.alpn = protocols.iter().take(16).map(text).collect();
            }
            TlsExtension::Unknown(ENCRYPTED_CLIENT_HELLO, _) => found.encrypted_hello = true,
            _ => {}
        }
    }
    Some(found)
}

/// A name as it may be shown and looked up: letters, digits, dots, hyphens and underscores, in lower case.
pub(crate) fn host_name(raw: &[u8]) -> Option<String> {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let fits = !raw.is_empty() && raw.len() <= MAX_NAME && raw.iter().all(is_name);
    let text = fits.then(|| std::str::from_utf8(raw).ok()).flatten()?;
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap();
        [&kind.to_be_bytes()[..], &len.to_be_bytes(), body].concat()
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        let len = u16::try_from(name.len()).unwrap();
        let entry = [&[0][..], &len.to_be_bytes(), name].concat();
        let list = [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], &entry].concat();
        extension(0, &list)
    }

    /// A ClientHello with these extensions, in records of `fragment` bytes.
    pub(crate) fn hello(extensions: &[u8], fragment: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO, len[1], len[2], len[3]][..], &body].concat();
        let record = |part: &[u8]| {
            let len = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1, len[0], len[1]][..], part].concat()
        };
        message.chunks(fragment).flat_map(record).collect()
    }

    /// A ClientHello for this server.
    pub(crate) fn hello_for(name: &str) -> Vec<u8> {
        hello(&sni(name.as_bytes()), 16_384)
    }

    fn whole(bytes: &[u8]) -> HelloState {
        HelloReader::default().push(bytes)
    }

    #[test]
    fn the_name_is_found_behind_other_extensions_and_in_lower_case() {
        let extensions = [
            extension(21, &[0; 1800]),
            extension(16, b"\0\x0c\x02h2\x08http/1.1"),
            extension(0xfe0d, &[1, 2, 3]),
            sni(b"API.OpenAI.com"),
        ]
        .concat();
        let HelloState::Done(found) = whole(&hello(&extensions, 16_384)) else {
            panic!("not read")
        };
        assert_eq!(found.server_name.as_deref(), Some("api.openai.com"));
        assert_eq!(found.alpn, ["h2", "http/1.1"]);
        assert!(found.encrypted_hello);
    }

    #[test]
    fn any_split_gives_the_same() {
        let bytes = hello(&[extension(21, &[0; 40]), sni(b"api.anthropic.com")].concat(), 33);
        let expected = whole(&bytes);
        assert!(
            matches!(&expected, HelloState::Done(h) if h.server_name.as_deref() == Some("api.anthropic.com"))
        );
        for cut in 1..bytes.len() {
            let mut reader = HelloReader::default();
            assert_eq!(reader.push(&bytes[..cut]), HelloState::NeedMore, "cut at {cut}");
            assert_eq!(reader.push(&bytes[cut..]), expected, "cut at {cut}");
        }
        let mut reader = HelloReader::default();
        let last = bytes.iter().map(|b| reader.push(&[*b])).last();
        assert_eq!(last, Some(expected));
    }

    #[test]
    fn names_with_control_characters_or_of_64_kib_are_no_names() {
        for name in [&b"evil\x1b[31m.com"[..], b"a b", b"", &[b'a'; 300], &[0xff; 20]] {
            let HelloState::Done(found) = whole(&hello(&sni(name), 16_384)) else {
                panic!("not read")
            };
            assert_eq!(found.server_name, None, "{} bytes", name.len());
        }
        let long = hello(&sni(&vec![b'a'; 60_000]), 16_384);
        assert_eq!(whole(&long), HelloState::NotHello);
    }

    #[test]
    fn other_protocols_are_no_hello() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x17\x03\x03\0\x05hello",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\0\x04\x02\0\0\x01",
        ] {
            assert_eq!(whole(bytes), HelloState::NotHello, "{bytes:?}");
        }
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let bytes = hello(
            &[sni(b"api.openai.com"), extension(16, b"\0\x03\x02h2")].concat(),
            64,
        );
        for at in 0..bytes.len() {
            for bit in [1, 0x80, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                let _ = whole(&flipped);
            }
        }
    }
}
