//! Decisions that the kernel told, until they have their row. A program that tries again and again has one row a second
//! for each place, which says how often.

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use super::Action;
use crate::identity::{Identity, ProcessKey};

/// Most decisions that wait. For a new one the oldest has its row at once.
const MAX_WAITING: usize = 4_096;
/// Calls within this time are one row.
const WINDOW_NS: u64 = 1_000_000_000;
/// The connection that a dry run let go shows within this time, or never.
const CONNECTS_NS: u64 = 10_000_000_000;

/// What is the same in calls that have one row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    process: ProcessKey,
    peer: Ipv6Addr,
    port: u16,
    transport: u8,
    action: Action,
    rule_id: Arc<str>,
}

/// Calls that were decided alike.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// What was decided.
    pub action: Action,
    /// By which rule.
    pub rule_id: Arc<str>,
    /// Who called.
    pub process: Arc<Identity>,
    /// Address asked for.
    pub peer: Ipv6Addr,
    /// Port asked for.
    pub port: u16,
    /// `wire::TRANSPORT_*`.
    pub transport: u8,
    /// Name for which the address was guarded; empty where it is not known any more.
    pub name: String,
    /// First and last call, ns since boot.
    pub times_ns: (u64, u64),
    /// Calls.
    pub attempts: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Decisions(HashMap<Key, Decision>);

impl Decisions {
    /// Takes a decision; gives one that has to make room.
    pub(crate) fn take(&mut self, decision: Decision) -> Option<Decision> {
        let key = Key {
            process: decision.process.key,
            peer: decision.peer,
            port: decision.port,
            transport: decision.transport,
            action: decision.action,
            rule_id: Arc::clone(&decision.rule_id),
        };
        if let Some(known) = self.0.get_mut(&key) {
            known.attempts = known.attempts.saturating_add(decision.attempts);
            known.times_ns.1 = decision.times_ns.1;
            return None;
        }
        let pushed_out = if self.0.len() >= MAX_WAITING {
            self.oldest()
        } else {
            None
        };
        self.0.insert(key, decision);
        pushed_out
    }

    fn oldest(&mut self) -> Option<Decision> {
        let oldest = self.0.iter().min_by_key(|(_, decision)| decision.times_ns.0);
        let key = oldest.map(|(key, _)| key.clone())?;
        self.0.remove(&key)
    }

    /// The dry run's decision that let this connection go.
    pub(crate) fn let_go(
        &mut self,
        process: ProcessKey,
        (peer, port): (Ipv6Addr, u16),
        transport: u8,
    ) -> Option<Decision> {
        let fits = |key: &&Key| {
            key.action == Action::DryRun
                && (key.process, key.peer, key.port, key.transport) == (process, peer, port, transport)
        };
        let key = self.0.keys().find(fits)?.clone();
        self.0.remove(&key)
    }

    /// Decisions whose row is due.
    pub(crate) fn due(&mut self, now_ns: u64) -> Vec<Decision> {
        let waits = |decision: &Decision| {
            let window = if decision.action == Action::DryRun {
                CONNECTS_NS
            } else {
                WINDOW_NS
            };
            now_ns.saturating_sub(decision.times_ns.0) < window
        };
        let mut due: Vec<Decision> = self
            .0
            .extract_if(|_, decision| !waits(decision))
            .map(|(_, d)| d)
            .collect();
        // The order of a hash table is another one in each run.
        due.sort_by_key(|decision| decision.times_ns);
        due
    }

    /// All that wait, at the end of the daemon.
    pub(crate) fn drain(&mut self) -> Vec<Decision> {
        self.due(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn decision(port: u16, action: Action, at_ns: u64) -> Decision {
        Decision {
            action,
            rule_id: "r".into(),
            process: Arc::new(Identity::default()),
            peer: Ipv6Addr::LOCALHOST,
            port,
            transport: 6,
            name: String::new(),
            times_ns: (at_ns, at_ns),
            attempts: 1,
        }
    }

    #[test]
    fn a_program_that_insists_has_one_row_that_says_how_often() {
        let mut decisions = Decisions::default();
        for n in 0..500 {
            assert!(decisions.take(decision(443, Action::Denied, n * MS)).is_none());
        }
        decisions.take(decision(80, Action::Denied, 0));
        assert!(decisions.due(999 * MS).is_empty());
        let due = decisions.due(1000 * MS);
        let seen: Vec<_> = due.iter().map(|d| (d.port, d.attempts, d.times_ns)).collect();
        assert_eq!(seen, [(80, 1, (0, 0)), (443, 500, (0, 499 * MS))]);
        assert!(decisions.due(u64::MAX).is_empty());
    }

    #[test]
    fn a_dry_run_waits_for_its_connection() {
        let mut decisions = Decisions::default();
        decisions.take(decision(443, Action::DryRun, 0));
        decisions.take(decision(443, Action::Denied, 0));
        let peer = (Ipv6Addr::LOCALHOST, 443);
        assert!(
            decisions.let_go(ProcessKey::default(), peer, 17).is_none(),
            "another transport"
        );
        let found = decisions.let_go(ProcessKey::default(), peer, 6).unwrap();
        assert_eq!(found.action, Action::DryRun);
        assert!(decisions.let_go(ProcessKey::default(), peer, 6).is_none());
        decisions.take(decision(443, Action::DryRun, 0));
        assert_eq!(decisions.due(9_000 * MS).len(), 1, "the denied one");
        assert_eq!(decisions.due(10_000 * MS).len(), 1, "no connection came");
    }

    #[test]
    fn the_table_is_bounded_and_nothing_is_lost() {
        let mut decisions = Decisions::default();
        let mut out = 0;
        for port in 0..5_000 {
            out += usize::from(
                decisions
                    .take(decision(port, Action::Denied, u64::from(port)))
                    .is_some(),
            );
        }
        assert_eq!((out, decisions.drain().len()), (5_000 - MAX_WAITING, MAX_WAITING));
    }
}
