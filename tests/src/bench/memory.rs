//! Resident memory of a process (proc(5)).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::harness::usage;

const PAUSE: Duration = Duration::from_millis(25);

/// Resident memory, KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Resident {
    /// All of it (`VmRSS`).
    pub(super) all: u64,
    /// Memory of its own (`RssAnon`).
    pub(super) anon: u64,
    /// Pages of files, its program among them (`RssFile`).
    pub(super) file: u64,
    /// Shared memory (`RssShmem`).
    pub(super) shared: u64,
}

impl Resident {
    /// Reads it.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("status of the daemon")?;
        Self::parse(&status).context("no VmRSS in the status of the daemon")
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| usage::field(status, name);
        Some(Self {
            all: field("VmRSS")?,
            anon: field("RssAnon")?,
            file: field("RssFile")?,
            shared: field("RssShmem")?,
        })
    }

    /// MiB of all of it.
    pub(super) fn mib(&self) -> f64 {
        super::number(self.all) / 1024.0
    }

    /// Its parts, for people.
    pub(super) fn parts(&self) -> String {
        let mib = |kib: u64| super::number(kib) / 1024.0;
        let (anon, file, shared) = (mib(self.anon), mib(self.file), mib(self.shared));
        format!("anonymous {anon:.1}, files {file:.1}, shared {shared:.1} MiB")
    }
}

/// Watches the memory of a process until it is asked for the greatest.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Resident>,
}

impl Watch {
    /// Starts.
    pub(super) fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut greatest = Resident::default();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(now) = Resident::of(pid)
                    && now.all > greatest.all
                {
                    greatest = now;
                }
                std::thread::sleep(PAUSE);
            }
            greatest
        });
        Self { stop, thread }
    }

    /// The greatest seen.
    pub(super) fn finish(self) -> Result<Resident> {
        self.stop.store(true, Ordering::Relaxed);
        let greatest = self
            .thread
            .join()
            .map_err(|_| anyhow::anyhow!("the watch ended by a panic"))?;
        anyhow::ensure!(greatest.all > 0, "the memory of the daemon could not be read");
        Ok(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_status_are_read() {
        let status = "Name:\tx\nVmRSS:\t  100 kB\nRssAnon:\t 60 kB\nRssFile:\t 30 kB\nRssShmem:\t 10 kB\n";
        let resident = Resident {
            all: 100,
            anon: 60,
            file: 30,
            shared: 10,
        };
        assert_eq!(Resident::parse(status), Some(resident));
        assert_eq!(Resident::parse("VmRSS: 1 kB"), None);
    }
}
