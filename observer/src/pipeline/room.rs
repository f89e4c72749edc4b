//! Room in the table of flows: who has the most connections open gives up those that he used longest ago, so that those of others are read.

use crate::coverage::Stage;
use crate::identity::ProcessKey;

use super::{MAX_FLOWS, MAX_FLOWS_OF_PROCESS, Pipeline};

/// Flows that are given up at once: who has the most is looked for among all processes.
const AT_ONCE: usize = 128;

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
        let largest = self.by_process.values().max_by_key(|flows| flows.len());
        let given_up = match largest {
            Some(flows) if flows.len() > own + AT_ONCE => self.longest_unused(flows),
            _ => return false,
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

    /// Ends a flow whose connection goes on. Between two calls nothing is lost: what comes next begins a flow of its own. A call that was
    /// going on is a row that says it ended early, and is counted here with its reason.
    fn give_up(&mut self, flow_id: u64, now_ns: u64) {
        let partial = self.totals.exchanges_partial;
        self.end_flow(flow_id, now_ns);
        if self.totals.exchanges_partial > partial {
            self.ledger.lose(Stage::Flow, "flow_table_full", 0);
        }
    }
}
