//! What the store has next to a period.

use std::collections::HashMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{StoreSource, bound, columns};
use crate::{
    evidence::SealRow,
    store::literal,
    verify::source::{Key, Looked, Near, TABLES},
};

/// Rows of one number that are looked at. Where there are more, somebody put them in.
const MOST_OF_NUMBER: usize = 16;

/// Number of a seal that a record names.
#[derive(Debug, Row, Serialize, Deserialize)]
struct NamedSeal {
    host: String,
    chain_epoch: u64,
    seal_seq: u64,
}

impl StoreSource {
    /// Hosts with records of the period, and those with seals behind it.
    pub(super) async fn hosts_near(&self) -> anyhow::Result<Near> {
        let of_host = self.of_host();
        let distinct = |table: &str, condition: &str| {
            format!("SELECT DISTINCT toString(host_id) AS host FROM {table} WHERE {of_host}{condition}")
        };
        let in_period = self.in_period("ts");
        let recorded: Vec<String> = TABLES.iter().map(|table| distinct(table, &in_period)).collect();
        let later = bound("interval_start", ">=", self.period.to);
        Ok(Near {
            recorded: self.all(&recorded.join(" UNION DISTINCT ")).await?,
            later: if later.is_empty() {
                Vec::new()
            } else {
                self.all(&distinct(SealRow::TABLE, &later)).await?
            },
        })
    }

    /// All rows of the first number of a host that fulfils a condition, in this order.
    pub(super) async fn neighbour(
        &self,
        host: &str,
        condition: &str,
        order: &str,
    ) -> anyhow::Result<Vec<SealRow>> {
        // First the number alone: whole rows would be read from each part of the table.
        let sql = format!(
            "SELECT chain_epoch, seal_seq FROM evidence_seals WHERE host_id = {}{condition} \
             ORDER BY chain_epoch {order}, seal_seq {order} LIMIT 1",
            literal(host)
        );
        let keys: Vec<Key> = self.all(&sql).await?;
        self.seals_at(host, &keys).await
    }

    /// The seals of these numbers.
    pub(super) async fn seals_at(&self, host: &str, keys: &[Key]) -> anyhow::Result<Vec<SealRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = keys
            .iter()
            .map(|(epoch, seq)| format!("({epoch}, {seq})"))
            .collect();
        let sql = format!(
            "SELECT {} FROM evidence_seals WHERE host_id = {} AND (chain_epoch, seal_seq) IN ({}) \
             ORDER BY chain_epoch, seal_seq, seal_hash LIMIT {MOST_OF_NUMBER} BY chain_epoch, seal_seq",
            columns::<SealRow>(),
            literal(host),
            keys.join(", ")
        );
        self.all(&sql).await
    }

    /// Numbers of seals that records of the period name, outside of what was read of each host.
    pub(super) async fn named_by_records(
        &self,
        of: &[Looked],
        after: Option<(usize, Key)>,
        most: usize,
    ) -> anyhow::Result<Vec<(usize, Key)>> {
        let unread: Vec<String> = of.iter().filter_map(unread).collect();
        if unread.is_empty() {
            return Ok(Vec::new());
        }
        let condition = format!("({}){}", unread.join(" OR "), self.in_period("ts"));
        let tables: Vec<String> = TABLES
            .iter()
            .map(|table| {
                format!(
                    "SELECT DISTINCT toString(host_id) AS host, chain_epoch, seal_seq FROM {table} WHERE {condition}"
                )
            })
            .collect();
        let after = after.map_or_else(String::new, |(place, (epoch, seq))| {
            let host = literal(&of[place].host);
            format!(" WHERE (host, chain_epoch, seal_seq) > ({host}, {epoch}, {seq})")
        });
        let sql = format!(
            "SELECT DISTINCT host, chain_epoch, seal_seq FROM ({}){after} ORDER BY host, chain_epoch, seal_seq LIMIT {most}",
            tables.join(" UNION ALL ")
        );
        let places: HashMap<&str, usize> = (0..).zip(of).map(|(at, l)| (l.host.as_str(), at)).collect();
        let named: Vec<NamedSeal> = self.all(&sql).await?;
        let named = named.into_iter().filter_map(|row| {
            let place = places.get(row.host.as_str())?;
            Some((*place, (row.chain_epoch, row.seal_seq)))
        });
        Ok(named.collect())
    }
}

/// Condition for the records of a host that were not read; `None` where all were.
fn unread(looked: &Looked) -> Option<String> {
    let host = format!("host_id = {}", literal(&looked.host));
    let Some((after, upto)) = looked.part else {
        return Some(format!("({host})"));
    };
    let outside = |operator: &str, key: Option<Key>| {
        key.map(|(epoch, seq)| format!("(chain_epoch, seal_seq) {operator} ({epoch}, {seq})"))
    };
    let sides: Vec<String> = outside("<=", after)
        .into_iter()
        .chain(outside(">", upto))
        .collect();
    (!sides.is_empty()).then(|| format!("({host} AND ({}))", sides.join(" OR ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_a_host_is_left_out() {
        let of = |part| {
            let host = "a'b".to_owned();
            unread(&Looked { host, part })
        };
        let both =
            "(host_id = 'a\\'b' AND ((chain_epoch, seal_seq) <= (1, 2) OR (chain_epoch, seal_seq) > (3, 4)))";
        assert_eq!(of(Some((Some((1, 2)), Some((3, 4))))).as_deref(), Some(both));
        assert_eq!(of(None).as_deref(), Some("(host_id = 'a\\'b')"));
        assert_eq!(of(Some((None, None))), None);
    }
}
