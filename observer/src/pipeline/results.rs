//! What comes of a flow and of a connection when they are over: rows, findings and counts.

use super::{Output, Pipeline, connections::Connection, flows::Done, role::Role, rows};
use crate::{
    coverage::{OpaqueReason, Stage},
    enforce::Action,
    evidence::{ConnectionRow, FindingRow, InteractionRow},
    exchange::Exchange,
    policy::Verdict,
    protocol::Incomplete,
    sensitive::ScanReport,
};

/// The rows of an exchange, with what is counted of it.
pub(super) struct Finished {
    pub row: Box<InteractionRow>,
    pub findings: Vec<FindingRow>,
    pub incomplete: Option<Incomplete>,
    pub report: ScanReport,
}

impl Pipeline {
    /// Takes what a flow read.
    pub(super) fn exchanges(&mut self, flow_id: u64, done: Vec<Done>) {
        if !done.is_empty() {
            self.tie_by_name(flow_id);
        }
        for item in done {
            match item {
                Done::Ai(exchange, report) => self.exchange(flow_id, &exchange, report),
                Done::Other => self.totals.exchanges_other += 1,
            }
        }
    }

    fn exchange(&mut self, flow_id: u64, exchange: &Exchange, report: ScanReport) {
        // What the self-test asks is never counted as use, whatever a catalogue says of its name.
        let Some(flow) = self.flows.get(&flow_id).filter(|flow| flow.tap.is_none()) else {
            return;
        };
        let (client, served) = (flow.client(), flow.role == Role::Server);
        let mut session = None;
        if !served {
            self.agents.learn(client, &exchange.client);
            session = self.agents.session(client);
        }
        let conversation = self.conversations.take(client, exchange, &self.book);
        let mcp_server = self.mcp_servers.of(client.key, &exchange.rpc);
        let of = rows::Of {
            flow,
            connection: self.connections.peer(flow.connection_id),
            exchange,
            report: &report,
            session: session.as_ref(),
            conversation: &conversation,
            mcp_server: mcp_server.as_deref().unwrap_or(&exchange.rpc.server),
            place: self.cluster.find(client.pod_keys()),
        };
        let mut row = rows::interaction(&self.book, &of, self.wall_offset_ns);
        row.tls_found_by = self.found.of(flow.process.key, flow.stack).to_owned();
        if !served {
            let place = self.attempts.take(flow.process.key, exchange);
            (row.request_seq, row.attempt_number) = (place.request, place.attempt);
        }
        let finished = Finished {
            findings: rows::findings(&self.book, &row, &report),
            row: Box::new(row),
            incomplete: exchange.incomplete(),
            report,
        };
        if served {
            self.answered(finished, exchange.ended_ns);
        } else {
            let partial = finished.incomplete.is_some();
            self.connections
                .exchange(flow.connection_id, &exchange.host, partial);
            self.put_out(finished);
        }
    }

    /// Lets the rows of an exchange go.
    pub(super) fn put_out(&mut self, finished: Finished) {
        self.count_exchange(&finished);
        self.outputs
            .push(Output::Interaction(finished.row, finished.findings));
    }

    fn count_exchange(&mut self, finished: &Finished) {
        let Finished {
            row,
            incomplete,
            report,
            ..
        } = finished;
        self.totals.exchanges += 1;
        if let Some(why) = incomplete {
            self.totals.exchanges_partial += 1;
            self.ledger.lose(Stage::Protocol, why.code(), 0);
        }
        if let Some(at) = Verdict::NAMES.iter().position(|name| *name == row.policy_verdict) {
            self.totals.verdicts[at] += 1;
        }
        self.totals.findings += report.findings.len() as u64;
        self.totals.text_seen += report.bytes_seen;
        self.totals.text_scanned += report.bytes_scanned.min(report.bytes_seen);
        let skipped = report.bytes_seen.saturating_sub(report.bytes_scanned);
        if skipped > 0 {
            self.ledger.lose(Stage::Scan, "over_budget", skipped);
        }
        if report.bytes_not_decoded > 0 {
            self.ledger
                .lose(Stage::Scan, "encoded_too_deep", report.bytes_not_decoded);
        }
        if report.undecided_matches > 0 {
            self.ledger.lose(Stage::Scan, "undecided", 0);
        }
    }

    /// Takes a connection that is over.
    pub(super) fn connection_row(&mut self, connection: &Connection) {
        if self.selftest.is_helper(&connection.process) {
            return;
        }
        let process = &connection.process;
        let place = self.cluster.find(process.pod_keys());
        let Some(mut row) = rows::connection(&self.book, connection, &place, self.wall_offset_ns) else {
            return;
        };
        row.tls_found_by = self.found.of(process.key, connection.stack).to_owned();
        if let Some(session) = self.agents.session(process) {
            (row.agent_name, row.agent_session_id) = (session.agent, session.id);
        }
        if connection.serves() {
            // No connection of a client: nothing that coverage is measured against.
            self.outputs.push(Output::Connection(Box::new(row)));
            return;
        }
        if !self.blind.connection(&row, connection.is_ai()) {
            self.ledger.lose(Stage::Flow, "blind_spot_table_full", 0);
        }
        if connection.is_ai() {
            self.watch_for_dark(&row);
            self.totals.ai_connections += 1;
            match row.visibility.as_str() {
                rows::DECODED => self.totals.ai_connections_decoded += 1,
                rows::PARTIAL => self.totals.ai_connections_partial += 1,
                _ => self.totals.ai_connections_opaque += 1,
            }
        } else if !rows::is_hub(&self.book, connection) {
            self.totals.unknown_connections_opaque += 1;
        }
        self.outputs.push(Output::Connection(Box::new(row)));
    }

    /// Says so when a program that was readable is no longer.
    fn watch_for_dark(&mut self, row: &ConnectionRow) {
        let was_read = row.plaintext_sent + row.plaintext_received > 0;
        let counts = row.close_reason != "agent_stop"
            && row.enforcement != Action::Cut.name()
            && row.opaque_reason != OpaqueReason::ExcludedByPolicy.code();
        if counts
            && self
                .dark
                .connection(&row.process_executable_path, &row.container_id, was_read)
        {
            self.totals.went_dark += 1;
            self.outputs.push(Output::WentDark {
                executable: row.process_executable_path.clone(),
                server: row.server_address.clone(),
            });
        }
    }
}
