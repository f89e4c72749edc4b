//! Compiled rules made ready for one thread: vectorscan's scratch memory, and the machines that try patterns.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use vectorscan_rs::{BlockScanner, Scan as Flow};

use super::find::machine::{End, Machine, Tried};
use super::find::words::Finder;
use super::key::HmacKey;
use super::rules::{Group, MAX_LITERAL, Plan, Rule, Rules};
use super::scan::Scan;

/// The engine could not be set up: out of memory, or a processor that vectorscan does not know.
#[derive(Debug, thiserror::Error)]
#[error("sensitive-data engine: {0}")]
pub struct EngineError(#[from] vectorscan_rs::Error);

/// Compiled rules, ready to scan on the thread that made it. Clones share everything.
///
/// vectorscan's scanner borrows its database, which is why one plan is deliberately leaked for each engine: a daemon
/// makes one, or one per change of its rules.
#[derive(Clone)]
pub struct Engine {
    inner: Rc<Inner>,
}

struct Inner {
    rules: Vec<Arc<Rule>>,
    plan: &'static Plan,
    scanner: Option<RefCell<BlockScanner<'static>>>,
    /// The machine of each rule, once it was needed.
    machines: RefCell<Vec<Option<Machine>>>,
    /// The machines that try the rules of numbers together: those that need no word, and the others.
    numbers: [RefCell<Option<Machine>>; 2],
    finder: RefCell<Finder<'static>>,
    costs: RefCell<Vec<Cost>>,
}

/// What a rule has cost since its engine was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Places at which it was tried.
    pub tries: u64,
    /// Bytes that were looked at there.
    pub bytes: u64,
    /// Matches that were judged: surroundings, checksum, entropy, context.
    pub judged: u64,
    /// Values that counted.
    pub found: u64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} rules)", self.inner.rules.len())
    }
}

impl Engine {
    /// An engine for these rules.
    pub fn new(rules: &Rules) -> Result<Self, EngineError> {
        let plan: &'static Arc<Plan> = Box::leak(Box::new(Arc::clone(rules.plan())));
        let scanner = match &plan.literals {
            Some(database) => Some(RefCell::new(BlockScanner::new(database)?)),
            None => None,
        };
        let list = rules.list().to_vec();
        Ok(Self {
            inner: Rc::new(Inner {
                machines: RefCell::new(list.iter().map(|_| None).collect()),
                numbers: Default::default(),
                finder: RefCell::new(Finder::new(&plan.words)?),
                costs: RefCell::new(vec![Cost::default(); list.len()]),
                rules: list,
                plan,
                scanner,
            }),
        })
    }

    /// Starts the scan of one exchange. Costs next to nothing until text comes.
    pub fn open(&self, key: Option<&HmacKey>) -> Scan {
        Scan::new(self.clone(), key.cloned())
    }

    /// The rules in use, in the order of their numbers.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.inner.rules
    }

    /// What each rule has cost, in the order of their numbers. Rules of numbers are tried together, so that a try of all
    /// of them is counted for none: only what fitted is.
    pub fn costs(&self) -> Vec<Cost> {
        self.inner.costs.borrow().clone()
    }

    pub(super) fn cost(&self, rule: usize, add: impl FnOnce(&mut Cost)) {
        if let Some(cost) = self.inner.costs.borrow_mut().get_mut(rule) {
            add(cost);
        }
    }

    pub(super) fn plan(&self) -> &'static Plan {
        self.inner.plan
    }

    /// Adds to `hits` the literals that end in `text` behind its byte `from`, by (end, number).
    pub(super) fn literals(&self, text: &[u8], from: usize, hits: &mut Vec<Hit>) -> Result<(), EngineError> {
        let Some(scanner) = &self.inner.scanner else {
            return Ok(());
        };
        let behind = from.saturating_sub(MAX_LITERAL - 1);
        let first = hits.len();
        let (mut scanner, offset) = (scanner.borrow_mut(), u64::try_from(behind).unwrap_or(u64::MAX));
        scanner.scan(&text[behind..], |literal, _, end, _| {
            if let (Ok(literal), Ok(end)) = (usize::try_from(literal), usize::try_from(offset + end))
                && end > from
            {
                hits.push(Hit { end, literal });
            }
            Flow::Continue
        })?;
        // Nearly always in order already.
        hits[first..].sort_unstable();
        Ok(())
    }

    /// Tries a rule at one place, as [`Machine::ends`].
    pub(super) fn try_rule(
        &self,
        rule: usize,
        text: &[u8],
        (start, limit): (usize, usize),
        ends: &mut Vec<End>,
    ) -> (Tried, usize) {
        let mut machines = self.inner.machines.borrow_mut();
        let core = || Machine::new(&[self.inner.rules.get(rule)?.form.core()]);
        let Some(machine) = machines.get_mut(rule).and_then(|place| made(place, core)) else {
            return (Tried::Cut, 0);
        };
        machine.ends(text, start, limit, ends)
    }

    /// Tries all rules of numbers of one group at one place. The patterns in `ends` are places in [`Plan::numbers`].
    pub(super) fn try_numbers(
        &self,
        kin: Kin,
        text: &[u8],
        (start, limit): (usize, usize),
        ends: &mut Vec<End>,
    ) -> (Tried, usize) {
        let group = self.group(kin);
        let mut machine = self.inner.numbers[kin as usize].borrow_mut();
        let Some(machine) = made(&mut machine, || self.machine_of(group)) else {
            return (Tried::Cut, 0);
        };
        let first = ends.len();
        let tried = machine.ends(text, start, limit, ends);
        for end in &mut ends[first..] {
            end.pattern = group.places[end.pattern];
        }
        tried
    }

    pub(super) fn group(&self, kin: Kin) -> &'static Group {
        match kin {
            Kin::Free => &self.inner.plan.free,
            Kin::Wanting => &self.inner.plan.wanting,
        }
    }

    fn machine_of(&self, group: &Group) -> Option<Machine> {
        let number = |place: &usize| self.inner.plan.numbers[*place];
        let cores = group
            .places
            .iter()
            .map(|place| self.inner.rules[number(place)].form.core());
        Machine::of_many(&cores.collect::<Vec<_>>())
    }

    /// What finds words near numbers.
    pub(super) fn finder(&self) -> RefMut<'_, Finder<'static>> {
        self.inner.finder.borrow_mut()
    }
}

/// Which of the two groups of rules of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// Those that need no word near the value.
    Free,
    /// Those that want one.
    Wanting,
}

/// What is in a place, made where it is not there yet.
fn made(place: &mut Option<Machine>, make: impl FnOnce() -> Option<Machine>) -> Option<&mut Machine> {
    if place.is_none() {
        *place = make();
    }
    place.as_mut()
}

/// A literal in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// Offset behind its last byte.
    pub(super) end: usize,
    /// Its number.
    pub(super) literal: usize,
}
