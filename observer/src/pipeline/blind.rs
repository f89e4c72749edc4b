//! What cannot be read, by reason and program: which rows of `blind_spots` are due. Pure.
//!
//! Two things tell of a blind spot: discovery, which finds a TLS stack in a process that it cannot read, and the row of
//! a connection that could not be read for a reason that lies in its program. The second also knows programs that live
//! shorter than two looks of discovery.

use std::collections::{BTreeSet, HashMap};

use super::{Pipeline, rows};
use crate::{
    coverage::{OpaqueReason, Stage},
    evidence::{BlindSpotRow, ConnectionRow},
    stacks::Kind,
};

/// Most blind spots at the same time.
const MAX_SPOTS: usize = 4_096;

/// Most processes of one blind spot that are told apart by their connections.
const MAX_PIDS: usize = 256;

/// A row is written at most so often.
const EVERY_NS: u64 = 86_400_000_000_000;

/// A process with a TLS stack that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueProcess {
    /// Process id.
    pub pid: u32,
    /// Path of its executable.
    pub executable: String,
    /// Its container; empty outside.
    pub container_id: String,
    /// A user may have made up the container: it is in no pod.
    pub in_users_group: bool,
    /// The stack, or what a model is in or runs on.
    pub runtime: &'static str,
    /// Why it cannot be read.
    pub reason: OpaqueReason,
}

