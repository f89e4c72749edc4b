//! Evidence stage: redacted facts in, numbered and hashed rows out. Pure; `docs/schema.md` describes the tables.
//!
//! First form: records are numbered without holes and hashed, seals cover them by count and digest and name the
//! seal before. Seals are not signed yet (`key_id` empty, `signature` zeros) and the chain of an epoch begins
//! at zero: both come with the evidence issue, which needs no new column.

pub mod canonical;
pub mod row;

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use canonical::CANON_V;
pub use row::{
    BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, LOGIN_UID_UNSET, SealKind, SealRow, Severity,
};

/// Any stored row, in the order in which the sequencer made it.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// `ai_interactions`.
    Interaction(Box<InteractionRow>),
    /// `ai_findings`.
    Finding(Box<FindingRow>),
    /// `ai_connections`.
    Connection(Box<ConnectionRow>),
    /// `blind_spots`.
    BlindSpot(Box<BlindSpotRow>),
    /// `evidence_seals`.
    Seal(Box<SealRow>),
}

macro_rules! row_from {
    ($($variant:ident($row:ty))*) => {$(
        impl From<$row> for Row {
            fn from(row: $row) -> Self {
                Self::$variant(Box::new(row))
            }
        }
    )*};
}
row_from!(
    Interaction(InteractionRow) Finding(FindingRow) Connection(ConnectionRow) BlindSpot(BlindSpotRow) Seal(SealRow)
);

/// What a seal covers in time. Wall times are ns since the Unix epoch, `mono` ones ns of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Start, wall clock.
    pub start: i64,
    /// End, wall clock.
    pub end: i64,
    /// Start, CLOCK_BOOTTIME.
    pub mono_start_ns: u64,
    /// End, CLOCK_BOOTTIME.
    pub mono_end_ns: u64,
}

/// What the agent was and what it saw in one interval. Counters are those of the interval, not totals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Version of the agent.
    pub agent_version: String,
    /// SHA-256 of the agent's file.
    pub agent_sha256: [u8; 32],
    /// SHA-256 of the configuration in force.
    pub config_sha256: [u8; 32],
    /// SHA-256 of the sensitive-data rules.
    pub rule_pack_sha256: [u8; 32],
    /// Version of the catalogue.
    pub catalog_version: String,
    /// Probes that should be attached.
    pub probes_required: u16,
    /// Probes that are.
    pub probes_attached: u16,
    /// Those that are not, with the reason.
    pub probes_failed: Vec<String>,
    /// A canary exchange was seen end to end.
    pub selftest_ok: bool,
    /// Kernel records seen.
    pub events_seen: u64,
    /// Records lost in the ring buffer.
    pub events_lost_ring: u64,
    /// Records lost in user space.
    pub events_lost_user: u64,
    /// Payload bytes cut off.
    pub bytes_truncated: u64,
    /// Rows dropped before delivery.
    pub records_dropped_spool: u64,
    /// Processes with network use.
    pub procs_net: u32,
    /// Of these, readable ones.
    pub procs_readable: u32,
    /// Of these, ones that cannot be read.
    pub procs_opaque: u32,
    /// Flows to AI endpoints.
    pub ai_flows: u32,
    /// Of these, decoded.
    pub ai_flows_decoded: u32,
    /// Of these, decoded in part.
    pub ai_flows_partial: u32,
    /// Of these, not readable.
    pub ai_flows_opaque: u32,
    /// Flows to unknown endpoints that are not readable.
    pub unknown_flows_opaque: u32,
    /// CPU time of the agent, ms.
    pub cpu_ms: u32,
    /// Resident memory of the agent at the end, KiB.
    pub rss_kib: u32,
}

/// Numbers and hashes the rows of one host and one start of the agent.
///
/// `rec_seq` and `seal_seq` begin at 1, so that 0 is never the number of anything. A record carries the number
/// of the seal that will cover it.
#[derive(Debug)]
pub struct Sequencer {
    host_id: String,
    boot_id: Uuid,
    chain_epoch: u64,
    next_rec_seq: u64,
    next_seal_seq: u64,
    first_rec_seq: u64,
    records: Sha256,
    prev_seal_hash: [u8; 32],
}

