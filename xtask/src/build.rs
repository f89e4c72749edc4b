//! `cargo xtask build`: the kernel object with whichever BPF toolchain is here, then the daemon that embeds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, check, output, root, say, step, work_dir};

const AREA: &str = "build";
const BPF_TARGET: &str = "bpfel-unknown-none";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// The two ways to a `core` for BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// Debian's rustc, with the prebuilt `core` of libstd-rust-web-dev-bpf.
    Debian,
    /// A rustup nightly with rust-src, which builds `core` on the way.
    Nightly,
}

/// The toolchain that this machine can build the kernel programs with, if any. Debian's first: it needs no nightly.
pub(crate) fn toolchain() -> Option<Toolchain> {
    if debian_core().is_some() {
        return Some(Toolchain::Debian);
    }
    nightly_with_source().then_some(Toolchain::Nightly)
}

/// Folder of the prebuilt `core` for BPF that belongs to Debian's rustc.
pub(crate) fn debian_core() -> Option<PathBuf> {
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let libraries = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(BPF_TARGET)
        .join("lib");
    let mut entries = std::fs::read_dir(&libraries).ok()?.filter_map(Result::ok);
    entries
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        .then_some(libraries)
}

fn nightly_with_source() -> bool {
    output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"])).is_some_and(
        |sysroot| {
            Path::new(&sysroot)
                .join("lib/rustlib/src/rust/library/core")
                .exists()
        },
    )
}

/// bpf-linker in the path or in cargo's own folder of programs, which need not be in the path.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|dir| dir.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// Where the kernel object is put, for the daemon's build to embed.
pub(crate) fn object_file() -> PathBuf {
    work_dir().join("observer-ebpf.o")
}

/// The daemon that `all` builds.
pub(crate) fn daemon() -> PathBuf {
    target_dir().join("debug/observer")
}

/// The daemon as this profile of Cargo builds it.
pub(crate) fn daemon_of(profile: &str) -> PathBuf {
    let folder = if profile == "dev" { "debug" } else { profile };
    target_dir().join(folder).join("observer")
}

/// The local AI endpoint that `all` builds.
pub(crate) fn endpoint() -> PathBuf {
    target_dir().join("debug/ai-endpoint")
}

/// The client matrix that `all` builds.
pub(crate) fn client_matrix() -> PathBuf {
    target_dir().join("debug/client-matrix")
}

/// The benchmarks that `all` builds.
pub(crate) fn bench() -> PathBuf {
    target_dir().join("debug/bench")
}

/// The evaluations that `all` builds.
pub(crate) fn eval() -> PathBuf {
    target_dir().join("debug/eval")
}

/// The program that fills a store, which `all` builds.
pub(crate) fn fill() -> PathBuf {
    target_dir().join("debug/fill")
}

/// The program that writes dashboards with their answers, which `all` builds.
pub(crate) fn pages() -> PathBuf {
    target_dir().join("debug/pages")
}

/// This program as `all` leaves it: the file that runs may be gone then.
pub(crate) fn xtask() -> PathBuf {
    target_dir().join("debug/xtask")
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Kernel object, daemon, endpoint.
pub(crate) fn all() -> Result<()> {
    kernel_object()?;
    members()
}

/// What the daemon of benchmarks has that the one of tests has not: as a release, but with the same dependencies, so that those
/// are built once.
pub(crate) const AS_RELEASE: [&str; 4] = [
    "--config",
    "profile.dev.package.observer.opt-level=3",
    "--config",
    "profile.dev.package.observer.debug-assertions=false",
];

/// As [`all`], optimised; the programs are in the same places.
pub(crate) fn optimised() -> Result<()> {
    kernel_object()?;
    step(AREA, "daemon and benchmarks, optimised", || {
        check(
            cargo()
                .args(AS_RELEASE)
                .arg("build")
                .env("OBSERVER_EBPF_OBJECT", object_file()),
        )
    })
}

/// Daemon, endpoint and the programs beside them; with the kernel object where it has been built.
pub(crate) fn members() -> Result<()> {
    // All default members at once, as `cargo test` takes them: so dependencies have the same features and are built once.
    step(AREA, "daemon and test endpoint", || {
        check(cargo().arg("build").env("OBSERVER_EBPF_OBJECT", object_file()))
    })
}

/// Builds the kernel programs and returns the object's path. The file changes only when its content does, so that the
/// daemon is not built again for nothing.
pub(crate) fn kernel_object() -> Result<PathBuf> {
    let toolchain = toolchain().context(
        "no toolchain for the kernel programs: neither Debian's (rustc-web, libstd-rust-web-dev-bpf) nor a rustup \
         nightly with rust-src. Run `cargo xtask setup`",
    )?;
    let linker = bpf_linker().context("bpf-linker is missing. Run `cargo xtask setup`")?;
    let target_dir = work_dir().join("ebpf-target");
    step(
        AREA,
        &format!("kernel programs ({toolchain:?} toolchain)"),
        || {
            check(
                kernel_build(toolchain, &linker)
                    .arg("--target-dir")
                    .arg(&target_dir),
            )
        },
    )?;
    let built = target_dir.join(BPF_TARGET).join("release/observer-ebpf");
    let bytes = std::fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let object = object_file();
    if std::fs::read(&object).is_ok_and(|old| old == bytes) {
        return Ok(object);
    }
    std::fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    say(AREA, &format!("{}: {} bytes, new", object.display(), bytes.len()));
    Ok(object)
}

fn kernel_build(toolchain: Toolchain, linker: &Path) -> Command {
    let mut command = match toolchain {
        Toolchain::Debian => {
            let mut command = cargo();
            command
                .arg("build")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            command
        }
        Toolchain::Nightly => {
            let mut command = Command::new("rustup");
            command
                .current_dir(root())
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("RUSTC");
            command.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
            command
        }
    };
    command.args(["--release", "--package", "observer-ebpf", "--target", BPF_TARGET]);
    let architecture = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    // debuginfo is what bpf-linker makes BTF of. The separator is cargo's own.
    let flags = [architecture.as_str(), "-Cdebuginfo=2", "-Clink-arg=--btf"].join("\u{1f}");
    command
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    command
}
