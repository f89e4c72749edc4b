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
