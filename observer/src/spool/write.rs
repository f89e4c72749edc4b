//! The thread that writes: closed segments to disk, then the head of the chain, then they are ready; and what is over is removed.

use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Shared,
    disk::Directory,
    losses::LossReason,
    queue::{Closed, Queue},
};
use crate::{evidence::TABLES, kernel::clock::wall_ns, state::HeadFile};

/// Pause after the disk refused something.
const RETRY: Duration = Duration::from_secs(1);

/// Segments that are ready and stay in memory, too: they are sent soon.
const KEPT_IN_MEMORY: usize = 8;

/// Runs until the spool is stopped and everything is written that can be.
pub(super) fn run(shared: &Shared, head: Option<&HeadFile>) {
    let mut retry_at = Instant::now();
    loop {
        match next(shared, retry_at) {
            Work::Write(segment) => write(shared, head, *segment, &mut retry_at),
            Work::Tidy => {}
            Work::Over => return,
        }
        tidy(shared, &mut retry_at);
    }
}

/// What the thread does next.
enum Work {
    /// Write this segment.
    Write(Box<Closed>),
    /// Do what the disk has not done yet.
    Tidy,
    /// Everything is written that can be.
    Over,
}

/// Waits for something to do.
fn next(shared: &Shared, retry_at: Instant) -> Work {
    let mut queue = shared.queue();
    loop {
        let now = Instant::now();
        let due = queue
            .open
            .as_ref()
            .map(|open| open.since + shared.options.segment_age);
        if queue.hurry || queue.stopped || due.is_some_and(|at| at <= now) {
            queue.close(wall_ns());
        }
        if let Some(segment) = queue.closed.front().cloned() {
            queue.writing = true;
            return Work::Write(Box::new(segment));
        }
        if queue.stopped {
            return Work::Over;
        }
        let waits_for_disk = has_leftovers(shared, &queue);
        if waits_for_disk && retry_at <= now {
            return Work::Tidy;
        }
        let until = [due, waits_for_disk.then_some(retry_at)]
            .into_iter()
            .flatten()
            .min();
        let pause = until.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(now));
        queue = shared
            .work
            .wait_timeout(queue, pause)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

/// Whether something that the disk did not do, or has not done yet, is to be done.
fn has_leftovers(shared: &Shared, queue: &Queue) -> bool {
    shared.directory.is_some()
        && (queue.undeclared_changed
            || !queue.removals.is_empty()
            || queue.ready.iter().skip(queue.in_flight).any(|s| !s.on_disk))
}

/// Writes the first of `closed`, and moves it to `ready`.
fn write(shared: &Shared, head: Option<&HeadFile>, mut segment: Closed, retry_at: &mut Instant) {
    if let Some(directory) = &shared.directory {
        segment.on_disk = put_on_disk(shared, directory, &segment);
        if !segment.on_disk {
            *retry_at = Instant::now() + RETRY;
        }
    }
    // Behind the segment: the head never names a seal that is nowhere.
    if let (Some(file), Some(seal)) = (head, &segment.head)
        && let Err(error) = file.write(seal)
    {
        tracing::error!(%error, "the head of the chain could not be put on disk");
        shared.head_failed.store(true, Ordering::Relaxed);
    }
    let mut queue = shared.queue();
    queue.writing = false;
    queue.closed.pop_front();
    if segment.on_disk {
        queue.disk += segment.bytes;
        if queue.ready.len() >= KEPT_IN_MEMORY {
            segment.content = None;
            queue.memory -= segment.bytes;
        }
    }
    queue.ready.push_back(segment);
    queue.keep_memory(shared.options.memory_bytes as u64, &shared.stats);
    shared.publish(&queue);
    drop(queue);
    shared.ready.notify_one();
}

/// Puts a segment on disk; `false` when it stays in memory.
fn put_on_disk(shared: &Shared, directory: &Directory, segment: &Closed) -> bool {
    let Some(content) = &segment.content else {
        return segment.on_disk;
    };
    if !make_room(shared, directory, segment.bytes) {
        return false;
    }
    let started = Instant::now();
    match directory.write(segment.summary.number, content) {
        Ok(()) => {
            let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let [bytes, time] = &shared.stats.disk_written;
            bytes.fetch_add(segment.bytes, Ordering::Relaxed);
            time.fetch_add(ns, Ordering::Relaxed);
            true
        }
        Err(error) => {
            tracing::error!(%error, "the spool cannot write; rows stay in memory");
            shared.stats.disk_failures.fetch_add(1, Ordering::Relaxed);
            shared.disk_failed.store(true, Ordering::Relaxed);
            // Where memory is about to be full as well, the oldest makes room for the newest.
            let is_tight = shared.queue().memory > shared.options.memory_bytes as u64 / 2;
            if is_tight {
                drop_oldest(shared, directory);
            }
            false
        }
    }
}

/// Gives up the oldest segments on disk until one of `bytes` fits the budget; `false` when it cannot.
fn make_room(shared: &Shared, directory: &Directory, bytes: u64) -> bool {
    while shared.queue().disk + bytes > shared.options.max_bytes {
        if !drop_oldest(shared, directory) {
            return false;
        }
    }
    true
}

/// Gives up the oldest segment on disk: first it is said which, durably, then it goes.
fn drop_oldest(shared: &Shared, directory: &Directory) -> bool {
    let mut queue = shared.queue();
    let Some(number) = queue.drop_oldest_on_disk(&shared.stats) else {
        return false;
    };
    queue.removals.push(number);
    shared.publish(&queue);
    drop(queue);
    tracing::error!(
        segment = number,
        "the spool is full: its oldest segment was given up"
    );
    shared.progress.notify_waiters();
    declare(shared, directory);
    remove(shared, directory);
    true
}

/// Does what is left to be done on disk.
fn tidy(shared: &Shared, retry_at: &mut Instant) {
    let Some(directory) = &shared.directory else {
        return;
    };
    let done = declare(shared, directory) && remove(shared, directory) && write_kept(shared, directory);
    if !done {
        *retry_at = Instant::now() + RETRY;
    }
}

fn declare(shared: &Shared, directory: &Directory) -> bool {
    let ranges = {
        let mut queue = shared.queue();
        if !std::mem::take(&mut queue.undeclared_changed) {
            return true;
        }
        queue.undeclared.clone()
    };
    let written = directory.write_losses(&ranges);
    if let Err(error) = &written {
        tracing::error!(%error, "the list of lost rows could not be put on disk");
        shared.queue().undeclared_changed = true;
    }
    written.is_ok()
}

fn remove(shared: &Shared, directory: &Directory) -> bool {
    let numbers = std::mem::take(&mut shared.queue().removals);
    let mut kept = Vec::new();
    for number in numbers {
        if let Err(error) = directory.remove(number) {
            tracing::warn!(segment = number, %error, "a segment that is over could not be removed");
            kept.push(number);
        }
    }
    let done = kept.is_empty();
    shared.queue().removals.extend(kept);
    done
}

/// Writes the oldest segments that stayed in memory, once the disk takes them again.
fn write_kept(shared: &Shared, directory: &Directory) -> bool {
    loop {
        let kept = {
            let queue = shared.queue();
            let mut waiting = queue.ready.iter().skip(queue.in_flight);
            waiting.find(|s| !s.on_disk).cloned()
        };
        let Some(segment) = kept else { return true };
        if !put_on_disk(shared, directory, &segment) {
            return false;
        }
        let mut queue = shared.queue();
        let number = segment.summary.number;
        let place = queue.ready.iter().position(|s| s.summary.number == number);
        match place {
            Some(at) => {
                queue.ready[at].on_disk = true;
                queue.disk += segment.bytes;
            }
            // It was stored or given up meanwhile.
            None => queue.removals.push(number),
        }
        shared.publish(&queue);
    }
}

/// Counts as lost what is only in memory. Gives the rows lost so, and those left on disk.
pub(super) fn lose_the_rest(shared: &Shared) -> (u64, u64) {
    let mut queue = shared.queue();
    let before = shared.stats.lost_total();
    queue.close(wall_ns());
    let queue = &mut *queue;
    let done: Vec<usize> = (0..TABLES).filter(|table| queue.done[*table]).collect();
    for segment in queue.ready.iter_mut().take(queue.in_flight) {
        done.iter().for_each(|table| segment.summary.rows[*table] = 0);
    }
    (queue.in_flight, queue.done) = (0, [false; TABLES]);
    let all: Vec<Closed> = queue.ready.drain(..).chain(queue.closed.drain(..)).collect();
    let (on_disk, in_memory): (Vec<Closed>, Vec<Closed>) = all.into_iter().partition(|s| s.on_disk);
    for segment in &in_memory {
        queue.give_up(&segment.summary, LossReason::Shutdown, &shared.stats);
    }
    let left = queue.pending;
    queue.ready.extend(on_disk);
    queue.memory = 0;
    for segment in &mut queue.ready {
        segment.content = None;
    }
    if let Some(directory) = &shared.directory {
        if queue.undeclared_changed && directory.write_losses(&queue.undeclared).is_ok() {
            queue.undeclared_changed = false;
        }
        queue.removals.retain(|number| directory.remove(*number).is_err());
    }
    shared.publish(queue);
    (shared.stats.lost_total() - before, left)
}
