-- The reaper's one scan of the live leases: how many there are, and those that lapsed longer ago
-- than the reap grace. These are candidates only; whether one is due is decided again on the locked
-- row (R1).
SELECT count(*),
       clock_timestamp(),
       coalesce(array_agg(l.tenant_id) FILTER (WHERE l.lapsed), '{}'),
       coalesce(array_agg(l.consumer_id) FILTER (WHERE l.lapsed), '{}'),
       coalesce(array_agg(l.epoch) FILTER (WHERE l.lapsed), '{}'),
       coalesce(array_agg(l.lease_expires_at) FILTER (WHERE l.lapsed), '{}'),
       coalesce(array_agg(l.heard_at) FILTER (WHERE l.lapsed), '{}')
FROM (
    SELECT tenant_id, consumer_id, epoch, lease_expires_at, heard_at,
           lease_expires_at <= statement_timestamp() - $1::bigint * interval '1 millisecond' AS lapsed
    FROM claim_leases) AS l
