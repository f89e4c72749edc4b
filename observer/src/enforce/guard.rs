//! Which addresses are guarded, and whom from.

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use observer_common::enforce::{CLASS_NOT_SEEN, GUARDED_MAX, PROCESSES_MAX, ProcessId, STOPS_MAX, USERS_MAX};

use super::{
    By, Settings,
    classes::Classes,
    facts::{
        OF_PROCESS, OF_USER, Process, User, asks_pods, may_stop, process_facts, provider, target, user_facts,
    },
    place::Guarded,
};
use crate::{
    config::{Allowed, EnforcementMode, Place},
    identity::{Identity, ProcessKey},
    kernel::enforce::Change,
    policy::{Attributes, StoppedBy, Subject},
};

/// Most classes of users.
const MAX_USER_CLASSES: usize = 32;
/// Most classes of processes.
const MAX_PROCESS_CLASSES: usize = 64;
/// Rules that have a number. Numbers are not used again, so that a decision on its way keeps its rule.
const MAX_RULES: usize = 65_536;
/// How often what is over is thrown out.
const SWEEP_NS: u64 = 10_000_000_000;

/// A rule that stops a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The rule.
    pub rule_id: Arc<str>,
    /// Told only.
    pub dry_run: bool,
}

/// See the module.
pub(crate) struct Guard {
    settings: Settings,
    /// Nothing is stopped: the policy is gone.
    released: bool,
    users: HashMap<u32, User>,
    user_classes: Classes<User>,
    processes: HashMap<ProcessKey, Process>,
    process_classes: Classes<Process>,
    places: HashMap<Ipv6Addr, Guarded>,
    stops: usize,
    rules: Vec<Arc<str>>,
    swept_ns: u64,
    changes: Vec<Change>,
}

