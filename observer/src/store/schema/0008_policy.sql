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
