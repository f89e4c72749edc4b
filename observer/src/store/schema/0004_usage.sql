-- Hourly use for dashboards. Idempotent aggregates (min, max, uniq) survive duplicate delivery, sums would not.
-- The window makes a repeated insert heal a view that missed its block (engine killed between table and view).

CREATE TABLE IF NOT EXISTS ai_evidence.ai_usage_hourly (
  hour DateTime('UTC'), gen_ai_provider_name LowCardinality(String), gen_ai_request_model LowCardinality(String), server_address LowCardinality(String),
  k8s_namespace_name LowCardinality(String), k8s_workload_name LowCardinality(String), policy_verdict LowCardinality(String),
  interactions AggregateFunction(uniqExact, FixedString(32)), users AggregateFunction(uniq, UInt32), hosts AggregateFunction(uniq, LowCardinality(String)),
  first_seen SimpleAggregateFunction(min, DateTime64(9,'UTC')), last_seen SimpleAggregateFunction(max, DateTime64(9,'UTC'))
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(hour)
ORDER BY (hour, gen_ai_provider_name, gen_ai_request_model, server_address, k8s_namespace_name, k8s_workload_name, policy_verdict)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS ai_evidence.ai_usage_hourly_mv TO ai_evidence.ai_usage_hourly AS
SELECT toStartOfHour(toDateTime(ts,'UTC')) AS hour, gen_ai_provider_name, gen_ai_request_model, server_address, k8s_namespace_name, k8s_workload_name, policy_verdict,
  uniqExactState(record_hash) AS interactions, uniqState(user_id) AS users, uniqState(host_id) AS hosts, min(ts) AS first_seen, max(ts) AS last_seen
FROM ai_evidence.ai_interactions GROUP BY ALL;
