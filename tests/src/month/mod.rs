//! A made-up month of evidence for dashboards, reports and their tests: 20 hosts, 50 workloads, use that nobody approved,
//! findings, gaps, losses and programs that cannot be read. Made by the real rows, sequencer and signatures, so that it
//! verifies as a real one does. The same plan gives the same rows.

mod cast;
mod host;
mod registers;
mod talk;

use anyhow::Result;
use observer::evidence::{
    BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow, Severity,
};
use observer::store::Client;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Rows of one insert.
const BATCH: usize = 20_000;

/// How much is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Hosts that run the agent. One more is in the inventory and never did.
    pub hosts: usize,
    /// Days before `end`.
    pub days: i64,
    /// Length of the intervals, minutes.
    pub interval_minutes: i64,
    /// Where the month ends, ns since the Unix epoch. The last interval ends there.
    pub end: i64,
}

impl Plan {
    /// The whole month until `end`, with intervals of ten minutes: about 90,000 seals.
    pub fn month(end: i64) -> Self {
        Self {
            hosts: 20,
            days: 30,
            interval_minutes: 10,
            end,
        }
    }

    fn start(&self) -> i64 {
        self.end - self.days * 86_400 * SECOND
    }

    fn interval(&self) -> i64 {
        self.interval_minutes * 60 * SECOND
    }

    /// Days from the start to `at`, from 0.
    fn day(&self, at: i64) -> i64 {
        (at - self.start()) / (86_400 * SECOND)
    }
}

/// All rows of one host.
#[derive(Debug, Default)]
pub struct Rows {
    /// Exchanges.
    pub interactions: Vec<InteractionRow>,
    /// Findings in them.
    pub findings: Vec<FindingRow>,
    /// Connections.
    pub connections: Vec<ConnectionRow>,
    /// Programs that cannot be read.
    pub blind_spots: Vec<BlindSpotRow>,
    /// Seals.
    pub seals: Vec<SealRow>,
    /// Keys that sign them.
    pub keys: Vec<KeyRow>,
}

/// Rows stored.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Exchanges.
    pub interactions: usize,
    /// Findings.
    pub findings: usize,
    /// Connections.
    pub connections: usize,
    /// Seals.
    pub seals: usize,
}

/// Rows of host `number` (from 0) in this plan.
pub fn host(plan: &Plan, number: usize) -> Rows {
    host::Host::new(plan, number).live()
}

/// Fills an empty, migrated store. `progress` is told after each host how many are done.
///
/// # Errors
/// The store refused rows.
pub async fn fill(client: &Client, plan: &Plan, progress: &mut dyn FnMut(usize)) -> Result<Filled> {
    let mut filled = Filled::default();
    let mut worth_a_look = Vec::new();
    let mut heads = Vec::new();
    for number in 0..plan.hosts {
        let rows = host(plan, number);
        filled.interactions += rows.interactions.len();
        filled.findings += rows.findings.len();
        filled.connections += rows.connections.len();
        filled.seals += rows.seals.len();
        insert(client, InteractionRow::TABLE, &rows.interactions).await?;
        insert(client, FindingRow::TABLE, &rows.findings).await?;
        insert(client, ConnectionRow::TABLE, &rows.connections).await?;
        insert(client, BlindSpotRow::TABLE, &rows.blind_spots).await?;
        insert(client, SealRow::TABLE, &rows.seals).await?;
        insert(client, KeyRow::TABLE, &rows.keys).await?;
        let grave = rows
            .findings
            .into_iter()
            .filter(|f| f.severity >= Severity::Medium);
        worth_a_look.extend(grave.map(|f| (f.ts, f.record_hash)));
        heads.extend(rows.seals.into_iter().next_back());
        progress(number + 1);
    }
    registers::fill(client, plan, &worth_a_look, &heads, filled).await?;
    Ok(filled)
}

async fn insert<T>(client: &Client, table: &str, rows: &[T]) -> Result<()>
where
    T: clickhouse::RowOwned + clickhouse::RowWrite,
{
    for part in rows.chunks(BATCH) {
        client
            .insert_rows(table, &part.iter().collect::<Vec<_>>(), None)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_plan_gives_the_same_rows_and_the_chain_holds() {
        let plan = Plan {
            hosts: 1,
            days: 8,
            interval_minutes: 60,
            end: 1_793_000_000 * SECOND,
        };
        let (first, second) = (host(&plan, 1), host(&plan, 1));
        assert_eq!(first.seals.last(), second.seals.last());
        assert_eq!(first.interactions, second.interactions);
        let records: u64 = first.seals.iter().map(|s| u64::from(s.n_records)).sum();
        let rows = first.interactions.len()
            + first.findings.len()
            + first.connections.len()
            + first.blind_spots.len();
        assert_eq!(records, rows as u64);
        for pair in first.seals.windows(2) {
            assert_eq!(pair[1].prev_seal_hash, pair[0].seal_hash);
        }
        assert!(first.seals.iter().all(|seal| seal.seal_hash == seal.digest()));
        assert!(!first.findings.is_empty() && !first.connections.is_empty());
    }
}
