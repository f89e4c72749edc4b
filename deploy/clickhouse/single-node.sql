-- Schema of the evidence store, single node form. Made from observer/src/store/schema by the test
-- `the_deployed_script_is_the_migrations`; do not edit. One statement per request over HTTP:
-- clickhouse-client --multiquery < single-node.sql

CREATE DATABASE IF NOT EXISTS ai_evidence;

CREATE TABLE IF NOT EXISTS ai_evidence.schema_migrations (
  version UInt32, name String, sha256 FixedString(32),
  applied_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC')
) ENGINE = MergeTree ORDER BY version;

-- migration 1: records
-- Written by the agent: one row for each exchange, finding, connection, interval and unreadable program.
-- docs/schema.md describes the columns. Times are UTC; *_ns are nanoseconds.

-- one row per observed AI exchange (request and response), already redacted
CREATE TABLE IF NOT EXISTS ai_evidence.ai_interactions (
  ts                    DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)),   -- request start, host clock
  duration_ns           UInt64 CODEC(ZSTD(1)),
  time_to_first_chunk_ns Nullable(UInt64) CODEC(ZSTD(1)),                 -- streamed answers only
  -- chain position
  host_id               LowCardinality(String) CODEC(ZSTD(1)),
  chain_epoch           UInt64 CODEC(Delta(8), ZSTD(1)),                -- agent start (ns): new epoch per agent start
  seal_seq              UInt64 CODEC(Delta(8), ZSTD(1)),
  rec_seq               UInt64 CODEC(Delta(8), ZSTD(1)),                -- dense, per (host_id, chain_epoch), over ALL record tables
  record_hash           FixedString(32) CODEC(NONE),
  canon_v               UInt8,
  -- OTel resource
  host_name             LowCardinality(String), os_type LowCardinality(String),
  k8s_cluster_name      LowCardinality(String), k8s_node_name LowCardinality(String),
  k8s_namespace_name    LowCardinality(String), k8s_pod_name String CODEC(ZSTD(1)), k8s_pod_uid String CODEC(ZSTD(1)),
  k8s_container_name    LowCardinality(String), k8s_workload_kind LowCardinality(String), k8s_workload_name LowCardinality(String),
  k8s_service_account   LowCardinality(String),
  container_id          String CODEC(ZSTD(1)), container_image_name LowCardinality(String), container_image_digest LowCardinality(String),
  process_pid           UInt32, process_parent_pid UInt32, process_start_ns UInt64 CODEC(ZSTD(1)), process_comm LowCardinality(String),
  process_executable_path LowCardinality(String), process_executable_sha256 FixedString(32) CODEC(ZSTD(1)),
  process_ancestry      Array(LowCardinality(String)),                  -- names only, never argv
  user_id               UInt32, login_uid UInt32, user_name LowCardinality(String), -- login_uid 4294967295: no login
  -- network
  server_address        LowCardinality(String), server_port UInt16, network_peer_address IPv6,
  name_source           LowCardinality(String),                         -- http_host | sni | dns | connect | ip_list | none
  flow_id UInt64, connection_id UInt64,                                 -- connection_id joins ai_connections; 0: none tied
  tie                   LowCardinality(String),                         -- in_call | after_call | none
  tls_stack             LowCardinality(String),                         -- openssl | go | boringssl-static | ...
  http_request_method   LowCardinality(String), url_path_template LowCardinality(String), http_response_status_code Nullable(UInt16),
  user_agent            String CODEC(ZSTD(1)),
  -- OTel gen_ai
  dialect LowCardinality(String), dialect_evidence LowCardinality(String), -- host | path_suffix | request_shape | response_shape
  gen_ai_provider_name  LowCardinality(String), gen_ai_operation_name LowCardinality(String),
  gen_ai_request_model  LowCardinality(String), gen_ai_response_model LowCardinality(String),
  gen_ai_response_id    String CODEC(ZSTD(1)), gen_ai_conversation_id String CODEC(ZSTD(1)),
  gen_ai_request_stream Bool, gen_ai_response_finish_reasons Array(LowCardinality(String)),
  gen_ai_usage_input_tokens Nullable(UInt64), gen_ai_usage_output_tokens Nullable(UInt64), -- NULL: the answer does not say
  gen_ai_usage_cache_read_input_tokens Nullable(UInt64), gen_ai_usage_cache_creation_input_tokens Nullable(UInt64),
  gen_ai_usage_reasoning_output_tokens Nullable(UInt64),
  tool_names            Array(LowCardinality(String)), mcp_method_name LowCardinality(String),
  error_type            LowCardinality(String),
  -- evidence semantics
  credential_hmac       FixedString(16),                                -- truncated HMAC of API key = which account, never the key
  request_bytes         UInt64, response_bytes UInt64,
  scan_bytes_seen       UInt64, scan_bytes_scanned UInt64,
  visibility            LowCardinality(String),                         -- decoded | partial | opaque
  visibility_reason     LowCardinality(String),                         -- closed code, '' when decoded
  prompt_hmac           FixedString(32),                                -- HMAC over normalised prompt: same prompt seen twice
  payload_commitment    FixedString(32),                                -- SHA256(salt16 || redacted payload); 0 if none kept
  policy_id LowCardinality(String), policy_version LowCardinality(String), policy_sha256 FixedString(32) CODEC(ZSTD(1)),
  policy_rule_id        LowCardinality(String),                         -- '' for the policy's default
  policy_verdict        LowCardinality(String),                         -- sanctioned | unsanctioned | unknown
  catalog_version LowCardinality(String), rule_pack_sha256 FixedString(32) CODEC(ZSTD(1)),
  finding_count         UInt16,
  ingested_at           DateTime64(3,'UTC') DEFAULT now64(3,'UTC') CODEC(Delta(8), ZSTD(1)), -- server clock, NOT hashed
  PROJECTION by_chain (SELECT _part_offset ORDER BY host_id, chain_epoch, rec_seq),
  INDEX ix_conv gen_ai_conversation_id TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_cred credential_hmac TYPE bloom_filter(0.01) GRANULARITY 4
) ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (gen_ai_provider_name, k8s_namespace_name, toStartOfHour(ts), host_id, ts, record_hash)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- findings (sensitive data, policy breach). No matched text, ever.
CREATE TABLE IF NOT EXISTS ai_evidence.ai_findings (
  ts DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)),
  host_id LowCardinality(String), chain_epoch UInt64, seal_seq UInt64, rec_seq UInt64,
  record_hash FixedString(32) CODEC(NONE), canon_v UInt8,
  interaction_hash FixedString(32),                   -- record_hash of the ai_interactions row
  finding_type LowCardinality(String),                -- pii | secret | credential | source_code | custom | policy
  rule_id LowCardinality(String), rule_version LowCardinality(String), rule_pack_sha256 FixedString(32),
  severity Enum8('info'=1,'low'=2,'medium'=3,'high'=4,'critical'=5),
  confidence LowCardinality(String),                  -- pattern | checksum_valid | validated
  direction LowCardinality(String),                   -- prompt | response | tool_args | tool_result
  json_path LowCardinality(String),                   -- $.messages[*].content : indexes erased
  match_count UInt32, match_bytes UInt32,
  value_hmac Array(FixedString(16)), hmac_key_id LowCardinality(String),
  server_address LowCardinality(String), gen_ai_provider_name LowCardinality(String),
  k8s_namespace_name LowCardinality(String), k8s_workload_name LowCardinality(String),
  ingested_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC'),
  PROJECTION by_chain (SELECT _part_offset ORDER BY host_id, chain_epoch, rec_seq)
) ENGINE = MergeTree PARTITION BY toYYYYMM(ts)
ORDER BY (severity, finding_type, toStartOfHour(ts), host_id, ts, record_hash)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- flows to AI endpoints seen at the socket layer, independent of TLS decoding: the denominator of coverage
CREATE TABLE IF NOT EXISTS ai_evidence.ai_connections (
  ts DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)), closed_ts DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)),
  close_reason LowCardinality(String),                -- closed | process_exit | agent_stop | ...
  host_id LowCardinality(String), chain_epoch UInt64, seal_seq UInt64, rec_seq UInt64,
  record_hash FixedString(32) CODEC(NONE), canon_v UInt8,
  connection_id UInt64,
  host_name LowCardinality(String),
  k8s_namespace_name LowCardinality(String), k8s_workload_name LowCardinality(String),
  container_id String CODEC(ZSTD(1)), container_image_digest LowCardinality(String),
  process_pid UInt32, process_parent_pid UInt32, process_start_ns UInt64, process_comm LowCardinality(String),
  process_executable_path LowCardinality(String), process_ancestry Array(LowCardinality(String)),
  user_id UInt32, login_uid UInt32, user_name LowCardinality(String),
  socket_fd Int32,                                    -- -1: not known
  network_transport LowCardinality(String),           -- tcp | udp(quic) | unix
  network_family LowCardinality(String),              -- ipv4 | ipv6
  network_peer_address IPv6, network_local_port UInt16, server_port UInt16, server_address LowCardinality(String),
  name_source LowCardinality(String),                 -- sni | dns | http_host | connect | ip_list | none
  endpoint_class LowCardinality(String),              -- ai_known | ai_suspected | local_model | unknown
  catalog_version LowCardinality(String),
  tls_stack LowCardinality(String), tls_ech Bool,
  bytes_sent Nullable(UInt64), bytes_received Nullable(UInt64),  -- socket level; NULL: the end of the socket was not seen
  plaintext_sent UInt64, plaintext_received UInt64,   -- what the TLS probes saw of this flow
  exchanges_decoded UInt32,
  visibility LowCardinality(String),                  -- decoded | partial | opaque | not_tls
  opaque_reason LowCardinality(String),               -- jsse | boringssl_stripped | quic | ktls_offload | sandbox | started_before_agent | lost_events | ''
  ingested_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC'),
  PROJECTION by_chain (SELECT _part_offset ORDER BY host_id, chain_epoch, rec_seq)
) ENGINE = MergeTree PARTITION BY toYYYYMM(ts)
ORDER BY (endpoint_class, visibility, toStartOfHour(ts), host_id, ts, record_hash)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- interval seal: heartbeat, coverage statement and chain link, one row per host and interval, also when idle
CREATE TABLE IF NOT EXISTS ai_evidence.evidence_seals (
  interval_start DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)), interval_end DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)),
  mono_start_ns UInt64 CODEC(Delta(8), ZSTD(1)), mono_end_ns UInt64 CODEC(Delta(8), ZSTD(1)),   -- CLOCK_BOOTTIME: shows clock jumps
  host_id LowCardinality(String), boot_id UUID CODEC(ZSTD(1)), chain_epoch UInt64 CODEC(Delta(8), ZSTD(1)), seal_seq UInt64 CODEC(Delta(8), ZSTD(1)),
  seal_kind Enum8('open'=1,'interval'=2,'close'=3),  -- open names the last seal of the previous epoch; close = orderly stop
  first_rec_seq UInt64 CODEC(Delta(8), ZSTD(1)), n_records UInt32,
  records_digest FixedString(32) CODEC(NONE),        -- SHA256(record_hash_1 || record_hash_2 || ...), by rec_seq
  prev_seal_hash FixedString(32) CODEC(NONE), seal_hash FixedString(32) CODEC(NONE),
  key_id LowCardinality(String), signature FixedString(64) CODEC(NONE),      -- Ed25519 over seal_hash
  -- coverage
  agent_version LowCardinality(String), agent_sha256 FixedString(32) CODEC(ZSTD(1)), config_sha256 FixedString(32) CODEC(ZSTD(1)),
  rule_pack_sha256 FixedString(32) CODEC(ZSTD(1)), catalog_version LowCardinality(String),
  probes_required UInt16, probes_attached UInt16, probes_failed Array(LowCardinality(String)),
  selftest_ok Bool,                                   -- canary request to a loopback TLS server seen end to end in this interval
  events_seen UInt64, events_lost_ring UInt64, events_lost_user UInt64, bytes_truncated UInt64, records_dropped_spool UInt64,
  procs_net UInt32, procs_readable UInt32, procs_opaque UInt32,
  ai_flows UInt32, ai_flows_decoded UInt32, ai_flows_partial UInt32, ai_flows_opaque UInt32, unknown_flows_opaque UInt32,
  cpu_ms UInt32, rss_kib UInt32,
  ingested_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC') CODEC(Delta(8), ZSTD(1)),
  INDEX ix_t interval_start TYPE minmax GRANULARITY 1
) ENGINE = MergeTree PARTITION BY toYYYYMM(interval_start)
ORDER BY (host_id, chain_epoch, seal_seq, seal_hash)
TTL toDateTime(interval_start) + INTERVAL 1130 DAY DELETE   -- outlives the records: 3-year certificate cycle + margin
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- what cannot be read, by process identity (sent on discovery and daily)
CREATE TABLE IF NOT EXISTS ai_evidence.blind_spots (
  ts DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)), host_id LowCardinality(String), chain_epoch UInt64, seal_seq UInt64, rec_seq UInt64,
  record_hash FixedString(32) CODEC(NONE), canon_v UInt8,
  reason LowCardinality(String), process_executable_path LowCardinality(String), process_executable_sha256 FixedString(32),
  runtime LowCardinality(String), k8s_namespace_name LowCardinality(String), k8s_workload_name LowCardinality(String), container_image_digest LowCardinality(String),
  process_count UInt32, flows_ai UInt32, flows_unknown UInt32, bytes_sent UInt64,
  ingested_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC')
) ENGINE = MergeTree PARTITION BY toYYYYMM(ts) ORDER BY (reason, process_executable_path, host_id, ts, record_hash)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- optional redacted payloads: short life, own role. Deleting rows never breaks the chain, which holds only a commitment
CREATE TABLE IF NOT EXISTS ai_evidence.ai_payloads (
  ts DateTime64(9,'UTC') CODEC(Delta(8), ZSTD(1)), interaction_hash FixedString(32), salt FixedString(16),
  direction LowCardinality(String), redacted_text String CODEC(ZSTD(3)), original_bytes UInt64, redaction_count UInt32
) ENGINE = MergeTree PARTITION BY toDate(ts) ORDER BY (interaction_hash, direction)
TTL toDateTime(ts) + INTERVAL 30 DAY DELETE SETTINGS ttl_only_drop_parts = 1;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (1, 'records', unhex('0deca859ae365dd3c54cdfdfa27f194f9c03a977c1218f7ec087aa803041ea38'));

