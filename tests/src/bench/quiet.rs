//! Measuring while no other daemon observes this host: its probes would sit on the same functions.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

const PAUSE: Duration = Duration::from_millis(20);

/// Time that one benchmark may spend on waiting for others to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A measurement and whether it was made alone.
pub(super) struct Measured<T> {
    pub(super) value: T,
    pub(super) alone: bool,
}

/// Measures while no daemon but `own` observes this host; again when one comes in between. After `until` it takes what
/// it gets, and says so.
pub(super) fn alone<T>(
    own: Option<u32>,
    until: Instant,
    mut work: impl FnMut() -> Result<T>,
) -> Result<Measured<T>> {
    loop {
        while others(own) > 0 && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        let over = AtomicBool::new(false);
        let (value, alone) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut alone = others(own) == 0;
                while alone && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(PAUSE);
                    alone = others(own) == 0;
                }
                alone
            });
            let value = work();
            over.store(true, Ordering::Relaxed);
            (value, watch.join().unwrap_or(false))
        });
        let value = value?;
        if alone || Instant::now() >= until {
            return Ok(Measured { value, alone });
        }
    }
}

/// Other daemons that observe this host now.
fn others(own: Option<u32>) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| Some(*pid) != own && is_daemon(*pid)).count()
}

fn is_daemon(pid: u32) -> bool {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    comm.trim() == "observer"
        && fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|arguments| arguments.split(|b| *b == 0).nth(1) == Some(b"run"))
}
