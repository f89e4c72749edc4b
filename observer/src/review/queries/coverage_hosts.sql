-- Coverage by host: time, events and the three-valued answer. One row for each host that the inventory has in scope, and for each that sealed.
-- Parameters: {from:DateTime64(9,'UTC')} {to:DateTime64(9,'UTC')}. `observer coverage` gives the same numbers.
WITH
  toUnixTimestamp64Nano({from:DateTime64(9,'UTC')}) AS p_from,
  toUnixTimestamp64Nano({to:DateTime64(9,'UTC')}) AS p_to,
  inventory AS (
    SELECT toString(host_id) AS host,
      greatest(p_from, toUnixTimestamp64Milli(argMax(first_seen, observed_at)) * 1000000) AS up_from,
      least(p_to, toUnixTimestamp64Milli(argMax(gone_at, observed_at)) * 1000000) AS up_to
    FROM ai_evidence.host_inventory GROUP BY host_id HAVING argMax(in_scope, observed_at)),
  seals AS (
    SELECT toString(host_id) AS host, chain_epoch, seal_seq,
      toUnixTimestamp64Nano(interval_start) AS begin_ns, toUnixTimestamp64Nano(interval_end) AS end_ns,
      probes_attached >= probes_required AS probes_are_ok, selftest,
      events_seen, events_lost_ring + events_lost_user + records_dropped_spool AS events_lost, ai_flows, unknown_flows_opaque
    FROM ai_evidence.v_seals
    WHERE interval_start >= {from:DateTime64(9,'UTC')} - INTERVAL 1 DAY AND interval_start < {to:DateTime64(9,'UTC')} AND interval_end > {from:DateTime64(9,'UTC')}),
  hosts AS (
    SELECT host, any(up_from) AS up_from, any(up_to) AS up_to, max(listed) AS in_inventory FROM (
      SELECT host, up_from, greatest(up_from, up_to) AS up_to, 1 AS listed FROM inventory
      UNION ALL SELECT DISTINCT host, p_from, p_to, 0 FROM seals WHERE host NOT IN (SELECT host FROM inventory)) GROUP BY host),
  -- Overlapping seals count once: each counts from where those before it in the chain end.
  spans AS (
    SELECT h.host AS host, s.probes_are_ok AS probes_are_ok, s.selftest AS selftest, s.events_seen AS events_seen, s.events_lost AS events_lost, s.ai_flows AS ai_flows, s.unknown_flows_opaque AS unknown_opaque,
      greatest(0, least(s.end_ns, h.up_to) - greatest(s.begin_ns, h.up_from,
        ifNull(max(s.end_ns) OVER (PARTITION BY s.host ORDER BY s.chain_epoch, s.seal_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS ns
    FROM seals AS s INNER JOIN hosts AS h ON s.host = h.host WHERE s.end_ns > h.up_from AND s.begin_ns < h.up_to),
  sums AS (
    SELECT host, count() AS seals, sum(ns) AS sealed_ns, sumIf(ns, probes_are_ok) AS probes_ok_ns, sumIf(ns, selftest = 'ok') AS selftest_ok_ns,
      sumIf(ns, selftest = 'not_measured') AS selftest_not_measured_ns, sumIf(ns, probes_are_ok AND selftest = 'ok') AS good_ns,
      sum(events_seen) AS seen, sum(events_lost) AS lost, sum(ai_flows) AS flows, sum(unknown_opaque) AS unknown
    FROM spans GROUP BY host),
  used AS (
    SELECT host, sum(n) AS n, sum(u) AS unknown_connections FROM (
      SELECT toString(host_id) AS host, toUInt64(1) AS n, toUInt64(0) AS u FROM ai_evidence.pv_interactions(from={from:DateTime64(9,'UTC')}, to={to:DateTime64(9,'UTC')})
      UNION ALL SELECT toString(host_id), toUInt64(endpoint_class IN ('ai_known', 'local_model') AND visibility != 'none'), toUInt64(endpoint_class = 'unknown' AND visibility = 'opaque')
      FROM ai_evidence.pv_connections(from={from:DateTime64(9,'UTC')}, to={to:DateTime64(9,'UTC')})) GROUP BY host),
  blind AS (
    SELECT toString(host_id) AS host, count() AS n FROM ai_evidence.pv_blind_spots(from={from:DateTime64(9,'UTC')}, to={to:DateTime64(9,'UTC')}) WHERE flows_unknown > 0 GROUP BY host)
SELECT h.host AS host_id, h.in_inventory AS in_inventory, toInt64(h.up_to - h.up_from) AS expected_ns, toInt64(s.sealed_ns) AS sealed_ns, toInt64(s.good_ns) AS good_ns,
  toUInt64(s.seen) AS events_seen, toUInt64(s.lost) AS events_lost, toUInt64(s.unknown) AS unknown_opaque_flows,
  if(expected_ns = 0, NULL, good_ns / expected_ns) AS c_time,
  if(events_seen + events_lost = 0, NULL, events_seen / (events_seen + events_lost)) AS c_event,
  multiIf(u.n > 0 OR s.flows > 0, 'OBSERVED_SOME',
    s.seals > 0 AND expected_ns > 0 AND expected_ns - sealed_ns <= 1000000000 AND s.probes_ok_ns = s.sealed_ns AND s.selftest_ok_ns = s.sealed_ns
      AND events_lost = 0 AND unknown_opaque_flows + u.unknown_connections = 0 AND b.n = 0, 'OBSERVED_NONE', 'UNKNOWN') AS answer
FROM hosts AS h LEFT JOIN sums AS s ON h.host = s.host LEFT JOIN used AS u ON h.host = u.host LEFT JOIN blind AS b ON h.host = b.host
ORDER BY host_id
