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
