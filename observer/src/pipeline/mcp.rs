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
    /// The server that a call of this process does not name itself: as it did in this session. `None` where the call names it, and where
    /// nobody did.
    pub(super) fn of(&mut self, process: ProcessKey, rpc: &Rpc) -> Option<Arc<Product>> {
        let key = (process, rpc.session.as_deref()?.into());
        if rpc.server.name.is_empty() {
            return self.0.get(&key);
        }
        self.0.put(key, Arc::new(rpc.server.clone()));
        None
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
        let mut named = |process, rpc: &Rpc| {
            let of_session = servers.of(process, rpc);
            of_session.as_deref().unwrap_or(&rpc.server).name.clone()
        };
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
