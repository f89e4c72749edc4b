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
