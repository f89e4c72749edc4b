//! Real containers: runc, each with a root file system of its own, its own namespaces (pid, mount, network, uts, ipc) and a
//! control group with the path that a kubelet would give it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::clients;

/// Addresses of the host and of the containers on the wire between them.
const HOST_ADDRESS: &str = "10.199.77.1";
const POD_ADDRESS: &str = "10.199.77.2";

/// Control groups above those of the containers, innermost first.
const GROUPS: [&str; 3] = [
    "kubepods/besteffort/pod0000-test",
    "kubepods/besteffort",
    "kubepods",
];

/// The interpreter of the containers, at the same place inside.
const PYTHON: &str = "/usr/bin/python3";

/// Containers of one test; they share a network namespace, as those of a pod do. Dropping it removes all of it.
pub struct Containers {
    dir: PathBuf,
    ca_file: PathBuf,
    port: u16,
    /// Network namespace and, of the same name, the host's end of the wire.
    network: String,
    overlays: Vec<PathBuf>,
    started: Vec<String>,
    /// Control groups above those of the containers that were not there before, innermost first.
    groups: Vec<PathBuf>,
}

/// A container that is to be started.
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// The process that starts it and has its standard input and output.
    pub client: Client,
    pid_file: PathBuf,
}

impl Containers {
    /// The network of the containers, with a way to the endpoint at this port.
    pub(super) fn new(dir: &Path, ca_file: &Path, port: u16) -> Result<Self> {
        let network = format!("obs{}", std::process::id());
        let new = Self {
            dir: dir.join("containers"),
            ca_file: ca_file.to_path_buf(),
            port,
            network,
            overlays: vec![],
            started: vec![],
            groups: missing_groups(),
        };
        fs::create_dir_all(&new.dir)?;
        let (name, inside) = (new.network.as_str(), "eth0");
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", name, "type", "veth", "peer", "name", inside, "netns", name,
        ])?;
        ip(&["addr", "add", &format!("{HOST_ADDRESS}/30"), "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        let address = format!("{POD_ADDRESS}/30");
        ip(&["-n", name, "addr", "add", &address, "dev", inside])?;
        ip(&["-n", name, "link", "set", inside, "up"])?;
        Ok(new)
    }

    /// A root file system of its own: what the client needs, copied, so no file in it was ever seen before.
    pub fn root(&self, name: &str) -> Result<PathBuf> {
        let root = self.dir.join(name);
        for folder in ["proc", "dev", "sys", "tmp", "usr/lib", "usr/lib64"] {
            fs::create_dir_all(root.join(folder))?;
        }
        symlink("usr/lib", root.join("lib"))?;
        symlink("usr/lib64", root.join("lib64"))?;
        let script = clients().join("contained.py");
        let list = Command::new(PYTHON).arg(&script).arg("--list").output()?;
        ensure!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        for file in String::from_utf8(list.stdout)?.lines() {
            let target = root.join(file.trim_start_matches('/'));
            fs::create_dir_all(target.parent().context("a folder")?)?;
            fs::copy(file, &target).with_context(|| format!("cannot copy {file}"))?;
            let name = target
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with("ld-linux") {
                fs::copy(file, root.join("usr/lib64").join(&name))?;
            }
            if let Some(short) = short_name(&name) {
                symlink(&name, target.with_file_name(short))?;
            }
        }
        fs::copy(script, root.join("client.py"))?;
        fs::copy(&self.ca_file, root.join("ca.pem"))?;
        Ok(root)
    }

    /// A root file system over this one, which stays as it is; several can share it.
    pub fn overlay(&mut self, lower: &Path, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        let (upper, work, merged) = (folder.join("upper"), folder.join("work"), folder.join("merged"));
        for folder in [&upper, &work, &merged] {
            fs::create_dir_all(folder)?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        run(Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options])
            .arg(&merged))?;
        self.overlays.push(merged.clone());
        Ok(merged)
    }

    /// A container over a root file system, with these words for its client.
    pub fn container(&mut self, root: &Path, words: &[&str]) -> Result<Container> {
        let number = self.started.len();
        let id = format!("{:032x}{number:032x}", std::process::id());
        let bundle = self.dir.join(format!("bundle-{number}"));
        fs::create_dir_all(&bundle)?;
        let port = self.port.to_string();
        let mut args = vec!["python3", "-I", "-B", "/client.py", "--address", HOST_ADDRESS];
        args.extend(["--port", &port]);
        args.extend(words);
        // The name that the kernel knows: /usr/bin/python3 is a link.
        let program = fs::canonicalize(PYTHON)?;
        let program = program.to_str().context("a path")?;
        args[0] = program;
        let config = specification(root, &args, &id, &self.network);
        fs::write(bundle.join("config.json"), serde_json::to_vec(&config)?)?;
        let pid_file = bundle.join("pid");
        let client = Client::new("runc", self.port, &self.ca_file)
            .arg("run")
            .arg("--bundle")
            .arg(&bundle)
            .arg("--pid-file")
            .arg(&pid_file)
            .arg(&id);
        self.started.push(id.clone());
        Ok(Container { id, client, pid_file })
    }
}

impl Container {
    /// Starts it: id, what runs, and the file with the host's number of its first process.
    pub fn start(self) -> Result<(String, super::Running, PathBuf)> {
        Ok((self.id, self.client.start()?, self.pid_file))
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for id in &self.started {
            // One that ended is gone already.
            let _ = Command::new("runc").args(["delete", "--force", id]).output();
        }
        for group in &self.groups {
            // runc makes them and leaves them there.
            let _ = fs::remove_dir(group);
        }
        for overlay in &self.overlays {
            let _ = Command::new("umount").arg(overlay).output();
        }
        // The wire goes with the namespace at its other end.
        let _ = ip(&["netns", "del", &self.network]);
    }
}

/// Control groups of the containers that are not there yet, in each hierarchy of the host.
fn missing_groups() -> Vec<PathBuf> {
    let all = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(all).into_iter().flatten().flatten();
    let hierarchies: Vec<PathBuf> = hierarchies
        .map(|entry| entry.path())
        .chain([all.into()])
        .collect();
    let groups = GROUPS
        .iter()
        .flat_map(|group| hierarchies.iter().map(move |place| place.join(group)));
    groups.filter(|group| !group.exists()).collect()
}

/// The name under which programs ask for a library (`libz.so.1` of `libz.so.1.2.13`), where that is another.
fn short_name(name: &str) -> Option<String> {
    let (stem, version) = name.split_once(".so.")?;
    let (major, _) = version.split_once('.')?;
    Some(format!("{stem}.so.{major}"))
}

fn ip(args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(args))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// `config.json` of the OCI runtime specification.
fn specification(root: &Path, args: &[&str], id: &str, network: &str) -> Value {
    let capabilities = json!(["CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true,
        },
        "root": {"path": root, "readonly": true},
        "hostname": "contained",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
        ],
        "linux": {
            "cgroupsPath": format!("/{}/{id}", GROUPS[0]),
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "network", "path": format!("/run/netns/{network}")},
            ],
        },
    })
}
