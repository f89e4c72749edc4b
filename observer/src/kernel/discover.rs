//! Finds files with TLS libraries: at start, when a process starts or loads a library, and by a sweep.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet},
    fs::{self, File},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    attach::{Inventory, attach},
    clock::boot_ns,
    examine::{Examined, Examiners, Job, Urgency},
    file_id::FileId,
    known::KnownFiles,
    links::Links,
    load::Programs,
    procfs::{MappedFile, likely_files, mappings, open_mapped, processes},
    written::Written,
};
use crate::stacks::{self, Report};

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

/// Files from this size on are examined in threads of their own: it can take a second, and small ones shall not wait.
const LARGE_FILE: u64 = 8 << 20;

/// What the thread is asked for.
enum Request {
    /// A look at this process.
    Look(u32),
    /// A file was examined.
    Examined(Examined),
    /// A program or library was written.
    Written(File),
    /// To end.
    Stop,
}

/// Asks the discovery to look at processes. Cheap to clone.
#[derive(Clone)]
pub struct Discovery {
    requests: Arc<Requests>,
    inventory: Arc<Mutex<Inventory>>,
}

/// The way to the thread, which the examiners have too: so the end has to be said.
struct Requests(SyncSender<Request>);

impl Drop for Requests {
    fn drop(&mut self) {
        // A thread that is gone needs no telling.
        let _ = self.0.send(Request::Stop);
    }
}

impl Discovery {
    /// Looks at the likely files and at all running processes, then goes on in a thread of its own. What `known` has is not
    /// examined again, and what `written` tells of is examined before it runs. Probes of files go when the last clone is dropped and the
    /// thread has ended; it gives the programs back, to be attached once more or dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        programs: Programs,
        known: KnownFiles,
        written: Option<Written>,
    ) -> std::io::Result<(Self, JoinHandle<Programs>)> {
        let (requests, receiver) = sync_channel(QUEUE);
        let inventory = Arc::new(Mutex::new(Inventory::default()));
        let mut worker = Worker {
            links: Links::default(),
            programs,
            inventory: Arc::clone(&inventory),
            due: BinaryHeap::new(),
            known,
            seen: HashMap::new(),
            examiners: None,
        };
        worker.look_at_likely_files();
        worker.links.expect_all();
        worker.sweep();
        let results = requests.clone();
        let take = move |examined| results.send(Request::Examined(examined)).is_ok();
        worker.examiners = Some(Examiners::start(take)?);
        if let Some(written) = written {
            start_watch(written, requests.clone(), Arc::downgrade(&inventory))?;
        }
        let thread = std::thread::Builder::new()
            .name("discovery".into())
            .spawn(move || {
                worker.run(&receiver);
                worker.programs
            })?;
        let requests = Arc::new(Requests(requests));
        Ok((Self { requests, inventory }, thread))
    }

    /// Asks for a look at process `pid`, which maps a new file; `false` when too many requests wait.
    pub fn look_at(&self, pid: u32) -> bool {
        lock(&self.inventory).changes(pid, boot_ns());
        self.ask(pid)
    }

    fn ask(&self, pid: u32) -> bool {
        !matches!(
            self.requests.0.try_send(Request::Look(pid)),
            Err(TrySendError::Full(_))
        )
    }

    /// Asks for a look at process `pid`, which has a new image; `false` when too many requests wait.
    pub fn look_at_new(&self, pid: u32) -> bool {
        lock(&self.inventory).replaced(pid);
        self.ask(pid)
    }

    /// Runs `read` on what was found so far.
    pub fn with_inventory<T>(&self, read: impl FnOnce(&Inventory) -> T) -> T {
        read(&lock(&self.inventory))
    }
}

fn lock(inventory: &Mutex<Inventory>) -> MutexGuard<'_, Inventory> {
    inventory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the news of written files for as long as discovery goes on.
