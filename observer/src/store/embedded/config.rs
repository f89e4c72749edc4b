//! Settings of the embedded store: where it keeps what, which library it loads, and the files that bind the engine.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::memory::Memory;
use crate::store::is_identifier;

/// Environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "OBSERVER_CHDB";

/// Where the library is looked for when neither argument nor environment name it.
const LIBRARY_PLACES: [&str; 2] = [
    "/usr/local/lib/observer/libchdb.so",
    "/usr/lib/observer/libchdb.so",
];

/// What `observer store` is started with.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Directory that belongs to the store alone; created (mode 0700) when missing.
    pub data_dir: PathBuf,
    /// Address to listen on. Nothing but loopback unless a password is set.
    pub listen: SocketAddr,
    /// libchdb.so; `None` looks in the usual places ([`find_library`]).
    pub library: Option<PathBuf>,
    /// Database of the evidence tables: the only one that clients may change.
    pub database: String,
    /// Password that clients must send; `None` lets every local user in.
    pub password: Option<String>,
    /// Process that must live: the store stops when it ends. It has to be the parent of this process.
    pub exit_with_parent: Option<u32>,
}

impl EmbeddedConfig {
    /// A store without password for the database `ai_evidence`.
    pub fn new(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen,
            library: None,
            database: "ai_evidence".into(),
            password: None,
            exit_with_parent: None,
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if !is_identifier(&self.database) || matches!(self.database.as_str(), "system" | "default") {
            bail!(
                "database name {:?}: letters, digits and _ only, and not system or default",
                self.database
            );
        }
        if !self.listen.ip().is_loopback() && self.password.as_deref().unwrap_or_default().is_empty() {
            bail!(
                "listening on {} needs a password (--password-file): anybody who reaches it could read the evidence",
                self.listen
            );
        }
        Ok(())
    }

    /// Directory of the engine's own files.
    pub(super) fn engine_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// Configuration file of the engine. Always passed: without it the engine reads files of the working directory.
    pub(super) fn engine_config(&self) -> PathBuf {
        self.data_dir.join("config.xml")
    }
}

/// Finds libchdb.so: the argument, then `OBSERVER_CHDB`, then the usual places, then `.observer/lib` of the working
/// directory or a directory above it (where `cargo xtask setup` puts it).
pub fn find_library(argument: Option<&Path>) -> anyhow::Result<PathBuf> {
    let named = argument
        .map(Path::to_owned)
        .or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from));
    if let Some(path) = named {
        if !path.is_file() {
            bail!("{}: no such library", path.display());
        }
        return Ok(path);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let above = here.ancestors().map(|dir| dir.join(".observer/lib/libchdb.so"));
    let Some(path) = LIBRARY_PLACES
        .iter()
        .map(PathBuf::from)
        .chain(above)
        .find(|path| path.is_file())
    else {
        bail!(
            "libchdb.so, the ClickHouse engine, is not installed: run `cargo xtask setup` in the source tree, or name \
             it by --library or {LIBRARY_VARIABLE} (looked in {} and .observer/lib)",
            LIBRARY_PLACES.join(", ")
        );
    };
    Ok(path)
}

/// Holds the data directory for this process. The engine locks it too, but says only "NULL" when it is taken.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: fs::File,
}

/// Creates the data directory and the engine's configuration in it, and takes the directory for this process.
pub(super) fn prepare(config: &EmbeddedConfig) -> anyhow::Result<DirectoryLock> {
    let dir = &config.data_dir;
    let create = |path: &Path| {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("create {}", path.display()))
    };
    create(dir)?;
    let lock = lock(dir)?;
    create(&config.engine_dir())?;
    // Absolute: the engine looks for a relative one in the working directory.
    let users = fs::canonicalize(dir)
        .with_context(|| format!("{}", dir.display()))?
        .join("users.xml");
    let memory = Memory::here();
    write_private(&users, &users_xml(&config.database, memory.query))?;
    let users = users
        .to_str()
        .with_context(|| format!("{}: the path is not UTF-8", users.display()))?;
    write_private(&config.engine_config(), &engine_xml(users, memory.engine))?;
    Ok(lock)
}

