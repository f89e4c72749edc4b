//! Threads that examine files, which can take a second where they are large, and longer where they are made to: what runs before what was
//! only written, and the smaller before the larger. One thread more is for small ones alone, so that they need not wait for large ones.

use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::file_id::FileId;
use crate::stacks::{self, ExamineError, Report};

/// Files that may wait. Each holds a descriptor.
const MAX_WAITING: usize = 512;

/// Fewest and most threads that take every file.
const THREADS: (usize, usize) = (2, 4);

/// Files from this size on are large.
const LARGE_FILE: u64 = 8 << 20;

/// Why a file is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A process has it mapped: its first call may come at any moment.
    Runs,
    /// It was written, and may run soon.
    Written,
}

/// A file to be examined.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: FileId,
    pub(super) size: u64,
    pub(super) file: File,
    pub(super) path: String,
    pub(super) urgency: Urgency,
}

/// A file that was examined.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) path: String,
    pub(super) report: Result<Report, ExamineError>,
}

/// What waits.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Job>,
    /// Written files that are being examined: one thread is left for those that run.
    written: usize,
    ended: bool,
}

/// What a thread may take.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// Every file; so many threads do.
    All(usize),
    /// Small ones that run.
    Small,
}

impl Queue {
    /// The job to be done next.
    fn next(&mut self, takes: Takes) -> Option<Job> {
        let may_take = |job: &Job| match takes {
            Takes::All(threads) => job.urgency == Urgency::Runs || self.written + 1 < threads,
            Takes::Small => job.urgency == Urgency::Runs && job.size < LARGE_FILE,
        };
        let jobs = self.waiting.iter().enumerate();
        let next = jobs
            .filter(|(_, job)| may_take(job))
            .min_by_key(|(_, job)| (job.urgency, job.size))
            .map(|(n, _)| n)?;
        let job = self.waiting.swap_remove(next);
        self.written += usize::from(job.urgency == Urgency::Written);
        Some(job)
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, when there is one; `None` at the end.
    fn wait(&self, takes: Takes) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.ended {
                return None;
            }
            if let Some(job) = queue.next(takes) {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads. They end, each after its file, when this is dropped.
#[derive(Debug)]
pub(super) struct Examiners(Arc<Shared>);

impl Examiners {
    /// Starts the threads, which hand over what they found until `take` does not want any more.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(take: impl Fn(Examined) -> bool + Clone + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = cores.clamp(THREADS.0, THREADS.1);
        for takes in (0..threads).map(|_| Takes::All(threads)).chain([Takes::Small]) {
            let (shared, take) = (Arc::clone(&shared), take.clone());
            std::thread::Builder::new()
                .name("examiner".into())
                .spawn(move || work(&shared, takes, &take))?;
        }
        Ok(Self(shared))
    }

    /// Puts a file into the queue; `false` when it is full.
    pub(super) fn add(&self, job: Job) -> bool {
        let mut queue = self.0.lock();
        if queue.waiting.len() >= MAX_WAITING {
            return false;
        }
        queue.waiting.push(job);
        drop(queue);
        // Not each thread may take it.
        self.0.changed.notify_all();
        true
    }

    /// A file that waits is run now.
    pub(super) fn hurry(&self, id: FileId) {
        for job in self.0.lock().waiting.iter_mut().filter(|job| job.id == id) {
            job.urgency = Urgency::Runs;
        }
        self.0.changed.notify_all();
    }
}

impl Drop for Examiners {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

fn work(shared: &Shared, takes: Takes, take: &impl Fn(Examined) -> bool) {
    while let Some(job) = shared.wait(takes) {
        let report = stacks::examine(&job.file);
        if job.urgency == Urgency::Written {
            shared.lock().written -= 1;
            shared.changed.notify_all();
        }
        let examined = Examined {
            id: job.id,
            file: job.file,
            path: job.path,
            report,
        };
        if !take(examined) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(size: u64, urgency: Urgency) -> Job {
        let file = File::open("/proc/self/exe").unwrap();
        Job {
            id: FileId::of(&file).unwrap().0,
            size,
            file,
            path: String::new(),
            urgency,
        }
    }

    #[test]
    fn what_runs_comes_first_and_one_thread_is_left_for_it() {
        let mut queue = Queue::default();
        for (size, urgency) in [
            (5, Urgency::Written),
            (9, Urgency::Runs),
            (7, Urgency::Runs),
            (6, Urgency::Written),
        ] {
            queue.waiting.push(job(size, urgency));
        }
        let mut next = || queue.next(Takes::All(2)).map(|job| job.size);
        assert_eq!(
            [next(), next(), next(), next()],
            [Some(7), Some(9), Some(5), None]
        );
        queue.written -= 1;
        assert_eq!(queue.next(Takes::All(2)).map(|job| job.size), Some(6));
    }

    #[test]
    fn small_files_do_not_wait_for_large_ones() {
        let mut queue = Queue::default();
        for (size, urgency) in [
            (LARGE_FILE, Urgency::Runs),
            (5, Urgency::Written),
            (LARGE_FILE - 1, Urgency::Runs),
        ] {
            queue.waiting.push(job(size, urgency));
        }
        let mut next = || queue.next(Takes::Small).map(|job| job.size);
        assert_eq!([next(), next()], [Some(LARGE_FILE - 1), None]);
        assert_eq!(queue.waiting.len(), 2);
    }

    #[test]
    fn files_are_examined_and_a_full_queue_refuses() {
        let (sender, results) = std::sync::mpsc::channel();
        let examiners =
            Examiners::start(move |examined| sender.send(examined.report.is_ok()).is_ok()).unwrap();
        assert!(examiners.add(job(1, Urgency::Runs)));
        assert_eq!(results.recv(), Ok(true));
        let full = Examiners(Arc::default());
        for _ in 0..MAX_WAITING {
            assert!(full.add(job(1, Urgency::Runs)));
        }
        assert!(!full.add(job(1, Urgency::Runs)));
    }
}
