//! What one live test left in the store, and how to find things in it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::metrics::Metrics;

/// What was stored by the end of a test.
#[derive(Debug)]
pub struct Record {
    /// Rows of `ai_interactions`, by time, of calls to this test's endpoint: other programs may use AI meanwhile.
    pub interactions: Vec<Value>,
    /// Rows of `ai_findings`, by time.
    pub findings: Vec<Value>,
    /// Rows of `ai_connections`, by time, to this test's endpoint.
    pub connections: Vec<Value>,
    /// Rows of `ai_connections` of all peers.
    pub all_connections: Vec<Value>,
    /// Rows of `ai_interactions` of all peers.
    pub all_interactions: Vec<Value>,
    /// Rows of `evidence_seals`, by sequence.
    pub seals: Vec<Value>,
    /// Number of all records stored, whoever caused them.
    pub rows: u64,
    /// Every process that a stored row names.
    pub pids: BTreeSet<u64>,
    /// The daemon's metrics just before it was stopped.
    pub metrics: Metrics,
}

impl Record {
    /// The interaction whose response has this id; there must be exactly one.
    pub fn by_response(&self, id: &str) -> Result<&Value> {
        let mut rows = self
            .interactions
            .iter()
            .filter(|row| row["gen_ai_response_id"] == id);
        let row = rows.next().with_context(|| format!("no row for response {id}"))?;
        anyhow::ensure!(rows.next().is_none(), "more than one row for response {id}");
        Ok(row)
    }

    /// The connection of this process from this local port; `None` when it has no row.
    pub fn connection_from(&self, pid: &Value, local_port: &Value) -> Option<&Value> {
        self.all_connections
            .iter()
            .find(|row| row["process_pid"] == *pid && row["network_local_port"] == *local_port)
    }

    /// The connection that carried an interaction.
    pub fn connection_of(&self, interaction: &Value) -> Result<&Value> {
        let number = &interaction["connection_id"];
        anyhow::ensure!(
            number.as_u64().is_some_and(|n| n > 0),
            "the interaction is tied to no connection"
        );
        self.connections
            .iter()
            .find(|row| row["connection_id"] == *number)
            .with_context(|| format!("no row for connection {number}"))
    }

    /// Sum of a column over all seals.
    pub fn sealed(&self, column: &str) -> u64 {
        self.seals.iter().filter_map(|row| row[column].as_u64()).sum()
    }

    /// What was lost by stage and reason, and every process that a row names, for the message of a failed test.
    pub fn losses(&self) -> String {
        let mut lost = self.metrics.samples("observer_lost_total");
        lost.retain(|(_, count)| *count > 0.0);
        let named = ["loss_stage", "loss_reason", "loss_events"];
        let with_loss = self.seals.iter().filter(|seal| seal["loss_stage"] != json!([]));
        let sealed: Vec<_> = with_loss.map(|seal| named.map(|column| &seal[column])).collect();
        format!(
            "{lost:?}, in seals: {sealed:?}, processes with rows: {:?}",
            self.pids
        )
    }

    /// Everything that was counted as lost, in any stage.
    pub fn lost(&self) -> u64 {
        self.sealed("events_lost_ring")
            + self.sealed("events_lost_user")
            + self.sealed("records_dropped_spool")
    }
}
