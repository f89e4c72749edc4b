//! Enforcement's part of the pipeline: what is learned goes to the guard, what was decided comes to its rows.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use observer_common::wire::{ENFORCED_DENIED, Enforced, Header, TRANSPORT_UDP};

use super::{Output, Pipeline, Rulebook, rows};
use crate::{
    config::mapped,
    coverage::Stage,
    enforce::{Action, By, Decision, Decisions, Guard, Settings},
    evidence::ConnectionRow,
    identity::Identity,
    kubernetes::{Cluster, Where},
    protocol::dns::Resolved,
};

/// What is kept for it; nothing where it is switched off.
#[derive(Default)]
pub(super) struct Enforcement {
    guard: Option<Guard>,
    decisions: Decisions,
}

/// What was decided about a connection that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub action: Action,
    pub rule_id: Arc<str>,
    pub attempts: u32,
}

/// Decisions by action, and addresses that are closed to somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnforcementTotals {
    /// In the order of `enforce::Action::NAMES`.
    pub decisions: [u64; Action::NAMES.len()],
    /// At the moment.
    pub closed_addresses: u64,
    /// Something may be stopped at the moment.
    pub active: bool,
}

impl EnforcementTotals {
    /// Words of `decisions`.
    pub const ACTIONS: [&'static str; Action::NAMES.len()] = Action::NAMES;
}

fn by<'a>(book: &'a Rulebook, cluster: &'a Cluster) -> By<'a> {
    By {
        cluster,
        judge: &book.judge,
        catalog: &book.catalog,
        machine: &book.host_name,
    }
}

impl Pipeline {
    /// From now on connections are stopped, as far as these settings go.
    pub fn enforce(&mut self, settings: Settings) {
        self.enforcement.guard = Some(Guard::new(settings));
        self.enforcement_changes();
    }

    /// Stops nothing more, or goes on; `true` where that is a change.
    pub fn release_enforcement(&mut self, released: bool) -> bool {
        let Some(guard) = &mut self.enforcement.guard else {
            return false;
        };
        let was = guard.is_active();
        guard.release(released);
        was != guard.is_active()
    }

    /// Whether something may be stopped at the moment.
    pub fn enforces(&self) -> bool {
        self.enforcement.guard.as_ref().is_some_and(Guard::is_active)
    }

    /// What enforcement did so far.
    pub fn enforcement_totals(&self) -> EnforcementTotals {
        EnforcementTotals {
            decisions: self.totals.enforced,
            closed_addresses: self.enforcement.guard.as_ref().map_or(0, Guard::closed) as u64,
            active: self.enforces(),
        }
    }

    /// Another policy judges.
    pub(super) fn guard_anew(&mut self) {
        let wall_ns = rows::wall(self.now_ns, self.wall_offset_ns);
        if let Some(guard) = &mut self.enforcement.guard {
            guard.judged_by(by(&self.book, &self.cluster), wall_ns);
            self.enforcement_changes();
        }
    }

    /// Pods of this node have other names.
    pub(super) fn guard_pods(&mut self, now_ns: u64) {
        let wall_ns = rows::wall(now_ns, self.wall_offset_ns);
        if let Some(guard) = &mut self.enforcement.guard {
            guard.pods_changed(by(&self.book, &self.cluster), wall_ns);
            self.enforcement_changes();
        }
    }

    /// A process wrote a record.
    pub(super) fn guard_sees(&mut self, header: &Header, process: &Arc<Identity>) {
        let wall_ns = rows::wall(header.time_ns, self.wall_offset_ns);
        if let Some(guard) = &mut self.enforcement.guard {
            guard.seen(by(&self.book, &self.cluster), header.uid, process, wall_ns);
            self.enforcement_changes();
        }
    }

    pub(super) fn guard_process_ended(&mut self, process: &Identity) {
        if let Some(guard) = &mut self.enforcement.guard {
            guard.ended(process.key);
            self.enforcement_changes();
        }
    }

    /// Name servers gave these addresses for a name, as the host itself was told (`of_host`) or any program.
    pub(super) fn guard_named(&mut self, name: &str, resolved: &[Resolved], of_host: bool, now_ns: u64) {
        let wall_ns = rows::wall(now_ns, self.wall_offset_ns);
        let Some(guard) = &mut self.enforcement.guard else {
            return;
        };
        for one in resolved {
            let address = mapped(one.address);
            // A program can make its answers up, and these addresses have no owner whose name anybody else would ask for: it would close
            // the host's own services to everybody. A connection of its own is cut.
            if is_local(one.address) && !of_host && !guard.knows(address) {
                continue;
            }
            let names = self.sockets.names_of(address, now_ns);
            guard.named(by(&self.book, &self.cluster), (address, name), names, wall_ns);
        }
        self.enforcement_changes();
    }

    fn enforcement_changes(&mut self) {
        let changes = self
            .enforcement
            .guard
            .as_mut()
            .map(Guard::changes)
            .unwrap_or_default();
        self.outputs.extend(changes.into_iter().map(Output::Enforce));
    }

    /// The kernel decided about a call.
    pub(super) fn enforced(&mut self, header: &Header, body: &Enforced, process: &Arc<Identity>) {
        let Some(guard) = &self.enforcement.guard else {
            return;
        };
        let action = if body.action == ENFORCED_DENIED {
            Action::Denied
        } else {
            Action::DryRun
        };
        let peer = Ipv6Addr::from(body.peer_address);
        let own_name = self.sockets.name_of(peer, process, header.time_ns);
        let decision = Decision {
            action,
            rule_id: guard.rule(body.rule),
            process: Arc::clone(process),
            peer,
            port: body.peer_port,
            transport: body.transport,
            name: own_name.unwrap_or_else(|| guard.name_of(peer)).to_owned(),
            times_ns: (header.time_ns, header.time_ns),
            attempts: 1,
        };
        self.totals.enforced[action as usize] += 1;
        if let Some(pushed_out) = self.enforcement.decisions.take(decision) {
            self.decision_row(&pushed_out);
        }
    }

