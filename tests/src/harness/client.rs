//! Real clients: curl, Python and Node, told to reach the local endpoint by their own options or environment.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::process::signal_pid;

/// How long a client may take.
const TIME: Duration = Duration::from_secs(120);

/// A client to be started.
pub struct Client {
    command: Command,
}

/// A client that runs. Dropping it ends it.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// What a client left.
#[derive(Debug)]
pub struct Finished {
    /// Its pid.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// Lines of standard output that are JSON objects: what the client itself knows of its calls.
    pub reports: Vec<Value>,
    /// All lines of standard output.
    pub lines: Vec<String>,
    /// Standard error.
    pub errors: String,
}

impl Client {
    pub(super) fn new(program: impl AsRef<OsStr>, port: u16, ca_file: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .env("OBSERVER_TEST_PORT", port.to_string())
            .env("SSL_CERT_FILE", ca_file)
            .env("REQUESTS_CA_BUNDLE", ca_file)
            .env("NODE_EXTRA_CA_CERTS", ca_file)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1");
        Self { command }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Running> {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.command.get_program().display()))?;
        let stdin = child.stdin.take();
        let lines = read_lines(child.stdout.take().context("no standard output")?);
        let mut errors = child.stderr.take().context("no standard error")?;
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What could be read is kept; a broken pipe ends it.
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Running {
            child,
            stdin,
            lines,
            errors: Some(errors),
        })
    }

    /// Runs it to its end; an error when it fails.
    pub fn run(self) -> Result<Finished> {
        let finished = self.start()?.finish()?;
        if !finished.status.success() {
            bail!("a client ended with {}: {}", finished.status, finished.errors);
        }
        Ok(finished)
    }
}

fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(std::io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for this line, for example `ready`.
    pub fn wait_for_line(&mut self, wanted: &str) -> Result<()> {
        loop {
            match self.lines.recv_timeout(TIME) {
                Ok(line) if line == wanted => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("a client did not say {wanted} in time"),
                Err(RecvTimeoutError::Disconnected) => {
                    let errors = self.errors.take().map(|thread| thread.join().unwrap_or_default());
                    bail!(
                        "a client ended before it said {wanted}: {}",
                        errors.unwrap_or_default()
                    );
                }
            }
        }
    }

    /// The next line of its standard output.
    pub fn next_line(&mut self) -> Result<String> {
        self.lines
            .recv_timeout(TIME)
            .context("a client said nothing in time")
    }

    /// Sends a line, which clients started with `--wait` wait for.
    pub fn go(&mut self) -> Result<()> {
        self.stdin
            .as_mut()
            .context("standard input is closed")?
            .write_all(b"go\n")
            .context("cannot write to a client")
    }

    /// Sends this line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let input = self.stdin.as_mut().context("standard input is closed")?;
        writeln!(input, "{line}").context("cannot write to a client")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_pid(self.child.id(), signal)
    }

    /// Whether it runs. The end of one that was not waited for shows in its state (proc(5)).
    pub fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| state != 'Z')
    }

    /// Closes its input and waits for its end.
    pub fn finish(mut self) -> Result<Finished> {
        self.stdin = None;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > TIME {
                bail!("a client did not end in {} s", TIME.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let lines: Vec<String> = self.lines.iter().collect();
        let reports = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(Value::is_object)
            .collect();
        let errors = self
            .errors
            .take()
            .map(|thread| thread.join().unwrap_or_default())
            .unwrap_or_default();
        Ok(Finished {
            pid: self.child.id(),
            status,
            reports,
            lines,
            errors,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
