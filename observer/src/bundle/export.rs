//! Writes a bundle from the store.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clickhouse::{RowOwned, RowRead};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{FileEntry, HostEntry, INVENTORY, MANIFEST, Manifest, TABLES, file_name, to_line};
use crate::{
    evidence::{AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow},
    store::Client,
    verify::{Key, Known, Period, Progress, Source, StoreSource},
};

/// Speed before size: the engine's own compression is no better.
const LEVEL: i32 = 3;

/// What was written.
#[derive(Debug)]
pub struct Exported {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's file: to be kept apart, it names the whole bundle.
    pub sha256: [u8; 32],
}

/// A file on its way: compressed, counted and hashed as it is written.
struct Writing {
    table: &'static str,
    path: PathBuf,
    out: zstd::Encoder<'static, Hashed>,
    rows: u64,
    /// Lines are kept until a caller that cannot wait for errors has given all.
    failed: Option<anyhow::Error>,
}

/// Passes bytes on, and hashes them.
struct Hashed {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Writing {
    fn new(directory: &Path, table: &'static str) -> anyhow::Result<Self> {
        let path = directory.join(file_name(table));
        let file = create_private(&path)?;
        let hashed = Hashed {
            out: BufWriter::new(file),
            hash: Sha256::new(),
            bytes: 0,
        };
        Ok(Self {
            table,
            path,
            out: zstd::Encoder::new(hashed, LEVEL)?,
            rows: 0,
            failed: None,
        })
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.write_all(b"\n"))
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.rows += 1;
        Ok(())
    }

    /// Takes a row where an error cannot be given back; [`Self::check`] gives it.
    fn row<T: Serialize>(&mut self, row: &T) {
        if self.failed.is_none() {
            let written = to_line(row)
                .map_err(anyhow::Error::from)
                .and_then(|line| self.line(&line));
            self.failed = written.err();
        }
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn finish(self) -> anyhow::Result<FileEntry> {
        let path = self.path;
        let close = || -> io::Result<(u64, Sha256)> {
            let mut hashed = self.out.finish()?;
            hashed.out.flush()?;
            hashed.out.get_ref().sync_all()?;
            Ok((hashed.bytes, hashed.hash))
        };
        let (bytes, hash) = close().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(FileEntry {
            table: self.table.into(),
            name: file_name(self.table),
            bytes,
            rows: self.rows,
            sha256: hex::encode(hash.finalize()),
        })
    }
}

/// Writes the rows of a period into `directory`, which must not hold anything. `now` is the wall clock, ns.
///
/// # Errors
/// When the store cannot be read or a file cannot be written. What is there then has no manifest, so it is no bundle.
pub async fn export(
    client: &Client,
    period: Period,
    host: Option<&str>,
    directory: &Path,
    now: i64,
    progress: &mut dyn Progress,
) -> anyhow::Result<Exported> {
    make_empty(directory)?;
    let mut source = StoreSource::new(client.clone(), period, host.map(ToOwned::to_owned));
    let known = source.known().await?;
    progress.expect(known.rows);
    let mut files = TABLES
        .into_iter()
        .map(|table| Writing::new(directory, table))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut hosts = Vec::new();
    for host in &known.hosts {
        progress.host(host);
        hosts.push(export_host(&mut source, &mut files, host, period, progress).await?);
    }
    write_registers(&mut source, &mut files, &known).await?;
    let entries = files
        .into_iter()
        .map(Writing::finish)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let manifest = Manifest::new(now, period.from, period.to, hosts, entries);
    let text = format!("{:#}\n", serde_json::to_value(&manifest)?);
    let path = directory.join(MANIFEST);
    let mut file = create_private(&path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Exported {
        manifest,
        sha256: Sha256::digest(text).into(),
    })
}

/// A new file that only its owner may read: what is exported names users and hosts.
///
/// # Errors
/// When it is there already or cannot be made.
pub(crate) fn create_private(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory, or takes one that holds nothing.
///
/// # Errors
/// When it holds something or cannot be made.
pub(crate) fn make_empty(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make {shown}"))?;
    let mut entries = fs::read_dir(directory).with_context(|| format!("cannot read {shown}"))?;
    if entries.next().is_some() {
        bail!("{shown} is not empty: name a new directory");
    }
    Ok(())
}

fn of<'f>(files: &'f mut [Writing], table: &str) -> anyhow::Result<&'f mut Writing> {
    files
        .iter_mut()
        .find(|f| f.table == table)
        .with_context(|| format!("no file of {table}"))
}

