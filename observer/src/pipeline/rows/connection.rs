//! Row of a connection.

use observer_common::wire::{AF_INET, AF_UNIX, CONNECT_EXISTING, TRANSPORT_UDP};

use super::{
    super::{Rulebook, connections::Connection},
    DECODED, OPAQUE, PARTIAL,
    judgement::set_connection_judgement,
    set_identity, set_place, stack_name, text, transport_name, wall,
};
use crate::{
    coverage::{OpaqueReason, Readability},
    enforce::Action,
    evidence::{ConnectionRow, LOGIN_UID_UNSET},
    identity::Identity,
    kubernetes::Where,
};

/// Row of a connection: of one that is AI, and of one of which nothing says that it is not. `None` for others, and for one on which the
/// process answered nothing but what is read at the caller's side.
pub(in super::super) fn connection(
    book: &Rulebook,
    of: &Connection,
    place: &Where<'_>,
    wall_offset_ns: i64,
) -> Option<ConnectionRow> {
    let end = of.end?;
    let is_hub = is_hub(book, of);
    let is_wanted = if of.serves() {
        of.decoded > 0
    } else {
        of.is_ai() || of.is_unknown() || of.decided.is_some() || is_hub
    };
    if !is_wanted {
        return None;
    }
    let mut row = ConnectionRow::unknown();
    row.ts = wall(of.opened_ns, wall_offset_ns);
    row.closed_ts = wall(end.at_ns, wall_offset_ns);
    row.close_reason = end.reason.to_owned();
    row.connection_id = of.id;
    row.host_name.clone_from(&book.host_name);
    set_connection_process(&mut row, &of.process, place);
    set_connection_network(&mut row, of);
    row.endpoint_class = endpoint_class(book, of).to_owned();
    row.catalog_version = book.catalog.version().to_owned();
    row.tls_stack = stack_name(of.stack).to_owned();
    row.tls_ech = of.encrypted_hello;
    row.bytes_sent = of.totals.map(|[sent, _]| sent);
    row.bytes_received = of.totals.map(|[_, received]| received);
    [row.plaintext_sent, row.plaintext_received] = of.plaintext;
    row.exchanges_decoded = of.decoded;
    // What is fetched from a hub is no use of AI that could be read.
    let (visibility, reason) = match is_hub {
        true => ("none", None),
        false => visibility(of, book.excludes(&of.process.executable)),
    };
    row.model_repository = of.repository.clone().unwrap_or_default();
    row.visibility = visibility.to_owned();
    row.opaque_reason = reason.map_or("", OpaqueReason::code).to_owned();
    set_connection_judgement(&mut row, book, &of.process);
    if let Some(decided) = &of.decided {
        decided.action.name().clone_into(&mut row.enforcement);
        row.enforcement_rule_id = decided.rule_id.to_string();
        row.enforcement_attempts = decided.attempts;
        if decided.action == Action::Cut {
            "cut".clone_into(&mut row.close_reason);
        }
    }
    Some(row)
}

fn set_connection_network(row: &mut ConnectionRow, of: &Connection) {
    row.socket_fd = of.connect.fd;
    row.network_transport = transport_name(of).to_owned();
    row.network_family = match of.connect.family {
        AF_UNIX => "unix",
        AF_INET => "ipv4",
        _ => "ipv6",
    }
    .to_owned();
    row.network_peer_address = of.peer();
    row.network_local_port = of.connect.local_port;
    row.server_port = of.server_port();
    row.server_address = text(&of.server_name);
    row.name_source = of.name_source.name().to_owned();
}

/// Whether a connection goes to a hub of models and data sets, and asks no model there.
pub(in super::super) fn is_hub(book: &Rulebook, of: &Connection) -> bool {
    let is_other = !of.is_ai() && of.decided.is_none() && !of.serves();
    is_other && book.catalog.host_is_hub(&of.server_name)
}

fn endpoint_class(book: &Rulebook, of: &Connection) -> &'static str {
    if of.serves() {
        "served"
    } else if is_hub(book, of) {
        "model_hub"
    } else if book.catalog.host_is_ai(&of.server_name) {
        "ai_known"
    } else if of.is_ai() || of.decided.is_some() {
        "ai_suspected"
    } else {
        "unknown"
    }
}

pub(in super::super) fn set_connection_process(
    row: &mut ConnectionRow,
    process: &Identity,
    place: &Where<'_>,
) {
    set_place!(row, process, place);
    set_identity!(row, process);
}

/// Visibility of a connection and, when it was not decoded whole, the one reason.
fn visibility(of: &Connection, excluded: bool) -> (&'static str, Option<OpaqueReason>) {
    match (of.decoded, of.partial, of.lost) {
        (1.., 0, false) => (DECODED, None),
        (1.., _, true) => (PARTIAL, Some(OpaqueReason::LostEvents)),
        (1.., _, false) => (PARTIAL, Some(OpaqueReason::Truncated)),
        _ => (OPAQUE, Some(opaque_reason(of, excluded))),
    }
}

/// Why nothing of a connection was decoded: what was seen of it first, then what is known about its process.
fn opaque_reason(of: &Connection, excluded: bool) -> OpaqueReason {
    if excluded {
        return OpaqueReason::ExcludedByPolicy;
    }
    if of.unsupported.is_some() {
        return OpaqueReason::ParseFailed;
    }
    if of.lost {
        return OpaqueReason::LostEvents;
    }
    if of.plaintext != [0, 0] {
        return OpaqueReason::NoAiExchange;
    }
    if of.connect.transport == TRANSPORT_UDP {
        return OpaqueReason::Quic;
    }
    match of.readability {
        Readability::Opaque(reason) => reason,
        _ if of.connect.flags & CONNECT_EXISTING != 0 => OpaqueReason::StartedBeforeAgent,
        Readability::Readable { since_ns } if since_ns > of.opened_ns => OpaqueReason::AttachedLate,
        // The handshake failed, or nothing was asked.
        Readability::Readable { .. } => OpaqueReason::NoPlaintext,
        Readability::NoStack { looked_ns } if saw_all(of, looked_ns) => OpaqueReason::NoProbe,
        // It was over before it was examined.
        Readability::NoStack { .. } | Readability::Unknown => OpaqueReason::AttachedLate,
    }
}

/// Whether a process that was looked at then had its libraries: it had begun the connection, or was no longer starting. One that ended a few
/// milliseconds after its start was seen with the first of them only.
fn saw_all(of: &Connection, looked_ns: u64) -> bool {
    const STARTING_NS: u64 = 400_000_000;
    looked_ns >= of.opened_ns || looked_ns.saturating_sub(of.process.key.start_ns) >= STARTING_NS
}
