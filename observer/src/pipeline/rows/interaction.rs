//! Row of an exchange.

use std::net::Ipv6Addr;

use observer_common::wire::STACK_STDIO;

use super::{
    super::{Rulebook, agents::Session, connections::Connection, flows::Flow},
    DECODED, Of, PARTIAL, judgement, set_identity, set_place, stack_name, text, tie_name, transport_name,
    wall,
};
use crate::{
    evidence::{InteractionRow, LOGIN_UID_UNSET},
    exchange::{AccountKind, ClientKind, Exchange, ToolUses},
    identity::Identity,
    kubernetes::Where,
    sensitive,
};

/// Row of an exchange.
pub(in super::super) fn interaction(book: &Rulebook, of: &Of<'_>, wall_offset_ns: i64) -> InteractionRow {
    let (exchange, report) = (of.exchange, of.report);
    let mut row = InteractionRow::unknown();
    row.ts = wall(exchange.started_ns, wall_offset_ns);
    row.duration_ns = exchange.ended_ns.saturating_sub(exchange.started_ns);
    row.time_to_first_chunk_ns = exchange
        .first_chunk_ns
        .map(|ns| ns.saturating_sub(exchange.started_ns));
    row.time_to_first_byte_ns = exchange
        .first_response_ns
        .map(|ns| ns.saturating_sub(exchange.started_ns));
    set_process(&mut row, of.flow.client(), book);
    set_place!(&mut row, of.flow.client(), &of.place);
    set_network(&mut row, of.flow, of.connection, exchange);
    if of.flow.stack == STACK_STDIO {
        let server = &of.flow.process;
        row.mcp_server_executable = text(&server.executable);
        row.mcp_server_executable_sha256 = server.executable_digest.get().copied().unwrap_or_default();
    }
    set_gen_ai(&mut row, exchange);
    row.mcp_server_name = text(&of.mcp_server.name);
    row.mcp_server_version = text(&of.mcp_server.version);
    row.gen_ai_conversation_id = text(of.conversation);
    set_tools(&mut row, exchange);
    set_limits(&mut row, exchange);
    set_account(&mut row, book, exchange);
    set_client(&mut row, exchange, of.session);
    judgement::set_judgement(&mut row, book, of);
    row.scan_bytes_seen = report.bytes_seen;
    row.scan_bytes_scanned = report.bytes_scanned;
    let ends = [exchange.request_incomplete, exchange.response_incomplete];
    let gaps = sensitive::gaps(report, exchange.binary_bytes, ends);
    row.scan_gaps = gaps.into_iter().map(|gap| gap.name().to_owned()).collect();
    row.rule_pack_sha256 = book.rules_digest;
    row.catalog_version = book.catalog.version().to_owned();
    row.finding_count = u16::try_from(report.findings.len()).unwrap_or(u16::MAX);
    row
}

fn set_process(row: &mut InteractionRow, process: &Identity, book: &Rulebook) {
    row.host_name.clone_from(&book.host_name);
    row.os_type = "linux".to_owned();
    set_identity!(row, process);
    row.process_executable_sha256 = process.executable_digest.get().copied().unwrap_or_default();
}

/// Whose account, and which prompt: keyed hashes, and names that are none of a person. The key itself goes nowhere.
fn set_account(row: &mut InteractionRow, book: &Rulebook, exchange: &Exchange) {
    let (account, key) = (&exchange.account, &book.key);
    if let Some(credential) = &exchange.credential {
        row.credential_hmac = key.tagged("credential", &credential.0);
    }
    let kind = account.kind.map_or("", AccountKind::name);
    if let Some(stable) = &account.stable_id {
        row.account_hmac = key.tagged(&format!("account|{kind}"), &stable.0);
        row.account_evidence = "claimed".to_owned();
    } else if exchange.credential.is_some() {
        row.account_hmac = row.credential_hmac;
        row.account_evidence = "credential".to_owned();
    }
    row.account_kind = kind.to_owned();
    if let Some(prompt) = &exchange.ties.prompt {
        row.prompt_hmac = key.whole("prompt", prompt);
    }
    if row.account_hmac != [0; 16] || exchange.ties.prompt.is_some() {
        row.hmac_key_id = key.id().to_owned();
    }
    if let Some(organization) = &account.organization {
        row.account_organization = text(&organization.value);
        row.account_organization_source = organization.source.name().to_owned();
    }
    row.account_project = account
        .project
        .as_ref()
        .map(|claim| text(&claim.value))
        .unwrap_or_default();
    let claimed = |claim: &Option<String>| claim.as_deref().map(text).unwrap_or_default();
    row.account_claimed_issuer = claimed(&account.issuer);
    row.account_claimed_subject = claimed(&account.subject);
    row.account_claimed_plan = claimed(&account.plan);
}

