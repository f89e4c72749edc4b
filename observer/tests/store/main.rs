//! The store end to end: the real engine in a child process, the real client, raw HTTP.
//!
//! Needs libchdb.so (`cargo xtask setup`, or OBSERVER_CHDB); without it each test prints `SKIP:` and passes.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for a real store, within limits"
)]

mod anchors;
mod bench;
mod bundle;
mod cluster;
mod columns;
mod forms;
mod gateways;
mod governance;
mod hostile;
mod inventory;
mod life;
mod period;
mod report;
mod requests;
mod retention;
mod review;
mod roles;
mod rows;
mod siem;
mod support;
mod trust;
mod verify;

use observer::store::embedded::{EmbeddedConfig, serve, termination};
use support::{ADDRESS, DIRECTORY, PARENT, PASSWORD};

/// Not a test by itself: the child process of the others runs only this one, with the environment set.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let (Ok(directory), Ok(address)) = (std::env::var(DIRECTORY), std::env::var(ADDRESS)) else {
        return;
    };
    let mut config = EmbeddedConfig::new(directory, address.parse().expect("address"));
    config.password = std::env::var(PASSWORD).ok();
    config.exit_with_parent = std::env::var(PARENT).ok().map(|pid| pid.parse().expect("pid"));
    if let Err(error) = serve(config, termination().expect("signals")).await {
        eprintln!("child: {error:#}");
        std::process::exit(3);
    }
}
