//! The manifest of a bundle. Pure.

use serde::{Deserialize, Serialize};

use super::{TABLES, file_name};

const FORMAT: &str = "observer-bundle";

/// Version of the form that this program writes.
const VERSION: u64 = 1;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Table whose rows it holds.
    pub table: String,
    /// Name in the directory of the bundle.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// Host.
    pub host_id: String,
    /// Seals.
    pub seals: u64,
    /// Records.
    pub records: u64,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u64,
    /// Program that made it.
    pub made_by: String,
    /// When, ns since the Unix epoch.
    pub made_at: i64,
    /// The same for people.
    pub made_at_utc: String,
    /// Seals whose intervals begin from here on, ns; `None`: from the beginning.
    pub from: Option<i64>,
    /// And before this; `None`: to the end.
    pub to: Option<i64>,
    /// Hosts, sorted.
    pub hosts: Vec<HostEntry>,
    /// Files.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// A manifest of this form.
    pub fn new(
        made_at: i64,
        from: Option<i64>,
        to: Option<i64>,
        hosts: Vec<HostEntry>,
        files: Vec<FileEntry>,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            made_by: concat!("observer ", env!("CARGO_PKG_VERSION")).into(),
            made_at,
            made_at_utc: crate::report::json::timestamp(made_at),
            from,
            to,
            hosts,
            files,
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it: no manifest, a newer one, a file that is missing in it or that is none of a bundle.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
        }
        let head: Head = serde_json::from_slice(text).map_err(|error| format!("damaged: {error}"))?;
        match head.version {
            _ if head.format != FORMAT => return Err("no bundle of observer".into()),
            VERSION => {}
            newer if newer > VERSION => {
                return Err(format!(
                    "written by a newer observer (form {newer}, this one knows {VERSION})"
                ));
            }
            _ => return Err("damaged: no version".into()),
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|error| format!("damaged: {error}"))?;
        for table in TABLES {
            let mut of_table = manifest.files.iter().filter(|f| f.table == table);
            match (of_table.next(), of_table.next()) {
                // Only names that we would give are opened: no path leads out of the bundle.
                (Some(file), None) if file.name == file_name(table) => {}
                (Some(_), None) => {
                    return Err(format!(
                        "damaged: the file of {table} has another name than {}",
                        file_name(table)
                    ));
                }
                (None, _) => return Err(format!("damaged: no file of {table}")),
                (Some(_), Some(_)) => return Err(format!("damaged: several files of {table}")),
            }
        }
        if !manifest.hosts.is_sorted_by(|a, b| a.host_id < b.host_id) {
            return Err("damaged: the hosts are not in order".into());
        }
        Ok(manifest)
    }

    /// The file of a table.
    pub fn file(&self, table: &str) -> Option<&FileEntry> {
        self.files.iter().find(|f| f.table == table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let files = TABLES.map(|table| FileEntry {
            table: table.into(),
            name: file_name(table),
            bytes: 1,
            rows: 2,
            sha256: "00".repeat(32),
        });
        Manifest::new(5, None, Some(7), vec![], files.into())
    }

    #[test]
    fn manifests_come_back_and_what_is_wrong_is_said() {
        let text = serde_json::to_string(&manifest()).unwrap();
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest()));
        let says = |from: &str, to: &str, expected: &str| {
            let error = Manifest::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        says("observer-bundle", "other", "no bundle");
        says("\"version\":1", "\"version\":3", "newer observer (form 3");
        says("blind_spots.jsonl.zst", "../blind_spots", "another name");
        says(
            "\"table\":\"blind_spots\"",
            "\"table\":\"x\"",
            "no file of blind_spots",
        );
        says(
            "\"table\":\"blind_spots\"",
            "\"table\":\"host_keys\"",
            "no file of blind_spots",
        );
        says("{", "{\"extra\":1,", "damaged");
        for cut in 0..text.len() {
            assert!(Manifest::parse(&text.as_bytes()[..cut]).is_err());
        }
    }
}
