//! `cargo xtask test --cluster`: a real cluster of one node on this machine, the Helm chart on it, and what must come of it.
//!
//! What takes long is kept in `.observer/cluster`: the programs of Kubernetes and the images. The cluster itself lives in a network and a
//! mount namespace of its own and in a temporary folder, and goes with the run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::run::{check, in_path, is_root, say, work_dir};
use crate::test::Tally;
use crate::{build, setup};

mod helm;
mod images;
mod kubectl;
mod node;
mod programs;
mod store;
mod story;
mod workload;

const AREA: &str = "cluster";

/// Programs that this machine must have, and Debian's packages of them.
const NEEDS: [(&str, &str); 10] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("buildah", "buildah"),
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("unshare", "util-linux"),
    ("pgrep", "procps"),
];
const PLUGINS: (&str, &str) = ("/usr/lib/cni/ptp", "containernetworking-plugins");

/// Everything; `inside` says that this process is in the namespaces already.
pub(crate) fn run(inside: bool) -> Result<ExitCode> {
    if inside {
        return tell_the_story();
    }
    look_around()?;
    setup::all()?;
    build::all()?;
    programs::build()?;
    images::build()?;
    helm::python()?;
    // The namespaces end with the last process in them, whatever becomes of us.
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(build::xtask())
        .args(["test", "--cluster", "--inside"])
        .status()
        .context("cannot start unshare")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell_the_story() -> Result<ExitCode> {
    let mut tally = Tally::default();
    let node = node::Node::start()?;
    let told = story::tell(&node, &mut tally);
    if tally.failed() || told.is_err() {
        node.keep_logs();
    }
    drop(node);
    told?;
    tally.print()?;
    Ok(if tally.failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What must be there before anything is built.
fn look_around() -> Result<()> {
    if !is_root() {
        bail!("a node of a cluster needs root: sudo env PATH=\"$PATH\" cargo xtask test --cluster");
    }
    let mut missing: Vec<&str> = NEEDS
        .iter()
        .filter(|(program, _)| !in_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(PLUGINS.0).exists() {
        missing.push(PLUGINS.1);
    }
    if !missing.is_empty() {
        bail!(
            "missing: apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    if control_groups_of_a_kubelet() {
        bail!(
            "this machine has control groups of a kubelet (kubepods): the test would end its pods with its own"
        );
    }
    Ok(())
}

fn control_groups_of_a_kubelet() -> bool {
    let folder = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    hierarchies
        .map(|entry| entry.path())
        .chain([folder.to_path_buf()])
        .any(|path| path.join("kubepods").exists() || path.join("kubepods.slice").exists())
}

/// Kept between runs.
fn cache() -> PathBuf {
    work_dir().join("cluster")
}

/// Runs a command to its end and gives its standard output; where it fails, what it said.
fn capture(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command of words.
fn words(program: &str, arguments: &[&str]) -> Result<()> {
    check(Command::new(program).args(arguments))
}

fn progress(text: &str) {
    say(AREA, text);
}
