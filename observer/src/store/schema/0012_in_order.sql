-- The views that drop second copies, in the order of their tables: copies are equal in the whole sorting key, whose last column is the hash over all that
-- was sealed, so they come one behind the other and nothing has to be kept of the rows before. By number, as before, the engine kept
-- each row of a period in memory: three million took more than the 400 MiB that the embedded engine gives to a query.
-- The hour is named below: written as a function of ts it would be left out beside ts, and the columns were no beginning of the key any more.
-- Not for a cluster (cluster.rs): a Distributed table would be sorted by the server that asks. Who makes one of these views anew writes it both ways.

CREATE OR REPLACE VIEW ai_evidence.v_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions)
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_interactions AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY gen_ai_provider_name, k8s_namespace_name, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_findings AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_findings)
  ORDER BY severity, finding_type, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY severity, finding_type, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_findings AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_findings WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY severity, finding_type, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY severity, finding_type, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections)
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_connections AS SELECT * EXCEPT (hour_of_ts) FROM (SELECT *, toStartOfHour(ts) AS hour_of_ts FROM ai_evidence.ai_connections WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')})
  ORDER BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash LIMIT 1 BY endpoint_class, visibility, hour_of_ts, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_blind_spots AS SELECT * FROM ai_evidence.blind_spots
  ORDER BY reason, process_executable_path, host_id, ts, record_hash LIMIT 1 BY reason, process_executable_path, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_blind_spots AS SELECT * FROM ai_evidence.blind_spots WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}
  ORDER BY reason, process_executable_path, host_id, ts, record_hash LIMIT 1 BY reason, process_executable_path, host_id, ts, record_hash;

CREATE OR REPLACE VIEW ai_evidence.v_seals AS SELECT * FROM ai_evidence.evidence_seals
  ORDER BY host_id, chain_epoch, seal_seq, seal_hash LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;

CREATE OR REPLACE VIEW ai_evidence.pv_seals AS SELECT * FROM ai_evidence.evidence_seals WHERE interval_start >= {from:DateTime64(9,'UTC')} AND interval_start < {to:DateTime64(9,'UTC')}
  ORDER BY host_id, chain_epoch, seal_seq, seal_hash LIMIT 1 BY host_id, chain_epoch, seal_seq, seal_hash;
