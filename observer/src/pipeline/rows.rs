//! Redaction: from facts in memory to rows that may be stored. What is not named here does not leave.

use std::net::Ipv6Addr;

use observer_common::wire::{
    AF_INET, AF_UNIX, CONNECT_EXISTING, STACK_AWS_LC, STACK_BORINGSSL, STACK_GNUTLS, STACK_GO, STACK_NSS,
    STACK_OPENSSL, STACK_SOCKET, TIE_AFTER_CALL, TIE_IN_CALL, TIE_SOCKET, TRANSPORT_UDP, TRANSPORT_UNIX,
};

use super::{Rulebook, connections::Connection, flows::Flow, sockets::TIE_BY_NAME};
use crate::{
    coverage::{OpaqueReason, Readability},
    dialect::{Place, TextRole},
    evidence::{ConnectionRow, FindingRow, InteractionRow, Severity},
    exchange::Exchange,
    identity::Identity,
    policy::Subject,
    protocol::Side,
    sensitive::{self, Finding, ScanReport},
};

/// Everything was read.
pub(super) const DECODED: &str = "decoded";
/// Something was not.
pub(super) const PARTIAL: &str = "partial";
/// Nothing was.
const OPAQUE: &str = "opaque";

/// Longest text that is taken over from the wire into a row.
const MAX_TEXT: usize = 512;

/// Row of an exchange.
pub(super) fn interaction(
    book: &Rulebook,
    flow: &Flow,
    connection: Option<&Connection>,
    exchange: &Exchange,
    report: &ScanReport,
    wall_offset_ns: i64,
) -> InteractionRow {
    let mut row = InteractionRow::unknown();
    row.ts = wall(exchange.started_ns, wall_offset_ns);
    row.duration_ns = exchange.ended_ns.saturating_sub(exchange.started_ns);
    row.time_to_first_chunk_ns = exchange
        .first_chunk_ns
        .map(|ns| ns.saturating_sub(exchange.started_ns));
    set_process(&mut row, &flow.process, book);
    set_network(&mut row, flow, connection, exchange);
    set_gen_ai(&mut row, exchange);
    set_judgement(&mut row, book, &flow.process);
    row.credential_hmac = exchange
        .credential
        .as_ref()
        .map_or([0; 16], |c| book.key.tagged("credential", &c.0));
    row.scan_bytes_seen = report.bytes_seen;
    row.scan_bytes_scanned = report.bytes_scanned;
    row.rule_pack_sha256 = book.rules_digest;
    row.catalog_version = book.catalog.version().to_owned();
    row.finding_count = u16::try_from(report.findings.len()).unwrap_or(u16::MAX);
    row
}

fn set_process(row: &mut InteractionRow, process: &Identity, book: &Rulebook) {
    row.host_name.clone_from(&book.host_name);
    row.os_type = "linux".to_owned();
    row.container_id.clone_from(&process.container_id);
    row.process_pid = process.key.pid;
    row.process_parent_pid = process.parent_pid;
    row.process_start_ns = process.key.start_ns;
    row.process_comm = text(&process.comm);
    row.process_executable_path.clone_from(&process.executable);
    row.process_ancestry = process.ancestry.iter().map(|name| text(name)).collect();
    row.user_id = process.uid;
    row.login_uid = process.login_uid;
    row.user_name.clone_from(&process.user);
}

fn set_network(row: &mut InteractionRow, flow: &Flow, connection: Option<&Connection>, exchange: &Exchange) {
    row.flow_id = flow.id;
    row.connection_id = flow.connection_id;
    row.tie = tie_name(flow.tie).to_owned();
    row.tls_stack = stack_name(flow.stack).to_owned();
    row.network_peer_address = connection.map_or(Ipv6Addr::UNSPECIFIED, Connection::peer);
    row.server_port = connection.map_or(0, |c| c.connect.peer_port);
    (row.server_address, row.name_source) = if !exchange.host.is_empty() {
        (text(&exchange.host), "http_host".to_owned())
    } else if let Some(name) = &flow.server_name {
        (text(name), "sni".to_owned())
    } else {
        connection.map_or((String::new(), "none".to_owned()), |c| {
            (text(&c.server_name), c.name_source.name().to_owned())
        })
    };
    row.http_request_method = text(&exchange.method);
    row.url_path_template = text(&exchange.path_template);
    row.http_response_status_code = exchange.status;
    row.user_agent = text(&exchange.user_agent);
    row.request_bytes = exchange.request_bytes;
    row.response_bytes = exchange.response_bytes;
    let incomplete = exchange.request_incomplete.or(exchange.response_incomplete);
    row.visibility = incomplete.map_or(DECODED, |_| PARTIAL).to_owned();
    row.visibility_reason = incomplete.map_or("", |why| why.code()).to_owned();
}

