//! Calls as they stand on the wire, for who wants the bytes and not the comparison.

use anyhow::{Context, Result};
use observer::protocol::Side;
use serde_json::Value;

pub(crate) use super::connection::Transport;
use super::connection::{Direction, connections};
use super::recording::Recording;
use crate::random::Random;

/// A connection: pieces in the order in which they pass.
pub(crate) struct Wire {
    pub(crate) server_name: Option<String>,
    pub(crate) pieces: Vec<(Side, Vec<u8>)>,
}

impl Wire {
    /// Bytes of both directions.
    pub(crate) fn len(&self) -> u64 {
        self.pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// Frames rows of the form of recordings; rows that are no HTTP calls are left out. Gives the connections and how many
/// calls they carry.
///
/// # Errors
/// As [`super::run`].
pub(crate) fn wires(rows: &[Value], transport: Transport, seed: u64) -> Result<(Vec<Wire>, u64)> {
    let mut recordings = Vec::new();
    for (number, row) in (1..).zip(rows) {
        recordings.extend(Recording::read(row).with_context(|| format!("recording {number}"))?);
    }
    let connections = connections(&recordings, transport, &mut Random::new(seed))?;
    let wires = connections.into_iter().map(|connection| Wire {
        server_name: connection.server_name,
        pieces: connection
            .fragments
            .into_iter()
            .map(|turn| match turn.direction {
                Direction::Sent => (Side::Request, turn.bytes),
                Direction::Received => (Side::Response, turn.bytes),
            })
            .collect(),
    });
    Ok((wires.collect(), recordings.len() as u64))
}
