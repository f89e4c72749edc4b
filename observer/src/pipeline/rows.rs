//! Redaction: from facts in memory to rows that may be stored. What is not named here does not leave.

use std::net::Ipv6Addr;

use observer_common::wire::{
    AF_INET, AF_UNIX, CONNECT_EXISTING, STACK_AWS_LC, STACK_BORINGSSL, STACK_GNUTLS, STACK_GO, STACK_NSS,
    STACK_OPENSSL, STACK_SOCKET, STACK_STDIO, TIE_AFTER_CALL, TIE_IN_CALL, TIE_SOCKET, TRANSPORT_UDP,
    TRANSPORT_UNIX,
};

use super::{Rulebook, agents::Session, connections::Connection, flows::Flow, sockets::TIE_BY_NAME};
use crate::{
    coverage::{OpaqueReason, Readability},
    dialect::{Place, TextRole},
    enforce::Action,
    evidence::{ConnectionRow, FindingRow, InteractionRow, LOGIN_UID_UNSET, Severity},
    exchange::{AccountKind, ClientKind, Exchange, ToolUses},
    identity::Identity,
    kubernetes::Where,
    policy::{Attribute, FindingFact, Judgement, Subject, Verdict},
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

/// What the row of an exchange is made of.
pub(super) struct Of<'a> {
    pub flow: &'a Flow,
    pub connection: Option<&'a Connection>,
    pub exchange: &'a Exchange,
    pub report: &'a ScanReport,
    pub session: Option<&'a Session>,
    pub place: Where<'a>,
}