    /// A connection that a dry run let go was made; and every one is looked at when it has a name.
    pub(super) fn guard_connection(&mut self, id: u64, now_ns: u64) {
        let Some(guard) = &self.enforcement.guard else {
            return;
        };
        let Some(connection) = self
            .connections
            .peer(id)
            .filter(|c| c.decided.is_none() && !c.serves())
        else {
            return;
        };
        let peer = (connection.peer(), connection.connect.peer_port);
        let (process, transport) = (&connection.process, connection.connect.transport);
        if let Some(decision) = self.enforcement.decisions.let_go(process.key, peer, transport) {
            let decided = Decided {
                action: Action::DryRun,
                rule_id: decision.rule_id,
                attempts: decision.attempts,
            };
            self.connections.decide(id, decided);
            return;
        }
        if connection.end.is_some() || !self.connections.name_is_new(id) {
            return;
        }
        let wall_ns = rows::wall(now_ns, self.wall_offset_ns);
        let verdict = guard.cuts(
            by(&self.book, &self.cluster),
            &connection.server_name,
            process,
            peer,
            wall_ns,
        );
        self.connections.name_was_judged(id);
        let Some(verdict) = verdict else { return };
        if verdict.dry_run {
            self.totals.enforced[Action::DryRun as usize] += 1;
            let decided = Decided {
                action: Action::DryRun,
                rule_id: verdict.rule_id,
                attempts: 1,
            };
            self.connections.decide(id, decided);
        } else if let Some(connection) = self.connections.peer(id) {
            self.outputs.push(Output::Cut {
                connection_id: id,
                rule_id: verdict.rule_id,
                process: connection.process.key,
                connect: connection.connect,
            });
        }
    }

    /// What became of a connection that was to be cut.
    pub fn was_cut(&mut self, connection_id: u64, rule_id: Arc<str>, done: bool) {
        let action = if done { Action::Cut } else { Action::CutFailed };
        self.totals.enforced[action as usize] += 1;
        let decided = Decided {
            action,
            rule_id,
            attempts: 1,
        };
        if !self.connections.decide(connection_id, decided) {
            // Its row was written: it was over before anything could be cut.
            self.ledger.lose(Stage::Flow, "cut_too_late", 0);
        }
    }

    /// Rows of decisions that are due.
    pub(super) fn decisions_due(&mut self, now_ns: u64) {
        for decision in self.enforcement.decisions.due(now_ns) {
            self.decision_row(&decision);
        }
        if let Some(guard) = &mut self.enforcement.guard {
            guard.tick(now_ns);
            self.enforcement_changes();
        }
    }

    /// Rows of all decisions, at the end of the daemon.
    pub(super) fn decisions_end(&mut self) {
        for decision in self.enforcement.decisions.drain() {
            self.decision_row(&decision);
        }
    }

    fn decision_row(&mut self, decision: &Decision) {
        let process = &decision.process;
        let place = self.cluster.find(process.pod_keys());
        let row = row_of(&self.book, decision, &place, self.wall_offset_ns);
        self.outputs.push(Output::Connection(Box::new(row)));
    }
}

/// Whether an address is one of this host or its own networks.
fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_unspecified()
                || is_shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6.is_unspecified()
        }
    }
}

/// Row of calls that were denied, or that a dry run let go without a connection coming of it. Nothing passed.
fn row_of(book: &Rulebook, of: &Decision, place: &Where<'_>, wall_offset_ns: i64) -> ConnectionRow {
    let mut row = ConnectionRow::unknown();
    let (first_ns, last_ns) = of.times_ns;
    row.ts = rows::wall(first_ns, wall_offset_ns);
    row.closed_ts = rows::wall(last_ns, wall_offset_ns);
    row.host_name.clone_from(&book.host_name);
    rows::set_connection_process(&mut row, &of.process, place);
    row.socket_fd = -1;
    let is_udp = of.transport == TRANSPORT_UDP;
    row.network_transport = if is_udp { "udp" } else { "tcp" }.to_owned();
    let is_v4 = of.peer.to_ipv4_mapped().is_some();
    row.network_family = if is_v4 { "ipv4" } else { "ipv6" }.to_owned();
    row.network_peer_address = of.peer;
    row.server_port = of.port;
    row.server_address = rows::text(&of.name);
    row.name_source = if of.name.is_empty() { "none" } else { "dns" }.to_owned();
    let known = book.catalog.host_is_ai(&of.name);
    row.endpoint_class = if known { "ai_known" } else { "ai_suspected" }.to_owned();
    row.catalog_version = book.catalog.version().to_owned();
    row.bytes_sent = Some(0);
    row.bytes_received = Some(0);
    row.visibility = "none".to_owned();
    let is_denied = of.action == Action::Denied;
    row.close_reason = if is_denied { "denied" } else { "no_connection" }.to_owned();
    rows::set_connection_judgement(&mut row, book, &of.process);
    row.enforcement = of.action.name().to_owned();
    row.enforcement_rule_id = of.rule_id.to_string();
    row.enforcement_attempts = of.attempts;
    row
}
