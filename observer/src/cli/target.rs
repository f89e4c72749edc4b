//! Where the store is, for the daemon and for commands that ask it.

use crate::{app::read_secret, config::Config, store::StoreTarget};

/// The store of a configuration: its server, or the embedded one.
pub(crate) fn of(config: &Config) -> anyhow::Result<StoreTarget> {
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
            .map(read_secret)
            .transpose()?
            .unwrap_or_default(),
        ca_file: store.ca_file.clone(),
    })
}