macro_rules! sequence {
    ($(#[$meta:meta])* $name:ident($row:ty)) => {
        $(#[$meta])*
        pub fn $name(&mut self, mut row: $row) -> $row {
            row.host_id.clone_from(&self.host_id);
            row.chain_epoch = self.chain_epoch;
            row.seal_seq = self.next_seal_seq;
            row.rec_seq = self.next_rec_seq;
            row.canon_v = CANON_V;
            row.record_hash = row.digest();
            self.next_rec_seq += 1;
            self.records.update(hex::encode(row.record_hash));
            row
        }
    };
}

impl Sequencer {
    /// A new chain: `chain_epoch` is the start of the agent, ns since the Unix epoch.
    pub fn new(host_id: impl Into<String>, boot_id: Uuid, chain_epoch: u64) -> Self {
        Self {
            host_id: host_id.into(),
            boot_id,
            chain_epoch,
            next_rec_seq: 1,
            next_seal_seq: 1,
            first_rec_seq: 1,
            records: Sha256::new(),
            prev_seal_hash: [0; 32],
        }
    }

    /// Records numbered so far in this epoch.
    pub fn records(&self) -> u64 {
        self.next_rec_seq - 1
    }

    sequence! {
        /// Sets the chain columns of an interaction. Sequence it before its findings: they name its `record_hash`.
        interaction(InteractionRow)
    }
    sequence! {
        /// Sets the chain columns of a finding, whose `interaction_hash` the caller has set.
        finding(FindingRow)
    }
    sequence! {
        /// Sets the chain columns of a connection.
        connection(ConnectionRow)
    }
    sequence! {
        /// Sets the chain columns of a blind spot.
        blind_spot(BlindSpotRow)
    }

    /// Closes the interval: a seal over all records since the last one, also when there were none.
    pub fn seal(&mut self, kind: SealKind, interval: Interval, coverage: Coverage) -> SealRow {
        let mut row = with_coverage(SealRow::empty(kind), coverage);
        row.host_id.clone_from(&self.host_id);
        row.boot_id = self.boot_id;
        row.chain_epoch = self.chain_epoch;
        row.seal_seq = self.next_seal_seq;
        row.interval_start = interval.start;
        row.interval_end = interval.end;
        row.mono_start_ns = interval.mono_start_ns;
        row.mono_end_ns = interval.mono_end_ns;
        row.first_rec_seq = self.first_rec_seq;
        // More than 4 billion records in one interval cannot be numbered in the time that takes.
        row.n_records = u32::try_from(self.next_rec_seq - self.first_rec_seq).unwrap_or(u32::MAX);
        row.records_digest = self.records.finalize_reset().into();
        row.prev_seal_hash = self.prev_seal_hash;
        row.seal_hash = row.digest();
        self.prev_seal_hash = row.seal_hash;
        self.first_rec_seq = self.next_rec_seq;
        self.next_seal_seq += 1;
        row
    }
}

fn with_coverage(row: SealRow, c: Coverage) -> SealRow {
    SealRow {
        agent_version: c.agent_version,
        agent_sha256: c.agent_sha256,
        config_sha256: c.config_sha256,
        rule_pack_sha256: c.rule_pack_sha256,
        catalog_version: c.catalog_version,
        probes_required: c.probes_required,
        probes_attached: c.probes_attached,
        probes_failed: c.probes_failed,
        selftest_ok: c.selftest_ok,
        events_seen: c.events_seen,
        events_lost_ring: c.events_lost_ring,
        events_lost_user: c.events_lost_user,
        bytes_truncated: c.bytes_truncated,
        records_dropped_spool: c.records_dropped_spool,
        procs_net: c.procs_net,
        procs_readable: c.procs_readable,
        procs_opaque: c.procs_opaque,
        ai_flows: c.ai_flows,
        ai_flows_decoded: c.ai_flows_decoded,
        ai_flows_partial: c.ai_flows_partial,
        ai_flows_opaque: c.ai_flows_opaque,
        unknown_flows_opaque: c.unknown_flows_opaque,
        cpu_ms: c.cpu_ms,
        rss_kib: c.rss_kib,
        ..row
    }
}

#[cfg(test)]
mod tests;