fn lock(dir: &Path) -> anyhow::Result<DirectoryLock> {
    let path = dir.join("lock");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    if let Err(error) = file.try_lock() {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        match error {
            fs::TryLockError::WouldBlock => {
                bail!(
                    "{} is in use by another observer store (pid {})",
                    dir.display(),
                    holder.trim()
                )
            }
            fs::TryLockError::Error(error) => return Err(error).context(format!("lock {}", path.display())),
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(DirectoryLock { _file: file })
}

/// Writes a file that only its owner may read, as a whole or not at all.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Few threads, bounded memory, and old parts kept for a while as a server does (the library deletes them at once,
/// which a power cut would not forgive).
fn engine_xml(users: &str, memory: u64) -> String {
    let users = users.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<clickhouse>\n\
         \x20 <users_config>{users}</users_config>\n\
         \x20 <mark_cache_size>67108864</mark_cache_size>\n\
         \x20 <max_server_memory_usage>{memory}</max_server_memory_usage>\n\
         \x20 <max_thread_pool_free_size>4</max_thread_pool_free_size>\n\
         \x20 <background_pool_size>2</background_pool_size>\n\
         \x20 <merge_tree>\n\
         \x20   <old_parts_lifetime>480</old_parts_lifetime>\n\
         \x20   <fsync_after_insert>1</fsync_after_insert>\n\
         \x20   <fsync_part_directory>1</fsync_part_directory>\n\
         \x20 </merge_tree>\n\
         </clickhouse>\n"
    )
}

/// What the one user of the engine may do. Without grants every client reads every file of the host and fetches any
/// URL. `database` is an identifier.
fn users_xml(database: &str, memory: u64) -> String {
    format!(
        "<clickhouse>\n\
         \x20 <profiles><default>\n\
         \x20   <max_threads>2</max_threads>\n\
         \x20   <max_memory_usage>{memory}</max_memory_usage>\n\
         \x20   <implicit_select>0</implicit_select>\n\
         \x20 </default></profiles>\n\
         \x20 <users><default>\n\
         \x20   <password></password><networks><ip>::/0</ip></networks>\n\
         \x20   <profile>default</profile><quota>default</quota>\n\
         \x20   <grants>\n\
         \x20     <query>GRANT SELECT, INSERT, CREATE, ALTER, DROP, TRUNCATE, OPTIMIZE, SHOW ON `{database}`.*</query>\n\
         \x20     <query>GRANT SELECT, SHOW ON system.*</query>\n\
         \x20     <query>GRANT KILL QUERY ON *.*</query>\n\
         \x20     <query>GRANT TABLE ENGINE ON MergeTree</query>\n\
         \x20     <query>GRANT TABLE ENGINE ON AggregatingMergeTree</query>\n\
         \x20   </grants>\n\
         \x20 </default></users>\n\
         \x20 <quotas><default></default></quotas>\n\
         </clickhouse>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> EmbeddedConfig {
        EmbeddedConfig::new(dir, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    #[test]
    fn only_loopback_without_password() {
        let dir = Path::new("/x");
        let mut open = EmbeddedConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 1)),
            ..config(dir)
        };
        assert!(
            open.check()
                .expect_err("refused")
                .to_string()
                .contains("needs a password")
        );
        open.password = Some(String::new());
        assert!(open.check().is_err());
        open.password = Some("given at run time".into());
        assert!(open.check().is_ok());
    }

    #[test]
    fn database_names_that_could_reach_other_tables_are_refused() {
        for name in ["", "a.b", "a`; GRANT", "system", "default"] {
            let config = EmbeddedConfig {
                database: name.into(),
                ..config(Path::new("/x"))
            };
            assert!(config.check().is_err(), "{name}");
        }
    }

    #[test]
    fn a_directory_is_taken_once() {
        let dir = tempfile::tempdir().expect("directory");
        let config = config(&dir.path().join("a/b"));
        let first = prepare(&config).expect("free");
        let error = prepare(&config).expect_err("taken").to_string();
        assert!(
            error.contains("in use by another observer store")
                && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        prepare(&config).expect("free again");
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: PathBuf| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode(config.data_dir.clone()), 0o700);
        assert_eq!(mode(config.engine_config()), 0o600);
    }

    #[test]
    fn a_missing_library_says_what_to_do() {
        let error = find_library(Some(Path::new("/nonexistent/libchdb.so"))).expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/libchdb.so"));
    }
}
