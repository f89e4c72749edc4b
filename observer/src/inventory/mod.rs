//! The inventory of hosts (`host_inventory`): which hosts there should be, by whoever knows it and is not one of them. A host whose
//! evidence is erased, or that never had an agent, is missed by it only.
//!
//! A row is added when something changed, and the newest row of a host counts. `store` does input and output, all else is pure.

mod file;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Row;
use serde::{Deserialize, Serialize};

pub use file::parse;
pub use store::{known, write};

use crate::kubernetes::Node;

/// Time that stands for "not gone" in the table (2100-01-01), ms since the Unix epoch.
const NOT_GONE_MS: i64 = 4_102_444_800_000;

/// A host that should be observed, or that need not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its id in evidence: the text of its `/etc/machine-id`, or what `host.id` of its configuration says.
    pub host_id: String,
    /// Its name, for people.
    pub name: String,
    /// When it came, ms since the Unix epoch; none: when it is first seen here.
    pub since_ms: Option<i64>,
    /// Why it is out of scope; none: it is in scope.
    pub excluded: Option<String>,
}

/// A row of `host_inventory`, its columns in their order.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct InventoryRow {
    /// When it was found to be so, ms since the Unix epoch.
    pub observed_at: i64,
    /// Who says it.
    pub source: String,
    /// Host.
    pub host_id: String,
    /// Its name.
    pub k8s_node_name: String,
    /// Whether it should be observed.
    pub in_scope: bool,
    /// Since when.
    pub first_seen: i64,
    /// Until when; 2100 for a host that is there.
    pub gone_at: i64,
    /// Why it is out of scope.
    pub exclusion_reason: String,
}

impl InventoryRow {
    /// Table that holds these rows.
    pub const TABLE: &'static str = "host_inventory";

    fn is_gone(&self) -> bool {
        self.gone_at < NOT_GONE_MS
    }
}

/// What is to be written, and what was noticed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows to add.
    pub rows: Vec<InventoryRow>,
    /// Hosts that are new, were changed or came back, and are gone.
    pub new: usize,
    /// As above.
    pub changed: usize,
    /// As above.
    pub gone: usize,
    /// Hosts that another source names; its word stays.
    pub of_others: usize,
}

/// What differs from what is known. `now_ms` is the time of the rows.
pub fn compare(known: &[InventoryRow], machines: &[Machine], source: &str, now_ms: i64) -> Changes {
    let known: BTreeMap<&str, &InventoryRow> = known.iter().map(|row| (row.host_id.as_str(), row)).collect();
    let mut changes = Changes::default();
    for machine in machines {
        let old = known.get(machine.host_id.as_str()).copied();
        if old.is_some_and(|old| old.source != source && !old.is_gone()) {
            changes.of_others += 1;
            continue;
        }
        let row = row_of(machine, old, source, now_ms);
        match old {
            None => changes.new += 1,
            Some(old) if is_same(old, &row) => continue,
            Some(_) => changes.changed += 1,
        }
        changes.rows.push(row);
    }
    let there: BTreeSet<&str> = machines.iter().map(|machine| machine.host_id.as_str()).collect();
    let gone = |row: &&&InventoryRow| {
        row.source == source && !row.is_gone() && !there.contains(row.host_id.as_str())
    };
    for row in known.values().filter(gone) {
        changes.gone += 1;
        changes.rows.push(InventoryRow {
            observed_at: after(row, now_ms),
            gone_at: now_ms,
            ..(*row).clone()
        });
    }
    changes
}

fn row_of(machine: &Machine, old: Option<&InventoryRow>, source: &str, now_ms: i64) -> InventoryRow {
    let since = machine.since_ms.unwrap_or(now_ms);
    // A host that is listed anew was there before.
    let first_seen = old.map_or(since, |old| old.first_seen.min(since));
    InventoryRow {
        observed_at: old.map_or(now_ms, |old| after(old, now_ms)),
        source: source.to_owned(),
        host_id: machine.host_id.clone(),
        k8s_node_name: machine.name.clone(),
        in_scope: machine.excluded.is_none(),
        first_seen,
        gone_at: NOT_GONE_MS,
        exclusion_reason: machine.excluded.clone().unwrap_or_default(),
    }
}

/// Later than the row that it replaces, whatever clock wrote that: the newest counts.
fn after(row: &InventoryRow, now_ms: i64) -> i64 {
    now_ms.max(row.observed_at.saturating_add(1))
}

/// Whether both say the same, whenever they said it.
fn is_same(old: &InventoryRow, new: &InventoryRow) -> bool {
    let now = InventoryRow {
        observed_at: old.observed_at,
        ..new.clone()
    };
    *old == now
}

