-- How a call went, which MCP server answered, and what ties a call to others (form 7, docs/schema.md).

ALTER TABLE ai_evidence.ai_interactions
  ADD COLUMN IF NOT EXISTS network_transport LowCardinality(String) AFTER scan_gaps,                        -- tcp | udp | unix | pipe | '': no socket tied
  ADD COLUMN IF NOT EXISTS mcp_server_name LowCardinality(String) AFTER network_transport,                  -- as it says itself
  ADD COLUMN IF NOT EXISTS mcp_server_version LowCardinality(String) AFTER mcp_server_name,
  ADD COLUMN IF NOT EXISTS mcp_server_executable LowCardinality(String) AFTER mcp_server_version,           -- of a server that the process started
  ADD COLUMN IF NOT EXISTS mcp_server_executable_sha256 FixedString(32) CODEC(ZSTD(1)) AFTER mcp_server_executable,
  ADD COLUMN IF NOT EXISTS trace_id String CODEC(ZSTD(1)) AFTER mcp_server_executable_sha256,
  ADD COLUMN IF NOT EXISTS client_request_id String CODEC(ZSTD(1)) AFTER trace_id;

-- What was asked for at a hub of models (endpoint_class model_hub).
ALTER TABLE ai_evidence.ai_connections
  ADD COLUMN IF NOT EXISTS model_repository String CODEC(ZSTD(1)) AFTER container_image_name;

-- A view keeps the columns that its table had when it was made. In the order of the tables (migration 12): a cluster takes those of migrations 11 and 13.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;
