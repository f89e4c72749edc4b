//! Reads a bundle for verification.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{INVENTORY, Lines, MANIFEST, Manifest, TABLES, file_name, from_line};
use crate::{
    evidence::{AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow},
    verify::{Key, Known, Options, Page, Period, Record, RecordRow, Source, Stretch, is_full},
};

/// Longest manifest.
const MAX_MANIFEST: u64 = 64 << 20;

/// Seals of one number. They come on one page, and the store has a second one only after an attack.
const MAX_OF_NUMBER: usize = 1_000;

/// A file of rows, read one row ahead.
struct Rows<T> {
    name: String,
    lines: Lines<BufReader<zstd::Decoder<'static, BufReader<File>>>>,
    next: Option<T>,
    /// Why nothing more is read.
    damage: Option<String>,
}

impl<T> Rows<T> {
    fn open(
        directory: &Path,
        table: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> anyhow::Result<Self> {
        let name = file_name(table);
        let path = directory.join(&name);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let decoder = zstd::Decoder::new(file)?;
        let mut rows = Self {
            name,
            lines: Lines::new(BufReader::with_capacity(1 << 18, decoder)),
            next: None,
            damage: None,
        };
        rows.advance(&parse);
        Ok(rows)
    }

    /// Gives the row that is ahead, and reads the next.
    fn take(&mut self, parse: impl Fn(&[u8]) -> Result<T, String>) -> Option<T> {
        let row = self.next.take();
        if row.is_some() {
            self.advance(&parse);
        }
        row
    }

    fn advance(&mut self, parse: &impl Fn(&[u8]) -> Result<T, String>) {
        let row = match self.lines.next_line() {
            Ok(None) => return,
            Ok(Some(line)) => parse(line),
            Err(error) => Err(error.to_string()),
        };
        match row {
            Ok(row) => self.next = Some(row),
            Err(why) => self.damage = Some(format!("{}: line {}: {why}", self.name, self.lines.number)),
        }
    }
}

fn parse_row<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    from_line(line).map_err(|error| error.to_string())
}

/// A bundle.
pub struct BundleSource {
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's file.
    pub sha256: [u8; 32],
    directory: PathBuf,
    damage: Vec<String>,
    files: Option<Files>,
}

struct Files {
    seals: Rows<SealRow>,
    interactions: Rows<InteractionRow>,
    findings: Rows<FindingRow>,
    connections: Rows<ConnectionRow>,
    blind_spots: Rows<BlindSpotRow>,
}

impl BundleSource {
    /// Opens a bundle and compares its files with the manifest. Files that are missing or another are kept as damage.
    ///
    /// # Errors
    /// When there is no manifest that this program can read: then nothing is known of the bundle.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(MANIFEST);
        let shown = path.display();
        let mut text = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST + 1).read_to_end(&mut text))
            .with_context(|| format!("cannot read {shown}"))?;
        if text.len() as u64 > MAX_MANIFEST {
            bail!("{shown}: longer than {MAX_MANIFEST} bytes");
        }
        let manifest = Manifest::parse(&text).map_err(|why| anyhow::anyhow!("{shown}: {why}"))?;
        let mut damage = Vec::new();
        for file in &manifest.files {
            if TABLES.contains(&file.table.as_str())
                && let Err(why) = compare(directory, &file.name, file.bytes, &file.sha256)
            {
                damage.push(format!("{}: {why}", file.name));
            }
        }
        let files = if damage.is_empty() {
            Some(Files::open(directory)?)
        } else {
            None
        };
        Ok(Self {
            manifest,
            sha256: Sha256::digest(&text).into(),
            directory: directory.to_owned(),
            damage,
            files,
        })
    }

    /// Options for verifying this bundle: it says itself which period it is of, and when its rows were read. Nobody signs that, so
    /// it may make them no older than they are: `options.now` is the wall clock.
    #[must_use]
    pub fn options(&self, mut options: Options) -> Options {
        options.period = Period {
            from: self.manifest.from,
            to: self.manifest.to,
        };
        options.now = self.manifest.made_at.min(options.now);
        options
    }

    /// All rows of a small file.
    fn whole<T>(
        &mut self,
        table: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
        take: &mut dyn FnMut(T),
    ) -> anyhow::Result<()> {
        if self.files.is_none() {
            return Ok(());
        }
        let mut rows = Rows::open(&self.directory, table, &parse)?;
        while let Some(row) = rows.take(&parse) {
            take(row);
        }
        self.damage.extend(rows.damage);
        Ok(())
    }
}

/// Whether a file is the one that the manifest names.
fn compare(directory: &Path, name: &str, bytes: u64, sha256: &str) -> Result<(), String> {
    let path = directory.join(name);
    let found = match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err("is missing".into()),
        Err(error) => return Err(format!("cannot be read: {error}")),
        Ok(found) => found.len(),
    };
    if found != bytes {
        return Err(format!("has {found} bytes, the manifest says {bytes}"));
    }
    let mut hash = Sha256::new();
    File::open(&path)
        .and_then(|mut file| std::io::copy(&mut file, &mut hash))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if hex::encode(hash.finalize()) != sha256 {
        return Err("is not the one that was exported: its SHA-256 is another".into());
    }
    Ok(())
}

impl Files {
    fn open(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            seals: Rows::open(directory, SealRow::TABLE, parse_row)?,
            interactions: Rows::open(directory, InteractionRow::TABLE, parse_row)?,
            findings: Rows::open(directory, FindingRow::TABLE, parse_row)?,
            connections: Rows::open(directory, ConnectionRow::TABLE, parse_row)?,
            blind_spots: Rows::open(directory, BlindSpotRow::TABLE, parse_row)?,
        })
    }
}

