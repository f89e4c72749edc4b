//! `cargo xtask setup`: brings what this machine lacks. Each need is looked for before it is installed, so a second
//! run installs nothing; Debian packages only by name from the machine's own sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build::{self, Toolchain};
use crate::deny;
use crate::run::{check, in_ci, in_path, is_root, output, root, say, step, work_dir};

const AREA: &str = "setup";

/// The ClickHouse engine as a library. The package is built by the chDB project and has the file and nothing else.
const CHDB_PACKAGE: &str = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1";
const CHDB_SHA256: &str = "36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5";

/// Version of bpf-linker that this repository is tested with.
const BPF_LINKER: &str = "0.13.0";

/// A Debian package, and how to see that it (or an equal from elsewhere) is here.
struct Need {
    package: &'static str,
    present: fn() -> bool,
}

const BUILD_NEEDS: &[Need] = &[
    Need {
        package: "g++",
        present: || in_path("c++"),
    },
    Need {
        package: "pkg-config",
        present: || in_path("pkg-config"),
    },
    Need {
        package: "libvectorscan-dev",
        present: || Path::new("/usr/include/hs/hs.h").exists(),
    },
];

const CLIENT_NEEDS: &[Need] = &[
    // For aws-lc in the Rust clients of `test --clients`.
    Need {
        package: "cmake",
        present: || in_path("cmake"),
    },
    Need {
        package: "curl",
        present: || in_path("curl"),
    },
    Need {
        package: "nodejs",
        present: || in_path("node"),
    },
    Need {
        package: "libnss3",
        present: || {
            Path::new("/usr/lib")
                .join(format!("{}-linux-gnu/libssl3.so", std::env::consts::ARCH))
                .exists()
        },
    },
    // For clients in containers.
    Need {
        package: "runc",
        present: || in_path("runc"),
    },
    // For sessions of ssh and of other users. On a machine of somebody sshd would begin to listen, so only CI gets them by itself.
    Need {
        package: "openssh-server",
        present: || !in_ci() || Path::new("/usr/sbin/sshd").exists(),
    },
    Need {
        package: "sudo",
        present: || !in_ci() || in_path("sudo"),
    },
    // For other kernels. 200 MB that nothing else needs, so only CI gets them by itself.
    Need {
        package: "qemu-system-x86",
        present: || !in_ci() || in_path("qemu-system-x86_64"),
    },
    Need {
        package: "busybox-static",
        present: || !in_ci() || in_path("busybox"),
    },
    Need {
        package: "cpio",
        present: || !in_ci() || in_path("cpio"),
    },
    Need {
        package: "iproute2",
        present: || in_path("ip"),
    },
    Need {
        package: "python3-venv",
        present: || python_with_venv().is_some(),
    },
];

const NPM_NEED: &[Need] = &[Need {
    package: "npm",
    present: || in_path("npm"),
}];

/// What Debian's own BPF toolchain is made of: a compiler with a prebuilt `core` for BPF, and what bpf-linker links.
const DEBIAN_BPF: &[Need] = &[
    Need {
        package: "rustc-web",
        present: || build::debian_core().is_some(),
    },
    Need {
        package: "libstd-rust-web-dev-bpf",
        present: || build::debian_core().is_some(),
    },
    Need {
        package: "llvm-22-dev",
        present: || in_path("bpf-linker") || llvm().join("bin/llvm-config").exists(),
    },
    Need {
        package: "libpolly-22-dev",
        present: || in_path("bpf-linker") || llvm().join("lib/libPolly.a").exists(),
    },
    Need {
        package: "zlib1g-dev",
        present: || in_path("bpf-linker") || Path::new("/usr/include/zlib.h").exists(),
    },
    Need {
        package: "libzstd-dev",
        present: || in_path("bpf-linker") || Path::new("/usr/include/zstd.h").exists(),
    },
];

fn llvm() -> PathBuf {
    PathBuf::from("/usr/lib/llvm-22")
}

/// What clients in Node need: the MCP SDK, in the version that `docs/dialects.md` names.
const NODE_CLIENTS: &str = "@modelcontextprotocol/sdk@1.32.2";

/// Where the engine library is put.
pub(crate) fn chdb_library() -> PathBuf {
    work_dir().join("lib/libchdb.so")
}

/// Python of the environment that the clients run in.
pub(crate) fn client_python() -> PathBuf {
    work_dir().join("venv/bin/python")
}

/// Folder of the packages of clients in Node.
pub(crate) fn client_node_modules() -> PathBuf {
    work_dir().join("node/node_modules")
}

/// Everything: first the programs that the rest is brought with, then what does not need each other side by side.
pub(crate) fn all() -> Result<()> {
    std::fs::create_dir_all(work_dir()).context("cannot create .observer")?;
    install_packages()?;
    let rest: [fn() -> Result<()>; 5] = [
        install_bpf_linker,
        deny::install,
        install_chdb,
        install_python_clients,
        install_node_clients,
    ];
    std::thread::scope(|scope| {
        let threads = rest.map(|install| scope.spawn(install));
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| bail!("a thread of setup panicked"))
        })
    })?;
    say(AREA, "everything is there");
    Ok(())
}

