//! The tables of evidence, and which rows go where.

use super::{BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, Row, SealRow};

/// Tables that the agent fills. The numbers are those on disk (`spool/format.rs`): never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// `ai_interactions`
    Interactions = 0,
    /// `ai_findings`
    Findings = 1,
    /// `ai_connections`
    Connections = 2,
    /// `blind_spots`
    BlindSpots = 3,
    /// `evidence_seals`
    Seals = 4,
}

/// Number of tables.
pub const TABLES: usize = 5;

impl Table {
    /// All tables, seals last.
    pub const ALL: [Self; TABLES] = [
        Self::Interactions,
        Self::Findings,
        Self::Connections,
        Self::BlindSpots,
        Self::Seals,
    ];

    /// Tables of records: all but the seals that cover them.
    pub const RECORDS: [Self; 4] = [
        Self::Interactions,
        Self::Findings,
        Self::Connections,
        Self::BlindSpots,
    ];

    /// Name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactions => InteractionRow::TABLE,
            Self::Findings => FindingRow::TABLE,
            Self::Connections => ConnectionRow::TABLE,
            Self::BlindSpots => BlindSpotRow::TABLE,
            Self::Seals => SealRow::TABLE,
        }
    }
}

impl Row {
    /// Table of this row.
    pub fn table(&self) -> Table {
        match self {
            Self::Interaction(_) => Table::Interactions,
            Self::Finding(_) => Table::Findings,
            Self::Connection(_) => Table::Connections,
            Self::BlindSpot(_) => Table::BlindSpots,
            Self::Seal(_) => Table::Seals,
        }
    }

    /// Place in the chain: host, epoch, and the number among records, or among seals.
    pub fn place(&self) -> (&str, u64, u64) {
        match self {
            Self::Interaction(r) => (&r.host_id, r.chain_epoch, r.rec_seq),
            Self::Finding(r) => (&r.host_id, r.chain_epoch, r.rec_seq),
            Self::Connection(r) => (&r.host_id, r.chain_epoch, r.rec_seq),
            Self::BlindSpot(r) => (&r.host_id, r.chain_epoch, r.rec_seq),
            Self::Seal(r) => (&r.host_id, r.chain_epoch, r.seal_seq),
        }
    }

    /// Appends the canonical bytes.
    pub fn canonical(&self, out: &mut dyn super::canonical::Sink) {
        match self {
            Self::Interaction(r) => r.canonical(out),
            Self::Finding(r) => r.canonical(out),
            Self::Connection(r) => r.canonical(out),
            Self::BlindSpot(r) => r.canonical(out),
            Self::Seal(r) => r.canonical(out),
        }
    }
}