/// Where a process runs, in interactions and connections. The uid of a pod stands in the path of its control group; all else is known from
/// the API server only.
macro_rules! set_place {
    ($row:expr, $process:expr, $place:expr) => {{
        let (process, place): (&Identity, &Where<'_>) = ($process, $place);
        let row = &mut *$row;
        row.k8s_cluster_name = place.cluster.to_owned();
        row.k8s_node_name = place.node.to_owned();
        row.k8s_pod_uid.clone_from(&process.pod_uid);
        if let Some(pod) = place.pod {
            row.k8s_pod_uid.clone_from(&pod.uid);
            row.k8s_namespace_name.clone_from(&pod.namespace);
            row.k8s_pod_name.clone_from(&pod.pod);
            row.k8s_workload_kind.clone_from(&pod.workload_kind);
            row.k8s_workload_name.clone_from(&pod.workload);
            row.k8s_service_account.clone_from(&pod.service_account);
        }
        if let Some(container) = place.container {
            row.k8s_container_name.clone_from(&container.name);
            row.container_image_name.clone_from(&container.image);
            row.container_image_digest.clone_from(&container.digest);
        }
    }};
}

/// Row of an exchange.
pub(super) fn interaction(book: &Rulebook, of: &Of<'_>, wall_offset_ns: i64) -> InteractionRow {
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
    set_tools(&mut row, exchange);
    set_limits(&mut row, exchange);
    set_account(&mut row, book, exchange);
    set_client(&mut row, exchange, of.session);
    set_judgement(&mut row, book, of);
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
    row.container_id.clone_from(&process.container_id);
    row.process_pid = process.key.pid;
    row.process_parent_pid = process.parent_pid;
    row.process_start_ns = process.key.start_ns;
    row.process_comm = text(&process.comm);
    row.process_executable_path = text(&process.executable);
    row.process_ancestry = process.ancestry.iter().map(|above| text(&above.comm)).collect();
    row.process_executable_sha256 = process.executable_digest.get().copied().unwrap_or_default();
    row.user_id = process.uid;
    row.login_uid = process.login_uid;
    row.user_name.clone_from(&process.user);
    let lineage = &process.lineage;
    row.login_user_name.clone_from(&lineage.login_user);
    row.audit_session_id = lineage.audit_session;
    row.process_tty.clone_from(&lineage.tty);
    row.ssh_client_address = lineage
        .ssh_client
        .map(|address| address.to_string())
        .unwrap_or_default();
    row.invoking_user_id = lineage.invoking_uid.unwrap_or(LOGIN_UID_UNSET);
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
    row.mcp_server_name = text(&exchange.rpc.server.name);
    row.mcp_server_version = text(&exchange.rpc.server.version);
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

fn set_judgement(row: &mut InteractionRow, book: &Rulebook, of: &Of<'_>) {
    let process = of.flow.client();
    let findings: Vec<FindingFact<'_>> = of.report.findings.iter().filter_map(finding_fact).collect();
    let host = row.server_address.to_ascii_lowercase();
    let words = ProcessWords::of(process);
    let fingerprint = if row.account_hmac == [0; 16] {
        String::new()
    } else {
        hex::encode(row.account_hmac)
    };
    let mut subject = Subject::at(row.ts, &findings);
    let facts = [
        (Attribute::Provider, &row.gen_ai_provider_name),
        (Attribute::Host, &host),
        (Attribute::Model, &row.gen_ai_request_model),
        (Attribute::Model, &row.gen_ai_response_model),
        (Attribute::Operation, &row.gen_ai_operation_name),
        (Attribute::Path, &row.url_path_template),
        (Attribute::Namespace, &row.k8s_namespace_name),
        (Attribute::Workload, &row.k8s_workload_name),
        (Attribute::ServiceAccount, &row.k8s_service_account),
        (Attribute::Client, &row.client_name),
        (Attribute::ClaimedAccount, &row.account_claimed_subject),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
    account_facts(&mut subject, row, &fingerprint);
    set_process_facts(&mut subject, process, &words, &book.host_name);
    let judgement = book.judge.judge(&subject);
    let (verdict, reason) = (judgement.verdict.name(), judgement.reason.name());
    let rule_id = judgement.rule_id.to_owned();
    let entry = entry_of(&judgement);
    (row.policy_verdict, row.policy_reason, row.policy_rule_id) =
        (verdict.to_owned(), reason.to_owned(), rule_id);
    (row.register_entry_id, row.ai_system) = entry;
    row.policy_version = book.judge.policy.version().to_owned();
    row.policy_id = book.judge.policy.id().to_owned();
    row.policy_sha256 = book.judge.policy.digest();
    row.register_sha256 = book.judge.register_digest();
}

/// What proves an account, and what is only said about one.
fn account_facts<'a>(subject: &mut Subject<'a>, row: &'a InteractionRow, fingerprint: &'a str) {
    let sure = |is_sure: bool| {
        if is_sure {
            Attribute::Account
        } else {
            Attribute::ClaimedAccount
        }
    };
    subject.add(sure(row.account_evidence == "credential"), fingerprint);
    let named = sure(row.account_organization_source != "claimed");
    subject.add(named, &row.account_organization);
    // A project is the address's where the organisation is, and else the client's word.
    subject.add(
        sure(row.account_organization_source == "address"),
        &row.account_project,
    );
}

/// Facts about a process that have to be written as words first.
struct ProcessWords {
    uid: String,
    login_uid: String,
    sha256: String,
}

impl ProcessWords {
    fn of(process: &Identity) -> Self {
        Self {
            uid: process.uid.to_string(),
            login_uid: login(process).map(|uid| uid.to_string()).unwrap_or_default(),
            sha256: process
                .executable_digest
                .get()
                .map(hex::encode)
                .unwrap_or_default(),
        }
    }
}

fn set_process_facts<'a>(
    subject: &mut Subject<'a>,
    process: &'a Identity,
    words: &'a ProcessWords,
    machine: &'a str,
) {
    let facts = [
        (Attribute::User, process.user.as_str()),
        (Attribute::User, &words.uid),
        (Attribute::LoginUser, &process.lineage.login_user),
        (Attribute::LoginUser, &words.login_uid),
        (Attribute::Executable, &process.executable),
        (Attribute::ExecutableSha256, &words.sha256),
        (Attribute::Machine, machine),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
}

fn login(process: &Identity) -> Option<u32> {
    (process.login_uid != LOGIN_UID_UNSET).then_some(process.login_uid)
}

/// Identifier and system of the entry of the register that an exchange fell under.
fn entry_of(judgement: &Judgement<'_>) -> (String, String) {
    judgement
        .entry
        .map_or_else(Default::default, |entry| (text(&entry.id), text(&entry.system)))
}

/// A finding, as policy sees it: published examples are none.
fn finding_fact(finding: &Finding) -> Option<FindingFact<'_>> {
    (!finding.documented_example).then(|| FindingFact {
        class: finding.class.name(),
        rule: &finding.rule_id,
        severity: finding.severity,
        place: direction(&finding.place),
    })
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
        // What was heard in a live session comes back in writing.
        (TextRole::Prompt, _) | (_, Side::Request) => "prompt",
        (_, Side::Response) => "response",
    }
}

