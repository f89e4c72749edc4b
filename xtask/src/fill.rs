//! `cargo xtask fill`: a store with a made-up month of evidence, for dashboards and reports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::build;
use crate::http;
use crate::run::{check, say};
use crate::setup;
use crate::stage::{Stage, free_addresses};

const AREA: &str = "fill";

/// Fills the store at `url`; without one an embedded store that stays until Ctrl-C.
pub(crate) fn run(url: Option<&str>) -> Result<()> {
    setup::all()?;
    build::all()?;
    if let Some(url) = url {
        return check(Command::new(build::fill()).args(["--url", url]));
    }
    let mut stage = Stage::new()?;
    let store = filled(&mut stage)?;
    say(
        AREA,
        &format!("http://{store} (database ai_evidence, HTTP interface of ClickHouse). Stop it with Ctrl-C"),
    );
    stage.wait_until_end("store")
}

/// Starts an embedded store on the stage and fills it.
pub(crate) fn filled(stage: &mut Stage) -> Result<SocketAddr> {
    let [store] = free_addresses()?;
    let data = stage.dir().join("store");
    start(stage, &data, store)?;
    check(Command::new(build::fill()).args(["--url", &format!("http://{store}")]))?;
    Ok(store)
}

fn start(stage: &mut Stage, data: &Path, store: SocketAddr) -> Result<()> {
    stage.start(
        "store",
        Command::new(build::daemon())
            .args(["store", "--data-dir"])
            .arg(data)
            .args(["--listen", &store.to_string(), "--library"])
            .arg(setup::chdb_library()),
    )?;
    stage.wait_for("store", Duration::from_secs(60), || {
        http::query(store, "SELECT 1 AS one").ok()
    })?;
    Ok(())
}
