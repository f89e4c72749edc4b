//! What the kernel's tables get for what was learned.

use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc};

use super::*;
use crate::{
    identity::{Identity, ProcessKey},
    kernel::enforce::Change,
    policy::Policy,
};

const UNTIL: u64 = 60_000_000_000;

/// The kernel's tables, as changes leave them.
#[derive(Default)]
struct Tables {
    guarded: BTreeMap<Ipv6Addr, u64>,
    stops: BTreeMap<(Ipv6Addr, (u32, u32)), bool>,
    doors: Vec<(Ipv6Addr, u16)>,
    users: BTreeMap<u32, u32>,
    processes: BTreeMap<u32, u32>,
}

impl Tables {
    fn take(&mut self, guard: &mut Guard) {
        for change in guard.changes() {
            match change {
                Change::Clear => *self = Self::default(),
                Change::Door(address, port) => self.doors.push((address, port)),
                Change::User(uid, class) => {
                    self.users.insert(uid, class);
                }
                Change::Process(process, class) => {
                    self.processes.insert(process.pid, class);
                }
                Change::Gone(process) => {
                    self.processes.remove(&process.pid);
                }
                Change::Guard(address, until) => {
                    self.guarded.insert(address, until);
                }
                Change::Release(address) => {
                    self.guarded.remove(&address);
                }
                Change::Stop {
                    address,
                    classes,
                    dry_run,
                    ..
                } => {
                    self.stops.insert((address, classes), dry_run);
                }
                Change::Unstop(address, classes) => {
                    self.stops.remove(&(address, classes));
                }
            }
        }
    }

    /// What the kernel does with a call: `None` lets it go, else whether it is a dry run.
    fn call(&self, address: Ipv6Addr, port: u16, uid: u32, pid: u32) -> Option<bool> {
        self.guarded.get(&address)?;
        let open = |address| self.doors.contains(&(address, port));
        if open(address) || open(Ipv6Addr::UNSPECIFIED) {
            return None;
        }
        let class = |table: &BTreeMap<u32, u32>, key| table.get(&key).copied().unwrap_or(0);
        let classes = (class(&self.users, uid), class(&self.processes, pid));
        self.stops.get(&(address, classes)).copied()
    }
}

struct Bed {
    judge: Judge,
    catalog: Catalog,
    guard: Guard,
    tables: Tables,
}

fn parse(rules: &str) -> Judge {
    let text = format!("version: \"1\"\ndefault: unknown\nrules:\n{rules}");
    Judge {
        policy: Policy::parse(&text, "p.yaml").unwrap(),
        register: None,
    }
}

impl Bed {
    fn new(rules: &str, mode: EnforcementMode, allow: &[&str]) -> Self {
        let settings = Settings {
            mode,
            allow: allow.iter().map(|text| Allowed::parse(text).unwrap()).collect(),
        };
        Self {
            judge: parse(rules),
            catalog: Catalog::builtin(),
            guard: Guard::new(settings),
            tables: Tables::default(),
        }
    }

