-- Calls that a process answers are rows, too, where the caller's side is not read on its host (form 8, docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS role LowCardinality(String) AFTER client_request_id;                             -- client | server | '': client, before form 8

-- A view keeps the columns that its table had when it was made. In the order of the table (migration 12): a cluster takes those of migration 11.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;