fn set_gen_ai(row: &mut InteractionRow, exchange: &Exchange) {
    let known = |value: &Option<String>| value.as_deref().map(text).unwrap_or_default();
    row.dialect = exchange.dialect.name().to_owned();
    row.dialect_evidence = exchange.evidence.name().to_owned();
    row.gen_ai_provider_name = text(&exchange.provider);
    row.gen_ai_operation_name = exchange.dialect.operation().to_owned();
    row.gen_ai_request_model = known(&exchange.request_model);
    row.gen_ai_response_model = known(&exchange.response_model);
    row.gen_ai_response_id = known(&exchange.response_id);
    row.gen_ai_conversation_id = known(&exchange.conversation_id);
    row.gen_ai_request_stream = exchange.stream;
    row.gen_ai_response_finish_reasons = exchange.finish_reasons.iter().map(|r| text(r)).collect();
    row.gen_ai_usage_input_tokens = exchange.usage.input_tokens;
    row.gen_ai_usage_output_tokens = exchange.usage.output_tokens;
    row.gen_ai_usage_cache_read_input_tokens = exchange.usage.cache_read_input_tokens;
    row.gen_ai_usage_cache_creation_input_tokens = exchange.usage.cache_creation_input_tokens;
    row.gen_ai_usage_reasoning_output_tokens = exchange.usage.reasoning_output_tokens;
    row.tool_names = exchange.tool_names.iter().map(|name| text(name)).collect();
    row.error_type = text(&exchange.error_type);
}

fn set_judgement(row: &mut InteractionRow, book: &Rulebook, process: &Identity) {
    let judgement = book.policy.evaluate(&Subject {
        provider: &row.gen_ai_provider_name,
        host: &row.server_address,
        uid: Some(process.uid),
        user: &process.user,
        executable: &process.executable,
        namespace: &row.k8s_namespace_name,
    });
    row.policy_verdict = judgement.verdict.name().to_owned();
    row.policy_rule_id = judgement.rule_id.to_owned();
    row.policy_version = judgement.policy_version.to_owned();
    row.policy_id = book.policy.id().to_owned();
    row.policy_sha256 = book.policy.digest();
}

/// Rows of the findings of an exchange. The link to the interaction is set when that has its hash.
pub(super) fn findings(book: &Rulebook, row: &InteractionRow, report: &ScanReport) -> Vec<FindingRow> {
    report
        .findings
        .iter()
        .map(|finding| one_finding(book, row, finding))
        .collect()
}

fn one_finding(book: &Rulebook, of: &InteractionRow, finding: &Finding) -> FindingRow {
    let mut row = FindingRow::unknown();
    row.ts = of.ts;
    row.finding_type = finding.class.name().to_owned();
    row.rule_id.clone_from(&finding.rule_id);
    row.rule_version.clone_from(&book.rules_version);
    row.rule_pack_sha256 = book.rules_digest;
    row.severity = severity(finding.severity);
    // A published example is never to be confused with a real value, however well its checksum fits.
    let confidence = if finding.documented_example {
        "documented_example"
    } else {
        finding.confidence.name()
    };
    row.confidence = confidence.to_owned();
    row.direction = direction(&finding.place).to_owned();
    row.json_path = text(&finding.place.path);
    row.match_count = finding.count;
    row.match_bytes = finding.bytes;
    row.value_hmac.clone_from(&finding.hmacs);
    if !finding.hmacs.is_empty() {
        row.hmac_key_id = book.key.id().to_owned();
    }
    row.server_address.clone_from(&of.server_address);
    row.gen_ai_provider_name.clone_from(&of.gen_ai_provider_name);
    row.k8s_namespace_name.clone_from(&of.k8s_namespace_name);
    row.k8s_workload_name.clone_from(&of.k8s_workload_name);
    row
}

fn severity(of: sensitive::Severity) -> Severity {
    match of {
        sensitive::Severity::Info => Severity::Info,
        sensitive::Severity::Low => Severity::Low,
        sensitive::Severity::Medium => Severity::Medium,
        sensitive::Severity::High => Severity::High,
        sensitive::Severity::Critical => Severity::Critical,
    }
}

fn direction(place: &Place) -> &'static str {
    match (place.role, place.side) {
        (TextRole::ToolArguments, _) => "tool_args",
        (TextRole::ToolResult, _) => "tool_result",
        (_, Side::Request) => "prompt",
        (_, Side::Response) => "response",
    }
}

