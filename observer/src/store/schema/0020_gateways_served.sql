-- Callers of gateways that are seen only where they are answered.

-- As before, and calls of a gateway whose caller is seen only where it is answered: by the gateway itself. caller_address is then where it came from, and what else is
-- said of the caller is the gateway's.
CREATE OR REPLACE VIEW ai_evidence.pv_gateway_calls AS
  SELECT *, count() OVER (PARTITION BY host_id, record_hash) AS callers FROM (
    SELECT o.ts AS ts, o.host_id AS host_id, any(o.host_name) AS host_name, o.record_hash AS record_hash,
      any(o.server_address) AS server_address, any(o.gen_ai_provider_name) AS gen_ai_provider_name, any(o.gen_ai_request_model) AS gen_ai_request_model, any(o.policy_verdict) AS policy_verdict,
      any(o.process_executable_path) AS gateway_executable_path, any(o.process_pid) AS gateway_pid, any(o.user_name) AS gateway_user_name,
      c.record_hash AS caller_record_hash, any(c.ts) AS caller_ts, any(c.host_id) AS caller_host_id, any(c.host_name) AS caller_host_name,
      any(c.server_address) AS caller_server_address, any(c.process_executable_path) AS caller_executable_path,
      any(c.process_pid) AS caller_pid, if(any(c.role) = 'server', any(c.network_peer_address), toIPv6('::')) AS caller_address, any(c.user_name) AS caller_user_name, any(c.login_user_name) AS caller_login_user_name, any(c.agent_name) AS caller_agent_name,
      any(c.client_name) AS caller_client_name, any(c.k8s_namespace_name) AS caller_namespace_name, any(c.k8s_workload_name) AS caller_workload_name,
      any(c.account_hmac) AS caller_account_hmac, any(c.policy_verdict) AS caller_policy_verdict,
      arraySort(groupUniqArray(tie.1)) AS joined_by
    FROM (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} AND ts < {to:DateTime64(9,'UTC')}) AS o
    INNER JOIN (SELECT *, arrayJoin(arrayFilter(t -> t.2 != '', [('response_id', toString(gen_ai_response_id)), ('request_id', toString(client_request_id)), ('request_id', toString(response_request_id)),
          ('trace_id', toString(trace_id)), ('prompt', if(prompt_hmac = toFixedString('', 32), '', concat(hmac_key_id, hex(prompt_hmac))))])) AS tie
        FROM ai_evidence.v_interactions WHERE ts >= {from:DateTime64(9,'UTC')} - INTERVAL 1 HOUR AND ts < {to:DateTime64(9,'UTC')} + INTERVAL 2 SECOND) AS c
      ON o.tie = c.tie
    WHERE o.role != 'server' AND if(o.host_id = c.host_id,
        ((o.process_pid, o.process_start_ns) = (c.process_pid, c.process_start_ns)) = (c.role = 'server')
          AND c.ts <= o.ts AND toUnixTimestamp64Nano(c.ts) + c.duration_ns >= toUnixTimestamp64Nano(o.ts) + o.duration_ns,
        c.role != 'server' AND c.duration_ns > o.duration_ns
          AND c.ts <= o.ts + INTERVAL 2 SECOND
          AND toUnixTimestamp64Nano(c.ts) + c.duration_ns + 2000000000 >= toUnixTimestamp64Nano(o.ts) + o.duration_ns)
    GROUP BY o.ts, o.host_id, o.record_hash, c.record_hash
  );