/// Machines of nodes, with what was noticed about those that have none of their own.
pub fn machines(nodes: Vec<Node>, excluded: &[String]) -> (Vec<Machine>, Vec<String>) {
    let (mut machines, mut remarks) = (Vec::<Machine>::new(), Vec::new());
    let mut names = BTreeMap::<String, String>::new();
    for node in nodes {
        if node.machine_id.is_empty() {
            remarks.push(format!(
                "node {} tells no machine id: it is not in the inventory",
                node.name
            ));
            continue;
        }
        if let Some(other) = names.insert(node.machine_id.clone(), node.name.clone()) {
            remarks.push(format!(
                "nodes {other} and {} have the same machine id, and so the same id in evidence: make /etc/machine-id anew on one of them",
                node.name
            ));
            continue;
        }
        let label = excluded.iter().find(|label| has(&node, label));
        machines.push(Machine {
            host_id: node.machine_id,
            name: node.name,
            since_ms: node.created_ms,
            excluded: label.map(|label| format!("label {label}")),
        });
    }
    (machines, remarks)
}

/// Whether a node has a label, `name` or `name=value`.
fn has(node: &Node, label: &str) -> bool {
    match label.split_once('=') {
        Some((name, value)) => node.labels.get(name).is_some_and(|has| has == value),
        None => node.labels.contains_key(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str) -> Machine {
        Machine {
            host_id: id.to_owned(),
            name: format!("node-{id}"),
            since_ms: Some(5),
            excluded: None,
        }
    }

    fn written(known: &[InventoryRow], machines: &[Machine], now_ms: i64) -> (Changes, Vec<InventoryRow>) {
        let changes = compare(known, machines, "kubernetes/lab", now_ms);
        let mut all: BTreeMap<String, InventoryRow> =
            known.iter().map(|r| (r.host_id.clone(), r.clone())).collect();
        all.extend(changes.rows.iter().map(|r| (r.host_id.clone(), r.clone())));
        (changes, all.into_values().collect())
    }

    #[test]
    fn a_row_is_written_when_something_changed_and_only_then() {
        let (first, known) = written(&[], &[machine("a"), machine("b")], 100);
        assert_eq!(
            (first.new, first.rows[0].first_seen, first.rows[0].observed_at),
            (2, 5, 100)
        );
        assert_eq!(
            written(&known, &[machine("b"), machine("a")], 200).0,
            Changes::default()
        );
        let mut other = machine("a");
        other.excluded = Some("label x".into());
        let (changes, known) = written(&known, &[other.clone()], 300);
        assert_eq!((changes.changed, changes.gone), (1, 1));
        assert!(!known[0].in_scope && known[1].gone_at == 300 && known[1].in_scope);
        assert_eq!(
            written(&known, &[other.clone()], 400).0,
            Changes::default(),
            "gone once"
        );
        let (back, known) = written(&known, &[other, machine("b")], 500);
        assert_eq!(
            (back.changed, known[1].gone_at, known[1].first_seen),
            (1, NOT_GONE_MS, 5)
        );
    }

    #[test]
    fn what_another_source_says_stays_until_it_says_gone() {
        let (_, mut known) = written(&[], &[machine("a")], 100);
        known[0].source = "cmdb".into();
        let changes = written(&known, &[machine("a")], 200).0;
        assert_eq!((changes.of_others, changes.rows.len()), (1, 0));
        assert_eq!(written(&known, &[], 200).0, Changes::default());
        known[0].gone_at = 150;
        assert_eq!(written(&known, &[machine("a")], 200).0.changed, 1);
    }

    #[test]
    fn a_clock_that_goes_back_writes_no_row_that_is_older_than_the_last() {
        let (_, known) = written(&[], &[machine("a")], 1_000);
        let changes = written(&known, &[], 10).0;
        assert_eq!(
            (changes.rows[0].observed_at, changes.rows[0].gone_at),
            (1_001, 10)
        );
    }

    #[test]
    fn nodes_without_an_id_of_their_own_are_told() {
        let node = |name: &str, id: &str, os: &str| Node {
            name: name.into(),
            machine_id: id.into(),
            created_ms: None,
            labels: BTreeMap::from([("kubernetes.io/os".to_owned(), os.to_owned())]),
        };
        let nodes = vec![
            node("a", "1", "linux"),
            node("b", "", "linux"),
            node("c", "1", "linux"),
            node("d", "2", "windows"),
        ];
        let (machines, remarks) =
            machines(nodes, &["kubernetes.io/os=windows".to_owned(), "gone".to_owned()]);
        let found: Vec<_> = machines
            .iter()
            .map(|m| (m.host_id.as_str(), m.excluded.as_deref()))
            .collect();
        assert_eq!(
            found,
            [("1", None), ("2", Some("label kubernetes.io/os=windows"))]
        );
        assert!(
            remarks[0].contains("b tells no") && remarks[1].contains("a and c have the same"),
            "{remarks:?}"
        );
    }
}
