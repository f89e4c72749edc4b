//! Finds files with TLS libraries: at start, when a process starts or loads a library, and by a sweep.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashSet},
    fs::File,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    attach::{Inventory, attach},
    clock::boot_ns,
    file_id::FileId,
    known::KnownFiles,
    links::Links,
    load::Programs,
    procfs::{likely_files, mappings, open_mapped, processes},
};
use crate::stacks::{self, ExamineError, Report};

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

/// Files from this size on are examined in a thread of their own: it can take a second, and small ones shall not wait.
const LARGE_FILE: u64 = 32 << 20;

/// Large files that may wait to be examined.
const EXAMINE_QUEUE: usize = 256;

/// What the thread is asked for.
enum Request {
    /// A look at this process.
    Look(u32),
    /// A large file was examined.
    Examined(Examined),
    /// To end.
    Stop,
}

/// A file on its way through examination.
struct Examined {
    id: FileId,
    file: File,
    path: String,
    report: Result<Report, ExamineError>,
}

/// A large file that is to be examined.
struct Large {
    id: FileId,
    file: File,
    path: String,
}

/// Asks the discovery to look at processes. Cheap to clone.
#[derive(Clone)]
pub struct Discovery {
    requests: Arc<Requests>,
    inventory: Arc<Mutex<Inventory>>,
}

/// The way to the thread, which the examiner has too: so the end has to be said.
struct Requests(SyncSender<Request>);

impl Drop for Requests {
    fn drop(&mut self) {
        // A thread that is gone needs no telling.
        let _ = self.0.send(Request::Stop);
    }
}

impl Discovery {
    /// Looks at the likely files and at all running processes, then goes on in a thread of its own. What `known` has is not
    /// examined again. The programs are detached when the last clone is dropped and the thread has ended.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(programs: Programs, known: KnownFiles) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (requests, receiver) = sync_channel(QUEUE);
        let inventory = Arc::new(Mutex::new(Inventory::default()));
        let mut worker = Worker {
            links: Links::default(),
            programs,
            inventory: Arc::clone(&inventory),
            due: BinaryHeap::new(),
            known,
            large: None,
        };
        worker.look_at_likely_files();
        worker.links.expect_all();
        worker.sweep();
        worker.large = Some(start_examiner(requests.clone())?);
        let thread = std::thread::Builder::new()
            .name("discovery".into())
            .spawn(move || worker.run(&receiver))?;
        let requests = Arc::new(Requests(requests));
        Ok((Self { requests, inventory }, thread))
    }

    /// Asks for a look at process `pid`; `false` when too many requests wait.
    pub fn look_at(&self, pid: u32) -> bool {
        !matches!(
            self.requests.0.try_send(Request::Look(pid)),
            Err(TrySendError::Full(_))
        )
    }

    /// Asks for a look at process `pid`, which has a new image; `false` when too many requests wait.
    pub fn look_at_new(&self, pid: u32) -> bool {
        lock(&self.inventory).replaced(pid);
        self.look_at(pid)
    }

    /// Runs `read` on what was found so far.
    pub fn with_inventory<T>(&self, read: impl FnOnce(&Inventory) -> T) -> T {
        read(&lock(&self.inventory))
    }
}

fn lock(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Examines large files one after the other. Ends when nobody can ask any more.
fn start_examiner(results: SyncSender<Request>) -> std::io::Result<SyncSender<Large>> {
    let (sender, receiver) = sync_channel::<Large>(EXAMINE_QUEUE);
    std::thread::Builder::new()
        .name("examiner".into())
        .spawn(move || {
            for Large { id, file, path } in receiver {
                let report = stacks::examine(&file);
                let examined = Examined {
                    id,
                    file,
                    path,
                    report,
                };
                if results.send(Request::Examined(examined)).is_err() {
                    return;
                }
            }
        })?;
    Ok(sender)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell plans its own looks; no evidence depends on them"
)]
fn now() -> Instant {
    Instant::now()
}

struct Worker {
    links: Links,
    programs: Programs,
    inventory: Arc<Mutex<Inventory>>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    known: KnownFiles,
    /// Where large files go; `None` before the thread runs, when all are examined at once.
    large: Option<SyncSender<Large>>,
}

