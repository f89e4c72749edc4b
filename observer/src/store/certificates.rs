//! Certificates of keys in the store.

use std::collections::HashSet;

use super::{Client, ErrorKind, StoreError};
use crate::evidence::KeyRow;

/// Inserts what the store does not have. Who may only insert sends all; readers drop second copies (`v_host_keys`).
///
/// # Errors
/// What the store says.
pub async fn bring_certificates(client: &Client, wanted: &[KeyRow]) -> Result<(), StoreError> {
    let known = match client
        .rows::<String>("SELECT DISTINCT key_id FROM host_keys")
        .await
    {
        Ok(known) => known.into_iter().collect(),
        Err(error) if error.kind == ErrorKind::Denied => HashSet::new(),
        Err(error) => return Err(error),
    };
    let missing: Vec<&KeyRow> = wanted.iter().filter(|c| !known.contains(&c.key_id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    client.insert_rows(KeyRow::TABLE, &missing, None).await
}
