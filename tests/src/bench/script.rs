//! A script or program that answers each line with a line of JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::harness;

/// The script's process. Dropping it ends it.
pub(super) struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// One of the scripts in `tests/bench`.
pub(super) fn path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(script)
}

impl Script {
    /// Starts a script and waits for its `ready`.
    pub(super) fn start(script: &str, set_up: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(harness::python());
        command.arg(path(script));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        set_up(&mut command);
        Self::run(script, command)
    }

    /// Starts a program and waits for its `ready`.
    pub(super) fn run(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut running = Self { child, stdin, stdout };
        let first = running.line()?;
        if first != "ready" {
            bail!("{name} said {first:?} instead of being ready");
        }
        Ok(running)
    }

    /// Sends a line and reads the answer.
    pub(super) fn ask(&mut self, line: &str) -> Result<Value> {
        let stdin = self.stdin.as_mut().context("no standard input")?;
        writeln!(stdin, "{line}").context("the script does not read")?;
        let answer = self.line()?;
        serde_json::from_str(&answer).context("the script's answer is not JSON")
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the script ended; its reason is on standard error");
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // At the end of its input the script ends by itself.
        self.stdin = None;
        let _ = self.child.wait();
    }
}
