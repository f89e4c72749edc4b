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