fn page_of<T: RecordRow + DeserializeOwned>(
    rows: &mut Rows<T>,
    host: &str,
    upto: Option<Key>,
    take: &mut dyn FnMut(Record),
) {
    let mut buffer = Vec::with_capacity(4096);
    while let Some(row) = &rows.next {
        let is_ours = row.host() == host && upto.is_none_or(|key| row.key() <= key);
        if !is_ours {
            return;
        }
        take(row.record(&mut buffer));
        rows.take(parse_row);
    }
}

impl Source for BundleSource {
    async fn known(&mut self) -> anyhow::Result<Known> {
        let mut known = Known::default();
        if self.files.is_none() {
            return Ok(known);
        }
        known.hosts = self.manifest.hosts.iter().map(|h| h.host_id.clone()).collect();
        known.rows = self
            .manifest
            .hosts
            .iter()
            .map(|h| h.seals.saturating_add(h.records))
            .fold(0, u64::saturating_add);
        let key = |line: &[u8]| {
            let value: Value = serde_json::from_slice(line).map_err(|_| "no JSON".to_owned())?;
            let revoked = value["revoked_at"]
                .as_i64()
                .ok_or("`revoked_at` is no whole number")?;
            Ok((KeyRow::from_json(&value)?, revoked))
        };
        let mut keys = Vec::new();
        self.whole(KeyRow::TABLE, key, &mut |k| keys.push(k))?;
        known.keys = keys;
        let entry = |line: &[u8]| {
            let value: Value = serde_json::from_slice(line).map_err(|_| "no JSON".to_owned())?;
            let host = value["host_id"].as_str().ok_or("`host_id` is no text")?;
            let gone = value["gone_at"].as_i64().ok_or("`gone_at` is no whole number")?;
            Ok((host.to_owned(), gone))
        };
        let mut inventory = Vec::new();
        self.whole(INVENTORY, entry, &mut |entry| inventory.push(entry))?;
        known.inventory = inventory;
        Ok(known)
    }

    async fn anchors(&mut self, take: &mut dyn FnMut(AnchorRow)) -> anyhow::Result<()> {
        let anchor = |line: &[u8]| {
            let value: Value = serde_json::from_slice(line).map_err(|_| "no JSON".to_owned())?;
            AnchorRow::from_json(&value)
        };
        self.whole(AnchorRow::TABLE, anchor, take)
    }

    async fn seals(&mut self, host: &str, _after: Option<Key>) -> anyhow::Result<Page> {
        let Some(files) = &mut self.files else {
            return Ok(Page {
                is_last: true,
                ..Page::default()
            });
        };
        let mut seals: Vec<SealRow> = Vec::new();
        let (mut records, mut of_number) = (0u64, 0);
        while let Some(seal) = &files.seals.next {
            let key = (seal.chain_epoch, seal.seal_seq);
            let last = seals.last().map(|s| (s.chain_epoch, s.seal_seq));
            if seal.host_id != host {
                break;
            }
            of_number = if last == Some(key) { of_number + 1 } else { 1 };
            let wrong = match last {
                Some(last) if key < last => Some("not in order"),
                _ if of_number > MAX_OF_NUMBER => Some("too many seals of one number"),
                _ => None,
            };
            if let Some(wrong) = wrong {
                self.damage.push(format!(
                    "{}: line {}: {wrong}",
                    files.seals.name, files.seals.lines.number
                ));
                files.seals.next = None;
                break;
            }
            records = records.saturating_add(seal.n_records.into());
            if last.is_some_and(|last| key != last) && is_full(seals.len(), records) {
                return Ok(Page {
                    seals,
                    is_last: false,
                });
            }
            seals.extend(files.seals.take(parse_row));
        }
        seals.sort_by_key(|s| (s.chain_epoch, s.seal_seq, s.seal_hash));
        Ok(Page { seals, is_last: true })
    }

    async fn records(&mut self, of: &[Stretch], take: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
        let Some(files) = &mut self.files else {
            return Ok(());
        };
        for (place, stretch) in of.iter().enumerate() {
            let (host, upto) = (stretch.host.as_str(), stretch.upto);
            let take = &mut |record| take(place, record);
            page_of(&mut files.interactions, host, upto, take);
            page_of(&mut files.findings, host, upto, take);
            page_of(&mut files.connections, host, upto, take);
            page_of(&mut files.blind_spots, host, upto, take);
        }
        Ok(())
    }

    fn damage(&mut self) -> Vec<String> {
        let mut all = std::mem::take(&mut self.damage);
        if let Some(files) = self.files.take() {
            all.extend(ends([
                (&files.seals.name, files.seals.next.is_some(), &files.seals.damage),
                (
                    &files.interactions.name,
                    files.interactions.next.is_some(),
                    &files.interactions.damage,
                ),
                (
                    &files.findings.name,
                    files.findings.next.is_some(),
                    &files.findings.damage,
                ),
                (
                    &files.connections.name,
                    files.connections.next.is_some(),
                    &files.connections.damage,
                ),
                (
                    &files.blind_spots.name,
                    files.blind_spots.next.is_some(),
                    &files.blind_spots.damage,
                ),
            ]));
        }
        all
    }
}

/// What is wrong at the end of reading: lines that could not be read, and rows that nobody asked for.
fn ends<const N: usize>(files: [(&String, bool, &Option<String>); N]) -> Vec<String> {
    let mut all = Vec::new();
    for (name, is_left, damage) in files {
        all.extend(damage.clone());
        if is_left {
            all.push(format!(
                "{name}: rows that are not in order, or of a host that the manifest does not name"
            ));
        }
    }
    all
}
