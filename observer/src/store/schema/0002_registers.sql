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
