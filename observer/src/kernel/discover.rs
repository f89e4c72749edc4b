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
    attach::{attach, log, unread},
    clock::boot_ns,
    examine::{Examined, Examiners, Job, Urgency},
    file_id::FileId,
    inventory::{Extent, Inventory},
    known::{self, KnownFiles},
    links::Links,
    load::Programs,
    maps::{MappedFile, Mappings, is_gone, mappings, open_mapped, open_regular},
    procfs::{likely_files, processes},
    written::{News, Written},
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

/// What the thread is asked for.
enum Request {
    /// A look at this process.
    Look(u32),
    /// A file was examined.
    Examined(Examined),
    /// A file with probes was open for writing.
    Closed(FileId),
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
    let inventory = Weak::clone(&alive);
    let wanted = move || alive.strong_count() > 0;
    let has_probes = move |id| {
        let inventory = inventory.upgrade();
        inventory.is_some_and(|inventory| lock(&inventory).has_stack_in(id))
    };
    let take = move |news| match news {
        News::Closed(id) => !has_probes(id) || requests.send(Request::Closed(id)).is_ok(),
        News::Program(file) => requests.send(Request::Written(file)).is_ok(),
    };
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
    /// Where files go; `None` before the thread runs, when all are examined at once.
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
                Request::Closed(id) => self.let_go_of_written(Some(id)),
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
        let (files, extent) = match same {
            Some((_, files)) => (files, Extent::Whole),
            None => self.open_all(pid, &found, at_ns),
        };
        files.iter().for_each(|id| self.links.used(*id, at_ns));
        let mut inventory = self.inventory();
        inventory.shows(pid, found.signs);
        if !files.is_empty() || extent == Extent::Part {
            inventory.mapped(pid, &files, at_ns, extent);
            drop(inventory);
            if extent == Extent::Whole {
                self.seen.insert(pid, (found.digest, files));
            }
        }
    }

    /// Opens and, where they are new, examines what a process has mapped. Gives the files, and whether these are all.
    fn open_all(&mut self, pid: u32, found: &Mappings, at_ns: u64) -> (Vec<FileId>, Extent) {
        let (mut files, mut is_whole) = (Vec::new(), !found.is_cut);
        for mapped in &found.executable {
            match open_mapped(pid, mapped) {
                Ok(Some(file)) => {
                    files.extend(self.examine(file, &mapped.path.to_string_lossy(), Urgency::Runs));
                }
                // A device.
                Ok(None) => {}
                Err(_) => {
                    let known = self.known_file(pid, mapped);
                    is_whole &= known.is_some();
                    files.extend(known);
                    self.links.used_inode(mapped.inode, at_ns);
                }
            }
        }
        let extent = if is_whole {
            Extent::Whole
        } else if is_gone(pid) {
            Extent::Ended
        } else {
            Extent::Part
        };
        (files, extent)
    }

    /// Which file it is that cannot be opened: a library that was deleted while it is in use.
    fn known_file(&self, pid: u32, mapped: &MappedFile) -> Option<FileId> {
        let held = self.links.held_at(mapped.device, mapped.inode);
        held.or_else(|| self.inventory().file_of(pid, mapped.inode))
    }

    fn look_at_likely_files(&mut self) {
        for path in likely_files() {
            if let Ok(Some(file)) = open_regular(&path) {
                self.examine(file, &path.to_string_lossy(), Urgency::Runs);
            }
        }
    }

    fn sweep(&mut self) {
        let (own, begun_ns) = (std::process::id(), boot_ns());
        self.let_go_of_written(None);
        let alive: BTreeSet<u32> = processes().into_iter().filter(|pid| *pid != own).collect();
        for pid in &alive {
            self.look_at_process(*pid);
        }
        self.inventory().keep(&alive);
        self.seen.retain(|pid, _| alive.contains(pid));
        self.release(begun_ns);
        self.known.save();
    }

    /// Detaches from files that no process mapped in a sweep that began at this time.
    fn release(&mut self, begun_ns: u64) {
        let released = self.links.release(begun_ns);
        let mut inventory = self.inventory();
        for id in released {
            if let Some(path) = inventory.path_of(id) {
                tracing::info!(path, "no process has this TLS library any more: detached");
            }
            inventory.forget(id);
        }
    }

    /// Detaches from files that were written over: those with the number of this inode, or all.
    fn let_go_of_written(&mut self, id: Option<FileId>) {
        for old in self.links.let_go_of_written(id) {
            let mut inventory = self.inventory();
            let path = inventory.path_of(old);
            tracing::info!(path, "a TLS library was written over: detached");
            inventory.forget(old);
        }
    }

    fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// Examines a file that is new, before the thread runs at once, then soon. Gives its identity when it is a regular file.
    fn examine(&mut self, file: File, path: &str, urgency: Urgency) -> Option<FileId> {
        let (id, size) = FileId::of(&file)?;
        let (is_known, is_pending) = {
            let inventory = self.inventory();
            (inventory.knows(id), inventory.is_pending(id))
        };
        if is_known {
            if let (true, Urgency::Runs, Some(examiners)) = (is_pending, urgency, &self.examiners) {
                examiners.hurry(id);
            }
            return Some(id);
        }
        // It can be a later state of one with probes.
        self.let_go_of_written(Some(id));
        if let Some(same) = self.links.same_file(id, &file) {
            return Some(same);
        }
        self.inventory().is_new(id);
        let path = path.to_owned();
        if let Some(report) = self.known.report(&file) {
            self.found(id, &file, &path, Ok(&report), true);
            return Some(id);
        }
        if let Some(examiners) = &self.examiners {
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
        if FileId::of(&file).is_none_or(|(now, _)| now != id) {
            // Written to meanwhile: what was found may be of neither state. The next sweep, or the end of the writing, finds it again; at
            // once, somebody who keeps writing would keep all examiners.
            self.inventory().forget(id);
            return;
        }
        if let Ok(report) = &report {
            self.known.remember(&file, report);
        }
        self.found(id, &file, &path, report.as_ref(), false);
    }

    /// Takes what was found in a file, which was `known` before or is examined just now.
    fn found(
        &mut self,
        id: FileId,
        file: &File,
        path: &str,
        found: Result<&Report, &ExamineError>,
        known: bool,
    ) {
        let not_read = unread(found);
        for (runtime, reason) in &not_read {
            let error = found.err().map(tracing::field::display);
            tracing::info!(
                path,
                runtime,
                reason = reason.code(),
                error,
                "file that is not read"
            );
        }
        let mut inventory = self.inventory();
        inventory.not_read(id, not_read);
        match found {
            Ok(report) if !report.stacks.is_empty() => {
                drop(inventory);
                self.attach(id, file, path, report, known);
            }
            _ => inventory.examined(id),
        }
    }

    /// Attaches to what is in a file.
    fn attach(&mut self, id: FileId, file: &File, path: &str, report: &Report, known: bool) {
        if let Some(same) = self.links.same_file(id, file) {
            self.inventory().is_also(id, same);
            return;
        }
        let code = known::code(file, report);
        let (found, links) = attach(&mut self.programs, file, path, report, boot_ns);
        let earlier = self.links.hold(id, file, code, links, boot_ns());
        log(&found, known);
        let mut inventory = self.inventory();
        for old in earlier {
            if old.is_same_inode(id) {
                inventory.is_also(old, id);
            } else {
                inventory.forget(old);
            }
        }
        inventory.found(id, found);
    }
}
