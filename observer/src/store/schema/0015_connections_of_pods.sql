-- Connections have all names of their pod, as interactions have (form 6, docs/operations.md).

ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS k8s_cluster_name LowCardinality(String) AFTER enforcement_attempts,
  ADD COLUMN IF NOT EXISTS k8s_node_name LowCardinality(String) AFTER k8s_cluster_name,
  ADD COLUMN IF NOT EXISTS k8s_pod_name String CODEC(ZSTD(1)) AFTER k8s_node_name,
  ADD COLUMN IF NOT EXISTS k8s_pod_uid String CODEC(ZSTD(1)) AFTER k8s_pod_name,
  ADD COLUMN IF NOT EXISTS k8s_container_name LowCardinality(String) AFTER k8s_pod_uid,
  ADD COLUMN IF NOT EXISTS k8s_workload_kind LowCardinality(String) AFTER k8s_container_name,
  ADD COLUMN IF NOT EXISTS k8s_service_account LowCardinality(String) AFTER k8s_workload_kind,
  ADD COLUMN IF NOT EXISTS container_image_name LowCardinality(String) AFTER k8s_service_account;

-- A view keeps the columns that its table had when it was made. In the order of the table (migration 12): a cluster takes those of migration 13.

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;
