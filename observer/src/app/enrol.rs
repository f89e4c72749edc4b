//! Brings the certificates of this host's keys into the store ([`bring`]).

use tokio::sync::watch;

use super::bring;
use crate::{
    evidence::KeyRow,
    store::{Client, StoreError, bring_certificates},
};

const WHAT: &str = "the certificates of the keys";

/// See [`bring::run`].
pub(super) async fn run(client: Client, certificates: watch::Receiver<Vec<KeyRow>>) {
    bring::run(WHAT, certificates, |wanted| once(client.clone(), wanted)).await;
}

/// See [`bring::at_the_end`].
pub(super) async fn at_the_end(client: &Client, certificates: &watch::Receiver<Vec<KeyRow>>) {
    bring::at_the_end(WHAT, certificates, |wanted| once(client.clone(), wanted)).await;
}

async fn once(client: Client, wanted: Vec<KeyRow>) -> Result<(), StoreError> {
    bring_certificates(&client, &wanted).await
}
