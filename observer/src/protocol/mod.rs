//! Protocol stage: ordered plaintext bytes of a connection in, HTTP messages out.
//!
//! Every decoder here takes bytes in pieces of any size and never assumes where a piece ends. What a peer controls
//! has a named budget; what does not fit is reported, never dropped in silence.

pub mod dns;
pub mod encoding;
pub mod eventstream;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod json;
pub mod jsonrpc;
pub mod multipart;
pub mod sniff;
pub mod sse;
pub mod tls;
pub mod urlencoded;
pub mod websocket;

/// Which half of an HTTP exchange bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Client to server.
    Request,
    /// Server to client.
    Response,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// Header fields in the order received, names in lower case. Values are raw octets (RFC 9110 section 5.5).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl Fields {
    /// First value of the field `name` (lower case), as text. Octets that are not UTF-8 are replaced.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    }

    /// All values of the field `name` (lower case), raw.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }
}

// Header values hold credentials: the names may be shown, the values never.
impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(n, v)| (n, v.len())))
            .finish()
    }
}

/// Head of a request, without its body.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// Method as sent, for example `POST`; empty where it is not known (HTTP/2 joined in the middle). So are path and host.
    pub method: String,
    /// Path without the query. May hold an identifier in clear text: classify it, do not store it.
    pub path: String,
    /// Query without the question mark. May hold a credential: never store it.
    pub query: String,
    /// Value of `Host` or `:authority`, in lower case and without the port; empty where there was none.
    pub host: String,
    /// Port beside it, where one was named.
    pub port: Option<u16>,
    /// Header fields.
    pub fields: Fields,
    /// Fields that came and are not known: their names or values stand in a header table that was not seen whole (HTTP/2).
    pub unknown_fields: u32,
}

// Path and query can hold identifiers and keys.
impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = f
            .debug_struct("RequestHead")
            .field("method", &self.method)
            .field("host", &self.host)
            .finish();
        head.and_then(|()| self.fields.fmt(f))
    }
}

/// Head of a response, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code; 0 where it is not known.
    pub status: u16,
    /// Header fields.
    pub fields: Fields,
    /// Fields that came and are not known, as in a request.
    pub unknown_fields: u32,
}

/// Why the end of a message is not a clean one. Closed list: it reaches the evidence as a reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Incomplete {
    /// Bytes are missing in the middle: lost in the kernel or in user space.
    Gap,
    /// The connection, handle or process ended before the message did.
    Closed,
    /// The peer sent something that is not the protocol.
    Malformed,
    /// A budget was reached.
    OverBudget,
    /// A content coding that is not known, or one that could not be undone.
    Encoding,
    /// A protocol that is not read: what a connection was switched to, or pushed streams.
    Unsupported,
}

impl Incomplete {
    /// Reason code as stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Gap => "lost_events",
            Self::Closed => "closed_early",
            Self::Malformed => "parse_failed",
            Self::OverBudget => "over_budget",
            Self::Encoding => "encoding_failed",
            Self::Unsupported => "protocol_unsupported",
        }
    }
}

/// What a connection decoder reports. `exchange` numbers the exchanges of one connection from 0 in the order of
/// their requests (HTTP/1.1: position in the pipeline; HTTP/2: one per stream).
pub enum HttpEvent<'a> {
    /// A request head is complete.
    RequestHead {
        /// Exchange number.
        exchange: u64,
        /// The head.
        head: RequestHead,
    },
    /// A final response head is complete (interim 1xx responses are consumed by the decoder).
    ResponseHead {
        /// Exchange number.
        exchange: u64,
        /// The head.
        head: ResponseHead,
    },
    /// Body bytes with transfer coding removed, content coding still on.
    Body {
        /// Exchange number.
        exchange: u64,
        /// Request or response body.
        side: Side,
        /// The bytes.
        data: &'a [u8],
    },
    /// Body bytes are missing here, and the body goes on after them. A content coding cannot be undone from here on.
    BodyGap {
        /// Exchange number.
        exchange: u64,
        /// Request or response body.
        side: Side,
        /// How many bytes, where known.
        missing: Option<u64>,
    },
    /// Fields behind the body of an answer (HTTP/2: gRPC states there how the call ended).
    Trailers {
        /// Exchange number.
        exchange: u64,
        /// The fields.
        fields: Fields,
    },
    /// One side of the exchange is over. `incomplete` is `None` when it ended as its framing says.
    End {
        /// Exchange number.
        exchange: u64,
        /// Which side ended.
        side: Side,
        /// Why it did not end cleanly.
        incomplete: Option<Incomplete>,
        /// Bytes of this message on the connection: head, framing and body, interim responses and holes of known
        /// length included.
        wire_bytes: u64,
    },
    /// Bytes that belong to no exchange were skipped while looking for the next message.
    Skipped {
        /// Direction of the bytes.
        side: Side,
        /// How many.
        bytes: u64,
        /// Why.
        reason: Incomplete,
    },
    /// The connection changed protocol (101, CONNECT): what follows is handed on as it is.
    Switched {
        /// Exchange number of the request that asked for it.
        exchange: u64,
    },
    /// Bytes of the protocol that the connection changed to.
    Tunnel {
        /// Exchange number of the request that asked for it.
        exchange: u64,
        /// Direction of the bytes.
        side: Side,
        /// The bytes.
        data: &'a [u8],
    },
    /// Bytes of that protocol are missing here.
    TunnelGap {
        /// Exchange number of the request that asked for it.
        exchange: u64,
        /// Direction of the bytes.
        side: Side,
        /// How many, where known.
        missing: Option<u64>,
    },
}

impl HttpEvent<'_> {
    /// Number of the exchange that it is a part of. Bytes of another protocol are a part of none.
    pub fn exchange(&self) -> Option<u64> {
        match self {
            Self::RequestHead { exchange, .. }
            | Self::ResponseHead { exchange, .. }
            | Self::Body { exchange, .. }
            | Self::BodyGap { exchange, .. }
            | Self::Trailers { exchange, .. }
            | Self::End { exchange, .. }
            | Self::Switched { exchange } => Some(*exchange),
            Self::Skipped { .. } | Self::Tunnel { .. } | Self::TunnelGap { .. } => None,
        }
    }
}
