//! How the functions of the TLS stacks of each process were found, as discovery told. Pure.

use std::collections::{HashMap, VecDeque};

use observer_common::wire::{STACK_SOCKET, STACK_STDIO, STACK_UNKNOWN, STACKS};

use super::Pipeline;
use crate::identity::ProcessKey;

/// Most processes at the same time; beyond it all are forgotten and asked for again.
const MAX_PROCESSES: usize = 16_384;

/// What discovery does not know yet is asked again after so long: it looks at a process some milliseconds after its
/// start, and again when it maps a library.
const ASK_AGAIN_NS: u64 = 2_000_000;

/// The rows of a process are written up to a few seconds after its end.
const KEEP_NS: u64 = 10_000_000_000;

/// Answers for one process, by `wire::STACK_*`.
type Answers = [Answer; STACKS as usize];

/// What is known about one stack of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Answer {
    /// Empty: not known.
    how: &'static str,
    /// Not asked before this, CLOCK_BOOTTIME, ns.
    not_before_ns: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FoundBy {
    processes: HashMap<ProcessKey, Answers>,
    /// Processes that ended, and when, oldest first.
    ended: VecDeque<(u64, ProcessKey)>,
}

impl FoundBy {
    /// Whether discovery should be asked about this stack of this process.
    pub(super) fn is_wanted(&self, process: ProcessKey, stack: u8, now_ns: u64) -> bool {
        if !is_tls(stack) {
            return false;
        }
        self.answer(process, stack)
            .is_none_or(|answer| answer.how.is_empty() && now_ns >= answer.not_before_ns)
    }

    /// Takes the answer; `None` when discovery does not know, or not for sure.
    pub(super) fn told(&mut self, process: ProcessKey, stack: u8, how: Option<&'static str>, now_ns: u64) {
        if !is_tls(stack) {
            return;
        }
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&process) {
            self.processes.clear();
            self.ended.clear();
        }
        let answers = self.processes.entry(process).or_default();
        if let Some(answer) = answers.get_mut(usize::from(stack)) {
            *answer = Answer {
                how: how.unwrap_or_default(),
                not_before_ns: now_ns.saturating_add(ASK_AGAIN_NS),
            };
        }
    }

    /// How the functions were found; empty when not known.
    pub(super) fn of(&self, process: ProcessKey, stack: u8) -> &'static str {
        self.answer(process, stack).map_or("", |answer| answer.how)
    }

    fn answer(&self, process: ProcessKey, stack: u8) -> Option<&Answer> {
        self.processes.get(&process)?.get(usize::from(stack))
    }

    /// The process has another image: nothing of what was known holds.
    pub(super) fn replaced(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
    }

    /// The process is gone; its last rows are still to come.
    pub(super) fn ended(&mut self, process: ProcessKey, now_ns: u64) {
        if self.processes.contains_key(&process) {
            self.ended.push_back((now_ns, process));
        }
    }

    /// Forgets processes that ended long enough ago.
    pub(super) fn tick(&mut self, now_ns: u64) {
        while let Some((at_ns, process)) = self.ended.front()
            && now_ns.saturating_sub(*at_ns) > KEEP_NS
        {
            self.processes.remove(process);
            self.ended.pop_front();
        }
    }
}

impl Pipeline {
    /// Whether discovery should be asked how a stack (`wire::STACK_*`) of a process was found.
    pub fn wants_found_by(&self, process: ProcessKey, stack: u8, now_ns: u64) -> bool {
        self.found.is_wanted(process, stack, now_ns)
    }

    /// Its answer: a name, or `None` when it does not know.
    pub fn found_by(&mut self, process: ProcessKey, stack: u8, how: Option<&'static str>, now_ns: u64) {
        self.found.told(process, stack, how, now_ns);
    }
}

/// Whether a number is that of a TLS stack.
fn is_tls(stack: u8) -> bool {
    stack < STACKS && ![STACK_UNKNOWN, STACK_SOCKET, STACK_STDIO].contains(&stack)
}

#[cfg(test)]
mod tests {
    use observer_common::wire::{STACK_GO, STACK_OPENSSL, STACK_RING};

    use super::*;

    const fn key(pid: u32) -> ProcessKey {
        ProcessKey { pid, start_ns: 1 }
    }

    #[test]
    fn each_stack_of_a_process_is_asked_for_until_it_is_known() {
        let mut found = FoundBy::default();
        assert!(found.is_wanted(key(1), STACK_GO, 0));
        assert!(found.is_wanted(key(1), STACK_RING, 0));
        for none in [STACK_SOCKET, STACK_STDIO, STACK_UNKNOWN, STACKS, u8::MAX] {
            assert!(!found.is_wanted(key(1), none, 0), "{none}");
        }

        found.told(key(1), STACK_GO, None, 0);
        assert!(!found.is_wanted(key(1), STACK_GO, ASK_AGAIN_NS - 1));
        assert!(found.is_wanted(key(1), STACK_GO, ASK_AGAIN_NS));
        assert_eq!(found.of(key(1), STACK_GO), "");

        found.told(key(1), STACK_GO, Some("pclntab"), ASK_AGAIN_NS);
        assert!(!found.is_wanted(key(1), STACK_GO, u64::MAX));
        assert_eq!(found.of(key(1), STACK_GO), "pclntab");
        assert!(found.is_wanted(key(1), STACK_OPENSSL, 0) && found.is_wanted(key(2), STACK_GO, 0));
        assert_eq!(
            (found.of(key(1), STACK_OPENSSL), found.of(key(2), STACK_GO)),
            ("", "")
        );
        found.told(key(1), u8::MAX, Some("symbols"), 0);
        assert_eq!(found.of(key(1), u8::MAX), "");
    }

    #[test]
    fn another_image_is_asked_for_again_and_an_ended_process_is_kept_for_its_last_rows() {
        let mut found = FoundBy::default();
        for pid in [1, 2] {
            found.told(key(pid), STACK_OPENSSL, Some("symbols"), 0);
        }
        found.replaced(key(1));
        assert!(found.is_wanted(key(1), STACK_OPENSSL, 0));
        found.ended(key(2), 5);
        found.tick(5 + KEEP_NS);
        assert_eq!(found.of(key(2), STACK_OPENSSL), "symbols");
        found.tick(6 + KEEP_NS);
        assert_eq!(found.of(key(2), STACK_OPENSSL), "");
        assert!(found.processes.is_empty() && found.ended.is_empty());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut found = FoundBy::default();
        for pid in 0..=MAX_PROCESSES as u32 {
            found.told(key(pid), STACK_GO, Some("pclntab"), 0);
            found.ended(key(pid), 0);
        }
        assert_eq!((found.processes.len(), found.ended.len()), (1, 1));
    }
}
