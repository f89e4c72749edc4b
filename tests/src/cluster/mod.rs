//! An API server of Kubernetes, as far as Observer asks one: lists and watches of pods and a list of nodes over TLS, tokens, pages,
//! bookmarks, versions that are forgotten, refusals and connections that are cut.

mod objects;
mod server;
#[cfg(test)]
mod tests;

pub use objects::{node, pod};
pub use server::{ApiServer, Twist};
