//! Kubernetes, built from its own modules as the Go module proxy has them: Debian's source package (1.20) is older than any version that
//! the chart is for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{AREA, cache, capture};
use crate::run::{check, in_path, step};

const MODULE: &str = "k8s.io/kubernetes";
/// The newest that takes the containerd (1.6) and etcd (3.4) of Debian 12 without complaint.
const VERSION: &str = "1.33.13";
const PROGRAMS: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
];

/// Where a program of Kubernetes is.
pub(super) fn path(name: &str) -> PathBuf {
    folder().join("bin").join(name)
}

fn folder() -> PathBuf {
    cache().join(format!("kubernetes-{VERSION}"))
}

/// Builds what is not there yet.
pub(super) fn build() -> Result<()> {
    if PROGRAMS.iter().all(|name| path(name).exists()) {
        return Ok(());
    }
    if !in_path("go") {
        bail!("Go 1.24 or newer is missing: Kubernetes {VERSION} is built from its source");
    }
    let folder = folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    step(AREA, &format!("modules of Kubernetes {VERSION}"), || {
        write_module(&folder)
    })?;
    step(AREA, "build Kubernetes (minutes, once)", || {
        check(&mut go_build(&folder))
    })
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "19", "go"]).current_dir(folder);
    command
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", "0");
    command
}

fn go_build(folder: &Path) -> Command {
    let (major, minor) = VERSION.split_once('.').unwrap_or((VERSION, "0"));
    let minor = minor.split('.').next().unwrap_or_default();
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        flags.push_str(&format!(
            " -X {package}.gitVersion=v{VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        ));
    }
    let mut command = go(folder);
    command.args(["build", "-trimpath", "-ldflags", &flags, "-o", "bin/"]);
    command.args(PROGRAMS.map(|name| format!("{MODULE}/cmd/{name}")));
    command
}

/// A module of our own that has the dependencies of Kubernetes: its own file names its parts by their place in its source tree, which
/// the proxy does not have; they are modules of the same release.
fn write_module(folder: &Path) -> Result<()> {
    let module = format!("{MODULE}@v{VERSION}");
    let told = capture(go(&std::env::temp_dir()).args(["mod", "download", "-json", &module]))?;
    let told: Value = serde_json::from_str(&told).context("go mod download")?;
    let source = PathBuf::from(told["Dir"].as_str().context("go mod download named no folder")?);
    let text = std::fs::read_to_string(source.join("go.mod")).context("go.mod of Kubernetes")?;
    std::fs::write(folder.join("go.mod"), own_module(&text))?;
    let sums = std::fs::read(source.join("go.sum")).context("go.sum of Kubernetes")?;
    std::fs::write(folder.join("go.sum"), sums).context("cannot write go.sum")
}

fn own_module(text: &str) -> String {
    let parts = VERSION.split_once('.').map_or(VERSION, |(_, rest)| rest);
    let mut own = String::new();
    for line in text.lines() {
        if line.starts_with("module ") {
            own.push_str("module cluster\n");
        } else if let Some((name, place)) = line.split_once(" => ./staging/src/") {
            own.push_str(&format!("{name} => {} v0.{parts}\n", place.trim()));
        } else {
            own.push_str(line);
            own.push('\n');
        }
    }
    own.push_str(&format!("require {MODULE} v{VERSION}\n"));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_source_tree_become_modules_of_the_same_release() {
        let text =
            "module k8s.io/kubernetes\n\ngo 1.24.0\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let wanted = "module cluster\n\ngo 1.24.0\nreplace (\n\tk8s.io/api => k8s.io/api v0.33.13\n)\nrequire k8s.io/kubernetes v1.33.13\n";
        assert_eq!(own_module(text), wanted);
    }
}
