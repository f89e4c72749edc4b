//! Evidence stage: redacted facts in, numbered, hashed and sealed rows out. Pure; `docs/evidence.md` describes chain,
//! keys and forms, `docs/schema.md` the tables.
//!
//! Records are numbered without holes and hashed. Seals cover them by count and digest, name the seal before and are
//! signed. The first seal of an epoch names the last one of the epoch before.

pub mod anchor;
pub mod canonical;
pub mod decode;
pub mod keys;
mod link;
pub mod merkle;
pub mod row;
pub mod sign;
mod table;
pub(crate) mod wire;

use sha2::{Digest, Sha256};
pub use uuid::Uuid;

pub use anchor::AnchorRow;
pub use canonical::CANON_V;
pub use keys::KeyRow;
pub use link::{Link, OpenReason, Opening, SelfTest};
pub use row::{
    BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, LOGIN_UID_UNSET, SealKind, SealRow, Severity,
};
use sign::UNSIGNED;
pub use sign::{Signer, key_id, parse_public_key, verify_signature};
pub use table::{TABLES, Table};

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
    /// SHA-256 of the policy as loaded.
    pub policy_sha256: [u8; 32],
    /// SHA-256 of the register of AI systems as loaded; zeros: none.
    pub register_sha256: [u8; 32],
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
    /// What the agent has to say about itself: words of a closed list.
    pub notes: Vec<&'static str>,
    /// Whether the self-test's exchange was seen end to end.
    pub selftest: SelfTest,
    /// What each stage saw, handed on, lost and holds, since the start of the epoch.
    pub books: Vec<Book>,
    /// Losses of the interval.
    pub losses: Vec<SealedLoss>,
    /// Rows of any epoch that were given up and that no stored seal has named yet.
    pub dropped: Vec<Dropped>,
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

/// The book of one stage, since the start of the epoch: `seen = delivered + lost + held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Book {
    /// Stage and unit (`docs/evidence.md`).
    pub stage: &'static str,
    /// What came in.
    pub seen: u64,
    /// What went on to the next stage.
    pub delivered: u64,
    /// What was lost.
    pub lost: u64,
    /// What is still there.
    pub held: u64,
}

/// Rows of one epoch that were given up after they were numbered. Numbers are 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Why: a reason of the stage `store`.
    pub reason: &'static str,
    /// Epoch; 0: not known.
    pub chain_epoch: u64,
    /// First and last record.
    pub records: (u64, u64),
    /// Records lost between them.
    pub lost_records: u64,
    /// First and last seal.
    pub seals: (u64, u64),
    /// Seals lost between them.
    pub lost_seals: u64,
}

/// Losses of one interval for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedLoss {
    /// Stage.
    pub stage: &'static str,
    /// Reason.
    pub reason: &'static str,
    /// How often.
    pub events: u64,
    /// Bytes, where known.
    pub bytes: u64,
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
    opening: Opening,
    signer: Option<Signer>,
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
            opening: Opening::default(),
            signer: None,
        }
    }

    /// The chain continues the one of an earlier epoch: its first seal names the last one there.
    #[must_use]
    pub fn opened(mut self, opening: Opening) -> Self {
        self.opening = opening;
        self.prev_seal_hash = opening.previous.map_or([0; 32], |link| link.seal_hash);
        self
    }

    /// Seals are signed with this key from the next one on. Without a key they are not signed (a replay).
    pub fn sign_with(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// Host that the rows are about.
    pub fn host_id(&self) -> &str {
        &self.host_id
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
        self.open_into(&mut row);
        row.canon_v = CANON_V;
        if let Some(signer) = &self.signer {
            signer.id().clone_into(&mut row.key_id);
        }
        row.seal_hash = row.digest();
        row.signature = self
            .signer
            .as_ref()
            .map_or(UNSIGNED, |signer| signer.sign(&row.seal_hash));
        self.prev_seal_hash = row.seal_hash;
        self.first_rec_seq = self.next_rec_seq;
        self.next_seal_seq += 1;
        row
    }

    fn open_into(&self, row: &mut SealRow) {
        if row.seal_kind != SealKind::Open {
            return;
        }
        self.opening.reason.name().clone_into(&mut row.open_reason);
        if let Some(previous) = self.opening.previous {
            row.prev_chain_epoch = previous.chain_epoch;
            row.prev_seal_seq = previous.seal_seq;
        }
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
        policy_sha256: c.policy_sha256,
        register_sha256: c.register_sha256,
        notes: c.notes.iter().map(|note| (*note).to_owned()).collect(),
        selftest_ok: c.selftest == SelfTest::Ok,
        selftest: c.selftest.name().to_owned(),
        books_stage: c.books.iter().map(|b| b.stage.to_owned()).collect(),
        books_seen: c.books.iter().map(|b| b.seen).collect(),
        books_delivered: c.books.iter().map(|b| b.delivered).collect(),
        books_lost: c.books.iter().map(|b| b.lost).collect(),
        books_held: c.books.iter().map(|b| b.held).collect(),
        loss_stage: c.losses.iter().map(|l| l.stage.to_owned()).collect(),
        loss_reason: c.losses.iter().map(|l| l.reason.to_owned()).collect(),
        loss_events: c.losses.iter().map(|l| l.events).collect(),
        loss_bytes: c.losses.iter().map(|l| l.bytes).collect(),
        dropped_reason: c.dropped.iter().map(|d| d.reason.to_owned()).collect(),
        dropped_chain_epoch: c.dropped.iter().map(|d| d.chain_epoch).collect(),
        dropped_first_rec_seq: c.dropped.iter().map(|d| d.records.0).collect(),
        dropped_last_rec_seq: c.dropped.iter().map(|d| d.records.1).collect(),
        dropped_records: c.dropped.iter().map(|d| d.lost_records).collect(),
        dropped_first_seal_seq: c.dropped.iter().map(|d| d.seals.0).collect(),
        dropped_last_seal_seq: c.dropped.iter().map(|d| d.seals.1).collect(),
        dropped_seals: c.dropped.iter().map(|d| d.lost_seals).collect(),
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
#[cfg(test)]
mod vectors;
