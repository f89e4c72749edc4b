//! `cargo xtask chart`: renders and validates the Helm chart, and writes the plain manifests from it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{check, root, step, work_dir};

const AREA: &str = "chart";

/// Renders the chart with several values and writes the manifests of its defaults.
pub(crate) fn run() -> Result<()> {
    let python = python()?;
    step(AREA, "render and validate deploy/helm/observer", || {
        check(Command::new(python).current_dir(root()).args([
            "tests/chart/check.py",
            "deploy/helm/observer",
            "deploy/kubernetes/observer.yaml",
            "--write",
        ]))
    })
}

/// A Python with the Helm library and the schemas, in a folder of its own.
pub(crate) fn python() -> Result<PathBuf> {
    let list = root().join("tests/chart/requirements.txt");
    let wanted = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let venv = work_dir().join("chart");
    let (python, marker) = (venv.join("bin/python"), venv.join("installed-requirements.txt"));
    if std::fs::read_to_string(&marker).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    step(AREA, "Helm library and Kubernetes schemas (PyPI)", || {
        check(
            Command::new("/usr/bin/python3")
                .args(["-m", "venv", "--clear"])
                .arg(&venv),
        )?;
        check(
            Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&list),
        )
    })?;
    std::fs::write(marker, wanted).context("cannot write the marker of installed packages")?;
    Ok(python)
}