/// Row of a connection: of one that is AI, and of one of which nothing says that it is not. `None` for others.
pub(super) fn connection(
    book: &Rulebook,
    of: &Connection,
    place: &Where<'_>,
    wall_offset_ns: i64,
) -> Option<ConnectionRow> {
    let end = of.end?;
    let is_hub = is_hub(book, of);
    if !of.is_ai() && !of.is_unknown() && of.decided.is_none() && !is_hub {
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

/// What is known without reading a connection is judged as in an exchange; so use that cannot be read is seen, too.
pub(super) fn set_connection_judgement(row: &mut ConnectionRow, book: &Rulebook, process: &Identity) {
    let host = row.server_address.to_ascii_lowercase();
    let provider = book
        .catalog
        .lookup(&host, "/")
        .map(|m| m.provider)
        .unwrap_or_default();
    let words = ProcessWords::of(process);
    let mut subject = Subject::at(row.ts, &[]);
    let facts = [
        (Attribute::Provider, provider.as_str()),
        (Attribute::Host, &host),
        (Attribute::Namespace, &row.k8s_namespace_name),
        (Attribute::Workload, &row.k8s_workload_name),
        (Attribute::ServiceAccount, &row.k8s_service_account),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
    set_process_facts(&mut subject, process, &words, &book.host_name);
    let judgement = book.judge.judge(&subject);
    // Nobody knows what an unnamed connection is for.
    let verdict = if host.is_empty() {
        Verdict::Unknown
    } else {
        judgement.verdict
    };
    row.policy_verdict = verdict.name().to_owned();
    row.policy_rule_id = judgement.rule_id.to_owned();
    row.policy_reason = judgement.reason.name().to_owned();
    (row.register_entry_id, row.ai_system) = entry_of(&judgement);
    row.policy_sha256 = book.judge.policy.digest();
    row.register_sha256 = book.judge.register_digest();
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
    row.server_port = of.connect.peer_port;
    row.server_address = text(&of.server_name);
    row.name_source = of.name_source.name().to_owned();
}

fn transport_name(of: &Connection) -> &'static str {
    match of.connect.transport {
        TRANSPORT_UDP => "udp",
        TRANSPORT_UNIX => "unix",
        _ => "tcp",
    }
}

/// Whether a connection goes to a hub of models and data sets, and asks no model there.
pub(super) fn is_hub(book: &Rulebook, of: &Connection) -> bool {
    let is_other = !of.is_ai() && of.decided.is_none() && !of.is_accepted();
    is_other && book.catalog.host_is_hub(&of.server_name)
}

fn endpoint_class(book: &Rulebook, of: &Connection) -> &'static str {
    if is_hub(book, of) {
        "model_hub"
    } else if book.catalog.host_is_ai(&of.server_name) {
        "ai_known"
    } else if of.is_ai() || of.decided.is_some() {
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
        STACK_SOCKET | STACK_STDIO => "none",
        _ => "",
    }
}

pub(super) fn set_connection_process(row: &mut ConnectionRow, process: &Identity, place: &Where<'_>) {
    set_place!(row, process, place);
    row.container_id.clone_from(&process.container_id);
    row.process_pid = process.key.pid;
    row.process_parent_pid = process.parent_pid;
    row.process_start_ns = process.key.start_ns;
    row.process_comm = text(&process.comm);
    row.process_executable_path = text(&process.executable);
    row.process_ancestry = process.ancestry.iter().map(|above| text(&above.comm)).collect();
    row.user_id = process.uid;
    row.login_uid = process.login_uid;
    row.user_name.clone_from(&process.user);
    let lineage = &process.lineage;
    row.login_user_name.clone_from(&lineage.login_user);
    row.audit_session_id = lineage.audit_session;
    row.process_tty.clone_from(&lineage.tty);
    row.ssh_client_address = lineage
        .ssh_client
        .map(|address| address.to_string())
        .unwrap_or_default();
    row.invoking_user_id = lineage.invoking_uid.unwrap_or(LOGIN_UID_UNSET);
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
pub(super) fn text(raw: &str) -> String {
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
