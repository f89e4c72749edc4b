//! Rows on their way out of the pipeline: each is numbered and hashed, alarms whom it has to, and goes to the spool; where its program
//! had its share of that, it is counted as lost instead.

use std::sync::Arc;

use super::seals::Rows;
use crate::{
    alerts::Alerts,
    evidence::{BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, Row, SealRow, Sequencer, Table},
    spool::{Kept, Owner, RowBook, Shares, Spool},
};

/// Where rows go.
pub(super) struct Outgoing {
    /// Numbers and hashes them.
    pub sequencer: Sequencer,
    /// Takes them.
    pub spool: Arc<Spool>,
    alerts: Alerts,
    shares: Shares,
    seals: u64,
    refused: u64,
}

impl Outgoing {
    pub(super) fn new(sequencer: Sequencer, spool: Arc<Spool>, alerts: Alerts) -> Self {
        Self {
            sequencer,
            spool,
            alerts,
            shares: Shares::default(),
            seals: 0,
            refused: 0,
        }
    }

    /// What became of all rows.
    pub(super) fn rows(&self, book: &RowBook) -> Rows {
        Rows {
            numbered: self.sequencer.records() + self.seals + self.refused,
            recovered: book.recovered,
            stored: book.stored,
            lost: book.lost,
            pending: book.pending,
        }
    }

    /// A call and what was found in it.
    pub(super) fn call(&mut self, row: InteractionRow, findings: Vec<FindingRow>) {
        let of = (row.user_id, &*row.container_id, &*row.process_executable_path);
        let rows = [(Table::Interactions, 1), (Table::Findings, findings.len() as u64)];
        let Some(owner) = self.keeps(of, &rows) else {
            return;
        };
        let row = self.sequencer.interaction(row);
        let hash = row.record_hash;
        self.alerts.call(&row);
        let wanted = !findings.is_empty() && self.alerts.wants_findings();
        let call = wanted.then(|| row.clone());
        self.push_of(owner, row);
        for mut finding in findings {
            finding.interaction_hash = hash;
            let finding = self.sequencer.finding(finding);
            if let Some(call) = &call {
                self.alerts.finding(&finding, call);
            }
            self.push_of(owner, finding);
        }
    }

    /// A connection that ended.
    pub(super) fn connection(&mut self, row: ConnectionRow) {
        let of = (row.user_id, &*row.container_id, &*row.process_executable_path);
        let Some(owner) = self.keeps(of, &[(Table::Connections, 1)]) else {
            return;
        };
        let row = self.sequencer.connection(row);
        self.alerts.connection(&row);
        self.push_of(owner, row);
    }

    /// A program that cannot be read. There are few.
    pub(super) fn blind_spot(&mut self, row: BlindSpotRow) {
        self.spool.push(self.sequencer.blind_spot(row));
    }

    /// A seal.
    pub(super) fn seal(&mut self, row: SealRow) {
        self.seals += 1;
        self.spool.push(row);
    }

    fn push_of(&mut self, owner: Owner, row: impl Into<Row>) {
        let bytes = self.spool.push_sized(row.into());
        self.shares.took(owner, bytes, self.spool.fill());
    }

    /// The owner of rows, of this user, container and program, if they are kept; they count as lost otherwise.
    fn keeps(
        &mut self,
        (user, container, program): (u32, &str, &str),
        rows: &[(Table, u64)],
    ) -> Option<Owner> {
        let owner = self.shares.owner(user, container, program);
        let kept = self.shares.keeps(owner, self.spool.fill());
        if kept == Kept::Yes {
            return Some(owner);
        }
        if kept == Kept::NoMore {
            tracing::warn!(
                program,
                user,
                container,
                "the spool is nearly full, and this program has had its share: no more of its rows are kept"
            );
        }
        for (table, count) in rows {
            self.spool.refuse(*table, *count);
            self.refused += count;
        }
        None
    }
}
