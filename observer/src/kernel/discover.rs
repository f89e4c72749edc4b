//! Finds files with TLS libraries: at start, when a process starts or loads a library, and by a sweep.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    fs::File,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    attach::Inventory,
    load::Programs,
    procfs::{executable_files, likely_files, open_mapped, processes},
};

/// When a process that did something is looked at. The libraries of a new image are mapped a few milliseconds after
/// the exec, plug-ins of an interpreter much later; loading a library is reported before it is mapped.
const LOOKS: &[Duration] = &[
    Duration::ZERO,
    Duration::from_millis(2),
    Duration::from_millis(8),
    Duration::from_millis(40),
    Duration::from_millis(400),
];

/// How often all processes are looked at.
const SWEEP: Duration = Duration::from_secs(15);

/// Requests that may wait; more are dropped, which the sweep makes good.
const QUEUE: usize = 4096;

/// Looks that may be due at the same time.
const MAX_DUE: usize = 16_384;

/// Asks the discovery to look at processes. Cheap to clone.
#[derive(Clone)]
pub struct Discovery {
    requests: SyncSender<u32>,
    inventory: Arc<Mutex<Inventory>>,
}

impl Discovery {
    /// Looks at the likely files and at all running processes, then goes on in a thread of its own. The programs are
    /// detached when the last clone is dropped and the thread has ended.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(programs: Programs) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (requests, receiver) = sync_channel(QUEUE);
        let inventory = Arc::new(Mutex::new(Inventory::default()));
        let mut worker = Worker {
            programs,
            inventory: Arc::clone(&inventory),
            due: BinaryHeap::new(),
        };
        worker.look_at_likely_files();
        worker.sweep();
        let thread = std::thread::Builder::new()
            .name("discovery".into())
            .spawn(move || worker.run(&receiver))?;
        Ok((Self { requests, inventory }, thread))
    }

    /// Asks for a look at process `pid`; `false` when too many requests wait.
    pub fn look_at(&self, pid: u32) -> bool {
        !matches!(self.requests.try_send(pid), Err(TrySendError::Full(_)))
    }

    /// Runs `read` on what was found so far.
    pub fn with_inventory<T>(&self, read: impl FnOnce(&Inventory) -> T) -> T {
        read(&self.inventory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell plans its own looks; no evidence depends on them"
)]
fn now() -> Instant {
    Instant::now()
}

struct Worker {
    programs: Programs,
    inventory: Arc<Mutex<Inventory>>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
}

impl Worker {
    fn run(&mut self, requests: &Receiver<u32>) {
        let mut next_sweep = now() + SWEEP;
        loop {
            let next = self
                .due
                .peek()
                .map_or(next_sweep, |Reverse((at, _))| (*at).min(next_sweep));
            match requests.recv_timeout(next.saturating_duration_since(now())) {
                Ok(pid) => {
                    // Several requests for one process in a row are one.
                    let pids: HashSet<u32> = requests.try_iter().chain([pid]).collect();
                    pids.into_iter().for_each(|pid| self.schedule(pid));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let at = now();
            self.programs.flush_log();
            self.look_at_due(at);
            if at >= next_sweep {
                self.sweep();
                next_sweep = now() + SWEEP;
            }
        }
    }

    fn schedule(&mut self, pid: u32) {
        let at = now();
        for after in LOOKS {
            if self.due.len() < MAX_DUE {
                self.due.push(Reverse((at + *after, pid)));
            }
        }
    }

    fn look_at_due(&mut self, now: Instant) {
        let mut looked = HashSet::new();
        while let Some(Reverse((at, pid))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            if looked.insert(pid) {
                self.look_at_process(pid);
            }
        }
    }

    fn look_at_process(&mut self, pid: u32) {
        for mapped in executable_files(pid) {
            if let Ok(file) = open_mapped(pid, &mapped) {
                self.examine(&file, &mapped.path);
            }
        }
    }

    fn look_at_likely_files(&mut self) {
        for path in likely_files() {
            if let Ok(file) = File::open(&path) {
                self.examine(&file, &path.to_string_lossy());
            }
        }
    }

    fn sweep(&mut self) {
        let own = std::process::id();
        processes()
            .into_iter()
            .filter(|pid| *pid != own)
            .for_each(|pid| self.look_at_process(pid));
    }

    fn examine(&mut self, file: &File, path: &str) {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = inventory.examine(&mut self.programs, file, path) {
            match found.failure() {
                None => tracing::info!(path = found.path, "attached to TLS library"),
                Some(reason) => tracing::warn!(path = found.path, reason, "cannot attach to TLS library"),
            }
        }
    }
}