-- migration 2: registers
-- Written by others than the agents (separation of duties); the comment at each table names the writer.

CREATE TABLE IF NOT EXISTS ai_evidence.host_inventory (     -- writer: cluster-side controller reading the Kubernetes API / CMDB
  observed_at DateTime64(3,'UTC'), source LowCardinality(String), host_id LowCardinality(String), k8s_node_name LowCardinality(String), in_scope Bool,
  first_seen DateTime64(3,'UTC'), gone_at DateTime64(3,'UTC') DEFAULT toDateTime64('2100-01-01 00:00:00',3,'UTC'), exclusion_reason String
) ENGINE = MergeTree ORDER BY (host_id, observed_at);

CREATE TABLE IF NOT EXISTS ai_evidence.ai_register (        -- writer: AI governance owner; append-only, newest valid_from wins
  valid_from DateTime64(3,'UTC'), entry_id String, ai_system LowCardinality(String), owner String, status Enum8('approved'=1,'conditional'=2,'prohibited'=3,'under_review'=4),
  provider_match LowCardinality(String), endpoint_match String, model_match String, namespace_match String, workload_match String,
  allowed_data_classes Array(LowCardinality(String)), soa_controls Array(LowCardinality(String)), risk_ref String, approved_by String
) ENGINE = MergeTree ORDER BY (entry_id, valid_from);

