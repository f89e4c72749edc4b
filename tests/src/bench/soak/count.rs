//! What the daemon holds at one moment.

use std::fs;

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData, loaded_maps};
use observer_common::maps::{Flow, Socket, Stdio};

use super::super::memory::Resident;
use crate::harness::usage::{self, Descriptors};

/// Tables of the kernel programs that have an entry for something that ends.
pub(super) const TABLES: [&str; 4] = ["FLOWS", "SCOPES", "SOCKETS", "STDIO"];

/// What it holds.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) resident: Resident,
    pub(super) descriptors: Descriptors,
    pub(super) threads: u64,
    /// Entries of [`TABLES`].
    pub(super) entries: [u64; TABLES.len()],
}

impl Counts {
    /// Looks at a daemon, the only one of this host.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).context("threads of the daemon")?;
        Ok(Self {
            resident: Resident::of(pid)?,
            descriptors: usage::descriptors(pid)?,
            threads: threads.count() as u64,
            entries: entries()?,
        })
    }
}

/// Entries of the newest map of each name.
fn entries() -> Result<[u64; TABLES.len()]> {
    let mut newest = [None; TABLES.len()];
    for info in loaded_maps().flatten() {
        let at = info
            .name_as_str()
            .and_then(|name| TABLES.iter().position(|table| *table == name));
        if let Some(at) = at {
            newest[at] = newest[at].max(Some(info.id()));
        }
    }
    let mut counts = [0; TABLES.len()];
    for (at, id) in newest.iter().enumerate() {
        let id = id.with_context(|| format!("no map {}", TABLES[at]))?;
        counts[at] = match TABLES[at] {
            "FLOWS" => keys::<[u8; 24], [u8; size_of::<Flow>()]>(id),
            "SCOPES" => keys::<u64, u32>(id),
            "SOCKETS" => keys::<u64, [u8; size_of::<Socket>()]>(id),
            _ => keys::<u32, [u8; size_of::<Stdio>()]>(id),
        }
        .with_context(|| format!("map {}", TABLES[at]))?;
    }
    Ok(counts)
}

fn keys<K: aya::Pod, V: aya::Pod>(id: u32) -> Result<u64> {
    let map = Map::HashMap(MapData::from_id(id)?);
    let map: HashMap<MapData, K, V> = HashMap::try_from(map)?;
    Ok(map.keys().flatten().count() as u64)
}
