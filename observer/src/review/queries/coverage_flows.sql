-- Connections to AI by host: how many were decoded, and how many of their bytes. Bytes count where the socket's are known.
-- Parameters: {from:DateTime64(9,'UTC')} {to:DateTime64(9,'UTC')}. `observer coverage` gives the same numbers.
SELECT toString(host_id) AS host_id,
  countIf(is_ai) AS flows, countIf(is_ai AND visibility = 'decoded') AS decoded, countIf(is_ai AND visibility = 'partial') AS partial,
  countIf(is_ai AND visibility = 'opaque') AS opaque,
  sumIf(plaintext_sent + plaintext_received, is_ai AND is_known) AS plain_bytes,
  sumIf(assumeNotNull(bytes_sent) + assumeNotNull(bytes_received), is_ai AND is_known) AS socket_bytes,
  countIf(is_ai AND NOT is_known) AS bytes_unknown,
  countIf(endpoint_class = 'unknown' AND visibility = 'opaque') AS unknown_opaque,
  if(flows = 0, NULL, decoded / flows) AS c_flow, if(socket_bytes = 0, NULL, plain_bytes / socket_bytes) AS c_byte
FROM (SELECT *, endpoint_class IN ('ai_known', 'local_model') AND visibility != 'none' AS is_ai, bytes_sent IS NOT NULL AND bytes_received IS NOT NULL AS is_known
  FROM ai_evidence.pv_connections(from={from:DateTime64(9,'UTC')}, to={to:DateTime64(9,'UTC')}))
GROUP BY host_id ORDER BY host_id
