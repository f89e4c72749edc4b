//! Reads rows of a period from the store and writes their events, one file per table.

use std::{
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use clickhouse::{RowOwned, RowRead};

use super::{Event, Shape};
use crate::{
    bundle::{create_private, make_empty},
    evidence::{ConnectionRow, FindingRow, InteractionRow},
    store::{Client, StoreError, literal},
    verify::{Period, Progress},
};

/// How long the next row may take.
const ROW_TIMEOUT: Duration = Duration::from_secs(120);

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in the directory.
    pub name: String,
    /// Rows read.
    pub rows: u64,
    /// Events written; a row can have two.
    pub events: u64,
}

/// Writes the events of a period into `directory`, which must not hold anything.
///
/// # Errors
/// When the store cannot be read or a file cannot be written.
pub async fn write(
    client: &Client,
    period: Period,
    host: Option<&str>,
    directory: &Path,
    shape: Shape,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<Written>> {
    make_empty(directory)?;
    let condition = condition(period, host);
    let mut job = Job {
        client,
        directory,
        shape,
        condition,
        progress,
    };
    Ok(vec![
        job.table::<InteractionRow>("v_interactions", InteractionRow::TABLE)
            .await?,
        job.table::<FindingRow>("v_findings", FindingRow::TABLE).await?,
        job.table::<ConnectionRow>("v_connections", ConnectionRow::TABLE)
            .await?,
    ])
}

fn condition(period: Period, host: Option<&str>) -> String {
    let bound = |operator: &str, ns: Option<i64>| {
        ns.map_or_else(String::new, |ns| {
            format!(" AND ts {operator} fromUnixTimestamp64Nano({ns}, 'UTC')")
        })
    };
    let host = host.map_or_else(String::new, |host| format!(" AND host_id = {}", literal(host)));
    format!("1{}{}{host}", bound(">=", period.from), bound("<", period.to))
}

struct Job<'j> {
    client: &'j Client,
    directory: &'j Path,
    shape: Shape,
    condition: String,
    progress: &'j mut dyn Progress,
}

impl Job<'_> {
    /// Writes the events of one table, read through the view that has each row once.
    async fn table<T>(&mut self, view: &str, table: &str) -> anyhow::Result<Written>
    where
        T: RowOwned + RowRead + Event,
    {
        let name = format!("{table}.{}.jsonl", self.shape.name());
        let path = self.directory.join(&name);
        let cannot = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(create_private(&path)?);
        let (mut rows, mut events) = (0, 0);
        let sql = format!(
            "SELECT ?fields FROM {view} WHERE {} ORDER BY ts, host_id, chain_epoch, rec_seq",
            self.condition
        );
        let mut cursor = self
            .client
            .raw()
            .query(&sql)
            .fetch::<T>()
            .map_err(StoreError::from)?;
        while let Some(row) = tokio::time::timeout(ROW_TIMEOUT, cursor.next())
            .await
            .context("the store did not answer in time")?
            .map_err(StoreError::from)?
        {
            rows += 1;
            let all = match self.shape {
                Shape::Ocsf => row.ocsf(),
                Shape::Otlp => vec![row.otlp()],
            };
            for event in all {
                writeln!(file, "{event}").with_context(cannot)?;
                events += 1;
            }
            self.progress.read(1);
        }
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .with_context(cannot)?;
        Ok(Written { name, rows, events })
    }
}
