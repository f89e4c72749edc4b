//! Bringing the clients onto this machine, each once, and asking which versions they are.
//!
//! Debian packages go where they always go; everything else stays in `.observer/clients`. What cannot be had is not an
//! error: its clients are not run, and their rows say why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::sandbox::Places;
use super::table::{Client, Source};
use crate::harness;

/// Packages that scripts of the table use beside the client's own.
const TOOLS: &[(&str, &str)] = &[("libnss3-tools", "certutil"), ("iproute2", "ip")];

/// What is installed, and what could not be.
pub(super) struct Installed {
    /// Folders for the commands.
    pub(super) places: Places,
    work: PathBuf,
    failures: BTreeMap<Source, String>,
    pypi: BTreeMap<String, String>,
}

/// Installs what these clients need.
pub(super) fn install(
    clients: &[&Client],
    work: &Path,
    scripts: &Path,
    endpoint: &Path,
) -> Result<Installed> {
    fs::create_dir_all(work.join("bin")).with_context(|| format!("cannot make {}", work.display()))?;
    let mut installed = Installed {
        places: Places {
            venv: work.join("venv"),
            node: work.join("node"),
            older: work.join("node-older"),
            bin: work.join("bin"),
            scripts: scripts.to_path_buf(),
            endpoint: endpoint.to_path_buf(),
        },
        work: work.to_path_buf(),
        failures: BTreeMap::new(),
        pypi: BTreeMap::new(),
    };
    for (package, program) in TOOLS {
        // Without them single clients fail, and say so.
        let _ = debian(package, program);
    }
    let mut groups: BTreeMap<&str, Result<(), String>> = BTreeMap::new();
    for client in clients {
        let source = client.source;
        if installed.failures.contains_key(&source) {
            continue;
        }
        let outcome = match source {
            Source::Pypi(_) => groups
                .entry("pypi")
                .or_insert_with(|| said(installed.python()))
                .clone(),
            Source::Npm(_) => groups
                .entry("npm")
                .or_insert_with(|| said(installed.node("package.json", &installed.places.node)))
                .clone(),
            Source::OlderNpm(_) => groups
                .entry("older")
                .or_insert_with(|| said(installed.node("older/package.json", &installed.places.older)))
                .clone(),
            Source::Debian { package, program } => said(debian(package, program)),
            Source::Go { .. } => said(installed.go(source)),
            Source::Rust { .. } => said(installed.rust(source)),
        };
        if let Err(reason) = outcome {
            installed.failures.insert(source, reason);
        }
    }
    installed.pypi = installed.python_versions();
    Ok(installed)
}

fn said(result: Result<()>) -> Result<(), String> {
    result.map_err(|error| format!("{error:#}"))
}

fn debian(package: &str, program: &str) -> Result<()> {
    if harness::find_program(program).is_some() {
        return Ok(());
    }
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["install", "-q", "-y", "--no-install-recommends", package]);
    step(&format!("apt-get install {package}"), &mut command)
}

impl Installed {
    /// Why a client cannot be run; `None` when it can.
    pub(super) fn obstacle(&self, client: &Client) -> Option<&str> {
        self.failures.get(&client.source).map(String::as_str)
    }

    fn python(&self) -> Result<()> {
        let list = self.places.scripts.join("requirements.txt");
        let venv = &self.places.venv;
        once(&list, &venv.join("installed-requirements.txt"), || {
            // The system's Python, since it uses the system's libssl.
            step(
                "python3 -m venv",
                Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(venv),
            )?;
            let mut pip = Command::new(venv.join("bin/pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"])
                .arg(&list);
            step("pip install (about 80 packages)", &mut pip)
        })
    }

    fn node(&self, list: &str, node: &Path) -> Result<()> {
        let list = self.places.scripts.join(list);
        fs::create_dir_all(node)?;
        once(&list, &node.join("installed-package.json"), || {
            fs::copy(&list, node.join("package.json"))?;
            let mut npm = Command::new("npm");
            npm.current_dir(node)
                .args(["install", "--no-audit", "--no-fund", "--silent"]);
            step("npm install (agents are large: 1 GB and more)", &mut npm)
        })
    }

