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
