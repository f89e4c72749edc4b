//! What the kernel's tables get for what was learned.

use std::{collections::BTreeMap, net::Ipv6Addr, sync::Arc};

use super::*;
use crate::{
    identity::{Identity, ProcessKey},
    kernel::enforce::Change,
    kubernetes::{Change as PodChange, ContainerNames, Pod, PodNames},
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
    cluster: Cluster,
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
            cluster: Cluster::default(),
            guard: Guard::new(settings),
            tables: Tables::default(),
        }
    }

    fn work(&mut self, work: impl FnOnce(&mut Guard, By<'_>)) {
        let by = By {
            judge: &self.judge,
            catalog: &self.catalog,
            cluster: &self.cluster,
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

    /// A process of `alice` in this container.
    fn seen_in(&mut self, container_id: &str, pid: u32) -> Arc<Identity> {
        let identity = Arc::new(Identity {
            key: ProcessKey { pid, start_ns: 1 },
            uid: 1002,
            user: "alice".to_owned(),
            executable: "/usr/bin/python3".to_owned(),
            container_id: container_id.to_owned(),
            ..Identity::default()
        });
        self.work(|guard, by| guard.seen(by, 1002, &identity, 0));
        identity
    }

    /// The API server names the pod of a container.
    fn pod(&mut self, container_id: &str, namespace: &str) {
        let names = PodNames {
            uid: namespace.to_owned(),
            namespace: namespace.to_owned(),
            ..PodNames::default()
        };
        let pod = Pod {
            uid: namespace.to_owned(),
            config_hash: None,
            names: Arc::new(names),
            containers: vec![(container_id.to_owned(), ContainerNames::default())],
        };
        self.cluster.take(PodChange::Pod(Box::new(pod)), 0);
        self.work(|guard, by| guard.pods_changed(by, 0));
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
    bed.named(at(1), &["api.deepseek.com", ""]);
    assert_eq!(
        bed.tables.call(at(1), 443, 5, 6),
        None,
        "it has names that nobody kept"
    );
    bed.named(at(1), &["api.deepseek.com"]);
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
fn a_pod_that_policy_lets_go_is_not_stopped_and_one_whose_name_is_not_known_yet_is_not_either() {
    let rules =
        format!("  - {{id: lab, verdict: sanctioned, provider: [deepseek], namespace: [lab]}}\n{ALL}");
    let mut bed = Bed::new(&rules, EnforcementMode::On, &[]);
    bed.named(at(1), &["api.deepseek.com"]);
    let lab = bed.seen_in("c1", 11);
    let shop = bed.seen_in("c2", 12);
    bed.seen_in("", 13);
    let call = |bed: &Bed, pid| bed.tables.call(at(1), 443, 1002, pid);
    let cuts = |bed: &mut Bed, process: &Arc<Identity>| {
        let mut found = None;
        bed.work(|guard, by| found = guard.cuts(by, "api.deepseek.com", process, (at(9), 443), 0));
        found.is_some()
    };
    assert_eq!(
        [call(&bed, 11), call(&bed, 12)],
        [None; 2],
        "their pods may be lab's"
    );
    assert!(!cuts(&mut bed, &lab) && !cuts(&mut bed, &shop));
    assert_eq!(call(&bed, 13), Some(false), "it is in no container");
    bed.pod("c1", "lab");
    bed.pod("c2", "shop");
    assert_eq!([call(&bed, 11), call(&bed, 12)], [None, Some(false)]);
    assert_eq!([cuts(&mut bed, &lab), cuts(&mut bed, &shop)], [false, true]);
    bed.seen_in("c1", 14);
    bed.seen_in("c2", 15);
    assert_eq!([call(&bed, 14), call(&bed, 15)], [None, Some(false)]);
}

#[test]
fn a_rule_on_a_namespace_is_enforced_there_alone() {
    let rules = "  - {id: prod, verdict: unsanctioned, enforce: true, provider: [deepseek], namespace: [\"prod-*\"]}\n";
    let mut bed = Bed::new(rules, EnforcementMode::On, &[]);
    bed.named(at(1), &["api.deepseek.com"]);
    let prod = bed.seen_in("c1", 11);
    bed.seen_in("c2", 12);
    bed.seen_in("", 13);
    let calls = |bed: &Bed| [11, 12, 13].map(|pid| bed.tables.call(at(1), 443, 1002, pid));
    assert_eq!(calls(&bed), [None; 3]);
    bed.pod("c2", "lab");
    bed.pod("c1", "prod-eu");
    assert_eq!(calls(&bed), [Some(false), None, None]);
    let mut cut = None;
    bed.work(|guard, by| cut = guard.cuts(by, "api.deepseek.com", &prod, (at(9), 443), 0));
    assert_eq!(
        cut.map(|verdict| verdict.rule_id.to_string()).as_deref(),
        Some("prod")
    );
    // Another policy judges by the names that are known.
    bed.judge = parse(&rules.replace("prod-*", "lab"));
    bed.work(|guard, by| guard.judged_by(by, 0));
    assert_eq!(calls(&bed), [None, Some(false), None]);
}

#[test]
fn a_process_that_became_another_user_is_that_one() {
    let rules = "  - {id: no, verdict: unsanctioned, enforce: true, provider: [deepseek], user: [bob]}\n";
    let mut bed = Bed::new(rules, EnforcementMode::On, &[]);
    bed.named(at(1), &["api.deepseek.com"]);
    bed.seen(0, "root", 11, "/usr/sbin/daemon");
    assert_eq!(bed.tables.call(at(1), 443, 0, 11), None);
    bed.seen(1001, "bob", 11, "/usr/sbin/daemon");
    assert_eq!(bed.tables.call(at(1), 443, 1001, 11), Some(false));
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
