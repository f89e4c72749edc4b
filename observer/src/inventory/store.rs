//! The inventory in the store (shell).

use super::InventoryRow;
use crate::store::{Client, StoreError};

/// The newest row of each host.
///
/// # Errors
/// What the store says.
pub async fn known(client: &Client) -> Result<Vec<InventoryRow>, StoreError> {
    let sql = format!(
        "SELECT observed_at, source, host_id, k8s_node_name, in_scope, first_seen, gone_at, exclusion_reason FROM {} \
         ORDER BY observed_at DESC LIMIT 1 BY host_id",
        InventoryRow::TABLE
    );
    let mut rows: Vec<InventoryRow> = client.rows(&sql).await?;
    rows.sort_by(|a, b| a.host_id.cmp(&b.host_id));
    Ok(rows)
}

/// Adds rows.
///
/// # Errors
/// What the store says.
pub async fn write(client: &Client, rows: &[InventoryRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<&InventoryRow> = rows.iter().collect();
    client.insert_rows(InventoryRow::TABLE, &rows, None).await
}