    fn work(&mut self, work: impl FnOnce(&mut Guard, By<'_>)) {
        let by = By {
            judge: &self.judge,
            catalog: &self.catalog,
            machine: "lab",
        };
        work(&mut self.guard, by);
        self.tables.take(&mut self.guard);
    }

    fn named(&mut self, address: Ipv6Addr, names: &[&str]) {
        self.work(|guard, by| {
            guard.named(
                by,
                (address, names[0]),
                names.iter().map(|name| (*name, UNTIL)),
                0,
            );
        });
    }

    fn seen(&mut self, uid: u32, user: &str, pid: u32, executable: &str) {
        let identity = Arc::new(Identity {
            key: ProcessKey { pid, start_ns: 1 },
            uid,
            user: user.to_owned(),
            executable: executable.to_owned(),
            ..Identity::default()
        });
        self.work(|guard, by| guard.seen(by, uid, &identity, 0));
    }
}

fn at(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

const ALL: &str = "  - {id: no, verdict: unsanctioned, enforce: true, provider: [deepseek]}\n";

#[test]
fn an_address_is_closed_while_all_its_names_are() {
    let mut bed = Bed::new(ALL, EnforcementMode::On, &[]);
    bed.named(at(1), &["api.deepseek.com"]);
    bed.named(at(2), &["www.example.org"]);
    assert_eq!(bed.tables.call(at(1), 443, 5, 6), Some(false));
    assert_eq!(bed.tables.call(at(2), 443, 5, 6), None);
    assert_eq!(bed.guard.closed(), 1);
    assert_eq!(bed.guard.name_of(at(1)), "api.deepseek.com");
    bed.named(at(1), &["shop.example.org", "api.deepseek.com"]);
    assert_eq!(
        bed.tables.call(at(1), 443, 5, 6),
        None,
        "it is somebody else's, too"
    );
    bed.named(at(1), &["api.deepseek.com"]);
    assert_eq!(bed.tables.call(at(1), 443, 5, 6), Some(false));
    bed.work(|guard, _| guard.tick(UNTIL));
    assert!(
        bed.tables.guarded.is_empty() && bed.tables.stops.is_empty(),
        "its time is over"
    );
}

#[test]
fn users_and_programs_are_told_apart_as_rules_do() {
    let rules = "  - {id: but, verdict: sanctioned, provider: [deepseek], executable: [/opt/lab/*]}\n  - {id: no, verdict: unsanctioned, enforce: true, \
                 provider: [deepseek], user: [bob, \"1007\"]}\n";
    let mut bed = Bed::new(rules, EnforcementMode::On, &[]);
    bed.named(at(1), &["api.deepseek.com"]);
    assert!(bed.tables.guarded.is_empty(), "nobody is known to be stopped");
    bed.seen(1001, "bob", 11, "/usr/bin/curl");
    bed.seen(1002, "alice", 12, "/opt/lab/run");
    bed.seen(1007, "", 13, "/usr/bin/python3");
    let call = |bed: &Bed, uid, pid| bed.tables.call(at(1), 443, uid, pid);
    assert_eq!(call(&bed, 1001, 11), Some(false));
    assert_eq!(call(&bed, 1007, 13), Some(false));
    assert_eq!(call(&bed, 1002, 11), None, "alice");
    assert_eq!(call(&bed, 1001, 12), None, "bob with the program of the lab");
    assert_eq!(
        call(&bed, 1001, 99),
        None,
        "a program that was not seen may be that of the lab"
    );
    assert_eq!(call(&bed, 4000, 11), None, "a user who was not seen");
    // Another image, then the end.
    bed.seen(1001, "bob", 11, "/opt/lab/run");
    assert_eq!(call(&bed, 1001, 11), None);
    bed.work(|guard, _| guard.ended(ProcessKey { pid: 13, start_ns: 1 }));
    assert_eq!(call(&bed, 1007, 13), None);
}

#[test]
fn the_allow_list_wins() {
    let allow = [
        "192.0.2.0/24",
        "[2001:db8::1]:8443",
        "*.deepseek.com:9000",
        ":7000",
        "chat.deepseek.com",
    ];
    let mut bed = Bed::new(ALL, EnforcementMode::On, &allow);
    let v4 = Ipv6Addr::from(0xffff_c000_0207);
    bed.named(at(1), &["api.deepseek.com"]);
    bed.named(v4, &["api.deepseek.com"]);
    bed.named(at(3), &["chat.deepseek.com"]);
    for (address, port, wanted) in [
        (at(1), 443, Some(false)),
        (at(1), 8443, None),
        (at(1), 9000, None),
        (at(1), 7000, None),
        (v4, 443, None),
        (at(3), 443, None),
    ] {
        assert_eq!(bed.tables.call(address, port, 1, 1), wanted, "{address} {port}");
    }
    let process = Arc::new(Identity::default());
    let cuts = |bed: &mut Bed, name: &str, peer| {
        let mut found = None;
        bed.work(|guard, by| found = guard.cuts(by, name, &process, peer, 0));
        found.map(|verdict| verdict.rule_id.to_string())
    };
    assert_eq!(
        cuts(&mut bed, "API.deepseek.com", (at(9), 443)).as_deref(),
        Some("no")
    );
    assert_eq!(cuts(&mut bed, "api.deepseek.com", (at(9), 7000)), None);
    assert_eq!(cuts(&mut bed, "api.deepseek.com", (v4, 443)), None);
    assert_eq!(cuts(&mut bed, "chat.deepseek.com", (at(9), 443)), None);
    assert_eq!(cuts(&mut bed, "", (at(9), 443)), None);
    bed.guard.release(true);
    assert_eq!(cuts(&mut bed, "api.deepseek.com", (at(9), 443)), None, "released");
}

#[test]
fn dry_runs_stop_nothing() {
    let mut by_mode = Bed::new(ALL, EnforcementMode::DryRun, &[]);
    by_mode.named(at(1), &["api.deepseek.com"]);
    assert_eq!(by_mode.tables.call(at(1), 443, 1, 1), Some(true));
    let mut by_rule = Bed::new(&ALL.replace("true", "dry_run"), EnforcementMode::On, &[]);
    by_rule.named(at(1), &["api.deepseek.com"]);
    assert_eq!(by_rule.tables.call(at(1), 443, 1, 1), Some(true));
}

#[test]
fn a_name_that_is_not_known_as_ai_is_stopped_only_where_a_rule_names_it() {
    let rules = "  - {id: named, verdict: unsanctioned, enforce: true, host: [\"*.corp.example\"]}\n  - {id: rest, verdict: unsanctioned, enforce: true, machine: [lab], register: [not_listed]}\n";
    let mut bed = Bed::new(rules, EnforcementMode::On, &[]);
    bed.judge.register =
        Some(crate::policy::Register::parse("version: r\nai_register: []\n", "r.yaml").unwrap());
    bed.named(at(1), &["llm.corp.example"]);
    bed.named(at(2), &["www.example.org"]);
    bed.named(at(3), &["api.openai.com"]);
    let call = |address| bed.tables.call(address, 443, 1, 1);
    assert_eq!(
        [call(at(1)), call(at(2)), call(at(3))],
        [Some(false), None, Some(false)]
    );
}

#[test]
fn another_policy_is_in_force_at_once_and_numbers_of_rules_stay() {
    let mut bed = Bed::new(ALL, EnforcementMode::On, &[":7000"]);
    bed.seen(1001, "bob", 11, "/usr/bin/curl");
    bed.named(at(1), &["api.deepseek.com"]);
    bed.named(at(2), &["api.openai.com"]);
    assert_eq!(&*bed.guard.rule(0), "no");
    bed.judge =
        parse("  - {id: other, verdict: unsanctioned, enforce: true, provider: [deepseek], user: [bob]}\n");
    bed.work(|guard, by| guard.judged_by(by, 0));
    assert_eq!(bed.tables.call(at(1), 443, 1001, 11), Some(false));
    assert_eq!(bed.tables.call(at(1), 7000, 1001, 11), None, "doors stay");
    assert_eq!(bed.tables.call(at(1), 443, 1002, 11), None);
    assert_eq!(
        (&*bed.guard.rule(0), &*bed.guard.rule(1), &*bed.guard.rule(2)),
        ("no", "other", "")
    );
    bed.judge = Judge::none();
    bed.work(|guard, by| guard.judged_by(by, 0));
    assert!(bed.tables.guarded.is_empty() && bed.tables.stops.is_empty());
}