/// What makes a blind spot another one.
type Key = (&'static str, String, String);

/// What was seen of one since its last row.
#[derive(Debug, Default)]
struct Spot {
    runtime: &'static str,
    /// Processes at the last look of discovery.
    alive: BTreeSet<u32>,
    /// Processes that had connections.
    pids: BTreeSet<u32>,
    flows_ai: u32,
    flows_unknown: u32,
    bytes_sent: u64,
    written_ns: Option<u64>,
    /// Its container may be one of a pod: not all of it was seen in control groups that a user may have made.
    may_be_pod: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BlindSpots(HashMap<Key, Spot>);

impl BlindSpots {
    /// All processes with a stack that cannot be read, as they are now. Gives how many found no room.
    pub(super) fn seen(&mut self, processes: impl IntoIterator<Item = OpaqueProcess>) -> u64 {
        for spot in self.0.values_mut() {
            spot.alive.clear();
        }
        let mut lost = 0;
        for process in processes {
            let key = (
                process.reason.code(),
                rows::text(&process.executable),
                process.container_id,
            );
            if let Some(spot) = self.spot(key) {
                if spot.runtime.is_empty() {
                    spot.runtime = process.runtime;
                }
                spot.alive.insert(process.pid);
                spot.may_be_pod |= !process.in_users_group;
            } else {
                lost += 1;
            }
        }
        lost
    }

    /// A connection that ended; `is_ai` says whether it was to AI. `false` when there was no room for its blind spot.
    pub(super) fn connection(&mut self, row: &ConnectionRow, is_ai: bool) -> bool {
        let Some((reason, runtime)) = of_program(&row.opaque_reason) else {
            return true;
        };
        let (executable, container) = (row.process_executable_path.clone(), row.container_id.clone());
        let Some(spot) = self.spot((reason, executable, container)) else {
            return false;
        };
        if spot.runtime.is_empty() {
            spot.runtime = runtime;
        }
        if spot.pids.len() < MAX_PIDS {
            spot.pids.insert(row.process_pid);
        }
        spot.may_be_pod |= !row.k8s_pod_uid.is_empty();
        let flows = if is_ai {
            &mut spot.flows_ai
        } else {
            &mut spot.flows_unknown
        };
        *flows = flows.saturating_add(1);
        spot.bytes_sent = spot.bytes_sent.saturating_add(row.bytes_sent.unwrap_or(0));
        true
    }

    /// Rows that are due, with the time `ts` (ns since the epoch): of what is new, and of what is still there a day
    /// after its last row. What is gone by then is forgotten.
    pub(super) fn due(&mut self, now_ns: u64, ts: i64) -> Vec<BlindSpotRow> {
        let mut rows = Vec::new();
        self.0.retain(|key, spot| {
            let waits = |at_ns: u64| now_ns.saturating_sub(at_ns) < EVERY_NS;
            if spot.written_ns.is_some_and(waits) {
                return true;
            }
            if spot.alive.is_empty() && spot.flows_ai == 0 && spot.flows_unknown == 0 {
                return false;
            }
            rows.push(row(key, spot, ts));
            *spot = Spot {
                runtime: spot.runtime,
                alive: std::mem::take(&mut spot.alive),
                may_be_pod: spot.may_be_pod,
                written_ns: Some(now_ns),
                ..Spot::default()
            };
            true
        });
        // The order of a hash table is another one in each run.
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        rows
    }

    /// Whether a container may be one of a pod.
    fn may_be_pod(&self, container_id: &str) -> bool {
        let is_it = |(key, spot): (&Key, &Spot)| spot.may_be_pod && key.2 == container_id;
        self.0.iter().any(is_it)
    }

    fn spot(&mut self, key: Key) -> Option<&mut Spot> {
        if self.0.len() >= MAX_SPOTS && !self.0.contains_key(&key) {
            return None;
        }
        Some(self.0.entry(key).or_default())
    }
}

impl Pipeline {
    /// Takes all processes that have a TLS stack that cannot be read, as they are now. Gives the rows of blind spots
    /// that are due, chain columns not yet set.
    pub fn blind_spots(
        &mut self,
        now_ns: u64,
        processes: impl IntoIterator<Item = OpaqueProcess>,
    ) -> Vec<BlindSpotRow> {
        for _ in 0..self.blind.seen(processes) {
            self.ledger.lose(Stage::Flow, "blind_spot_table_full", 0);
        }
        let mut due = self.blind.due(now_ns, rows::wall(now_ns, self.wall_offset_ns));
        for row in &mut due {
            if !self.blind.may_be_pod(&row.container_id) {
                continue;
            }
            let place = self.cluster.find((&row.container_id, ""));
            if let Some(pod) = place.pod {
                row.k8s_namespace_name.clone_from(&pod.namespace);
                row.k8s_workload_name.clone_from(&pod.workload);
            }
            if let Some(container) = place.container {
                row.container_image_digest.clone_from(&container.digest);
            }
        }
        due
    }
}

fn order(row: &BlindSpotRow) -> (&str, &str, &str) {
    (&row.reason, &row.process_executable_path, &row.container_id)
}

fn row((reason, executable, container): &Key, spot: &Spot, ts: i64) -> BlindSpotRow {
    let mut row = BlindSpotRow::unknown();
    row.ts = ts;
    row.reason = (*reason).to_owned();
    row.process_executable_path.clone_from(executable);
    row.container_id.clone_from(container);
    row.runtime = spot.runtime.to_owned();
    row.process_count = u32::try_from(spot.alive.union(&spot.pids).count()).unwrap_or(u32::MAX);
    row.flows_ai = spot.flows_ai;
    row.flows_unknown = spot.flows_unknown;
    row.bytes_sent = spot.bytes_sent;
    row
}

/// The reason when it lies in the program, and not in what happened to one connection; with the TLS stack that it
/// speaks of, empty when it speaks of none.
fn of_program(code: &str) -> Option<(&'static str, &'static str)> {
    let reason = OpaqueReason::ALL.iter().find(|reason| reason.code() == code)?;
    let runtime = match reason {
        OpaqueReason::NoProbe
        | OpaqueReason::AttachFailed
        | OpaqueReason::NotSupported
        | OpaqueReason::NotExamined
        | OpaqueReason::Quic => "",
        OpaqueReason::Jsse => Kind::Jsse.name(),
        OpaqueReason::Ring => Kind::Ring.name(),
        OpaqueReason::BoringSsl => Kind::BoringSsl.name(),
        OpaqueReason::StaticOpenSsl => Kind::OpenSsl.name(),
        OpaqueReason::Rustls => Kind::AwsLc.name(),
        OpaqueReason::Go => Kind::GoTls.name(),
        OpaqueReason::Nss => Kind::Nss.name(),
        _ => return None,
    };
    Some((reason.code(), runtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(pid: u32, executable: &str, container_id: &str) -> OpaqueProcess {
        OpaqueProcess {
            pid,
            executable: executable.to_owned(),
            container_id: container_id.to_owned(),
            in_users_group: false,
            runtime: Kind::Jsse.name(),
            reason: OpaqueReason::Jsse,
        }
    }

    fn connection(pid: u32, executable: &str, reason: OpaqueReason, sent: Option<u64>) -> ConnectionRow {
        ConnectionRow {
            process_pid: pid,
            process_executable_path: executable.to_owned(),
            opaque_reason: reason.code().to_owned(),
            bytes_sent: sent,
            ..ConnectionRow::unknown()
        }
    }

    #[test]
    fn a_path_cannot_speak_to_a_terminal() {
        let mut spots = BlindSpots::default();
        spots.seen([java(1, "/tmp/\x1b[31m\u{7}\njava", "")]);
        let path = &spots.due(10, 77)[0].process_executable_path;
        assert_eq!(path, "/tmp/\u{fffd}[31m\u{fffd}\u{fffd}java");
    }

    #[test]
    fn a_program_gets_a_row_when_it_is_first_seen_and_one_a_day_while_it_is_there() {
        let mut spots = BlindSpots::default();
        assert_eq!(spots.seen([java(1, "/java", ""), java(2, "/java", "")]), 0);
        let rows = spots.due(10, 77);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].ts, rows[0].reason.as_str(), rows[0].runtime.as_str()),
            (77, "jsse", "jsse")
        );
        assert_eq!(
            (rows[0].process_executable_path.as_str(), rows[0].process_count),
            ("/java", 2)
        );
        assert_eq!(
            (rows[0].flows_ai, rows[0].flows_unknown, rows[0].bytes_sent),
            (0, 0, 0)
        );
        spots.seen([java(3, "/java", "")]);
        assert_eq!(spots.due(9 + EVERY_NS, 78), []);
        let again = spots.due(10 + EVERY_NS, 79);
        assert_eq!((again.len(), again[0].process_count), (1, 1));
        assert_eq!(spots.due(11 + EVERY_NS, 80), []);
        spots.seen([]);
        assert_eq!(spots.due(10 + 2 * EVERY_NS, 81), [], "it is gone");
        assert!(spots.0.is_empty());
    }

    #[test]
    fn connections_count_since_the_last_row() {
        let mut spots = BlindSpots::default();
        spots.seen([java(1, "/java", "")]);
        assert!(spots.connection(&connection(1, "/java", OpaqueReason::Jsse, Some(100)), true));
        assert!(spots.connection(&connection(1, "/java", OpaqueReason::Jsse, None), true));
        assert!(spots.connection(&connection(9, "/java", OpaqueReason::Jsse, Some(5)), false));
        let rows = spots.due(0, 0);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].flows_ai, rows[0].flows_unknown), (2, 1));
        assert_eq!(
            (rows[0].bytes_sent, rows[0].process_count),
            (105, 2),
            "one process was gone before it was looked at"
        );
        spots.connection(&connection(1, "/java", OpaqueReason::Jsse, Some(u64::MAX)), false);
        spots.connection(&connection(1, "/java", OpaqueReason::Jsse, Some(1)), false);
        spots.seen([]);
        let rows = spots.due(EVERY_NS, 0);
        assert_eq!((rows[0].flows_ai, rows[0].flows_unknown), (0, 2));
        assert_eq!((rows[0].bytes_sent, rows[0].process_count), (u64::MAX, 1));
    }

    #[test]
    fn reason_executable_and_container_make_a_blind_spot() {
        let mut spots = BlindSpots::default();
        spots.seen([java(1, "/b", ""), java(1, "/b", "c1"), java(2, "/a", "")]);
        spots.connection(&connection(3, "/b", OpaqueReason::NoProbe, Some(1)), false);
        let rows = spots.due(0, 0);
        let keys: Vec<_> = rows.iter().map(order).collect();
        assert_eq!(
            keys,
            [
                ("jsse", "/a", ""),
                ("jsse", "/b", ""),
                ("jsse", "/b", "c1"),
                ("no_probe", "/b", "")
            ]
        );
        assert_eq!((rows[3].runtime.as_str(), rows[3].flows_unknown), ("", 1));
    }

    #[test]
    fn what_has_no_programs_and_what_was_not_examined_are_blind_spots() {
        let mut spots = BlindSpots::default();
        for reason in [OpaqueReason::NotSupported, OpaqueReason::NotExamined] {
            spots.connection(&connection(1, "/x", reason, Some(1)), false);
        }
        let rows = spots.due(0, 0);
        let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
        assert_eq!(reasons, ["file_not_examined", "stack_not_supported"]);
    }

    #[test]
    fn what_happened_to_one_connection_is_no_blind_spot() {
        let mut spots = BlindSpots::default();
        for reason in [
            OpaqueReason::NoAiExchange,
            OpaqueReason::StartedBeforeAgent,
            OpaqueReason::AttachedLate,
            OpaqueReason::LostEvents,
            OpaqueReason::ExcludedByPolicy,
        ] {
            assert!(spots.connection(&connection(1, "/x", reason, Some(1)), true));
        }
        let mut decoded = connection(1, "/x", OpaqueReason::Jsse, Some(1));
        decoded.opaque_reason.clear();
        assert!(spots.connection(&decoded, true));
        assert_eq!(spots.due(0, 0), []);
    }

    #[test]
    fn tables_are_bounded_and_what_finds_no_room_is_said() {
        let mut spots = BlindSpots::default();
        let many = (0..MAX_SPOTS + 3).map(|n| java(1, &format!("/{n}"), ""));
        assert_eq!(spots.seen(many), 3);
        assert!(!spots.connection(&connection(1, "/new", OpaqueReason::Jsse, None), true));
        assert_eq!(spots.due(0, 0).len(), MAX_SPOTS);
        for pid in 0..2 * MAX_PIDS as u32 {
            spots.connection(&connection(pid, "/1", OpaqueReason::Jsse, None), true);
        }
        spots.seen([]);
        let rows = spots.due(EVERY_NS, 0);
        assert_eq!((rows.len(), rows[0].flows_ai), (1, 2 * MAX_PIDS as u32));
        assert_eq!(rows[0].process_count, MAX_PIDS as u32);
    }
}
