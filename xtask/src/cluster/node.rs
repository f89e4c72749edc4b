//! The node: control plane, containerd and kubelet in the namespaces that this process is in. Dropping it ends them and what they started.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::kubectl::{Kubectl, wait_until};
use super::store::Store;
use super::{AREA, cache, capture, images, programs, progress, words};
use crate::run::step;
use crate::stage::Stage;
use crate::{build, setup};

/// The node's own address, and the one that every pod finds the API server at.
pub(super) const ADDRESS: &str = "10.88.76.1";
const SERVICE_ADDRESS: &str = "10.96.0.1";
const SERVICES: &str = "10.96.0.0/24";
pub(super) const NAME: &str = "node-1";
pub(super) const STORE_PORT: u16 = 8123;
pub(super) const ENDPOINT_PORT: u16 = 8443;

/// Time for a program to be ready on a busy machine.
const READY: Duration = Duration::from_secs(120);

/// See the module.
pub(super) struct Node {
    stage: Stage,
    pub(super) kubectl: Kubectl,
    pub(super) store: Store,
}

impl Node {
    /// Starts everything and waits until the node takes pods.
    pub(super) fn start() -> Result<Self> {
        let mut stage = Stage::new()?;
        let dir = stage.dir().to_path_buf();
        lay_out(&dir)?;
        // First, so that it ends last.
        stage.start(
            "sweep",
            Command::new("sh")
                .args(["-c", include_str!("../../cluster/sweep.sh"), "sweep"])
                .arg(&dir),
        )?;
        step(AREA, "network and mounts", || surroundings(&dir))?;
        let kubectl = step(AREA, "etcd and API server", || control_plane(&mut stage))?;
        step(AREA, "containerd and images", || containers(&mut stage))?;
        step(AREA, "kubelet", || kubelet(&mut stage, &kubectl))?;
        let store = step(AREA, "store and AI endpoint", || services(&mut stage))?;
        Ok(Self {
            stage,
            kubectl,
            store,
        })
    }

    /// Where the host paths of pods are (`/var/lib` of the node).
    pub(super) fn var_lib(&self) -> PathBuf {
        self.stage.dir().join("lib")
    }

    /// The authority of the AI endpoint.
    pub(super) fn authority(&self) -> Result<String> {
        std::fs::read_to_string(self.stage.dir().join("ca.pem")).context("the endpoint's authority")
    }

    /// Copies the logs to where they outlive the run.
    pub(super) fn keep_logs(&self) {
        let target = cache().join("logs");
        let copied = std::fs::create_dir_all(&target).is_ok()
            && Command::new("sh")
                .args(["-c", "cp -r \"$1\"/*.log \"$1\"/log/pods \"$2\"", "sh"])
                .args([self.stage.dir(), &target])
                .status()
                .is_ok();
        if copied {
            progress(&format!("logs: {}", target.display()));
        }
    }
}

/// Folders, settings, keys and tokens. All secrets are made here and go with the folder.
fn lay_out(dir: &Path) -> Result<()> {
    for folder in ["run", "lib", "log/pods", "cni", "certs", "plugins", "addresses"] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    let place = dir.to_string_lossy();
    let filled = |text: &str| {
        text.replace("{dir}", &place)
            .replace("{client_image}", images::CLIENT)
    };
    for (name, text) in [
        ("containerd.toml", include_str!("../../cluster/containerd.toml")),
        ("kubelet.yaml", include_str!("../../cluster/kubelet.yaml")),
        ("cni/pods.conflist", include_str!("../../cluster/pods.conflist")),
    ] {
        std::fs::write(dir.join(name), filled(text))?;
    }
    let token = random_word()?;
    std::fs::write(
        dir.join("tokens.csv"),
        format!("{token},admin,admin,system:masters\n"),
    )?;
    std::fs::write(dir.join("kubeconfig"), kubeconfig(dir, &token))?;
    let key = dir.join("sa.key");
    capture(Command::new("openssl").args(["genrsa", "-out"]).arg(&key))?;
    capture(
        Command::new("openssl")
            .args(["rsa", "-pubout", "-in"])
            .arg(&key)
            .arg("-out")
            .arg(dir.join("sa.pub")),
    )?;
    Ok(())
}

pub(super) fn random_word() -> Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn kubeconfig(dir: &Path, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: here, cluster: {{server: 'https://{SERVICE_ADDRESS}:443', certificate-authority: '{}'}}}}]\n\
         users: [{{name: admin, user: {{token: {token}}}}}]\n\
         contexts: [{{name: here, context: {{cluster: here, user: admin}}}}]\n",
        dir.join("certs/apiserver.crt").display()
    )
}

/// An address for the node and one for the API server's service, which no kube-proxy is needed for; and folders of our own where the
/// kubelet and pods write to the host.
fn surroundings(dir: &Path) -> Result<()> {
    words("ip", &["link", "set", "lo", "up"])?;
    words(
        "ip",
        &["link", "add", "node0", "type", "veth", "peer", "name", "node1"],
    )?;
    for address in [ADDRESS, SERVICE_ADDRESS] {
        words("ip", &["addr", "add", &format!("{address}/32"), "dev", "node0"])?;
    }
    words("ip", &["link", "set", "node0", "up"])?;
    words("ip", &["link", "set", "node1", "up"])?;
    words("mount", &["--make-rshared", "/"])?;
    if !Path::new("/sys/kernel/tracing/events").exists() {
        // As on any node.
        words("mount", &["-t", "tracefs", "tracefs", "/sys/kernel/tracing"])?;
    }
    for (own, place) in [("lib", "/var/lib"), ("log", "/var/log")] {
        words("mount", &["--bind", &dir.join(own).to_string_lossy(), place])?;
    }
    Ok(())
}

