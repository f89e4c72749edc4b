//! Store: evidence rows out to ClickHouse over HTTP(S), the schema there, and the engine itself
//! ([`embedded`]) where no server is configured.

mod certificates;
mod governance;
pub mod client;
pub mod cluster;
pub mod embedded;
pub mod history;
pub mod migrate;
pub mod retention;
mod sql;
pub mod writer;

pub use certificates::bring_certificates;
pub use client::{Client, ErrorKind, StoreError, StoreTarget, wait_ready, wait_until};
pub use governance::{GovernanceFile, RegisterRow, bring_file, bring_register};
pub use migrate::migrate;
pub use sql::is_identifier;
pub(crate) use sql::literal;
pub use writer::{MAX_REFUSALS, Writer, WriterOptions};