fn install_packages() -> Result<()> {
    let mut needs: Vec<&Need> = BUILD_NEEDS.iter().chain(CLIENT_NEEDS).collect();
    if !chdb_library().exists() || !node_clients_are_there() {
        needs.extend(NPM_NEED);
    }
    // A nightly that can build `core` itself needs none of Debian's packages.
    if build::toolchain().is_none() {
        needs.extend(DEBIAN_BPF);
    }
    let missing: Vec<&str> = needs
        .iter()
        .filter(|need| !(need.present)())
        .map(|need| need.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !in_path("apt-get") {
        bail!(
            "missing: {}. This is not a Debian or Ubuntu machine: install their equals by hand, then run this again",
            missing.join(" ")
        );
    }
    if !is_root() {
        bail!(
            "missing packages, and only root can install them. Run\n    sudo apt-get update && sudo apt-get install --no-install-recommends {}\nthen run this again (as yourself)",
            missing.join(" ")
        );
    }
    step(AREA, "apt-get update", || check(apt().arg("update").arg("-q")))?;
    let what = format!("apt-get install {}", missing.join(" "));
    step(AREA, &what, || check(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(&missing)))
        .context("a rustup nightly with rust-src serves instead of rustc-web, libstd-rust-web-dev-bpf and llvm-22-dev where the machine's sources do not have them: rustup toolchain install nightly --component rust-src")
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn install_bpf_linker() -> Result<()> {
    if build::bpf_linker().is_some() {
        return Ok(());
    }
    let mut command = crate::run::cargo();
    command.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"]);
    if llvm().join("bin/llvm-config").exists() {
        command.args(["--no-default-features", "--features", "llvm-22"]);
        command
            .env("LLVM_PREFIX", llvm())
            .env("LLVM_SYS_221_PREFIX", llvm());
    } else if build::toolchain() == Some(Toolchain::Debian) {
        bail!(
            "bpf-linker is missing and so is {}: install llvm-22-dev",
            llvm().display()
        );
    }
    step(AREA, "cargo install bpf-linker (about a minute)", || {
        check(&mut command)
    })
}

fn install_chdb() -> Result<()> {
    let target = chdb_library();
    if target.exists() {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the embedded ClickHouse engine is packaged for x86_64 only; put a libchdb.so at {}",
            target.display()
        );
    }
    let dir = work_dir().join("lib");
    std::fs::create_dir_all(&dir)?;
    let archive = step(AREA, &format!("npm pack {CHDB_PACKAGE} (178 MB)"), || {
        output(
            Command::new("npm")
                .current_dir(&dir)
                .args(["pack", "--silent", CHDB_PACKAGE]),
        )
        .and_then(|text| text.lines().last().map(|name| dir.join(name)))
        .context("npm pack failed: is the npm registry reachable?")
    })?;
    step(AREA, "unpack and check libchdb.so (566 MB)", || {
        unpack_chdb(&dir, &archive)
    })?;
    // The name appears only now: a library that exists is one whose digest was right.
    std::fs::rename(dir.join("package/libchdb.so"), &target)?;
    std::fs::remove_dir_all(dir.join("package"))?;
    std::fs::remove_file(archive).context("cannot remove the archive")
}

fn unpack_chdb(dir: &Path, archive: &Path) -> Result<()> {
    check(
        Command::new("tar")
            .current_dir(dir)
            .arg("-xzf")
            .arg(archive)
            .arg("package/libchdb.so"),
    )?;
    let digest = output(
        Command::new("sha256sum")
            .current_dir(dir)
            .arg("package/libchdb.so"),
    )
    .context("sha256sum failed")?;
    if !digest.starts_with(CHDB_SHA256) {
        bail!("libchdb.so has another digest than expected: {digest}");
    }
    Ok(())
}

/// A Python that can make virtual environments: the system's first, since it uses the system's libssl.
pub(crate) fn python_with_venv() -> Option<&'static str> {
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| output(Command::new(python).args(["-c", "import ssl, venv, ensurepip"])).is_some())
}

/// Whether the marker of installed packages names these.
fn says(marker: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(marker).is_ok_and(|have| have == wanted)
}

fn install_python_clients() -> Result<()> {
    let list = root().join("tests/clients/requirements.txt");
    let wanted = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let venv = work_dir().join("venv");
    let marker = venv.join("installed-requirements.txt");
    if says(&marker, &wanted) {
        return Ok(());
    }
    step(
        AREA,
        "Python packages of the clients (openai, anthropic, requests, ...)",
        || {
            let python =
                python_with_venv().context("no Python with the venv module: install python3-venv")?;
            check(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv))?;
            check(
                Command::new(client_python())
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
        },
    )?;
    std::fs::write(marker, wanted).context("cannot write the marker of installed packages")
}

fn node_marker() -> PathBuf {
    work_dir().join("node/installed")
}

fn node_clients_are_there() -> bool {
    says(&node_marker(), NODE_CLIENTS)
}

fn install_node_clients() -> Result<()> {
    if node_clients_are_there() {
        return Ok(());
    }
    let dir = work_dir().join("node");
    std::fs::create_dir_all(&dir)?;
    // Without it npm would look for a package to which the folder belongs, and change that.
    std::fs::write(dir.join("package.json"), "{\"private\": true}\n")?;
    step(AREA, &format!("npm install {NODE_CLIENTS} (29 MB)"), || {
        let options = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ];
        check(
            Command::new("npm")
                .current_dir(&dir)
                .args(options)
                .arg(NODE_CLIENTS),
        )
    })?;
    std::fs::write(node_marker(), NODE_CLIENTS).context("cannot write the marker of installed packages")
}