fn control_plane(stage: &mut Stage) -> Result<Kubectl> {
    let dir = stage.dir().to_path_buf();
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    stage.start(
        "etcd",
        Command::new("etcd").args(["--data-dir", &file("etcd")]).args([
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ]),
    )?;
    stage.start("kube-apiserver", &mut api_server(&file))?;
    let kubectl = Kubectl::new(&dir.join("kubeconfig"), &dir);
    stage.wait_for("kube-apiserver", READY, || {
        kubectl.text(&["get", "--raw", "/readyz"]).ok()
    })?;
    let common = [
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--kubeconfig",
        &file("kubeconfig"),
        "--cert-dir",
        &file("certs-own"),
    ];
    stage.start(
        "kube-controller-manager",
        Command::new(programs::path("kube-controller-manager"))
            .args(common)
            .args(["--service-account-private-key-file", &file("sa.key")])
            .args(["--root-ca-file", &file("certs/apiserver.crt")]),
    )?;
    stage.start(
        "kube-scheduler",
        Command::new(programs::path("kube-scheduler")).args(common),
    )?;
    Ok(kubectl)
}

fn api_server(file: &dyn Fn(&str) -> String) -> Command {
    let mut command = Command::new(programs::path("kube-apiserver"));
    command
        .args(["--etcd-servers=http://127.0.0.1:2379", "--secure-port=443"])
        .args(["--bind-address=0.0.0.0", "--advertise-address", ADDRESS])
        .args(["--service-cluster-ip-range", SERVICES])
        .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
        .args(["--kubelet-preferred-address-types=InternalIP"])
        .args(["--cert-dir", &file("certs")])
        .args(["--token-auth-file", &file("tokens.csv")])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .args(["--service-account-key-file", &file("sa.pub")])
        .args(["--service-account-signing-key-file", &file("sa.key")]);
    command
}

fn containers(stage: &mut Stage) -> Result<()> {
    let dir = stage.dir().to_path_buf();
    let socket = dir.join("run/containerd.sock");
    stage.start(
        "containerd",
        Command::new("containerd")
            .arg("--config")
            .arg(dir.join("containerd.toml")),
    )?;
    let ctr = || {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(&socket)
            .args(["--namespace", "k8s.io"]);
        command
    };
    stage.wait_for("containerd", READY, || capture(ctr().arg("version")).ok())?;
    for archive in images::archives() {
        capture(ctr().args(["images", "import"]).arg(archive))?;
    }
    Ok(())
}

fn kubelet(stage: &mut Stage, kubectl: &Kubectl) -> Result<()> {
    let dir = stage.dir().to_path_buf();
    stage.start(
        "kubelet",
        Command::new(programs::path("kubelet"))
            .arg("--config")
            .arg(dir.join("kubelet.yaml"))
            .arg("--kubeconfig")
            .arg(kubectl.kubeconfig())
            .arg("--root-dir")
            .arg(dir.join("kubelet"))
            .args(["--node-ip", ADDRESS, "--hostname-override", NAME]),
    )?;
    stage.wait_for("kubelet", READY, || {
        let node = kubectl.json(&["get", "node", NAME]).ok()?;
        let conditions = node["status"]["conditions"].as_array()?.clone();
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
            .then_some(())
    })
}

/// What a company has beside its cluster: the store, and the AI service out there.
fn services(stage: &mut Stage) -> Result<Store> {
    let dir = stage.dir().to_path_buf();
    let (password, file) = (random_word()?, dir.join("store-password"));
    std::fs::write(&file, &password)?;
    words("chmod", &["600", &file.to_string_lossy()])?;
    stage.start(
        "store",
        Command::new(build::daemon())
            .arg("store")
            .arg("--data-dir")
            .arg(dir.join("store"))
            .args(["--listen", &format!("{ADDRESS}:{STORE_PORT}"), "--password-file"])
            .arg(&file)
            .arg("--library")
            .arg(setup::chdb_library()),
    )?;
    let store = Store::new(
        format!("{ADDRESS}:{STORE_PORT}")
            .parse()
            .context("address of the store")?,
        password,
        &dir,
    )?;
    stage.wait_for("store", READY, || store.query("SELECT 1 AS one").ok())?;
    stage.start(
        "ai-endpoint",
        Command::new(build::endpoint())
            .args(["--listen", &format!("{ADDRESS}:{ENDPOINT_PORT}"), "--ca-file"])
            .arg(dir.join("ca.pem")),
    )?;
    let log = stage.log_file("ai-endpoint");
    wait_until("the AI endpoint listens", READY, || {
        Ok(std::fs::read_to_string(&log)?.contains("listening").then_some(()))
    })?;
    Ok(store)
}
