//! Programs that the demo starts, and the folder they use. However the demo ends (in order, by an error, by Ctrl-C,
//! killed), the programs are stopped by their pids and the folder goes: a small shell waits for the end of our side of
//! a pipe and cleans up what we could not.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http;

/// Reads pids, one a line, until the pipe closes. `done` says that all of them have ended and been waited for.
const JANITOR: &str = r#"
trap '' INT TERM HUP
pids=
while read -r line; do
    case "$line" in
        done) pids= ;;
        *) pids="$pids $line" ;;
    esac
done
for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
for pid in $pids; do
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "$pid" 2>/dev/null
done
rm -rf "$1"
"#;

/// How long a program may take to end after it was asked to.
const STOP_TIME: Duration = Duration::from_secs(15);

/// A folder and the programs that run in it.
pub(crate) struct Stage {
    dir: PathBuf,
    janitor: Child,
    pipe: Option<ChildStdin>,
    programs: Vec<(String, Child)>,
}

impl Stage {
    /// A new, empty folder that only we can read.
    pub(crate) fn new() -> Result<Self> {
        let template = std::env::temp_dir().join("observer-demo-XXXXXX");
        let dir = crate::run::output(Command::new("mktemp").arg("-d").arg(template))
            .map(PathBuf::from)
            .context("cannot make a temporary folder")?;
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        let pipe = janitor.stdin.take();
        Ok(Self {
            dir,
            janitor,
            pipe,
            programs: Vec::new(),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// File that a program's output goes to.
    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Starts a program whose output goes to its log file.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = File::create(self.log_file(name)).context("cannot make a log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        if let Some(pipe) = &mut self.pipe {
            writeln!(pipe, "{}", child.id()).context("the janitor is gone")?;
        }
        self.programs.push((name.to_owned(), child));
        Ok(())
    }

    /// Tries until there is a result, the named program ends, or the time is over.
    pub(crate) fn wait_for<T>(
        &mut self,
        name: &str,
        limit: Duration,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(value) = attempt() {
                return Ok(value);
            }
            if let Some(status) = self.ended(name) {
                bail!("{name} ended with {status}. Its last lines:\n{}", self.tail(name));
            }
            if start.elapsed() > limit {
                bail!(
                    "{name} was not ready after {} s. Its last lines:\n{}",
                    limit.as_secs(),
                    self.tail(name)
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Blocks until the named program ends.
    pub(crate) fn wait_until_end(&mut self, name: &str) -> Result<()> {
        if let Some((_, child)) = self.programs.iter_mut().find(|(known, _)| known == name) {
            child.wait()?;
        }
        Ok(())
    }

    /// Last lines of a program's log.
    pub(crate) fn tail(&self, name: &str) -> String {
        let text = std::fs::read(self.log_file(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn ended(&mut self, name: &str) -> Option<std::process::ExitStatus> {
        let (_, child) = self.programs.iter_mut().find(|(known, _)| known == name)?;
        child.try_wait().ok().flatten()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The last one started depends on the others, so it ends first.
        for (_, child) in self.programs.iter_mut().rev() {
            stop(child);
        }
        if let Some(mut pipe) = self.pipe.take() {
            let _ = writeln!(pipe, "done");
        }
        let _ = self.janitor.wait();
    }
}

/// Asks a program to end, waits, and ends it by force when it does not.
fn stop(child: &mut Child) {
    if child.try_wait().ok().flatten().is_some() {
        return;
    }
    let _ = Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .status();
    let start = Instant::now();
    while start.elapsed() < STOP_TIME {
        if child.try_wait().ok().flatten().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Different free ports on loopback. They are free now; nothing keeps others from taking them before we do.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let listeners: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()
        .context("no free port on loopback")?;
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

/// Whether the daemon whose metrics are here says that it is ready.
pub(crate) fn is_ready(metrics: SocketAddr) -> bool {
    http::get(metrics, "/healthz").is_ok_and(|(status, _)| status == 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_a_sleeper() -> (Stage, PathBuf) {
        let mut stage = Stage::new().expect("a stage");
        stage
            .start("sleeper", Command::new("sleep").arg("600"))
            .expect("sleep");
        let dir = stage.dir().to_path_buf();
        assert!(dir.join("sleeper.log").exists());
        (stage, dir)
    }

    #[test]
    fn an_orderly_end_stops_programs_and_removes_the_folder() {
        let (stage, dir) = with_a_sleeper();
        let pid = stage.programs[0].1.id();
        drop(stage);
        assert!(!dir.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_sudden_end_of_xtask_stops_programs_and_removes_the_folder() {
        let (mut stage, dir) = with_a_sleeper();
        // What the kernel does when xtask dies: our side of the pipe closes without a word.
        stage.pipe = None;
        let start = Instant::now();
        while stage.ended("sleeper").is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the program was not stopped"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(stage.janitor.wait().expect("janitor").success());
        assert!(!dir.exists());
    }

    #[test]
    fn a_program_that_ends_early_is_told_with_its_last_lines() {
        let mut stage = Stage::new().expect("a stage");
        stage
            .start("short", Command::new("sh").args(["-c", "echo no luck; exit 3"]))
            .expect("sh");
        let error = stage
            .wait_for("short", Duration::from_secs(10), || None::<()>)
            .expect_err("it ended");
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("no luck"),
            "{text}"
        );
    }
}
