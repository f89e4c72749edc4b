//! The helper process, as the daemon sees it.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Time to load the library.
const START_TIME: Duration = Duration::from_secs(10);

/// Longest line that the helper may say.
const MAX_LINE: usize = 1024;

/// A running `observer canary`. Dropping it ends it.
pub(super) struct Helper {
    child: Child,
    orders: Option<ChildStdin>,
    says: ChildStdout,
}

impl Helper {
    /// Starts it and waits until it has loaded libssl.
    pub(super) fn start(library: Option<&Path>) -> anyhow::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("observer-selftest").arg("canary");
        if let Some(library) = library {
            command.arg("--library").arg(library);
        }
        // What the environment sets for OpenSSL or the loader is the daemon's business.
        let mut child = command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the self-test's helper")?;
        let (orders, says) = (child.stdin.take(), child.stdout.take());
        let mut helper = Self {
            orders,
            says: says.context("no pipe")?,
            child,
        };
        match helper.line(START_TIME)?.split_once(' ') {
            Some(("ready", path)) => {
                tracing::info!(path, pid = helper.pid(), "self-test ready");
                Ok(helper)
            }
            Some(("none", why)) => bail!("{why}"),
            _ => bail!("the self-test's helper did not say that it is ready"),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to make a call.
    pub(super) fn order(&mut self, port: u16, nonce: &str) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("no pipe")?;
        writeln!(orders, "{port} {nonce}").context("the self-test's helper has ended")
    }

    /// What came of the call.
    pub(super) fn answer(&mut self, time: Duration) -> anyhow::Result<()> {
        match self.line(time)?.as_str() {
            "ok" => Ok(()),
            other => bail!("the self-test's helper: {other}"),
        }
    }

    fn line(&mut self, time: Duration) -> anyhow::Result<String> {
        let time = Timespec::try_from(time).ok();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut fds = [PollFd::new(&self.says, PollFlags::IN)];
            if poll(&mut fds, time.as_ref())? == 0 {
                bail!("the self-test's helper does not answer");
            }
            let mut some = [0; 256];
            let count = self.says.read(&mut some)?;
            if count == 0 || line.len() > MAX_LINE {
                bail!("the self-test's helper has ended");
            }
            line.extend_from_slice(&some[..count]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
