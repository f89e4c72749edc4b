//! What the end-to-end tests and the demo share: an HTTPS endpoint that answers as AI services do, and a harness that
//! runs the daemon and real clients and reads back what was stored.

#![expect(
    clippy::disallowed_methods,
    reason = "a server and a harness at the edge: answers carry dates, waits have limits"
)]

pub mod bench;
pub mod clients;
pub mod cluster;
pub mod endpoint;
pub mod eval;
pub mod grafana;
pub mod harness;
pub mod month;
pub mod random;
