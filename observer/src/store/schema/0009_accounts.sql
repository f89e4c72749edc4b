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
