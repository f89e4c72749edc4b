//! Brings policy and register into the store ([`bring`]).

use std::sync::Arc;

use tokio::sync::watch;

use super::bring;
use crate::{
    policy::Judge,
    store::{Client, GovernanceFile, RegisterRow, StoreError, bring_file, bring_register},
};

const WHAT: &str = "policy and register";

/// See [`bring::run`].
pub(super) async fn run(client: Client, judges: watch::Receiver<Arc<Judge>>, host_id: String) {
    bring::run(WHAT, judges, |judge| once(client.clone(), judge, host_id.clone())).await;
}

/// See [`bring::at_the_end`].
pub(super) async fn at_the_end(client: &Client, judges: &watch::Receiver<Arc<Judge>>, host_id: &str) {
    bring::at_the_end(WHAT, judges, |judge| {
        once(client.clone(), judge, host_id.to_owned())
    })
    .await;
}

async fn once(client: Client, judge: Arc<Judge>, host_id: String) -> Result<(), StoreError> {
    for file in GovernanceFile::of(&judge, &host_id) {
        bring_file(&client, &file).await?;
    }
    if let Some(register) = &judge.register {
        bring_register(&client, &RegisterRow::of(register, &host_id)).await?;
    }
    Ok(())
}
