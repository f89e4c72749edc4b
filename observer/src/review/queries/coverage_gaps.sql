-- Time without a seal between two seals of a host, and why, as far as they show. Gaps at the ends of the period are not in it.
-- Parameters: {from:DateTime64(9,'UTC')} {to:DateTime64(9,'UTC')}. `observer coverage` gives the same gaps.
SELECT toString(host_id) AS host_id, toUnixTimestamp64Nano(prev_end) AS gap_from, toUnixTimestamp64Nano(interval_start) AS gap_to,
  multiIf(prev_kind = 'close', 'orderly_stop', chain_epoch = prev_epoch AND seal_seq = prev_seq + 1, 'silent_gap', chain_epoch = prev_epoch, 'seals_missing',
    boot_id = prev_boot, 'agent_killed', 'host_reboot') AS cause
FROM (
  SELECT host_id, chain_epoch, seal_seq, boot_id, interval_start,
    max(interval_end) OVER w AS prev_end, lagInFrame(chain_epoch) OVER p AS prev_epoch, lagInFrame(seal_seq) OVER p AS prev_seq,
    lagInFrame(boot_id) OVER p AS prev_boot, lagInFrame(seal_kind) OVER p AS prev_kind, row_number() OVER p AS number
  FROM ai_evidence.v_seals
  WHERE interval_start >= {from:DateTime64(9,'UTC')} - INTERVAL 1 DAY AND interval_start < {to:DateTime64(9,'UTC')} AND interval_end > {from:DateTime64(9,'UTC')}
  WINDOW w AS (PARTITION BY host_id ORDER BY chain_epoch, seal_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
    p AS (PARTITION BY host_id ORDER BY chain_epoch, seal_seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
WHERE number > 1 AND interval_start > prev_end + INTERVAL 1 SECOND
ORDER BY host_id, gap_from
