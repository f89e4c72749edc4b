//! Runs the daemon, its store and real clients for one test, and reads back what was stored.
//!
//! A live test begins with [`live`], which answers `None` (and prints why) where the kernel cannot be observed. Tests
//! that got a guard run one after the other: each of them looks at the whole host.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

mod books;
mod chain;
mod client;
mod container;
mod expect;
mod host;
mod known;
mod metrics;
mod process;
mod proxy;
mod record;
mod store;
mod template;
pub mod usage;

pub use books::Book;
pub use chain::{ChainReport, check_chain};
pub use client::{Client, Finished, Running};
pub use container::{Container, Containers};
pub use expect::{Expected, check};
pub use host::{Host, Options, UNDECIDED_PREFIX};
pub use metrics::Metrics;
pub use process::{Process, until, until_within};
pub use proxy::{Fault, FaultProxy};
pub use record::Record;
pub use store::{DATABASE, Store, document, free_address};

/// What the daemon's log says of a file when its probes are in place.
pub const ATTACHED: &str = "attached to TLS library";

/// Environment variable that lets live tests run. `cargo xtask test` sets it; plain `cargo test` skips them.
pub const LIVE: &str = "OBSERVER_LIVE";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Right to observe the host, for one test at a time.
pub struct Live {
    _guard: MutexGuard<'static, ()>,
}

/// Asks for the right to observe the host. `None` when this run or this machine cannot, with the reason printed as
/// `SKIP: reason`, which `cargo xtask test` counts.
pub fn live() -> Option<Live> {
    match obstacle() {
        None => Some(Live {
            _guard: ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner),
        }),
        Some(reason) => {
            skip(&reason);
            None
        }
    }
}

/// Says that a test does not run, and why.
#[expect(
    clippy::print_stdout,
    reason = "xtask reads this line from the test's standard output"
)]
pub fn skip(reason: &str) {
    println!("SKIP: {reason}");
}

fn obstacle() -> Option<String> {
    if std::env::var_os(LIVE).is_none() {
        return Some("live-kernel tests run with `cargo xtask test`".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("live-kernel tests need root".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("this kernel has no BTF (/sys/kernel/btf/vmlinux)".to_owned());
    }
    let daemon = daemon();
    if !daemon.exists() {
        return Some(format!("{} is not built", daemon.display()));
    }
    if !library().exists() {
        return Some(format!(
            "the engine library {} is missing: cargo xtask setup",
            library().display()
        ));
    }
    None
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"))
        .to_path_buf()
}

fn from_environment(name: &str, otherwise: &str) -> PathBuf {
    std::env::var_os(name).map_or_else(|| root().join(otherwise), PathBuf::from)
}

/// The daemon under test.
pub fn daemon() -> PathBuf {
    from_environment("OBSERVER_BIN", "target/debug/observer")
}

/// The ClickHouse engine library.
pub fn library() -> PathBuf {
    from_environment("OBSERVER_CHDB", ".observer/lib/libchdb.so")
}

/// Python with the clients' packages.
pub fn python() -> PathBuf {
    from_environment("OBSERVER_PYTHON", ".observer/venv/bin/python")
}

/// Packages of clients in Node.
pub fn node_modules() -> PathBuf {
    from_environment("OBSERVER_NODE_MODULES", ".observer/node/node_modules")
}

/// The file that processes of a program run, as the kernel names it. `python` is the clients' own.
pub fn executable(program: &str) -> Result<String> {
    let file = if program == "python" {
        python()
    } else {
        find_program(program).with_context(|| format!("{program} is not in the path"))?
    };
    let file = std::fs::canonicalize(&file).with_context(|| format!("{} is missing", file.display()))?;
    Ok(file.to_string_lossy().into_owned())
}

/// A program in this process's search path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The libssl that curl maps: its name for the loader, and its file.
pub fn curl_libssl() -> Result<(String, PathBuf)> {
    let output = std::process::Command::new("ldd")
        .arg(executable("curl")?)
        .output()
        .context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("libssl.so"))
        .context("curl does not use libssl")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [soname, _, path, ..] = words.as_slice() else {
        anyhow::bail!("ldd said {line}")
    };
    Ok((
        (*soname).to_owned(),
        std::fs::canonicalize(path).context("libssl is missing")?,
    ))
}

/// Builds a Go program of one file, where there is a Go.
pub fn build_go(source: &Path, target: &Path) -> Result<Option<PathBuf>> {
    let mut places = ["/usr/local/go/bin/go", "/usr/bin/go"].into_iter();
    let Some(go) = places.find(|go| Path::new(go).exists()) else {
        return Ok(None);
    };
    let output = std::process::Command::new(go)
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOTOOLCHAIN", "local")
        .env("GO111MODULE", "off")
        .env("GOCACHE", work_dir().join("gocache"))
        .args(["build", "-o"])
        .args([target, source])
        .output()
        .context("cannot start go")?;
    anyhow::ensure!(
        output.status.success(),
        "go build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Some(target.to_path_buf()))
}

/// The local AI endpoint as a program.
pub fn endpoint() -> PathBuf {
    from_environment("OBSERVER_ENDPOINT", "target/debug/ai-endpoint")
}

/// Everything that is made here and Git ignores, apart from `target/`.
pub fn work_dir() -> PathBuf {
    root().join(".observer")
}

/// Folder of the clients' scripts.
pub fn clients() -> PathBuf {
    root().join("tests/clients")
}
