//! The stored rows, as plain data: one struct for each table, one field for each column that the agent writes
//! (`ingested_at` is set by the server). `docs/schema.md` says what the columns mean and why they have these types.
//!
//! Times are nanoseconds since the Unix epoch (UTC, host clock) unless a name says `mono` (CLOCK_BOOTTIME).
//! Where a text can be unknown, unknown is the empty text; where a number can be unknown it is `None`, or the
//! value that the kernel itself uses (`login_uid` 4294967295), never 0. All-zero digests mean "not taken".
//!
//! The macro writes the struct and the list of its hashed fields from the same lines, so no column can be stored
//! and left out of the hash. The order of the lines is the canonical order: see `canonical.rs` before changing it.
//! A field that is newer than the first form says `= since N`: it is hashed in rows whose `canon_v` is N or more, so
//! that rows of older agents can still be checked. In those it holds what the table gives to rows that do not name it: `else`
//! says what, where that is not nothing.

use std::net::Ipv6Addr;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::canonical::{CANON_V, Canonical, RECORD_TAG, SEAL_TAG, Sink};
use super::decode::{DecodeError, Reader};
use super::link::SelfTest;
use super::wire::{Column, Stored};

/// `login_uid` of a process that no login started (the kernel's `AUDIT_UID_UNSET`).
pub const LOGIN_UID_UNSET: u32 = u32::MAX;

