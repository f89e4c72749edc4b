//! MCP servers by session. A server names itself when a session begins; over HTTP the calls of the session may come over other connections,
//! with its identifier alone.

use std::sync::Arc;

use super::conversations::Recent;
use crate::{
    exchange::{Product, Rpc},
    identity::ProcessKey,
};

/// Sessions after which the older half of what is remembered goes.
const MAX_REMEMBERED: usize = 4_096;

/// See the module.
pub(super) struct McpServers(Recent<(ProcessKey, Box<str>), Arc<Product>>);

impl Default for McpServers {
    fn default() -> Self {
        Self(Recent::new(MAX_REMEMBERED))
    }
}

impl McpServers {
    /// The server of a call of this process: as it names itself, else as it did in this session. An empty one where it never did.
    pub(super) fn of(&mut self, process: ProcessKey, rpc: &Rpc) -> Arc<Product> {
        let key = rpc.session.as_deref().map(|session| (process, session.into()));
        match key {
            Some(key) if rpc.server.name.is_empty() => self.0.get(&key).unwrap_or_default(),
            Some(key) => {
                let server = Arc::new(rpc.server.clone());
                self.0.put(key, Arc::clone(&server));
                server
            }
            None => Arc::new(rpc.server.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(session: Option<&str>, name: &str) -> Rpc {
        Rpc {
            session: session.map(str::to_owned),
            server: Product {
                name: name.to_owned(),
                version: String::new(),
            },
            ..Rpc::default()
        }
    }

    #[test]
    fn a_session_has_the_server_that_began_it() {
        let mut servers = McpServers::default();
        let [one, other] = [1, 2].map(|pid| ProcessKey { pid, start_ns: 5 });
        let mut named = |process, rpc: &Rpc| servers.of(process, rpc).name.clone();
        assert_eq!(named(one, &rpc(Some("a"), "weather")), "weather");
        assert_eq!(named(one, &rpc(Some("a"), "")), "weather");
        assert_eq!(named(one, &rpc(Some("b"), "")), "");
        assert_eq!(
            named(other, &rpc(Some("a"), "")),
            "",
            "anybody can name a session"
        );
        assert_eq!(named(one, &rpc(None, "")), "");
        assert_eq!(named(one, &rpc(None, "files")), "files");
    }
}
