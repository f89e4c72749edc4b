//! Answers that were recorded elsewhere and are given again as they were, instead of what a model would say.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Response, StatusCode};

use super::reply::{Body, Reply};

/// What stands before the number of a call, as the last word of its `User-Agent`.
pub(crate) const MARK: &str = "call/";

/// One answer. Holds clear text, so it has no `Debug`.
pub(crate) struct Recorded {
    pub(crate) status: u16,
    /// Fields without those of the framing.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it is sent: each piece at once.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// The length is said before; otherwise the body comes in chunks.
    pub(crate) length: bool,
}

/// Recorded answers by the number of the call.
#[derive(Clone, Default)]
pub struct Answers(Arc<BTreeMap<usize, Recorded>>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} recorded answers", self.0.len())
    }
}

impl Answers {
    pub(crate) fn new(answers: BTreeMap<usize, Recorded>) -> Self {
        Self(Arc::new(answers))
    }

    /// The answer to the call that this `User-Agent` numbers, if it was recorded.
    pub(super) fn reply(&self, headers: &HeaderMap) -> Option<Reply> {
        let agent = headers.get(USER_AGENT)?.to_str().ok()?;
        let recorded = self.0.get(&number(agent)?)?;
        Some(Reply {
            status: recorded.status,
            model: String::new(),
            response: recorded.response(),
        })
    }
}

/// Number of the call that a `User-Agent` ends with.
pub(crate) fn number(user_agent: &str) -> Option<usize> {
    user_agent.rsplit(' ').next()?.strip_prefix(MARK)?.parse().ok()
}

impl Recorded {
    fn response(&self) -> Response<Body> {
        let body = if self.length {
            Full::new(Bytes::from(self.pieces.concat())).boxed_unsync()
        } else {
            let frames: Vec<Result<_, Infallible>> = self
                .pieces
                .iter()
                .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
                .collect();
            StreamBody::new(stream::iter(frames)).boxed_unsync()
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            // A field that cannot be sent was not in what the recorder got either: it is one of the recorder's own.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_calls_are_answered_so() {
        let recorded = Recorded {
            status: 418,
            headers: vec![
                ("X-A".to_owned(), "1".to_owned()),
                ("no name".to_owned(), "2".to_owned()),
            ],
            pieces: vec![b"a".to_vec(), b"b".to_vec()],
            length: false,
        };
        let answers = Answers::new(BTreeMap::from([(7, recorded)]));
        let asked = |agent: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            answers.reply(&headers)
        };
        let reply = asked("Some/1.0 client call/7").unwrap();
        assert_eq!((reply.status, reply.response.headers().len()), (418, 1));
        for other in ["call/8", "call/7 client", "client", "xcall/7"] {
            assert!(asked(other).is_none(), "{other}");
        }
    }
}
