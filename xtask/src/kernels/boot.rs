//! A guest under QEMU, in software (TCG): nothing of the host's kernel is needed, and nothing of the host is changed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::packages::Kernel;

/// How long a guest may take from power on to power off.
const LIFE: Duration = Duration::from_secs(600);

/// What a guest said on its serial line.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) lines: Vec<String>,
    /// When each line came, since power on.
    pub(super) times: Vec<Duration>,
    /// From power on to its first program.
    pub(super) boot: Option<Duration>,
    /// From power on to its end, or to the moment when it was ended.
    pub(super) life: Duration,
    /// Whether it ended by itself.
    pub(super) ended: bool,
}

/// Boots a kernel into an archive and listens until it is off.
pub(super) fn run(kernel: &Kernel, archive: &Path) -> Result<Said> {
    let start = Instant::now();
    let mut machine = Machine(command(kernel, archive).spawn().context("cannot start setpriv")?);
    let serial = machine.0.stdout.take().context("no serial line")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(serial).split(b'\n').map_while(std::io::Result::ok) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    Ok(listen(&lines, start))
}

fn listen(lines: &Receiver<String>, start: Instant) -> Said {
    let mut said = Said::default();
    loop {
        match lines.recv_timeout(LIFE.saturating_sub(start.elapsed())) {
            Ok(line) => {
                if line.ends_with("@@ up") {
                    said.boot = Some(start.elapsed());
                }
                said.times.push(start.elapsed());
                said.lines.push(line);
            }
            Err(reason) => {
                said.ended = reason == RecvTimeoutError::Disconnected;
                said.life = start.elapsed();
                return said;
            }
        }
    }
}

/// Dropping it is pulling the plug.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(kernel: &Kernel, archive: &Path) -> Command {
    // It ends with us, however we end.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args([
            "-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024",
        ])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(archive)
        .args([
            "-append",
            "console=ttyS0 panic=-1 quiet loglevel=1 nokaslr mitigations=off",
        ])
        .args([
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ])
        .args([
            "-netdev",
            "user,id=net",
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}
