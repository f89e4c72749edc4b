-- The views of connections once more in the order of their table, with the columns of migration 13 (as migration 12; not for a cluster).

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;
