//! The store of this machine that the guests deliver to.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::judge::Rows;
use crate::run::output;
use crate::stage::{Stage, free_addresses};
use crate::{build, http, setup};

const DATABASE: &str = "ai_evidence";

/// See the module.
pub(super) struct Store {
    pub(super) address: SocketAddr,
    pub(super) password: String,
}

impl Store {
    /// Starts it, with a password, on loopback.
    pub(super) fn start(stage: &mut Stage) -> Result<Self> {
        let [address] = free_addresses()?;
        let password =
            output(Command::new("cat").arg("/proc/sys/kernel/random/uuid")).context("no password")?;
        let file = stage.dir().join("store-password");
        std::fs::write(&file, &password)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;
        let mut command = Command::new(build::daemon());
        command
            .arg("store")
            .arg("--data-dir")
            .arg(stage.dir().join("store"))
            .args(["--listen", &address.to_string(), "--password-file"])
            .arg(file)
            .arg("--library")
            .arg(setup::chdb_library());
        stage.start("store", &mut command)?;
        let store = Self { address, password };
        stage.wait_for("store", Duration::from_secs(60), || {
            store.query("SELECT 1 AS one").ok()
        })?;
        Ok(store)
    }

    fn query(&self, sql: &str) -> Result<Vec<Value>> {
        http::query_as(self.address, &self.password, sql)
    }

    /// Rows of one guest. A guest that stored nothing has none.
    pub(super) fn rows(&self, host: &str) -> Result<Rows> {
        let tables = self.query(&format!(
            "SELECT name FROM system.tables WHERE database = '{DATABASE}'"
        ))?;
        if tables.is_empty() {
            return Ok(Rows::default());
        }
        let of = |columns: &str, table: &str, order: &str| {
            self.query(&format!(
                "SELECT {columns} FROM {DATABASE}.{table} WHERE host_id = '{host}' ORDER BY {order}"
            ))
        };
        Ok(Rows {
            interactions: of(
                "server_address, server_port, tls_stack, tie, gen_ai_provider_name, gen_ai_request_model, gen_ai_response_id, \
                 gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, visibility, visibility_reason",
                "ai_interactions",
                "ts",
            )?,
            connections: of(
                "server_address, server_port, tls_stack, bytes_sent, bytes_received, visibility, opaque_reason",
                "ai_connections",
                "ts",
            )?,
            seals: of(
                "seal_kind, selftest, events_lost_ring, books_stage, books_seen, books_delivered, books_lost, books_held",
                "evidence_seals",
                "seal_seq",
            )?,
        })
    }
}