CREATE TABLE IF NOT EXISTS ai_evidence.finding_dispositions (  -- writer: analysts
  ts DateTime64(3,'UTC') DEFAULT now64(3,'UTC'), finding_hash FixedString(32), analyst LowCardinality(String),
  disposition Enum8('open'=1,'true_positive'=2,'false_positive'=3,'accepted_risk'=4,'fixed'=5), ticket String, nonconformity_ref String, note String
) ENGINE = MergeTree ORDER BY (finding_hash, ts);

CREATE TABLE IF NOT EXISTS ai_evidence.host_keys (            -- writer: enrolment
  enrolled_at DateTime64(3,'UTC'), host_id LowCardinality(String), key_id String, public_key FixedString(32), prev_key_id String, prev_key_signature FixedString(64),
  enroller_key_id String, enroller_signature FixedString(64), attestation String, revoked_at DateTime64(3,'UTC') DEFAULT toDateTime64('2100-01-01 00:00:00',3,'UTC')
) ENGINE = MergeTree ORDER BY (host_id, enrolled_at);

CREATE TABLE IF NOT EXISTS ai_evidence.evidence_anchors (     -- writer: notary job
  anchored_at DateTime64(3,'UTC'), tree_size UInt32, merkle_root FixedString(32), prev_anchor_hash FixedString(32), leaves Array(Tuple(host_id String, chain_epoch UInt64, seal_seq UInt64, seal_hash FixedString(32))),
  key_id String, signature FixedString(64), rfc3161_token String, external_refs Map(LowCardinality(String), String)
) ENGINE = MergeTree ORDER BY anchored_at;

CREATE TABLE IF NOT EXISTS ai_evidence.verification_runs (    -- writer: verifier
  ts DateTime64(3,'UTC') DEFAULT now64(3,'UTC'), run_id UUID, verifier_version String, range_from DateTime64(3,'UTC'), range_to DateTime64(3,'UTC'),
  hosts UInt32, seals UInt64, records UInt64, gaps UInt64, bad_hashes UInt64, bad_signatures UInt64, forks UInt64, retention_expired UInt64, verdict LowCardinality(String), report_sha256 FixedString(32)
) ENGINE = MergeTree ORDER BY ts;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (2, 'registers', unhex('99837c2b15c0b81783314d05a6d5466d869deaffe6be1bae5a8fc2749a23aefd'));

-- migration 3: views
-- Delivery is at least once: read through these views, which drop second copies.
-- v_*: everything. pv_*: a period (from, to), with the filter below the LIMIT BY so that parts are pruned.

CREATE VIEW IF NOT EXISTS ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.v_findings AS SELECT * FROM ai_evidence.ai_findings     LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.v_connections AS SELECT * FROM ai_evidence.ai_connections  LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals  LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_findings AS SELECT * FROM ai_evidence.ai_findings     WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_connections AS SELECT * FROM ai_evidence.ai_connections  WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals  WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

-- spine of all records, for chain checks
CREATE VIEW IF NOT EXISTS ai_evidence.v_records AS
  SELECT 'interaction' AS kind, host_id, chain_epoch, seal_seq, rec_seq, record_hash FROM ai_evidence.ai_interactions
  UNION ALL SELECT 'finding',    host_id, chain_epoch, seal_seq, rec_seq, record_hash FROM ai_evidence.ai_findings
  UNION ALL SELECT 'connection', host_id, chain_epoch, seal_seq, rec_seq, record_hash FROM ai_evidence.ai_connections
  UNION ALL SELECT 'blind_spot', host_id, chain_epoch, seal_seq, rec_seq, record_hash FROM ai_evidence.blind_spots;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (3, 'views', unhex('09b899b7128750d4edc75c459db66c16c1bdbb6d876cfeaee29c23f9b8ce188a'));

-- migration 4: usage
-- Hourly use for dashboards. Idempotent aggregates (min, max, uniq) survive duplicate delivery, sums would not.
-- The window makes a repeated insert heal a view that missed its block (engine killed between table and view).