async fn export_host(
    source: &mut StoreSource,
    files: &mut [Writing],
    host: &str,
    period: Period,
    progress: &mut dyn Progress,
) -> anyhow::Result<HostEntry> {
    let mut entry = HostEntry {
        host_id: host.into(),
        seals: 0,
        records: 0,
    };
    let mut after: Option<Key> = None;
    loop {
        let mut page = source.seals(host, after).await?;
        page.seals.dedup();
        let end = page.seals.last().map(|s| (s.chain_epoch, s.seal_seq));
        let begin = match (after, page.seals.first()) {
            (None, Some(seal)) if period.from.is_some() => {
                Some((seal.chain_epoch, seal.seal_seq.saturating_sub(1)))
            }
            _ => after,
        };
        let upto = if page.is_last && period.to.is_none() {
            None
        } else {
            end
        };
        let seals = of(files, SealRow::TABLE)?;
        page.seals.iter().for_each(|seal| seals.row(seal));
        seals.check()?;
        let mut records = 0;
        if end.is_some() || upto.is_none() {
            records +=
                write_table::<InteractionRow>(source, of(files, InteractionRow::TABLE)?, host, begin, upto)
                    .await?;
            records +=
                write_table::<FindingRow>(source, of(files, FindingRow::TABLE)?, host, begin, upto).await?;
            records +=
                write_table::<ConnectionRow>(source, of(files, ConnectionRow::TABLE)?, host, begin, upto)
                    .await?;
            records +=
                write_table::<BlindSpotRow>(source, of(files, BlindSpotRow::TABLE)?, host, begin, upto)
                    .await?;
        }
        entry.seals += page.seals.len() as u64;
        entry.records += records;
        progress.read(page.seals.len() as u64 + records);
        match end {
            Some(end) if !page.is_last => after = Some(end),
            _ => return Ok(entry),
        }
    }
}

/// Writes the rows of a table for a page. Second copies are left out: they are the same in every field.
async fn write_table<T>(
    source: &StoreSource,
    file: &mut Writing,
    host: &str,
    after: Option<Key>,
    upto: Option<Key>,
) -> anyhow::Result<u64>
where
    T: RowOwned + RowRead + Serialize + PartialEq,
{
    let before = file.rows;
    let mut last: Option<T> = None;
    source
        .page_rows::<T>(file.table, host, after, upto, &mut |row: T| {
            if last.as_ref() != Some(&row) {
                file.row(&row);
                last = Some(row);
            }
        })
        .await?;
    file.check()?;
    Ok(file.rows - before)
}

async fn write_registers(
    source: &mut StoreSource,
    files: &mut [Writing],
    known: &Known,
) -> anyhow::Result<()> {
    let keys = of(files, KeyRow::TABLE)?;
    for (key, revoked_at) in &known.keys {
        let mut value = key.to_json();
        value["revoked_at"] = (*revoked_at).into();
        keys.line(&value.to_string())?;
    }
    let inventory = of(files, INVENTORY)?;
    for (host_id, gone_at) in &known.inventory {
        inventory.line(&json!({"host_id": host_id, "gone_at": gone_at}).to_string())?;
    }
    let anchors = of(files, AnchorRow::TABLE)?;
    let mut failed = None;
    source
        .anchors(&mut |anchor| {
            if failed.is_none() {
                failed = anchors.line(&anchor.to_json().to_string()).err();
            }
        })
        .await?;
    failed.map_or(Ok(()), Err)
}
