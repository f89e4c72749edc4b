//! Where the store is, for commands that ask it.

use std::{fs::File, io::Read, path::Path};

use anyhow::Context;

use crate::{config::Config, store::StoreTarget};

/// Longest password file that is read, bytes.
const MAX_PASSWORD_FILE: u64 = 64 * 1024;

/// The store of a configuration: its server, or the embedded one.
pub(super) fn of(config: &Config) -> anyhow::Result<StoreTarget> {
    let store = &config.store;
    Ok(StoreTarget {
        url: store
            .url
            .clone()
            .unwrap_or_else(|| format!("http://{}", store.embedded.listen)),
        database: store.database.clone(),
        user: store.user.clone(),
        password: store
            .password_file
            .as_deref()
            .map(password)
            .transpose()?
            .unwrap_or_default(),
        ca_file: store.ca_file.clone(),
    })
}

/// The first line of the file.
fn password(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_PASSWORD_FILE).read_to_string(&mut text))
        .with_context(|| format!("password file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
