//! How asking the API server goes, for metrics.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::Fault;

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nobody is asked.
    Off,
    /// Not answered yet.
    Starting,
    /// Pods are known, and changes come.
    Watching,
    /// The service account may not, or is not known: names are not known, or old.
    Denied,
    /// Anything else went wrong; it is tried again.
    Failing,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Starting,
        Self::Watching,
        Self::Denied,
        Self::Failing,
    ];

    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Watching => "watching",
            Self::Denied => "denied",
            Self::Failing => "failing",
        }
    }
}

/// See the module. Shared by the task that asks and the one that serves metrics.
#[derive(Debug, Default)]
pub struct Status {
    state: AtomicU8,
    faults: [AtomicU64; Fault::NAMES.len()],
    skipped: AtomicU64,
}

impl Status {
    /// How it goes now.
    pub fn state(&self) -> State {
        let number = usize::from(self.state.load(Ordering::Relaxed));
        State::ALL.get(number).copied().unwrap_or(State::Off)
    }

    /// Faults so far, by name.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.faults.iter().map(|count| count.load(Ordering::Relaxed));
        Fault::NAMES.into_iter().zip(counts)
    }

    /// Objects that could not be taken: too long, or without what makes a pod.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    pub(super) fn skip(&self, objects: u64) {
        self.skipped.fetch_add(objects, Ordering::Relaxed);
    }

    /// Notes a state; `true` when it is another one than before.
    pub(super) fn set(&self, state: State) -> bool {
        self.state.swap(state as u8, Ordering::Relaxed) != state as u8
    }

    /// Notes a fault; `true` when it is told for the first time since things went otherwise.
    pub(super) fn fault(&self, fault: &Fault) -> bool {
        let Some(number) = fault.number() else {
            return false;
        };
        self.faults[number].fetch_add(1, Ordering::Relaxed);
        match fault {
            // Part of the way things go: a new list follows.
            Fault::Expired => false,
            Fault::Denied(_) | Fault::Unauthorized => self.set(State::Denied),
            _ => self.set(State::Failing),
        }
    }
}
