//! A store whose schema is in place, made once: each test then starts on a copy. Bringing a new store up to date takes
//! the engine some seconds, which a hundred tests would spend each.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use observer::store::migrate::MIGRATIONS;

use super::store::Store;

/// Folders of templates begin like this.
const PREFIX: &str = "store-template-";

/// Puts a store that has the schema of this build into `data`, which does not exist yet.
pub(super) fn copy_to(data: &Path) -> Result<()> {
    let template = template()?;
    copy(&template, data).with_context(|| format!("copy {}", template.display()))
}

/// The folder of the template, made where it is missing. Test programs that run side by side wait for each other.
fn template() -> Result<PathBuf> {
    let work = super::work_dir();
    fs::create_dir_all(&work)?;
    let lock = File::create(work.join("store-template.lock"))?;
    lock.lock().context("lock of the store's template")?;
    let template = work.join(format!("{PREFIX}{:016x}", version()?));
    if !template.exists() {
        remove_old(&work)?;
        make(&work, &template)?;
    }
    Ok(template)
}

/// What a template depends on: the schema and the engine.
fn version() -> Result<u64> {
    let library = super::library();
    let engine = fs::metadata(&library).with_context(|| format!("{} is missing", library.display()))?;
    let mut hash = DefaultHasher::new();
    (engine.len(), engine.modified()?).hash(&mut hash);
    for migration in MIGRATIONS {
        migration.sql.hash(&mut hash);
    }
    Ok(hash.finish())
}

fn remove_old(work: &Path) -> Result<()> {
    for entry in fs::read_dir(work)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn make(work: &Path, template: &Path) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("store-new-").tempdir_in(work)?;
    let mut store = Store::start_empty(dir.path())?;
    let config = dir.path().join("observer.yaml");
    let text = format!(
        "store:\n  url: http://{}\n  database: {}\n",
        store.address(),
        super::DATABASE
    );
    fs::write(&config, text)?;
    let migrated = Command::new(super::daemon())
        .args(["store", "migrate", "--config"])
        .arg(&config)
        .output()?;
    ensure!(
        migrated.status.success(),
        "observer store migrate: {}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    store.stop()?;
    fs::rename(store.data(), template).context("put the store's template in its place")
}

/// With owners, modes and links.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([from, to])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