    fn go(&self, source: Source) -> Result<()> {
        let Source::Go {
            root,
            package,
            file,
            flags,
        } = source
        else {
            bail!("not a Go client");
        };
        let go = Path::new(root).join("bin/go");
        if !go.exists() {
            ensure!(!package.is_empty(), "{} is not there", go.display());
            debian(package, &go.to_string_lossy())?;
        }
        let target = self.places.bin.join(file);
        if target.exists() {
            return Ok(());
        }
        let mut command = Command::new(&go);
        command
            .current_dir(self.places.scripts.join("go"))
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-buildvcs=false")
            .env("GOCACHE", self.work.join("gocache"))
            .arg("build")
            .args(flags)
            .arg("-o")
            .arg(target)
            .arg(".");
        step(&format!("go build {file}"), &mut command)
    }

    fn rust(&self, source: Source) -> Result<()> {
        let Source::Rust { feature, stripped } = source else {
            bail!("not a Rust client");
        };
        let plain = self.places.bin.join(format!("reqwest-{feature}"));
        if !plain.exists() {
            let built = self.work.join("rust");
            let mut cargo = Command::new("cargo");
            cargo
                .current_dir(self.places.scripts.join("rust"))
                .args([
                    "build",
                    "--quiet",
                    "--release",
                    "--locked",
                    "--features",
                    feature,
                    "--target-dir",
                ])
                .arg(&built);
            step(&format!("cargo build, reqwest with {feature}"), &mut cargo)?;
            fs::copy(built.join("release/matrix-client"), &plain).context("cannot copy the built client")?;
        }
        let target = self.places.bin.join(format!("reqwest-{feature}-stripped"));
        if stripped && !target.exists() {
            step("strip", Command::new("strip").arg("-o").arg(&target).arg(&plain))?;
        }
        Ok(())
    }

    fn python_versions(&self) -> BTreeMap<String, String> {
        let listed = output(Command::new(self.places.venv.join("bin/pip")).args([
            "list",
            "--format",
            "json",
            "--disable-pip-version-check",
        ]));
        let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
        let packages = listed.as_array().into_iter().flatten();
        packages
            .filter_map(|package| {
                let text = |name: &str| package[name].as_str().map(str::to_owned);
                Some((plain(&text("name")?), text("version")?))
            })
            .collect()
    }

    /// Version of a client as it is installed; `-` when it does not say.
    pub(super) fn version(&self, client: &Client) -> String {
        let version = match client.source {
            // Their packages are only pointers to a version.
            Source::Debian {
                program: program @ ("java" | "ruby" | "php"),
                ..
            } => first_line(&output(Command::new(program).arg("--version"))),
            Source::Debian { package, .. } => {
                output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))
            }
            Source::Pypi("") => output(Command::new(self.places.venv.join("bin/python")).arg("--version")),
            Source::Pypi(package) => self.pypi.get(&plain(package)).cloned().unwrap_or_default(),
            Source::Npm(package) => npm_version(&self.places.node, package),
            Source::OlderNpm(package) => npm_version(&self.places.older, package),
            Source::Go { file, .. } => {
                let text = output(
                    Command::new("/usr/local/go/bin/go")
                        .arg("version")
                        .arg(self.places.bin.join(file)),
                );
                text.rsplit(": ").next().unwrap_or_default().to_owned()
            }
            Source::Rust { .. } => self.rust_version("reqwest"),
        };
        let version = version.trim();
        if version.is_empty() {
            "-".to_owned()
        } else {
            version.to_owned()
        }
    }

    fn rust_version(&self, package: &str) -> String {
        let lock = fs::read_to_string(self.places.scripts.join("rust/Cargo.lock")).unwrap_or_default();
        let start = format!("name = \"{package}\"\nversion = \"");
        let rest = lock.split_once(&start).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    }
}

fn npm_version(folder: &Path, package: &str) -> String {
    let file = folder.join("node_modules").join(package).join("package.json");
    let text = fs::read_to_string(file).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    value["version"].as_str().unwrap_or_default().to_owned()
}

/// Does `work` unless the marker says that it was done for this content of the list.
fn once(list: &Path, marker: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    if fs::read_to_string(marker).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    work()?;
    fs::write(marker, wanted).context("cannot write the marker")
}

fn step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("[clients] {what} ...");
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{what}: cannot start"))?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        bail!(
            "{what} failed after {seconds:.0} s: {}",
            last.unwrap_or("no message")
        );
    }
    eprintln!("[clients] {what}: done in {seconds:.1} s");
    Ok(())
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// Name of a Python package as registries compare it (PEP 503).
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
