//! `cargo xtask deb`: the Debian package, by cargo-deb; and, on demand, its whole life on a Debian with systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::run::{cargo, check, in_path, is_root, root, say, step, work_dir};

const AREA: &str = "deb";

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Package the daemon of `cargo xtask build` instead of an optimised one
    #[arg(long)]
    quick: bool,
    /// Also install, start, upgrade, remove and purge it in a root made with debootstrap (root)
    #[arg(long)]
    check: bool,
}

/// Daemon, manual, completions, package.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !in_path("cargo-deb") {
        bail!("cargo-deb is missing: cargo install cargo-deb --locked (two minutes)");
    }
    let profile = if args.quick { "dev" } else { "release" };
    build::kernel_object()?;
    step(AREA, &format!("daemon, profile {profile}"), || {
        check(
            cargo()
                .args(["build", "--package", "observer", "--profile", profile])
                .env("OBSERVER_EBPF_OBJECT", build::object_file()),
        )
    })?;
    let folder = work_dir().join("deb");
    documents(&build::daemon_of(profile), &folder)?;
    let first = package(profile, &folder, 1)?;
    say(AREA, &first.display().to_string());
    if args.check {
        if !is_root() || !in_path("debootstrap") || !in_path("systemd-nspawn") {
            bail!(
                "--check needs root, debootstrap and systemd-nspawn (apt-get install debootstrap systemd-container)"
            );
        }
        let second = package(profile, &folder, 2)?;
        step(AREA, "install, start, upgrade, remove, purge", || {
            check(
                Command::new(root().join("tests/deb/check.sh"))
                    .arg(&folder)
                    .arg(&first)
                    .arg(&second),
            )
        })?;
    }
    Ok(())
}

/// What the daemon itself writes for a package.
fn documents(daemon: &Path, folder: &Path) -> Result<()> {
    let man = folder.join("man");
    if man.exists() {
        std::fs::remove_dir_all(&man)?;
    }
    std::fs::create_dir_all(&man)?;
    check(Command::new(daemon).arg("man").arg(&man))?;
    for (shell, name) in [
        ("bash", "observer.bash"),
        ("zsh", "_observer"),
        ("fish", "observer.fish"),
    ] {
        let output = Command::new(daemon)
            .args(["completions", shell])
            .output()
            .context("completions")?;
        if !output.status.success() {
            bail!("observer completions {shell} failed");
        }
        std::fs::write(folder.join(name), output.stdout)?;
    }
    Ok(())
}

fn package(profile: &str, folder: &Path, revision: u32) -> Result<PathBuf> {
    let out = folder.join(format!("observer_{revision}.deb"));
    check(
        cargo()
            .args(["deb", "--no-build", "--package", "observer", "--profile", profile])
            .args(["--deb-revision", &revision.to_string(), "--output"])
            .arg(&out)
            .env("OBSERVER_EBPF_OBJECT", build::object_file()),
    )?;
    Ok(out)
}
