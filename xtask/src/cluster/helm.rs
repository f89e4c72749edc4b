//! Helm, by its library.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::kubectl::Kubectl;
use super::node::{ADDRESS, STORE_PORT};
use super::{AREA, cache, capture, images};
use crate::chart;
use crate::run::{root, step};

/// The Python that has the library.
pub(super) fn python() -> Result<PathBuf> {
    chart::python()
}

/// Values of the chart: its defaults, and what no default can know.
pub(super) fn values() -> Value {
    let (repository, tag) = images::OBSERVER;
    json!({
        "image": {"repository": repository, "tag": tag},
        "store": {"url": format!("http://{ADDRESS}:{STORE_PORT}"), "passwordSecret": {"name": "store"}},
        "kubernetes": {"cluster": "lab"},
        "inventory": {"enabled": true, "schedule": "* * * * *", "passwordSecret": {"name": "store"}},
        "config": {"seal": {"interval_seconds": 5}},
    })
}

/// The same with the least that the daemon can do with, on a network of its own.
pub(super) fn least(values: &Value) -> Value {
    let mut values = values.clone();
    values["capabilities"] = json!(["BPF", "PERFMON", "SYS_PTRACE", "CHECKPOINT_RESTORE"]);
    values["config"]["capture"] = json!({"function_probes": "auto"});
    values["hostNetwork"] = json!(false);
    values["networkPolicy"] = json!({"enabled": true});
    values
}

/// Installs the chart, or brings the release to other values, and waits until its pods are ready.
pub(super) fn apply(kubectl: &Kubectl, action: &str, values: &Value) -> Result<()> {
    let file = cache().join("values.json");
    std::fs::write(&file, values.to_string())?;
    let chart = root().join("deploy/helm/observer");
    run(
        kubectl,
        action,
        &[&chart.to_string_lossy(), &file.to_string_lossy()],
    )
}

/// Takes the release away.
pub(super) fn uninstall(kubectl: &Kubectl) -> Result<()> {
    run(kubectl, "uninstall", &[])
}

fn run(kubectl: &Kubectl, action: &str, rest: &[&str]) -> Result<()> {
    step(AREA, &format!("helm {action}"), || {
        let mut command = Command::new(python()?);
        command
            .arg(root().join("tests/cluster/helm.py"))
            .arg(kubectl.kubeconfig());
        capture(command.arg(action).args(rest)).map(|_| ())
    })
}