macro_rules! hashed_row {
    (@read $input:ident, $form:ident) => {
        $input.value()?
    };
    (@read $input:ident, $form:ident, $since:literal) => {
        if $form >= $since { $input.value()? } else { Blank::blank() }
    };
    (@read $input:ident, $form:ident, $since:literal, $older:expr) => {
        if $form >= $since { $input.value()? } else { $older }
    };
    (@newer $row:ident, $field:ident) => {};
    (@newer $row:ident, $field:ident, $since:literal) => {
        hashed_row!(@newer $row, $field, $since, Blank::blank());
    };
    (@newer $row:ident, $field:ident, $since:literal, $older:expr) => {
        if $row.canon_v < $since && !is_same(&$row.$field, &$older) {
            return false;
        }
    };
    (@field $row:ident, $show:ident, $field:ident) => {
        $show(stringify!($field), &$row.$field);
    };
    (@field $row:ident, $show:ident, $field:ident, $since:literal) => {
        if $row.canon_v >= $since {
            $show(stringify!($field), &$row.$field);
        }
    };
    (
        $(#[$meta:meta])*
        $name:ident in $table:literal, tagged $tag:ident {
            first { $( $(#[$fm:meta])* $first:ident: $ft:ty, )* }
            hashed { $( $(#[$hm:meta])* $hashed:ident: $ht:ty $(= since $since:literal $(else $older:expr)?)?, )* }
            unhashed { $( $(#[$um:meta])* $unhashed:ident: $ut:ty, )* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
        pub struct $name {
            $( $(#[$fm])* pub $first: $ft, )*
            $( $(#[$hm])* pub $hashed: $ht, )*
            $( $(#[$um])* pub $unhashed: $ut, )*
        }

        impl $name {
            /// Table that holds these rows.
            pub const TABLE: &'static str = $table;

            /// Appends the canonical bytes of this row in the form `canon_v` that it has: tag, form version,
            /// position in the chain, then all other fields of that form in the order of the struct.
            pub fn canonical(&self, out: &mut dyn Sink) {
                self.each_field(&mut |_, value| value.put(out));
            }

            /// Shows every value of the canonical bytes with its name, in their order; the tag is `tag`.
            pub fn each_field(&self, field: &mut dyn FnMut(&'static str, &dyn Canonical)) {
                field("tag", &$tag);
                field("canon_v", &self.canon_v);
                $( field(stringify!($first), &self.$first); )*
                $( hashed_row!(@field self, field, $hashed $(, $since)?); )*
            }

            /// Reads canonical bytes; hash and signature are not in them.
            pub(super) fn from_canonical(tag: &str, bytes: &[u8]) -> Result<Self, DecodeError> {
                let mut input = Reader::new(bytes);
                let form = input.head(tag)?;
                // Fields are read in the order in which they are written here.
                let mut row = Self {
                    $( $first: input.value()?, )*
                    $( $hashed: hashed_row!(@read input, form $(, $since $(, $older)?)?), )*
                    $( $unhashed: Blank::blank(), )*
                };
                input.end()?;
                row.canon_v = form;
                Ok(row)
            }

            /// Whether this program knows the form that the row was hashed in. The digest of another says nothing.
            pub fn is_known_form(&self) -> bool {
                (1..=CANON_V).contains(&self.canon_v)
            }

            /// Whether the fields that are newer than the form of this row say nothing: no hash holds them.
            pub fn newer_fields_say_nothing(&self) -> bool {
                $( hashed_row!(@newer self, $hashed $(, $since $(, $older)?)?); )*
                true
            }

            /// A row in which nothing is known yet.
            fn blank() -> Self {
                Self {
                    $( $first: Blank::blank(), )*
                    $( $hashed: Blank::blank(), )*
                    $( $unhashed: Blank::blank(), )*
                }
            }

            /// SHA-256 of the canonical bytes.
            pub fn digest(&self) -> [u8; 32] {
                let mut hash = Sha256::new();
                self.canonical(&mut hash);
                hash.finalize().into()
            }
        }
    };
}

macro_rules! record_row {
    (@since) => { 1 };
    (@since $since:literal) => { $since };
    (@older) => { 0 };
    (@older $older:expr) => { $older };
    (
        $(#[$meta:meta])*
        $name:ident in $table:literal {
            $( $(#[$hm:meta])* $hashed:ident: $ht:ty $(= since $since:literal $(else $older:expr)?)?, )*
        }
    ) => {
        hashed_row! {
            $(#[$meta])*
            $name in $table, tagged RECORD_TAG {
                first {
                    /// Host that the row is about.
                    host_id: String,
                    /// Start of the agent, ns: a new chain for each.
                    chain_epoch: u64,
                    /// Seal that covers this record.
                    seal_seq: u64,
                    /// Number of this record, dense over all record tables of one host and epoch.
                    rec_seq: u64,
                }
                hashed { $( $(#[$hm])* $hashed: $ht $(= since $since $(else $older)?)?, )* }
                unhashed {
                    /// SHA-256 of the canonical bytes.
                    record_hash: [u8; 32],
                    /// Version of the canonical form.
                    canon_v: u8,
                }
            }
        }

        impl $name {
            /// What is hashed, in its order, and how it is sent.
            pub(crate) const COLUMNS: &'static [Column] = &[
                Column { name: "host_id", kind: <String as Stored>::KIND, since: 1, older: 0 },
                Column { name: "chain_epoch", kind: <u64 as Stored>::KIND, since: 1, older: 0 },
                Column { name: "seal_seq", kind: <u64 as Stored>::KIND, since: 1, older: 0 },
                Column { name: "rec_seq", kind: <u64 as Stored>::KIND, since: 1, older: 0 },
                $( Column {
                    name: stringify!($hashed),
                    kind: <$ht as Stored>::KIND,
                    since: record_row!(@since $($since)?),
                    older: record_row!(@older $($($older)?)?),
                }, )*
            ];
        }
    };
}

record_row! {
    /// One AI exchange after classification, scan and redaction.
    InteractionRow in "ai_interactions" {
        /// First byte of the request.
        ts: i64,
        /// From `ts` to the last byte of the response or to the moment it was given up.
        duration_ns: u64,
        /// From `ts` to the first piece of model output of a streamed answer.
        time_to_first_chunk_ns: Option<u64>,
        /// `host.name`.
        host_name: String,
        /// `os.type`.
        os_type: String,
        /// `k8s.cluster.name`.
        k8s_cluster_name: String,
        /// `k8s.node.name`.
        k8s_node_name: String,
        /// `k8s.namespace.name`.
        k8s_namespace_name: String,
        /// `k8s.pod.name`.
        k8s_pod_name: String,
        /// `k8s.pod.uid`.
        k8s_pod_uid: String,
        /// `k8s.container.name`.
        k8s_container_name: String,
        /// Deployment, StatefulSet, ...
        k8s_workload_kind: String,
        /// Name of the workload.
        k8s_workload_name: String,
        /// Service account of the pod.
        k8s_service_account: String,
        /// `container.id`.
        container_id: String,
        /// `container.image.name`.
        container_image_name: String,
        /// Digest of the image.
        container_image_digest: String,
        /// `process.pid` (thread group).
        process_pid: u32,
        /// `process.parent_pid`; 0 has no parent in sight.
        process_parent_pid: u32,
        /// Start of the process after boot, ns: with the pid it names the process.
        process_start_ns: u64,
        /// Command name as the kernel keeps it (15 bytes).
        process_comm: String,
        /// `process.executable.path`.
        process_executable_path: String,
        /// SHA-256 of the executable file.
        process_executable_sha256: [u8; 32],
        /// Command names of the ancestors, nearest first. Never arguments.
        process_ancestry: Vec<String>,
        /// Real user.
        user_id: u32,
        /// User who logged in; [`LOGIN_UID_UNSET`] when none did.
        login_uid: u32,
        /// Name of `user_id`.
        user_name: String,
        /// `server.address`: host asked for.
        server_address: String,
        /// `server.port`; 0 when no socket was tied.
        server_port: u16,
        /// Where `server_address` comes from: http_host, sni, dns, connect, ip_list or none.
        name_source: String,
        /// `network.peer.address`, IPv4 as mapped; `::` when no socket was tied.
        network_peer_address: Ipv6Addr,
        /// Number of the flow in this epoch.
        flow_id: u64,
        /// Number of the connection row that carried it; 0 when none was tied.
        connection_id: u64,
        /// How TLS handle and socket were tied: in_call, after_call or none.
        tie: String,
        /// openssl, go, boringssl-static, ...
        tls_stack: String,
        /// How the functions of that stack were found: symbols, structure or pclntab; empty when not known.
        tls_found_by: String = since 2,
        /// `http.request.method`.
        http_request_method: String,
        /// `url.template`; never the raw path.
        url_path_template: String,
        /// `http.response.status_code`.
        http_response_status_code: Option<u16>,
        /// `user_agent.original`, cut to its budget.
        user_agent: String,
        /// API shape spoken.
        dialect: String,
        /// What made it recognised: host, path_suffix, request_shape, response_shape or client_headers.
        dialect_evidence: String,
        /// `gen_ai.provider.name`.
        gen_ai_provider_name: String,
        /// `gen_ai.operation.name`.
        gen_ai_operation_name: String,
        /// `gen_ai.request.model`.
        gen_ai_request_model: String,
        /// `gen_ai.response.model`.
        gen_ai_response_model: String,
        /// `gen_ai.response.id`.
        gen_ai_response_id: String,
        /// `gen_ai.conversation.id`.
        gen_ai_conversation_id: String,
        /// `gen_ai.request.stream`.
        gen_ai_request_stream: bool,
        /// `gen_ai.response.finish_reasons`.
        gen_ai_response_finish_reasons: Vec<String>,
        /// `gen_ai.usage.input_tokens`, cached ones included.
        gen_ai_usage_input_tokens: Option<u64>,
        /// `gen_ai.usage.output_tokens`, reasoning included.
        gen_ai_usage_output_tokens: Option<u64>,
        /// `gen_ai.usage.cache_read.input_tokens`.
        gen_ai_usage_cache_read_input_tokens: Option<u64>,
        /// `gen_ai.usage.cache_creation.input_tokens`.
        gen_ai_usage_cache_creation_input_tokens: Option<u64>,
        /// `gen_ai.usage.reasoning.output_tokens`.
        gen_ai_usage_reasoning_output_tokens: Option<u64>,
        /// Names of tools called.
        tool_names: Vec<String>,
        /// `mcp.method.name`.
        mcp_method_name: String,
        /// `error.type`; empty when there was none.
        error_type: String,
        /// Keyed hash of the credential, cut to 128 bit: which account, never the key. Zeros: none seen.
        credential_hmac: [u8; 16],
        /// Request bytes on the connection, head and body.
        request_bytes: u64,
        /// Response bytes on the connection, head and body.
        response_bytes: u64,
        /// Decoded text bytes that reached the scan.
        scan_bytes_seen: u64,
        /// Of these, bytes that were scanned.
        scan_bytes_scanned: u64,
        /// decoded, partial or opaque.
        visibility: String,
        /// Closed reason code; empty when decoded.
        visibility_reason: String,
        /// Keyed hash of the normalised prompt. Zeros: not taken.
        prompt_hmac: [u8; 32],
        /// SHA-256 of salt and redacted payload. Zeros: no payload kept.
        payload_commitment: [u8; 32],
        /// Policy that judged.
        policy_id: String,
        /// Its version.
        policy_version: String,
        /// SHA-256 of the policy as loaded.
        policy_sha256: [u8; 32],
        /// Rule that decided; empty for the default.
        policy_rule_id: String,
        /// sanctioned, unsanctioned or unknown.
        policy_verdict: String,
        /// Version of the catalogue.
        catalog_version: String,
        /// SHA-256 of the sensitive-data rules.
        rule_pack_sha256: [u8; 32],
        /// Number of finding rows.
        finding_count: u16,
        /// What decided: rule, default, approval_expired, ... (`policy::Reason`).
        policy_reason: String = since 3,
        /// SHA-256 of the register of AI systems as loaded. Zeros: none.
        register_sha256: [u8; 32] = since 3,
        /// Entry of the register that it fell under; empty for none.
        register_entry_id: String = since 3,
        /// AI system of that entry.
        ai_system: String = since 3,
        /// Keyed hash that names the account while tokens change, else of the credential. Zeros: none seen.
        account_hmac: [u8; 16] = since 3,
        /// api_key, oauth_token, jwt, aws_access_key, basic, chatgpt_account, copilot_account.
        account_kind: String = since 3,
        /// credential: its holder has it; claimed: the client says so.
        account_evidence: String = since 3,
        /// Organisation, tenant or resource.
        account_organization: String = since 3,
        /// Who says it: claimed (the client), service (in its answer) or address.
        account_organization_source: String = since 3,
        /// Project or deployment.
        account_project: String = since 3,
        /// Issuer of a token that nobody verified.
        account_claimed_issuer: String = since 3,
        /// Subject of a token that nobody verified; never a mail address.
        account_claimed_subject: String = since 3,
        /// Plan or seat in a token that nobody verified.
        account_claimed_plan: String = since 3,
        /// Key of `credential_hmac` and `account_hmac`.
        hmac_key_id: String = since 3,
        /// Program that calls, as it says itself.
        client_name: String = since 3,
        /// Its version.
        client_version: String = since 3,
        /// sdk, framework or coding_agent.
        client_kind: String = since 3,
        /// SDK below it.
        sdk_name: String = since 3,
        /// Version of the SDK.
        sdk_version: String = since 3,
        /// Name of the user who logged in; empty when not known.
        login_user_name: String = since 3,
        /// Audit session; [`LOGIN_UID_UNSET`] when there is none.
        audit_session_id: u32 = since 3 else LOGIN_UID_UNSET,
        /// Controlling terminal: pts/3; empty for none.
        process_tty: String = since 3,
        /// Address from which the ssh session came; empty for none.
        ssh_client_address: String = since 3,
        /// User who called sudo or su; [`LOGIN_UID_UNSET`] when none did.
        invoking_user_id: u32 = since 3 else LOGIN_UID_UNSET,
        /// Program that works by itself and that the process belongs to; empty for none.
        agent_name: String = since 3,
        /// Its process, as id and start: one for all that it started.
        agent_session_id: String = since 3,
        /// From `ts` to the first byte of the response head.
        time_to_first_byte_ns: Option<u64> = since 3,
        /// Number of the request in this epoch: attempts of the same request share it. 0: a row of an older agent.
        request_seq: u64 = since 3,
        /// Which attempt of that request this is, from 1.
        attempt_number: Option<u16> = since 3,
        /// Number that the server gave to the request.
        response_request_id: String = since 3,
        /// Response that the request goes on from.
        previous_response_id: String = since 3,
        /// Kind of the error: a closed word; empty when there was none.
        error_class: String = since 3,
        /// Tool calls in the answer; unknown where the body cannot be read.
        tool_call_count: Option<u32> = since 3,
        /// Names of the first of them, in order.
        tool_call_names: Vec<String> = since 3,
        /// Size of their arguments, bytes.
        tool_call_bytes: Vec<u64> = since 3,
        /// Tool results in the request, earlier turns included; unknown where the body cannot be read.
        tool_result_count: Option<u32> = since 3,
        /// Names of the tools of the first of them, in order; empty where the request does not say.
        tool_result_names: Vec<String> = since 3,
        /// Size of their text, bytes.
        tool_result_bytes: Vec<u64> = since 3,
        /// The part of the input tokens that is audio.
        gen_ai_usage_input_audio_tokens: Option<u64> = since 3,
        /// The part of the output tokens that is audio.
        gen_ai_usage_output_audio_tokens: Option<u64> = since 3,
        /// Requests allowed, as the answer states it.
        ratelimit_requests_limit: Option<u64> = since 3,
        /// Requests left.
        ratelimit_requests_remaining: Option<u64> = since 3,
        /// Time until the requests are whole again.
        ratelimit_requests_reset_ms: Option<u64> = since 3,
        /// Tokens allowed, as the answer states it.
        ratelimit_tokens_limit: Option<u64> = since 3,
        /// Tokens left.
        ratelimit_tokens_remaining: Option<u64> = since 3,
        /// Time until the tokens are whole again.
        ratelimit_tokens_reset_ms: Option<u64> = since 3,
        /// Time to wait before the next attempt, as the answer states it.
        retry_after_ms: Option<u64> = since 3,
        /// `mcp.session.id`.
        mcp_session_id: String = since 3,
        /// `mcp.protocol.version`.
        mcp_protocol_version: String = since 3,
        /// Why something of both bodies was not scanned, closed words (`sensitive::Gap`); empty: all of it was.
        scan_gaps: Vec<String> = since 4,
        /// `network.transport`: tcp, udp, unix, or pipe for standard input and output; empty when no socket was tied.
        network_transport: String = since 7,
        /// MCP server, as it says itself.
        mcp_server_name: String = since 7,
        /// Its version.
        mcp_server_version: String = since 7,
        /// Executable of a server that the process started.
        mcp_server_executable: String = since 7,
        /// SHA-256 of that file.
        mcp_server_executable_sha256: [u8; 32] = since 7,
        /// `trace.id` of the request (W3C traceparent).
        trace_id: String = since 7,
        /// Number that the client gave to the request.
        client_request_id: String = since 7,
        /// client or server: whether the process asked or was asked.
        role: String = since 8,
    }
}

record_row! {
    /// One kind of sensitive data in one place of one interaction. Never the value.
    FindingRow in "ai_findings" {
        /// Time of the interaction.
        ts: i64,
        /// `record_hash` of the interaction.
        interaction_hash: [u8; 32],
        /// pii, secret, credential, source_code, custom or policy.
        finding_type: String,
        /// Rule that matched.
        rule_id: String,
        /// Version of the rule.
        rule_version: String,
        /// SHA-256 of the rule pack.
        rule_pack_sha256: [u8; 32],
        /// How bad it is.
        severity: Severity,
        /// pattern, checksum_valid or validated.
        confidence: String,
        /// prompt, response, tool_args or tool_result.
        direction: String,
        /// JSON path with indexes erased.
        json_path: String,
        /// How often it matched.
        match_count: u32,
        /// Bytes of the matches together.
        match_bytes: u32,
        /// Keyed hashes of the values, cut to 128 bit.
        value_hmac: Vec<[u8; 16]>,
        /// Key of these hashes.
        hmac_key_id: String,
        /// As in the interaction.
        server_address: String,
        /// As in the interaction.
        gen_ai_provider_name: String,
        /// As in the interaction.
        k8s_namespace_name: String,
        /// As in the interaction.
        k8s_workload_name: String,
    }
}

record_row! {
    /// One connection to an AI endpoint, or to one that could be, seen at the socket: the denominator of coverage.
    ConnectionRow in "ai_connections" {
        /// When it was opened, or first seen.
        ts: i64,
        /// When it was closed, or last seen.
        closed_ts: i64,
        /// Why the row was written: closed, process_exit, agent_stop, ...
        close_reason: String,
        /// Number of the connection in this epoch.
        connection_id: u64,
        /// `host.name`.
        host_name: String,
        /// `k8s.namespace.name`.
        k8s_namespace_name: String,
        /// Name of the workload.
        k8s_workload_name: String,
        /// `container.id`.
        container_id: String,
        /// Digest of the image.
        container_image_digest: String,
        /// `process.pid` (thread group).
        process_pid: u32,
        /// `process.parent_pid`; 0 has no parent in sight.
        process_parent_pid: u32,
        /// Start of the process after boot, ns.
        process_start_ns: u64,
        /// Command name.
        process_comm: String,
        /// `process.executable.path`.
        process_executable_path: String,
        /// Command names of the ancestors, nearest first.
        process_ancestry: Vec<String>,
        /// Real user.
        user_id: u32,
        /// User who logged in; [`LOGIN_UID_UNSET`] when none did.
        login_uid: u32,
        /// Name of `user_id`.
        user_name: String,
        /// File descriptor of the socket; -1 when not known.
        socket_fd: i32,
        /// tcp, udp or unix.
        network_transport: String,
        /// ipv4 or ipv6 (`network.type`).
        network_family: String,
        /// `network.peer.address`, IPv4 as mapped.
        network_peer_address: Ipv6Addr,
        /// `network.local.port`; 0 when not known.
        network_local_port: u16,
        /// `server.port`.
        server_port: u16,
        /// `server.address`; empty when no name is known.
        server_address: String,
        /// sni, dns, http_host, connect, ip_list or none.
        name_source: String,
        /// ai_known, ai_suspected, model_hub, served or unknown.
        endpoint_class: String,
        /// Version of the catalogue.
        catalog_version: String,
        /// openssl, go, ...; empty when no TLS was seen.
        tls_stack: String,
        /// As in the interaction.
        tls_found_by: String = since 2,
        /// Encrypted client hello was used.
        tls_ech: bool,
        /// Bytes sent on the socket; unknown when its end was not seen.
        bytes_sent: Option<u64>,
        /// Bytes received on the socket; unknown when its end was not seen.
        bytes_received: Option<u64>,
        /// Clear bytes that the TLS probes saw leave.
        plaintext_sent: u64,
        /// Clear bytes that the TLS probes saw arrive.
        plaintext_received: u64,
        /// Exchanges decoded from it.
        exchanges_decoded: u32,
        /// decoded, partial or opaque; none where there was no connection.
        visibility: String,
        /// Closed reason code; empty when decoded.
        opaque_reason: String,
        /// As in the interaction, by what is known without reading it.
        policy_verdict: String = since 3,
        /// As in the interaction.
        policy_rule_id: String = since 3,
        /// As in the interaction.
        policy_reason: String = since 3,
        /// As in the interaction.
        policy_sha256: [u8; 32] = since 3,
        /// As in the interaction.
        register_sha256: [u8; 32] = since 3,
        /// As in the interaction.
        register_entry_id: String = since 3,
        /// As in the interaction.
        ai_system: String = since 3,
        /// Name of the user who logged in; empty when not known.
        login_user_name: String = since 3,
        /// Audit session; [`LOGIN_UID_UNSET`] when there is none.
        audit_session_id: u32 = since 3 else LOGIN_UID_UNSET,
        /// Controlling terminal: pts/3; empty for none.
        process_tty: String = since 3,
        /// Address from which the ssh session came; empty for none.
        ssh_client_address: String = since 3,
        /// User who called sudo or su; [`LOGIN_UID_UNSET`] when none did.
        invoking_user_id: u32 = since 3 else LOGIN_UID_UNSET,
        /// Program that works by itself and that the process belongs to; empty for none.
        agent_name: String = since 3,
        /// Its process, as id and start: one for all that it started.
        agent_session_id: String = since 3,
        /// What enforcement did: denied, dry_run, cut or cut_failed; empty for nothing.
        enforcement: String = since 5,
        /// The rule that said so.
        enforcement_rule_id: String = since 5,
        /// Calls that the row stands for; 0 where enforcement did nothing.
        enforcement_attempts: u32 = since 5,
        /// `k8s.cluster.name`.
        k8s_cluster_name: String = since 6,
        /// `k8s.node.name`.
        k8s_node_name: String = since 6,
        /// `k8s.pod.name`.
        k8s_pod_name: String = since 6,
        /// `k8s.pod.uid`.
        k8s_pod_uid: String = since 6,
        /// `k8s.container.name`.
        k8s_container_name: String = since 6,
        /// Deployment, StatefulSet, ...
        k8s_workload_kind: String = since 6,
        /// Service account of the pod.
        k8s_service_account: String = since 6,
        /// `container.image.name`.
        container_image_name: String = since 6,
        /// Repository that was asked for at a hub of models: openai/whisper-tiny, datasets/squad; empty where none was seen.
        model_repository: String = since 7,
    }
}

record_row! {
    /// A program that cannot be read, in one place: when it is first seen, and once a day while it is there.
    /// Numbers are those since the last row of the same reason, executable and container.
    BlindSpotRow in "blind_spots" {
        /// When it was written.
        ts: i64,
        /// Closed reason code, as in a connection.
        reason: String,
        /// `process.executable.path`.
        process_executable_path: String,
        /// SHA-256 of the executable file.
        process_executable_sha256: [u8; 32],
        /// TLS stack that cannot be read; empty when none was found.
        runtime: String,
        /// `k8s.namespace.name`.
        k8s_namespace_name: String,
        /// Name of the workload.
        k8s_workload_name: String,
        /// `container.id`.
        container_id: String,
        /// Digest of the image.
        container_image_digest: String,
        /// Processes: those alive now, and those that had connections.
        process_count: u32,
        /// Connections to AI that could not be read.
        flows_ai: u32,
        /// Connections to nobody known that could not be read.
        flows_unknown: u32,
        /// Bytes sent on them, where the sockets said.
        bytes_sent: u64,
    }
}

hashed_row! {
    /// One interval of one host: heartbeat, coverage statement and chain link. Made by [`super::Sequencer::seal`].
    SealRow in "evidence_seals", tagged SEAL_TAG {
        first {
            /// Host that the row is about.
            host_id: String,
            /// Start of the agent, ns.
            chain_epoch: u64,
            /// Number of the seal in this epoch, from 1.
            seal_seq: u64,
        }
        hashed {
            /// Boot of the host.
            #[serde(with = "clickhouse::serde::uuid")]
            boot_id: Uuid,
            /// Why this seal.
            seal_kind: SealKind,
            /// Why this epoch began, in its `open` seal ([`super::OpenReason`]); empty in others.
            open_reason: String = since 3,
            /// In an `open` seal the epoch of the seal that `prev_seal_hash` names; 0: none, or not an `open` seal.
            prev_chain_epoch: u64 = since 3,
            /// In an `open` seal the number of the seal that `prev_seal_hash` names; 0 as above.
            prev_seal_seq: u64 = since 3,
            /// What the agent has to say about itself, as words of a closed list (`docs/evidence.md`).
            notes: Vec<String> = since 3,
            /// Start of the interval.
            interval_start: i64,
            /// End of the interval.
            interval_end: i64,
            /// Start of the interval, CLOCK_BOOTTIME.
            mono_start_ns: u64,
            /// End of the interval, CLOCK_BOOTTIME.
            mono_end_ns: u64,
            /// `rec_seq` of the first record covered, or of the next record when there is none.
            first_rec_seq: u64,
            /// Records covered.
            n_records: u32,
            /// SHA-256 over the hexadecimal `record_hash` of each record, by `rec_seq`.
            records_digest: [u8; 32],
            /// `seal_hash` of the seal before, also across epochs; zeros for the first of all.
            prev_seal_hash: [u8; 32],
            /// Key that signs; empty where nobody does (a replay).
            key_id: String,
            /// Version of the agent.
            agent_version: String,
            /// SHA-256 of the agent's file.
            agent_sha256: [u8; 32],
            /// SHA-256 of the configuration in force.
            config_sha256: [u8; 32],
            /// SHA-256 of the policy as loaded.
            policy_sha256: [u8; 32] = since 3,
            /// SHA-256 of the sensitive-data rules.
            rule_pack_sha256: [u8; 32],
            /// Version of the catalogue.
            catalog_version: String,
            /// Probes that should be attached.
            probes_required: u16,
            /// Probes that are.
            probes_attached: u16,
            /// Those that are not, with the reason.
            probes_failed: Vec<String>,
            /// A canary exchange was seen end to end in this interval: true only where `selftest` is ok.
            selftest_ok: bool,
            /// ok, failed or not_measured ([`super::SelfTest`]).
            selftest: String = since 3 else SelfTest::NotMeasured.name().to_owned(),
            /// Stages of the books below.
            books_stage: Vec<String> = since 3,
            /// By stage: what came in since the start of the epoch.
            books_seen: Vec<u64> = since 3,
            /// By stage: what went on, since the start of the epoch.
            books_delivered: Vec<u64> = since 3,
            /// By stage: what was lost, since the start of the epoch.
            books_lost: Vec<u64> = since 3,
            /// By stage: what is still held there.
            books_held: Vec<u64> = since 3,
            /// Losses of this interval: where.
            loss_stage: Vec<String> = since 3,
            /// Losses of this interval: why.
            loss_reason: Vec<String> = since 3,
            /// Losses of this interval: how often.
            loss_events: Vec<u64> = since 3,
            /// Losses of this interval: bytes, where known.
            loss_bytes: Vec<u64> = since 3,
            /// Kernel records seen.
            events_seen: u64,
            /// Records lost in the ring buffer.
            events_lost_ring: u64,
            /// Records lost in user space.
            events_lost_user: u64,
            /// Payload bytes cut off.
            bytes_truncated: u64,
            /// Rows dropped before delivery.
            records_dropped_spool: u64,
            /// Processes with network use.
            procs_net: u32,
            /// Of these, readable ones.
            procs_readable: u32,
            /// Of these, ones that cannot be read.
            procs_opaque: u32,
            /// Flows to AI endpoints.
            ai_flows: u32,
            /// Of these, decoded.
            ai_flows_decoded: u32,
            /// Of these, decoded in part.
            ai_flows_partial: u32,
            /// Of these, not readable.
            ai_flows_opaque: u32,
            /// Flows to unknown endpoints that are not readable.
            unknown_flows_opaque: u32,
            /// CPU time of the agent in this interval, ms.
            cpu_ms: u32,
            /// Resident memory of the agent, KiB.
            rss_kib: u32,
            /// Rows given up that no stored seal had named when this one was made: why.
            dropped_reason: Vec<String> = since 3,
            /// Of these: epoch; 0: not known.
            dropped_chain_epoch: Vec<u64> = since 3,
            /// Of these: first record; 0: none.
            dropped_first_rec_seq: Vec<u64> = since 3,
            /// Of these: last record.
            dropped_last_rec_seq: Vec<u64> = since 3,
            /// Of these: records lost between first and last.
            dropped_records: Vec<u64> = since 3,
            /// Of these: first seal; 0: none.
            dropped_first_seal_seq: Vec<u64> = since 3,
            /// Of these: last seal.
            dropped_last_seal_seq: Vec<u64> = since 3,
            /// Of these: seals lost between first and last.
            dropped_seals: Vec<u64> = since 3,
            /// SHA-256 of the register of AI systems as loaded. Zeros: none.
            register_sha256: [u8; 32] = since 3,
        }
        unhashed {
            /// SHA-256 of the canonical bytes.
            seal_hash: [u8; 32],
            /// Ed25519 over `seal_hash`; zeros where nobody signs.
            #[serde(with = "bytes64")]
            signature: [u8; 64],
            /// Version of the canonical form.
            canon_v: u8,
        }
    }
}

impl InteractionRow {
    /// A row in which nothing is known yet; the caller fills in what it knows.
    pub fn unknown() -> Self {
        Self {
            login_uid: LOGIN_UID_UNSET,
            audit_session_id: LOGIN_UID_UNSET,
            invoking_user_id: LOGIN_UID_UNSET,
            ..Self::blank()
        }
    }
}

impl FindingRow {
    /// A row in which nothing is known yet; the caller fills in what it knows.
    pub fn unknown() -> Self {
        Self::blank()
    }
}

impl BlindSpotRow {
    /// A row in which nothing is known yet; the caller fills in what it knows.
    pub fn unknown() -> Self {
        Self::blank()
    }
}

impl ConnectionRow {
    /// A row in which nothing is known yet; the caller fills in what it knows.
    pub fn unknown() -> Self {
        Self {
            login_uid: LOGIN_UID_UNSET,
            audit_session_id: LOGIN_UID_UNSET,
            invoking_user_id: LOGIN_UID_UNSET,
            socket_fd: -1,
            ..Self::blank()
        }
    }
}

impl SealRow {
    /// An empty seal of this kind, for the sequencer to fill.
    pub(super) fn empty(seal_kind: SealKind) -> Self {
        Self {
            seal_kind,
            ..Self::blank()
        }
    }
}

/// Compares values of one type, so that a blank is one of the field's type.
fn is_same<T: PartialEq>(field: &T, other: &T) -> bool {
    field == other
}

/// The value that a column has while nothing is known.
trait Blank {
    fn blank() -> Self;
}

macro_rules! blank_is {
    ($value:expr => $($t:ty)*) => {$(
        impl Blank for $t {
            fn blank() -> Self {
                $value
            }
        }
    )*};
}
blank_is!(0 => u8 u16 u32 u64 i32 i64);
blank_is!(false => bool);
blank_is!(Self::new() => String);
blank_is!(Self::UNSPECIFIED => Ipv6Addr);
blank_is!(Self::nil() => Uuid);
blank_is!(Self::Info => Severity);
blank_is!(Self::Interval => SealKind);

impl<const N: usize> Blank for [u8; N] {
    fn blank() -> Self {
        [0; N]
    }
}

impl<T> Blank for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }
}

impl<T> Blank for Option<T> {
    fn blank() -> Self {
        None
    }
}

/// `severity` of a finding, as the Enum8 of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i8", try_from = "i8")]
pub enum Severity {
    /// info
    Info = 1,
    /// low
    Low = 2,
    /// medium
    Medium = 3,
    /// high
    High = 4,
    /// critical
    Critical = 5,
}

/// `seal_kind` of a seal, as the Enum8 of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "i8", try_from = "i8")]
pub enum SealKind {
    /// Start of an epoch; its `prev_seal_hash` names the last seal of the epoch before.
    Open = 1,
    /// Regular interval.
    Interval = 2,
    /// Orderly stop.
    Close = 3,
}

macro_rules! enum8 {
    ($name:ident { $($variant:ident),* }) => {
        impl From<$name> for i8 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }

        impl TryFrom<i8> for $name {
            type Error = String;

            fn try_from(value: i8) -> Result<Self, String> {
                match value {
                    $( v if v == Self::$variant as i8 => Ok(Self::$variant), )*
                    other => Err(format!(concat!("{} is no ", stringify!($name)), other)),
                }
            }
        }

        impl Canonical for $name {
            fn put(&self, out: &mut dyn Sink) {
                i64::from(i8::from(*self)).put(out);
            }
        }
    };
}
enum8!(Severity {
    Info,
    Low,
    Medium,
    High,
    Critical
});
enum8!(SealKind {
    Open,
    Interval,
    Close
});

/// serde knows arrays up to 32 items; FixedString(64) is a tuple of 64 bytes.
pub(super) mod bytes64 {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeTuple;
    use serde::{Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(bytes: &[u8; 64], out: S) -> Result<S::Ok, S::Error> {
        let mut tuple = out.serialize_tuple(64)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 64], D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = [u8; 64];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; 64], A::Error> {
                let mut bytes = [0; 64];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq
                        .next_element()?
                        .ok_or_else(|| Error::invalid_length(index, &self))?;
                }
                Ok(bytes)
            }
        }
        input.deserialize_tuple(64, Bytes)
    }
}
