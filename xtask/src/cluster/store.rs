//! The store, asked from outside the cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::capture;
use crate::{build, http};

/// Database of the evidence.
const DATABASE: &str = "ai_evidence";

/// See the module.
pub(super) struct Store {
    address: SocketAddr,
    password: String,
    config: PathBuf,
}

impl Store {
    /// With a configuration for commands that ask it, in `dir`.
    pub(super) fn new(address: SocketAddr, password: String, dir: &Path) -> Result<Self> {
        let config = dir.join("review.yaml");
        let text = format!(
            "store:\n  url: http://{address}\n  password_file: {}\nstate_dir: {}\n",
            dir.join("store-password").display(),
            dir.join("review").display()
        );
        std::fs::write(&config, text).context("cannot write the configuration of the review")?;
        Ok(Self {
            address,
            password,
            config,
        })
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Rows of a query.
    pub(super) fn query(&self, sql: &str) -> Result<Vec<Value>> {
        http::query_as(self.address, &self.password, sql)
    }

    /// Columns of the newest row of a view for which a condition holds, and that is not older than `since` (seconds since 1970).
    pub(super) fn newest(
        &self,
        view: &str,
        columns: &str,
        condition: &str,
        since: u64,
    ) -> Result<Option<Value>> {
        let sql = format!(
            "SELECT {columns} FROM {DATABASE}.v_{view} WHERE {condition} AND toUnixTimestamp(ts) >= {since} ORDER BY ts DESC LIMIT 1"
        );
        Ok(self.query(&sql)?.pop())
    }

    /// A command of Observer about what is stored; its answer.
    pub(super) fn review(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(build::daemon());
        capture(command.args(arguments).arg("--config").arg(&self.config))
    }
}
