//! `cargo xtask deny`: licences, sources and known faults of everything that Observer is built of (`deny.toml`).

use anyhow::{Result, bail};

use crate::run::{cargo, check, in_path, say, step};

const AREA: &str = "deny";

/// Checks everything; with `offline` all but the known faults, whose list comes from the network.
pub(crate) fn run(offline: bool) -> Result<()> {
    if !in_path("cargo-deny") {
        bail!("cargo-deny is missing: cargo install cargo-deny --locked (some minutes)");
    }
    let mut command = cargo();
    command.arg("deny");
    if offline {
        command.args(["--offline", "check", "licenses", "bans", "sources"]);
        say(
            AREA,
            "without the list of known faults (github.com/rustsec/advisory-db)",
        );
    } else {
        command.arg("check");
    }
    step(AREA, "cargo deny check", || check(&mut command))
}