impl Worker {
    fn run(&mut self, requests: &Receiver<Request>) {
        let mut next_sweep = now() + SWEEP;
        loop {
            let next = self
                .due
                .peek()
                .map_or(next_sweep, |Reverse((at, _))| (*at).min(next_sweep));
            match requests.recv_timeout(next.saturating_duration_since(now())) {
                Ok(request) => {
                    if self.take([request].into_iter().chain(requests.try_iter())) {
                        return;
                    }
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

    /// Takes requests; gives whether one was to end.
    fn take(&mut self, requests: impl Iterator<Item = Request>) -> bool {
        // Several requests for one process in a row are one.
        let (mut pids, mut stop) = (HashSet::new(), false);
        for request in requests {
            match request {
                Request::Look(pid) => {
                    pids.insert(pid);
                }
                Request::Examined(examined) => self.examined(&examined),
                Request::Stop => stop = true,
            }
        }
        pids.into_iter().for_each(|pid| self.schedule(pid));
        stop
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
        let mut files = Vec::new();
        let at_ns = boot_ns();
        let found = mappings(pid);
        for mapped in found.executable {
            match open_mapped(pid, &mapped) {
                Ok(file) => files.extend(self.examine(file, &mapped.path)),
                Err(_) => self.links.used_inode(mapped.inode, at_ns),
            }
        }
        files.iter().for_each(|id| self.links.used(*id, at_ns));
        let mut inventory = self.inventory();
        inventory.shows(pid, found.signs);
        if !files.is_empty() {
            inventory.mapped(pid, &files, at_ns);
        }
    }

    fn look_at_likely_files(&mut self) {
        for path in likely_files() {
            if let Ok(file) = File::open(&path) {
                self.examine(file, &path.to_string_lossy());
            }
        }
    }

    fn sweep(&mut self) {
        let own = std::process::id();
        let alive: BTreeSet<u32> = processes().into_iter().filter(|pid| *pid != own).collect();
        for pid in &alive {
            self.look_at_process(*pid);
        }
        self.inventory().keep(&alive);
        self.release();
        self.known.save();
    }

    /// Detaches from files that no process maps any more.
    fn release(&mut self) {
        let released = self.links.release(boot_ns());
        let mut inventory = self.inventory();
        for id in released {
            if let Some(path) = inventory.path_of(id) {
                tracing::info!(path, "no process has this TLS library any more: detached");
            }
            inventory.forget(id);
        }
    }

    fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// Examines a file that is new, now or, when it is large, soon. Gives its identity when it is a regular file.
    fn examine(&mut self, file: File, path: &str) -> Option<FileId> {
        let (id, size) = FileId::of(&file)?;
        if !self.inventory().is_new(id) {
            return Some(id);
        }
        let path = path.to_owned();
        if let Some(report) = self.known.report(&file) {
            self.attach(id, &file, &path, &report, true);
            return Some(id);
        }
        if size >= LARGE_FILE
            && let Some(large) = &self.large
        {
            // A full queue is made good by the next sweep.
            if large.try_send(Large { id, file, path }).is_err() {
                self.inventory().forget(id);
            }
            return Some(id);
        }
        let report = stacks::examine(&file);
        self.examined(&Examined {
            id,
            file,
            path,
            report,
        });
        Some(id)
    }

    /// Takes what was found in a file.
    fn examined(&mut self, examined: &Examined) {
        let Examined {
            id,
            file,
            path,
            report,
        } = examined;
        if let Ok(report) = report {
            self.known.remember(file, report);
            self.attach(*id, file, path, report, false);
        } else {
            self.inventory().examined(*id);
        }
    }

    /// Attaches to what is in a file, which was `known` before or is examined just now.
    fn attach(&mut self, id: FileId, file: &File, path: &str, report: &Report, known: bool) {
        self.inventory().examined(id);
        let Some((found, links)) = attach(&mut self.programs, file, path, report, boot_ns) else {
            return;
        };
        self.links.hold(id, file, links, boot_ns());
        for stack in &found.stacks {
            let (path, kind) = (found.path.as_str(), stack.kind.name());
            match (found.failure(), stack.opaque) {
                (Some(reason), _) => tracing::warn!(path, kind, reason, "cannot attach to TLS library"),
                (None, Some(reason)) => {
                    tracing::info!(
                        path,
                        kind,
                        reason = reason.code(),
                        "TLS library that cannot be read"
                    );
                }
                (None, None) => {
                    let how = stack.how.name();
                    tracing::info!(path, kind, how, known, "attached to TLS library");
                }
            }
        }
        self.inventory().found(id, found);
    }
}
