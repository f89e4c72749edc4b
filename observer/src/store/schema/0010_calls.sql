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