CREATE TABLE IF NOT EXISTS ai_evidence.ai_usage_hourly (
  hour DateTime('UTC'), gen_ai_provider_name LowCardinality(String), gen_ai_request_model LowCardinality(String), server_address LowCardinality(String),
  k8s_namespace_name LowCardinality(String), k8s_workload_name LowCardinality(String), policy_verdict LowCardinality(String),
  interactions AggregateFunction(uniqExact, FixedString(32)), users AggregateFunction(uniq, UInt32), hosts AggregateFunction(uniq, LowCardinality(String)),
  first_seen SimpleAggregateFunction(min, DateTime64(9,'UTC')), last_seen SimpleAggregateFunction(max, DateTime64(9,'UTC'))
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(hour)
ORDER BY (hour, gen_ai_provider_name, gen_ai_request_model, server_address, k8s_namespace_name, k8s_workload_name, policy_verdict)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS ai_evidence.ai_usage_hourly_mv TO ai_evidence.ai_usage_hourly AS
SELECT toStartOfHour(toDateTime(ts,'UTC')) AS hour, gen_ai_provider_name, gen_ai_request_model, server_address, k8s_namespace_name, k8s_workload_name, policy_verdict,
  uniqExactState(record_hash) AS interactions, uniqState(user_id) AS users, uniqState(host_id) AS hosts, min(ts) AS first_seen, max(ts) AS last_seen
FROM ai_evidence.ai_interactions GROUP BY ALL;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (4, 'usage', unhex('d63c93c0da9a08c3ceea24c7bf37098ca9ef15c251d32fcae11c561bb88acc81'));

-- migration 5: found_by
-- How the functions of a TLS stack were found, beside the stack.

ALTER TABLE ai_evidence.ai_interactions ADD COLUMN IF NOT EXISTS tls_found_by LowCardinality(String) AFTER tls_stack;   -- symbols | structure | pclntab | ''

ALTER TABLE ai_evidence.ai_connections ADD COLUMN IF NOT EXISTS tls_found_by LowCardinality(String) AFTER tls_stack;

-- A blind spot has its container, as a connection has.
ALTER TABLE ai_evidence.blind_spots ADD COLUMN IF NOT EXISTS container_id String CODEC(ZSTD(1)) AFTER k8s_workload_name;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * FROM ai_evidence.ai_connections  LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * FROM ai_evidence.ai_connections  WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.v_blind_spots AS SELECT * FROM ai_evidence.blind_spots LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_blind_spots AS SELECT * FROM ai_evidence.blind_spots WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (5, 'found_by', unhex('409a5b9590baa4ccd12591c7d480b5ce0d206453e8e118bca9dbd1afc7e019f4'));

-- migration 6: chain
-- Signed seals that hang together over restarts, books by stage, keys and anchors (form 3, docs/evidence.md).

ALTER TABLE ai_evidence.evidence_seals
  ADD COLUMN IF NOT EXISTS canon_v UInt8 DEFAULT 2 AFTER signature,                    -- older seals do not say: form 2
  ADD COLUMN IF NOT EXISTS open_reason LowCardinality(String) AFTER seal_kind,         -- first_start | restart | unclean | unclean_reboot | state_lost | ''
  ADD COLUMN IF NOT EXISTS prev_chain_epoch UInt64 AFTER open_reason,                  -- open seals: where prev_seal_hash is; 0: nowhere
  ADD COLUMN IF NOT EXISTS prev_seal_seq UInt64 AFTER prev_chain_epoch,
  ADD COLUMN IF NOT EXISTS notes Array(LowCardinality(String)) AFTER prev_seal_seq,    -- closed words
  ADD COLUMN IF NOT EXISTS policy_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER config_sha256,
  ADD COLUMN IF NOT EXISTS selftest LowCardinality(String) DEFAULT 'not_measured' AFTER selftest_ok, -- ok | failed | not_measured
  ADD COLUMN IF NOT EXISTS books_stage Array(LowCardinality(String)) AFTER selftest,   -- totals of the epoch: seen = delivered + lost + held
  ADD COLUMN IF NOT EXISTS books_seen Array(UInt64) CODEC(ZSTD(1)) AFTER books_stage,
  ADD COLUMN IF NOT EXISTS books_delivered Array(UInt64) CODEC(ZSTD(1)) AFTER books_seen,
  ADD COLUMN IF NOT EXISTS books_lost Array(UInt64) CODEC(ZSTD(1)) AFTER books_delivered,
  ADD COLUMN IF NOT EXISTS books_held Array(UInt64) CODEC(ZSTD(1)) AFTER books_lost,
  ADD COLUMN IF NOT EXISTS loss_stage Array(LowCardinality(String)) AFTER books_held,  -- losses of the interval
  ADD COLUMN IF NOT EXISTS loss_reason Array(LowCardinality(String)) AFTER loss_stage,
  ADD COLUMN IF NOT EXISTS loss_events Array(UInt64) CODEC(ZSTD(1)) AFTER loss_reason,
  ADD COLUMN IF NOT EXISTS loss_bytes Array(UInt64) CODEC(ZSTD(1)) AFTER loss_events;

ALTER TABLE ai_evidence.host_keys
  ADD COLUMN IF NOT EXISTS key_role LowCardinality(String) DEFAULT 'host' AFTER host_id,  -- host | notary
  ADD COLUMN IF NOT EXISTS valid_from DateTime64(9,'UTC') AFTER public_key,
  ADD COLUMN IF NOT EXISTS self_signature FixedString(64) AFTER prev_key_signature,
  ADD COLUMN IF NOT EXISTS trust LowCardinality(String) AFTER self_signature,             -- first_use | certified; said by the writer
  ADD COLUMN IF NOT EXISTS canon_v UInt8 AFTER attestation;

ALTER TABLE ai_evidence.evidence_anchors
  ADD COLUMN IF NOT EXISTS notary_id LowCardinality(String) AFTER anchored_at,
  ADD COLUMN IF NOT EXISTS anchor_seq UInt64 AFTER notary_id,                             -- dense per notary, from 1
  ADD COLUMN IF NOT EXISTS anchor_hash FixedString(32) AFTER prev_anchor_hash,
  ADD COLUMN IF NOT EXISTS canon_v UInt8 AFTER signature;

-- A certificate may be sent again at each start.
CREATE VIEW IF NOT EXISTS ai_evidence.v_host_keys AS SELECT * FROM ai_evidence.host_keys
  LIMIT 1 BY host_id, key_role, key_id, prev_key_id, self_signature, revoked_at;

-- The leaves without names: not every client knows named tuples.
CREATE VIEW IF NOT EXISTS ai_evidence.v_anchors AS
  SELECT * REPLACE (CAST(leaves, 'Array(Tuple(String, UInt64, UInt64, FixedString(32)))') AS leaves) FROM ai_evidence.evidence_anchors LIMIT 1 BY notary_id, anchor_seq, anchor_hash;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (6, 'chain', unhex('be719b5adcaab7b336b44218334857cf3af232e74cf65e877a637638023f6873'));

-- migration 7: dropped
-- Rows that were given up after they were numbered, by range: a declared loss is no removal (docs/evidence.md).

ALTER TABLE ai_evidence.evidence_seals
  ADD COLUMN IF NOT EXISTS dropped_reason Array(LowCardinality(String)) AFTER rss_kib,
  ADD COLUMN IF NOT EXISTS dropped_chain_epoch Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_reason,
  ADD COLUMN IF NOT EXISTS dropped_first_rec_seq Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_chain_epoch,
  ADD COLUMN IF NOT EXISTS dropped_last_rec_seq Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_first_rec_seq,
  ADD COLUMN IF NOT EXISTS dropped_records Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_last_rec_seq,
  ADD COLUMN IF NOT EXISTS dropped_first_seal_seq Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_records,
  ADD COLUMN IF NOT EXISTS dropped_last_seal_seq Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_first_seal_seq,
  ADD COLUMN IF NOT EXISTS dropped_seals Array(UInt64) CODEC(ZSTD(1)) AFTER dropped_last_seal_seq;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (7, 'dropped', unhex('e739556fd09979cf9c0ca712e375c98dc8a3ce8cdc67edab8138711fe5682545'));

-- migration 8: policy
-- Register of AI systems and policies in the store, what decided a verdict, and verdicts on connections (form 3, docs/policy.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS policy_reason LowCardinality(String) AFTER finding_count,          -- rule | default | approval_expired | ...
  ADD COLUMN IF NOT EXISTS register_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER policy_reason,
  ADD COLUMN IF NOT EXISTS register_entry_id LowCardinality(String) AFTER register_sha256,
  ADD COLUMN IF NOT EXISTS ai_system LowCardinality(String) AFTER register_entry_id;

ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS policy_verdict LowCardinality(String) AFTER opaque_reason,
  ADD COLUMN IF NOT EXISTS policy_rule_id LowCardinality(String) AFTER policy_verdict,
  ADD COLUMN IF NOT EXISTS policy_reason LowCardinality(String) AFTER policy_rule_id,
  ADD COLUMN IF NOT EXISTS policy_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER policy_reason,
  ADD COLUMN IF NOT EXISTS register_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER policy_sha256,
  ADD COLUMN IF NOT EXISTS register_entry_id LowCardinality(String) AFTER register_sha256,
  ADD COLUMN IF NOT EXISTS ai_system LowCardinality(String) AFTER register_entry_id;

ALTER TABLE ai_evidence.evidence_seals
  ADD COLUMN IF NOT EXISTS register_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER rss_kib;

-- One row for each entry of each register that was ever in force, told apart by the digest of its file.
ALTER TABLE ai_evidence.ai_register
  ADD COLUMN IF NOT EXISTS valid_until DateTime64(3,'UTC') DEFAULT toDateTime64('2100-01-01 00:00:00',3,'UTC'),
  ADD COLUMN IF NOT EXISTS review_date DateTime64(3,'UTC') DEFAULT toDateTime64('2100-01-01 00:00:00',3,'UTC'),
  ADD COLUMN IF NOT EXISTS approval String,
  ADD COLUMN IF NOT EXISTS matches Map(LowCardinality(String), Array(String)),             -- as written, by attribute
  ADD COLUMN IF NOT EXISTS data_classes_limited Bool,                                      -- false: allowed_data_classes says nothing
  ADD COLUMN IF NOT EXISTS register_version LowCardinality(String),
  ADD COLUMN IF NOT EXISTS register_sha256 FixedString(32),
  ADD COLUMN IF NOT EXISTS host_id LowCardinality(String),                                 -- who loaded it first
  ADD COLUMN IF NOT EXISTS loaded_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC');

CREATE VIEW IF NOT EXISTS ai_evidence.v_register AS SELECT * FROM ai_evidence.ai_register LIMIT 1 BY register_sha256, entry_id, valid_from;

-- The texts of policies and registers: SHA-256 of text is sha256, so a row proves itself.
CREATE TABLE IF NOT EXISTS ai_evidence.governance_files (     -- writer: agent, when one comes into force
  kind LowCardinality(String), sha256 FixedString(32), version String, text String CODEC(ZSTD(3)),
  host_id LowCardinality(String), loaded_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC')
) ENGINE = MergeTree ORDER BY (kind, sha256, loaded_at);

CREATE VIEW IF NOT EXISTS ai_evidence.v_governance_files AS SELECT * FROM ai_evidence.governance_files LIMIT 1 BY kind, sha256;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * FROM ai_evidence.ai_connections  LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * FROM ai_evidence.ai_connections  WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (8, 'policy', unhex('96f4056723e12841a00e10071bf17d02f83b458710648daa13122355e90f3c37'));

-- migration 9: accounts
-- Whose account, which client and agent, and how a process came to run (form 3, docs/policy.md); what is new, and what went dark.

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS account_hmac FixedString(16) CODEC(NONE) AFTER ai_system,
  ADD COLUMN IF NOT EXISTS account_kind LowCardinality(String) AFTER account_hmac,
  ADD COLUMN IF NOT EXISTS account_evidence LowCardinality(String) AFTER account_kind,
  ADD COLUMN IF NOT EXISTS account_organization LowCardinality(String) AFTER account_evidence,
  ADD COLUMN IF NOT EXISTS account_organization_source LowCardinality(String) AFTER account_organization,
  ADD COLUMN IF NOT EXISTS account_project LowCardinality(String) AFTER account_organization_source,
  ADD COLUMN IF NOT EXISTS account_claimed_issuer LowCardinality(String) AFTER account_project,
  ADD COLUMN IF NOT EXISTS account_claimed_subject String CODEC(ZSTD(1)) AFTER account_claimed_issuer,
  ADD COLUMN IF NOT EXISTS account_claimed_plan LowCardinality(String) AFTER account_claimed_subject,
  ADD COLUMN IF NOT EXISTS hmac_key_id LowCardinality(String) AFTER account_claimed_plan,
  ADD COLUMN IF NOT EXISTS client_name LowCardinality(String) AFTER hmac_key_id,
  ADD COLUMN IF NOT EXISTS client_version LowCardinality(String) AFTER client_name,
  ADD COLUMN IF NOT EXISTS client_kind LowCardinality(String) AFTER client_version,
  ADD COLUMN IF NOT EXISTS sdk_name LowCardinality(String) AFTER client_kind,
  ADD COLUMN IF NOT EXISTS sdk_version LowCardinality(String) AFTER sdk_name,
  ADD COLUMN IF NOT EXISTS login_user_name LowCardinality(String) AFTER sdk_version,
  ADD COLUMN IF NOT EXISTS audit_session_id UInt32 DEFAULT 4294967295 CODEC(ZSTD(1)) AFTER login_user_name,
  ADD COLUMN IF NOT EXISTS process_tty LowCardinality(String) AFTER audit_session_id,
  ADD COLUMN IF NOT EXISTS ssh_client_address String CODEC(ZSTD(1)) AFTER process_tty,
  ADD COLUMN IF NOT EXISTS invoking_user_id UInt32 DEFAULT 4294967295 CODEC(ZSTD(1)) AFTER ssh_client_address,
  ADD COLUMN IF NOT EXISTS agent_name LowCardinality(String) AFTER invoking_user_id,
  ADD COLUMN IF NOT EXISTS agent_session_id String CODEC(ZSTD(1)) AFTER agent_name;

ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS login_user_name LowCardinality(String) AFTER ai_system,
  ADD COLUMN IF NOT EXISTS audit_session_id UInt32 DEFAULT 4294967295 CODEC(ZSTD(1)) AFTER login_user_name,
  ADD COLUMN IF NOT EXISTS process_tty LowCardinality(String) AFTER audit_session_id,
  ADD COLUMN IF NOT EXISTS ssh_client_address String CODEC(ZSTD(1)) AFTER process_tty,
  ADD COLUMN IF NOT EXISTS invoking_user_id UInt32 DEFAULT 4294967295 CODEC(ZSTD(1)) AFTER ssh_client_address,
  ADD COLUMN IF NOT EXISTS agent_name LowCardinality(String) AFTER invoking_user_id,
  ADD COLUMN IF NOT EXISTS agent_session_id String CODEC(ZSTD(1)) AFTER agent_name;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * FROM ai_evidence.ai_connections LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

-- Accounts by fingerprint. Names are what client or service say; claimed_* nobody verified.
CREATE VIEW IF NOT EXISTS ai_evidence.v_accounts AS
  SELECT hmac_key_id, account_hmac, gen_ai_provider_name, any(account_kind) AS account_kind, any(account_evidence) AS account_evidence,
    min(ts) AS first_seen, max(ts) AS last_seen, uniqExact(record_hash) AS interactions, countIf(policy_verdict = 'unsanctioned') AS unsanctioned,
    arraySort(groupUniqArray(100)(host_name)) AS hosts, arraySort(groupUniqArray(100)(if(k8s_workload_name != '', concat(k8s_namespace_name, '/', k8s_workload_name), process_executable_path))) AS workloads,
    arraySort(groupUniqArray(100)(user_name)) AS users, arraySort(groupUniqArray(20)(account_organization)) AS organizations, arraySort(groupUniqArray(20)(account_project)) AS projects,
    arraySort(groupUniqArray(20)(account_claimed_subject)) AS claimed_subjects, arraySort(groupUniqArray(5)(account_claimed_plan)) AS claimed_plans
  FROM ai_evidence.v_interactions WHERE account_hmac != unhex('00000000000000000000000000000000') GROUP BY hmac_key_id, account_hmac, gen_ai_provider_name;

-- When each provider, model, account, workload, tool, client and host was seen first.
CREATE VIEW IF NOT EXISTS ai_evidence.v_first_seen AS
  SELECT kind, value, min(ts) AS first_seen, max(ts) AS last_seen, uniqExact(record_hash) AS interactions, uniqExact(host_id) AS hosts, groupUniqArray(5)(user_name) AS users
  FROM (SELECT ts, record_hash, host_id, user_name, arrayJoin(arrayConcat(
      [('provider', toString(gen_ai_provider_name)), ('endpoint', toString(server_address)), ('model', concat(gen_ai_provider_name, '/', gen_ai_request_model)),
       ('workload', if(k8s_workload_name != '', concat(k8s_namespace_name, '/', k8s_workload_name), process_executable_path)),
       ('account', if(account_hmac = unhex('00000000000000000000000000000000'), '', lower(hex(account_hmac)))), ('client', toString(client_name))],
      arrayMap(name -> ('tool', toString(name)), tool_names))) AS item, item.1 AS kind, item.2 AS value FROM ai_evidence.v_interactions)
  WHERE value != '' GROUP BY kind, value;

-- The same, only what was seen first in the last {days} days.
CREATE VIEW IF NOT EXISTS ai_evidence.pv_new AS SELECT * FROM ai_evidence.v_first_seen WHERE first_seen >= now64(9,'UTC') - toIntervalDay({days:UInt32});

-- Programs that were read before {since} and are not any more, while their connections to AI go on: their build changed, or the probes fell off.
CREATE VIEW IF NOT EXISTS ai_evidence.pv_went_dark AS
  SELECT host_id, any(host_name) AS host_name, process_executable_path, server_address,
    countIf(ts < {since:DateTime64(9,'UTC')}) AS connections_before, sumIf(plaintext_sent + plaintext_received, ts < {since:DateTime64(9,'UTC')}) AS plaintext_before,
    countIf(ts >= {since:DateTime64(9,'UTC')}) AS connections_after, sumIf(plaintext_sent + plaintext_received, ts >= {since:DateTime64(9,'UTC')}) AS plaintext_after,
    maxIf(ts, plaintext_sent + plaintext_received > 0) AS last_read, max(ts) AS last_seen, groupUniqArrayIf(5)(opaque_reason, ts >= {since:DateTime64(9,'UTC')}) AS reasons
  FROM ai_evidence.v_connections WHERE endpoint_class IN ('ai_known', 'ai_suspected', 'local_model') AND close_reason != 'agent_stop'
  GROUP BY host_id, process_executable_path, server_address
  HAVING plaintext_before > 0 AND connections_after >= {least:UInt32} AND plaintext_after = 0;

-- Sessions of agents, in order of their calls.
CREATE VIEW IF NOT EXISTS ai_evidence.v_agent_sessions AS
  SELECT host_id, any(host_name) AS host_name, agent_session_id, any(agent_name) AS agent_name, min(ts) AS first_seen, max(ts) AS last_seen, uniqExact(record_hash) AS interactions,
    uniqExact(process_pid, process_start_ns) AS processes, arraySort(groupUniqArray(50)(process_comm)) AS commands, arraySort(groupUniqArray(20)(user_name)) AS users,
    any(login_user_name) AS login_user_name, any(process_tty) AS process_tty, any(ssh_client_address) AS ssh_client_address, arraySort(groupUniqArray(50)(toString(gen_ai_request_model))) AS models,
    arraySort(groupUniqArrayArray(100)(tool_names)) AS tools, countIf(policy_verdict = 'unsanctioned') AS unsanctioned
  FROM ai_evidence.v_interactions WHERE agent_session_id != '' GROUP BY host_id, agent_session_id;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (9, 'accounts', unhex('0d71877e5fdc26edaee0c14962462c691d5161f32df63fc21131916bf9bf7ba0'));

-- migration 10: calls
-- What a call cost to make and what it carried: attempts, limits, tools, kinds of errors (docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS time_to_first_byte_ns Nullable(UInt64) CODEC(ZSTD(1)) AFTER time_to_first_chunk_ns,
  ADD COLUMN IF NOT EXISTS request_seq UInt64 CODEC(Delta(8), ZSTD(1)) AFTER connection_id,       -- attempts of a request share it; 0: older agent
  ADD COLUMN IF NOT EXISTS attempt_number Nullable(UInt16) AFTER request_seq,                     -- from 1
  ADD COLUMN IF NOT EXISTS response_request_id String CODEC(ZSTD(1)) AFTER gen_ai_response_id,
  ADD COLUMN IF NOT EXISTS previous_response_id String CODEC(ZSTD(1)) AFTER gen_ai_conversation_id,
  ADD COLUMN IF NOT EXISTS error_class LowCardinality(String) AFTER error_type,
  ADD COLUMN IF NOT EXISTS tool_call_count Nullable(UInt32) AFTER tool_names,
  ADD COLUMN IF NOT EXISTS tool_call_names Array(LowCardinality(String)) AFTER tool_call_count,
  ADD COLUMN IF NOT EXISTS tool_call_bytes Array(UInt64) AFTER tool_call_names,
  ADD COLUMN IF NOT EXISTS tool_result_count Nullable(UInt32) AFTER tool_call_bytes,
  ADD COLUMN IF NOT EXISTS tool_result_names Array(LowCardinality(String)) AFTER tool_result_count,
  ADD COLUMN IF NOT EXISTS tool_result_bytes Array(UInt64) AFTER tool_result_names,
  ADD COLUMN IF NOT EXISTS gen_ai_usage_input_audio_tokens Nullable(UInt64) AFTER gen_ai_usage_reasoning_output_tokens,
  ADD COLUMN IF NOT EXISTS gen_ai_usage_output_audio_tokens Nullable(UInt64) AFTER gen_ai_usage_input_audio_tokens,
  ADD COLUMN IF NOT EXISTS ratelimit_requests_limit Nullable(UInt64) AFTER error_class,
  ADD COLUMN IF NOT EXISTS ratelimit_requests_remaining Nullable(UInt64) AFTER ratelimit_requests_limit,
  ADD COLUMN IF NOT EXISTS ratelimit_requests_reset_ms Nullable(UInt64) AFTER ratelimit_requests_remaining,
  ADD COLUMN IF NOT EXISTS ratelimit_tokens_limit Nullable(UInt64) AFTER ratelimit_requests_reset_ms,
  ADD COLUMN IF NOT EXISTS ratelimit_tokens_remaining Nullable(UInt64) AFTER ratelimit_tokens_limit,
  ADD COLUMN IF NOT EXISTS ratelimit_tokens_reset_ms Nullable(UInt64) AFTER ratelimit_tokens_remaining,
  ADD COLUMN IF NOT EXISTS retry_after_ms Nullable(UInt64) AFTER ratelimit_tokens_reset_ms,
  ADD COLUMN IF NOT EXISTS mcp_session_id String CODEC(ZSTD(1)) AFTER mcp_method_name,
  ADD COLUMN IF NOT EXISTS mcp_protocol_version LowCardinality(String) AFTER mcp_session_id;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

-- One row for each request: its last attempt, and what all attempts were. Rows of older agents are requests of their own.

CREATE VIEW IF NOT EXISTS ai_evidence.v_requests AS
  SELECT *, min(ts) OVER request AS first_ts, max(attempt_number) OVER request AS attempts, count() OVER request AS attempts_seen,
    groupArray(error_class) OVER request AS attempt_error_classes
  FROM ai_evidence.v_interactions
  WINDOW request AS (PARTITION BY host_id, chain_epoch, request_seq, if(request_seq = 0, rec_seq, 0) ORDER BY ts, rec_seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
  QUALIFY row_number() OVER (PARTITION BY host_id, chain_epoch, request_seq, if(request_seq = 0, rec_seq, 0) ORDER BY ts DESC, rec_seq DESC) = 1;

CREATE VIEW IF NOT EXISTS ai_evidence.pv_requests AS
  SELECT *, min(ts) OVER request AS first_ts, max(attempt_number) OVER request AS attempts, count() OVER request AS attempts_seen,
    groupArray(error_class) OVER request AS attempt_error_classes
  FROM (SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash)
  WINDOW request AS (PARTITION BY host_id, chain_epoch, request_seq, if(request_seq = 0, rec_seq, 0) ORDER BY ts, rec_seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
  QUALIFY row_number() OVER (PARTITION BY host_id, chain_epoch, request_seq, if(request_seq = 0, rec_seq, 0) ORDER BY ts DESC, rec_seq DESC) = 1;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (10, 'calls', unhex('8e46ef60ef85de68d383800406d205194950cfdabe1a3dfd87cc10771b36bf7a'));

-- migration 11: scan_gaps
-- Why something of a call was not scanned (docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS scan_gaps Array(LowCardinality(String)) AFTER scan_bytes_scanned;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (11, 'scan_gaps', unhex('cf0953d4cf982ecc5042ef6e3ba472f8e8542c0317b7524f2c6beb08c9a680d0'));

-- migration 12: in_order
-- The views that drop second copies, in the order of their tables: copies are equal in the whole sorting key, whose last column is the hash over all that
-- was sealed, so they come one behind the other and nothing has to be kept of the rows before. By number, as before, the engine kept
-- each row of a period in memory: three million took more than the 400 MiB that the embedded engine gives to a query.
-- The hour is named below: written as a function of ts it would be left out beside ts, and the columns were no beginning of the key any more.
-- Not for a cluster (cluster.rs): a Distributed table would be sorted by the server that asks. Who makes one of these views anew writes it both ways.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_findings AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_findings)
  ORDER BY severity, finding_type, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY severity, finding_type, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_findings AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_findings WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY severity, finding_type, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY severity, finding_type, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_blind_spots AS SELECT * FROM ai_evidence.blind_spots
  ORDER BY reason, process_executable_path, host_id, ts, record_hash LIMIT 1 BY reason, process_executable_path, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_blind_spots AS SELECT * FROM ai_evidence.blind_spots WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}
  ORDER BY reason, process_executable_path, host_id, ts, record_hash LIMIT 1 BY reason, process_executable_path, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals
  ORDER BY host_id, chain_epoch, seal_seq, seal_hash LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')}
  ORDER BY host_id, chain_epoch, seal_seq, seal_hash LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (12, 'in_order', unhex('33ae252da71a2634684859e5800db8b0e4b3e1a2c550dbe0938ba65733ff521e'));

-- migration 13: enforcement
-- What enforcement decided about a connection (form 5, docs/policy.md).

ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS enforcement LowCardinality(String) AFTER agent_session_id,             -- denied | dry_run | cut | cut_failed | ''
  ADD COLUMN IF NOT EXISTS enforcement_rule_id LowCardinality(String) AFTER enforcement,
  ADD COLUMN IF NOT EXISTS enforcement_attempts UInt32 AFTER enforcement_rule_id;

-- A view keeps the columns that its table had when it was made. Migration 14 makes these two anew for one node.

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * FROM ai_evidence.ai_connections LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

-- Decisions of enforcement, the newest first.
CREATE VIEW IF NOT EXISTS ai_evidence.v_enforcement AS
  SELECT ts, closed_ts, host_id, host_name, enforcement, enforcement_rule_id, enforcement_attempts, server_address, server_port, network_transport, network_peer_address,
    user_name, user_id, process_executable_path, process_pid, k8s_namespace_name, k8s_workload_name, policy_sha256
  FROM ai_evidence.v_connections WHERE enforcement != '' ORDER BY ts DESC;

-- As before, without connections that enforcement denied or cut: nothing of them could be read.
CREATE OR REPLACE VIEW ai_evidence.pv_went_dark AS
  SELECT host_id, any(host_name) AS host_name, process_executable_path, server_address,
    countIf(ts < {since:DateTime64(9,'UTC')}) AS connections_before, sumIf(plaintext_sent + plaintext_received, ts < {since:DateTime64(9,'UTC')}) AS plaintext_before,
    countIf(ts >= {since:DateTime64(9,'UTC')}) AS connections_after, sumIf(plaintext_sent + plaintext_received, ts >= {since:DateTime64(9,'UTC')}) AS plaintext_after,
    maxIf(ts, plaintext_sent + plaintext_received > 0) AS last_read, max(ts) AS last_seen, groupUniqArrayIf(5)(opaque_reason, ts >= {since:DateTime64(9,'UTC')}) AS reasons
  FROM ai_evidence.v_connections WHERE endpoint_class IN ('ai_known', 'ai_suspected', 'local_model') AND close_reason != 'agent_stop' AND enforcement NOT IN ('denied', 'cut')
    AND visibility != 'none'
  GROUP BY host_id, process_executable_path, server_address
  HAVING plaintext_before > 0 AND connections_after >= {least:UInt32} AND plaintext_after = 0;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (13, 'enforcement', unhex('874e20a25432419a0fbe6858b695a49c68a190fb612fc72be3ce367d66e35286'));

-- migration 14: connections_in_order
-- The views of connections once more in the order of their table, with the columns of migration 13 (as migration 12; not for a cluster).

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (14, 'connections_in_order', unhex('a603dfecb4c5b7bd2bcfc9a11c6603851579a1f9e1790ba842ac82baf2691a9f'));

-- migration 15: connections_of_pods
-- Connections have all names of their pod, as interactions have (form 6, docs/operations.md).

ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS k8s_cluster_name LowCardinality(String) AFTER enforcement_attempts,
  ADD COLUMN IF NOT EXISTS k8s_node_name LowCardinality(String) AFTER k8s_cluster_name,
  ADD COLUMN IF NOT EXISTS k8s_pod_name String CODEC(ZSTD(1)) AFTER k8s_node_name,
  ADD COLUMN IF NOT EXISTS k8s_pod_uid String CODEC(ZSTD(1)) AFTER k8s_pod_name,
  ADD COLUMN IF NOT EXISTS k8s_container_name LowCardinality(String) AFTER k8s_pod_uid,
  ADD COLUMN IF NOT EXISTS k8s_workload_kind LowCardinality(String) AFTER k8s_container_name,
  ADD COLUMN IF NOT EXISTS k8s_service_account LowCardinality(String) AFTER k8s_workload_kind,
  ADD COLUMN IF NOT EXISTS container_image_name LowCardinality(String) AFTER k8s_service_account;

-- A view keeps the columns that its table had when it was made. In the order of the table (migration 12): a cluster takes those of migration 13.

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (15, 'connections_of_pods', unhex('ba2afb37ea6e137722edd99b97016a22144d7d5de36c9c517260a4d2a7948818'));

-- migration 16: mcp
-- How a call went, which MCP server answered, and what ties a call to others (form 7, docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS network_transport LowCardinality(String) AFTER scan_gaps,                        -- tcp | udp | unix | pipe | '': no socket tied
  ADD COLUMN IF NOT EXISTS mcp_server_name LowCardinality(String) AFTER network_transport,                  -- as it says itself
  ADD COLUMN IF NOT EXISTS mcp_server_version LowCardinality(String) AFTER mcp_server_name,
  ADD COLUMN IF NOT EXISTS mcp_server_executable LowCardinality(String) AFTER mcp_server_version,           -- of a server that the process started
  ADD COLUMN IF NOT EXISTS mcp_server_executable_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER mcp_server_executable,
  ADD COLUMN IF NOT EXISTS trace_id String CODEC(ZSTD(1)) AFTER mcp_server_executable_sha256,
  ADD COLUMN IF NOT EXISTS client_request_id String CODEC(ZSTD(1)) AFTER trace_id;

-- What was asked for at a hub of models (endpoint_class model_hub).
ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS model_repository String CODEC(ZSTD(1)) AFTER container_image_name;

-- A view keeps the columns that its table had when it was made. In the order of the tables (migration 12): a cluster takes those of migrations 11 and 13.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (16, 'mcp', unhex('8ecf228d5c31ee96de23be8f9ed140591e0fed86064e1747083e106e907fd958'));

-- migration 17: gateways
-- Both halves of a call that a gateway passed on, and who really asked.

-- Calls of a period that are part of another program's call on the same host: of a gateway or relay. The caller's call began before and ended after it, and
-- something says that they are one: the response's number, a number of the request, the trace, or the same prompt (joined_by). Where callers is more than 1,
-- several programs fit, and each has its row.
CREATE VIEW IF NOT EXISTS ai_evidence.pv_gateway_calls AS
  SELECT *, count() OVER (PARTITION BY host_id, record_hash) AS callers FROM (
    SELECT o.ts AS ts, o.host_id AS host_id, any(o.host_name) AS host_name, o.record_hash AS record_hash,
      any(o.server_address) AS server_address, any(o.gen_ai_provider_name) AS gen_ai_provider_name, any(o.gen_ai_request_model) AS gen_ai_request_model, any(o.policy_verdict) AS policy_verdict,
      any(o.process_executable_path) AS gateway_executable_path, any(o.process_pid) AS gateway_pid, any(o.user_name) AS gateway_user_name,
      c.record_hash AS caller_record_hash, any(c.ts) AS caller_ts, any(c.server_address) AS caller_server_address, any(c.process_executable_path) AS caller_executable_path,
      any(c.process_pid) AS caller_pid, any(c.user_name) AS caller_user_name, any(c.login_user_name) AS caller_login_user_name, any(c.agent_name) AS caller_agent_name,
      any(c.client_name) AS caller_client_name, any(c.k8s_namespace_name) AS caller_namespace_name, any(c.k8s_workload_name) AS caller_workload_name,
      any(c.account_hmac) AS caller_account_hmac, any(c.policy_verdict) AS caller_policy_verdict,
      arraySort(groupUniqArray(tie.1)) AS joined_by
    FROM (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', hex(prompt_hmac)))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}) AS o
    INNER JOIN (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', hex(prompt_hmac)))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} - INTERVAL 1 HOUR AND ts < {to:DateTime64(9,'UTC')}) AS c
      ON o.host_id = c.host_id AND o.tie = c.tie
    WHERE (o.process_pid, o.process_start_ns) != (c.process_pid, c.process_start_ns)
      AND c.ts <= o.ts AND toUnixTimestamp64Nano(c.ts) + c.duration_ns >= toUnixTimestamp64Nano(o.ts) + o.duration_ns
    GROUP BY o.ts, o.host_id, o.record_hash, c.record_hash
  );

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (17, 'gateways', unhex('bfc19ba0115a28bccb8485d8e4da444802645fced85ded00130d5b54d4c90651'));

-- migration 18: gateways_elsewhere
-- Gateways on other hosts than their callers.

-- As before, and calls of a period whose caller is on another host (caller_host_id, caller_host_name). Clocks of two hosts differ, so there the caller's call must have taken
-- longer, and may have begun two seconds later; a prompt is the same only under the same key.
CREATE OR REPLACE VIEW ai_evidence.pv_gateway_calls AS
  SELECT *, count() OVER (PARTITION BY host_id, record_hash) AS callers FROM (
    SELECT o.ts AS ts, o.host_id AS host_id, any(o.host_name) AS host_name, o.record_hash AS record_hash,
      any(o.server_address) AS server_address, any(o.gen_ai_provider_name) AS gen_ai_provider_name, any(o.gen_ai_request_model) AS gen_ai_request_model, any(o.policy_verdict) AS policy_verdict,
      any(o.process_executable_path) AS gateway_executable_path, any(o.process_pid) AS gateway_pid, any(o.user_name) AS gateway_user_name,
      c.record_hash AS caller_record_hash, any(c.ts) AS caller_ts, any(c.host_id) AS caller_host_id, any(c.host_name) AS caller_host_name,
      any(c.server_address) AS caller_server_address, any(c.process_executable_path) AS caller_executable_path,
      any(c.process_pid) AS caller_pid, any(c.user_name) AS caller_user_name, any(c.login_user_name) AS caller_login_user_name, any(c.agent_name) AS caller_agent_name,
      any(c.client_name) AS caller_client_name, any(c.k8s_namespace_name) AS caller_namespace_name, any(c.k8s_workload_name) AS caller_workload_name,
      any(c.account_hmac) AS caller_account_hmac, any(c.policy_verdict) AS caller_policy_verdict,
      arraySort(groupUniqArray(tie.1)) AS joined_by
    FROM (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}) AS o
    INNER JOIN (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} - INTERVAL 1 HOUR AND ts < {to:DateTime64(9,'UTC')} + INTERVAL 2 SECOND) AS c
      ON o.tie = c.tie
    WHERE if(o.host_id = c.host_id,
        (o.process_pid, o.process_start_ns) != (c.process_pid, c.process_start_ns)
          AND c.ts <= o.ts AND toUnixTimestamp64Nano(c.ts) + c.duration_ns >= toUnixTimestamp64Nano(o.ts) + o.duration_ns,
        c.duration_ns > o.duration_ns
          AND c.ts <= o.ts + INTERVAL 2 SECOND
          AND toUnixTimestamp64Nano(c.ts) + c.duration_ns + 2000000000 >= toUnixTimestamp64Nano(o.ts) + o.duration_ns)
    GROUP BY o.ts, o.host_id, o.record_hash, c.record_hash
  );

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (18, 'gateways_elsewhere', unhex('a6ddf4a7f07d6e436d775ea188d8bd5c25dfcbf54cab99dae0bff87ef6dbb6a4'));

-- migration 19: served
-- Calls that a process answers are rows, too, where the caller's side is not read on its host (form 8, docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS role LowCardinality(String) AFTER client_request_id;                             -- client | server | '': client, before form 8

-- A view keeps the columns that its table had when it was made. In the order of the table (migration 12): a cluster takes those of migration 11.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (19, 'served', unhex('8810e77c31f78697489522cfafbf5c078550ea6945863d5605dd776d309aa96f'));

-- migration 20: gateways_served
-- Callers of gateways that are seen only where they are answered.

-- As before, and calls of a gateway whose caller is seen only where it is answered: by the gateway itself. caller_address is then where it came from, and what else is
-- said of the caller is the gateway's.
CREATE OR REPLACE VIEW ai_evidence.pv_gateway_calls AS
  SELECT *, count() OVER (PARTITION BY host_id, record_hash) AS callers FROM (
    SELECT o.ts AS ts, o.host_id AS host_id, any(o.host_name) AS host_name, o.record_hash AS record_hash,
      any(o.server_address) AS server_address, any(o.gen_ai_provider_name) AS gen_ai_provider_name, any(o.gen_ai_request_model) AS gen_ai_request_model, any(o.policy_verdict) AS policy_verdict,
      any(o.process_executable_path) AS gateway_executable_path, any(o.process_pid) AS gateway_pid, any(o.user_name) AS gateway_user_name,
      c.record_hash AS caller_record_hash, any(c.ts) AS caller_ts, any(c.host_id) AS caller_host_id, any(c.host_name) AS caller_host_name,
      any(c.server_address) AS caller_server_address, any(c.process_executable_path) AS caller_executable_path,
      any(c.process_pid) AS caller_pid, if(any(c.role) = 'server', any(c.network_peer_address), toIPv6('::')) AS caller_address, any(c.user_name) AS caller_user_name, any(c.login_user_name) AS caller_login_user_name, any(c.agent_name) AS caller_agent_name,
      any(c.client_name) AS caller_client_name, any(c.k8s_namespace_name) AS caller_namespace_name, any(c.k8s_workload_name) AS caller_workload_name,
      any(c.account_hmac) AS caller_account_hmac, any(c.policy_verdict) AS caller_policy_verdict,
      arraySort(groupUniqArray(tie.1)) AS joined_by
    FROM (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}) AS o
    INNER JOIN (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} - INTERVAL 1 HOUR AND ts < {to:DateTime64(9,'UTC')} + INTERVAL 2 SECOND) AS c
      ON o.tie = c.tie
    WHERE o.role != 'server' AND if(o.host_id = c.host_id,
        ((o.process_pid, o.process_start_ns) = (c.process_pid, c.process_start_ns)) = (c.role = 'server')
          AND c.ts <= o.ts AND toUnixTimestamp64Nano(c.ts) + c.duration_ns >= toUnixTimestamp64Nano(o.ts) + o.duration_ns,
        c.role != 'server' AND c.duration_ns > o.duration_ns
          AND c.ts <= o.ts + INTERVAL 2 SECOND
          AND toUnixTimestamp64Nano(c.ts) + c.duration_ns + 2000000000 >= toUnixTimestamp64Nano(o.ts) + o.duration_ns)
    GROUP BY o.ts, o.host_id, o.record_hash, c.record_hash
  );

INSERT INTO ai_evidence.schema_migrations (version, name, sha256) VALUES (20, 'gateways_served', unhex('fe0407a98fde79fbb375dcbf7e71af8be34a200635c24c1bf8062a8af77c3408'));
