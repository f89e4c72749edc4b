//! A connection that begins as HTTP/1.1 and goes on as HTTP/2, in clear text: `Upgrade: h2c` (RFC 7540 section 3.2). Java's client asks for
//! it in each first request.

use super::connection::{ConnectionHooks, Inner, MAX_OPEN_STREAMS};
use crate::protocol::http2::Http2Connection;
use crate::protocol::{ResponseHead, Side};

/// Whether a server goes over to HTTP/2 with this head.
fn is_upgrade(head: &ResponseHead) -> bool {
    let to = head.fields.get("upgrade").unwrap_or_default();
    head.status == 101 && to.trim().eq_ignore_ascii_case("h2c")
}

impl Inner {
    /// Takes a head that says so: the answer to the request comes as stream 1.
    pub(super) fn upgraded(&mut self, exchange: u64, head: &ResponseHead) -> bool {
        if self.http2.is_some() || !is_upgrade(head) {
            return false;
        }
        let next = self.next.max(exchange + 1);
        self.http2 = Some(Box::new(Http2Connection::upgraded(exchange, next)));
        self.room = MAX_OPEN_STREAMS;
        true
    }

    /// Bytes of HTTP/2.
    pub(super) fn http2_data(
        &mut self,
        side: Side,
        data: &[u8],
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(mut http2) = self.http2.take() else {
            return;
        };
        http2.push(side, data, &mut |event| self.event(event, now_ns, hooks));
        self.http2 = Some(http2);
    }

    /// Bytes of it are missing.
    pub(super) fn http2_gap(
        &mut self,
        side: Side,
        missing: Option<u64>,
        now_ns: u64,
        hooks: &mut dyn ConnectionHooks,
    ) {
        let Some(mut http2) = self.http2.take() else {
            return;
        };
        http2.gap(side, missing, &mut |event| self.event(event, now_ns, hooks));
        self.http2 = Some(http2);
    }

    /// The connection is over.
    pub(super) fn http2_close(&mut self, now_ns: u64, hooks: &mut dyn ConnectionHooks) {
        if let Some(mut http2) = self.http2.take() {
            http2.close(&mut |event| self.event(event, now_ns, hooks));
        }
    }
}