/// Row of a connection: of one that is AI, and of one of which nothing says that it is not. `None` for others.
pub(super) fn connection(book: &Rulebook, of: &Connection, wall_offset_ns: i64) -> Option<ConnectionRow> {
    let end = of.end?;
    if !of.is_ai() && !of.is_unknown() {
        return None;
    }
    let mut row = ConnectionRow::unknown();
    row.ts = wall(of.opened_ns, wall_offset_ns);
    row.closed_ts = wall(end.at_ns, wall_offset_ns);
    row.close_reason = end.reason.to_owned();
    row.connection_id = of.id;
    row.host_name.clone_from(&book.host_name);
    set_connection_process(&mut row, &of.process);
    set_connection_network(&mut row, of);
    row.endpoint_class = endpoint_class(book, of).to_owned();
    row.catalog_version = book.catalog.version().to_owned();
    row.tls_stack = stack_name(of.stack).to_owned();
    row.tls_ech = of.encrypted_hello;
    row.bytes_sent = of.totals.map(|[sent, _]| sent);
    row.bytes_received = of.totals.map(|[_, received]| received);
    [row.plaintext_sent, row.plaintext_received] = of.plaintext;
    row.exchanges_decoded = of.decoded;
    let (visibility, reason) = visibility(of, book.excludes(&of.process.executable));
    row.visibility = visibility.to_owned();
    row.opaque_reason = reason.map_or("", OpaqueReason::code).to_owned();
    Some(row)
}

fn set_connection_network(row: &mut ConnectionRow, of: &Connection) {
    row.socket_fd = of.connect.fd;
    row.network_transport = match of.connect.transport {
        TRANSPORT_UDP => "udp",
        TRANSPORT_UNIX => "unix",
        _ => "tcp",
    }
    .to_owned();
    row.network_family = match of.connect.family {
        AF_UNIX => "unix",
        AF_INET => "ipv4",
        _ => "ipv6",
    }
    .to_owned();
    row.network_peer_address = of.peer();
    row.network_local_port = of.connect.local_port;
    row.server_port = of.connect.peer_port;
    row.server_address = text(&of.server_name);
    row.name_source = of.name_source.name().to_owned();
}

fn endpoint_class(book: &Rulebook, of: &Connection) -> &'static str {
    if book.catalog.host_is_ai(&of.server_name) {
        "ai_known"
    } else if of.is_ai() {
        "ai_suspected"
    } else {
        "unknown"
    }
}

/// Name of a TLS stack (`wire::STACK_*`); empty when none gave plaintext.
fn stack_name(stack: u8) -> &'static str {
    match stack {
        STACK_OPENSSL => "openssl",
        STACK_BORINGSSL => "boringssl",
        STACK_GNUTLS => "gnutls",
        STACK_GO => "go",
        STACK_NSS => "nss",
        STACK_AWS_LC => "rustls_aws_lc",
        STACK_SOCKET => "none",
        _ => "",
    }
}

fn set_connection_process(row: &mut ConnectionRow, process: &Identity) {
    row.container_id.clone_from(&process.container_id);
    row.process_pid = process.key.pid;
    row.process_parent_pid = process.parent_pid;
    row.process_start_ns = process.key.start_ns;
    row.process_comm = text(&process.comm);
    row.process_executable_path.clone_from(&process.executable);
    row.process_ancestry = process.ancestry.iter().map(|name| text(name)).collect();
    row.user_id = process.uid;
    row.login_uid = process.login_uid;
    row.user_name.clone_from(&process.user);
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
        // It was over before it was examined.
        Readability::Unknown => OpaqueReason::AttachedLate,
    }
}

fn tie_name(tie: u8) -> &'static str {
    match tie {
        TIE_IN_CALL => "in_call",
        TIE_AFTER_CALL => "after_call",
        TIE_SOCKET => "socket",
        TIE_BY_NAME => "server_name",
        _ => "none",
    }
}

/// Wall clock, ns since the Unix epoch, of a time of CLOCK_BOOTTIME.
pub(super) fn wall(boot_ns: u64, offset_ns: i64) -> i64 {
    i64::try_from(boot_ns)
        .unwrap_or(i64::MAX)
        .saturating_add(offset_ns)
}

/// A text from the wire or from a process as it may be stored: bounded, and without control characters, which could
/// speak to a terminal.
fn text(raw: &str) -> String {
    let mut end = raw.len().min(MAX_TEXT);
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    raw[..end]
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_freed_of_control_characters() {
        assert_eq!(text("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        let long = "ü".repeat(MAX_TEXT);
        assert_eq!(text(&long).len(), MAX_TEXT);
        assert_eq!(text(&format!("a{long}")).len(), MAX_TEXT - 1);
    }

    #[test]
    fn times_beyond_the_range_do_not_overflow() {
        assert_eq!(wall(5, -7), -2);
        assert_eq!(wall(u64::MAX, i64::MAX), i64::MAX);
    }
}
