//! Running other programs, with progress on standard error. Standard output stays free for results.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Root of the repository: the folder above `xtask/`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"))
        .to_path_buf()
}

/// Everything that xtask makes and Git ignores, apart from `target/`.
pub(crate) fn work_dir() -> PathBuf {
    root().join(".observer")
}

/// The cargo that runs us, else the one in the path.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    if in_ci() {
        // Every build there is the first one: keeping what a second could reuse costs a third of its time.
        command.env("CARGO_INCREMENTAL", "0");
    }
    // Set by the cargo that started xtask, for xtask's own package; a child's build must not see them.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// One progress line.
pub(crate) fn say(area: &str, text: &str) {
    eprintln!("[{area}] {text}");
}

/// Does `work` between a line that says what begins and one that says how long it took.
pub(crate) fn step<T>(area: &str, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(area, &format!("{what} ..."));
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    say(
        area,
        &format!("{what}: {outcome} in {:.1} s", start.elapsed().as_secs_f64()),
    );
    result
}

/// Runs a command to its end with its output on our standard error; its failure is ours.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; `None` when it could not be started or failed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program of this name is in the path.
pub(crate) fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| {
            let file = dir.join(program);
            file.is_file() || file.is_symlink() && file.exists()
        })
    })
}

/// Whether we may install packages, attach probes and so on without asking.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).as_deref() == Some("0")
}

/// Whether this is a CI machine, on which everything that tests need has to be there.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