fn set_client(row: &mut InteractionRow, exchange: &Exchange, session: Option<&Session>) {
    let client = &exchange.client;
    row.client_name.clone_from(&client.name);
    row.client_version.clone_from(&client.version);
    row.client_kind = client.kind.map_or("", ClientKind::name).to_owned();
    row.sdk_name.clone_from(&client.sdk);
    row.sdk_version.clone_from(&client.sdk_version);
    if let Some(session) = session {
        row.agent_name.clone_from(&session.agent);
        row.agent_session_id.clone_from(&session.id);
    }
}

fn set_network(row: &mut InteractionRow, flow: &Flow, connection: Option<&Connection>, exchange: &Exchange) {
    row.flow_id = flow.id;
    row.connection_id = flow.connection_id;
    row.tie = tie_name(flow.tie).to_owned();
    row.tls_stack = stack_name(flow.stack).to_owned();
    row.network_transport = match (flow.stack, connection) {
        // A pair of sockets serves as a pipe, too (Node).
        (STACK_STDIO, _) => "pipe",
        (_, connection) => connection.map_or("", transport_name),
    }
    .to_owned();
    row.network_peer_address = connection.map_or(Ipv6Addr::UNSPECIFIED, Connection::peer);
    flow.role.name().clone_into(&mut row.role);
    row.server_port = connection.map_or(0, Connection::server_port);
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
    let incomplete = exchange.incomplete();
    row.visibility = incomplete.map_or(DECODED, |_| PARTIAL).to_owned();
    row.visibility_reason = incomplete.map_or("", |why| why.code()).to_owned();
}

fn set_gen_ai(row: &mut InteractionRow, exchange: &Exchange) {
    let known = |value: &Option<String>| value.as_deref().map(text).unwrap_or_default();
    row.dialect = exchange.dialect.name().to_owned();
    row.dialect_evidence = exchange.evidence.name().to_owned();
    row.gen_ai_provider_name = text(&exchange.provider);
    row.gen_ai_operation_name = exchange.operation.to_owned();
    row.mcp_method_name = text(&exchange.rpc.method);
    row.mcp_session_id = known(&exchange.rpc.session);
    row.mcp_protocol_version = known(&exchange.rpc.version);
    row.gen_ai_request_model = known(&exchange.request_model);
    row.gen_ai_response_model = known(&exchange.response_model);
    row.gen_ai_response_id = known(&exchange.response_id);
    row.gen_ai_request_stream = exchange.stream;
    row.gen_ai_response_finish_reasons = exchange.finish_reasons.iter().map(|r| text(r)).collect();
    row.gen_ai_usage_input_tokens = exchange.usage.input_tokens;
    row.gen_ai_usage_output_tokens = exchange.usage.output_tokens;
    row.gen_ai_usage_cache_read_input_tokens = exchange.usage.cache_read_input_tokens;
    row.gen_ai_usage_cache_creation_input_tokens = exchange.usage.cache_creation_input_tokens;
    row.gen_ai_usage_reasoning_output_tokens = exchange.usage.reasoning_output_tokens;
    row.tool_names = exchange.tool_names.iter().map(|name| text(name)).collect();
    row.gen_ai_usage_input_audio_tokens = exchange.usage.input_audio_tokens;
    row.gen_ai_usage_output_audio_tokens = exchange.usage.output_audio_tokens;
    row.previous_response_id = known(&exchange.previous_response_id);
    row.response_request_id = known(&exchange.request_id);
    row.trace_id = known(&exchange.ties.trace);
    row.client_request_id = known(&exchange.ties.request);
    row.error_type = text(&exchange.error_type);
    row.error_class = exchange.error_class.to_owned();
}

fn set_tools(row: &mut InteractionRow, exchange: &Exchange) {
    let listed = |uses: &Option<ToolUses>| {
        let first = uses.iter().flat_map(|uses| &uses.first);
        first.map(|one| (text(&one.name), one.bytes)).unzip()
    };
    row.tool_call_count = exchange.tool_calls.as_ref().map(|uses| uses.count);
    (row.tool_call_names, row.tool_call_bytes) = listed(&exchange.tool_calls);
    row.tool_result_count = exchange.tool_results.as_ref().map(|uses| uses.count);
    (row.tool_result_names, row.tool_result_bytes) = listed(&exchange.tool_results);
}

fn set_limits(row: &mut InteractionRow, exchange: &Exchange) {
    let limits = &exchange.rate_limits;
    row.ratelimit_requests_limit = limits.requests.limit;
    row.ratelimit_requests_remaining = limits.requests.remaining;
    row.ratelimit_requests_reset_ms = limits.requests.reset_ms;
    row.ratelimit_tokens_limit = limits.tokens.limit;
    row.ratelimit_tokens_remaining = limits.tokens.remaining;
    row.ratelimit_tokens_reset_ms = limits.tokens.reset_ms;
    row.retry_after_ms = limits.retry_after_ms;
}