fn start_watch(
    written: Written,
    requests: SyncSender<Request>,
    alive: Weak<Mutex<Inventory>>,
) -> std::io::Result<()> {
    let wanted = move || alive.strong_count() > 0;
    let take = move |file| requests.send(Request::Written(file)).is_ok();
    std::thread::Builder::new()
        .name("written".into())
        .spawn(move || written.run(now, wanted, take))?;
    Ok(())
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
    /// Executable mappings of each process at the last look, and their files.
    seen: HashMap<u32, (u64, Vec<FileId>)>,
    /// Where large files go; `None` before the thread runs, when all are examined at once.
    examiners: Option<Examiners>,
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
                Request::Examined(examined) => self.examined(examined),
                Request::Written(file) => {
                    let link = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
                    let path = link.unwrap_or_default();
                    self.examine(file, &path.to_string_lossy(), Urgency::Written);
                }
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
        let at_ns = boot_ns();
        let found = mappings(pid);
        let same = self.seen.remove(&pid).filter(|(digest, files)| {
            // Nothing to open then: on a host with thousands of processes that would be most of what a sweep costs.
            *digest == found.digest && self.inventory().has_seen(pid, files)
        });
        let (files, is_whole) = match same {
            Some((_, files)) => (files, true),
            None => self.open_all(pid, &found.executable, at_ns),
        };
        files.iter().for_each(|id| self.links.used(*id, at_ns));
        let mut inventory = self.inventory();
        inventory.shows(pid, found.signs);
        if !files.is_empty() {
            inventory.mapped(pid, &files, at_ns);
            drop(inventory);
            if is_whole {
                self.seen.insert(pid, (found.digest, files));
            }
        }
    }

    /// Opens and, where they are new, examines what a process has mapped. Gives the files, and whether these are all.
    fn open_all(&mut self, pid: u32, mapped: &[MappedFile], at_ns: u64) -> (Vec<FileId>, bool) {
        let (mut files, mut is_whole) = (Vec::new(), true);
        for mapped in mapped {
            if let Ok(file) = open_mapped(pid, mapped) {
                files.extend(self.examine(file, &mapped.path, Urgency::Runs));
            } else {
                self.links.used_inode(mapped.inode, at_ns);
                is_whole = false;
            }
        }
        (files, is_whole)
    }

    fn look_at_likely_files(&mut self) {
        for path in likely_files() {
            if let Ok(file) = File::open(&path) {
                self.examine(file, &path.to_string_lossy(), Urgency::Runs);
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
        self.seen.retain(|pid, _| alive.contains(pid));
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

    /// Examines a file that is new, now or, when it is large or does not run yet, soon. Gives its identity when it is a regular file.
    fn examine(&mut self, file: File, path: &str, urgency: Urgency) -> Option<FileId> {
        let (id, size) = FileId::of(&file)?;
        let (is_new, is_pending) = {
            let mut inventory = self.inventory();
            (inventory.is_new(id), inventory.is_pending(id))
        };
        if !is_new {
            if let (true, Urgency::Runs, Some(examiners)) = (is_pending, urgency, &self.examiners) {
                examiners.hurry(id);
            }
            return Some(id);
        }
        let path = path.to_owned();
        if let Some(report) = self.known.report(&file) {
            self.attach(id, &file, &path, &report, true);
            return Some(id);
        }
        if (size >= LARGE_FILE || urgency == Urgency::Written)
            && let Some(examiners) = &self.examiners
        {
            let job = Job {
                id,
                size,
                file,
                path,
                urgency,
            };
            // A full queue is made good by the next sweep.
            if !examiners.add(job) {
                self.inventory().forget(id);
            }
            return Some(id);
        }
        let report = stacks::examine(&file);
        self.examined(Examined {
            id,
            file,
            path,
            report,
        });
        Some(id)
    }

    /// Takes what was found in a file.
    fn examined(&mut self, examined: Examined) {
        let Examined {
            id,
            file,
            path,
            report,
        } = examined;
        if let Ok(report) = report {
            self.known.remember(&file, &report);
            self.attach(id, &file, &path, &report, false);
        } else {
            self.inventory().examined(id);
        }
    }

    /// Attaches to what is in a file, which was `known` before or is examined just now.
    fn attach(&mut self, id: FileId, file: &File, path: &str, report: &Report, known: bool) {
        let Some((found, links)) = attach(&mut self.programs, file, path, report, boot_ns) else {
            self.inventory().examined(id);
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