impl Guard {
    /// Nothing is guarded yet.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut guard = Self {
            settings,
            released: false,
            users: HashMap::new(),
            user_classes: Classes::new(MAX_USER_CLASSES),
            processes: HashMap::new(),
            process_classes: Classes::new(MAX_PROCESS_CLASSES),
            places: HashMap::new(),
            stops: 0,
            rules: Vec::new(),
            swept_ns: 0,
            changes: Vec::new(),
        };
        guard.open_doors();
        guard
    }

    /// Changes of the kernel's tables since the last call.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Addresses that are closed to somebody.
    pub(crate) fn closed(&self) -> usize {
        self.places
            .values()
            .filter(|place| !place.stops.is_empty())
            .count()
    }

    /// Opens everything, until the policy is back.
    pub(crate) fn release(&mut self, released: bool) {
        self.released = released;
    }

    /// Whether something may be stopped at all.
    pub(crate) fn is_active(&self) -> bool {
        self.settings.mode != EnforcementMode::Off && !self.released
    }

    /// Rule with this number; empty where there is none.
    pub(crate) fn rule(&self, number: u32) -> Arc<str> {
        self.rules.get(number as usize).cloned().unwrap_or_default()
    }

    /// Name for which an address is guarded; empty for none.
    pub(crate) fn name_of(&self, address: Ipv6Addr) -> &str {
        let names = self.places.get(&address).map(|place| place.names.as_slice());
        names.and_then(<[_]>::first).map_or("", |(name, _)| name)
    }

    /// Judges everything anew.
    pub(crate) fn judged_by(&mut self, by: By<'_>, wall_ns: i64) {
        self.changes.push(Change::Clear);
        self.open_doors();
        self.user_classes.clear();
        self.process_classes.clear();
        self.stops = 0;
        let users: Vec<(u32, User)> = self.users.drain().collect();
        for (uid, user) in users {
            self.user(by, uid, &user.name);
        }
        let processes: Vec<Process> = self.processes.drain().map(|(_, process)| process).collect();
        for process in processes {
            self.process(by, &process.identity);
        }
        for place in self.places.values_mut() {
            place.stops.clear();
        }
        self.judge_places(by, wall_ns);
    }

    /// Pods have other names: processes in them may be judged otherwise.
    pub(crate) fn pods_changed(&mut self, by: By<'_>, wall_ns: i64) {
        if !asks_pods(by) {
            return;
        }
        let moved = self
            .processes
            .values()
            .filter(|process| process.has_moved(by.cluster));
        let moved: Vec<Arc<Identity>> = moved.map(|process| Arc::clone(&process.identity)).collect();
        let mut is_new = false;
        for identity in &moved {
            is_new |= self.process(by, identity);
        }
        if is_new {
            self.judge_places(by, wall_ns);
        }
    }

    /// A process that wrote a record, with its real user at that time.
    pub(crate) fn seen(&mut self, by: By<'_>, uid: u32, identity: &Arc<Identity>, wall_ns: i64) {
        let mut is_new = false;
        // A name belongs to the user that the process had when it was read, who may be another one by now.
        if identity.uid == uid && !self.users.contains_key(&uid) {
            is_new |= self.user(by, uid, &identity.user);
        }
        let known = self.processes.get(&identity.key);
        if known.is_none_or(|known| !known.is_as(identity)) {
            is_new |= self.process(by, identity);
        }
        if is_new {
            self.judge_places(by, wall_ns);
        }
    }

    /// A process ended.
    pub(crate) fn ended(&mut self, key: ProcessKey) {
        if self.processes.remove(&key).is_some() {
            self.changes.push(Change::Gone(id(key)));
        }
    }

    fn user(&mut self, by: By<'_>, uid: u32, name: &str) -> bool {
        if self.users.len() >= USERS_MAX as usize {
            return false;
        }
        let user = User {
            number: uid.to_string(),
            name: name.to_owned(),
        };
        let mut subject = Subject::at(0, &[]);
        user_facts(&mut subject, &user);
        let signature = by.judge.signature(&subject, OF_USER);
        let (class, is_new) = self.user_classes.of(signature, || user.clone());
        if class != CLASS_NOT_SEEN {
            self.changes.push(Change::User(uid, class));
        }
        self.users.insert(uid, user);
        is_new
    }

    fn process(&mut self, by: By<'_>, identity: &Arc<Identity>) -> bool {
        if self.processes.len() >= PROCESSES_MAX as usize && !self.processes.contains_key(&identity.key) {
            return false;
        }
        let process = Process::of(by.cluster, identity);
        let (class, is_new) = self.process_classes.of(process.signature(by), || process.clone());
        if class != CLASS_NOT_SEEN {
            self.changes.push(Change::Process(id(identity.key), class));
        } else if self.processes.contains_key(&identity.key) {
            self.changes.push(Change::Gone(id(identity.key)));
        }
        self.processes.insert(identity.key, process);
        is_new
    }

    /// Whether it keeps the names of this address.
    pub(crate) fn knows(&self, address: Ipv6Addr) -> bool {
        self.places.contains_key(&address)
    }

    /// Name servers gave `address` for these names until then (ns since boot), `name` among them just now. One that is empty stands for names
    /// that nobody kept.
    pub(crate) fn named<'n>(
        &mut self,
        by: By<'_>,
        (address, name): (Ipv6Addr, &str),
        names: impl Iterator<Item = (&'n str, u64)>,
        wall_ns: i64,
    ) {
        let known = self.places.contains_key(&address);
        if !known && (self.places.len() >= GUARDED_MAX as usize || !may_stop(by, name, wall_ns)) {
            return;
        }
        let mut live: Vec<(String, u64)> = Vec::new();
        for (name, until_ns) in names {
            match live.iter_mut().find(|(known, _)| known == name) {
                Some((_, until)) => *until = until_ns.max(*until),
                None => live.push((name.to_owned(), until_ns)),
            }
        }
        let place = self.places.entry(address).or_default();
        if place.says_little_less_than(&live) {
            return;
        }
        place.names = live;
        self.judge_place(by, address, wall_ns);
    }

    /// Throws out what is over; the kernel does not look at it any more.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.swept_ns) < SWEEP_NS {
            return;
        }
        self.swept_ns = now_ns;
        let (changes, stops) = (&mut self.changes, &mut self.stops);
        self.places.retain(|address, place| {
            let lives = place.until_ns() > now_ns;
            if !lives {
                *stops = stops.saturating_sub(place.stops.len());
                changes.extend(
                    place
                        .stops
                        .iter()
                        .map(|classes| Change::Unstop(*address, *classes)),
                );
                changes.push(Change::Release(*address));
            }
            lives
        });
    }

    fn judge_places(&mut self, by: By<'_>, wall_ns: i64) {
        let places: Vec<Ipv6Addr> = self.places.keys().copied().collect();
        for address in places {
            self.judge_place(by, address, wall_ns);
        }
    }

    /// Works out for all classes whether calls to an address are stopped.
    fn judge_place(&mut self, by: By<'_>, address: Ipv6Addr, wall_ns: i64) {
        let Some(mut place) = self.places.remove(&address) else {
            return;
        };
        let until_ns = place.until_ns();
        let stops = self.stops_at(by, address, &place, wall_ns);
        let gone = place
            .stops
            .iter()
            .filter(|old| !stops.iter().any(|(classes, _)| classes == *old));
        self.changes
            .extend(gone.map(|classes| Change::Unstop(address, *classes)));
        self.stops = self.stops.saturating_sub(place.stops.len());
        place.stops.clear();
        if stops.is_empty() {
            self.changes.push(Change::Release(address));
        } else {
            self.doors_at(address, &place);
        }
        for (classes, verdict) in stops {
            // What finds no room is open.
            let Some(rule) = self
                .number(&verdict.rule_id)
                .filter(|_| self.stops < STOPS_MAX as usize)
            else {
                continue;
            };
            self.stops += 1;
            place.stops.push(classes);
            self.changes.push(Change::Stop {
                address,
                classes,
                until_ns,
                rule,
                dry_run: verdict.dry_run,
            });
        }
        // Last: an address is looked at when all about it is there.
        if !place.stops.is_empty() {
            self.changes.push(Change::Guard(address, until_ns));
        }
        self.places.insert(address, place);
    }

    fn stops_at(
        &self,
        by: By<'_>,
        address: Ipv6Addr,
        place: &Guarded,
        wall_ns: i64,
    ) -> Vec<((u32, u32), Verdict)> {
        let mut stops = Vec::new();
        let is_others = place.names.iter().any(|(name, _)| name.is_empty());
        if is_others || self.is_open(address, None) || place.names.is_empty() {
            return stops;
        }
        let facts: Vec<(&str, String)> = place
            .names
            .iter()
            .map(|(name, _)| (name.as_str(), provider(by, name)))
            .collect();
        for (user_class, user) in self.user_classes.all() {
            for (process_class, process) in self.process_classes.all() {
                let who = (user, process);
                let verdicts: Option<Vec<Verdict>> = facts
                    .iter()
                    .map(|name| self.stopped(by, name, who, wall_ns))
                    .collect();
                // Each name must be stopped: an address that serves others, too, is open.
                if let Some(verdict) = verdicts.and_then(strictest) {
                    stops.push(((user_class, process_class), verdict));
                }
            }
        }
        stops
    }

    fn stopped(
        &self,
        by: By<'_>,
        (name, provider): &(&str, String),
        (user, process): (Option<&User>, Option<&Process>),
        wall_ns: i64,
    ) -> Option<Verdict> {
        if self.name_is_allowed(name) {
            return None;
        }
        let mut subject = target(name, provider, by.machine, wall_ns);
        let mut unknown = Attributes::default();
        match user {
            Some(user) => user_facts(&mut subject, user),
            None => unknown = unknown.and(OF_USER),
        }
        match process {
            Some(process) => {
                process_facts(&mut subject, process);
                unknown = unknown.and(process.unknown());
            }
            None => unknown = unknown.and(OF_PROCESS),
        }
        self.verdict(by, name, by.judge.stops(&subject, unknown))
    }

    fn verdict(&self, by: By<'_>, name: &str, stopped: Option<StoppedBy<'_>>) -> Option<Verdict> {
        let stopped = stopped.filter(|stopped| stopped.names_host || by.catalog.host_is_ai(name))?;
        Some(Verdict {
            rule_id: stopped.rule_id.into(),
            dry_run: stopped.dry_run || self.settings.mode == EnforcementMode::DryRun,
        })
    }

    /// Whether a connection that is made and has this name now is to be cut.
    pub(crate) fn cuts(
        &self,
        by: By<'_>,
        name: &str,
        process: &Arc<Identity>,
        (peer, port): (Ipv6Addr, u16),
        wall_ns: i64,
    ) -> Option<Verdict> {
        let name = name.to_ascii_lowercase();
        if !self.is_active()
            || name.is_empty()
            || self.is_open(peer, Some(port))
            || self.name_is_allowed(&name)
        {
            return None;
        }
        let provider = provider(by, &name);
        let user = User {
            number: process.uid.to_string(),
            name: process.user.clone(),
        };
        let process = Process::of(by.cluster, process);
        let mut subject = target(&name, &provider, by.machine, wall_ns);
        user_facts(&mut subject, &user);
        process_facts(&mut subject, &process);
        self.verdict(by, &name, by.judge.stops(&subject, process.unknown()))
    }

    /// Number of a rule; `None` when there are no more numbers.
    fn number(&mut self, rule_id: &Arc<str>) -> Option<u32> {
        let known = self.rules.iter().position(|known| known == rule_id);
        let at = known.or_else(|| {
            (self.rules.len() < MAX_RULES).then(|| {
                self.rules.push(Arc::clone(rule_id));
                self.rules.len() - 1
            })
        })?;
        u32::try_from(at).ok()
    }

    /// Whether the allow list has this address: at all, or (with a port) at this port.
    fn is_open(&self, address: Ipv6Addr, port: Option<u16>) -> bool {
        self.settings
            .allow
            .iter()
            .any(|allowed| allowed.has_address(address) && (allowed.port.is_none() || allowed.port == port))
    }

    fn name_is_allowed(&self, name: &str) -> bool {
        let allow = &self.settings.allow;
        allow
            .iter()
            .any(|allowed| allowed.port.is_none() && allowed.has_name(name))
    }

    /// Doors that do not depend on an address that is still to be learned.
    fn open_doors(&mut self) {
        for Allowed { place, port } in &self.settings.allow {
            let Some(port) = *port else { continue };
            match place {
                Place::Any => self.changes.push(Change::Door(Ipv6Addr::UNSPECIFIED, port)),
                Place::Network(address, 128) => self.changes.push(Change::Door(*address, port)),
                Place::Network(..) | Place::Name(_) => {}
            }
        }
    }

    /// Doors of networks and names, at an address that is about to be guarded.
    fn doors_at(&mut self, address: Ipv6Addr, place: &Guarded) {
        for allowed in &self.settings.allow {
            let Some(port) = allowed.port else { continue };
            let here = match &allowed.place {
                Place::Network(_, bits) => *bits < 128 && allowed.has_address(address),
                Place::Name(_) => place.names.iter().any(|(name, _)| allowed.has_name(name)),
                Place::Any => false,
            };
            if here {
                self.changes.push(Change::Door(address, port));
            }
        }
    }
}

/// A process as the kernel's tables have it.
fn id(key: ProcessKey) -> ProcessId {
    ProcessId {
        start_ns: key.start_ns,
        pid: key.pid,
        pad: 0,
    }
}

/// Of the verdicts of all names of an address: a dry run, where one is, since it must stop nothing; else the first.
fn strictest(verdicts: Vec<Verdict>) -> Option<Verdict> {
    let dry = verdicts.iter().position(|verdict| verdict.dry_run);
    verdicts.into_iter().nth(dry.unwrap_or(0))
}
