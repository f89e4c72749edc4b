//! Room in the table of flows: who has the most connections open gives up those that he used longest ago, so that those of others are read.

use crate::coverage::Stage;
use crate::identity::ProcessKey;

use super::{MAX_FLOWS, MAX_FLOWS_OF_PROCESS, Pipeline, flows::Flow};

/// Flows that are given up at once: who has the most is looked for among all processes.
const AT_ONCE: usize = 128;

/// How long nobody is looked for after nobody was found.
const VAIN_NS: u64 = 1_000_000_000;

impl Pipeline {
    /// Whether a process can have another flow, made possible where the table is full.
    pub(super) fn has_room(&mut self, process: ProcessKey, now_ns: u64) -> bool {
        let own = self.by_process.get(&process).map_or(0, Vec::len);
        if own >= MAX_FLOWS_OF_PROCESS {
            return false;
        }
        if self.flows.len() < MAX_FLOWS {
            return true;
        }
        if now_ns.saturating_sub(self.no_room_ns) < VAIN_NS {
            return false;
        }
        let largest = self.by_process.values().max_by_key(|flows| flows.len());
        let given_up = match largest {
            Some(flows) if flows.len() > own + AT_ONCE => self.longest_unused(flows),
            _ => {
                self.no_room_ns = now_ns;
                return false;
            }
        };
        for id in given_up {
            self.give_up(id, now_ns);
        }
        true
    }

    fn longest_unused(&self, flows: &[u64]) -> Vec<u64> {
        let used = |id: &u64| self.flows.get(id).map(|flow| (flow.last_ns, *id));
        let mut by_use: Vec<(u64, u64)> = flows.iter().filter_map(used).collect();
        if by_use.len() > AT_ONCE {
            by_use.select_nth_unstable(AT_ONCE);
            by_use.truncate(AT_ONCE);
        }
        by_use.into_iter().map(|(_, id)| id).collect()
    }

    /// Ends a flow whose connection goes on; what comes next on it begins a flow of its own. A call that was going on is a row that says it
    /// ended early. One of AI is counted in any case: heads of HTTP/2 mean what was said before them.
    fn give_up(&mut self, flow_id: u64, now_ns: u64) {
        let is_ai = self.flows.get(&flow_id).is_some_and(Flow::is_ai);
        self.end_flow(flow_id, now_ns);
        if is_ai {
            self.ledger.lose(Stage::Flow, "flow_table_full", 0);
        }
    }
}
