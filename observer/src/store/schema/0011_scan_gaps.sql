-- Why something of a call was not scanned (docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS scan_gaps Array(LowCardinality(String)) AFTER scan_bytes_scanned;

-- A view keeps the columns that its table had when it was made.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * FROM ai_evidence.ai_interactions LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')} LIMIT 1 BY host_id, chain_epoch, rec_seq, record_hash;
